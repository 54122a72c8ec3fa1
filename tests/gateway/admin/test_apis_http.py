"""`/v1/apis` over HTTP: the document of an API, rule by rule."""

from __future__ import annotations

from typing import Any

import pytest
from engine_bed import OPERATOR
from server.server_bed import House, problem
from session_bed import ONE
from upstream_bed import GROUP, ORIGIN, OTHER_ORIGIN, api, made

from keyrack.gateway.admin.api_fields import METHODS
from keyrack.gateway.admin.apis import Apis
from keyrack.vault.secrets import Vault

PLACE = "/v1/apis/chat/v1"
WHOLE = api(
    active=True,
    api_public=False,
    api_credits_enabled=True,
    api_allowed_headers=["Accept", "X-Trace"],
    api_response_headers=["Content-Type", "content-type"],
    api_allowed_retry_count=2,
    api_usage_pointers={"input": "/usage/in", "output": "/usage/out~1side"},
)


@pytest.mark.spec("UG-1", "UG-41")
def test_an_api_is_made_looked_at_listed_and_deleted(house: House) -> None:
    made(house)
    answer = house.root("POST", "/v1/apis", WHOLE)
    assert answer.status_code == 201
    shown = answer.json()
    assert {name: shown[name] for name in WHOLE} == {
        **WHOLE,
        "api_allowed_headers": ["accept", "x-trace"],
        "api_response_headers": ["content-type"],
    }
    assert answer.headers["etag"] == f'"{shown["revision"]}"'
    assert house.root("GET", PLACE).json() == shown
    assert house.root("GET", "/v1/apis").json() == {"data": [shown], "next_cursor": None}
    gone = house.root("DELETE", PLACE)
    assert (gone.status_code, gone.content) == (204, b"")
    for method, body in (("GET", None), ("PUT", {}), ("DELETE", None)):
        assert problem(house.root(method, PLACE, body)) == (404, "api_not_found")
    assert house.root("POST", "/v1/apis", WHOLE).status_code == 201


@pytest.mark.spec("UG-41")
def test_what_is_left_out_has_its_default_and_what_is_left_out_of_a_change_stays(house: House) -> None:
    wish = {"api_name": "chat", "api_version": "v1", "api_servers": [ORIGIN]}
    shown = house.root("POST", "/v1/apis", wish).json()
    defaults = {
        "active": True,
        "api_public": False,
        "api_credits_enabled": False,
        "api_credit_group": None,
        "api_allowed_headers": [],
        "api_response_headers": [],
        "api_allowed_retry_count": 0,
        "endpoints": [],
    }
    assert {name: shown[name] for name in defaults} == defaults
    changed = house.root("PUT", PLACE, {"active": False}).json()
    assert {**changed, "active": True, "revision": 0, "updated_at": None} == {**shown, "revision": 0}
    head = house.head()
    assert house.root("PUT", PLACE, {"active": False}).json() == changed
    assert house.head() == head


ENDPOINT = {"method": "GET", "uri": "/a", "scope": "a:b"}


@pytest.mark.spec("UG-40", "UG-41")
@pytest.mark.parametrize("method", METHODS)
def test_a_method_that_was_applied_at_the_store_is_shown_and_taken_over_http(
    house: House, method: str
) -> None:
    endpoints = [{**ENDPOINT, "method": method, "cost": 1}]
    document = api(api_credit_group=None, endpoints=endpoints)
    Apis(house.verifier.stores, Vault(ONE), spread=house.verifier.spread).create(document, by=OPERATOR)
    listed = house.root("GET", "/v1/apis").json()["data"]
    shown = [house.root("GET", PLACE), house.root("PUT", PLACE, {"endpoints": endpoints})]
    assert [one["endpoints"] for one in (*listed, *(answer.json() for answer in shown))] == [endpoints] * 3
    assert house.root("POST", "/v1/apis", {**document, "api_version": "v2"}).status_code == 201


@pytest.mark.spec("UG-41")
@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"api_name": "a/b"}, "api_name"),
        ({"api_version": "1"}, "api_version"),
        ({"api_version": "v"}, "api_version"),
        ({"api_version": "v1.2"}, "api_version"),
        ({"api_servers": []}, "api_servers"),
        ({"api_servers": ["ws://a.example"]}, "api_servers.0"),
        ({"api_servers": ["https://"]}, "api_servers.0"),
        ({"api_servers": ["https://a.example:0"]}, "api_servers.0"),
        ({"api_servers": ["https://a.example:65536"]}, "api_servers.0"),
        ({"api_servers": ["https://a.example:"]}, "api_servers.0"),
        ({"api_servers": ["https://user@a.example"]}, "api_servers.0"),
        ({"api_servers": ["https://a.example/?a=b"]}, "api_servers.0"),
        ({"api_servers": ["https://a.example/#top"]}, "api_servers.0"),
        ({"api_servers": ["https://a.example/a/../b"]}, "api_servers.0"),
        ({"api_servers": ["https://a.example//b"]}, "api_servers.0"),
        ({"api_servers": ["https://a.example/%2e"]}, "api_servers.0"),
        ({"api_servers": ["https://a.example\\b"]}, "api_servers.0"),
        ({"api_servers": ["https://0x7f000001"]}, "api_servers.0"),
        ({"api_servers": ["https://2130706433"]}, "api_servers.0"),
        ({"api_servers": ["https://127.1"]}, "api_servers.0"),
        ({"api_servers": ["https://[::1%25eth0]"]}, "api_servers.0"),
        ({"api_servers": ["https://é.example"]}, "api_servers.0"),
        ({"api_servers": [ORIGIN, "nowhere"]}, "api_servers.1"),
        ({"active": "yes"}, "active"),
        ({"api_public": None}, "api_public"),
        ({"api_credits_enabled": True, "api_credit_group": None}, "api_credit_group"),
        ({"api_credit_group": "a b"}, "api_credit_group"),
        ({"api_allowed_headers": ["a b"]}, "api_allowed_headers.0"),
        ({"api_response_headers": [""]}, "api_response_headers.0"),
        ({"api_allowed_retry_count": 6}, "api_allowed_retry_count"),
        ({"api_allowed_retry_count": -1}, "api_allowed_retry_count"),
        ({"api_usage_pointers": {"input": "usage"}}, "api_usage_pointers.input"),
        ({"api_usage_pointers": {"all": "/usage"}}, "api_usage_pointers.all"),
        ({"endpoints": [{**ENDPOINT, "method": "TRACE"}]}, "endpoints.0.method"),
        ({"endpoints": [{**ENDPOINT, "method": "get"}]}, "endpoints.0.method"),
        ({"endpoints": [{**ENDPOINT, "uri": "a"}]}, "endpoints.0.uri"),
        ({"endpoints": [{**ENDPOINT, "uri": "/a{b}"}]}, "endpoints.0.uri"),
        ({"endpoints": [{**ENDPOINT, "uri": "/{rest:path}"}]}, "endpoints.0.uri"),
        ({"endpoints": [{**ENDPOINT, "uri": "/a//b"}]}, "endpoints.0.uri"),
        ({"endpoints": [{**ENDPOINT, "uri": "/../b"}]}, "endpoints.0.uri"),
        ({"endpoints": [{**ENDPOINT, "scope": "a"}]}, "endpoints.0.scope"),
        ({"endpoints": [{"method": "GET", "uri": "/a"}]}, "endpoints.0.scope"),
        ({"endpoints": [{**ENDPOINT, "cost": 1001}]}, "endpoints.0.cost"),
        ({"endpoints": [{**ENDPOINT, "cost": -1}]}, "endpoints.0.cost"),
        ({"endpoints": [{**ENDPOINT, "uri": "/{a}"}, {**ENDPOINT, "uri": "/{b}"}]}, "endpoints"),
        ({"color": "red"}, "color"),
    ],
    ids=lambda value: str(value)[:60],
)
def test_a_field_outside_its_rule_is_refused_by_its_name(
    house: House, given: dict[str, Any], field: str
) -> None:
    before = house.head()
    answer = house.root("POST", "/v1/apis", api(**{"api_credit_group": None, **given}))
    assert problem(answer) == (422, "validation_error")
    assert field in answer.json()["details"]["fields"]
    assert house.head() == before


@pytest.mark.spec("UG-41")
@pytest.mark.parametrize(
    ("server", "kept"),
    [
        ("https://a.example", "https://a.example:443"),
        ("HTTP://A.Example/", "http://a.example:80"),
        ("http://10.0.0.1:8080/base/", "http://10.0.0.1:8080/base"),
        ("http://[2001:DB8::1]:9", "http://[2001:db8::1]:9"),
    ],
)
def test_a_server_is_kept_in_one_form(house: House, server: str, kept: str) -> None:
    answer = house.root("POST", "/v1/apis", api(api_credit_group=None, api_servers=[server, server]))
    assert answer.json()["api_servers"] == [kept]


@pytest.mark.spec("UG-39", "UG-4")
def test_what_is_public_cannot_be_charged(house: House) -> None:
    made(house)
    both = api(api_public=True, api_credits_enabled=True)
    assert problem(house.root("POST", "/v1/apis", both)) == (422, "public_and_charged")
    assert house.root("POST", "/v1/apis", api(api_public=True)).status_code == 201
    charged = house.root("PUT", PLACE, {"api_credits_enabled": True})
    assert problem(charged) == (422, "public_and_charged")
    assert house.root("GET", PLACE).json()["api_credits_enabled"] is False
    changed = house.root("PUT", PLACE, {"api_credits_enabled": True, "api_public": False})
    assert changed.status_code == 200


@pytest.mark.spec("UG-41", "UG-4")
def test_the_group_has_to_be_there_and_the_servers_among_its_origins(house: House) -> None:
    assert problem(house.root("POST", "/v1/apis", api())) == (404, "group_not_found")
    made(house, api_key_origins=[ORIGIN])
    away = house.root("POST", "/v1/apis", api(api_servers=[ORIGIN, OTHER_ORIGIN]))
    assert problem(away) == (422, "validation_error")
    assert list(away.json()["details"]["fields"]) == ["api_servers"]
    assert house.root("POST", "/v1/apis", api()).status_code == 201
    assert problem(house.root("POST", "/v1/apis", api())) == (409, "api_exists")
    assert house.root("GET", f"/v1/credits/{GROUP}").json()["api_key_origins"] == [ORIGIN]


def test_name_and_version_are_fixed(house: House) -> None:
    house.root("POST", "/v1/apis", api(api_credit_group=None))
    for given in ({"api_name": "other"}, {"api_version": "v2"}):
        answer = house.root("PUT", PLACE, given)
        assert problem(answer) == (422, "validation_error")
        assert list(answer.json()["details"]["fields"]) == list(given)
    assert house.root("PUT", PLACE, {"api_name": "chat", "api_version": "v1"}).status_code == 200


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_a_stale_revision_changes_nothing(house: House, method: str) -> None:
    shown = house.root("POST", "/v1/apis", api(api_credit_group=None)).json()
    body = {"active": False} if method == "PUT" else None
    stale = {"if-match": f'"{shown["revision"] - 1}"'}
    assert problem(house.root(method, PLACE, body, headers=stale)) == (412, "precondition_failed")
    assert house.root("GET", PLACE).json() == shown
    current = {"if-match": f'"{shown["revision"]}"'}
    assert house.root(method, PLACE, body, headers=current).status_code in (200, 204)


def test_apis_are_of_a_tenant_and_use_its_groups_alone(house: House) -> None:
    house.root("POST", "/v1/tenants", {"id": "acme"})
    made(house)
    theirs = house.holder("upstreams:manage", "upstreams:read", tenant="acme")
    assert problem(theirs("POST", "/v1/apis", api())) == (404, "group_not_found")
    assert theirs("POST", "/v1/apis", api(api_credit_group=None)).json()["tenant"] == "acme"
    assert problem(house.root("GET", PLACE)) == (404, "api_not_found")
    assert house.root("GET", PLACE, params={"tenant": "acme"}).json()["tenant"] == "acme"
    assert problem(theirs("GET", PLACE, params={"tenant": "default"})) == (403, "insufficient_scope")
    assert problem(house.root("POST", "/v1/apis", api(), params={"tenant": "x"})) == (404, "not_found")
