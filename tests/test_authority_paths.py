"""Authority never widens: holders do whatever they like, and no path gives any key more than they have.

What a key is worth is measured from outside, by what it passes, and not by the rules of the issuer.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from ipaddress import ip_address
from typing import Any

from engine_bed import OPERATOR, Bed, opened
from hypothesis import event, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from keyrack import Access, Allowed, Authority, Policy, Wish
from keyrack.core.errors import KeyrackError, SecretDated
from keyrack.core.model import Key, Limit
from keyrack.core.scopes import covers
from keyrack.key_changes import Minted
from keyrack.stores.counters import MemoryCounters, Spend

POLICY = Policy(
    prefixes=("kr", "ci"),
    roles={"reader": ("*:read", "keys:manage")},
    limits=(Limit("m", 4, 10),),
)
EVERYWHERE = Access(environments=("live", "test"), prefixes=("kr", "ci"))
ROUTES = [f"{path}:{action}" for path in ("a", "b", "a/b") for action in ("read", "write")]
ROUTES += ["keys:manage", "owners:assign", "tenants:manage", "environments:assign", "limits:assign"]
PLACES = [ip_address(text) for text in ("10.0.0.1", "10.1.0.1", "192.0.2.7", "2001:db8::1", "2001:db9::1")]
HOUR = timedelta(hours=1)

scope_lists = st.lists(
    st.sampled_from(
        ["a:read", "a:*", "*:read", "a/*:read", "keys:manage", "owners:assign", "tenants:manage"]
    ),
    max_size=3,
)
some_fields: dict[str, st.SearchStrategy[Any]] = {
    "scopes": scope_lists,
    "owner": st.sampled_from(["ann", "bob", None]),
    "role": st.sampled_from([None, "reader"]),
    "networks": st.sampled_from(
        [[], ["10.0.0.0/8"], ["10.0.0.0/16"], ["0.0.0.0/0", "::/0"], ["2001:db8::/32"]]
    ),
    "limits": st.sampled_from(
        [[], [Limit("m", 5, 10)], [Limit("m", 2, 5)], [Limit("n", 9, 2)], [Limit("m", 1, 1)]]
    ),
}
changes = st.fixed_dictionaries({}, optional=some_fields | {"hours": st.sampled_from([None, 1, 2, 50])})
places = st.fixed_dictionaries(
    {},
    optional={
        "tenant": st.sampled_from(["default", "acme"]),
        "environment": st.sampled_from(["live", "test"]),
        "prefix": st.sampled_from(["kr", "ci"]),
    },
)


@dataclass(frozen=True)
class Worth:
    """What a key passes: measured, route by route, place by place, second by second."""

    routes: frozenset[str]
    places: frozenset[str]
    until: datetime
    units: tuple[int, ...]
    """How many requests pass in the first 1, 2, … seconds when they come as fast as they can."""

    def within(self, other: Worth) -> bool:
        return (
            self.routes <= other.routes
            and self.places <= other.places
            and self.until <= other.until
            and all(ours <= theirs for ours, theirs in zip(self.units, other.units, strict=True))
        )


def worth(key: Key, scopes: tuple[str, ...], *, free: bool) -> Worth:
    """Free of the default limits, or held by them where it has none of its own by that name."""
    own = {one.name for one in key.limits}
    limits = [*key.limits, *(one for one in POLICY.limits if one.name not in own and not free)]
    counters, units, passed = MemoryCounters(), [], 0
    for second in range(20):
        while passed < 100 and counters.take([Spend(one.name, one, 1) for one in limits], 1e9 + second).ok:
            passed += 1
        units.append(passed)
    return Worth(
        frozenset(route for route in ROUTES if covers(scopes, route)),
        frozenset(str(one) for one in PLACES if not key.networks or any(one in net for net in key.networks)),
        key.expires_at or datetime.max.replace(tzinfo=key.created_at.tzinfo),
        tuple(units),
    )


class Holders(RuleBasedStateMachine):
    """Everything is done with keys; the operator only makes the first ones and dates their secrets."""

    def __init__(self) -> None:
        super().__init__()
        self.opened = ExitStack()
        self.bed: Bed = self.opened.enter_context(opened(policy=POLICY))
        self.bed.tenants.create("acme", by=OPERATOR)
        self.texts: list[str] = []
        self.managers: list[str] = []
        self.ids: list[str] = []

    def teardown(self) -> None:
        self.opened.close()

    @initialize(fields=changes, where=places)
    def a_manager(self, fields: dict[str, Any], where: dict[str, Any]) -> None:
        self.found({"scopes": ["*:*"]})
        self.found(self.dated(fields) | where | {"scopes": ["keys:manage", "a:*", "a/*:read"]})

    @precondition(lambda self: len(self.ids) < 6)
    @rule(fields=changes, where=places)
    def the_operator_mints(self, fields: dict[str, Any], where: dict[str, Any]) -> None:
        self.found(self.dated(fields) | where)

    @rule(data=st.data())
    def the_operator_disables_or_promotes(self, data: st.DataObject) -> None:
        key_id = data.draw(st.sampled_from(self.ids))
        work = data.draw(st.sampled_from(["disable", "promote"]))
        self.tried(getattr(self.bed.issuer, work), key_id, by=OPERATOR)

    @rule(minutes=st.sampled_from([10, 61]))
    def time_passes(self, minutes: int) -> None:
        self.bed.passes(minutes=minutes)

    @precondition(lambda self: len(self.ids) < 12)
    @rule(data=st.data(), fields=changes, where=places, like=st.booleans())
    def a_holder_mints(
        self, data: st.DataObject, fields: dict[str, Any], where: dict[str, Any], like: bool
    ) -> None:
        by = self.somebody(data)
        if by is None or by.key is None:
            return
        wish = (self.like(by.key) if like else {}) | self.dated(fields) | where
        minted = self.tried(self.bed.issuer.mint, Wish(name="n", **wish), by=by)
        if minted is not None:
            self.granted(by, minted.key, "mint")
            self.keep(minted)

    @rule(data=st.data(), fields=changes, like=st.booleans())
    def a_holder_updates(self, data: st.DataObject, fields: dict[str, Any], like: bool) -> None:
        by = self.somebody(data)
        if by is not None and by.key is not None:
            self.change(data, "update", (self.like(by.key) if like else {}) | self.dated(fields), by=by)

    @rule(data=st.data(), force=st.booleans())
    def a_holder_rotates(self, data: st.DataObject, force: bool) -> None:
        self.change(data, "rotate", force=force)

    @rule(data=st.data())
    def a_holder_enables(self, data: st.DataObject) -> None:
        self.change(data, "enable")

    @rule(data=st.data())
    def a_holder_rotates_and_ends_grace_and_takes_it_back(self, data: st.DataObject) -> None:
        for work in ("rotate", "promote", "undo"):
            self.change(data, work)

    def change(
        self, data: st.DataObject, work: str, *args: Any, by: Authority | None = None, **options: Any
    ) -> None:
        by = by or self.somebody(data)
        if by is None or by.key is None or by.secret is None:
            return
        key_id = data.draw(st.sampled_from(self.ids))
        before = self.bed.issuer.get(key_id, by=OPERATOR)
        dated = {one.number for one in before.versions if one.not_after is not None}
        answer = self.tried(getattr(self.bed.issuer, work), key_id, *args, by=by, **options)
        if answer is None:
            assert self.bed.issuer.get(key_id, by=OPERATOR) == before
            return
        assert not (by.key.id == key_id and by.secret.number in dated)
        self.granted(by, self.bed.issuer.get(key_id, by=OPERATOR), work)
        if work == "rotate":
            self.keep(answer)

    def granted(self, by: Authority, key: Key, work: str) -> None:
        """The key as it is now passes nothing that its giver did not pass a moment ago."""
        event(work)
        giver = by.key
        assert giver is not None
        free = covers(by.scopes, "limits:assign")
        assert worth(key, key.scopes, free=free).within(worth(giver, by.scopes, free=free))
        assert key.tenant == giver.tenant or covers(by.scopes, "tenants:manage")
        assert key.owner == giver.owner or covers(by.scopes, "owners:assign")
        here = (giver.prefix, giver.environment)
        assert (key.prefix, key.environment) == here or covers(by.scopes, "environments:assign")

    def somebody(self, data: st.DataObject) -> Authority | None:
        text = data.draw(st.sampled_from(self.managers) | st.sampled_from(self.texts))
        for place in (None, *PLACES):
            decision = self.bed.verifier.verify(text, replace(EVERYWHERE, address=place))
            if isinstance(decision, Allowed):
                return Authority.of(decision)
        return None

    def found(self, wish: dict[str, Any]) -> None:
        self.keep(self.bed.issuer.mint(Wish(name="n", **wish), by=OPERATOR))

    def keep(self, minted: Minted) -> None:
        self.ids.append(minted.key.id)
        self.texts.append(str(minted.secret))
        if covers(minted.key.scopes, "keys:manage"):
            self.managers.append(str(minted.secret))

    def tried(self, work: Any, *args: Any, **options: Any) -> Any:
        try:
            return work(*args, **options)
        except SecretDated:
            event("secret_dated")
        except KeyrackError as error:
            event(error.code)
        return None

    def dated(self, fields: dict[str, Any]) -> dict[str, Any]:
        fields = dict(fields)
        hours = fields.pop("hours", 0)
        return fields if hours == 0 else fields | {"expires_at": hours and self.bed.at + hours * HOUR}

    def like(self, key: Key) -> dict[str, Any]:
        networks = [str(one) for one in key.networks]
        limits = list(key.limits)
        return {
            "scopes": key.scopes,
            "owner": key.owner,
            "networks": networks,
            "limits": limits,
            "expires_at": key.expires_at,
        }


TestHolders = Holders.TestCase
TestHolders.settings = settings(settings.default, max_examples=80, stateful_step_count=30)
