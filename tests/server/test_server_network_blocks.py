"""`/v1/network-blocks` over HTTP: what it refuses, from when, until when, and who may say so."""

from __future__ import annotations

from typing import Any

import pytest
from engine_bed import opened
from server_bed import House, problem

from keyrack import Authority
from keyrack.core.errors import Conflict
from keyrack.network_blocks import MAX_BLOCKS, NetworkBlocks
from keyrack.presenting import block_json
from keyrack.server.views import BlockView

PATH = "/v1/network-blocks"
NETWORK = "203.0.113.0/24"
INSIDE, OUTSIDE = "203.0.113.9", "198.51.100.1"


def blocked(house: House, cidr: str = NETWORK, *, tenant: str | None = None, **more: Any) -> dict[str, Any]:
    of = {"tenant": tenant} if tenant else {}
    answer = house.root("POST", PATH, {"cidr": cidr, **more}, params=of)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


@pytest.mark.spec("UG-29")
def test_a_block_refuses_the_keys_of_its_tenant_from_that_network_and_no_others(house: House) -> None:
    house.root("POST", "/v1/tenants", {"id": "acme"})
    ours, theirs = house.root.mint("a:b"), house.root.mint("a:b", tenant="acme")
    made = blocked(house, reason="leaked key")
    assert (made["cidr"], made["reason"], made["expires_at"]) == (NETWORK, "leaked key", None)
    refused = house.root.verify(ours["secret"], ip=INSIDE)
    assert (refused["valid"], refused["code"], refused["reason"]) == (False, "ip_denied", "network")
    assert house.root.verify(ours["secret"], ip=OUTSIDE)["valid"] is True
    assert house.root.verify(ours["secret"])["valid"] is True
    assert house.root.verify(theirs["secret"], ip=INSIDE)["valid"] is True


@pytest.mark.spec("UG-29")
def test_what_comes_from_a_blocked_network_is_403_after_its_key_was_proved(house: House) -> None:
    blocked(house)
    assert problem(house.caller(house.root_key, peer=INSIDE)("GET", "/v1/me")) == (403, "ip_denied")
    assert problem(house.caller("kr_live_nobody", peer=INSIDE)("GET", "/v1/me"))[0] == 401
    assert house.caller(house.root_key, peer=OUTSIDE)("GET", "/v1/me").status_code == 200


@pytest.mark.spec("UG-29")
def test_a_block_ends_when_it_is_lifted_or_expires(house: House) -> None:
    key = house.root.mint("a:b")["secret"]
    lifted, expiring = blocked(house), blocked(house, "2001:db8::/32", expires_at=house.at(60))
    ips = (INSIDE, "2001:db8::9")
    assert [house.root.verify(key, ip=ip)["code"] for ip in ips] == ["ip_denied"] * 2
    gone = house.root("DELETE", f"{PATH}/{lifted['id']}")
    assert (gone.status_code, gone.content) == (204, b"")
    assert [house.root.verify(key, ip=ip)["code"] for ip in ips] == ["ok", "ip_denied"]
    assert house.root("GET", PATH).json() == {"data": [expiring], "next_cursor": None}
    house.clock.advance(60)
    house.verifier.follower.poll()
    assert house.root.verify(key, ip=ips[1])["code"] == "ok"
    assert house.root("GET", PATH).json()["data"] == []
    assert problem(house.root("DELETE", f"{PATH}/{expiring['id']}")) == (404, "not_found")


def test_a_key_that_has_networks_of_its_own_is_refused_from_those_that_its_tenant_blocks(
    house: House,
) -> None:
    key = house.root.mint("a:b", networks=["203.0.0.0/16"])["secret"]
    blocked(house)
    assert [house.root.verify(key, ip=ip)["code"] for ip in (INSIDE, "203.0.1.1")] == ["ip_denied", "ok"]


@pytest.mark.parametrize(
    ("wish", "field"),
    [
        ({}, "cidr"),
        ({"cidr": "203.0.113.1/24"}, "cidr"),
        ({"cidr": "everybody"}, "cidr"),
        ({"cidr": NETWORK, "reason": ""}, "reason"),
        ({"cidr": NETWORK, "expires_at": "2020-01-01T00:00:00Z"}, "expires_at"),
        ({"cidr": NETWORK, "expires_at": "2090-01-01T00:00:00"}, "expires_at"),
        ({"cidr": NETWORK, "comment": "x"}, "comment"),
    ],
)
def test_a_block_outside_its_rules_is_refused_by_its_field(house: House, wish: Any, field: str) -> None:
    before = house.head()
    answer = house.root("POST", PATH, wish)
    assert problem(answer) == (422, "validation_error")
    assert field in answer.json()["details"]["fields"]
    assert house.head() == before


def test_holders_of_blocks_manage_reach_their_own_tenant_alone(house: House) -> None:
    house.root("POST", "/v1/tenants", {"id": "acme"})
    theirs = blocked(house, tenant="acme")
    guard = house.holder("blocks:manage")
    own = guard("POST", PATH, {"cidr": NETWORK}).json()
    assert [one["id"] for one in guard("GET", PATH).json()["data"]] == [own["id"]]
    for answer in (
        guard("POST", PATH, {"cidr": NETWORK}, params={"tenant": "acme"}),
        guard("GET", PATH, params={"tenant": "acme"}),
        guard("DELETE", f"{PATH}/{theirs['id']}", params={"tenant": "acme"}),
    ):
        assert problem(answer) == (403, "insufficient_scope")
        assert answer.json()["details"] == {"not_held": ["tenants:manage"]}
    assert problem(guard("DELETE", f"{PATH}/{theirs['id']}")) == (404, "not_found")
    assert house.root("GET", PATH, params={"tenant": "acme"}).json()["data"] == [theirs]
    assert guard("DELETE", f"{PATH}/{own['id']}").status_code == 204


@pytest.mark.parametrize(("method", "path"), [("POST", ""), ("GET", ""), ("DELETE", "/0123456789abcdef")])
def test_nobody_else_blocks_or_looks(house: House, method: str, path: str) -> None:
    answer = house.holder("keys:manage", "tenants:manage")(
        method, PATH + path, {} if method == "POST" else None
    )
    assert problem(answer) == (403, "insufficient_scope")
    assert answer.json()["details"]["missing_scopes"] == ["blocks:manage"]
    assert problem(house.caller()(method, PATH + path)) == (401, "missing_credentials")


def test_a_tenant_that_there_is_not_has_no_blocks(house: House) -> None:
    assert problem(house.root("GET", PATH, params={"tenant": "nobody"})) == (404, "not_found")
    assert problem(house.root("POST", PATH, {"cidr": NETWORK}, params={"tenant": "nobody"})) == (
        404,
        "not_found",
    )


def test_each_change_leaves_its_event(house: House) -> None:
    made = blocked(house, reason="scan", expires_at="2090-01-01T00:00:00Z")
    house.root("DELETE", f"{PATH}/{made['id']}")
    events = house.root("GET", "/v1/events", params={"subject": "default"}).json()["data"][-2:]
    assert [(event["kind"], event["tenant"], event["actor"]) for event in events] == [
        ("tenant.network_blocked", "default", f"key:{house.root_id}"),
        ("tenant.network_unblocked", "default", f"key:{house.root_id}"),
    ]
    assert events[0]["data"] == {name: made[name] for name in ("id", "cidr", "reason", "expires_at")}
    assert events[1]["data"] == {"id": made["id"], "cidr": NETWORK}


def test_an_export_tells_of_the_blocks(house: House) -> None:
    made = blocked(house)
    assert (
        f'{{"kind": "block", "block": {{"id": "{made["id"]}"'
        in house.root("GET", "/v1/tenants/default/export").text
    )


def test_views_show_what_blocks_have(house: House) -> None:
    blocks = NetworkBlocks(house.verifier.stores)
    assert set(block_json(blocks.add(NETWORK, by=house.operator))) == set(BlockView.model_fields)


def test_a_tenant_has_so_many_blocks_and_those_that_expired_make_room() -> None:
    by = Authority.operator("tests")
    with opened() as bed:
        blocks = NetworkBlocks(bed.stores)
        until = bed.at.replace(year=bed.at.year + 1)
        for number in range(MAX_BLOCKS):
            blocks.add(f"203.0.113.{number}/32", by=by, expires_at=until)
        with pytest.raises(Conflict) as refused:
            blocks.add(NETWORK, by=by)
        assert refused.value.code == "too_many_blocks"
        bed.passes(days=400)
        bed.verifier.follower.poll()
        made = blocks.add(NETWORK, by=by)
        assert blocks.all(by=by) == (made,)
