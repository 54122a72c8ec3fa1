"""What a check costs does not depend on how many keys there are, and asks nothing of any storage."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial

import pytest
from engine_bed import other
from objects_bed import verdict
from test_verifier_work import work

from keyrack import Verifier
from keyrack.core.credential import write
from keyrack.core.events import EMPTY, SUM_MODULUS, Event, EventKind, fingerprint, seal
from keyrack.core.model import Key, Secret, Tenant, VersionState
from keyrack.core.peppers import Peppers
from keyrack.stores import sealing
from keyrack.stores.counters import MemoryCounters
from keyrack.stores.journal import MemoryJournal
from keyrack.stores.memory import MemoryKeys
from keyrack.stores.opened import Stores
from keyrack.stores.protocols import Batch, Record
from keyrack.testing import PEPPERS, FixedClock

GIVEN = Peppers.parse(PEPPERS)
AT = datetime(2026, 1, 1, tzinfo=UTC)


def text_of(number: int) -> str:
    return write("kr", "live", f"{number:012d}", "A" * 32)


def population(count: int) -> list[Record]:
    """A tenant and so many keys, sealed as of the first event; the last one has the secret of its text."""
    pepper, last = GIVEN.first, f"{count - 1:012d}"
    digest = pepper.digest.digest(text_of(count - 1).encode())
    secret = Secret(1, VersionState.LIVE, AT, pepper.id, digest)
    key = Key(
        last, "kr", "live", "default", "n", ("a:b",), AT, "operator:tests", (secret,), "AAAA", revision=1
    )
    tenant = Tenant(id="default", name="default", created_at=AT, revision=1)
    sealed = sealing.seal(key, pepper, serial=1)
    others = (_like(sealed, f"{number:012d}") for number in range(count - 1))
    return [sealing.seal(tenant, pepper, serial=1), *others, sealed]


def _like(record: Record, key_id: str) -> Record:
    """The same record of another key: there are many to be made."""
    body = record.body.replace(record.id.encode(), key_id.encode())
    mac = GIVEN.first.record.digest(sealing.sealed_text(record.kind, key_id, body))
    return record._replace(id=key_id, body=body, mac=mac)


def opened(records: Sequence[Record]) -> Verifier:
    """A Verifier on these records, vouched for by one event."""
    state = sum(fingerprint(record.body, GIVEN.first) for record in records) % SUM_MODULUS
    event = Event(EventKind.STORE_CREATED, AT, "operator:tests")
    entry, _ = seal(event, before=EMPTY, state=state, state_pepper=GIVEN.first.id, pepper=GIVEN.first)
    keys = MemoryKeys()
    keys.commit(lambda _: Batch([entry], records, []))
    verifier = Verifier(
        Stores("memory:", keys, MemoryJournal(), MemoryCounters(), GIVEN, FixedClock()), poll=3600
    )
    verifier.start()
    return verifier


@pytest.mark.spec("LL-52")
def test_a_check_makes_the_same_digests_and_comparisons_with_10_and_100_000_keys() -> None:
    costs = []
    for count in (10, 100_000):
        verifier = opened(population(count))
        texts = [text_of(count - 1), other(text_of(0)), text_of(count)]
        assert [verdict(verifier, text) for text in texts] == ["ok", "unknown", "unknown"]
        costs.append([work(partial(verdict, verifier, text)) for text in texts])
        verifier.close()
    assert costs[0] == costs[1]
    assert [cost == costs[0][0] for cost in costs[0]] == [True, True, True], "an unknown key costs the same"
