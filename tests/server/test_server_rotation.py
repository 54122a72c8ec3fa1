"""Keys get new secrets over HTTP: whose hands may do it, what goes on for how long, and who comes late."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from server_bed import Caller, House, problem

HOUR, DAY = 3600, 86_400


def rotated(caller: Caller, key_id: str, json: Any = None, change: str = "") -> httpx.Response:
    return caller("POST", f"/v1/keys/{key_id}/rotation{change}", json)


def codes(house: House, *texts: str) -> list[str]:
    return [house.root.verify(text)["code"] for text in texts]


def passes(house: House, seconds: float) -> None:
    house.clock.advance(seconds)
    house.verifier.follower.poll()


@pytest.mark.spec("UG-25")
def test_a_new_secret_comes_under_the_same_key_and_both_work_until_grace_is_over(house: House) -> None:
    limits = [{"name": "minute", "limit": 100, "window_seconds": 60}]
    key = house.root.mint("a:b", name="ci", limits=limits)
    fresh = rotated(house.root, key["id"], {"grace_seconds": HOUR}).json()
    same = ("id", "name", "scopes", "limits", "created_at", "created_by")
    assert {name: fresh["key"][name] for name in same} == {name: key[name] for name in same}
    assert fresh["secret"] not in house.root("GET", f"/v1/keys/{key['id']}").text
    texts = (key["secret"], fresh["secret"])
    assert codes(house, *texts) == ["ok", "ok"]
    passes(house, HOUR - 1)
    assert codes(house, *texts) == ["ok", "ok"]
    passes(house, 1)
    assert codes(house, *texts) == ["secret_retired", "ok"]


@pytest.mark.spec("UG-25")
def test_a_compromised_key_keeps_its_new_secret_alone_and_nothing_brings_another_back(house: House) -> None:
    key = house.root.mint("a:b")
    retired = rotated(house.root, key["id"]).json()["secret"]
    rotated(house.root, key["id"], {}, "/promote")
    live = rotated(house.root, key["id"]).json()["secret"]
    fresh = rotated(house.root, key["id"], {"grace_seconds": 0, "compromised": True, "force": True}).json()
    assert codes(house, key["secret"], retired, live, fresh["secret"]) == ["secret_retired"] * 3 + ["ok"]
    states = [version["state"] for version in fresh["key"]["versions"]]
    assert states == ["destroyed", "destroyed", "destroyed", "live"]
    assert problem(rotated(house.root, key["id"], {}, "/abort")) == (409, "no_rotation")
    assert problem(rotated(house.root, key["id"], {}, "/undo")) == (409, "undo_expired")
    passes(house, 30 * DAY)
    assert codes(house, key["secret"], fresh["secret"]) == ["invalid_credentials", "ok"]


@pytest.mark.parametrize("grace", [0, HOUR - 1, 7 * DAY + 1, -1, 1.5, "3600"])
def test_a_grace_outside_of_an_hour_to_a_week_is_refused(house: House, grace: Any) -> None:
    key = house.root.mint("a:b")
    assert problem(rotated(house.root, key["id"], {"grace_seconds": grace})) == (422, "validation_error")
    assert house.root("GET", f"/v1/keys/{key['id']}").json()["rotation"] == "none"


@pytest.mark.spec("UG-27")
def test_a_key_that_may_rotate_itself_does_so_and_is_no_wider_afterwards(house: House) -> None:
    ends_at = house.at(2 * HOUR)
    key = house.root.mint("self:rotate", "a:b", expires_at=ends_at, networks=["127.0.0.0/8"])
    own = house.caller(key["secret"])
    answer = rotated(own, key["id"])
    assert answer.status_code == 201
    fresh = answer.json()["key"]
    same = ("scopes", "limits", "networks", "expires_at", "owner", "tenant", "credits")
    assert {name: fresh[name] for name in same} == {name: key[name] for name in same}
    assert fresh["versions"][0]["not_after"] == ends_at
    newest = house.caller(answer.json()["secret"])
    assert newest("GET", f"/v1/keys/{key['id']}/rotation").json()["rotation"] == "active"
    assert problem(rotated(newest, key["id"])) == (409, "rotation_active")


@pytest.mark.spec("UG-27")
def test_it_may_do_nothing_else_to_itself_and_nothing_to_others(house: House) -> None:
    key, other = house.root.mint("self:rotate"), house.root.mint("self:rotate")
    own = house.caller(key["secret"])
    for exceptional in ({"force": True}, {"grace_seconds": 0, "compromised": True}):
        answer = rotated(own, key["id"], exceptional)
        assert problem(answer) == (403, "insufficient_scope")
        assert answer.json()["details"] == {"not_held": ["keys:manage"]}
    rotated(own, key["id"])
    for change in ("/promote", "/abort", "/undo"):
        assert problem(rotated(own, key["id"], {}, change)) == (403, "insufficient_scope")
    assert problem(rotated(own, other["id"])) == (403, "insufficient_scope")
    assert problem(own("GET", f"/v1/keys/{other['id']}/rotation")) == (403, "insufficient_scope")
    assert problem(own("GET", "/v1/keys")) == (403, "insufficient_scope")
    assert problem(own("PATCH", f"/v1/keys/{key['id']}", {"name": "x"})) == (403, "insufficient_scope")


@pytest.mark.spec("UG-27")
@pytest.mark.parametrize("scopes", [("self:rotate",), ("*:*",)])
def test_a_secret_with_an_end_changes_nothing_of_its_key_and_gives_up_itself_alone(
    house: House, scopes: tuple[str, ...]
) -> None:
    key = house.root.mint(*scopes)
    fresh = rotated(house.root, key["id"]).json()["secret"]
    old = house.caller(key["secret"])
    answer = rotated(old, key["id"], None if scopes == ("self:rotate",) else {"force": True})
    assert problem(answer) == (403, "secret_dated")
    assert old("POST", "/v1/me/revoke").status_code == 200
    assert codes(house, key["secret"], fresh) == ["secret_retired", "ok"]


def test_a_key_without_the_scope_does_not_rotate_itself(house: House) -> None:
    key = house.root.mint("a:b")
    answer = rotated(house.caller(key["secret"]), key["id"])
    assert problem(answer) == (403, "insufficient_scope")
    assert answer.json()["details"]["missing_scopes"] == ["keys:manage"]


@pytest.mark.spec("UG-28")
def test_whoever_comes_late_with_a_retired_secret_is_told_so_and_recognised_for_a_month(house: House) -> None:
    key = house.root.mint("a:b")
    rotated(house.root, key["id"], {"grace_seconds": HOUR})
    passes(house, HOUR)
    answer = house.caller(key["secret"], peer="192.0.2.7")("GET", "/v1/me")
    assert problem(answer) == (401, "secret_retired")
    house.flush()
    [denial] = house.root("GET", "/v1/denials").json()["data"]
    assert (denial["reason"], denial["key_id"], denial["address"]) == ("retired", key["id"], "192.0.2.7")
    passes(house, 30 * DAY - 1)
    assert codes(house, key["secret"]) == ["secret_retired"]
    passes(house, 1)
    assert codes(house, key["secret"]) == ["invalid_credentials"]


@pytest.mark.spec("UG-26")
def test_the_key_shows_who_uses_which_of_its_secrets_and_from_where(house: House) -> None:
    key = house.root.mint("a:b")
    fresh = rotated(house.root, key["id"]).json()["secret"]
    for peer in ("192.0.2.1", "192.0.2.2", "192.0.2.1"):
        assert house.caller(key["secret"], peer=peer)("GET", "/v1/me").status_code == 200
        passes(house, 10)
    for ip in ("2001:db8:1:2::1", "2001:db8:1:2::99"):
        house.root.verify(fresh, ip=ip)
    house.flush()
    old, new = house.root("GET", f"/v1/keys/{key['id']}/rotation").json()["versions"]
    assert (old["uses"], old["last_used_at"]) == (3, house.at(-10))
    assert old["addresses"] == [
        {"address": "192.0.2.1", "last_used_at": house.at(-10)},
        {"address": "192.0.2.2", "last_used_at": house.at(-20)},
    ]
    assert new["addresses"] == [{"address": "2001:db8:1:2::/64", "last_used_at": house.at(0)}]
    passes(house, 30 * DAY)
    assert [one["addresses"] for one in house.root("GET", f"/v1/keys/{key['id']}").json()["versions"]] == [
        [],
        [],
    ]
