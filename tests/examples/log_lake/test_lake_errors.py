"""Every way in which this service says no: one form, a stable code, and headers that say what to do."""

from __future__ import annotations

import asyncio
import gzip
import json
import sqlite3
from contextlib import closing
from typing import Any

import httpx
import pytest
from lake_bed import Lake, OpenLake, code, wrong
from lake_requests import KEYS, fill

from keyrack import Unavailable
from keyrack.server.app import create_app
from keyrack.settings import Settings as KeyrackSettings

HEALTH = "/api/v1/health"
INGEST = "/api/v1/ingest"
MEMBERS = {"type", "title", "status", "detail", "code", "details", "request_id"}
WEB = {"X-P-Stream": "web"}


def checked(answer: Any, status: int, expected: str) -> None:
    assert (answer.status_code, code(answer)) == (status, expected), answer.text
    assert set(answer.json()) == MEMBERS
    assert answer.json()["request_id"] == answer.headers["x-request-id"]
    assert ("www-authenticate" in answer.headers) == (status == 401)
    if status == 429:
        assert int(answer.headers["retry-after"]) >= 1


@pytest.mark.spec("LL-3")
def test_bodies_that_cannot_be_read(open_lake: OpenLake) -> None:
    lake = open_lake(LAKE_MAX_BODY="200")
    key = lake.key()
    declared = {"Content-Type": "application/json"}
    for body in (b"", b"{", b"\xff", b'{"keyName": "a", "keyName": "b"}', b"[]", b"7", b'{"keyName": 7}'):
        checked(lake.request("POST", KEYS, key, content=body, headers=declared), 400, "invalid_request")
    for kind in ("text/plain", "application/x-protobuf", ""):
        headers = {"Content-Type": kind}
        answer = lake.request("POST", KEYS, key, content=b"{}", headers=headers)
        checked(answer, 415, "unsupported_media_type")
    checked(lake.request("POST", INGEST, key, content=b"{}", headers=WEB), 415, "unsupported_media_type")
    large = json.dumps({"a": "x" * 200}).encode()
    packed = {"Content-Encoding": "gzip"}
    for body, more in ((large, {}), (gzip.compress(large), packed)):
        answer = lake.request("POST", INGEST, key, content=body, headers={**WEB, **declared, **more})
        checked(answer, 413, "payload_too_large")
    checked(lake.request("POST", KEYS, key, content=b"x" * 65537, headers=declared), 413, "payload_too_large")


@pytest.mark.spec("LL-3")
def test_credentials_that_are_not_good(lake: Lake) -> None:
    root = lake.key()
    revoked, disabled = lake.mint(), lake.mint()
    lake.request("DELETE", f"{KEYS}/{revoked.key.id}", root)
    lake.request("POST", f"{KEYS}/{disabled.key.id}/disable", root)
    for text, expected in (
        (None, "missing_credentials"),
        ("nonsense", "invalid_credentials"),
        (wrong(root), "invalid_credentials"),
        (revoked.secret, "key_revoked"),
        (disabled.secret, "key_disabled"),
    ):
        checked(lake.request("GET", HEALTH, text), 401, expected)


@pytest.mark.spec("LL-3")
def test_what_is_not_there_and_what_is_not_so(lake: Lake) -> None:
    root = lake.key()
    checked(lake.request("GET", f"{KEYS}/none", root), 404, "not_found")
    checked(lake.request("GET", "/nothing", root), 404, "not_found")
    checked(lake.request("PUT", HEALTH, root), 405, "method_not_allowed")
    lake.request("POST", KEYS, root, json={"keyName": "a"})
    checked(lake.request("POST", KEYS, root, json={"keyName": "a"}), 409, "name_taken")
    checked(lake.request("POST", f"{KEYS}/validate", root, json={}), 400, "invalid_request")


@pytest.mark.spec("LL-3")
def test_trouble_of_our_own_is_503(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    root = lake.key()
    fill(lake)

    def gone(*args: object) -> None:
        raise Unavailable("The storage cannot be used.")

    with monkeypatch.context() as patched:
        for name in ("put", "put_if_absent", "get", "list", "has_any"):
            patched.setattr(type(lake.service.storage), name, gone)
        checked(lake.request("POST", INGEST, root, json={"a": 1}, headers=WEB), 503, "unavailable")
        health = lake.request("GET", HEALTH, root)
        assert (health.status_code, health.json()["status"]) == (503, "down")
    lake.service.verifier.follower.abandon("The store is gone.")
    for method, path in (("GET", HEALTH), ("GET", KEYS), ("POST", INGEST)):
        checked(lake.request(method, path, root), 503, "unavailable")


@pytest.mark.spec("LL-3")
def test_a_fault_of_ours_is_500_and_says_nothing(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*args: object, **options: object) -> None:
        raise ZeroDivisionError("a secret thought")

    monkeypatch.setattr(type(lake.service.keys), "find", broken)
    answer = lake.request("GET", KEYS, lake.key())
    checked(answer, 500, "internal_error")
    assert "thought" not in answer.text


@pytest.mark.spec("LL-3", "LL-61")
def test_too_many_refused_credentials_of_one_address(lake: Lake) -> None:
    key = lake.key("health:read")
    answers = [lake.request("GET", HEALTH, wrong(key)) for _ in range(61)]
    assert [answer.status_code for answer in answers] == [401] * 60 + [429]
    checked(answers[60], 429, "rate_limited")
    assert answers[60].headers["x-ratelimit-limit"] == "60"
    assert {"ratelimit", "ratelimit-policy", "x-ratelimit-remaining"} < set(answers[60].headers)
    assert lake.request("GET", HEALTH, key).status_code == 200
    assert lake.request("GET", HEALTH, wrong(key), address="203.0.113.9").status_code == 401
    lake.clock.pass_time(seconds=62)
    assert lake.request("GET", HEALTH, wrong(key)).status_code == 401


@pytest.mark.spec("LL-61")
def test_a_limiter_that_cannot_be_read_refuses(open_lake: OpenLake, tmp_path: Any) -> None:
    path = tmp_path / "limiter.db"
    lake = open_lake(LAKE_LIMITER_URL=f"sqlite:///{path}")
    key = lake.key("health:read", limits=[{"name": "few", "limit": 9, "window_seconds": 60}])
    assert lake.request("GET", HEALTH, key).status_code == 200
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        checked(lake.request("GET", HEALTH, key), 503, "unavailable")
    assert lake.request("GET", HEALTH, key).status_code == 200


@pytest.mark.spec("LL-44")
@pytest.mark.parametrize(
    ("forwarded", "status"),
    [
        ([], 403),
        (["203.0.113.7"], 200),
        (["203.0.113.7, 198.51.100.7"], 200),
        (["203.0.113.7", "198.51.100.8"], 200),
        (["203.0.113.7, 192.0.2.1"], 403),
        (["192.0.2.1, 203.0.113.7"], 200),
    ],
)
def test_the_client_is_found_from_right_to_left_through_trusted_proxies(
    open_lake: OpenLake, forwarded: list[str], status: int
) -> None:
    trusted = open_lake(LAKE_TRUSTED_PROXIES="198.51.100.0/24")
    headers = [("X-Forwarded-For", line) for line in forwarded]
    for lake, expected in ((trusted, status), (open_lake(), 403)):
        key = lake.key("health:read", networks=["203.0.113.0/24"])
        assert lake.request("GET", HEALTH, key, headers=headers).status_code == expected


@pytest.mark.spec("LL-43", "LL-44")
def test_every_change_and_every_denial_says_who_where_and_why(open_lake: OpenLake) -> None:
    lake = open_lake(LAKE_TRUSTED_PROXIES="198.51.100.7")
    tenant = lake.tenant("acme")
    admin = lake.mint("keys:manage", "streams/*:ingest", tenant=tenant)
    sent = {"X-Forwarded-For": "203.0.113.7", "X-Request-ID": "r-1"}
    made = lake.request("POST", KEYS, admin.secret, json={"keyName": "a"}, headers=sent).json()
    lake.used.secrets.append(made["apiKey"])
    lake.request("GET", KEYS, made["apiKey"], headers=sent | {"X-Request-ID": "r-2"})
    for _ in range(3):
        lake.request("GET", KEYS, wrong(made["apiKey"]), headers=sent | {"X-Request-ID": "r-3"})
    events, denials = told(lake, lake.key("audit:read", tenant=tenant))
    event = next(one for one in events if one["request_id"] == "r-1")
    assert event | {"at": None, "number": None, "data": None} == {
        "number": None,
        "kind": "key.minted",
        "at": None,
        "actor": f"key:{admin.key.id}",
        "tenant": "acme",
        "subject": made["keyId"],
        "data": None,
        "request_id": "r-1",
        "address": "203.0.113.7",
    }
    assert {one["tenant"] for one in events} == {"acme"}
    assert [(one["reason"], one["key_id"], one["address"], one["request_id"]) for one in denials] == [
        ("scope", made["keyId"], "203.0.113.7", "r-2")
    ]
    _, everything = told(lake, lake.key("audit:read", "tenants:manage"))
    merged = next(one for one in everything if one["reason"] == "malformed")
    assert (merged["times"], merged["address"], merged["operation"]) == (3, "203.0.113.7", f"GET {KEYS}")


def told(lake: Lake, key: str) -> tuple[list[Any], list[Any]]:
    """What Keyrack's own server tells of the same store: events and denials."""
    lake.service.verifier.notebook.flush(lake.service.verifier.stores.journal)

    async def asked() -> list[Any]:
        transport = httpx.ASGITransport(create_app(KeyrackSettings(), lake.service.verifier))
        async with httpx.AsyncClient(transport=transport, base_url="http://keyrack") as client:
            headers = {"X-API-Key": key}
            return [
                (await client.get(f"/v1/{what}?limit=100", headers=headers)).json()["data"]
                for what in ("events", "denials")
            ]

    events, denials = asyncio.run(asked())
    return events, denials
