"""Secrets never come back: not in a log, not in any form of a value, not in the text of an error.

`leak_watch.py` searches everything that is logged while any test of this suite runs; here it is shown
that it finds what it searches for, and that the values of the engine hide what they hold.
"""

from __future__ import annotations

import logging
import pickle
import traceback
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Any

import httpx
import pytest
from engine_bed import OPERATOR, Bed, opened
from leak_watch import LeakWatch

import keyrack
from keyrack import Access, Allowed, Authority, Denied, StaticKeys, Verifier, Wish
from keyrack.client.calls import Call, Calls
from keyrack.core import credential
from keyrack.core.errors import KeyrackError
from keyrack.idempotency import Once
from keyrack.stores.protocols import Kind
from keyrack.stores.static import read_variable
from keyrack.stores.urls import open_stores
from keyrack.testing import PEPPERS

FOREIGN = "nT3kQz0yV5mX8bL1pR7wJ2hF9cD4gS6aE0uI5oYtKrM="
PEPPER = PEPPERS.partition(":")[2]


@pytest.fixture
def loud() -> Iterator[tuple[LeakWatch, logging.Logger]]:
    """A watch of its own, and a logger that nobody else hears."""
    watch, logger = LeakWatch(), logging.getLogger("a-test-of-leaks")
    logger.propagate = False
    logger.addHandler(watch)
    yield watch, logger
    logger.removeHandler(watch)


class TestTheWatch:
    """A search that finds nothing proves something only if it would have found it."""

    def test_it_hears_every_text_that_is_written(self, leak_watch: LeakWatch) -> None:
        assert leak_watch in logging.getLogger().handlers
        with opened() as bed:
            _, text = bed.mint("a:b")
        assert text[-38:-6] in leak_watch.secrets

    @pytest.mark.spec("CO-24")
    def test_it_finds_a_key_its_secret_part_and_a_pepper_wherever_they_stand(
        self, loud: tuple[LeakWatch, logging.Logger]
    ) -> None:
        watch, logger = loud
        text = watch.write("kr", "live", "A" * 12, "B1" * 16)
        elsewhere = credential.write("kr", "live", "C" * 12, "D2" * 16)
        try:
            raise ValueError(text)
        except ValueError:
            logger.exception("failed")
        logger.error("key %s", text)
        logger.error("part x%sx", "B1" * 16)
        logger.error("fine", extra={"found": {"key": [text]}})
        logger.error("never seen before: %s", elsewhere)
        logger.error("pepper %s", PEPPER)
        assert len(watch.leaks) == 6

    def test_it_is_quiet_about_everything_else(self, loud: tuple[LeakWatch, logging.Logger]) -> None:
        watch, logger = loud
        with opened() as bed:
            minted, text = bed.mint("a:b")
        logger.error("%r %s %s %s", minted, minted.key.hint, minted.key.id, text[:20])
        logger.error("a digest: %s", "0123456789abcdef" * 4)
        assert watch.leaks == []

    def test_it_hears_of_urls_that_our_client_asks_for_and_not_of_those_of_a_test(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        watch, logger = LeakWatch(), logging.getLogger("httpx")
        caplog.set_level(logging.INFO, logger="httpx")
        text = watch.write("kr", "live", "A" * 12, "B1" * 16)
        nothing = httpx.MockTransport(lambda request: httpx.Response(204))
        logger.propagate = False
        logger.addHandler(watch)
        try:
            with httpx.Client(transport=nothing) as client:
                client.get(f"http://localhost/?key={text}")
            assert watch.leaks == []
            Calls("http://localhost", key=None, transport=nothing)(Call("GET", f"/v1/keys/{text}"))
            assert len(watch.leaks) == 1
        finally:
            logger.removeHandler(watch)
            logger.propagate = True


def secrets_of(bed: Bed) -> list[str]:
    minted, text = bed.mint("*:*")
    rotated = bed.issuer.rotate(minted.key.id, by=OPERATOR)
    return [text, str(rotated.secret)]


def shown(value: object) -> str:
    """Every form in which a value is written without anybody asking for what it holds."""
    return f"{value} {value!r} {value!s:>10} {[value]} { ({'a': value}) }"


@pytest.mark.spec("CO-24")
def test_no_form_of_any_value_shows_a_secret(memory: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THE_KEY", FOREIGN)
    minted, text = memory.mint("*:*", owner="ann")
    allowed = memory.verifier.verify(text, Access())
    assert isinstance(allowed, Allowed)
    record = memory.stores.keys.record(Kind.KEY, minted.key.id)
    values: list[object] = [
        minted,
        minted.key,
        minted.key.versions,
        allowed,
        Denied(keyrack.Reason.SCOPE, allowed.key, allowed.secret),
        Authority.of(allowed),
        credential.parse(text),
        Once("header", text.encode()),
        StaticKeys({"a": ("THE_KEY", "b")}),
        read_variable("THE_KEY"),
        memory.stores,
        memory.stores.peppers,
        memory.stores.peppers.first,
        memory.stores.peppers.first.digest,
        memory.verifier,
        memory.verifier.policy,
        memory.issuer,
        memory.stores.keys.last(),
        record,
        Wish("n"),
    ]
    for value in values:
        for secret in (text, text[-38:-6], FOREIGN, PEPPER):
            assert secret not in shown(value), type(value).__name__


def test_every_public_class_that_holds_a_digest_or_a_text_hides_it(memory: Bed) -> None:
    """A digest is no secret, but nothing is gained by showing it where a record is shown."""
    minted, text = memory.mint("*:*")
    (version,) = minted.key.versions
    for value in (minted, minted.key, version, memory.verifier.verify(text, Access())):
        assert repr(version.digest) not in shown(value)
        assert version.digest.hex() not in shown(value)
    for name in keyrack.__all__:
        kind = getattr(keyrack, name)
        if is_dataclass(kind):
            hidden = {one.name for one in fields(kind) if not one.repr}
            assert {one.name for one in fields(kind)} & {"secret", "digest", "text"} - {"secret"} <= hidden


def test_no_error_of_the_issuer_or_the_verifier_quotes_a_secret(memory: Bed) -> None:
    """What a caller sent in the wrong place must not come back in the message about it."""
    minted, text = memory.mint("keys:manage")
    by = memory.authority(text)
    attempts: list[Any] = [
        lambda: memory.issuer.get(text, by=OPERATOR),
        lambda: memory.issuer.revoke(text, by=OPERATOR),
        lambda: memory.issuer.update(minted.key.id, {"name": text + "\n"}, by=OPERATOR),
        lambda: memory.issuer.update(minted.key.id, {"scopes": [text]}, by=OPERATOR),
        lambda: memory.issuer.update(minted.key.id, {"networks": [text]}, by=OPERATOR),
        lambda: memory.issuer.update(minted.key.id, {"expires_at": text}, by=OPERATOR),
        lambda: memory.issuer.update(minted.key.id, {"metadata": text}, by=OPERATOR),
        lambda: memory.issuer.mint(Wish("n", preset=text), by=OPERATOR),
        lambda: memory.issuer.mint(Wish("n", tenant=text), by=OPERATOR),
        lambda: memory.issuer.mint(Wish("n", role=text, environment=text, prefix=text), by=OPERATOR),
        lambda: memory.issuer.mint(Wish("n", owner="bob", scopes=["*:*"]), by=by),
        lambda: open_stores(text, peppers=PEPPERS),
        lambda: open_stores("memory:", peppers=text),
        lambda: open_stores("memory:", peppers=f"{PEPPER}:p1"),
        lambda: Verifier.open("memory:", peppers=f"p1:{PEPPER},p1:{PEPPER}"),
    ]
    quoted = []
    for number, attempt in enumerate(attempts):
        said = told(attempt)
        if any(secret in said for secret in (text, text[-38:-6], PEPPER)):
            quoted.append((number, said.replace(text, "…")))
    assert quoted == []


def told(attempt: Any) -> str:
    """All that is told about a failing call: the error, its details, and the chain behind it."""
    with pytest.raises(KeyrackError) as raised:
        attempt()
    error = raised.value
    shown_of = "".join(traceback.format_exception_only(error))
    assert error.__cause__ is None
    return f"{shown_of} {error!r} {error.details} {error.__dict__}"


def test_a_minted_secret_is_in_no_record_event_or_journal_entry(bed: Bed) -> None:
    secrets = secrets_of(bed)
    for text in secrets:
        assert bed.verdict(text, "a:b") == "ok"
        bed.verdict(text[:-1] + "!", "a:b")
    bed.verifier.notebook.flush(bed.stores.journal)
    kept = b""
    for change in bed.stores.keys.since(0, 1000):
        kept += change.entry.body + pickle.dumps(change.record)
    kept += pickle.dumps(bed.stores.journal.refusals(after=0, most=99, tenant=None))
    assert b"rotation.started" in kept
    for text in secrets:
        assert text.encode() not in kept
        assert text[-38:-6].encode() not in kept
