"""A new master key takes over beside the writers, may be stopped and repeated; what is in use is needed."""

from __future__ import annotations

import threading

import pytest
from engine_bed import OPERATOR, Bed, opened, refusal
from session_bed import BOTH, M1, M2, ONE, Desk, desk_on, master_key

from keyrack.admin.audit import audit
from keyrack.admin.peppering import rotate as rotate_pepper
from keyrack.core.errors import ConfigurationError
from keyrack.core.events import Event, EventKind
from keyrack.core.master_keys import MasterKeys
from keyrack.core.sealed import SealedSecret
from keyrack.sessions.exchange import Sessions
from keyrack.sessions.keys import SigningKeys
from keyrack.stores.ledger import Draft
from keyrack.testing import PEPPERS
from keyrack.vault import reencryption
from keyrack.vault.reencryption import reencrypt
from keyrack.vault.secrets import Vault, require_openable, stored

TWO = MasterKeys.parse(M2)


def put(bed: Bed, name: str, *, keys: MasterKeys = ONE, plain: bytes = b"plain") -> SealedSecret:
    """A sealed secret of an upstream, as the gateway will keep them."""
    empty = SealedSecret("upstream", "acme", name, 1, bed.at, facts={"origins": ["https://a.example:443"]})
    sealed = Vault(keys).sealed(empty, plain)

    def change(draft: Draft) -> SealedSecret:
        return draft.write_secret(sealed, Event(EventKind.SECRET_SEALED, bed.at, OPERATOR.name))

    return bed.stores.ledger.commit(change)


def under(bed: Bed) -> list[str]:
    """The master key of every secret that the store holds."""
    return [one.ciphertext.master_key for one in stored(bed.stores) if one.ciphertext is not None]


def plains(bed: Bed, keys: MasterKeys) -> set[bytes]:
    return {Vault(keys).opened(one) for one in stored(bed.stores)}


def test_everything_is_moved_to_the_first_key_and_reads_the_same(bed: Bed) -> None:
    for number in range(120):
        put(bed, f"n{number}", plain=b"%d" % number)
    seen: list[tuple[int, int | None]] = []
    moved = reencrypt(bed.stores, BOTH, by=OPERATOR, report=lambda _, done, total: seen.append((done, total)))
    assert moved == (120, 120)
    assert seen == [(100, 120), (120, 120)]
    assert set(under(bed)) == {"m2"}
    assert plains(bed, TWO) == {b"%d" % number for number in range(120)}
    assert audit(bed.stores).fault is None


def test_repeating_it_changes_nothing(memory: Bed) -> None:
    put(memory, "one")
    reencrypt(memory.stores, BOTH, by=OPERATOR)
    last = memory.stores.keys.last()
    assert reencrypt(memory.stores, BOTH, by=OPERATOR) == (0, 1)
    assert memory.stores.keys.last() == last


def test_stopped_half_way_it_goes_on_where_it_was(memory: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reencryption, "BATCH", 2)
    for number in range(5):
        put(memory, f"n{number}")

    def stop(_: str, done: int, __: int | None) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        reencrypt(memory.stores, BOTH, by=OPERATOR, report=stop)
    assert under(memory) == ["m2", "m2", "m1", "m1", "m1"]
    assert plains(memory, BOTH) == {b"plain"}
    assert reencrypt(memory.stores, BOTH, by=OPERATOR) == (3, 5)
    assert set(under(memory)) == {"m2"}


def test_it_goes_on_beside_those_who_write_and_exchange(bed: Bed) -> None:
    """Nothing that is written meanwhile is lost, and every session passes."""
    desk = desk_on(bed)
    _, text = bed.mint("logs:read")
    tokens = [desk.exchange(text)]
    for number in range(60):
        put(bed, f"n{number}")
    begun, errors = threading.Event(), []

    def write() -> None:
        newer = Desk(bed, Sessions(bed.verifier, BOTH))
        try:
            for number in range(60, 90):
                put(bed, f"n{number}", keys=BOTH)
                bed.mint("logs:read")
                tokens.append(newer.exchange(text))
                begun.set()
        except Exception as error:  # noqa: BLE001  # a thread's failure must reach its test
            errors.append(error)
            begun.set()

    writer = threading.Thread(target=write)
    writer.start()
    assert begun.wait(30)
    reencrypt(bed.stores, BOTH, by=OPERATOR)
    writer.join()
    assert errors == []
    assert set(under(bed)) == {"m2"}
    assert len(under(bed)) == 91
    assert {bed.verdict(token, "logs:read") for token in tokens} == {"ok"}
    assert audit(bed.stores).fault is None


def test_a_secret_that_was_replaced_meanwhile_keeps_what_is_newest(
    memory: Bed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reencryption, "BATCH", 1)
    put(memory, "one")
    put(memory, "two", plain=b"old")
    reencrypt(memory.stores, BOTH, by=OPERATOR, report=lambda *_: put(memory, "two", plain=b"new"))
    assert b"old" not in plains(memory, BOTH)
    assert b"new" in plains(memory, BOTH)


def test_it_needs_master_keys_and_everything(memory: Bed) -> None:
    with pytest.raises(ConfigurationError, match="KEYRACK_MASTER_KEYS"):
        reencrypt(memory.stores, None, by=OPERATOR)
    _, text = memory.mint("keys:manage")
    assert refusal(reencrypt, memory.stores, ONE, by=memory.authority(text)) == "insufficient_scope"
    session = memory.authority(desk_on(memory).exchange(memory.mint("*:*")[1]))
    assert refusal(reencrypt, memory.stores, ONE, by=session) == "session_presented"


def test_without_the_old_key_nothing_is_changed(memory: Bed) -> None:
    put(memory, "one")
    last = memory.stores.keys.last()
    assert refusal(reencrypt, memory.stores, TWO, by=OPERATOR) == "unavailable"
    assert memory.stores.keys.last() == last


@pytest.fixture
def sealed(bed: Bed) -> Bed:
    put(bed, "one")
    put(bed, "two", keys=BOTH)
    return bed


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (None, "lacks the master key 'm1'"),
        (M2, "lacks the master key 'm1'"),
        (M1, "lacks the master key 'm2'"),
        (f"{M2},{master_key('m1', 'other')}", "'m1' is not the one"),
        (f"{master_key('m2', 'other')},{M1}", "'m2' is not the one"),
    ],
    ids=["none", "one missing", "the other missing", "another m1", "another m2"],
)
def test_a_start_without_a_key_that_is_in_use_is_refused(sealed: Bed, given: str | None, says: str) -> None:
    keys = None if given is None else MasterKeys.parse(given)
    with pytest.raises(ConfigurationError, match=says) as caught:
        require_openable(sealed.stores, keys)
    assert caught.value.setting == "KEYRACK_MASTER_KEYS"


def test_a_key_can_be_taken_away_once_nothing_is_sealed_under_it(sealed: Bed) -> None:
    require_openable(sealed.stores, BOTH)
    reencrypt(sealed.stores, BOTH, by=OPERATOR)
    require_openable(sealed.stores, TWO)


def test_a_store_without_secrets_needs_no_key(bed: Bed) -> None:
    require_openable(bed.stores, None)
    require_openable(bed.stores, ONE)


def test_an_erased_secret_needs_no_key(memory: Bed) -> None:
    desk_on(memory).holder("logs:read")
    SigningKeys(memory.stores, Vault(BOTH)).rotate(by=OPERATOR)
    require_openable(memory.stores, TWO)


def test_a_new_pepper_takes_over_sealed_secrets_as_well() -> None:
    with opened("sqlite") as bed:
        token = desk_on(bed).holder("logs:read")[2]
        new = f"p2:zY9xW7vU5tS3rQ1pN9mK7jH5gE3dB1aZ,{PEPPERS}"
        bed.verifier.close()
        with opened("sqlite", folder=bed.folder, peppers=new, clock=bed.clock) as again:
            rotate_pepper(again.stores, by=OPERATOR)
            again.verifier.spread(1, wait=False)
            assert again.verdict(token, "logs:read") == "ok"
            require_openable(again.stores, ONE)
            assert audit(again.stores).fault is None
