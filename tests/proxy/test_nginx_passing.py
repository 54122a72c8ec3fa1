"""What reaches the application through nginx: the request as it was, the identity, and no credential."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator

import pytest
from patience import eventually

from proxy.caller import Caller
from proxy.conftest import Site

IDENTITY = {"x-keyrack-key-id", "x-keyrack-tenant", "x-keyrack-user", "x-keyrack-scopes"}
MEGABYTE = 1024 * 1024


def as_applications_read(name: str) -> str:
    """A header's name where all but letters and digits count as one, as in CGI and WSGI."""
    return re.sub(r"[^a-z0-9]", "-", name.lower())


def read(site: Site) -> dict[str, list[str]]:
    """The headers of the last request as such an application reads them."""
    found: dict[str, list[str]] = {}
    for name, value in site.app.last.headers:
        found.setdefault(as_applications_read(name), []).append(value)
    return found


def test_the_application_is_told_whose_request_it_is(site: Site) -> None:
    assert site.ask("admin").body == b"served"
    told = {name: values for name, values in read(site).items() if name in IDENTITY}
    assert told == {
        "x-keyrack-key-id": [site.keys.ids["admin"]],
        "x-keyrack-tenant": ["default"],
        "x-keyrack-user": ["Zo%C3%AB 100%25"],
        "x-keyrack-scopes": ["app:*"],
    }


@pytest.mark.parametrize("form", [("X-API-Key", "{}"), ("authorization", "bearer {}"), ("x-api-key", " {} ")])
def test_the_callers_credential_stays_outside(site: Site, form: tuple[str, str]) -> None:
    text = site.keys.texts["good"]
    assert site.ask(headers=[(form[0], form[1].format(text))]).status == 200
    assert not any(text in value for _, value in site.app.last.headers)
    assert {"authorization", "x-api-key"} & set(read(site)) == set()


@pytest.mark.parametrize(
    "form", ["X-KEYRACK-{}", "X_Keyrack_{}", "X-Keyrack_{}", "X.Keyrack.{}", "x-keyrack-{}"]
)
@pytest.mark.parametrize("part", ["Key-Id", "Key_Id", "Key.Id", "Tenant", "User", "Scopes"])
@pytest.mark.parametrize("name", ["good", "nobody's"])
def test_no_client_tells_the_application_who_it_is(site: Site, form: str, part: str, name: str) -> None:
    assert site.ask(name, headers=[(form.format(part), "root")]).status == 200
    for told in IDENTITY & set(read(site)):
        assert len(read(site)[told]) == 1
        assert "root" not in read(site)[told]


@pytest.mark.parametrize("name", ["X_API_KEY", "X.API.Key", "x-api_key", "Auth_orization"])
def test_no_credential_slips_through_under_a_name_that_looks_like_its_own(site: Site, name: str) -> None:
    assert site.ask("good", headers=[(name, "kr_live_other")]).status == 200
    assert not any("kr_live_other" in value for _, value in site.app.last.headers)


@pytest.mark.parametrize(
    "name",
    [
        "X-Keyrack-Scope",
        "X-Keyrack-Environments",
        "X-Keyrack-Service",
        "X-Keyrack-Proxy-Key",
        "X-Keyrack-Status",
        "X-Keyrack-Problem",
        "X-Original-URI",
        "X-Original-Method",
        "X-Forwarded-Uri",
        "X-Forwarded-Method",
    ],
)
def test_no_client_speaks_to_keyrack_for_nginx(site: Site, name: str) -> None:
    for key, status in (("good", 200), ("scope", 403), (None, 401)):
        for values in (["logs:read"], ["logs:read", "app:read"]):
            told = [(name, value) for value in values]
            assert site.ask(key, headers=told).status == status


@pytest.mark.parametrize("part", ["Scope", "Environments", "Service", "Proxy-Key", "Status", "Problem"])
def test_what_is_for_keyrack_does_not_reach_the_application(site: Site, part: str) -> None:
    assert site.ask("good", headers=[(f"X-Keyrack-{part}", "root")]).status == 200
    assert site.app.last.values(f"X-Keyrack-{part}") == []


def test_headers_that_are_named_in_connection_still_arrive(site: Site) -> None:
    listed = "X-Keyrack-Key-Id, x-keyrack-tenant, X-Keyrack-Scopes, X-Forwarded-For"
    for connection in (f"close, {listed}", f"keep-alive, {listed}", listed):
        assert site.ask("good", headers=[("Connection", connection)]).status == 200
        told = read(site)
        assert told["x-keyrack-key-id"] == [site.keys.ids["good"]]
        assert told["x-keyrack-tenant"] == ["default"]
        assert told["x-forwarded-for"] == ["127.0.0.1"]
        assert "connection" not in told


@pytest.mark.parametrize("name", ["X-Original-URL", "X-Rewrite-URL"])
def test_no_header_leads_the_application_to_another_path(site: Site, name: str) -> None:
    assert site.ask("good", headers=[(name, "/admin")]).status == 200
    assert site.app.last.values(name) == []


def test_the_clients_address_is_that_of_its_connection(site: Site) -> None:
    invented = [("X-Forwarded-For", "127.0.0.7"), ("Forwarded", "for=127.0.0.7"), ("X-Real-IP", "127.0.0.7")]
    assert site.ask("network", headers=invented).code == "ip_denied"
    assert site.ask("network", source="127.0.0.7").status == 200
    assert site.app.last.values("X-Forwarded-For") == ["127.0.0.7"]
    assert site.app.last.values("Forwarded") == []


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_every_method_arrives_as_it_was_sent(site: Site, method: str) -> None:
    answer = site.ask("good", method)
    assert (answer.status, answer.body) == (200, b"" if method == "HEAD" else b"served")
    assert site.app.last.method == method


@pytest.mark.parametrize(
    "target",
    ["/", "/a/", "/a%20b?x=%2f&y=/../", "/caf%C3%A9", "/a;v=1", "/100%25", "/.well-known/x?", "/a:b@c"],
)
def test_a_plain_target_arrives_byte_by_byte(site: Site, target: str) -> None:
    assert site.ask("good", target=target).status == 200
    assert site.app.last.target == target


def test_a_target_with_a_host_in_it_arrives_as_its_path(site: Site) -> None:
    assert site.ask("good", target="http://app.test/logs?x=1").status == 200
    assert site.app.last.target == "/logs?x=1"


@pytest.mark.parametrize("status", [400, 401, 403, 404, 429, 500, 503])
def test_what_the_application_answers_passes_as_it_is(site: Site, status: int) -> None:
    site.app.status = status
    site.app.headers = [
        ("Content-Type", "text/x-own"),
        ("WWW-Authenticate", "Own"),
        ("Cache-Control", "max-age=5"),
    ]
    answer = site.ask("good")
    assert (answer.status, answer.body) == (status, b"served")
    assert answer.header("content-type") == "text/x-own"
    assert answer.header("www-authenticate") == "Own"
    assert answer.header("cache-control") == "max-age=5"


def test_no_cache_keeps_what_the_application_said_nothing_about(site: Site) -> None:
    assert site.ask("good").header("cache-control") == "no-store"


def test_no_identity_goes_back_to_the_client(site: Site) -> None:
    names = {name for name, _ in site.ask("good").headers}
    assert names == {"content-length", "x-request-id", "cache-control"}


def test_limits_are_shown_by_keyrack_alone(site: Site) -> None:
    site.app.headers = [("X-RateLimit-Limit", "7"), ("RateLimit", '"own";r=1')]
    answer = site.ask("limited")
    assert answer.header("ratelimit-policy") == '"day";q=100000;w=86400'
    assert answer.header("x-ratelimit-limit") == "100000"
    assert (answer.header("ratelimit") or "").startswith('"day";r=')


@pytest.mark.parametrize("given", ["a-request.1", "b.1-" * 32])
def test_a_plain_request_id_is_kept_all_the_way(site: Site, given: str) -> None:
    site.app.headers = [("X-Request-ID", "own")]
    for name in ("good", "scope"):
        assert site.ask(name, headers=[("X-Request-ID", given)]).header("x-request-id") == given
    assert site.app.last.values("X-Request-ID") == [given]


@pytest.mark.parametrize("given", [["no blanks"], ["b" * 129], ["one", "two"], ['"quoted"'], []])
def test_any_other_request_id_is_replaced_everywhere(site: Site, given: list[str]) -> None:
    sent = [("X-Request-ID", one) for one in given]
    made = site.ask("good", headers=sent).header("x-request-id") or ""
    assert re.fullmatch("[0-9a-f]{32}", made)
    assert site.app.last.values("X-Request-ID") == [made]
    refused = site.ask("scope", headers=sent)
    assert refused.json()["request_id"] == refused.header("x-request-id") not in given


def test_a_key_of_a_hundred_long_scopes_passes(site: Site) -> None:
    assert site.ask("many").status == 200
    (told,) = site.app.last.values("X-Keyrack-Scopes")
    assert len(told) > 19_000


# Bodies and connections


@pytest.fixture
def connection(site: Site) -> Iterator[Caller]:
    with Caller(site.nginx.port) as opened:
        yield opened


def key(site: Site, name: str = "good") -> tuple[str, str]:
    return "X-API-Key", site.keys.texts[name]


def test_a_body_reaches_the_application_while_it_is_being_sent(site: Site, connection: Caller) -> None:
    half = b"x" * MEGABYTE
    connection.begin("POST", "/logs", [key(site), ("Content-Length", str(2 * MEGABYTE))])
    connection.send(half)
    eventually(lambda: site.app.seen and site.app.last.received == MEGABYTE)
    connection.send(half)
    assert connection.answer("POST").status == 200
    assert site.app.last.digest.digest() == hashlib.sha256(half + half).digest()


def test_a_large_body_arrives_whole(site: Site) -> None:
    body = bytes(range(256)) * 4096 * 16
    assert site.ask("good", "PUT", body=body).status == 200
    assert site.app.last.received == 16 * MEGABYTE
    assert site.app.last.digest.digest() == hashlib.sha256(body).digest()


def test_a_body_in_chunks_arrives_and_what_trails_it_does_not(site: Site, connection: Caller) -> None:
    connection.begin(
        "POST", "/logs", [key(site), ("Transfer-Encoding", "chunked"), ("Trailer", "X-Keyrack-User")]
    )
    connection.send(b"5\r\nhello\r\n0\r\nX-Keyrack-User: root\r\n\r\n")
    assert connection.answer("POST").status == 200
    assert site.app.last.received == 5
    assert site.app.last.values("X-Keyrack-User") == ["ann"]


def test_a_refused_body_is_not_read_by_anybody_and_the_refusal_arrives(
    site: Site, connection: Caller
) -> None:
    connection.begin("POST", "/logs", [key(site, "scope"), ("Content-Length", str(64 * MEGABYTE))])
    assert connection.answer("POST").code == "insufficient_scope"
    assert site.app.seen == []


def test_a_connection_serves_good_and_bad_requests_in_turn(site: Site, connection: Caller) -> None:
    told = [("good", 200), ("scope", 403), ("revoked", 401), ("good", 200), ("network", 403), ("good", 200)]
    for name, status in told:
        for method, body in (("GET", b""), ("POST", b"x" * 1000)):
            assert connection.ask(method, "/logs", [key(site, name)], body).status == status
    assert len(site.app.seen) == 6
