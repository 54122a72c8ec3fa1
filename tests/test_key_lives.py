"""The life of keys as a whole, on real stores: after every step each secret ever issued is decided on.

The model knows nothing but dates and flags. It says what every call must answer, and what every text
must be worth at every moment afterwards, in the process that made the change and in one that follows.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest
from engine_bed import OPERATOR, Bed, opened, refusal
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from keyrack import Verifier
from keyrack.core.scopes import covers
from keyrack.testing import PEPPERS

HOUR, DAY, MONTH = timedelta(hours=1), timedelta(days=1), timedelta(days=30)
MAX_KEYS = 4
SCOPES = [(), ("a:read",), ("a:*",), ("*:*",)]
graces = st.sampled_from([HOUR, 6 * HOUR, DAY, 7 * DAY])
expiries = st.sampled_from([None, None, 2 * HOUR, 3 * DAY])


@dataclass
class Version:
    text: str
    ends_at: datetime | None = None
    dead: str | None = None

    def live(self, now: datetime) -> bool:
        return self.dead is None and (self.ends_at is None or now < self.ends_at)

    def end(self, now: datetime, dead: str | None) -> None:
        self.ends_at = now if self.ends_at is None else min(now, self.ends_at)
        self.dead = dead


@dataclass
class Model:
    """One key: its versions by number, and which of them were the primary, in order."""

    id: str
    scopes: tuple[str, ...]
    expires_at: datetime | None
    versions: dict[int, Version]
    reigns: list[int] = field(default_factory=lambda: [1])
    status: str = "active"
    changes: int = 1

    def standing(self, now: datetime) -> list[int]:
        return sorted(number for number, one in self.versions.items() if one.live(now))

    def crown(self, number: int) -> None:
        self.versions[number].ends_at, self.versions[number].dead = None, None
        self.reigns = [one for one in self.reigns if one != number] + [number]

    def verdict(self, number: int, wanted: str, now: datetime) -> str:
        version = self.versions[number]
        if version.ends_at is not None and now >= version.ends_at + MONTH:
            return "unknown"
        if self.status != "active":
            return self.status
        if self.expires_at is not None and now >= self.expires_at:
            return "expired"
        if not version.live(now):
            return "retired"
        return "ok" if covers(self.scopes, wanted) else "scope"


class KeyLives(RuleBasedStateMachine):
    store = "memory"

    def __init__(self) -> None:
        super().__init__()
        self.opened = ExitStack()
        self.bed: Bed = self.opened.enter_context(opened(self.store))
        self.keys: list[Model] = []

    def teardown(self) -> None:
        self.opened.close()

    @property
    def now(self) -> datetime:
        return self.bed.at

    def one(self, data: st.DataObject) -> Model:
        return data.draw(st.sampled_from(self.keys))

    def attempt(self, key: Model, expected: str | None, work: Any, **options: Any) -> Any:
        """Make the call; it must answer with this code, or succeed and be in the log."""
        before = self.bed.issuer.get(key.id, by=OPERATOR)
        answers: list[Any] = []
        code = refusal(lambda: answers.append(work(key.id, by=OPERATOR, **options)))
        assert code == expected
        if code is not None:
            assert self.bed.issuer.get(key.id, by=OPERATOR) == before
        return answers[0] if answers else None

    @initialize(scopes=st.sampled_from(SCOPES))
    def begin(self, scopes: tuple[str, ...]) -> None:
        self.make(scopes, None)

    @precondition(lambda self: len(self.keys) < MAX_KEYS)
    @rule(scopes=st.sampled_from(SCOPES), lasts=expiries)
    def mint(self, scopes: tuple[str, ...], lasts: timedelta | None) -> None:
        self.make(scopes, lasts)

    def make(self, scopes: tuple[str, ...], lasts: timedelta | None) -> None:
        expires_at = self.now + lasts if lasts else None
        minted, text = self.bed.mint(*scopes, expires_at=expires_at)
        self.keys.append(Model(minted.key.id, scopes, expires_at, {1: Version(text)}))

    @rule(hours=st.sampled_from([1, 1, 5, 23, 25, 24 * 8, 24 * 31]))
    def time_passes(self, hours: int) -> None:
        self.bed.passes(hours=hours)

    @rule(data=st.data(), scopes=st.sampled_from(SCOPES), lasts=expiries)
    def update(self, data: st.DataObject, scopes: tuple[str, ...], lasts: timedelta | None) -> None:
        key = self.one(data)
        expires_at = self.now + lasts if lasts else None
        changes = {"scopes": scopes, "expires_at": expires_at}
        expected = "key_revoked" if key.status == "revoked" else None
        if self.attempt(key, expected, self.bed.issuer.update, changes=changes):
            key.scopes, key.expires_at = scopes, expires_at

    @rule(
        data=st.data(), grace=graces, force=st.booleans(), compromised=st.sampled_from([False, False, True])
    )
    def rotate(self, data: st.DataObject, grace: timedelta, force: bool, compromised: bool) -> None:
        key = self.one(data)
        standing = len(key.standing(self.now))
        code = None
        if key.status == "revoked":
            code = "key_revoked"
        elif key.expires_at is not None and key.expires_at <= self.now:
            code = "key_expired"
        elif not compromised and standing >= 5:
            code = "version_limit"
        elif not compromised and standing > 1 and not force:
            code = "rotation_active"
        grace = timedelta(0) if compromised else grace
        options = {"grace": grace, "force": force, "compromised": compromised}
        minted = self.attempt(key, code, self.bed.issuer.rotate, **options)
        if minted is None:
            return
        self.forget(key)
        for version in key.versions.values():
            if compromised:
                version.end(self.now, "destroyed")
        if not compromised:
            ends = [self.now + grace] + ([key.expires_at] if key.expires_at else [])
            key.versions[key.reigns[-1]].ends_at = min(ends)
        number = max(key.versions) + 1
        key.versions[number] = Version(minted.secret)
        key.reigns.append(number)

    def forget(self, key: Model) -> None:
        """A rotation drops what ended a month ago; its texts stay in the model, as strangers."""
        key.reigns = [
            number
            for number in key.reigns
            if (ends_at := key.versions[number].ends_at) is None or self.now < ends_at + MONTH
        ]

    @rule(data=st.data())
    def promote(self, data: st.DataObject) -> None:
        key = self.one(data)
        if self.attempt(key, self.unless_rotating(key), self.bed.issuer.promote):
            for number in key.standing(self.now):
                if number != key.reigns[-1]:
                    key.versions[number].end(self.now, None)

    @rule(data=st.data())
    def abort(self, data: st.DataObject) -> None:
        key = self.one(data)
        if self.attempt(key, self.unless_rotating(key), self.bed.issuer.abort):
            newest = key.standing(self.now)[-1]
            key.versions[newest].end(self.now, "aborted")
            key.reigns.remove(newest)
            key.crown([number for number in key.reigns if key.versions[number].live(self.now)][-1])

    def unless_rotating(self, key: Model) -> str | None:
        if key.status == "revoked":
            return "key_revoked"
        return None if len(key.standing(self.now)) > 1 else "no_rotation"

    @rule(data=st.data())
    def undo(self, data: st.DataObject) -> None:
        key = self.one(data)
        primary = key.reigns[-1]
        before = [number for number in key.reigns if number < primary]
        code = None
        if key.status == "revoked":
            code = "key_revoked"
        elif len(key.standing(self.now)) > 1:
            code = "rotation_active"
        elif not before:
            code = "no_rotation"
        else:
            last = key.versions[before[-1]]
            assert last.ends_at is not None
            code = "undo_expired" if last.dead or self.now >= last.ends_at + DAY else None
        if self.attempt(key, code, self.bed.issuer.undo):
            ends = [self.now + DAY] + ([key.expires_at] if key.expires_at else [])
            key.versions[primary].ends_at = min(ends)
            key.crown(before[-1])

    @rule(data=st.data())
    def disable(self, data: st.DataObject) -> None:
        key = self.one(data)
        expected = "key_revoked" if key.status == "revoked" else None
        if self.attempt(key, expected, self.bed.issuer.disable):
            key.status = "disabled"

    @rule(data=st.data())
    def enable(self, data: st.DataObject) -> None:
        key = self.one(data)
        expected = "key_revoked" if key.status == "revoked" else None
        if self.attempt(key, expected, self.bed.issuer.enable):
            key.status = "active"

    @precondition(lambda self: len(self.keys) > 1)
    @rule(data=st.data())
    def revoke(self, data: st.DataObject) -> None:
        key = self.one(data)
        self.attempt(key, None, self.bed.issuer.revoke)
        key.status = "revoked"

    @rule(data=st.data())
    def give_up(self, data: st.DataObject) -> None:
        key = self.one(data)
        number = data.draw(st.sampled_from(sorted(key.versions)))
        if self.bed.verdict(key.versions[number].text) != "ok":
            return
        self.bed.issuer.give_up(by=self.bed.authority(key.versions[number].text))
        if number == key.reigns[-1]:
            key.status = "revoked"
        else:
            key.versions[number].end(self.now, "destroyed")

    @rule()
    def another_process_opens_the_store(self) -> None:
        if self.store == "memory":
            return
        with Verifier.open(self.bed.stores.url, peppers=PEPPERS, clock=self.bed.clock) as other:
            self.compare(Bed(other, self.bed.clock, self.bed.folder))

    @invariant()
    def every_text_is_worth_what_the_model_says(self) -> None:
        self.compare(self.bed)

    def compare(self, bed: Bed) -> None:
        for key in self.keys:
            for number, version in key.versions.items():
                for wanted in ("a:read", "b:write"):
                    assert bed.verdict(version.text, wanted) == key.verdict(number, wanted, self.now)


class KeyLivesOnSqlite(KeyLives):
    store = "sqlite"


TestKeyLives = KeyLives.TestCase
TestKeyLives.settings = settings(settings.default, max_examples=60, stateful_step_count=40)
TestKeyLivesOnSqlite = KeyLivesOnSqlite.TestCase
TestKeyLivesOnSqlite.settings = settings(settings.default, max_examples=12, stateful_step_count=30)


@pytest.mark.parametrize("store", ["memory", "sqlite"])
def test_numbers_are_never_given_twice_even_to_secrets_that_were_forgotten(store: str) -> None:
    with opened(store) as bed:
        minted, _ = bed.mint("a:b")
        numbers = [1]
        for _ in range(4):
            bed.issuer.rotate(minted.key.id, by=OPERATOR)
            bed.issuer.abort(minted.key.id, by=OPERATOR)
            bed.passes(days=31)
            rotated = bed.issuer.rotate(minted.key.id, by=OPERATOR).key
            numbers.append(max(version.number for version in rotated.versions))
            bed.passes(days=31)
        assert numbers == [1, 3, 5, 7, 9]
