"""Records as JSON: every member that the API names, times in UTC with Z, and never a digest."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network

import pytest

from keyrack.core.events import Event, EventKind
from keyrack.core.model import Key, Limit, Reason, Secret, Status, Tenant, VersionState
from keyrack.presenting import event_json, key_json, page_json, refusal_json, tenant_json
from keyrack.stores.journal import Refusal, Use

NOW = datetime(2030, 1, 31, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def secret(
    number: int = 1, *, ends_at: datetime | None = None, state: VersionState = VersionState.LIVE
) -> Secret:
    return Secret(number, state, NOW - HOUR, "p1", b"digest-bytes", ends_at)


KEY = Key(
    id="AbCdEfGhIjKl",
    prefix="kr",
    environment="live",
    tenant="acme",
    name="deploy",
    scopes=("jobs:write",),
    created_at=NOW - HOUR,
    created_by="operator:ada",
    versions=(secret(),),
    ending="wxyz",
    revision=7,
)


def test_a_key_shows_every_member_of_the_api_and_nothing_else() -> None:
    assert list(key_json(KEY, {}, NOW)) == [
        "id", "prefix", "environment", "tenant", "name", "owner", "scopes", "preset", "role", "status",
        "hint", "expires_at", "networks", "limits", "credits", "metadata", "created_at", "created_by",
        "updated_at", "revoked_at", "revoked_reason", "revision", "rotation", "versions",
    ]  # fmt: skip


def test_values_are_plain_json_and_times_end_in_z() -> None:
    key = replace(
        KEY,
        networks=(ip_network("10.0.0.0/8"),),
        limits=(Limit("minute", 60, 60),),
        expires_at=NOW + HOUR,
        metadata={"team": "ops"},
    )
    shown = json.loads(json.dumps(key_json(key, {}, NOW)))
    assert shown["networks"] == ["10.0.0.0/8"]
    assert shown["limits"] == [{"name": "minute", "limit": 60, "window_seconds": 60}]
    assert shown["expires_at"] == "2030-01-31T13:00:00Z"
    assert shown["metadata"] == {"team": "ops"}
    assert shown["hint"] == "kr_live_AbCd…wxyz"


def test_no_digest_and_no_pepper_is_shown() -> None:
    shown = json.dumps(key_json(KEY, {}, NOW))
    assert "digest" not in shown
    assert "p1" not in shown


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        (KEY, "active"),
        (replace(KEY, expires_at=NOW), "expired"),
        (replace(KEY, expires_at=NOW + HOUR), "active"),
        (replace(KEY, status=Status.DISABLED, expires_at=NOW), "disabled"),
        (replace(KEY, status=Status.REVOKED, expires_at=NOW), "revoked"),
    ],
)
def test_the_status_is_what_a_decision_would_find_first(key: Key, expected: str) -> None:
    assert key_json(key, {}, NOW)["status"] == expected


@pytest.mark.parametrize(
    ("versions", "expected"),
    [
        ((secret(1),), "none"),
        ((secret(1, ends_at=NOW + HOUR), secret(2)), "active"),
        ((secret(1, ends_at=NOW), secret(2)), "expired"),
        ((secret(1, ends_at=NOW, state=VersionState.RETIRED), secret(2)), "none"),
    ],
)
def test_the_rotation_is_active_during_grace_and_expired_after_it(
    versions: tuple[Secret, ...], expected: str
) -> None:
    assert key_json(replace(KEY, versions=versions), {}, NOW)["rotation"] == expected


def test_each_version_has_its_own_use_and_one_past_its_end_counts_as_retired() -> None:
    key = replace(KEY, versions=(secret(1, ends_at=NOW), secret(2)))
    used = Use(KEY.id, 2, 5, NOW.timestamp() - 60, NOW.timestamp() - 1.5)
    old, new = key_json(key, {(KEY.id, 2): used}, NOW)["versions"]
    assert (old["state"], old["last_used_at"], old["uses"]) == ("retired", None, 0)
    assert (new["state"], new["last_used_at"], new["uses"]) == ("live", "2030-01-31T11:59:58Z", 5)


@pytest.mark.spec("UG-26")
def test_a_version_shows_where_it_was_used_from_within_thirty_days_the_last_first() -> None:
    at = NOW.timestamp()
    seen = {"192.0.2.1": at - 60, "2001:db8::/64": at - 5, "192.0.2.9": at - 30 * 24 * 3600}
    used = Use(KEY.id, 2, 5, at - 60, at, seen)
    [shown] = key_json(replace(KEY, versions=(secret(2),)), {(KEY.id, 2): used}, NOW)["versions"]
    assert shown["addresses"] == [
        {"address": "2001:db8::/64", "last_used_at": "2030-01-31T11:59:55Z"},
        {"address": "192.0.2.1", "last_used_at": "2030-01-31T11:59:00Z"},
    ]


def test_a_tenant_shows_every_member() -> None:
    tenant = Tenant("acme", "Acme", NOW, suspended=("ingest",), ends_at=NOW + HOUR, revision=3)
    assert tenant_json(tenant) == {
        "id": "acme",
        "name": "Acme",
        "suspended": ["ingest"],
        "starts_at": None,
        "ends_at": "2030-01-31T13:00:00Z",
        "limits": [],
        "quota": None,
        "metadata": {},
        "created_at": "2030-01-31T12:00:00Z",
        "updated_at": None,
        "deleted_at": None,
        "revision": 3,
    }


def test_an_event_shows_who_did_what_to_which() -> None:
    event = Event(EventKind.KEY_REVOKED, NOW, "operator:ada", "acme", KEY.id, {"reason": "lost"}, number=9)
    shown = event_json(event)
    assert (shown["number"], shown["kind"], shown["actor"]) == (9, "key.revoked", "operator:ada")
    assert (shown["subject"], shown["data"]) == (KEY.id, {"reason": "lost"})


@pytest.mark.parametrize("reason", list(Reason))
def test_a_denial_shows_its_public_code_and_its_exact_reason(reason: Reason) -> None:
    refusal = Refusal(NOW.timestamp(), reason, 3, "192.0.2.1", None, None, None, "GET /jobs", "r1")
    shown = refusal_json(refusal)
    assert shown["reason"] == reason.value
    assert shown["at"] == "2030-01-31T12:00:00Z"
    assert shown["code"]


def test_a_page_names_the_cursor_of_the_next_one_as_text() -> None:
    assert page_json([{"id": 1}], 12) == {"data": [{"id": 1}], "next_cursor": "12"}
    assert page_json([], None) == {"data": [], "next_cursor": None}
