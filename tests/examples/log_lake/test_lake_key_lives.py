"""Keys over HTTP once they are made: changed, stopped, rotated, revoked, asked about."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from lake_bed import Clock, Lake, code, wrong
from lake_requests import EVERY_USE, KEYS, made

from keyrack import Unavailable

HEALTH = "/api/v1/health"
LIMIT = {"name": "few", "limit": 1, "window_seconds": 60}
LIMIT_HEADERS = {
    "retry-after",
    "ratelimit",
    "ratelimit-policy",
    "x-ratelimit-limit",
    "x-ratelimit-remaining",
    "x-ratelimit-reset",
}
Json = dict[str, Any]


class TestChanging:
    @pytest.mark.spec("LL-39")
    def test_what_is_named_is_changed_and_the_rest_stays(self, lake: Lake) -> None:
        root = lake.key()
        key = made(lake, root, keyType="query", streams=["a"])
        path = f"{KEYS}/{key['keyId']}"
        changes: list[tuple[Json, Json]] = [
            ({"keyName": "b"}, {"keyName": "b"}),
            ({"streams": ["c", "d"]}, {"scopes": ["streams/c:query", "streams/d:query"]}),
            ({"streams": None}, {"scopes": ["streams/*:query"]}),
            ({"networks": ["10.0.0.0/8"]}, {"networks": ["10.0.0.0/8"]}),
            ({"expiresAt": "2031-01-01T00:00:00Z"}, {"expiresAt": "2031-01-01T00:00:00Z"}),
            ({"expiresAt": None}, {"expiresAt": None}),
            ({"limits": [LIMIT]}, {"limits": [LIMIT]}),
            ({"scopes": ["health:read"]}, {"scopes": ["health:read"], "keyType": None}),
        ]
        shown = lake.request("GET", path, root).json()
        for change, difference in changes:
            answer = lake.request("PATCH", path, root, json=change)
            assert answer.status_code == 200, answer.text
            shown |= difference
            assert answer.json() == shown
        refused = lake.request("PATCH", path, root, json={"streams": ["a"]})
        assert list(refused.json()["details"]["fields"]) == ["streams"]
        both = {"streams": ["a"], "scopes": []}
        assert lake.request("PATCH", path, root, json=both).status_code == 422

    @pytest.mark.spec("LL-13")
    def test_a_key_can_be_stopped_and_let_go_on(self, lake: Lake) -> None:
        root, key = lake.key(), lake.mint("health:read")
        for operation, status in (("disable", 401), ("enable", 200)):
            shown = lake.request("POST", f"{KEYS}/{key.key.id}/{operation}", root)
            assert shown.json()["status"] == {"disable": "disabled", "enable": "active"}[operation]
            assert lake.request("GET", HEALTH, key.secret).status_code == status

    @pytest.mark.spec("LL-13")
    def test_a_key_ends_when_it_was_to_end(self, lake: Lake, clock: Clock) -> None:
        key = lake.key("health:read", expires_at=clock() + timedelta(minutes=1))
        assert lake.request("GET", HEALTH, key).status_code == 200
        clock.pass_time(minutes=1)
        assert code(lake.request("GET", HEALTH, key)) == "key_expired"

    @pytest.mark.spec("LL-13")
    def test_a_rotated_key_keeps_its_id_and_its_older_secret_for_the_grace(
        self, lake: Lake, clock: Clock
    ) -> None:
        root = lake.key()
        key = made(lake, root, scopes=["health:read"])
        path = f"{KEYS}/{key['keyId']}/rotation"
        answer = lake.request("POST", path, root, json={"graceSeconds": 3600})
        fresh = answer.json()
        lake.used.secrets.append(fresh["apiKey"])
        assert (answer.status_code, answer.headers["cache-control"]) == (201, "no-store")
        assert fresh["keyId"] == key["keyId"]

        def statuses() -> list[int]:
            texts = (key["apiKey"], fresh["apiKey"])
            return [lake.request("GET", HEALTH, text).status_code for text in texts]

        assert statuses() == [200, 200]
        clock.pass_time(seconds=3599)
        assert statuses() == [200, 200]
        clock.pass_time(seconds=1)
        assert statuses() == [401, 200]
        assert code(lake.request("GET", HEALTH, key["apiKey"])) == "secret_retired"
        assert lake.request("POST", f"{path}/undo", root).status_code == 200
        assert statuses() == [200, 200]

    @pytest.mark.spec("LL-13")
    def test_grace_ends_early_by_promotion_and_a_new_secret_by_abort(self, lake: Lake) -> None:
        root = lake.key()
        for operation, expected in (("promote", [401, 200]), ("abort", [200, 401])):
            old = lake.mint("health:read")
            path = f"{KEYS}/{old.key.id}/rotation"
            fresh = lake.request("POST", path, root).json()["apiKey"]
            assert lake.request("POST", f"{path}/{operation}", root).status_code == 200
            found = [lake.request("GET", HEALTH, text).status_code for text in (old.secret, fresh)]
            assert found == expected

    @pytest.mark.spec("LL-13")
    @pytest.mark.parametrize("seconds", [0, 3599, 604801])
    def test_grace_is_between_an_hour_and_a_week(self, lake: Lake, seconds: int) -> None:
        path = f"{KEYS}/{lake.mint().key.id}/rotation"
        answer = lake.request("POST", path, lake.key(), json={"graceSeconds": seconds})
        assert (answer.status_code, list(answer.json()["details"]["fields"])) == (422, ["graceSeconds"])

    @pytest.mark.spec("LL-13", "LL-3")
    def test_a_key_has_limits_of_its_own(self, lake: Lake, clock: Clock) -> None:
        key = lake.key("health:read", limits=[LIMIT])
        passed = lake.request("GET", HEALTH, key)
        assert passed.headers["x-ratelimit-remaining"] == "0"
        refused = lake.request("GET", HEALTH, key)
        assert (refused.status_code, code(refused)) == (429, "rate_limited")
        assert {
            "retry-after",
            "ratelimit",
            "ratelimit-policy",
            "x-ratelimit-limit",
            "x-ratelimit-reset",
        } < set(refused.headers)
        clock.pass_time(seconds=int(refused.headers["retry-after"]))
        assert lake.request("GET", HEALTH, key).status_code == 200


class TestRevoking:
    @pytest.mark.spec("LL-41")
    def test_revoking_is_final_and_says_when_it_holds_everywhere(self, lake: Lake, clock: Clock) -> None:
        root, key = lake.key(), lake.mint("health:read")
        path = f"{KEYS}/{key.key.id}"
        told = lake.request("DELETE", path, root)
        assert told.status_code == 200
        assert set(told.json()) == {"keyId", "keyName", "message", "effectiveBy"}
        assert told.json()["keyName"] == key.key.name
        effective_by = datetime.fromisoformat(told.json()["effectiveBy"])
        assert effective_by - clock() == timedelta(seconds=15)
        assert code(lake.request("GET", HEALTH, key.secret)) == "key_revoked"
        assert lake.request("GET", path, root).json()["status"] == "revoked"
        assert lake.request("DELETE", path, root).status_code == 200
        for method, below, body in EVERY_USE:
            if method != "GET" and below:
                assert code(lake.request(method, path + below, root, json=body)) == "key_revoked"
        waited = lake.request("DELETE", f"{path}?wait=true", root).json()
        assert datetime.fromisoformat(waited["effectiveBy"]) == clock()

    @pytest.mark.spec("LL-42")
    def test_a_key_is_valid_while_it_works_and_is_of_this_tenant(self, lake: Lake) -> None:
        root = lake.key()
        foreign = lake.key(tenant=lake.tenant("acme"))
        good, disabled, revoked = (lake.mint() for _ in range(3))
        elsewhere = lake.key(networks=["203.0.113.0/24"])
        lake.request("POST", f"{KEYS}/{disabled.key.id}/disable", root)
        lake.request("DELETE", f"{KEYS}/{revoked.key.id}", root)

        def valid(text: str | None) -> bool:
            answer = lake.request("POST", f"{KEYS}/validate", root, json={"apiKey": text})
            assert (answer.status_code, set(answer.json())) == (200, {"valid"})
            return bool(answer.json()["valid"])

        assert [valid(text) for text in (good.secret, elsewhere)] == [True, True]
        refused = (
            foreign,
            disabled.secret,
            revoked.secret,
            wrong(str(good.secret)),
            "",
            "nothing",
            "é" * 600,
        )
        assert [valid(text) for text in refused] == [False] * 7

    @pytest.mark.spec("LL-42")
    def test_asking_is_limited_for_each_caller(self, lake: Lake, clock: Clock) -> None:
        asking = [lake.key("keys:manage") for _ in range(2)]
        body = {"apiKey": "lake_live_none"}

        def asked(by: str) -> int:
            return lake.request("POST", f"{KEYS}/validate", by, json=body).status_code

        assert [asked(asking[0]) for _ in range(61)] == [200] * 60 + [429]
        assert asked(asking[1]) == 200
        assert lake.request("GET", KEYS, asking[0]).status_code == 200
        clock.pass_time(seconds=61)
        assert asked(asking[0]) == 200

    @pytest.mark.spec("LL-42")
    def test_asking_while_keys_cannot_be_read_is_our_trouble(self, lake: Lake) -> None:
        key = lake.key(tenant=lake.tenant("acme"))
        manager = lake.key("keys:manage", tenant="acme")
        keys = lake.service.keys
        lake.service.verifier.follower.replica.tenants.pop("acme")
        with pytest.raises(Unavailable):
            keys.is_valid(key, tenant="acme")
        assert lake.request("POST", f"{KEYS}/validate", manager, json={"apiKey": key}).status_code == 503
