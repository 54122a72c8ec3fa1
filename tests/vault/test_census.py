"""How much is sealed under which master key, and what of it does not open: counted, and never shown."""

from __future__ import annotations

from dataclasses import replace

from engine_bed import OPERATOR, Bed
from session_bed import BOTH, ONE, master_key

from keyrack.core.events import Event, EventKind
from keyrack.core.master_keys import MasterKeys
from keyrack.core.sealed import SealedSecret
from keyrack.vault.census import Census, census
from keyrack.vault.secrets import Vault


def put(bed: Bed, name: str, keys: MasterKeys, *, facts: dict[str, str] | None = None) -> None:
    """A secret sealed under the first of these; with other `facts` it does not stand where it was sealed."""
    secret = SealedSecret("upstream", "acme", name, 1, bed.at)
    sealed = replace(Vault(keys).sealed(secret, b"plain"), facts=facts or {})
    event = Event(EventKind.SECRET_SEALED, bed.at, OPERATOR.name)
    bed.stores.ledger.commit(lambda draft: draft.write_secret(sealed, event))


def test_secrets_are_counted_by_master_key_and_those_that_do_not_open_are_named(memory: Bed) -> None:
    assert census(memory.stores, ONE) == Census({}, [])
    put(memory, "a", ONE)
    put(memory, "b", BOTH)
    put(memory, "moved", ONE, facts={"origin": "elsewhere"})
    under = {ONE.first.id: 2, BOTH.first.id: 1}
    assert census(memory.stores, BOTH) == Census(under, ["upstream/acme/moved/1"])
    closed = [f"upstream/acme/{name}/1" for name in ("b", "moved")]
    assert census(memory.stores, ONE) == Census(under, closed)
    assert len(census(memory.stores, MasterKeys.parse(master_key("m1", "other"))).closed) == 3
    assert len(census(memory.stores, None).closed) == 3


def test_what_was_erased_is_not_counted(memory: Bed) -> None:
    erased = SealedSecret("upstream", "acme", "gone", 1, memory.at)
    event = Event(EventKind.SECRET_SEALED, memory.at, OPERATOR.name)
    memory.stores.ledger.commit(lambda draft: draft.write_secret(erased, event))
    assert census(memory.stores, ONE) == Census({}, [])
