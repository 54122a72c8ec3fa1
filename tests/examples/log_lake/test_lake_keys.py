"""Keys over HTTP: made, shown, changed, rotated, revoked, each within what its maker holds."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lake_bed import Clock, Lake, code, prepared
from lake_requests import EVERY_USE, KEYS, STREAM, fill, made

from keyrack.core.scopes import within

HEALTH = "/api/v1/health"
Json = dict[str, Any]


class TestCreating:
    @pytest.mark.spec("LL-38")
    def test_a_key_is_shown_whole_this_once(self, lake: Lake) -> None:
        root = lake.mint("*:*")
        body = {
            "keyName": "shipper",
            "expiresAt": "2030-02-01T12:00:00+01:00",
            "limits": [{"name": "burst", "limit": 5, "window_seconds": 1}],
            "networks": ["198.51.100.0/24"],
        }
        answer = lake.request("POST", KEYS, root.secret, json=body)
        shown = answer.json()
        lake.used.secrets.append(shown["apiKey"])
        assert answer.status_code == 201
        assert answer.headers["cache-control"] == "no-store"
        assert len(shown["keyId"]) == 12
        assert shown["apiKey"].startswith(f"lake_live_{shown['keyId']}")
        expected = {
            "keyName": "shipper",
            "keyType": "ingestion",
            "scopes": ["streams/*:ingest"],
            "createdBy": f"key:{root.key.id}",
            "createdAt": "2030-01-01T12:00:00Z",
            "modifiedAt": "2030-01-01T12:00:00Z",
            "tenant": "default",
            "expiresAt": "2030-02-01T11:00:00Z",
        }
        assert {name: shown[name] for name in expected} == expected
        fill(lake, key=shown["apiKey"])

    @pytest.mark.spec("LL-10", "LL-38")
    @pytest.mark.parametrize(
        ("body", "key_type", "scopes"),
        [
            ({}, "ingestion", ["streams/*:ingest"]),
            ({"keyType": "ingestion"}, "ingestion", ["streams/*:ingest"]),
            ({"keyType": "query"}, "query", ["streams/*:query"]),
            ({"streams": ["a", "b"]}, "ingestion", ["streams/a:ingest", "streams/b:ingest"]),
            ({"keyType": "query", "streams": ["a"]}, "query", ["streams/a:query"]),
            ({"scopes": ["streams/a:query", "keys:manage"]}, None, ["streams/a:query", "keys:manage"]),
            ({"scopes": []}, None, []),
        ],
    )
    def test_a_type_gives_the_scopes_of_its_preset_and_scopes_give_themselves(
        self, lake: Lake, body: Json, key_type: str | None, scopes: list[str]
    ) -> None:
        shown = made(lake, lake.key(), **body)
        assert (shown["keyType"], shown["scopes"]) == (key_type, scopes)

    @pytest.mark.spec("LL-10", "LL-38", "LL-3")
    @pytest.mark.parametrize(
        ("body", "status", "field"),
        [
            ({"streams": []}, 422, "streams"),
            ({"streams": ["*"]}, 422, "streams"),
            ({"streams": ["a/b"]}, 422, "streams"),
            ({"keyType": "query", "scopes": ["keys:manage"]}, 422, "keyType"),
            ({"streams": ["a"], "scopes": ["keys:manage"]}, 422, "streams"),
            ({"scopes": ["everything"]}, 422, "scopes"),
            ({"keyName": ""}, 422, "keyName"),
            ({"expiresAt": "2031-01-01T00:00:00"}, 422, "expiresAt"),
            ({"expiresAt": "2029-01-01T00:00:00Z"}, 422, "expiresAt"),
            ({"networks": ["10.0.0.1/8"]}, 422, "networks.0"),
            ({"limits": [{"name": "a", "limit": 0, "window_seconds": 1}]}, 422, "limits.0.limit"),
            ({"keyType": "admin"}, 400, "keyType"),
            ({"keyName": None}, 400, "keyName"),
            ({"owner": "ann"}, 400, "owner"),
        ],
    )
    def test_what_is_wrong_with_a_wish_is_named(
        self, lake: Lake, body: Json, status: int, field: str
    ) -> None:
        answer = lake.request("POST", KEYS, lake.key(), json={"keyName": "a", **body})
        assert (answer.status_code, list(answer.json()["details"]["fields"])) == (status, [field])

    @pytest.mark.spec("LL-40")
    def test_a_name_is_unique_among_the_live_keys_of_its_tenant(self, lake: Lake, clock: Clock) -> None:
        root = lake.key()
        lake.tenant("acme")
        expires = (clock() + timedelta(hours=1)).isoformat()

        def named(name: str, **body: Any) -> Any:
            return lake.request("POST", KEYS, root, json={"keyName": name, **body})

        first = named("a").json()["keyId"]
        assert code(named("a")) == "name_taken"
        assert named("a", tenant="acme").status_code == 201
        lake.request("POST", f"{KEYS}/{first}/disable", root)
        assert code(named("a")) == "name_taken"
        lake.request("DELETE", f"{KEYS}/{first}", root)
        assert named("a").status_code == 201
        second = named("b", expiresAt=expires).json()["keyId"]
        renamed = lake.request("PATCH", f"{KEYS}/{second}", root, json={"keyName": "a"})
        assert (renamed.status_code, code(renamed)) == (409, "name_taken")
        clock.pass_time(hours=1)
        assert named("b").status_code == 201

    @pytest.mark.spec("LL-40")
    def test_one_of_two_keys_of_a_name_that_are_made_at_once_on_two_nodes_is_made(
        self, two_nodes: tuple[Lake, Lake]
    ) -> None:
        keys = [node.key() for node in two_nodes]
        for number in range(5):
            requests = [
                (node, prepared("POST", KEYS, key, json={"keyName": f"same {number}"}))
                for node, key in zip(two_nodes, keys, strict=True)
            ]
            statuses = simultaneous(requests)
            assert sorted(statuses) == [201, 409]


def simultaneous(requests: list[tuple[Lake, Any]]) -> list[int]:
    """The statuses of requests that different nodes get at the same time."""
    with ThreadPoolExecutor(len(requests)) as pool:
        futures = [pool.submit(node.send, request) for node, request in requests]
        return [future.result()[0].status_code for future in futures]


class TestReading:
    @pytest.mark.spec("LL-39", "LL-13")
    def test_a_key_is_shown_masked_with_its_state_and_use(self, lake: Lake, clock: Clock) -> None:
        root = lake.key()
        key = made(lake, root, scopes=["health:read"])
        clock.pass_time(minutes=1)
        lake.request("GET", HEALTH, key["apiKey"])
        lake.request("POST", f"{KEYS}/{key['keyId']}/rotation", root)
        lake.service.verifier.notebook.flush(lake.service.verifier.stores.journal)
        shown = lake.request("GET", f"{KEYS}/{key['keyId']}", root).json()
        assert shown["apiKey"].startswith(f"lake_live_{key['keyId'][:4]}…")
        assert len(shown["apiKey"]) == len("lake_live_") + 9
        assert (shown["status"], shown["lastUsedAt"]) == ("active", "2030-01-01T12:01:00Z")
        assert shown["rotation"]["state"] == "active"
        assert [version["uses"] for version in shown["rotation"]["versions"]] == [1, 0]
        assert set(shown) == set(key)
        listed = lake.request("GET", KEYS, root).json()["data"]
        assert [one for one in listed if one["keyId"] == key["keyId"]] == [shown]

    @pytest.mark.spec("LL-39")
    def test_no_operation_returns_a_secret_later(self, lake: Lake) -> None:
        root = lake.key()
        key = made(lake, root, scopes=["keys:manage"])
        path = f"{KEYS}/{key['keyId']}"
        answers = [
            lake.request("GET", path, root),
            lake.request("GET", KEYS, key["apiKey"]),
            lake.request("PATCH", path, root, json={"keyName": "renamed"}),
            lake.request("POST", f"{path}/disable", root),
            lake.request("POST", f"{path}/enable", root),
            lake.request("POST", f"{KEYS}/validate", root, json={"apiKey": key["apiKey"]}),
            lake.request("DELETE", path, root),
        ]
        assert {answer.status_code for answer in answers} == {200}
        assert not [answer for answer in answers if key["apiKey"][-38:] in answer.text]

    @pytest.mark.spec("LL-39", "LL-12")
    def test_keys_of_other_tenants_are_like_none_at_all(self, lake: Lake) -> None:
        lake.tenant("acme")
        foreign = lake.mint(tenant="acme").key.id
        manager = lake.key("keys:manage")
        for method, path, body in EVERY_USE:
            answers = [
                lake.request(method, f"{KEYS}/{key_id}{path}", manager, json=body)
                for key_id in (foreign, "x" * 12, "nothing")
            ]
            assert [answer.status_code for answer in answers] == [404] * 3, path
        listed = lake.request("GET", KEYS, manager).json()["data"]
        assert {one["tenant"] for one in listed} == {"default"}
        assert code(lake.request("GET", f"{KEYS}?tenant=acme", manager)) == "insufficient_scope"
        listed = lake.request("GET", f"{KEYS}?tenant=acme", lake.key()).json()["data"]
        assert [one["keyId"] for one in listed] == [foreign]


SCOPES = st.lists(
    st.sampled_from(
        ["streams/a:ingest", "streams/b:ingest", "streams/*:ingest", "streams/a:query", "health:read", "*:*"]
    ),
    max_size=3,
    unique=True,
)
EXAMPLES = settings(
    max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


class TestSubset:
    @pytest.mark.spec("LL-12")
    @given(held=SCOPES, wanted=SCOPES)
    @EXAMPLES
    def test_nobody_gives_more_than_they_hold(self, lake: Lake, held: list[str], wanted: list[str]) -> None:
        holder = lake.key("keys:manage", *held)
        may = within(wanted, ["keys:manage", *held])
        body = {"keyName": f"made by {holder[10:22]}", "scopes": wanted}
        made_one = lake.request("POST", KEYS, holder, json=body)
        assert made_one.status_code == (201 if may else 403)
        target = lake.mint()
        changed = lake.request("PATCH", f"{KEYS}/{target.key.id}", holder, json={"scopes": wanted})
        assert changed.status_code == (200 if may else 403)
        wide = lake.mint(*wanted)
        rotated = lake.request("POST", f"{KEYS}/{wide.key.id}/rotation", holder)
        assert rotated.status_code == (201 if may else 403)

    @pytest.mark.spec("LL-12")
    @pytest.mark.parametrize(
        ("held", "wanted"),
        [
            ({"networks": ["198.51.100.0/24"]}, {"networks": ["198.51.100.0/23"]}),
            ({"networks": ["198.51.100.0/24"]}, {}),
            ({"expires_at": "2030-06-01T00:00:00Z"}, {"expiresAt": "2030-06-02T00:00:00Z"}),
            ({"expires_at": "2030-06-01T00:00:00Z"}, {}),
            (
                {"limits": [{"name": "a", "limit": 50, "window_seconds": 60}]},
                {"limits": [{"name": "a", "limit": 51, "window_seconds": 60}]},
            ),
            ({"limits": [{"name": "a", "limit": 50, "window_seconds": 60}]}, {}),
        ],
    )
    def test_nobody_gives_more_time_places_or_requests(self, lake: Lake, held: Json, wanted: Json) -> None:
        holder = lake.key("keys:manage", "streams/*:ingest", **held)
        given = {{"expires_at": "expiresAt"}.get(name, name): value for name, value in held.items()}
        made(lake, holder, **given)
        refused = lake.request("POST", KEYS, holder, json={"keyName": "wider", **wanted})
        assert (refused.status_code, code(refused)) == (403, "insufficient_scope")
        assert refused.json()["details"]["not_held"] in (["networks"], ["expires_at"], ["limits"])

    @pytest.mark.spec("LL-12")
    def test_only_holders_of_tenants_manage_name_another_tenant(self, lake: Lake) -> None:
        lake.tenant("acme")
        manager = lake.key("keys:manage", "streams/*:ingest")
        body = {"keyName": "a", "tenant": "acme"}
        assert code(lake.request("POST", KEYS, manager, json=body)) == "insufficient_scope"
        assert made(lake, lake.key(), tenant="acme")["tenant"] == "acme"
        assert lake.request("POST", KEYS, lake.key(), json=body | {"tenant": "none"}).status_code == 404

    @pytest.mark.spec("LL-10", "LL-12")
    def test_a_tenant_serves_itself(self, lake: Lake) -> None:
        admin = lake.key_of("tenant-admin", tenant=lake.tenant("acme"))
        ingest = made(lake, admin, streams=[STREAM])
        query = made(lake, admin, keyType="query")
        assert ingest["tenant"] == query["tenant"] == "acme"
        fill(lake, key=ingest["apiKey"])
        assert lake.request("GET", "/api/v1/logstream", query["apiKey"]).status_code == 200
        assert lake.request("GET", "/api/v1/query/sessions", admin).status_code == 200
        assert lake.request("GET", "/api/v1/tenants", admin).status_code == 403
