"""Tenants come from keys; they are made, suspended, ended, and missed when they are gone."""

from __future__ import annotations

import itertools
import re
import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lake_bed import OPERATOR, TENANT_HEADER, Clock, Lake, OpenLake, code, environment, make_store
from lake_requests import KEYS, NAMES, STREAM, TENANTS, fill, right_request, with_key

from examples.log_lake.operations import BY_NAME
from keyrack import Authority, ConfigurationError, Tenant
from keyrack.tenancy import Tenants

QUERY = {"query": f"SELECT * FROM {STREAM}", "startTime": "10m", "endTime": "now"}
USES: dict[str, dict[str, Any]] = {
    "ingest": {"method": "POST", "path": "/api/v1/ingest", "json": {"a": 1}},
    "query": {"method": "POST", "path": "/api/v1/query", "json": QUERY},
    "key management": {"method": "GET", "path": KEYS},
}


def used(lake: Lake, use: str, key: str, named: str | None) -> Any:
    headers = {"X-P-Stream": STREAM} | ({} if named is None else {TENANT_HEADER: named})
    return lake.request(key=key, headers=headers, **USES[use])


@pytest.mark.spec("LL-7")
@pytest.mark.parametrize("use", USES)
def test_the_tenant_is_that_of_the_key_and_naming_another_is_refused(lake: Lake, use: str) -> None:
    keys = {name: lake.key(tenant=lake.tenant(name)) for name in ("acme", "other")}
    for name, key in keys.items():
        fill(lake, key=key)
        names = (None, name, *({"acme", "other"} - {name}), "unknown", "default", "", f"{name},{name}")
        for named in names:
            answer = used(lake, use, key, named)
            if named in (None, name):
                assert answer.status_code == 200, answer.text
            else:
                assert (answer.status_code, code(answer)) == (403, "tenant_mismatch")


@pytest.mark.spec("LL-7")
@pytest.mark.parametrize("name", NAMES)
def test_naming_another_tenant_is_refused_by_every_operation(lake: Lake, name: str) -> None:
    request = with_key(right_request(lake, name), lake.key())
    request["headers"].append((TENANT_HEADER, "acme"))
    assert lake.send(request)[0].status_code == 403


@pytest.mark.spec("LL-7", "LL-8")
def test_a_lake_of_one_tenant_has_the_default_one_alone(open_lake: OpenLake) -> None:
    lake = open_lake(LAKE_MULTI_TENANT="off")
    key = lake.key()
    for use in USES:
        assert used(lake, use, key, None).status_code == used(lake, use, key, "default").status_code == 200
        assert code(used(lake, use, key, "acme")) == "tenant_mismatch"
    assert code(lake.request("POST", TENANTS, key, json={"tenantId": "acme"})) == "conflict"
    assert [one["tenantId"] for one in lake.request("GET", TENANTS, key).json()["data"]] == ["default"]


@pytest.mark.spec("LL-8")
@pytest.mark.parametrize("named", [None, "acme"])
def test_where_there_is_one_tenant_keys_of_others_may_do_nothing(
    open_lake: OpenLake, named: str | None
) -> None:
    lake = open_lake(LAKE_MULTI_TENANT="off")
    key = lake.key(tenant=lake.tenant("acme"))
    for use in USES:
        assert code(used(lake, use, key, named)) == "insufficient_scope"


@pytest.mark.spec("LL-8")
def test_a_key_belongs_to_the_tenant_of_its_maker(lake: Lake) -> None:
    lake.tenant("acme")
    for tenant, by in (("default", lake.key()), ("acme", lake.key(tenant="acme"))):
        made = lake.request("POST", KEYS, by, json={"keyName": "made"})
        assert made.json()["tenant"] == tenant
        assert lake.record(made.json()["keyId"]).tenant == tenant


IDS = st.text(st.sampled_from("aZ09_-./ é\n*"), max_size=3) | st.text("ab", min_size=34, max_size=38)


@pytest.mark.spec("LL-9")
@given(tenant_id=IDS)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_a_tenant_has_an_id_that_may_be_the_name_of_a_folder(lake: Lake, tenant_id: str) -> None:
    answer = lake.request("POST", TENANTS, lake.key(), json={"tenantId": tenant_id})
    if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,35}", tenant_id):
        assert answer.status_code in (201, 409)  # 409 when it was drawn before
    else:
        assert answer.status_code == 422
        assert "tenantId" in answer.json()["details"]["fields"]


@pytest.mark.spec("LL-9")
def test_nobody_makes_the_default_tenant(lake: Lake) -> None:
    assert code(lake.request("POST", TENANTS, lake.key(), json={"tenantId": "default"})) == "tenant_exists"


@pytest.mark.spec("LL-9")
@pytest.mark.parametrize("tenant_id", ["../default", "a/b", ".", "a" * 37])
def test_a_tenant_of_any_other_id_does_nothing_even_if_it_is_stored(lake: Lake, tenant_id: str) -> None:
    """However it came there: what is named like this would lead into folders of others."""
    stores = lake.service.verifier.stores
    tenant = Tenant(id=tenant_id, name="odd", created_at=lake.clock())
    written_by_hand(stores, tenant, lake.clock())
    key = lake.key(tenant=tenant_id)
    for use in USES:
        assert code(used(lake, use, key, None)) == "insufficient_scope"


NEW = {
    "tenantId": "acme",
    "customerName": "Acme Ltd",
    "startDate": "2029-01-01T00:00:00Z",
    "endDate": "2031-01-01T00:00:00Z",
    "plan": "gold",
    "quota": {"type": "eventCount", "limit": 10},
    "quotaPeriod": "Yearly",
}


@pytest.mark.spec("LL-14")
def test_a_tenant_is_shown_as_it_was_made_and_changed(lake: Lake, clock: Clock) -> None:
    root = lake.key()
    made = lake.request("POST", TENANTS, root, json=NEW)
    at = {"createdAt": "2030-01-01T12:00:00Z", "modifiedAt": "2030-01-01T12:00:00Z"}
    assert (made.status_code, made.json()) == (201, {**NEW, "suspendedServices": [], **at})
    clock.pass_time(hours=1)
    path = f"{TENANTS}/acme"
    lake.request("POST", f"{path}/suspend", root, json={"service": "query"})
    changes: list[dict[str, Any]] = [
        {"plan": None, "quotaPeriod": "Lifetime"},
        {"customerName": "Acme Inc", "quota": {"type": "sizeBytes", "limit": 70_000}},
        {"startDate": None, "endDate": "2030-06-01T12:00:00+02:00"},
    ]
    for change in changes:
        assert lake.request("PATCH", path, root, json=change).status_code == 200
    expected = NEW | changes[0] | changes[1] | {"startDate": None, "endDate": "2030-06-01T10:00:00Z"}
    shown = lake.request("GET", path, root).json()
    assert shown == expected | at | {"suspendedServices": ["query"], "modifiedAt": "2030-01-01T13:00:00Z"}
    assert lake.request("PATCH", path, root, json={"quota": None}).json()["quota"] is None
    assert [one["tenantId"] for one in lake.request("GET", TENANTS, root).json()["data"]] == [
        "default",
        "acme",
    ]


@pytest.mark.spec("LL-14")
def test_a_change_that_comes_between_is_not_written_over(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    root, acme = lake.key(), lake.tenant("acme", metadata={"plan": "gold"})
    read = Tenants.get

    def slow(tenants: Tenants, tenant_id: str, *, by: Authority) -> Tenant:
        found = read(tenants, tenant_id, by=by)
        lake.change(acme, metadata={"plan": "silver"})
        return found

    with monkeypatch.context() as patched:
        patched.setattr(Tenants, "get", slow)
        answer = lake.request("PATCH", f"{TENANTS}/acme", root, json={"plan": "lead"})
    assert (answer.status_code, code(answer)) == (412, "precondition_failed")
    assert lake.request("GET", f"{TENANTS}/acme", root).json()["plan"] == "silver"


@pytest.mark.spec("LL-3", "LL-14")
@pytest.mark.parametrize(
    ("wrong", "status", "field"),
    [
        ({"startDate": "2030-01-01T00:00:00"}, 422, "startDate"),
        ({"endDate": "soon"}, 422, "endDate"),
        ({"endDate": "2028-01-01T00:00:00Z"}, 422, "endDate"),
        ({"customerName": ""}, 422, "customerName"),
        ({"quota": {"type": "eventCount", "limit": 0}}, 422, "quota.limit"),
        ({"quota": {"type": "events", "limit": 5}}, 400, "quota.type"),
        ({"quotaPeriod": "Daily"}, 400, "quotaPeriod"),
        ({"color": "red"}, 400, "color"),
        ({"plan": 7}, 400, "plan"),
    ],
)
def test_what_is_wrong_with_a_tenant_is_named(
    lake: Lake, wrong: dict[str, Any], status: int, field: str
) -> None:
    answer = lake.request("POST", TENANTS, lake.key(), json=NEW | wrong)
    assert (answer.status_code, list(answer.json()["details"]["fields"])) == (status, [field])


@pytest.mark.spec("LL-14")
def test_outside_its_dates_a_tenant_is_suspended_altogether(lake: Lake, clock: Clock) -> None:
    start, end = clock() + timedelta(days=1), clock() + timedelta(days=2)
    lake.tenant("acme", starts_at=start, ends_at=end)
    key = lake.key(tenant="acme")
    found = []
    for _ in range(4):
        found.append([used(lake, use, key, None).status_code for use in ("ingest", "key management")])
        clock.pass_time(hours=17)
    assert found == [[403, 403], [403, 403], [200, 200], [403, 403]]


@pytest.mark.spec("LL-14")
def test_an_ended_tenant_stays_ended_and_its_id_is_never_given_again(lake: Lake) -> None:
    root = lake.key()
    key = lake.key(tenant=lake.tenant("acme"))
    fill(lake, key=key)
    assert lake.request("DELETE", f"{TENANTS}/acme", root).status_code == 204
    for use in USES:
        assert used(lake, use, key, None).status_code == 403
    assert code(lake.request("POST", TENANTS, root, json={"tenantId": "acme"})) == "tenant_exists"
    for method, path, body in (
        ("GET", "", None),
        ("PATCH", "", {"endDate": None}),
        ("DELETE", "", None),
        ("POST", "/resume", {"service": "workspace"}),
    ):
        assert lake.request(method, f"{TENANTS}/acme{path}", root, json=body).status_code == 404
    assert lake.service.storage.has_any("acme/streams/")
    assert lake.request("DELETE", f"{TENANTS}/default", root).status_code == 409


@pytest.mark.spec("LL-15")
@pytest.mark.parametrize("service", ["ingest", "query", "workspace"])
def test_a_suspension_is_of_its_service_and_workspace_is_all_of_them(lake: Lake, service: str) -> None:
    """Every operation, by a key of the tenant that may do everything."""
    key = lake.key(tenant=lake.tenant("acme"))
    fill(lake, key=key)
    requests = {name: with_key(right_request(lake, name), key) for name in NAMES}
    lake.suspend("acme", service)
    for name, request in requests.items():
        answer = lake.send(request)[0]
        if service in ("workspace", BY_NAME[name].service):
            assert answer.status_code == 403, name
            if name != "ingest_firehose":  # whose answers have a form of their own
                assert code(answer) == "tenant_suspended"
                assert answer.json()["details"] == {"service": service}
        else:
            assert answer.status_code == (404 if name == "end_session" else BY_NAME[name].success), name


@pytest.mark.spec("LL-15")
def test_what_was_suspended_is_given_back_one_by_one(lake: Lake) -> None:
    root = lake.key()
    key = lake.key(tenant=lake.tenant("acme"))
    for service in ("ingest", "query"):
        body = {"service": service, "reason": "unpaid"}
        shown = lake.request("POST", f"{TENANTS}/acme/suspend", root, json=body)
    assert shown.json()["suspendedServices"] == ["ingest", "query"]
    shown = lake.request("POST", f"{TENANTS}/acme/resume", root, json={"service": "ingest"})
    assert shown.json()["suspendedServices"] == ["query"]
    assert used(lake, "ingest", key, None).status_code == 200
    assert code(used(lake, "query", key, None)) == "tenant_suspended"
    refused = lake.request("POST", f"{TENANTS}/acme/suspend", root, json={"service": "everything"})
    assert refused.status_code == 400


@pytest.mark.spec("LL-16")
def test_a_key_whose_tenant_has_no_record_is_refused_and_health_says_so(lake: Lake) -> None:
    key, root = lake.key(tenant=lake.tenant("acme")), lake.key()
    assert lake.request("GET", "/api/v1/health", root).status_code == 200
    lake.service.verifier.follower.replica.tenants.pop("acme")
    for use in USES:
        answer = used(lake, use, key, None)
        assert (answer.status_code, code(answer)) == (503, "unavailable")
    health = lake.request("GET", "/api/v1/health", root)
    checks = {check["name"]: check for check in health.json()["checks"]}
    assert (health.status_code, checks["tenants"]["status"]) == (503, "down")
    assert "acme" in checks["tenants"]["detail"]


@pytest.mark.spec("LL-16")
def test_a_node_does_not_start_on_a_store_that_lost_a_tenant(open_lake: OpenLake, tmp_path: Path) -> None:
    path = tmp_path / "keys.db"
    store = {
        "KEYRACK_STORE": f"sqlite:///{path}",
        "KEYRACK_PEPPERS": environment(tmp_path)["KEYRACK_PEPPERS"],
    }
    make_store(environment(tmp_path, **store))
    open_lake(**store).tenant("acme")
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        assert other.execute("DELETE FROM records WHERE id = 'acme'").rowcount == 1
    with pytest.raises(ConfigurationError, match="KEYRACK_STORE"):
        open_lake(**store)


def written_by_hand(stores: Any, tenant: Tenant, at: Any) -> None:
    """A tenant that the store holds although nobody can make it."""
    from keyrack.core.events import Event, EventKind

    event = Event(EventKind.TENANT_CREATED, at, OPERATOR.name)
    stores.ledger.commit(lambda draft: draft.write_tenant(tenant, event))


def test_pages_of_tenants_follow_each_other(lake: Lake) -> None:
    root = lake.key()
    for number in range(3):
        lake.tenant(f"t{number}")
    found, cursor = [], "0"
    for _ in itertools.count():
        page = lake.request("GET", f"{TENANTS}?limit=2&cursor={cursor}", root).json()
        found += [one["tenantId"] for one in page["data"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert found == ["default", "t0", "t1", "t2"]
    for query in ("limit=0", "limit=101", "cursor=x", "limit=x"):
        assert code(lake.request("GET", f"{TENANTS}?{query}", root)) == "invalid_request"


@pytest.mark.spec("LL-9", "LL-24")
def test_a_tenant_may_be_called_like_a_folder_of_the_key_store(open_lake: OpenLake, tmp_path: Path) -> None:
    """Keys and events share one storage; a node that starts anew reads the one past the other."""
    store = {"KEYRACK_STORE": "", "KEYRACK_PEPPERS": environment(tmp_path)["KEYRACK_PEPPERS"]}
    make_store(environment(tmp_path, **store))
    lake = open_lake(**store)
    keys = {name: lake.key(tenant=lake.tenant(name)) for name in ("log", "checkpoint", "probe", "streams")}
    for key in keys.values():
        fill(lake, key=key)
    fresh = open_lake(**store)
    for name, key in keys.items():
        assert [row["a"] for row in used(fresh, "query", key, None).json()] == [1], name
