"""`/v1/credits` over HTTP: groups are made, read in masked form, changed, rotated and deleted."""

from __future__ import annotations

from typing import Any

import pytest
from server.server_bed import House, problem
from upstream_bed import GROUP, HOUR, ORIGIN, PLACE, ROTATION, TIER, group, key, made, rotated

from keyrack.gateway.admin.presenting import UNUSED, api_json, rotation_json, upstream_json, versions_json
from keyrack.server.upstream_views import ApiView, GroupVersionView, GroupView, RotationState, RotationView

READ_FIELDS = {
    "api_credit_group",
    "api_key_header",
    "api_key_format",
    "api_key_present",
    "credit_tiers",
    "created_at",
    "updated_at",
    "rotation",
}
ROTATION_FIELDS = {
    "state",
    "started_at",
    "api_key_rotation_expires",
    "policy",
    "rollout_percent",
    "old_version",
    "new_version",
    "uses_old",
    "uses_new",
    "fallbacks",
    "last_used_old",
    "cleaned_up_at",
}


@pytest.mark.spec("UG-1", "UG-3")
def test_a_group_is_made_looked_at_and_listed_and_its_key_is_never_shown(house: House) -> None:
    wish = group(api_key_origins=["https://api.example", ORIGIN])
    answer = house.root("POST", "/v1/credits", wish)
    assert answer.status_code == 201
    shown = answer.json()
    assert set(shown) >= READ_FIELDS
    assert set(shown["rotation"]) >= ROTATION_FIELDS
    assert (shown["api_key_present"], shown["api_key_hint"]) == (True, "upst…001x")
    assert (shown["api_key_origins"], shown["credit_tiers"]) == ([ORIGIN], [TIER])
    assert answer.headers["etag"] == f'"{shown["revision"]}"'
    looked, listed = house.root("GET", PLACE), house.root("GET", "/v1/credits")
    assert (looked.json(), looked.headers["etag"]) == (shown, answer.headers["etag"])
    assert listed.json() == {"data": [shown], "next_cursor": None}
    for text in (answer.text, looked.text, listed.text):
        assert key(1) not in text


@pytest.mark.spec("UG-3")
@pytest.mark.parametrize(("text", "hint"), [("x" * 23, "…"), ("abcd" + "x" * 16 + "wxyz", "abcd…wxyz")])
def test_a_short_key_is_masked_whole(house: House, text: str, hint: str) -> None:
    assert made(house, api_key=text)["api_key_hint"] == hint


def test_views_have_a_place_for_all_that_is_shown_and_for_nothing_else(house: House) -> None:
    made(house)
    rotated(house)
    house.root("POST", "/v1/apis", {"api_name": "a", "api_version": "v1", "api_servers": [ORIGIN]})
    replica, now = house.verifier.follower.replica, house.verifier.stores.clock()
    upstream, (one,) = replica.upstreams[f"default/{GROUP}"], replica.apis.values()
    at = upstream.created_at.fromtimestamp(now, upstream.created_at.tzinfo)
    assert set(upstream_json(upstream, UNUSED, at)) == set(GroupView.model_fields)
    assert set(upstream_json(upstream, UNUSED, at)["rotation"]) == set(RotationState.model_fields)
    assert set(rotation_json(upstream, UNUSED, at)) == set(RotationView.model_fields)
    assert set(versions_json(upstream, UNUSED, at)[0]) == set(GroupVersionView.model_fields)
    assert set(api_json(one)) == set(ApiView.model_fields)


def test_groups_are_listed_in_pages_in_the_order_in_which_they_were_made(house: House) -> None:
    for name in ("c", "a", "b"):
        made(house, api_credit_group=name)
    house.root("DELETE", "/v1/credits/a")
    made(house, api_credit_group="d")
    first = house.root("GET", "/v1/credits", params={"limit": 2}).json()
    second = house.root("GET", "/v1/credits", params={"limit": 2, "cursor": first["next_cursor"]}).json()
    names = [one["api_credit_group"] for one in first["data"] + second["data"]]
    assert (names, second["next_cursor"]) == (["c", "b", "d"], None)


BAD: list[tuple[dict[str, Any], str]] = [
    ({"api_credit_group": "a b"}, "api_credit_group"),
    ({"api_credit_group": ""}, "api_credit_group"),
    ({"api_credit_group": ".a"}, "api_credit_group"),
    ({"api_credit_group": "a" * 51}, "api_credit_group"),
    ({"api_credit_group": None}, "api_credit_group"),
    ({"api_key": "x" * 15}, "api_key"),
    ({"api_key": "x" * 4097}, "api_key"),
    ({"api_key": "x" * 16 + "\n"}, "api_key"),
    ({"api_key": " " + "x" * 16}, "api_key"),
    ({"api_key": "é" * 16}, "api_key"),
    ({"api_key": None}, "api_key"),
    ({"api_key_header": "x api"}, "api_key_header"),
    ({"api_key_header": "x-api-key:"}, "api_key_header"),
    ({"api_key_header": ""}, "api_key_header"),
    ({"api_key_header": "Host"}, "api_key_header"),
    ({"api_key_header": "X-Keyrack-User"}, "api_key_header"),
    ({"api_key_format": "Bearer"}, "api_key_format"),
    ({"api_key_format": "{key} {key}"}, "api_key_format"),
    ({"api_key_format": "Bearer\n{key}"}, "api_key_format"),
    ({"api_key_origins": []}, "api_key_origins"),
    ({"api_key_origins": ["ftp://a.example:21"]}, "api_key_origins.0"),
    ({"api_key_origins": ["https://a.example/path"]}, "api_key_origins.0"),
    ({"api_key_origins": [ORIGIN, "https://u:p@a.example"]}, "api_key_origins.1"),
    ({"credit_tiers": []}, "credit_tiers"),
    ({"credit_tiers": [TIER, TIER]}, "credit_tiers"),
    ({"credit_tiers": [{**TIER, "tier_name": "x" * 51}]}, "credit_tiers.0.tier_name"),
    ({"credit_tiers": [{**TIER, "tier_name": ""}]}, "credit_tiers.0.tier_name"),
    ({"credit_tiers": [{**TIER, "credits": -1}]}, "credit_tiers.0.credits"),
    ({"credit_tiers": [{**TIER, "credits": 1.5}]}, "credit_tiers.0.credits"),
    ({"credit_tiers": [{**TIER, "credits": None}]}, "credit_tiers.0.credits"),
    ({"credit_tiers": [{**TIER, "input_limit": -1}]}, "credit_tiers.0.input_limit"),
    ({"credit_tiers": [{**TIER, "output_limit": True}]}, "credit_tiers.0.output_limit"),
    ({"credit_tiers": [{**TIER, "reset_frequency": "often"}]}, "credit_tiers.0.reset_frequency"),
    ({"credit_tiers": [{name: TIER[name] for name in list(TIER)[:4]}]}, "credit_tiers.0.reset_frequency"),
    ({"credit_tiers": [{**TIER, "more": 1}]}, "credit_tiers.0.more"),
    ({"api_key_new": "short", "api_key_rotation_expires": "2100-01-01T00:00:00Z"}, "api_key_new"),
    ({"color": "red"}, "color"),
]


@pytest.mark.spec("UG-2")
@pytest.mark.parametrize(("given", "field"), BAD, ids=lambda value: str(value)[:50])
def test_a_field_outside_its_rule_is_refused_by_its_name(
    house: House, given: dict[str, Any], field: str
) -> None:
    before = house.head()
    answer = house.root("POST", "/v1/credits", group(**given))
    assert problem(answer) == (422, "validation_error")
    assert field in answer.json()["details"]["fields"]
    assert house.head() == before


@pytest.mark.spec("UG-2")
@pytest.mark.parametrize("field", ["api_credit_group", "api_key", "api_key_header", "credit_tiers"])
def test_a_field_that_is_needed_is_missed(house: House, field: str) -> None:
    wish = group()
    del wish[field]
    answer = house.root("POST", "/v1/credits", wish)
    assert problem(answer) == (422, "validation_error")
    assert list(answer.json()["details"]["fields"]) == [field]


@pytest.mark.spec("UG-2")
def test_a_field_outside_its_rule_is_refused_on_a_change_as_well(house: House) -> None:
    before = made(house)
    for given, field in BAD:
        if field == "api_credit_group":
            continue
        answer = house.root("PUT", PLACE, given)
        assert problem(answer) == (422, "validation_error"), given
        assert field in answer.json()["details"]["fields"]
    assert house.root("GET", PLACE).json() == before


@pytest.mark.spec("UG-2")
def test_without_a_format_the_key_stands_alone(house: House) -> None:
    wish = group(api_key_header="x-api-key")
    del wish["api_key_format"]
    assert house.root("POST", "/v1/credits", wish).json()["api_key_format"] == "{key}"


@pytest.mark.spec("UG-2", "UG-4")
def test_a_name_is_unique_and_fixed(house: House) -> None:
    before = made(house)
    assert problem(house.root("POST", "/v1/credits", group())) == (409, "group_exists")
    renamed = house.root("PUT", PLACE, {"api_credit_group": "other"})
    assert problem(renamed) == (422, "validation_error")
    assert list(renamed.json()["details"]["fields"]) == ["api_credit_group"]
    assert house.root("PUT", PLACE, {"api_credit_group": GROUP}).json() == before


def test_fields_that_are_left_out_stay_and_what_changes_nothing_writes_nothing(house: House) -> None:
    before = made(house)
    changed = house.root("PUT", PLACE, {"api_key_header": "x-api-key"}).json()
    assert changed["api_key_header"] == "x-api-key"
    assert {name: changed[name] for name in ("api_key_format", "credit_tiers", "api_key_hint")} == {
        name: before[name] for name in ("api_key_format", "credit_tiers", "api_key_hint")
    }
    head = house.head()
    assert house.root("PUT", PLACE, {"api_key_header": "x-api-key"}).json() == changed
    assert house.head() == head


@pytest.mark.spec("UG-4")
@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", PLACE, None),
        ("PUT", PLACE, {}),
        ("DELETE", PLACE, None),
        ("GET", f"{PLACE}/versions", None),
        ("GET", f"{PLACE}/history", None),
        ("POST", ROTATION, {"api_key_new": key(2)}),
        ("GET", ROTATION, None),
        ("PATCH", ROTATION, {"rollout_percent": 1}),
        ("POST", f"{ROTATION}/promote", None),
        ("POST", f"{ROTATION}/abort", None),
        ("POST", f"{ROTATION}/undo", None),
    ],
)
def test_a_group_that_is_not_there_is_not_found(house: House, method: str, path: str, body: Any) -> None:
    assert problem(house.root(method, path, body)) == (404, "group_not_found")


@pytest.mark.parametrize("method", ["PUT", "DELETE", "POST", "PATCH"])
def test_a_stale_revision_changes_nothing(house: House, method: str) -> None:
    made(house)
    rotated(house)
    before = house.root("GET", PLACE).json()
    path = {"POST": f"{ROTATION}/promote", "PATCH": ROTATION}.get(method, PLACE)
    body = {"PUT": {"api_key_header": "x"}, "PATCH": {"rollout_percent": 50}}.get(method)
    stale = {"if-match": f'"{before["revision"] - 1}"'}
    assert problem(house.root(method, path, body, headers=stale)) == (412, "precondition_failed")
    assert house.root("GET", PLACE).json() == before
    current = {"if-match": f'"{before["revision"]}"'}
    assert house.root(method, path, body, headers=current).status_code in (200, 204)


@pytest.mark.spec("UG-1", "UG-4")
def test_a_group_that_an_api_uses_is_not_deleted(house: House) -> None:
    made(house)
    wish = {"api_name": "chat", "api_version": "v1", "api_servers": [ORIGIN], "api_credit_group": GROUP}
    house.root("POST", "/v1/apis", wish)
    assert problem(house.root("DELETE", PLACE)) == (409, "group_in_use")
    house.root("PUT", "/v1/apis/chat/v1", {"api_credit_group": None})
    gone = house.root("DELETE", PLACE)
    assert (gone.status_code, gone.content) == (204, b"")
    assert problem(house.root("GET", PLACE)) == (404, "group_not_found")


def test_a_name_can_be_taken_again_with_versions_that_go_on(house: House) -> None:
    made(house)
    house.root("DELETE", PLACE)
    made(house, api_key=key(2))
    (version,) = house.root("GET", f"{PLACE}/versions").json()["data"]
    assert (version["number"], version["state"]) == (2, "live")


@pytest.mark.spec("UG-1", "UG-4")
@pytest.mark.parametrize(
    ("method", "path", "needs"),
    [
        ("POST", "/v1/credits", "manage"),
        ("GET", "/v1/credits", "read"),
        ("GET", PLACE, "read"),
        ("PUT", PLACE, "manage"),
        ("DELETE", PLACE, "manage"),
        ("GET", f"{PLACE}/versions", "read"),
        ("GET", f"{PLACE}/history", "read"),
        ("POST", ROTATION, "manage"),
        ("GET", ROTATION, "read"),
        ("PATCH", ROTATION, "manage"),
        ("POST", f"{ROTATION}/promote", "manage"),
        ("POST", f"{ROTATION}/abort", "manage"),
        ("POST", f"{ROTATION}/undo", "manage"),
        ("POST", "/v1/apis", "manage"),
        ("GET", "/v1/apis", "read"),
        ("GET", "/v1/apis/chat/v1", "read"),
        ("PUT", "/v1/apis/chat/v1", "manage"),
        ("DELETE", "/v1/apis/chat/v1", "manage"),
    ],
)
def test_each_operation_needs_its_scope(house: House, method: str, path: str, needs: str) -> None:
    other = {"read": "manage", "manage": "read"}[needs]
    refused = house.holder(f"upstreams:{other}", "keys:manage")(method, path, {} if method != "GET" else None)
    assert problem(refused) == (403, "insufficient_scope")
    assert refused.json()["details"]["missing_scopes"] == [f"upstreams:{needs}"]
    passed = house.holder(f"upstreams:{needs}")(method, path, {} if method != "GET" else None)
    assert passed.status_code not in (401, 403)


def test_groups_are_of_a_tenant_and_others_are_reached_with_tenants_manage_alone(house: House) -> None:
    house.root("POST", "/v1/tenants", {"id": "acme"})
    made(house)
    theirs = house.holder("upstreams:manage", "upstreams:read", tenant="acme")
    assert problem(theirs("GET", PLACE)) == (404, "group_not_found")
    assert theirs("POST", "/v1/credits", group(api_key_header="x-theirs")).json()["tenant"] == "acme"
    assert theirs("GET", PLACE).json()["api_key_header"] == "x-theirs"
    for method, path, body in (
        ("GET", "/v1/credits", None),
        ("GET", PLACE, None),
        ("PUT", PLACE, {}),
        ("DELETE", PLACE, None),
        ("POST", f"{ROTATION}/promote", None),
    ):
        foreign = theirs(method, path, body, params={"tenant": "default"})
        assert problem(foreign) == (403, "insufficient_scope")
        assert foreign.json()["details"]["not_held"] == ["tenants:manage"]
    assert house.root("GET", PLACE, params={"tenant": "acme"}).json()["api_key_header"] == "x-theirs"
    nobodys = house.root("POST", "/v1/credits", group(), params={"tenant": "nobody"})
    assert problem(nobodys) == (404, "not_found")


def test_a_session_changes_nothing(house: House) -> None:
    token = house.root("POST", "/v1/sessions", {}).json()["token"]
    assert problem(house.caller(token)("POST", "/v1/credits", group())) == (403, "session_presented")


def test_versions_are_listed_by_number_with_their_state_and_use(house: House) -> None:
    made(house)
    rotated(house)
    first, second = house.root("GET", f"{PLACE}/versions").json()["data"]
    assert (first["number"], first["state"], first["not_after"]) == (1, "live", house.at(HOUR))
    assert (second["number"], second["state"], second["not_after"]) == (2, "live", None)
    assert (second["uses"], second["refusals"], second["first_used_at"]) == (0, 0, None)
