"""One of several processes that charge the same balances: told what to do line by line, and answers so.

Run as a script with the place of the balances. Each line is a phase and a name; the answer is how many of
its requests were let through.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from balances_values import MIDNIGHT, NOW, open_at, order

from keyrack.stores.balances import Balances, Outcome

THREADS, REQUESTS = 5, 50


def carry(balances: Balances, outcome: Outcome, name: str) -> bool:
    """One request: whether it was let through."""
    if balances.reserve(order(name), NOW).short is not None:
        return False
    return balances.end(name, outcome)


def reset(balances: Balances, name: str) -> bool:
    """A request that finds a reset due, which only the first of all can make."""
    return balances.reserve(order(name), MIDNIGHT).short is None


def die(balances: Balances, name: str) -> bool:
    """Hold credits, and be killed."""
    balances.reserve(order(name), NOW)
    os.kill(os.getpid(), signal.SIGKILL)
    return False


PHASES: dict[str, Callable[[Balances, str], bool]] = {
    "settle": lambda balances, name: carry(balances, Outcome.SETTLED, name),
    "refund": lambda balances, name: carry(balances, Outcome.REFUNDED, name),
    "reset": reset,
    "die": die,
}


def main(where: str) -> None:
    balances = open_at(where)
    with ThreadPoolExecutor(THREADS) as threads:
        for line in sys.stdin:
            phase, name = line.split()
            names = [f"{phase}-{name}-{number}" for number in range(REQUESTS)]
            print(sum(threads.map(partial(PHASES[phase], balances), names)), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
