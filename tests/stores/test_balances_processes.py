"""Balances under many at once: four processes with several threads each, one of which is killed."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import pytest
from balances_bed import SHARED, place
from balances_process import REQUESTS, THREADS
from balances_values import ADA, FREE, MIDNIGHT, NOW, TIERS, available, given, open_at, order
from patience import eventually

from keyrack.stores.balances import LEASE_SECONDS, Amendment, Outcome

SCRIPT = Path(__file__).with_name("balances_process.py")
PROCESSES, CREDITS = 4, 50
GROUP_B = ADA._replace(group="images")


@pytest.fixture(params=SHARED)
def where(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """New balances that processes share."""
    return place(request.param, request, tmp_path)


class Spenders:
    """Four processes that do the same at the same time."""

    def __init__(self, processes: list[subprocess.Popen[str]]):
        self._processes = processes

    def do(self, phase: str) -> int:
        """How many of their 200 requests were let through."""
        self._tell(phase)
        return sum(int(process.stdout.readline()) for process in self._processes if process.stdout)

    def die(self) -> list[int]:
        """How each ended that was killed while it held credits."""
        self._tell("die")
        return [process.wait() for process in self._processes]

    def _tell(self, phase: str) -> None:
        for number, process in enumerate(self._processes):
            if process.stdin:
                process.stdin.write(f"{phase} {number}\n")
                process.stdin.flush()


@contextmanager
def spenders(where: str) -> Iterator[Spenders]:
    """Four processes on these balances, gone at the end."""
    command = [sys.executable, str(SCRIPT), where]
    with ExitStack() as started:
        processes = []
        for _ in range(PROCESSES):
            process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            started.enter_context(process)
            started.callback(process.kill)
            processes.append(process)
        yield Spenders(processes)


@pytest.mark.spec("UG-34", "UG-36", "UG-48")
def test_200_requests_of_4_processes_spend_exactly_what_there_is(where: str) -> None:
    with closing(open_at(where)) as balances, spenders(where) as them:
        given(balances, available=CREDITS)
        assert them.do("refund") == REQUESTS * PROCESSES
        assert available(balances) == CREDITS
        assert them.do("settle") == CREDITS
        assert available(balances) == 0
        assert them.do("reset") == FREE.credits
        assert available(balances, now=MIDNIGHT) == 0
        balances.amend(ADA, Amendment(available=CREDITS, resets_at=MIDNIGHT * 2), TIERS, NOW)
        assert them.die() == [-signal.SIGKILL] * PROCESSES
        assert PROCESSES <= CREDITS - available(balances) <= PROCESSES * THREADS

        def given_back() -> bool:
            # A server may still carry out what it was told by a process that is gone.
            balances.lapse(NOW + LEASE_SECONDS)
            return available(balances) == CREDITS

        eventually(given_back)


@pytest.mark.spec("UG-34", "UG-48")
def test_of_many_who_end_one_reservation_one_does(where: str) -> None:
    with closing(open_at(where)) as balances, ThreadPoolExecutor(THREADS) as threads:
        given(balances, available=CREDITS)
        balances.reserve(order(cost=20), NOW)
        ends = list(threads.map(lambda _: balances.end("r1", Outcome.REFUNDED), range(20)))
        assert sum(ends) == 1
        assert available(balances) == CREDITS


@pytest.mark.spec("UG-33")
def test_changes_of_one_balance_lose_no_charge_of_it_nor_of_another(where: str) -> None:
    """An administrator changes a user's group while both groups are charged."""
    with closing(open_at(where)) as balances, ThreadPoolExecutor(THREADS) as threads:
        for account in (ADA, GROUP_B):
            given(balances, account, available=100)
        charges = [
            threads.submit(balances.reserve, order(f"{account.group}-{number}", account=account), NOW)
            for number in range(30)
            for account in (ADA, GROUP_B)
        ]
        for number in range(10):
            balances.amend(ADA, Amendment(user_key=number + 1), TIERS, NOW)
        assert all(charge.result().short is None for charge in charges)
        assert [available(balances, account) for account in (ADA, GROUP_B)] == [70, 70]
        changed = balances.get(ADA, TIERS, NOW)
        assert changed is not None
        assert changed.user_key == 10
