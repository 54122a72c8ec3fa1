"""`/v1/tenants` over HTTP: made, changed, suspended by service, ended; and what that does to keys."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from server_bed import Caller, House, problem

from keyrack.gateway.admin import exporting
from keyrack.presenting import tenant_json
from keyrack.server.views import TenantView
from keyrack.tenancy import Tenants

DAY = 86_400


@pytest.fixture
def acme(house: House) -> dict[str, Any]:
    made: dict[str, Any] = house.root("POST", "/v1/tenants", {"id": "acme"}).json()
    return made


def suspended(caller: Caller, operation: str, json: Any, tenant: str = "acme") -> httpx.Response:
    return caller("POST", f"/v1/tenants/{tenant}/{operation}", json)


def test_a_tenant_is_made_looked_at_and_listed(house: House) -> None:
    wish = {
        "id": "acme",
        "name": "Acme Ltd",
        "starts_at": "2020-01-01T00:00:00Z",
        "ends_at": "2040-01-01T00:00:00Z",
        "limits": [{"name": "minute", "limit": 60, "window_seconds": 60}],
        "quota": {"type": "eventCount", "limit": 100},
        "metadata": {"plan": "basic"},
    }
    made = house.root("POST", "/v1/tenants", wish)
    assert made.status_code == 201
    assert {name: made.json()[name] for name in wish} == wish
    assert made.headers["etag"] == f'"{made.json()["revision"]}"'
    shown = house.root("GET", "/v1/tenants/acme")
    assert (shown.json(), shown.headers["etag"]) == (made.json(), made.headers["etag"])
    listed = house.root("GET", "/v1/tenants").json()
    assert [tenant["id"] for tenant in listed["data"]] == ["default", "acme"]


def test_tenants_are_listed_in_pages(house: House) -> None:
    for tenant in "abc":
        house.root("POST", "/v1/tenants", {"id": tenant})
    first = house.root("GET", "/v1/tenants", params={"limit": 3}).json()
    second = house.root("GET", "/v1/tenants", params={"limit": 3, "cursor": first["next_cursor"]}).json()
    assert [tenant["id"] for tenant in first["data"] + second["data"]] == ["default", "a", "b", "c"]
    assert second["next_cursor"] is None


def test_views_show_what_records_have(house: House, acme: dict[str, Any]) -> None:
    tenant = Tenants(house.verifier.stores).get("acme", by=house.operator)
    assert set(tenant_json(tenant)) == set(TenantView.model_fields)


@pytest.mark.parametrize(
    ("wish", "field"),
    [
        ({}, "id"),
        ({"id": ""}, "id"),
        ({"id": "a b"}, "id"),
        ({"id": "../x"}, "id"),
        ({"id": "a" * 37}, "id"),
        ({"id": None}, "id"),
        ({"id": "a", "name": ""}, "name"),
        ({"id": "a", "name": None}, "name"),
        ({"id": "a", "starts_at": "2030-01-01T00:00:00"}, "starts_at"),
        ({"id": "a", "starts_at": "2030-01-01T00:00:00Z", "ends_at": "2029-01-01T00:00:00Z"}, "ends_at"),
        ({"id": "a", "limits": [{}]}, "limits.0.name"),
        ({"id": "a", "quota": 5}, "quota"),
        ({"id": "a", "metadata": "x"}, "metadata"),
        ({"id": "a", "suspended": ["query"]}, "suspended"),
    ],
)
def test_a_tenant_outside_its_rules_is_refused_by_its_field(house: House, wish: Any, field: str) -> None:
    before = house.head()
    answer = house.root("POST", "/v1/tenants", wish)
    assert problem(answer) == (422, "validation_error")
    assert field in answer.json()["details"]["fields"]
    assert house.head() == before


@pytest.mark.parametrize("tenant_id", ["acme", "default"])
def test_an_id_that_is_taken_is_refused(house: House, acme: dict[str, Any], tenant_id: str) -> None:
    assert problem(house.root("POST", "/v1/tenants", {"id": tenant_id})) == (409, "tenant_exists")


def test_a_change_names_its_fields_and_null_takes_away(house: House, acme: dict[str, Any]) -> None:
    changes = {"name": "New", "ends_at": "2040-01-01T00:00:00Z", "metadata": {"a": 1}}
    assert house.root("PATCH", "/v1/tenants/acme", changes).json()["metadata"] == {"a": 1}
    cleared = house.root("PATCH", "/v1/tenants/acme", {"ends_at": None, "metadata": None}).json()
    assert (cleared["name"], cleared["ends_at"], cleared["metadata"]) == ("New", None, {})


@pytest.mark.parametrize("method", ["PATCH", "DELETE"])
def test_a_stale_revision_changes_nothing(house: House, acme: dict[str, Any], method: str) -> None:
    body = {"name": "New"} if method == "PATCH" else None
    stale = {"if-match": f'"{acme["revision"] - 1}"'}
    assert problem(house.root(method, "/v1/tenants/acme", body, headers=stale)) == (
        412,
        "precondition_failed",
    )
    assert house.root("GET", "/v1/tenants/acme").json() == acme
    current = {"if-match": f'"{acme["revision"]}"'}
    assert house.root(method, "/v1/tenants/acme", body, headers=current).status_code in (200, 204)


def test_a_deleted_tenant_is_gone_for_good_and_so_are_its_keys(house: House, acme: dict[str, Any]) -> None:
    key = house.root.mint("logs:read", tenant="acme")
    gone = house.root("DELETE", "/v1/tenants/acme")
    assert (gone.status_code, gone.content) == (204, b"")
    for method, path, body in (
        ("GET", "", None),
        ("PATCH", "", {"name": "x"}),
        ("DELETE", "", None),
        ("POST", "/suspend", {"service": "query"}),
        ("POST", "/resume", {"service": "query"}),
    ):
        assert problem(house.root(method, f"/v1/tenants/acme{path}", body)) == (404, "not_found")
    assert problem(house.root("POST", "/v1/tenants", {"id": "acme"})) == (409, "tenant_exists")
    assert house.root.verify(key["secret"])["reason"] == "suspended"
    assert problem(house.root("POST", "/v1/keys", {"name": "k", "tenant": "acme"})) == (404, "not_found")


def test_the_default_tenant_cannot_be_deleted(house: House) -> None:
    assert problem(house.root("DELETE", "/v1/tenants/default")) == (409, "conflict")


@pytest.mark.parametrize(
    ("service", "asked", "refused"),
    [
        ("ingest", "ingest", True),
        ("ingest", "query", False),
        ("ingest", None, False),
        ("query", "query", True),
        ("workspace", "ingest", True),
        ("workspace", "query", True),
        ("workspace", None, True),
    ],
)
def test_suspending_a_service_refuses_it_until_it_is_resumed(
    house: House, acme: dict[str, Any], service: str, asked: str | None, refused: bool
) -> None:
    key = house.root.mint("logs:read", tenant="acme")
    assert suspended(house.root, "suspend", {"service": service}).json()["suspended"] == [service]
    decision = house.root.verify(key["secret"], service=asked)
    assert decision["valid"] is not refused
    if refused:
        assert (decision["code"], decision["reason"]) == ("tenant_suspended", "suspended")
        assert decision["details"] == {"service": service}
    assert suspended(house.root, "resume", {"service": service}).json()["suspended"] == []
    assert house.root.verify(key["secret"], service=asked)["valid"] is True


def test_the_keys_of_a_suspended_tenant_do_not_call_the_server_either(
    house: House, acme: dict[str, Any]
) -> None:
    admin = house.holder("keys:manage", tenant="acme")
    suspended(house.root, "suspend", {"service": "workspace", "reason": "unpaid"})
    answer = admin("GET", "/v1/keys")
    assert problem(answer) == (403, "tenant_suspended")
    assert answer.json()["details"] == {"service": "workspace"}


def test_suspending_twice_and_resuming_what_runs_writes_nothing(house: House, acme: dict[str, Any]) -> None:
    first = suspended(house.root, "suspend", {"service": "query"}).json()
    before = house.head()
    assert suspended(house.root, "suspend", {"service": "query"}).json() == first
    assert suspended(house.root, "resume", {"service": "ingest"}).json() == first
    assert house.head() == before


@pytest.mark.parametrize(
    "body", [None, {}, {"service": "billing"}, {"service": None}, {"service": "query", "x": 1}]
)
@pytest.mark.parametrize("operation", ["suspend", "resume"])
def test_a_suspension_that_names_no_service_is_refused(
    house: House, acme: dict[str, Any], operation: str, body: Any
) -> None:
    assert problem(suspended(house.root, operation, body)) == (422, "validation_error")
    assert house.root("GET", "/v1/tenants/acme").json() == acme


def test_a_tenant_works_between_its_dates(house: House) -> None:
    dates = {"starts_at": house.at(DAY), "ends_at": house.at(2 * DAY)}
    house.root("POST", "/v1/tenants", {"id": "acme", **dates})
    key = house.root.mint("logs:read", tenant="acme")
    seen = []
    for _ in range(3):
        seen.append(house.root.verify(key["secret"])["code"])
        house.clock.advance(DAY)
        house.verifier.follower.poll()
    assert seen == ["tenant_suspended", "ok", "tenant_suspended"]


def test_the_limits_of_a_tenant_are_shared_by_its_keys(house: House) -> None:
    limits = [{"name": "minute", "limit": 2, "window_seconds": 60}]
    house.root("POST", "/v1/tenants", {"id": "acme", "limits": limits})
    keys = [house.root.mint("logs:read", tenant="acme")["secret"] for _ in range(2)]
    assert [house.root.verify(text)["code"] for text in (*keys, keys[0])] == ["ok", "ok", "rate_limited"]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", ""),
        ("GET", ""),
        ("GET", "/acme"),
        ("PATCH", "/acme"),
        ("DELETE", "/acme"),
        ("POST", "/acme/suspend"),
        ("POST", "/acme/resume"),
    ],
)
def test_only_holders_of_tenants_manage_do_any_of_this(
    house: House, acme: dict[str, Any], method: str, path: str
) -> None:
    weak = house.holder("keys:manage", "keys:read", tenant="acme")
    before = house.head()
    answer = weak(method, f"/v1/tenants{path}")
    assert problem(answer) == (403, "insufficient_scope")
    assert answer.json()["details"]["missing_scopes"] == ["tenants:manage"]
    assert problem(house.caller()(method, f"/v1/tenants{path}")) == (401, "missing_credentials")
    assert house.head() == before


def test_an_export_is_all_of_one_tenant_and_nothing_of_another(house: House, acme: dict[str, Any]) -> None:
    own = house.root("POST", "/v1/keys", {"name": "of acme", "tenant": "acme", "scopes": ["a:b"]}).json()
    other = house.root("POST", "/v1/keys", {"name": "of default", "scopes": ["a:b"]}).json()
    answer = house.root("GET", "/v1/tenants/acme/export")
    assert answer.headers["content-type"].startswith("application/x-ndjson")
    lines = [json.loads(line) for line in answer.text.splitlines()]
    kinds = [line["kind"] for line in lines]
    assert (kinds[0], kinds[-1]) == ("tenant", "end")
    assert lines[-1] == {"kind": "end", "tenants": 1, "keys": 1, "events": kinds.count("event")}
    assert [line["key"]["id"] for line in lines if line["kind"] == "key"] == [own["key"]["id"]]
    assert {line["event"]["tenant"] for line in lines if line["kind"] == "event"} == {"acme"}
    assert other["key"]["id"] not in answer.text
    assert own["secret"] not in answer.text


def test_an_export_of_nothing_is_not_found(house: House) -> None:
    assert problem(house.root("GET", "/v1/tenants/nobody/export")) == (404, "not_found")


@pytest.mark.parametrize("lacking", exporting.NEEDS)
def test_whoever_exports_may_read_each_part_of_it(house: House, acme: dict[str, Any], lacking: str) -> None:
    held = sorted({*exporting.NEEDS} - {lacking})
    answer = house.holder(*held)("GET", "/v1/tenants/acme/export")
    assert problem(answer) == (403, "insufficient_scope")
