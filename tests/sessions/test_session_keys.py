"""The keys that sign sessions: sealed, replaced in time, published, and shown nowhere."""

from __future__ import annotations

import logging
import sys
from base64 import urlsafe_b64encode
from dataclasses import replace

import jwt
import pytest
from engine_bed import OPERATOR, Bed, refusal
from leak_watch import LeakWatch
from session_bed import ONE, READS, Desk, desk_on, parts

from keyrack import Access, Allowed, Authority, Verifier, open_stores
from keyrack.admin.audit import audit
from keyrack.core.errors import ConfigurationError
from keyrack.core.events import Event, EventKind, open_entry
from keyrack.core.model import Denied
from keyrack.sessions.exchange import Sessions
from keyrack.sessions.keys import PUBLISHED_FOR, RENEWED_AFTER
from keyrack.sessions.signing import thumbprint
from keyrack.stores.protocols import Excerpt
from keyrack.vault.secrets import Unconfigured, Vault


@pytest.fixture
def desk(memory: Bed) -> Desk:
    return desk_on(memory)


def kids(desk: Desk) -> list[str]:
    return [key["kid"] for key in desk.sessions.jwks()["keys"]]


def test_any_library_can_check_a_token_with_what_is_published(desk: Desk) -> None:
    key, _, token = desk.holder("logs:read", "a:b")
    (published,) = desk.sessions.jwks()["keys"]
    found = jwt.decode(
        token,
        jwt.PyJWK(published).key,
        algorithms=["EdDSA"],
        issuer="keyrack",
        audience="keyrack",
        options={"verify_exp": False, "verify_iat": False},
    )
    assert jwt.get_unverified_header(token) == {
        "alg": "EdDSA",
        "kid": published["kid"],
        "typ": "kr-session+jwt",
    }
    assert (found["sub"], found["ver"], found["tenant"], found["scope"]) == (
        key.id,
        1,
        "default",
        "logs:read a:b",
    )
    assert found["exp"] - found["iat"] == 900
    assert published | {"x": "", "kid": ""} == {
        "kty": "OKP", "crv": "Ed25519", "x": "", "kid": "", "use": "sig", "alg": "EdDSA",
    }  # fmt: skip


def test_the_id_of_a_signing_key_is_its_thumbprint() -> None:
    """RFC 8037, appendix A.3."""
    assert (
        thumbprint("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo")
        == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
    )


def test_nothing_is_published_before_the_first_session(desk: Desk) -> None:
    assert desk.sessions.jwks() == {"keys": []}


def test_a_signing_key_is_replaced_in_time_and_published_until_its_sessions_ended(bed: Bed) -> None:
    desk = desk_on(bed)
    _, text = bed.mint("logs:read")
    desk.exchange(text)
    (first,) = kids(desk)
    bed.passes(RENEWED_AFTER.total_seconds() - 1)
    last = desk.exchange(text)
    assert kids(desk) == [first]
    bed.passes(1)
    newer = desk.exchange(text)
    second, old = kids(desk)
    assert old == first != second
    assert [bed.verdict(one, "logs:read") for one in (last, newer)] == ["ok", "ok"]
    bed.passes(PUBLISHED_FOR.total_seconds())
    assert kids(desk) == [second]


def test_a_compromised_signing_key_ends_its_sessions_at_once(bed: Bed) -> None:
    desk = desk_on(bed)
    _, text, first = desk.holder("logs:read")
    made = desk.signing().rotate(by=OPERATOR)
    bed.verifier.spread(made.revision, wait=False)
    second = desk.exchange(text)
    assert [bed.verdict(one, "logs:read") for one in (first, second)] == ["ok", "ok"]
    made = desk.signing().rotate(by=OPERATOR, compromised=True)
    bed.verifier.spread(made.revision, wait=False)
    assert [bed.verdict(one, "logs:read") for one in (first, second)] == ["expired", "expired"]
    assert kids(desk) == [made.facts["kid"]]
    assert bed.verdict(desk.exchange(text), "logs:read") == "ok"


def test_the_private_part_of_a_replaced_key_is_erased(desk: Desk) -> None:
    desk.holder("logs:read")
    made = desk.signing().rotate(by=OPERATOR)
    desk.bed.verifier.spread(made.revision, wait=False)
    known = sorted(desk.bed.verifier.follower.replica.signing_keys.values(), key=lambda key: key.version)
    assert [key.ciphertext is None for key in known] == [True, False]


def test_whoever_comes_second_takes_the_key_of_whoever_came_first(desk: Desk) -> None:
    first, second = desk.signing().renew(), desk.signing().renew()
    assert first == second


def test_another_node_checks_sessions_without_a_master_key(bed: Bed) -> None:
    if bed.stores.url == "memory:":
        stores = bed.stores
    else:
        stores = open_stores(bed.stores.url, peppers=bed.stores.peppers, clock=bed.clock)
    key, _, token = desk_on(bed).holder("logs:read")
    node = Verifier(stores)
    node.follower.load()
    assert isinstance(node.verify(token, READS), Allowed)
    bed.issuer.revoke(key.id, by=OPERATOR)
    assert node.follower.poll()
    assert isinstance(node.verify(token, READS), Denied)
    if stores is not bed.stores:
        stores.close()


def test_without_master_keys_there_is_no_session_and_everything_else_works(memory: Bed) -> None:
    _, text = memory.mint("logs:read")
    allowed = memory.verifier.verify(text, Access())
    assert isinstance(allowed, Allowed)
    with pytest.raises(Unconfigured):
        Sessions(memory.verifier, None).exchange(allowed)
    assert Sessions(memory.verifier, None).jwks() == {"keys": []}
    assert memory.verdict(text, "logs:read") == "ok"


def test_without_master_keys_the_library_is_not_needed(memory: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    _, text = memory.mint("logs:read")
    allowed = memory.verifier.verify(text, Access())
    assert isinstance(allowed, Allowed)
    desk = desk_on(memory)
    for module in ("keyrack.sessions.signing", "keyrack.vault.cipher"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(Unconfigured):
        Sessions(memory.verifier, None).exchange(allowed)
    with pytest.raises(ConfigurationError, match="sessions"):
        Sessions(memory.verifier, ONE)
    monkeypatch.undo()
    desk.exchange(text)
    for module in ("keyrack.sessions.signing", "keyrack.vault.cipher"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(Unconfigured):
        Sessions(memory.verifier, None).exchange(allowed)
    assert len(Sessions(memory.verifier, None).jwks()["keys"]) == 1


def test_without_the_library_a_session_is_our_own_trouble(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, text, token = desk.holder("logs:read")
    monkeypatch.setitem(sys.modules, "keyrack.sessions.signing", None)
    assert desk.bed.verdict(token, "logs:read") == "unconfigured"
    assert desk.bed.verdict(text, "logs:read") == "ok"


def test_neither_tokens_nor_signing_keys_are_shown_anywhere(
    bed: Bed, leak_watch: LeakWatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    desk = desk_on(bed)
    _, text = bed.mint("logs:read")
    whole = desk.whole(text)
    private = Vault(ONE).opened(next(iter(bed.verifier.follower.replica.signing_keys.values())))
    shown = repr(
        [whole, bed.verifier.verify(whole.token, READS), desk.sessions, bed.verifier.follower.replica]
    )
    for secret in (whole.token, parts(whole.token)[2], urlsafe_b64encode(private).decode(), private.hex()):
        assert secret not in shown
        assert secret not in caplog.text
    assert not leak_watch.shows_secret(shown)


def test_the_log_says_what_became_of_signing_keys_and_is_whole(bed: Bed) -> None:
    desk = desk_on(bed)
    desk.holder("logs:read")
    desk.signing().rotate(by=OPERATOR)
    entries = bed.stores.keys.entries(Excerpt(after=3))
    events = [open_entry(entry, bed.stores.peppers)[0] for entry in entries]
    assert [(event.kind.value, event.actor, event.subject) for event in events] == [
        ("secret.sealed", "service:sessions", "session/default/signing/1"),
        ("secret.retired", "operator:tests", "session/default/signing/1"),
        ("secret.sealed", "operator:tests", "session/default/signing/2"),
    ]
    assert audit(bed.stores).fault is None


def test_an_operator_rotates_and_a_key_does_not_without_holding_everything(desk: Desk) -> None:
    _, text = desk.bed.mint("keys:manage")
    assert refusal(desk.signing().rotate, by=desk.bed.authority(text)) == "insufficient_scope"
    assert refusal(desk.signing().rotate, by=Authority.operator("ada")) is None


def test_a_signing_key_that_does_not_open_makes_no_session_and_no_key_is_refused_for_it(desk: Desk) -> None:
    bed = desk.bed
    _, text, token = desk.holder("logs:read")
    (key,) = bed.verifier.follower.replica.signing_keys.values()
    assert key.ciphertext is not None
    damaged = replace(key, ciphertext=key.ciphertext._replace(payload="A" * len(key.ciphertext.payload)))
    event = Event(EventKind.SECRET_REENCRYPTED, bed.at, OPERATOR.name)
    bed.stores.ledger.commit(lambda draft: draft.write_secret(damaged, event))
    bed.verifier.follower.poll()
    assert refusal(desk.exchange, text) == "unavailable"
    assert [bed.verdict(one, "logs:read") for one in (text, token)] == ["ok", "ok"]
