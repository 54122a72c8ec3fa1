"""One decision beside the bare floor, the least that proving a secret can cost.

The floor is one HMAC-SHA-256 of the text (hmac.new, prepared and copied), one look-up in a dict and
one constant-time compare, in one function. It parses nothing, checks nothing and notes nothing.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Sequence
from functools import partial
from itertools import repeat
from typing import TypeVar

from bench.effort import Effort
from bench.figures import Figure, Section, Target
from bench.population import KEYS_IN_USE, PEPPERS, SCOPES, text_of
from bench.rounds import by_turns, each, singly
from bench.steps import steps
from keyrack import Access, Reason, Verifier
from keyrack.core import credential
from keyrack.core.model import Decision, Denied
from keyrack.stores.journal import NOWHERE, roll_up

T = TypeVar("T")
NO_KEY = 10**9
"""A number beyond every store's."""
ACCESS = Access(scopes=SCOPES[:1])
TITLE = "One decision beside the bare floor"
HOW = (
    f"`Verifier.verify(text, access)` with one scope asked for, {KEYS_IN_USE} different texts in turn, "
    "one thread; the replica is loaded and these keys were parsed before; no limits. Checksum, every "
    "check, the staleness of the replica and the journal's note are in; rolling the notes up, which "
    "another thread does once a second, is a line of its own. The floor: one HMAC-SHA-256 of the same "
    "texts, encoded beforehand (hmac.new, prepared and copied), one look-up in a dict, one constant-time "
    "compare. Percentiles are of calls timed one by one, the clock's own cost included."
)


def measure(url: str, effort: Effort) -> Section:
    """Decisions of every kind, on the store at this URL."""
    with Verifier.open(url, peppers=PEPPERS) as verifier:
        verify = verifier.verify
        _require_reasons(verify)
        figures = [
            *_beside_the_floor(verify, effort),
            *_beside_a_valid_key(verify, effort),
            *_percentiles(verify, effort),
            _rolling_up(verify, effort),
        ]
        return Section(TITLE, HOW, figures, steps(verifier, text_of(1), ACCESS))


def floor_of(texts: Sequence[bytes]) -> Callable[[bytes], bool]:
    """The floor for these texts."""
    prepared = hmac.new(b"the key of the floor, 32 bytes..", digestmod="sha256")
    digests = {text: hmac.digest(b"another key", text, "sha256") for text in texts}

    def floor(text: bytes) -> bool:
        code = prepared.copy()
        code.update(text)
        return hmac.compare_digest(code.digest(), digests[text])

    return floor


def texts_by_kind(keys: int) -> dict[str, tuple[Reason | None, Sequence[str]]]:
    """Texts of every kind, and the reason for which each is refused."""
    numbers = range(1, keys + 1)
    valid = [text_of(number) for number in numbers]
    strange = [text_of(NO_KEY + number) for number in numbers]
    swapped = [text[:20] + other[20:-6] for text, other in zip(valid, strange, strict=True)]
    return {
        "a valid key": (None, valid),
        "wrong secret": (Reason.UNKNOWN, [one + credential.checksum(one.encode()) for one in swapped]),
        "unknown id": (Reason.UNKNOWN, strange),
        "wrong checksum": (Reason.MALFORMED, [one[:-6] + one[-6:].swapcase() for one in valid]),
        "garbage": (Reason.MALFORMED, [f"{number:064x}" for number in numbers]),
    }


Verify = Callable[[str, Access], Decision]


def _require_reasons(verify: Verify) -> None:
    for kind, (reason, texts) in texts_by_kind(KEYS_IN_USE).items():
        for decision in map(verify, texts, repeat(ACCESS)):
            found = decision.reason if isinstance(decision, Denied) else None
            if found is not reason:
                raise RuntimeError(f"{kind}: expected {reason}, found {found}")


def _beside_the_floor(verify: Verify, effort: Effort) -> list[Figure]:
    figures = []
    for kind, (reason, texts) in texts_by_kind(KEYS_IN_USE).items():
        data = [text.encode() for text in texts]
        ours = partial(each, verify, *_rows(texts, effort.calls))
        beside = partial(each, floor_of(data), _repeated(data, effort.calls))
        target = Target("≤", 2.5) if reason is None else None
        figures.append(by_turns(ours, beside, effort.rounds).figure(f"{kind}, beside the floor", target))
    return figures


def _beside_a_valid_key(verify: Verify, effort: Effort) -> list[Figure]:
    kinds = {
        kind: partial(each, verify, *_rows(texts, effort.calls))
        for kind, (_, texts) in texts_by_kind(KEYS_IN_USE).items()
    }
    return [
        by_turns(kinds[kind], kinds["a valid key"], effort.rounds).figure(
            f"{kind}, beside a valid key", Target("≤", 1.0)
        )
        for kind in ("wrong checksum", "garbage")
    ]


def _percentiles(verify: Verify, effort: Effort) -> list[Figure]:
    texts = texts_by_kind(KEYS_IN_USE)["a valid key"][1]
    data = [text.encode() for text in texts]
    ours = singly(verify, *_rows(texts, effort.singles))
    beside = singly(floor_of(data), _repeated(data, effort.singles))
    names = ("a valid key, 50th percentile", "a valid key, 99th percentile")
    return [
        Figure(name, "µs", one / 1000, other / 1000)
        for name, one, other in zip(names, ours, beside, strict=True)
    ]


def _rolling_up(verify: Verify, effort: Effort) -> Figure:
    """What a decision costs the thread that writes the journal, before the write itself."""
    texts, accesses = _rows(texts_by_kind(KEYS_IN_USE)["a valid key"][1], effort.calls)
    notes = [(decision, None, 0.0, NOWHERE) for decision in map(verify, texts, accesses)]
    taken = each(roll_up, [notes] * 10) / len(notes)
    return Figure("rolling up the note of a valid key", "µs", taken / 1000)


def _rows(texts: Sequence[str], times: int) -> tuple[list[str], list[Access]]:
    return _repeated(texts, times), [ACCESS] * times


def _repeated(texts: Sequence[T], times: int) -> list[T]:
    return [texts[number % len(texts)] for number in range(times)]
