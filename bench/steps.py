"""Where the time of a decision goes: its steps by themselves, as `Verifier.verify` takes them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from bench.rounds import each
from keyrack import Access, Verifier
from keyrack.core.credential import read
from keyrack.core.prepared import prove
from keyrack.stores.journal import NOWHERE, Notebook

CALLS = 1000
TURNS = 50


def steps(verifier: Verifier, text: str, access: Access) -> Sequence[str]:
    """One line for each step, and one for all of them together."""
    taken = {name: _fastest(step) for name, step in _steps(verifier, text, access).items()}
    lines = [f"{name:<42} {nanoseconds:7.0f} ns" for name, nanoseconds in taken.items()]
    rest = taken["a whole decision"] - sum(list(taken.values())[:-1])
    return [*lines, f"{'of it between the steps':<42} {rest:7.0f} ns"]


def _steps(verifier: Verifier, text: str, access: Access) -> dict[str, Callable[[object], object]]:
    found = read(text)
    prepared = verifier.follower.replica.find(found[0]) if found else None
    proved = prove(prepared, found[1]) if found and prepared else None
    if found is None or prepared is None or proved is None:
        raise RuntimeError("The key that is measured does not pass.")
    key_id, data = found
    decision, now, notebook = proved.answer, verifier.stores.clock(), Notebook()
    return {
        "the time": lambda _: verifier.stores.clock(),
        "is the replica fresh (follower.doubt)": lambda _: verifier.follower.doubt(),
        "parse, with checksum (credential.read)": lambda _: read(text),
        "look up (replica.find)": lambda _: verifier.follower.replica.find(key_id),
        "prove (prepared.prove)": lambda _: prove(prepared, data),
        "check (proved.check)": lambda _: proved.check(access, now),
        "note (notebook.note)": lambda _: notebook.note((decision, None, now, NOWHERE)),
        "a whole decision": lambda _: verifier.verify(text, access),
    }


def _fastest(step: Callable[[object], object]) -> float:
    """Nanoseconds in the least disturbed of many turns, less those of an empty call."""
    return min(_turn(step) for _ in range(TURNS)) - min(_turn(_nothing) for _ in range(TURNS))


def _turn(step: Callable[[object], object]) -> float:
    return each(step, range(CALLS))


def _nothing(_: object) -> None:
    pass
