"""What users have is copied with the store that it is kept in."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest
from session_bed import ONE

from keyrack import Authority, open_stores
from keyrack.admin.founding import found
from keyrack.admin.moving import copy, move
from keyrack.core.errors import Conflict
from keyrack.core.upstream import Tier
from keyrack.gateway.admin.upstreams import Upstreams
from keyrack.stores.balances import Account, Amendment, Balance, Balances
from keyrack.stores.opened import Stores
from keyrack.vault.secrets import Vault

ADA = Authority.operator("ada")
PEPPERS = "p1:aB3dE5gH7jK9mN1pQ3rS5tU7vW9xY1zA"
TIER = {
    "tier_name": "free",
    "credits": 10,
    "input_limit": None,
    "output_limit": None,
    "reset_frequency": "daily",
}
GROUP = {
    "api_credit_group": "models",
    "api_key": "an-upstream-key-of-theirs",
    "api_key_header": "x-api-key",
    "credit_tiers": [TIER],
}


def kept(stores: Stores) -> Balances:
    assert stores.balances is not None
    return stores.balances


def everyones(stores: Stores) -> list[Balance]:
    return [balance for _, balance in kept(stores).find("default", most=100)]


@pytest.fixture
def tiers() -> list[Tier]:
    return []


@pytest.fixture
def source(tmp_path: Path, tiers: list[Tier]) -> Iterator[Stores]:
    with closing(open_stores(f"sqlite:///{tmp_path}/from.db", peppers=PEPPERS, create=True)) as stores:
        found(stores)
        tiers += Upstreams(stores, Vault(ONE)).create(GROUP, by=ADA).tiers
        for number in range(3):
            stated = Amendment("free", number, 4e9 + number, number, 10 * number, 20 * number)
            kept(stores).amend(Account("default", f"user-{number}", "models"), stated, tiers, stores.clock())
        yield stores


@pytest.fixture(params=["memory", "sqlite"])
def target(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stores]:
    url = "memory:" if request.param == "memory" else f"sqlite:///{tmp_path}/to.db"
    with closing(open_stores(url, peppers=PEPPERS, create=True)) as stores:
        yield stores


def test_balances_arrive_as_they_are(source: Stores, target: Stores) -> None:
    copy(source, target, by=ADA)
    assert everyones(target) == everyones(source)
    assert everyones(target)[2] == Balance(
        Account("default", "user-2", "models"), "free", 2, 4e9 + 2, 20, 40, 2
    )


def test_a_copy_that_is_repeated_brings_them_to_where_they_are_now(
    source: Stores, target: Stores, tiers: list[Tier]
) -> None:
    copy(source, target, by=ADA)
    first, second = (Account("default", f"user-{number}", "models") for number in (0, 1))
    kept(source).remove(first)
    kept(source).amend(second, Amendment(available=0), tiers, source.clock())
    copy(source, target, by=ADA)
    assert everyones(target) == everyones(source)


def test_a_place_that_both_share_is_left_alone(source: Stores, target: Stores) -> None:
    copy(source, target, by=ADA, with_balances=False)
    assert everyones(target) == []


@pytest.mark.parametrize("bring", [copy, partial(move, spread=lambda number, wait: None)])
def test_a_store_that_keeps_no_credits_takes_nothing(
    source: Stores, tmp_path: Path, bring: Callable[..., object]
) -> None:
    (tmp_path / "to").mkdir()
    url, before = f"file://{tmp_path}/to", source.keys.last()
    with closing(open_stores(url, peppers=PEPPERS, create=True)) as target:
        with pytest.raises(Conflict) as refused:
            bring(source, target, by=ADA)
        assert refused.value.code == "unsupported_store"
        assert target.keys.last() is None
    assert source.keys.last() == before
