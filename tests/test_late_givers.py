"""A request can come to its commit long after its key was proved: what counts is the key as it is then."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from engine_bed import OPERATOR, Bed, opened

from keyrack import Authority, Policy, Wish
from keyrack.core.errors import NotHeld
from keyrack.network_blocks import NetworkBlocks

HERE = "192.0.2.7"
End = Callable[[Bed, str], object]
Act = Callable[[Bed, str, Authority], object]

ENDS: dict[str, End] = {
    "revoked": lambda bed, giver: bed.issuer.revoke(giver, by=OPERATOR),
    "disabled": lambda bed, giver: bed.issuer.disable(giver, by=OPERATOR),
    "narrowed": lambda bed, giver: bed.issuer.update(giver, {"scopes": ["a:b"]}, by=OPERATOR),
    "suspended with its tenant": lambda bed, giver: bed.tenants.suspend("acme", "workspace", by=OPERATOR),
    "given a role": lambda bed, giver: bed.issuer.update(giver, {"role": "reader"}, by=OPERATOR),
    "held to other networks": lambda bed, giver: bed.issuer.update(
        giver, {"networks": ["203.0.113.0/24"]}, by=OPERATOR
    ),
    "blocked where it is": lambda bed, giver: NetworkBlocks(bed.stores).add(
        "192.0.2.0/24", by=OPERATOR, tenant="acme"
    ),
    "ended with its tenant": lambda bed, giver: bed.tenants.delete("acme", by=OPERATOR),
}
ACTS: dict[str, Act] = {
    "mint": lambda bed, key, by: bed.issuer.mint(Wish(name="late", scopes=["a:b"]), by=by),
    "update": lambda bed, key, by: bed.issuer.update(key, {"name": "late"}, by=by),
    "rotate": lambda bed, key, by: bed.issuer.rotate(key, by=by),
    "enable": lambda bed, key, by: bed.issuer.enable(key, by=by),
    "disable": lambda bed, key, by: bed.issuer.disable(key, by=by),
    "revoke": lambda bed, key, by: bed.issuer.revoke(key, by=by),
    "abort": lambda bed, key, by: bed.issuer.abort(key, by=by),
}


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("act", ACTS)
def test_a_giver_that_ended_since_it_was_proved_changes_nothing(act: str, end: str) -> None:
    with opened(policy=Policy(roles={"reader": ("*:read",)})) as bed:
        bed.tenants.create("acme", by=OPERATOR)
        _, text = bed.mint("keys:manage", "a:b", tenant="acme")
        minted, _ = bed.mint("a:b", tenant="acme")
        bed.issuer.rotate(minted.key.id, by=OPERATOR)
        giver = replace(bed.authority(text), address=HERE)
        assert giver.key is not None
        ENDS[end](bed, giver.key.id)
        before = bed.issuer.get(minted.key.id, by=OPERATOR)
        with pytest.raises(NotHeld):
            ACTS[act](bed, minted.key.id, giver)
        assert bed.issuer.get(minted.key.id, by=OPERATOR) == before


def test_a_key_of_another_owner_is_not_taken_over_by_renaming_its_owner() -> None:
    with opened() as bed:
        _, ann = bed.mint("keys:manage", "a:b", owner="ann")
        bobs, _ = bed.mint("a:b", owner="bob")
        with pytest.raises(NotHeld) as refused:
            bed.issuer.update(bobs.key.id, {"owner": "ann"}, by=bed.authority(ann))
        assert refused.value.details == {"not_held": ["owners:assign"]}
        assert bed.issuer.get(bobs.key.id, by=OPERATOR).owner == "bob"


@pytest.mark.parametrize("address", [HERE, None])
def test_a_giver_that_may_still_come_from_where_it_is_changes_things(address: str | None) -> None:
    with opened() as bed:
        _, text = bed.mint("keys:manage", "a:b")
        giver = replace(bed.authority(text), address=address)
        assert giver.key is not None
        bed.issuer.update(giver.key.id, {"networks": ["192.0.2.0/24"]}, by=OPERATOR)
        NetworkBlocks(bed.stores).add("203.0.113.0/24", by=OPERATOR)
        wish = Wish(name="late", scopes=["a:b"], networks=["192.0.2.7"])
        assert bed.issuer.mint(wish, by=giver).key.name == "late"


def test_a_giver_whose_address_is_none_changes_nothing() -> None:
    with opened() as bed:
        _, text = bed.mint("keys:manage", "a:b")
        with pytest.raises(NotHeld):
            bed.issuer.mint(
                Wish(name="late", scopes=["a:b"]), by=replace(bed.authority(text), address="here")
            )
