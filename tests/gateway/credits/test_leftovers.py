"""What users have in a group ends with the group, and with its tenant; nobody finds it under its name."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from credits_bed import GROUP, OWN_KEY, SECRET, Credits, group
from engine_bed import OPERATOR, Bed, opened

from keyrack.core.sealed import SealedSecret
from keyrack.gateway.admin.leftovers import PAGE, Leftovers
from keyrack.gateway.admin.tidying import tidy
from keyrack.stores.protocols import Kind, Listing
from keyrack.stores.sealing import open_secret
from keyrack.tenancy import Tenants

ORIGINS = ["https://api.example"]
"""Users' own keys are for these alone."""


@pytest.fixture
def desk() -> Iterator[Credits]:
    with opened() as bed:
        made = Credits(bed)
        made.upstreams.update(GROUP, {"api_key": SECRET, "api_key_origins": ORIGINS}, by=OPERATOR)
        yield made


def give(desk: Credits, owner: str, *, name: str = GROUP, tenant: str = "default") -> None:
    """A balance with a key of the user's own."""
    given = {"tier_name": "free", "user_api_key": OWN_KEY}
    desk.desk.amend(owner, name, given, by=OPERATOR, tenant=tenant)


def owners(bed: Bed, tenant: str = "default") -> list[tuple[str, str]]:
    """Who has a balance in which group."""
    assert bed.stores.balances is not None
    found = bed.stores.balances.find(tenant, most=10 * PAGE)
    return [(one.account.owner, one.account.group) for _, one in found]


def kept(bed: Bed, tenant: str = "default") -> list[SealedSecret]:
    """The secrets of a tenant that can still be opened, whatever they are for."""
    records = bed.stores.keys.records(Listing(Kind.SECRET, most=1000, tenant=tenant))
    secrets = [open_secret(record, bed.stores.peppers) for record in records]
    return [one for one in secrets if one.ciphertext is not None]


def test_a_deleted_group_leaves_neither_balances_nor_keys(desk: Credits) -> None:
    desk.upstreams.create(group("images", api_key_origins=ORIGINS), by=OPERATOR)
    for owner, name in (("ada", GROUP), ("ada", "images"), ("eve", GROUP)):
        give(desk, owner, name=name)
    desk.upstreams.delete(GROUP, by=OPERATOR)
    assert owners(desk.bed) == [("ada", "images")]
    assert {str(one.facts.get("group", one.name)) for one in kept(desk.bed)} == {"images"}


def test_whoever_takes_the_name_begins_with_nothing(desk: Credits) -> None:
    give(desk, "ada")
    desk.upstreams.delete(GROUP, by=OPERATOR)
    # As if its balance had been changed by somebody who saw the group just before.
    desk.given("ada", user_key=1)
    desk.upstreams.create(group(api_key_origins=ORIGINS), by=OPERATOR)
    assert owners(desk.bed) == []
    assert desk.desk.of("ada", by=OPERATOR) == []


def test_more_than_one_page_is_cleared(desk: Credits) -> None:
    for number in range(PAGE + 1):
        desk.given(f"user-{number}")
    desk.upstreams.delete(GROUP, by=OPERATOR)
    assert owners(desk.bed) == []


def test_what_could_not_be_removed_then_is_removed_in_the_background(desk: Credits) -> None:
    desk.upstreams.delete(GROUP, by=OPERATOR)
    desk.given("ada")
    Leftovers(desk.bed.stores, desk.bed.verifier.follower).clear()
    assert owners(desk.bed) == []


def test_a_group_that_stands_keeps_its_balances(desk: Credits) -> None:
    desk.upstreams.delete(GROUP, by=OPERATOR)
    late = Leftovers(desk.bed.stores, desk.bed.verifier.follower)
    deleted = desk.bed.verifier.follower.replica.upstreams[f"default/{GROUP}"]
    desk.upstreams.create(group(api_key_origins=ORIGINS), by=OPERATOR)
    give(desk, "ada")
    desk.bed.verifier.follower.replica.upstreams[deleted.id] = deleted
    late.clear()
    assert owners(desk.bed) == [("ada", GROUP)]
    assert len(kept(desk.bed)) == 2


def test_a_deleted_tenant_leaves_no_secret_of_its_groups(desk: Credits) -> None:
    bed = desk.bed
    tenants = Tenants(bed.stores, spread=bed.verifier.spread)
    tenants.create("acme", by=OPERATOR)
    desk.upstreams.create(group(api_key_origins=ORIGINS), by=OPERATOR, tenant="acme")
    give(desk, "ada", tenant="acme")
    assert len(kept(bed, "acme")) == 2
    tenants.delete("acme", by=OPERATOR)
    now, replica = datetime.fromtimestamp(bed.clock(), UTC), bed.verifier.follower.replica
    assert (tidy(bed.stores, replica, now), tidy(bed.stores, replica, now)) == (1, 0)
    bed.verifier.follower.poll()
    assert tidy(bed.stores, replica, now) == 0
    Leftovers(bed.stores, bed.verifier.follower).clear()
    assert kept(bed, "acme") == []
    assert owners(bed, "acme") == []
    assert len(kept(bed)) == 1
