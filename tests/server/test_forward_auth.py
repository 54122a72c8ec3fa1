"""Forward-auth by itself: who may ask, what is asked, what is answered, and how nginx is told."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_network
from typing import Any
from urllib.parse import unquote

import pytest
from guards.bed import Answer, Bed, call_asgi
from hypothesis import given
from hypothesis import strategies as st
from patience import eventually

from keyrack import Authority, Limit
from keyrack.core.http import header_safe
from keyrack.core.model import Reason
from keyrack.server.app import create_app
from keyrack.settings import Listener, Settings
from keyrack.stores.journal import Refusal
from keyrack.tenancy import Tenants

PATH = "/v1/forward-auth"
PROXY = "127.0.0.1"
STRANGER = "192.0.2.7"
TRUSTED = "198.51.100.4"
INTERNAL = Listener("127.0.0.1", 8081)
SETTINGS = Settings(trusted_proxies=(ip_network("198.51.100.0/24"),), internal=INTERNAL)
Headers = list[tuple[str, str]]


@pytest.fixture
def bed() -> Iterator[Bed]:
    opened = Bed()
    yield opened
    opened.verifier.close()


def ask(
    bed: Bed,
    text: str | None = None,
    headers: Headers | None = None,
    *,
    method: str = "GET",
    query: str = "scope=logs:read",
    peer: str | None = PROXY,
    **scope: Any,
) -> Answer:
    """What a proxy is answered about a request with this key."""
    own = [("x-api-key", text)] if text else []
    app = create_app(SETTINGS, bed.verifier)
    return call_asgi(app, method, PATH, [*own, *(headers or [])], query=query, peer=peer, **scope)


def refusals(bed: Bed, times: int) -> list[Refusal]:
    """What the journal has of so many refusals."""
    journal = bed.verifier.stores.journal

    def written() -> list[Refusal]:
        bed.verifier.notebook.flush(journal)
        rows = [row for _, row in journal.refusals(after=0, most=10, tenant=None)]
        return rows if sum(row.times for row in rows) == times else []

    found: list[Refusal] = eventually(written)
    return found


def test_what_may_pass_is_200_with_the_identity_for_the_application(bed: Bed) -> None:
    key, text = bed.mint("logs:read", "logs:write", owner="ann")
    answer = ask(bed, text, [("x-request-id", "r-1")])
    assert (answer.status, answer.body) == (200, b"")
    assert dict(answer.headers) == {
        "x-keyrack-key-id": key.id,
        "x-keyrack-tenant": "default",
        "x-keyrack-user": "ann",
        "x-keyrack-scopes": "logs:read logs:write",
        "x-request-id": "r-1",
        "cache-control": "no-store",
        "content-length": "0",
    }


def test_every_identity_header_is_there_even_when_it_has_nothing_to_say(bed: Bed) -> None:
    assert ask(bed, bed.text("logs:read")).header("x-keyrack-user") == ""


def test_a_limited_answer_shows_its_limits(bed: Bed) -> None:
    text = bed.text("logs:read", limits=[Limit("second", 2, 1)])
    assert [ask(bed, text).header("x-ratelimit-remaining") for _ in range(2)] == ["1", "0"]
    limited = ask(bed, text)
    assert (limited.status, limited.code, limited.header("retry-after")) == (429, "rate_limited", "1")


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "BREW"])
def test_a_proxy_may_ask_with_any_method(bed: Bed, method: str) -> None:
    assert ask(bed, bed.text("logs:read"), method=method).status == 200


@given(st.text(max_size=20), st.text(max_size=20))
def test_no_two_names_look_alike_in_a_header(one: str, other: str) -> None:
    for name in (one, other):
        if name.isprintable():
            written = header_safe(name)
            assert written == written.strip(" ")
            assert written.isascii()
            assert unquote(written) == name
    assert one == other or header_safe(one) != header_safe(other)


def test_a_plain_name_stands_in_the_header_as_it_is() -> None:
    assert header_safe("Ann B. <ann@example.com>") == "Ann B. <ann@example.com>"
    assert header_safe(" 100% Zoë ") == "%20100%25 Zo%C3%AB%20"


# Who may ask


@pytest.mark.parametrize("peer", [PROXY, "127.8.8.8", "::1", "::ffff:127.0.0.1", TRUSTED])
def test_a_loopback_peer_and_a_trusted_proxy_may_ask(bed: Bed, peer: str) -> None:
    assert ask(bed, bed.text("logs:read"), peer=peer).status == 200


@pytest.mark.parametrize("peer", [STRANGER, "2001:db8::1", None])
def test_anybody_else_gets_401_whatever_key_comes_along_and_no_decision(bed: Bed, peer: str | None) -> None:
    bodies = set()
    for text in (bed.text("logs:read"), bed.text("logs:write"), "nonsense", None):
        answer = ask(bed, text, [("x-request-id", "same")], peer=peer)
        assert (answer.status, answer.code) == (401, "missing_credentials")
        bodies.add(answer.body)
    assert len(bodies) == 1
    assert {(one.reason, one.key_id) for one in refusals(bed, 4)} == {(Reason.MISSING, None)}


def test_who_asked_without_permission_is_noted_for_the_operator(bed: Bed) -> None:
    ask(bed, peer=STRANGER)
    (refusal,) = refusals(bed, 1)
    assert (refusal.reason, refusal.address) == (Reason.MISSING, STRANGER)
    assert refusal.operation == "forward-auth for a peer that is no trusted proxy"


def test_the_address_that_counts_is_the_connections_and_not_what_it_claims(bed: Bed) -> None:
    answer = ask(bed, bed.text("logs:read"), [("x-forwarded-for", PROXY)], peer=STRANGER)
    assert answer.status == 401


def test_on_the_internal_listener_anybody_may_ask(bed: Bed) -> None:
    assert ask(bed, bed.text("logs:read"), peer=STRANGER, server=INTERNAL).status == 200
    assert ask(bed, bed.text("logs:read"), peer=STRANGER, server=("127.0.0.1", 8080)).status == 401


def test_a_proxy_with_a_key_of_its_own_may_ask_from_anywhere(bed: Bed) -> None:
    proxy = [("X-Keyrack-Proxy-Key", bed.text("gateway:authorize"))]
    assert ask(bed, bed.text("logs:read"), proxy, peer=STRANGER).status == 200
    assert ask(bed, None, proxy, peer=STRANGER).code == "missing_credentials"


@pytest.mark.parametrize("peer", [STRANGER, PROXY])
def test_a_proxy_key_that_is_no_good_gets_no_decision_from_anywhere(bed: Bed, peer: str) -> None:
    for bad in (bed.text("logs:read"), "nonsense", ""):
        answer = ask(bed, bed.text("logs:read"), [("x-keyrack-proxy-key", bad)], peer=peer)
        assert (answer.status, answer.code) == (401, "missing_credentials")


def test_a_proxy_key_is_held_to_its_networks_by_the_connection(bed: Bed) -> None:
    proxy = [("x-keyrack-proxy-key", bed.text("gateway:authorize", networks=["198.51.100.4/32"]))]
    assert ask(bed, bed.text("logs:read"), proxy, peer=TRUSTED).status == 200
    claimed = [*proxy, ("x-forwarded-for", TRUSTED)]
    assert ask(bed, bed.text("logs:read"), claimed, peer=STRANGER).status == 401


def test_a_proxy_key_beyond_its_limit_is_429_and_blames_no_caller(bed: Bed) -> None:
    proxy = [("x-keyrack-proxy-key", bed.text("gateway:authorize", limits=[Limit("one", 1, 60)]))]
    text = bed.text("logs:read")
    assert ask(bed, text, proxy, peer=STRANGER).status == 200
    assert ask(bed, text, proxy, peer=STRANGER).code == "rate_limited"


def test_while_nothing_can_be_decided_a_proxy_key_is_503_and_never_401(bed: Bed) -> None:
    proxy = [("x-keyrack-proxy-key", bed.text("gateway:authorize"))]
    bed.verifier.follower.abandon("The store is gone.")
    assert ask(bed, None, proxy, peer=STRANGER).code == "unavailable"


# What is asked


@pytest.mark.parametrize("query", ["", "scope", "scope=", "scope=logs", "scope=logs:read&scope=logs:read"])
def test_the_scope_is_named_exactly_once_and_is_one(bed: Bed, query: str) -> None:
    for text in (bed.text("*:*"), None):
        assert ask(bed, text, query=query).code == "invalid_request"


def test_the_scope_may_come_in_a_header_instead_and_never_beside_the_query(bed: Bed) -> None:
    text, told = bed.text("logs:read"), [("x-keyrack-scope", "logs:read")]
    assert ask(bed, text, told, query="").status == 200
    assert ask(bed, text, told, query="scope=logs:read").code == "invalid_request"
    assert ask(bed, text, [("x-keyrack-scope", "logs:write")], query="").code == "insufficient_scope"


@pytest.mark.parametrize("listed", ["logs:read,logs:write", "logs:read+logs:write", "logs:read%20logs:write"])
def test_several_scopes_are_all_needed(bed: Bed, listed: str) -> None:
    assert ask(bed, bed.text("logs:read", "logs:write"), query=f"scope={listed}").status == 200
    refused = ask(bed, bed.text("logs:read"), query=f"scope={listed}")
    assert refused.json()["details"]["missing_scopes"] == ["logs:write"]


@pytest.mark.parametrize(
    "name",
    [
        "x-keyrack-proxy-key",
        "x-keyrack-scope",
        "x-keyrack-api",
        "x-keyrack-environments",
        "x-keyrack-service",
        "x-original-uri",
        "x-forwarded-uri",
        "x-original-method",
        "x-forwarded-method",
        "x-forwarded-host",
    ],
)
def test_what_only_a_proxy_says_is_refused_when_it_is_said_twice(bed: Bed, name: str) -> None:
    answer = ask(bed, bed.text("logs:read"), [(name, "/a"), (name, "/a")])
    assert (answer.status, answer.code) == (400, "invalid_request")
    assert name in answer.json()["detail"]


def test_keys_of_other_environments_pass_only_where_the_proxy_says_so(bed: Bed) -> None:
    text = bed.text("logs:read", environment="test")
    assert ask(bed, text).code == "invalid_credentials"
    assert ask(bed, text, [("x-keyrack-environments", "live, test")]).status == 200
    assert ask(bed, text, [("x-keyrack-environments", "live,Test!")]).code == "invalid_request"


@pytest.mark.parametrize(
    ("name", "value"),
    [("x-keyrack-environments", ",".join(["live"] * 11)), ("x-keyrack-service", "q" * 5000)],
)
def test_no_more_is_asked_than_a_proxy_would(bed: Bed, name: str, value: str) -> None:
    """What was asked is kept, and a careless proxy lets its clients say it."""
    assert ask(bed, bed.text("logs:read"), [(name, value)]).code == "invalid_request"


def test_a_tenant_is_suspended_for_the_service_that_the_proxy_names(bed: Bed) -> None:
    by = Authority.operator("tests")
    Tenants(bed.verifier.stores, spread=bed.verifier.spread).suspend("default", "query", by=by)
    text = bed.text("logs:read")
    assert ask(bed, text).status == 200
    assert ask(bed, text, [("x-keyrack-service", "query")]).code == "tenant_suspended"


@pytest.mark.parametrize("name", ["x-original-uri", "x-forwarded-uri"])
def test_a_key_in_the_query_of_the_forwarded_request_is_refused(bed: Bed, name: str) -> None:
    text = bed.text("logs:read")
    assert ask(bed, text, [(name, "/logs?a=1&b=2")]).status == 200
    for target in ("/logs?api_key=x", "/logs?a=1&KEY=", "/?%74oken=x"):
        assert ask(bed, text, [(name, target)]).code == "invalid_request"


def test_a_key_in_the_query_of_the_question_is_refused(bed: Bed) -> None:
    answer = ask(bed, bed.text("logs:read"), query="scope=logs:read&api_key=x")
    assert (answer.status, answer.code) == (400, "invalid_request")


ODD = [
    "//admin",
    "/a//b",
    "/a/./b",
    "/a/../b",
    "/..",
    "/a/.",
    "/a/..;x/b",
    "/a/.;/b",
    "/;x/a",
    "/a%2fb",
    "/a%2Fb",
    "/a%5cb",
    "/a\\b",
    "/a/%2e%2e/b",
    "/a/.%2E/b",
    "/a%00b",
    "/a%0ab",
    "/a%7f",
    "/a\tb",
    "/a b",
    "/a%",
    "/a%4",
    "/a%zz",
    "/a#b",
    "//[",
    "*",
    "",
    "http://example.com/a",
]


@pytest.mark.parametrize("name", ["x-original-uri", "x-forwarded-uri"])
@pytest.mark.parametrize("target", ODD)
def test_a_path_that_could_be_read_in_two_ways_is_refused(bed: Bed, name: str, target: str) -> None:
    for text in (bed.text("*:*"), None):
        assert ask(bed, text, [(name, target)]).code == "invalid_request"


@pytest.mark.parametrize(
    "target",
    [
        "/",
        "/a/",
        "/a.b/..c/d..",
        "/.well-known/x",
        "/a%20b",
        "/100%25",
        "/caf%C3%A9",
        "/é",
        "/a;v=1/b",
        "/a?x=//../",
    ],
)
def test_every_other_path_passes(bed: Bed, target: str) -> None:
    assert ask(bed, bed.text("logs:read"), [("x-original-uri", target)]).status == 200


def test_a_client_is_known_by_what_trusted_proxies_say_and_by_nothing_else(bed: Bed) -> None:
    text = bed.text("logs:read", networks=["203.0.113.0/24"])
    forwarded = [("x-forwarded-for", "203.0.113.9")]
    assert ask(bed, text, forwarded, peer=TRUSTED).status == 200
    assert ask(bed, text, forwarded, peer=PROXY).code == "ip_denied"
    invented = [("x-forwarded-for", "203.0.113.9, 192.0.2.1")]
    assert ask(bed, text, invented, peer=TRUSTED).code == "ip_denied"


@pytest.mark.parametrize(
    "headers",
    [
        [("x-api-key", "{0}, {0}")],
        [("x-api-key", "{0},")],
        [("x-api-key", ", {0}")],
        [("x-api-key", "{0}"), ("x-api-key", "{0}")],
        [("authorization", "Bearer {0}, Bearer {0}")],
        [("authorization", "Bearer {0}"), ("x-api-key", "{0}")],
    ],
)
def test_credentials_that_a_proxy_joined_with_a_comma_are_several(bed: Bed, headers: Headers) -> None:
    text = bed.text("logs:read")
    assert (
        ask(bed, None, [(name, form.format(text)) for name, form in headers]).code == "ambiguous_credentials"
    )


@pytest.mark.parametrize(
    ("told", "operation"),
    [
        ([("x-original-method", "PATCH")], "forward-auth PATCH logs:read"),
        ([("x-forwarded-method", "GET")], "forward-auth GET logs:read"),
        ([("x-original-method", "get {secret}")], "forward-auth logs:read"),
        ([], "forward-auth logs:read"),
    ],
)
def test_the_journal_names_method_and_scope_and_never_the_path(
    bed: Bed, told: Headers, operation: str
) -> None:
    ask(bed, "nonsense", [*told, ("x-original-uri", "/secret/path")])
    (refusal,) = refusals(bed, 1)
    assert refusal.operation == operation
