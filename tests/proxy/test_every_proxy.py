"""What every proxy does under its shipped configuration: the same for the application and for the client."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import pytest
from guards.bed import Answer
from patience import eventually

from proxy.application import Application, application
from proxy.caller import Caller
from proxy.conftest import Street
from proxy.fronts import FRONTS, Front
from proxy.keys import BY

IDENTITY = ("x-keyrack-key-id", "x-keyrack-tenant", "x-keyrack-user", "x-keyrack-scopes")
SEPARATORS = "-_.!#$%&'*+^`|~"
"""Every character that a header's name may have beside letters and digits (RFC 9110, 5.6.2)."""
EVIL = "evil"
CONNECTIONS = 8


def read(street: Street) -> dict[str, list[str]]:
    """The headers of the last request as an application reads them that knows letters and digits alone."""
    found: dict[str, list[str]] = {}
    for name, value in street.app.last.headers:
        found.setdefault(re.sub(r"[^a-z0-9]", "-", name.lower()), []).append(value)
    return found


def aliases(name: str) -> list[str]:
    """Spellings of a name that some readers take for it, one with each separator, and mixed ones."""
    first, rest = name.split("-", 1)
    return [
        *(name.replace("-", one) for one in SEPARATORS),
        f"{first}_{rest}",
        f"{first}-{rest.replace('-', '_')}",
        name.upper(),
    ]


# What may pass


@pytest.mark.spec("UG-54")
@pytest.mark.spec("UG-51")
def test_the_upstream_sees_the_injected_key_once_and_not_the_callers(street: Street) -> None:
    text = street.keys.texts["good"]
    for headers in ([("X-API-Key", text)], [("Authorization", f"Bearer {text}")]):
        answer = street.front.ask(target="/chat/7?x=1", headers=headers)
        assert (answer.status, answer.body) == (200, b"served")
        assert street.app.last.values("X-Api-Key") == [street.keys.upstream_key]
        assert "authorization" not in read(street)
        assert text not in str(street.app.last.headers)
        assert street.keys.upstream_key not in str(answer)


@pytest.mark.spec("UG-51")
def test_the_application_is_told_whose_request_it_is_and_gets_no_credential(street: Street) -> None:
    assert street.ask("admin").body == b"served"
    told = read(street)
    assert {name: told[name] for name in IDENTITY} == {
        "x-keyrack-key-id": [street.keys.ids["admin"]],
        "x-keyrack-tenant": ["default"],
        "x-keyrack-user": ["Zo%C3%AB 100%25"],
        "x-keyrack-scopes": ["app:*"],
    }
    assert not {"authorization", "x-api-key"} & set(told)
    known = {*IDENTITY, "x-keyrack-status"}
    assert {name for name in told if name.startswith("x-keyrack")} <= known
    assert street.keys.texts["proxy"] not in str(street.app.last.headers)


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_method_target_and_body_arrive_as_they_were_sent(street: Street, method: str) -> None:
    body = b"x" * 300_000 if method in ("POST", "PUT", "PATCH") else b""
    answer = street.ask("good", method, "/a%20b/c?x=%2f&y=1", body=body)
    assert (answer.status, answer.body) == (200, b"" if method == "HEAD" else b"served")
    assert (street.app.last.method, street.app.last.target) == (method, "/a%20b/c?x=%2f&y=1")
    assert street.app.last.received == len(body)


def test_what_the_application_refuses_passes_as_it_is(street: Street) -> None:
    for status in (401, 403, 500, 503):
        street.app.status = status
        answer = street.ask("good")
        assert (answer.status, answer.body) == (status, b"served")


def test_the_client_is_told_nothing_that_is_for_the_application(street: Street) -> None:
    for answer in (street.ask("good"), street.chat()):
        assert not [name for name, _ in answer.headers if name.startswith(("x-keyrack", "x-api-key"))]


@pytest.mark.spec("UG-53")
@pytest.mark.parametrize("kind", ["application/json", "application/soap+xml", "application/grpc"])
def test_a_body_of_any_kind_is_injected_into_once_and_charged_once(street: Street, kind: str) -> None:
    before = street.keys.credits_of("ann")
    body, headers = b'{"query":"{me}"}', [("Content-Type", kind), ("TE", "trailers")]
    assert street.chat("good", "POST", headers=headers, body=body).status == 200
    assert street.app.last.values("X-Api-Key") == [street.keys.upstream_key]
    assert street.app.last.values("Content-Type") == [kind]
    assert street.keys.credits_of("ann") == before - 1
    # Envoy tells a gRPC client of a refusal in gRPC's own way, so its status says nothing here.
    street.chat("admin", "POST", headers=headers, body=body)
    assert len(street.app.seen) == 1
    assert street.keys.credits_of("ann") == before - 1


# What clients send in the name of others


@pytest.mark.spec("UG-51")
@pytest.mark.parametrize("name", ["good", "nobody's"])
def test_no_client_tells_the_application_who_it_is_by_any_spelling(street: Street, name: str) -> None:
    invented = [(spelt, EVIL) for one in IDENTITY for spelt in aliases(one)]
    assert street.ask(name, headers=invented).status == 200
    told = read(street)
    assert all(len(told[one]) == 1 for one in IDENTITY if one in told)
    assert EVIL not in str([told.get(one) for one in IDENTITY])
    assert told.get("x-keyrack-user", [""]) == (["ann"] if name == "good" else [""])


@pytest.mark.spec("UG-51")
def test_no_credential_and_no_upstream_key_slips_through_by_another_spelling(street: Street) -> None:
    spellings = [spelt for spelt in aliases("x-api-key") if spelt.lower() != "x-api-key"]
    for target in ("/logs", "/chat/7"):
        headers = [(spelt, EVIL) for spelt in spellings]
        assert street.ask("good", target=target, headers=headers).status == 200
        assert EVIL not in str(street.app.last.headers)
        expected = [street.keys.upstream_key] if target == "/chat/7" else None
        assert read(street).get("x-api-key") == expected


@pytest.mark.spec("UG-51")
@pytest.mark.parametrize("connection", ["close", "keep-alive", ""])
def test_what_is_named_in_connection_arrives_all_the_same(street: Street, connection: str) -> None:
    named = "X-Keyrack-Key-Id, x-keyrack-tenant, X-Keyrack-Scopes, X-Keyrack-User"
    listed = ", ".join(filter(None, [connection, named]))
    assert street.chat(headers=[("Connection", listed)]).status == 200
    told = read(street)
    assert told["x-keyrack-key-id"] == [street.keys.ids["good"]]
    assert told["x-keyrack-user"] == ["ann"]
    assert told["x-api-key"] == [street.keys.upstream_key]


@pytest.mark.spec("UG-51")
def test_a_key_that_is_named_in_connection_is_no_way_around_the_injected_one(street: Street) -> None:
    answer = street.chat(headers=[("Connection", "X-Api-Key, Authorization")])
    if answer.status == 200:
        assert street.app.last.values("X-Api-Key") == [street.keys.upstream_key]
    else:
        assert answer.code == "missing_credentials"
        assert street.app.seen == []


@pytest.mark.spec("UG-51")
def test_what_trails_a_body_tells_the_application_nothing(street: Street) -> None:
    key = ("X-API-Key", street.keys.texts["good"])
    trailing = [key, ("Transfer-Encoding", "chunked"), ("Trailer", "X-Keyrack-User, X-Api-Key")]
    with Caller(street.front.port) as connection:
        connection.begin("POST", "/logs", trailing)
        connection.send(b"5\r\nhello\r\n0\r\nX-Keyrack-User: evil\r\nX-Api-Key: evil\r\n\r\n")
        assert connection.answer("POST").status == 200
    assert street.app.last.received == 5
    assert EVIL not in str(street.app.last.headers)


@pytest.mark.spec("UG-50")
@pytest.mark.parametrize(
    "name",
    [
        "X-Keyrack-Scope",
        "X-Keyrack-Api",
        "X-Keyrack-Environments",
        "X-Keyrack-Proxy-Key",
        "X-Original-URI",
        "X-Original-Method",
        "X-Forwarded-Uri",
        "X-Forwarded-Method",
    ],
)
def test_no_client_speaks_to_keyrack_for_the_proxy(street: Street, name: str) -> None:
    for key, status in (("good", 200), ("scope", 403), (None, 401)):
        for values in (["logs:read"], ["logs:read", "app:read"]):
            assert street.ask(key, headers=[(name, value) for value in values]).status == status


def test_the_clients_address_is_that_of_its_connection(street: Street) -> None:
    invented = [("X-Forwarded-For", "127.0.0.7"), ("Forwarded", "for=127.0.0.7"), ("X-Real-IP", "127.0.0.7")]
    assert street.ask("network", headers=invented).code == "ip_denied"
    assert street.ask("network", source="127.0.0.7").status == 200


@pytest.mark.spec("UG-42")
@pytest.mark.parametrize("target", ["//admin", "/a//b", "/a/../admin", "/a%2fb", "/..%2fadmin", "/%2e%2e/x"])
def test_a_path_is_decided_on_as_it_is_sent_or_refused(street: Street, target: str) -> None:
    """Some proxies make a path plain before they ask; then they send it as they asked."""
    answer = street.ask("good", target=target)
    if answer.status == 200:
        assert not re.search(r"//|/\.|%2f|%2e|admin", street.app.last.target, re.IGNORECASE)
    else:
        assert answer.status in (400, 403, 404)
        assert street.app.seen == []


# What is refused


@pytest.mark.spec("UG-54")
@pytest.mark.spec("UG-52")
@pytest.mark.parametrize(
    ("name", "target", "status", "code"),
    [
        (None, "/logs", 401, "missing_credentials"),
        (None, "/chat/7", 401, "missing_credentials"),
        ("revoked", "/logs", 401, "key_revoked"),
        ("poor", "/chat/7", 402, "credits_exhausted"),
        ("scope", "/logs", 403, "insufficient_scope"),
        ("good", "/admin", 403, "insufficient_scope"),
        ("admin", "/chat/7", 403, "insufficient_scope"),
        ("good", "/chat/7/8", 404, "endpoint_not_found"),
        ("good", "/logs?api_key=x", 400, "invalid_request"),
    ],
)
def test_a_refusal_arrives_with_its_status_headers_and_body(
    street: Street, name: str | None, target: str, status: int, code: str
) -> None:
    answer = street.ask(name, target=target)
    assert (answer.status, answer.code) == (status, code)
    assert (answer.header("www-authenticate") is not None) == (status == 401)
    assert street.app.seen == []
    assert street.keys.upstream_key not in str(answer)


@pytest.mark.spec("UG-54")
@pytest.mark.spec("UG-52")
def test_a_limit_that_is_used_up_arrives_as_429_with_its_headers(street: Street) -> None:
    street.ask("rate")
    street.app.forget()
    answer = street.ask("rate")
    assert (answer.status, answer.code) == (429, "rate_limited")
    assert int(answer.header("retry-after") or 0) > 0
    assert answer.header("x-ratelimit-remaining") == "0"
    assert street.app.seen == []


def test_a_method_that_the_api_has_not_is_405(street: Street) -> None:
    answer = street.chat("good", "DELETE")
    assert (answer.status, answer.code) == (405, "method_not_allowed")
    assert street.app.seen == []


# Rotation


@pytest.mark.spec("UG-54")
def test_an_upstream_key_is_rotated_under_load_without_a_failed_request(street: Street) -> None:
    stores = street.keys.opened()
    desk = street.keys.upstreams(stores)
    old, new = street.keys.upstream_key, f"{street.keys.upstream_key}+"

    def ask(_: int) -> Answer:
        return street.chat()

    def seen() -> set[str]:
        return {value for one in list(street.app.seen) for value in one.values("X-Api-Key")}

    with ThreadPoolExecutor(CONNECTIONS) as pool:
        asked = [pool.submit(ask, number) for number in range(50)]
        desk.rotate("chat", {"api_key_new": new, "grace_seconds": 3600}, by=BY)
        asked += [pool.submit(ask, number) for number in range(50)]
        desk.promote("chat", destroy=True, by=BY)
        asked += [pool.submit(ask, number) for number in range(50)]
        assert {one.result().body for one in asked} == {b"served"}
    street.keys.upstream_key = new
    stores.close()
    assert seen() <= {old, new}
    assert all(len(one.values("X-Api-Key")) == 1 for one in street.app.seen)

    def sends_the_new_one() -> bool:
        street.app.forget()
        return street.chat().status == 200 and seen() == {new}

    eventually(sends_the_new_one)


# Trouble


class Stage(NamedTuple):
    """A proxy between an application and something that answers in Keyrack's place, until that is stopped."""

    front: Front
    keyrack: Application
    app: Application
    stop_keyrack: Callable[[], None]


@pytest.fixture(params=FRONTS)
def stage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stage]:
    with ExitStack() as outer, ExitStack() as inner:
        app, keyrack = outer.enter_context(application()), inner.enter_context(application())
        around = {"keyrack": keyrack.port, "app": app.port, "proxy_key": "kr_none"}
        front = outer.enter_context(FRONTS[request.param](tmp_path, **around))
        app.forget()
        yield Stage(front, keyrack, app, inner.close)


@pytest.mark.spec("UG-54")
@pytest.mark.spec("UG-52")
def test_whatever_else_keyrack_answers_and_when_it_is_down_nobody_passes(stage: Stage) -> None:
    # No connection is kept, so that afterwards there is none.
    stage.keyrack.headers = [("Connection", "close"), ("Location", "/"), ("X-Keyrack-User", "root")]
    for status in (302, 404, 418, 500, 503):
        stage.keyrack.status = status
        assert stage.front.ask("kr_live_x").status >= 300
    stage.stop_keyrack()
    for key in ("kr_live_x", None):
        assert stage.front.ask(key).status >= 500
    assert stage.app.seen == []
