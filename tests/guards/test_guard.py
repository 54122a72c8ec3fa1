"""What the guards of every protocol do alike: rows, what is closed, what is said, what is added."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from guards.bed import PEER, Bed, Protocols
from keyrack import Access, Limit, Policy
from keyrack.core.errors import ConfigurationError
from keyrack.core.model import Denied
from keyrack.guards import LATER, OPEN, Row

READ = Access(("jobs:read",))
ROWS = (
    Row("GET", "/livez", OPEN),
    Row("GET", "/jobs", READ),
    Row("POST", "/jobs", Access(("jobs:create",))),
    Row("GET", "/jobs/{id}", READ),
)


def bearer(text: str) -> list[tuple[str, str]]:
    return [("authorization", f"Bearer {text}")]


@pytest.fixture
def guard(bed: Bed, protocol: Protocols) -> Any:
    return protocol.guard(protocol.echo, bed.verifier, ROWS)


def test_a_good_key_reaches_the_handler_which_learns_whose_it_is(
    bed: Bed, protocol: Protocols, guard: Any
) -> None:
    answer = protocol.call(guard, "GET", "/jobs/7", bearer(bed.text("jobs:read")))
    assert (answer.status, answer.body) == (200, b"tester")


def test_a_key_without_the_scope_learns_which_one_is_missing(
    bed: Bed, protocol: Protocols, guard: Any
) -> None:
    answer = protocol.call(guard, "POST", "/jobs", bearer(bed.text("jobs:read")))
    assert (answer.status, answer.code) == (403, "insufficient_scope")
    assert answer.json()["details"] == {"required_scopes": ["jobs:create"], "missing_scopes": ["jobs:create"]}


@pytest.mark.parametrize("headers", [[], [("x-api-key", "")], [("authorization", "Basic eDp5")]])
def test_nothing_but_open_rows_is_there_for_who_brings_no_key(
    protocol: Protocols, guard: Any, headers: list[tuple[str, str]]
) -> None:
    for method, path in [
        ("GET", "/jobs"),
        ("DELETE", "/jobs"),
        ("GET", "/docs"),
        ("GET", "//livez"),
        ("X", "*"),
    ]:
        answer = protocol.call(guard, method, path, headers)
        assert (answer.status, answer.code) == (401, "missing_credentials")
        assert answer.header("www-authenticate") == 'Bearer realm="keyrack"'


def test_an_open_row_gets_nothing_and_is_looked_at_by_nobody(
    bed: Bed, protocol: Protocols, guard: Any
) -> None:
    answer = protocol.call(guard, "GET", "/livez", bearer("nonsense"), query="api_key=nonsense")
    assert (answer.status, answer.body) == (200, b"nobody")
    assert answer.headers == [("x-request-id", "mine")]
    assert bed.noted() == []


def test_only_a_good_key_learns_that_there_is_nothing_at_a_path(
    bed: Bed, protocol: Protocols, guard: Any
) -> None:
    answer = protocol.call(guard, "GET", "/docs", bearer(bed.text("other:read")))
    assert (answer.status, answer.code) == (404, "not_found")


def test_only_a_good_key_learns_which_methods_a_path_takes(bed: Bed, protocol: Protocols, guard: Any) -> None:
    answer = protocol.call(guard, "OPTIONS", "/jobs", bearer(bed.text("other:read")))
    assert (answer.status, answer.code) == (405, "method_not_allowed")
    assert answer.header("allow") == "GET, HEAD, POST"


def test_head_is_served_as_get_and_a_refusal_of_it_has_no_body(
    bed: Bed, protocol: Protocols, guard: Any
) -> None:
    assert protocol.call(guard, "HEAD", "/jobs", bearer(bed.text("jobs:read"))).status == 200
    refused = protocol.call(guard, "HEAD", "/jobs")
    assert (refused.status, refused.body) == (401, b"")


@pytest.mark.spec("CO-7")
@pytest.mark.parametrize(
    ("name", "form"),
    [("X-API-Key", "{}"), ("x-api-key", "{}"), ("X-Api-Key", "{}"), ("AUTHORIZATION", "bEaReR {}")],
)
def test_a_key_is_taken_from_either_header_however_it_is_spelled(
    bed: Bed, protocol: Protocols, guard: Any, name: str, form: str
) -> None:
    headers = [(name, form.format(bed.text("jobs:read")))]
    assert protocol.call(guard, "GET", "/jobs", headers).status == 200


@pytest.mark.spec("CO-9")
def test_two_credentials_are_refused_whatever_they_are(bed: Bed, protocol: Protocols, guard: Any) -> None:
    good = bed.text("jobs:read")
    for first, second in [(good, good), (good, ""), ("", ""), (good, "other")]:
        for names in [("x-api-key", "x-api-key"), ("authorization", "x-api-key")]:
            headers = [(names[0], first), (names[1], second)]
            answer = protocol.call(guard, "GET", "/jobs", headers)
            assert (answer.status, answer.code) == (400, "ambiguous_credentials")


@pytest.mark.spec("CO-9")
@pytest.mark.parametrize("query", ["api_key=x", "a=1&KEY=x", "%74oken=x", "access_token", "apikey="])
def test_a_key_in_the_query_string_is_refused_even_beside_a_good_one(
    bed: Bed, protocol: Protocols, guard: Any, query: str
) -> None:
    headers = bearer(bed.text("jobs:read"))
    for path in ("/jobs", "/nowhere"):
        answer = protocol.call(guard, "GET", path, headers, query=query)
        assert (answer.status, answer.code) == (400, "invalid_request")
    assert protocol.call(guard, "GET", "/jobs", headers, query="page=2&keys=7").status == 200


@pytest.mark.spec("CO-13")
@pytest.mark.parametrize("headers", [[], [("x-api-key", "x" * 40)], [("x-api-key", "")]])
def test_a_guard_without_a_verifier_lets_nothing_through(
    protocol: Protocols, headers: list[tuple[str, str]], caplog: pytest.LogCaptureFixture
) -> None:
    guard = protocol.guard(protocol.echo, None, (*ROWS, Row("GET", "/later", LATER)))
    for path in ("/jobs", "/later", "/nowhere"):
        answer = protocol.call(guard, "GET", path, headers)
        assert (answer.status, answer.code) == (503, "unavailable")
    assert "unconfigured" in caplog.text


def test_the_request_id_is_the_clients_if_it_is_a_plain_one(
    bed: Bed, protocol: Protocols, guard: Any
) -> None:
    key = bearer(bed.text("jobs:read"))
    kept = protocol.call(guard, "GET", "/jobs", [*key, ("X-Request-ID", "A-1._z")])
    assert kept.header("x-request-id") == "A-1._z"
    for odd in ["", "a b", "a" * 129, "é", "a;b"]:
        answer = protocol.call(guard, "GET", "/jobs", [*key, ("X-Request-ID", odd)])
        assert answer.header("x-request-id") not in (odd, "mine")


def test_two_request_ids_are_none(bed: Bed, protocol: Protocols, guard: Any) -> None:
    ids = [("x-request-id", "one"), ("x-request-id", "two")]
    answer = protocol.call(guard, "GET", "/jobs", [*bearer(bed.text("jobs:read")), *ids])
    assert answer.header("x-request-id") not in ("one", "two", "one,two", "mine")


def test_a_guarded_answer_is_not_stored_by_caches(bed: Bed, protocol: Protocols, guard: Any) -> None:
    answer = protocol.call(guard, "GET", "/jobs", bearer(bed.text("jobs:read")))
    assert answer.header("cache-control") == "no-store"


@pytest.mark.spec("CO-39")
def test_every_limited_answer_shows_its_limits(protocol: Protocols) -> None:
    bed = Bed(Policy(limits=(Limit("burst", 2, 60),), failure_limit=Limit("failures", 1, 60)))
    guard = protocol.guard(protocol.echo, bed.verifier, ROWS)
    key = bearer(bed.text("jobs:read"))
    statuses = []
    for path in ("/jobs", "/nowhere", "/jobs"):
        answer = protocol.call(guard, "GET", path, key)
        statuses.append((answer.status, answer.header("x-ratelimit-remaining")))
        assert answer.header("ratelimit-policy") == '"burst";q=2;w=60'
        assert answer.header("x-ratelimit-limit") == "2"
        assert answer.header("ratelimit") is not None
        assert answer.header("x-ratelimit-reset") == str(int(bed.clock.now) + 60)
    assert statuses == [(200, "1"), (404, "0"), (429, "0")]
    assert answer.header("retry-after") == "60"
    failed = protocol.call(guard, "GET", "/jobs", bearer("nonsense"))
    assert (failed.status, failed.header("x-ratelimit-limit")) == (401, "1")
    bed.verifier.close()


@pytest.mark.spec("CO-40")
def test_a_forwarded_address_is_believed_from_trusted_proxies_only(bed: Bed, protocol: Protocols) -> None:
    guard = protocol.guard(protocol.echo, bed.verifier, ROWS, trusted_proxies=["10.0.0.0/8"])
    key = bearer(bed.text("jobs:read"))
    spoofed = [*key, ("x-forwarded-for", "203.0.113.9")]
    for peer, headers in [(PEER, spoofed), ("10.0.0.1", spoofed), ("10.0.0.1", key), (None, spoofed)]:
        protocol.call(guard, "GET", "/jobs", headers, peer=peer)
        protocol.call(guard, "GET", "/nowhere", headers, peer=peer)
    addresses = [str(address) for _, address, _, _ in bed.noted()]
    assert addresses == [PEER, PEER, "203.0.113.9", "203.0.113.9", "10.0.0.1", "10.0.0.1", "None", "None"]


def test_an_endless_peer_name_is_no_address(bed: Bed, protocol: Protocols, guard: Any) -> None:
    protocol.call(guard, "GET", "/jobs", bearer(bed.text("jobs:read")), peer="1" * 70_000)
    assert [address for _, address, _, _ in bed.noted()] == [None]


def test_a_note_names_the_row_and_never_the_path(bed: Bed, protocol: Protocols, guard: Any) -> None:
    key = [*bearer(bed.text("jobs:read")), ("x-request-id", "r1")]
    protocol.call(guard, "HEAD", "/jobs/secret-name", key)
    protocol.call(guard, "GET", "/secret-name", key)
    assert [origin for *_, origin in bed.noted()] == [("GET /jobs/{id}", "r1"), (None, "r1")]


def test_a_ceiling_bounds_every_key(bed: Bed, protocol: Protocols) -> None:
    guard = protocol.guard(protocol.echo, bed.verifier, ROWS, ceiling=lambda key: ("jobs:create",))
    answer = protocol.call(guard, "GET", "/jobs", bearer(bed.text("*:*")))
    assert answer.code == "insufficient_scope"


def test_the_tenant_is_never_taken_from_a_header(bed: Bed, protocol: Protocols, guard: Any) -> None:
    headers = [*bearer(bed.text("jobs:read")), ("x-tenant", "other"), ("x-keyrack-tenant", "other")]
    assert protocol.call(guard, "GET", "/jobs", headers).status == 200


@pytest.mark.parametrize("realm", ['a"b', "a\\b", "a\r\nb", "é"])
def test_a_realm_that_would_end_its_header_is_refused(protocol: Protocols, realm: str) -> None:
    with pytest.raises(ConfigurationError, match="realm"):
        protocol.guard(protocol.echo, None, ROWS, realm=realm)


def test_a_service_words_its_refusals_but_never_their_status_or_challenge(
    bed: Bed, protocol: Protocols
) -> None:
    def respond(denied: Denied, request: Any) -> Any:
        assert (request.method, request.path, request.query, request.peer) == ("GET", "/jobs", b"a=1", PEER)
        headers = [
            ("Content-Type", "text/plain"),
            ("X-Own", denied.reason.value),
            ("WWW-Authenticate", "Basic"),
            ("Cache-Control", "public"),
            ("X-Request-ID", "forged"),
            ("Content-Length", "1"),
        ]
        return headers, b"go away"

    guard = protocol.guard(protocol.echo, bed.verifier, ROWS, realm="jobs", respond=respond)
    answer = protocol.call(guard, "GET", "/jobs", [("x-request-id", "r1")], query="a=1")
    assert (answer.status, answer.body) == (401, b"go away")
    assert sorted(answer.headers) == [
        ("cache-control", "no-store"),
        ("content-length", "7"),
        ("content-type", "text/plain"),
        ("www-authenticate", 'Bearer realm="jobs"'),
        ("x-own", "missing"),
        ("x-request-id", "r1"),
    ]


def test_a_fault_in_the_wording_leaves_the_refusal_as_it_is(
    bed: Bed, protocol: Protocols, caplog: pytest.LogCaptureFixture
) -> None:
    def respond(denied: Denied, request: Any) -> Any:
        raise KeyError("no template")

    guard = protocol.guard(protocol.echo, bed.verifier, ROWS, respond=respond)
    assert protocol.call(guard, "GET", "/jobs").code == "missing_credentials"
    assert [record.levelno for record in caplog.records] == [logging.ERROR]


def test_what_a_request_looks_like_in_a_log_shows_no_key(bed: Bed, protocol: Protocols) -> None:
    seen = []

    def respond(denied: Denied, request: Any) -> Any:
        seen.append(repr(request))
        return [], b""

    guard = protocol.guard(protocol.echo, bed.verifier, ROWS, respond=respond)
    protocol.call(guard, "GET", "/jobs", [*bearer("sesame"), ("x-request-id", "r1")])
    assert seen == ["<Request r1 GET>"]
