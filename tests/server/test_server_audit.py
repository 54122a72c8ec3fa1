"""What was changed, what was refused, and what a holder may do with its own key, over HTTP."""

from __future__ import annotations

import pytest
from server_bed import House, problem

from keyrack.core.events import open_entry
from keyrack.presenting import event_json, refusal_json
from keyrack.server.views import DenialView, EventView
from keyrack.stores.protocols import Excerpt

DAY = 86_400


def test_every_change_leaves_an_event_that_says_by_whom_whence_and_in_which_request(house: House) -> None:
    caller = house.caller(house.root_key, peer="192.0.2.9")
    answer = caller("POST", "/v1/keys", {"name": "k"}, headers={"x-request-id": "r-42"})
    (event,) = house.root("GET", "/v1/events", params={"subject": answer.json()["key"]["id"]}).json()["data"]
    assert event["kind"] == "key.minted"
    assert event["actor"] == f"key:{house.root_id}"
    assert (event["address"], event["request_id"], event["tenant"]) == ("192.0.2.9", "r-42", "default")
    assert answer.headers["x-request-id"] == "r-42"


def test_events_are_read_in_pages_without_a_gap(house: House) -> None:
    for _ in range(4):
        house.root.mint("logs:read")
    numbers, cursor = [], "0"
    while cursor:
        page = house.root("GET", "/v1/events", params={"limit": 3, "cursor": cursor}).json()
        numbers += [event["number"] for event in page["data"]]
        cursor = page["next_cursor"]
    assert numbers == list(range(1, house.head() + 1))


def test_events_are_found_by_tenant(house: House) -> None:
    house.root("POST", "/v1/tenants", {"id": "acme"})
    found = house.root("GET", "/v1/events", params={"tenant": "acme"}).json()["data"]
    assert [event["kind"] for event in found] == ["tenant.created"]


def test_views_show_what_events_and_refusals_have(house: House) -> None:
    entry = house.verifier.stores.keys.entries(Excerpt(most=1))[0]
    event, _ = open_entry(entry, house.verifier.stores.peppers)
    assert set(event_json(event)) == set(EventView.model_fields)
    house.caller("kr_live_nonsense")("GET", "/v1/me")
    house.flush()
    (_, refusal), *_ = house.verifier.stores.journal.refusals(after=0, most=1, tenant=None)
    assert set(refusal_json(refusal)) == set(DenialView.model_fields)


def test_refusals_are_read_back_with_their_reason_and_operation(house: House) -> None:
    weak = house.holder("logs:read", owner="ada")
    weak("POST", "/v1/keys", {"name": "k"})
    for _ in range(3):
        house.caller("kr_live_nonsense", peer="192.0.2.9")("GET", f"/v1/keys/{house.root_id}")
    house.flush()
    found = house.root("GET", "/v1/denials").json()["data"]
    by_reason = {one["reason"]: one for one in found}
    scope, malformed = by_reason["scope"], by_reason["malformed"]
    # They are merged a flush, and the server's own may come between two of them.
    times = sum(one["times"] for one in found if one["reason"] == "malformed")
    assert (scope["operation"], scope["caller"], scope["times"]) == ("POST /v1/keys", "ada", 1)
    assert (malformed["operation"], malformed["address"]) == ("GET /v1/keys/{key_id}", "192.0.2.9")
    assert (times, malformed["key_id"], malformed["code"]) == (3, None, "invalid_credentials")


def test_refusals_are_read_in_pages_and_by_tenant(house: House) -> None:
    house.root("POST", "/v1/tenants", {"id": "acme"})
    for tenant in ("acme", "default", "acme"):
        house.holder("logs:read", tenant=tenant)("GET", "/v1/tenants")
        house.flush()
    first = house.root("GET", "/v1/denials", params={"limit": 2}).json()
    second = house.root("GET", "/v1/denials", params={"limit": 2, "cursor": first["next_cursor"]}).json()
    assert [one["tenant"] for one in first["data"] + second["data"]] == ["acme", "default", "acme"]
    assert second["next_cursor"] is None
    theirs = house.root("GET", "/v1/denials", params={"tenant": "acme"}).json()["data"]
    assert len(theirs) == 2


@pytest.mark.parametrize("path", ["/v1/events", "/v1/denials"])
def test_reading_either_needs_audit_read(house: House, path: str) -> None:
    assert problem(house.holder("keys:manage")("GET", path)) == (403, "insufficient_scope")
    assert house.holder("audit:read")("GET", path).status_code == 200


def test_a_holder_looks_at_its_key_whatever_its_scopes(house: House) -> None:
    key = house.root.mint()
    answer = house.caller(key["secret"])("GET", "/v1/me")
    assert answer.json() == {name: value for name, value in key.items() if name != "secret"}
    assert problem(house.caller()("GET", "/v1/me")) == (401, "missing_credentials")


def test_uses_are_counted_by_version(house: House) -> None:
    key = house.root.mint("logs:read")
    for _ in range(3):
        house.root.verify(key["secret"])
    house.flush()
    (version,) = house.root("GET", f"/v1/keys/{key['id']}").json()["versions"]
    assert (version["uses"], version["last_used_at"]) == (3, house.at(0))


def test_a_holder_gives_its_key_up(house: House) -> None:
    key = house.root.mint("logs:read")
    holder = house.caller(key["secret"])
    answer = holder("POST", "/v1/me/revoke")
    assert (answer.status_code, answer.json()["status"]) == (200, "revoked")
    assert problem(holder("POST", "/v1/me/revoke")) == (401, "key_revoked")
    assert problem(holder("GET", "/v1/me")) == (401, "key_revoked")


def test_giving_up_a_secret_that_is_rotated_out_ends_that_secret_alone(house: House) -> None:
    key = house.root.mint("logs:read")
    fresh = house.root("POST", f"/v1/keys/{key['id']}/rotation").json()["secret"]
    assert house.caller(key["secret"])("POST", "/v1/me/revoke").json()["status"] == "active"
    assert problem(house.caller(key["secret"])("GET", "/v1/me")) == (401, "secret_retired")
    assert house.caller(fresh)("GET", "/v1/me").status_code == 200


def test_a_body_that_giving_up_would_ignore_is_refused(house: House) -> None:
    holder = house.holder("logs:read")
    assert problem(holder("POST", "/v1/me/revoke", {"wait": True})) == (422, "validation_error")
    assert holder("GET", "/v1/me").status_code == 200


def test_a_secret_that_is_rotated_out_changes_nothing_about_its_own_key(house: House) -> None:
    key = house.root.mint("keys:manage")
    house.root("POST", f"/v1/keys/{key['id']}/rotation")
    old = house.caller(key["secret"])
    answer = old("PATCH", f"/v1/keys/{key['id']}", {"name": "x"})
    assert problem(answer) == (403, "secret_dated")
