"""Which headers pass, and in what an upstream knows us and our callers."""

from __future__ import annotations

import re

import pytest
from gateway_bed import KEYS, Served, path_of
from raw_upstream import Exchange, replying
from wire import asked

SECRETS = {
    "Cookie": "session=1",
    "Api-Key": "callers-own",
    "X-CSRF-Token": "1",
    "X-XSRF-TOKEN": "1",
    "Proxy-Authorization": "Basic eDp5",
    "Keep-Alive": "timeout=5",
    "TE": "trailers",
    "Trailer": "X-Late",
    "X-Keyrack-User": "somebody-else",
    "X_Keyrack_Tenant": "other",
    "X-Request-Id": "callers-own-id",
    "Accept-Encoding": "gzip",
    "Expect": "",
}


def folded(name: str) -> str:
    """A header as readers see it who take `_` for `-`."""
    return name.lower().replace("_", "-")


@pytest.mark.spec("UG-43")
def test_only_allowed_headers_pass_and_what_is_read_with_the_body(gateway: Served) -> None:
    upstream = gateway.bed.upstream()
    api = gateway.bed.api(upstream, api_allowed_headers=["X-Colour", "accept"])
    answer = gateway(
        "POST",
        path_of(api),
        key=gateway.bed.key(),
        body=b"{}",
        x_colour="red",
        Accept="text/plain",
        X_Other="1",
        User_Agent="me",
        Content_Type="application/json",
    )
    assert answer.status == 200
    request_id = answer["x-request-id"]
    assert re.fullmatch("[0-9a-f]{32}", request_id)
    key_id = upstream.last.values("x-keyrack-key-id")[0]
    assert sorted((name.lower(), value) for name, value in upstream.last.headers) == sorted(
        [
            ("host", upstream.url.removeprefix("http://")),
            ("accept", "text/plain"),
            ("accept-encoding", "identity"),
            ("authorization", f"Bearer {KEYS[1]}"),
            ("content-length", "2"),
            ("content-type", "application/json"),
            ("x-colour", "red"),
            ("x-keyrack-key-id", key_id),
            ("x-keyrack-tenant", "default"),
            ("x-keyrack-user", "ada"),
            ("x-request-id", request_id),
        ]
    )


@pytest.mark.spec("UG-43")
def test_credentials_and_what_is_about_the_connection_never_pass_though_all_is_allowed(
    gateway: Served,
) -> None:
    upstream = gateway.bed.upstream()
    names = ["authorization", "x-api-key", "x-late", "connection", *SECRETS]
    api = gateway.bed.api(upstream, api_allowed_headers=[*names, "x-listed"])
    headers = [(name, value) for name, value in SECRETS.items() if value]
    headers += [("Authorization", f"Bearer {gateway.bed.key()}"), ("X-Listed", "1")]
    headers += [("Connection", "keep-alive, X-Listed")]
    assert asked(gateway, "GET", path_of(api), headers).status == 200
    sent = {name.lower() for name, _ in upstream.last.headers}
    own = {"x-request-id", "x-keyrack-user", "x-keyrack-tenant", "x-keyrack-key-id"}
    assert sent == {"host", "accept-encoding", "authorization", *own}
    assert upstream.last.values("x-keyrack-user") == ["ada"]
    assert upstream.last.values("x-request-id") != ["callers-own-id"]


@pytest.mark.spec("UG-43", "UG-20")
@pytest.mark.parametrize("header", ["x-api-key", "X-Service-Key", "api_key"])
def test_the_upstream_sees_one_key_however_often_clients_send_that_header(
    gateway: Served, header: str
) -> None:
    """In five spellings, allow-listed as well."""
    bed, upstream = gateway.bed, gateway.bed.upstream()
    group = bed.group(api_key_header=header, api_key_format="{key}").name
    spellings = [
        header.lower(),
        header.upper(),
        header.title(),
        header.replace("-", "_"),
        header.replace("_", "-"),
    ]
    api = bed.api(upstream, api_credit_group=group, api_allowed_headers=spellings)
    caller = [("Authorization", f"Bearer {bed.key()}")]
    for spelling in spellings:
        own = [] if spelling.lower() == "x-api-key" else [(spelling, "callers-own-value")] * 2
        assert asked(gateway, "GET", path_of(api), [*caller, *own]).status == 200
        folded = {
            name
            for name, _ in upstream.last.headers
            if name.lower().replace("_", "-") == header.lower().replace("_", "-")
        }
        assert folded == {header}
        assert upstream.last.values(header) == [KEYS[1]]


def test_headers_that_come_twice_pass_twice_and_in_their_order(gateway: Served) -> None:
    upstream = gateway.bed.upstream()

    async def twice(exchange: Exchange) -> None:
        await exchange.reply(200, b"", [("X-Answer", "one"), ("x-answer", "two"), ("X-Other", "3")])

    upstream.answer = twice
    api = gateway.bed.api(upstream, api_allowed_headers=["x-colour"])
    headers = [("Authorization", f"Bearer {gateway.bed.key()}"), ("X-Colour", "red"), ("x-colour", "blue")]
    answer = asked(gateway, "GET", path_of(api), headers)
    assert upstream.last.values("x-colour") == ["red", "blue"]
    assert [value for name, value in answer.headers if name == "x-answer"] == ["one", "two"]
    assert "x-other" not in answer.names


@pytest.mark.parametrize(
    ("owner", "told"), [("ada lovelace", "ada lovelace"), ("zoë 100%", "zo%C3%AB 100%25"), (None, "")]
)
def test_an_upstream_is_told_whose_request_it_is_in_a_form_that_is_no_other(
    gateway: Served, owner: str | None, told: str
) -> None:
    upstream = gateway.bed.upstream()
    gateway("GET", path_of(gateway.bed.api(upstream)), key=gateway.bed.key(owner=owner))
    assert upstream.last.values("x-keyrack-user") == [told]


@pytest.mark.spec("UG-44", "UG-45")
def test_answers_have_the_headers_of_the_gateway_and_the_allowed_ones_of_the_upstream(
    gateway: Served,
) -> None:
    upstream = gateway.bed.upstream()
    upstream.answer = replying(
        content_type="text/plain",
        x_answer="42",
        x_hidden="1",
        authorization="Bearer theirs",
        www_authenticate="Basic",
        x_request_id="theirs",
        x_gateway_time="theirs",
        connection="close",
        server="theirs",
    )
    theirs = ["authorization", "www-authenticate", "x-request-id", "x-gateway-time", "connection"]
    api = gateway.bed.api(upstream, api_response_headers=["x-answer", *theirs])
    key = gateway.bed.key(limits=[{"name": "few", "limit": 5, "window_seconds": 60}])
    answer = gateway("GET", path_of(api), key=key)
    limits = {
        "ratelimit",
        "ratelimit-policy",
        *(f"x-ratelimit-{one}" for one in ("limit", "remaining", "reset")),
    }
    own = {"x-request-id", "x-gateway-time", "x-backend-time", "cache-control"}
    assert answer.names == {"content-type", "content-length", "x-answer", *own, *limits}
    assert (answer["x-answer"], answer["cache-control"]) == ("42", "no-store")
    assert answer["x-ratelimit-remaining"] == "4"
    assert all(re.fullmatch(r"[0-9]+\.[0-9]", answer[name]) for name in ("x-gateway-time", "x-backend-time"))
    assert answer["x-request-id"] == upstream.last.values("x-request-id")[0]


@pytest.mark.spec("UG-44")
def test_the_header_that_carries_the_key_is_dropped_from_answers_though_it_is_on_both_lists(
    gateway: Served,
) -> None:
    bed, upstream = gateway.bed, gateway.bed.upstream()
    upstream.answer = replying(x_service_key="whatever")
    group = bed.group(api_key_header="X-Service-Key", api_key_format="{key}").name
    lists = {"api_allowed_headers": ["x-service-key"], "api_response_headers": ["x-service-key"]}
    api = bed.api(upstream, api_credit_group=group, **lists)
    answer = gateway("GET", path_of(api), key=bed.key())
    assert (answer.status, "x-service-key" in answer.names) == (200, False)


def test_an_upstream_may_let_its_answers_be_kept_where_its_api_passes_that_on(gateway: Served) -> None:
    upstream = gateway.bed.upstream()
    upstream.answer = replying(cache_control="max-age=60")
    api = gateway.bed.api(upstream, api_response_headers=["cache-control"])
    assert gateway("GET", path_of(api), key=gateway.bed.key())["cache-control"] == "max-age=60"
