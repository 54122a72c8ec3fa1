"""`/v1/keys` over HTTP: what each operation does, and each way in which it refuses."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, NoReturn

import httpx
import pytest
from anyio.from_thread import BlockingPortal
from server_bed import Caller, House, problem

from keyrack import Policy, Unavailable
from keyrack.core import credential
from keyrack.presenting import key_json
from keyrack.server.views import KeyView

HOUR, DAY = 3600, 86_400
CHANGES = ("disable", "enable", "revoke", "rotation", "rotation/promote", "rotation/abort", "rotation/undo")


def changed(caller: Caller, key_id: str, operation: str, json: Any = None, **more: Any) -> httpx.Response:
    return caller("POST", f"/v1/keys/{key_id}/{operation}", json, **more)


def test_a_minted_key_comes_with_its_secret_this_once(house: House) -> None:
    answer = house.root("POST", "/v1/keys", {"name": "deploy", "scopes": ["logs:read"]})
    assert answer.status_code == 201
    assert answer.headers["cache-control"] == "no-store"
    key, secret = answer.json()["key"], answer.json()["secret"]
    assert credential.parse(secret) is not None
    assert answer.headers["etag"] == f'"{key["revision"]}"'
    shown = house.root("GET", f"/v1/keys/{key['id']}")
    assert shown.json() == key
    assert shown.headers["etag"] == answer.headers["etag"]
    assert secret[-38:] not in shown.text
    assert house.root.verify(secret, scopes=["logs:read"])["valid"] is True


def test_a_new_secret_is_shown_also_while_the_journal_cannot_be_read(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The change is committed by then, and there is no other way to the secret."""

    def unreadable(key_ids: Sequence[str]) -> NoReturn:
        raise Unavailable("The journal is gone.")

    monkeypatch.setattr(house.verifier.stores.journal, "uses", unreadable)
    minted = house.root.mint("logs:read")
    rotated = changed(house.root, minted["id"], "rotation")
    assert rotated.status_code == 201
    for secret in (minted["secret"], rotated.json()["secret"]):
        assert house.root.verify(secret, scopes=["logs:read"])["valid"] is True
    assert problem(house.root("GET", f"/v1/keys/{minted['id']}")) == (503, "unavailable")


def test_a_key_takes_every_field_that_mint_has(house: House) -> None:
    house.root("POST", "/v1/tenants", {"id": "acme"})
    wish = {
        "name": "nightly",
        "scopes": ["logs:read", "streams/web:ingest"],
        "tenant": "acme",
        "owner": "ada",
        "environment": "test",
        "expires_at": "2030-01-01T02:00:00+02:00",
        "networks": ["10.0.0.0/8"],
        "limits": [{"name": "minute", "limit": 5, "window_seconds": 60}],
        "metadata": {"team": {"name": "x"}},
    }
    key = house.root("POST", "/v1/keys", wish).json()["key"]
    assert {name: key[name] for name in wish} == wish | {"expires_at": "2030-01-01T00:00:00Z"}
    assert key["created_by"] == f"key:{house.root_id}"


def test_views_show_what_records_have(house: House) -> None:
    minted = house.root.mint("logs:read")
    key = house.verifier.issuer().get(minted["id"], by=house.operator)
    assert set(key_json(key, {}, datetime.now(UTC))) == set(KeyView.model_fields)


@pytest.mark.parametrize(
    ("wish", "field"),
    [
        ({}, "name"),
        ({"name": ""}, "name"),
        ({"name": "x" * 101}, "name"),
        ({"name": "a\nb"}, "name"),
        ({"name": 7}, "name"),
        ({"name": "k", "scopes": ["logs"]}, "scopes"),
        ({"name": "k", "scopes": "logs:read"}, "scopes"),
        ({"name": "k", "scopes": [f"a{n}:b" for n in range(101)]}, "scopes"),
        ({"name": "k", "scopes": ["*"]}, "scopes"),
        ({"name": "k", "scopes": ["a/b/c/d/e/f/g/h/i:read"]}, "scopes"),
        ({"name": "k", "expires_at": "2030-01-01T00:00:00"}, "expires_at"),
        ({"name": "k", "expires_at": "2001-01-01T00:00:00Z"}, "expires_at"),
        ({"name": "k", "expires_at": "tomorrow"}, "expires_at"),
        ({"name": "k", "expires_at": 1_900_000_000}, "expires_at"),
        ({"name": "k", "networks": ["10.0.0.1/8"]}, "networks.0"),
        ({"name": "k", "networks": ["10.0.0.0/8", "x"]}, "networks.1"),
        ({"name": "k", "limits": [{"name": "m", "limit": 0, "window_seconds": 60}]}, "limits.0.limit"),
        ({"name": "k", "limits": [{"name": "m", "limit": 1.5, "window_seconds": 60}]}, "limits.0.limit"),
        ({"name": "k", "limits": [{"name": "m", "limit": 1}]}, "limits.0.window_seconds"),
        ({"name": "k", "limits": [{"name": "a b", "limit": 1, "window_seconds": 1}]}, "limits.0.name"),
        ({"name": "k", "metadata": {"x": "y" * 4096}}, "metadata"),
        ({"name": "k", "metadata": []}, "metadata"),
        ({"name": "k", "credits": "gold"}, "credits"),
        ({"name": "k", "preset": "nobody"}, "preset"),
        ({"name": "k", "role": "nobody"}, "role"),
        ({"name": "k", "prefix": "xx"}, "prefix"),
        ({"name": "k", "environment": "moon"}, "environment"),
        ({"name": "k", "unique": "world"}, "unique"),
        ({"name": "k", "colour": "red"}, "colour"),
        ({"name": "k", "status": "active"}, "status"),
        ({"name": "k", "id": "aaaaaaaaaaaa"}, "id"),
    ],
)
def test_a_wish_outside_its_rules_is_refused_by_its_field(house: House, wish: Any, field: str) -> None:
    before = house.head()
    answer = house.root("POST", "/v1/keys", wish)
    assert problem(answer) == (422, "validation_error")
    assert list(answer.json()["details"]["fields"]) == [field]
    assert house.head() == before


def test_a_wish_that_is_wrong_in_many_ways_hears_of_all_of_them(house: House) -> None:
    answer = house.root("POST", "/v1/keys", {"name": "k", "scopes": ["x"], "networks": ["y"], "role": "z"})
    assert set(answer.json()["details"]["fields"]) == {"scopes", "networks.0", "role"}


def test_a_key_for_a_tenant_that_is_not_there_is_refused(house: House) -> None:
    assert problem(house.root("POST", "/v1/keys", {"name": "k", "tenant": "nobody"})) == (404, "not_found")


def test_a_name_can_be_asked_to_be_unique(house: House) -> None:
    wish = {"name": "deploy", "unique": "tenant"}
    assert house.root("POST", "/v1/keys", wish).status_code == 201
    assert problem(house.root("POST", "/v1/keys", wish)) == (409, "name_taken")
    assert house.root("POST", "/v1/keys", {"name": "deploy"}).status_code == 201


def test_presets_and_roles_come_from_the_policy(portal: BlockingPortal) -> None:
    policy = Policy(presets={"ingest": ("logs:write",)}, roles={"viewer": ("*:read",)})
    house = House(portal, policy=policy)
    key = house.root("POST", "/v1/keys", {"name": "k", "preset": "ingest", "role": "viewer"}).json()["key"]
    assert (key["scopes"], key["preset"], key["role"]) == (["logs:write"], "ingest", "viewer")
    both = {"name": "k", "preset": "ingest", "scopes": ["logs:read"]}
    assert problem(house.root("POST", "/v1/keys", both)) == (422, "validation_error")
    house.verifier.close()


def test_nobody_mints_more_than_they_hold(house: House) -> None:
    manager = house.holder("keys:manage", "logs:read")
    assert manager("POST", "/v1/keys", {"name": "k", "scopes": ["logs:read"]}).status_code == 201
    before = house.head()
    answer = manager("POST", "/v1/keys", {"name": "k", "scopes": ["logs:write"], "owner": "ada"})
    assert problem(answer) == (403, "insufficient_scope")
    assert answer.json()["details"]["not_held"] == ["logs:write", "owners:assign"]
    assert house.head() == before


@pytest.mark.parametrize(
    ("method", "path", "scope"),
    [
        ("POST", "/v1/keys", "keys:manage"),
        ("GET", "/v1/keys", "keys:read"),
        ("GET", "/v1/keys/{id}", "keys:read"),
        ("PATCH", "/v1/keys/{id}", "keys:manage"),
        ("GET", "/v1/keys/{id}/rotation", "keys:read"),
        *(("POST", f"/v1/keys/{{id}}/{change}", "keys:manage") for change in CHANGES),
    ],
)
def test_every_operation_needs_its_scope(house: House, method: str, path: str, scope: str) -> None:
    key_id = house.root.mint("logs:read")["id"]
    before = house.head()
    target = path.format(id=key_id)
    assert problem(house.caller()(method, target)) == (401, "missing_credentials")
    answer = house.holder("logs:read", "keys:other")(method, target)
    assert problem(answer) == (403, "insufficient_scope")
    assert answer.json()["details"]["missing_scopes"] == [scope]
    assert house.head() == before + 1  # the holder's own key


@pytest.mark.parametrize("key_id", ["aaaaaaaaaaaa", "x", "a" * 300, "%C3%A9", "a.b"])
def test_an_id_that_nobody_bears_is_not_found(house: House, key_id: str) -> None:
    before = house.head()
    assert problem(house.root("GET", f"/v1/keys/{key_id}")) == (404, "not_found")
    assert problem(house.root("PATCH", f"/v1/keys/{key_id}", {"name": "x"})) == (404, "not_found")
    for change in CHANGES:
        assert problem(changed(house.root, key_id, change)) == (404, "not_found")
    assert house.head() == before


def test_a_change_names_its_fields_and_null_takes_away_what_need_not_be_there(house: House) -> None:
    key = house.root.mint("logs:read", owner="ada", expires_at=house.at(DAY), metadata={"a": 1})
    changes = {"name": "new", "owner": None, "expires_at": None, "metadata": {}, "scopes": ["logs:write"]}
    answer = house.root("PATCH", f"/v1/keys/{key['id']}", changes)
    assert answer.status_code == 200
    assert {name: answer.json()[name] for name in changes} == changes
    assert answer.headers["etag"] == f'"{answer.json()["revision"]}"'
    assert house.root.verify(key["secret"], scopes=["logs:write"])["valid"] is True


@pytest.mark.parametrize(
    "changes",
    [
        {"name": None},
        {"scopes": None},
        {"networks": None},
        {"limits": None},
        {"metadata": None},
        {"tenant": "acme"},
        {"environment": "test"},
        {"status": "revoked"},
        {"versions": []},
        {"hint": "x"},
        {"expires_at": "2001-01-01T00:00:00Z"},
    ],
)
def test_what_cannot_be_changed_is_refused(house: House, changes: Any) -> None:
    key = house.root.mint("logs:read")
    answer = house.root("PATCH", f"/v1/keys/{key['id']}", changes)
    assert problem(answer) == (422, "validation_error")
    assert list(answer.json()["details"]["fields"]) == list(changes)
    assert house.root("GET", f"/v1/keys/{key['id']}").json()["revision"] == key["revision"]


def test_a_change_that_changes_nothing_writes_nothing(house: House) -> None:
    key = house.root.mint("logs:read")
    before = house.head()
    assert house.root("PATCH", f"/v1/keys/{key['id']}", {"name": key["name"]}).status_code == 200
    assert house.root("PATCH", f"/v1/keys/{key['id']}", {}).status_code == 200
    assert house.head() == before


@pytest.mark.parametrize("change", ["PATCH", "disable", "enable", "rotation", "rotation/promote"])
def test_a_stale_revision_is_refused_and_the_current_one_or_a_star_passes(house: House, change: str) -> None:
    def call(key_id: str, etag: str) -> httpx.Response:
        headers = {"if-match": etag}
        if change == "PATCH":
            return house.root("PATCH", f"/v1/keys/{key_id}", {"owner": etag}, headers=headers)
        return changed(house.root, key_id, change, headers=headers)

    key = house.root.mint("logs:read")
    if change == "rotation/promote":
        key = changed(house.root, key["id"], "rotation").json()["key"]
    before = house.head()
    assert problem(call(key["id"], f'"{key["revision"] - 1}"')) == (412, "precondition_failed")
    for unreadable in ("17", 'W/"17"', '"1","2"', '"x"', ""):
        assert problem(call(key["id"], unreadable)) == (400, "invalid_request")
    assert house.head() == before
    assert call(key["id"], f'"{key["revision"]}"').status_code in (200, 201)
    if not change.startswith("rotation"):
        assert call(key["id"], "*").status_code in (200, 201)


def test_a_disabled_key_is_refused_until_it_is_enabled(house: House) -> None:
    key = house.root.mint("logs:read")
    assert changed(house.root, key["id"], "disable").json()["status"] == "disabled"
    assert house.root.verify(key["secret"])["reason"] == "disabled"
    assert changed(house.root, key["id"], "enable").json()["status"] == "active"
    assert house.root.verify(key["secret"])["valid"] is True


@pytest.mark.parametrize(
    "body", [None, {}, {"wait": False}, {"wait": True}, {"reason": "left", "wait": True}]
)
def test_revocation_is_final_and_repeating_it_changes_nothing(house: House, body: Any) -> None:
    key = house.root.mint("logs:read")
    revoked = changed(house.root, key["id"], "revoke", body)
    assert revoked.json()["status"] == "revoked"
    assert revoked.json()["revoked_reason"] == (body or {}).get("reason")
    assert house.root.verify(key["secret"])["reason"] == "revoked"
    before = house.head()
    again = changed(house.root, key["id"], "revoke", {"reason": "another"})
    assert (again.status_code, again.json()) == (200, revoked.json())
    for change in ("disable", "enable", "rotation"):
        assert problem(changed(house.root, key["id"], change)) == (409, "key_revoked")
    assert problem(house.root("PATCH", f"/v1/keys/{key['id']}", {"name": "x"})) == (409, "key_revoked")
    assert house.head() == before


@pytest.mark.parametrize(
    "body", [{"reason": ""}, {"reason": "x" * 501}, {"wait": "yes"}, {"wait": 1}, {"x": 1}, []]
)
def test_a_revocation_that_cannot_be_read_revokes_nothing(house: House, body: Any) -> None:
    key = house.root.mint("logs:read")
    assert problem(changed(house.root, key["id"], "revoke", body)) == (422, "validation_error")
    assert house.root.verify(key["secret"])["valid"] is True


def test_a_rotation_gives_a_new_secret_and_the_old_one_its_grace(house: House) -> None:
    key = house.root.mint("logs:read")
    answer = changed(house.root, key["id"], "rotation", {"grace_seconds": HOUR})
    assert answer.status_code == 201
    assert answer.headers["cache-control"] == "no-store"
    fresh = answer.json()
    assert (fresh["key"]["id"], fresh["key"]["rotation"]) == (key["id"], "active")
    assert house.root("GET", f"/v1/keys/{key['id']}/rotation").json() == fresh["key"]
    assert house.root.verify(key["secret"])["valid"] is True
    assert house.root.verify(fresh["secret"])["version"] == 2
    house.clock.advance(HOUR)
    assert house.root.verify(key["secret"])["reason"] == "retired"
    assert house.root.verify(fresh["secret"])["valid"] is True


def test_a_compromised_key_loses_its_secrets_at_once(house: House) -> None:
    key = house.root.mint("logs:read")
    fresh = changed(house.root, key["id"], "rotation", {"compromised": True}).json()
    assert house.root.verify(key["secret"])["valid"] is False
    assert house.root.verify(fresh["secret"])["valid"] is True
    assert problem(changed(house.root, key["id"], "rotation/undo"))[0] == 409


@pytest.mark.parametrize(
    "body",
    [
        {"grace_seconds": HOUR - 1},
        {"grace_seconds": 7 * DAY + 1},
        {"grace_seconds": 0},
        {"grace_seconds": -1},
        {"grace_seconds": "3600"},
        {"grace_seconds": 3600.5},
        {"grace_seconds": True},
        {"grace_seconds": 10**40},
        {"grace": 3600},
        {"compromised": True, "grace_seconds": HOUR},
        {"compromised": "yes"},
    ],
)
def test_a_grace_out_of_range_rotates_nothing(house: House, body: Any) -> None:
    key = house.root.mint("logs:read")
    before = house.head()
    assert problem(changed(house.root, key["id"], "rotation", body)) == (422, "validation_error")
    assert house.head() == before


def test_a_rotation_ends_by_promotion_abortion_or_its_undoing(house: House) -> None:
    key = house.root.mint("logs:read")
    fresh = changed(house.root, key["id"], "rotation").json()["secret"]
    assert problem(changed(house.root, key["id"], "rotation")) == (409, "rotation_active")
    assert changed(house.root, key["id"], "rotation/abort").json()["rotation"] == "none"
    assert house.root.verify(fresh)["valid"] is False
    second = changed(house.root, key["id"], "rotation").json()["secret"]
    assert changed(house.root, key["id"], "rotation/promote").json()["rotation"] == "none"
    assert house.root.verify(key["secret"])["reason"] == "retired"
    assert changed(house.root, key["id"], "rotation/undo").json()["rotation"] == "active"
    assert house.root.verify(key["secret"])["valid"] is True
    assert house.root.verify(second)["valid"] is True


@pytest.mark.parametrize("change", ["rotation/promote", "rotation/abort", "rotation/undo"])
def test_what_needs_a_rotation_is_refused_without_one(house: House, change: str) -> None:
    key = house.root.mint("logs:read")
    status, code = problem(changed(house.root, key["id"], change))
    assert status == 409
    assert code not in ("conflict", "internal_error")


@pytest.mark.parametrize(
    "operation", ["disable", "enable", "rotation/promote", "rotation/abort", "rotation/undo"]
)
def test_an_operation_that_takes_nothing_refuses_what_it_would_ignore(house: House, operation: str) -> None:
    key = house.root.mint("logs:read")
    assert problem(changed(house.root, key["id"], operation, {"force": True})) == (422, "validation_error")


@pytest.mark.parametrize("operation", ["mint", "rotate"])
def test_a_repeated_idempotency_key_is_done_once(house: House, operation: str) -> None:
    key = house.root.mint("logs:read")

    def call(once: str | bytes, variant: int = 0, by: Caller = house.root) -> httpx.Response:
        headers = {"idempotency-key": once}
        if operation == "mint":
            return by("POST", "/v1/keys", {"name": f"k{variant}"}, headers=headers)
        return changed(by, key["id"], "rotation", {"grace_seconds": HOUR + variant}, headers=headers)

    first = call("once-1")
    assert first.status_code == 201
    assert "idempotent-replayed" not in first.headers
    before = house.head()
    again = call("once-1")
    assert (again.status_code, again.headers["idempotent-replayed"]) == (200, "true")
    assert again.json() == {"key": first.json()["key"], "secret": None}
    assert again.headers["cache-control"] == "no-store"
    assert problem(call("once-1", 1)) == (409, "conflict")
    for unreadable in ("", "a b", "x" * 129, b"\xc3\xa9"):
        assert problem(call(unreadable)) == (400, "invalid_request")
    assert house.head() == before


def test_an_idempotency_key_belongs_to_its_caller_and_is_forgotten_after_a_day(house: House) -> None:
    other = house.holder("keys:manage")
    headers = {"idempotency-key": "same"}
    ids = [
        caller("POST", "/v1/keys", {"name": "k"}, headers=headers).json()["key"]["id"]
        for caller in (house.root, other)
    ]
    assert ids[0] != ids[1]
    house.clock.advance(DAY)
    house.verifier.follower.poll()
    later = house.root("POST", "/v1/keys", {"name": "k"}, headers=headers)
    assert later.status_code == 201
    assert later.json()["key"]["id"] not in ids


def test_keys_are_listed_in_pages_in_the_order_in_which_they_were_made(house: House) -> None:
    made = [house.root_id, *(house.root.mint("logs:read")["id"] for _ in range(5))]
    found, query = [], {"limit": "2"}
    while True:
        page = house.root("GET", "/v1/keys", params=query).json()
        found.append([key["id"] for key in page["data"]])
        if page["next_cursor"] is None:
            break
        query["cursor"] = page["next_cursor"]
    assert found == [made[0:2], made[2:4], made[4:6]]


def test_keys_are_found_by_tenant_and_owner(house: House) -> None:
    house.root("POST", "/v1/tenants", {"id": "acme"})
    theirs = house.root.mint("logs:read", tenant="acme", owner="ada")["id"]
    house.root.mint("logs:read", owner="ada")

    def listed(**query: str) -> list[str]:
        return [key["id"] for key in house.root("GET", "/v1/keys", params=query).json()["data"]]

    assert listed(tenant="acme") == [theirs]
    assert len(listed(owner="ada")) == 2
    assert listed(tenant="acme", owner="bob") == []


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=101",
        "limit=ten",
        "limit=1.5",
        "limit=",
        "cursor=",
        "cursor=x",
        "cursor=-1",
        "cursor=1%00",
        "cursor=9999999999999999999",
        "cursor=%F0%9F%92%A9",
        f"cursor={'1' * 100}",
        "tenat=acme",
        "limit=1&limit=2",
        "tenant=a&tenant=b",
        f"tenant={'x' * 101}",
    ],
)
@pytest.mark.parametrize("path", ["/v1/keys", "/v1/tenants", "/v1/events", "/v1/denials"])
def test_a_query_that_cannot_be_read_is_refused(house: House, path: str, query: str) -> None:
    assert problem(house.root("GET", f"{path}?{query}")) == (400, "invalid_request")


class TestTenantIsolation:
    """A tenant's administrator sees and manages its own tenant only."""

    @pytest.fixture
    def admin(self, house: House) -> Caller:
        house.root("POST", "/v1/tenants", {"id": "acme"})
        house.root("POST", "/v1/tenants", {"id": "beta"})
        return house.holder("keys:manage", "keys:verify", "audit:read", "logs:*", tenant="acme")

    @pytest.fixture
    def foreign(self, house: House, admin: Caller) -> Iterator[dict[str, Any]]:
        key = house.root.mint("logs:read", tenant="beta")
        yield key
        now = house.root("GET", f"/v1/keys/{key['id']}").json()
        assert now == {name: value for name, value in key.items() if name != "secret"}

    def test_new_keys_are_its_own(self, admin: Caller) -> None:
        assert admin.mint("logs:read")["tenant"] == "acme"

    def test_a_key_for_another_tenant_is_refused(self, admin: Caller) -> None:
        answer = admin("POST", "/v1/keys", {"name": "k", "tenant": "beta"})
        assert problem(answer) == (403, "insufficient_scope")
        assert "tenants:manage" in answer.json()["details"]["not_held"]

    def test_a_tenant_that_is_not_there_is_no_different_from_anothers(self, admin: Caller) -> None:
        answers = [admin("POST", "/v1/keys", {"name": "k", "tenant": one}) for one in ("beta", "nobody")]
        assert problem(answers[0]) == problem(answers[1])

    def test_foreign_keys_are_not_there(self, admin: Caller, foreign: dict[str, Any]) -> None:
        assert problem(admin("GET", f"/v1/keys/{foreign['id']}")) == (404, "not_found")
        assert problem(admin("PATCH", f"/v1/keys/{foreign['id']}", {"name": "x"})) == (404, "not_found")
        for change in CHANGES:
            assert problem(changed(admin, foreign["id"], change)) == (404, "not_found")

    def test_its_list_holds_its_own_keys(self, admin: Caller, foreign: dict[str, Any]) -> None:
        admin.mint("logs:read")
        page = admin("GET", "/v1/keys", params={"limit": 100}).json()["data"]
        assert {key["tenant"] for key in page} == {"acme"}
        assert problem(admin("GET", "/v1/keys", params={"tenant": "beta"})) == (403, "insufficient_scope")

    def test_its_log_holds_its_own_events(self, admin: Caller, foreign: dict[str, Any]) -> None:
        events = admin("GET", "/v1/events", params={"limit": 100}).json()["data"]
        assert {event["tenant"] for event in events} == {"acme"}
        by_subject = admin("GET", "/v1/events", params={"subject": foreign["id"]}).json()["data"]
        assert by_subject == []
        for path in ("/v1/events", "/v1/denials"):
            assert problem(admin("GET", path, params={"tenant": "beta"})) == (403, "insufficient_scope")

    def test_foreign_keys_are_unknown_when_verified(
        self, house: House, admin: Caller, foreign: dict[str, Any]
    ) -> None:
        unknown = {"valid": False, "code": "invalid_credentials", "reason": "unknown"}
        assert admin.verify(foreign["secret"]) == unknown

    def test_a_holder_of_tenants_verify_asks_about_all(self, house: House, admin: Caller) -> None:
        foreign = house.root.mint("logs:read", tenant="beta")
        everywhere = house.holder("keys:verify", "tenants:verify", tenant="acme")
        assert everywhere.verify(foreign["secret"])["tenant"] == "beta"

    def test_a_key_under_review_elsewhere_is_not_charged(self, house: House, admin: Caller) -> None:
        limits = [{"name": "minute", "limit": 1, "window_seconds": 60}]
        foreign = house.root.mint("logs:read", tenant="beta", limits=limits)
        for _ in range(3):
            assert admin.verify(foreign["secret"])["reason"] == "unknown"
        assert house.root.verify(foreign["secret"])["valid"] is True
