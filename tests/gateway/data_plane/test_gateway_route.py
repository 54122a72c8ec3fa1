"""Where requests come to, and what they are told: the shape of the route, the order, the table of errors."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from ipaddress import ip_address, ip_network
from typing import Any

import pytest
from engine_bed import OPERATOR
from gateway_bed import ANY, KEYS, SCOPE, Answered, Serve, Served, path_of
from raw_upstream import replying

from keyrack import Access, Wish
from keyrack.core.errors import ValidationFailed
from keyrack.core.upstream import Endpoint
from keyrack.gateway.refusals import GATEWAY_CODES, Refused

ENDPOINT = {"method": "POST", "uri": "/chat", "scope": SCOPE}


def problem(answer: Answered) -> tuple[int, str, str | None]:
    """Status, code and gateway code of what must be a whole problem document."""
    assert answer["content-type"] == "application/problem+json"
    assert answer["cache-control"] == "no-store"
    document = json.loads(answer.body)
    assert document["status"] == answer.status
    assert document["request_id"] == answer["x-request-id"]
    return answer.status, document["code"], document["details"].get("gateway_code")


@pytest.mark.spec("UG-40")
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
def test_each_method_is_sent_with_its_path_query_and_body_as_they_came(gateway: Served, method: str) -> None:
    upstream = gateway.bed.upstream()
    api = gateway.bed.api(upstream)
    target = "/chat/a%20b;c=1?q=%2F..&r=a+b&q=2"
    answer = gateway(method, path_of(api, target), key=gateway.bed.key(), body=b"\x00body")
    assert (answer.status, answer.body) == (200, b"ok")
    assert (upstream.last.method, upstream.last.target, upstream.last.body) == (method, target, b"\x00body")


@pytest.mark.spec("UG-40")
def test_head_is_answered_from_the_endpoint_of_get_without_a_body(gateway: Served) -> None:
    upstream = gateway.bed.upstream()
    api = gateway.bed.api(upstream)
    answer = gateway("HEAD", path_of(api), key=gateway.bed.key())
    assert (answer.status, answer.body, answer["content-length"]) == (200, b"", "2")
    assert upstream.last.method == "HEAD"


@pytest.mark.spec("UG-40")
def test_options_passes_like_any_method_where_a_public_api_has_an_endpoint_for_it(gateway: Served) -> None:
    upstream = gateway.bed.upstream()
    upstream.answer = replying(204, access_control_allow_origin="https://app.example")
    endpoints = [*ANY, {"method": "OPTIONS", "uri": "/chat", "scope": SCOPE, "cost": 0}]
    headers = ["access-control-allow-origin"]
    api = gateway.bed.api(upstream, api_public=True, endpoints=endpoints, api_response_headers=headers)
    answer = gateway("OPTIONS", path_of(api), Origin="https://app.example")
    assert (answer.status, answer["access-control-allow-origin"]) == (204, "https://app.example")


@pytest.mark.spec("UG-40")
@pytest.mark.parametrize(
    ("path", "header", "found"),
    [
        ("/v1/chat", {}, True),
        ("/chat", {"X_API_Version": "v1"}, True),
        ("/v1/chat", {"X_API_Version": "v2"}, True),
        ("/chat", {}, False),
        ("/chat", {"X_API_Version": "1"}, False),
        ("/chat", {"X_API_Version": "v2"}, False),
        ("/v2/chat", {"X_API_Version": "v1"}, False),
    ],
)
def test_the_version_is_that_of_the_path_or_else_of_the_header(
    gateway: Served, path: str, header: dict[str, str], found: bool
) -> None:
    upstream = gateway.bed.upstream()
    api = gateway.bed.api(upstream)
    answer = gateway("GET", f"/api/rest/{api.name}{path}", key=gateway.bed.key(), **header)
    assert (answer.status, len(upstream.requests)) == ((200, 1) if found else (404, 0))


SOAP = b'<?xml version="1.0"?><e:Envelope xmlns:e="http://www.w3.org/2003/05/soap-envelope"><e:Body/></e:Envelope>'
BODIES = {
    "REST": ("application/json", b'{"a":1}'),
    "SOAP": ("application/soap+xml; charset=utf-8", SOAP),
    "GraphQL": ("application/json", b'{"query":"{ me { id } }"}'),
}


@pytest.mark.spec("UG-40")
@pytest.mark.parametrize("kind", BODIES)
def test_each_kind_of_body_passes_and_is_injected_once_and_charged_once(gateway: Served, kind: str) -> None:
    upstream = gateway.bed.upstream()
    api = gateway.bed.api(upstream, api_credits_enabled=True)
    gateway.bed.give(str(api.group), 10)
    content_type, body = BODIES[kind]
    answer = gateway("POST", path_of(api), key=gateway.bed.key(), body=body, Content_Type=content_type)
    assert answer.status == 200
    assert upstream.last.body == body
    assert upstream.last.values("content-type") == [content_type]
    assert upstream.last.values("authorization") == [f"Bearer {KEYS[1]}"]
    assert gateway.bed.balance(str(api.group)).available == 9


def test_what_is_not_below_the_prefix_is_not_for_the_gateway(gateway: Served) -> None:
    assert gateway("GET", "/api/restful/x").status == 418


def test_servers_of_an_api_take_turns_and_their_paths_stand_before_that_of_the_request(
    gateway: Served,
) -> None:
    first, second = gateway.bed.upstream(), gateway.bed.upstream()
    api = gateway.bed.api([f"{first.url}/base", second.url])
    for _ in range(4):
        assert gateway("GET", path_of(api), key=gateway.bed.key()).status == 200
    assert [one.target for one in first.requests] == ["/base/chat"] * 2
    assert [one.target for one in second.requests] == ["/chat"] * 2


def test_redirects_of_an_upstream_are_not_followed(gateway: Served) -> None:
    upstream, elsewhere = gateway.bed.upstream(), gateway.bed.upstream()
    upstream.answer = replying(307, location=f"{elsewhere.url}/chat")
    api = gateway.bed.api(upstream, api_response_headers=["location"])
    answer = gateway("GET", path_of(api), key=gateway.bed.key())
    assert (answer.status, answer["location"]) == (307, f"{elsewhere.url}/chat")
    assert elsewhere.requests == []


def test_cookies_of_an_upstream_are_not_kept_for_the_next_request(gateway: Served) -> None:
    upstream = gateway.bed.upstream()
    upstream.answer = replying(set_cookie="session=of-somebody")
    api = gateway.bed.api(upstream, api_response_headers=["set-cookie"])
    for _ in range(2):
        assert gateway("GET", path_of(api), key=gateway.bed.key())["set-cookie"] == "session=of-somebody"
    assert upstream.last.values("cookie") == []


PATHS = [
    "/chat/%2fa",
    "/chat/%2Fa",
    "/chat/%5ca",
    "/chat/%2e%2e/a",
    "/chat/%2E",
    "/chat/%00",
    "/chat/%0a",
    "/chat/%7f",
    "/chat/%zz",
    "/chat/%",
    "/chat/%a",
    "/chat/a\\b",
    "/chat/../a",
    "/chat/./a",
    "/chat/..",
    "/chat/..;/a",
    "/chat//a",
    "/chat/;x/a",
    "/chat/%252e",
    "//chat",
    "/../../v1/keys",
]


@pytest.mark.spec("UG-42")
@pytest.mark.parametrize("path", PATHS)
def test_a_path_that_could_be_read_in_two_ways_is_refused_before_anything_else(
    gateway: Served, path: str
) -> None:
    upstream = gateway.bed.upstream()
    api = gateway.bed.api(upstream)
    for key in (gateway.bed.key(), "nonsense", None):
        answer = gateway("GET", f"/api/rest/{api.name}/v1{path}", key=key)
        assert problem(answer) == (400, "invalid_request", "GTW011")
    assert upstream.requests == []


@pytest.mark.parametrize("target", ["/api/rest//v1/chat", "/api/%72est/x/v1/chat", "/api/rest%2fx/v1/chat"])
def test_so_is_a_prefix_that_could(gateway: Served, target: str) -> None:
    assert problem(gateway("GET", target)) == (400, "invalid_request", "GTW011")


@pytest.mark.parametrize("query", ["api_key=x", "a=1&token=x", "%6bey=x"])
def test_a_key_in_the_query_is_refused(gateway: Served, query: str) -> None:
    api = gateway.bed.api(gateway.bed.upstream())
    answer = gateway("GET", path_of(api, f"/chat?{query}"), key=gateway.bed.key())
    assert problem(answer) == (400, "invalid_request", "GTW011")


@pytest.mark.spec("UG-42")
def test_an_endpoint_is_found_by_what_a_path_means_however_its_letters_are_written(gateway: Served) -> None:
    """Else the endpoint that asks for less could be reached by another spelling of the one that asks more."""
    upstream = gateway.bed.upstream()
    narrow = {"method": "GET", "uri": "/admin", "scope": "chat:admin"}
    wide = {"method": "GET", "uri": "/{page}", "scope": SCOPE}
    api = gateway.bed.api(upstream, endpoints=[narrow, wide])
    key = gateway.bed.key()
    assert problem(gateway("GET", path_of(api, "/%61dmin"), key=key))[1] == "insufficient_scope"
    assert gateway("GET", path_of(api, "/ADMIN"), key=key).status == 404
    assert gateway("GET", path_of(api, "/admin/"), key=key).status == 404
    assert upstream.requests == []
    assert gateway("GET", path_of(api, "/%61bout"), key=key).status == 200
    assert upstream.last.target == "/%61bout"


@pytest.mark.spec("UG-42")
def test_without_a_valid_key_every_path_is_one_401_whether_it_exists_or_not(gateway: Served) -> None:
    upstream = gateway.bed.upstream()
    api = gateway.bed.api(upstream)
    gateway.bed.api(upstream, api_name="off", active=False)
    public = gateway.bed.api(upstream, api_public=True)
    paths = [path_of(api), path_of(api, "/none"), "/api/rest/none/v1/chat", "/api/rest/off/v1/chat"]
    answers = {(problem(gateway("GET", path)), problem(gateway("TRACE", path))) for path in paths}
    missing = (401, "missing_credentials", None)
    assert answers == {(missing, missing)}
    bad = "kr_live_" + "a" * 50
    refused = {problem(gateway("GET", path, key=bad)) for path in (*paths, path_of(public))}
    assert refused == {(401, "invalid_credentials", None)}
    assert gateway("GET", path_of(public)).status == 200
    assert len(upstream.requests) == 1


@pytest.mark.spec("UG-42", "UG-46")
def test_of_everything_that_is_wrong_the_first_step_in_order_is_told(gateway: Served) -> None:
    """At first everything is wrong; then one thing after the other is mended."""
    bed = gateway.bed
    issuer, tenants = bed.verifier.issuer(), bed.tenants
    upstream = bed.upstream()
    group = bed.group(api_key_origins=[upstream.url, "http://127.0.0.1:1"]).name
    limits = [{"name": "few", "limit": 1, "window_seconds": 60}]
    wish = Wish("caller", scopes=["other:scope"], owner="ada", networks=["203.0.113.0/24"], limits=limits)
    minted = issuer.mint(wish, by=OPERATOR)
    text, key_id = str(minted.secret), minted.key.id
    bed.verifier.verify(text, Access(address=ip_address("203.0.113.1")))
    issuer.disable(key_id, by=OPERATOR)
    tenants.suspend("default", "workspace", by=OPERATOR)
    sealed = bed.verifier.follower.replica.upstream_secrets
    hidden = {name: sealed.pop(name) for name in list(sealed)}

    def change(**given: Any) -> Callable[[], Any]:
        return lambda: bed.apis.update("chat", "v1", given, by=OPERATOR)

    def create() -> Any:
        servers, endpoints = ["http://127.0.0.1:1"], [{"method": "POST", "uri": "/other", "scope": SCOPE}]
        return bed.api(
            servers,
            api_name="chat",
            api_credit_group=group,
            api_credits_enabled=True,
            active=False,
            endpoints=endpoints,
        )

    steps: list[tuple[tuple[int, str, str | None], Callable[[], Any]]] = [
        ((401, "key_disabled", None), lambda: issuer.enable(key_id, by=OPERATOR)),
        ((403, "tenant_suspended", "GTW013"), lambda: tenants.resume("default", "workspace", by=OPERATOR)),
        ((403, "ip_denied", "GTW013"), lambda: issuer.update(key_id, {"networks": []}, by=OPERATOR)),
        ((404, "api_not_found", "GTW001"), create),
        ((403, "api_disabled", "GTW012"), change(active=True)),
        ((404, "endpoint_not_found", "GTW003"), change(endpoints=[{**ENDPOINT, "method": "POST"}])),
        ((405, "method_not_allowed", "GTW004"), change(endpoints=[{**ENDPOINT, "method": "GET"}])),
        (
            (403, "insufficient_scope", "GTW013"),
            lambda: issuer.update(key_id, {"scopes": [SCOPE]}, by=OPERATOR),
        ),
        ((429, "rate_limited", None), lambda: bed.clock.advance(61)),
        ((402, "credits_exhausted", "GTW008"), lambda: bed.give(group, 10)),
        ((503, "upstream_key_unavailable", "GTW018"), lambda: sealed.update(hidden)),
        ((502, "upstream_unreachable", "GTW015"), change(api_servers=[upstream.url])),
    ]
    for expected, mend in steps:
        assert problem(gateway("GET", "/api/rest/chat/v1/chat", key=text)) == expected
        mend()
        if expected[0] > 500:
            bed.clock.advance(61)  # what was sent, or tried to be, is charged to the limit
    assert gateway("GET", "/api/rest/chat/v1/chat", key=text).status == 200
    assert len(upstream.requests) == 1
    assert bed.balance(group).available == 9


def test_a_refused_method_is_told_those_that_there_are(gateway: Served) -> None:
    api = gateway.bed.api(gateway.bed.upstream())
    answer = gateway("TRACE", path_of(api), key=gateway.bed.key())
    assert answer["allow"] == "DELETE, GET, HEAD, PATCH, POST, PUT"


@pytest.mark.spec("UG-46")
def test_each_gateway_code_has_one_meaning() -> None:
    """The three reasons for which a caller is not let in share one on purpose."""
    shared = {"insufficient_scope", "tenant_suspended", "ip_denied"}
    alone = [code for name, code in GATEWAY_CODES.items() if name not in shared]
    assert len(set(alone)) == len(alone)
    assert {GATEWAY_CODES[name] for name in shared} == {"GTW013"}
    assert {one.value.code for one in Refused} - {"not_supported"} <= set(GATEWAY_CODES)


@pytest.mark.spec("UG-46")
def test_a_fault_of_ours_says_nothing_of_us(gateway: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """A document that a later version wrote may hold endpoints that this one cannot tell apart."""
    api = gateway.bed.api(gateway.bed.upstream())
    twice = Endpoint("GET", "/chat", SCOPE)
    apis = gateway.bed.verifier.follower.replica.apis
    apis[api.id] = replace(api, endpoints=(twice, twice))
    answer = gateway("GET", path_of(api), key=gateway.bed.key())
    assert problem(answer) == (500, "internal_error", "GTW006")


@pytest.mark.spec("UG-46")
@pytest.mark.parametrize("status", [200, 201, 400, 402, 403, 404, 409, 418, 422, 429, 500, 501, 503])
def test_an_upstreams_answer_keeps_its_status_and_body(gateway: Served, status: int) -> None:
    upstream = gateway.bed.upstream()
    upstream.answer = replying(status, b'{"error":"theirs"}', content_type="application/json", x_answer="a")
    api = gateway.bed.api(upstream)
    answer = gateway("POST", path_of(api), key=gateway.bed.key(), body=b"x")
    assert (answer.status, answer.body) == (status, b'{"error":"theirs"}')
    assert (answer["content-type"], answer["x-answer"]) == ("application/json", "a")


@pytest.mark.spec("UG-46")
def test_an_upstream_that_refuses_our_key_does_not_blame_the_callers(gateway: Served) -> None:
    upstream = gateway.bed.upstream()
    upstream.answer = replying(401, b"bad key", www_authenticate="Bearer")
    answer = gateway("GET", path_of(gateway.bed.api(upstream)), key=gateway.bed.key())
    assert problem(answer) == (502, "upstream_refused_key", "GTW016")
    assert "www-authenticate" not in answer.names


@pytest.mark.parametrize("upgrade", ["websocket", "WebSocket", "h2c, websocket"])
def test_a_web_socket_is_refused_before_anything_is_reserved(gateway: Served, upgrade: str) -> None:
    upstream = gateway.bed.upstream()
    api = gateway.bed.api(upstream, api_credits_enabled=True)
    gateway.bed.give(str(api.group), 1)
    answer = gateway("GET", path_of(api), key=gateway.bed.key(), Connection="Upgrade", Upgrade=upgrade)
    assert problem(answer) == (501, "not_supported", None)
    assert upstream.requests == []
    assert gateway.bed.balance(str(api.group)).available == 1


def test_a_tenants_apis_are_its_own(gateway: Served) -> None:
    bed = gateway.bed
    bed.tenants.create("acme", by=OPERATOR)
    api = bed.api(bed.upstream())
    assert problem(gateway("GET", path_of(api), key=bed.key(tenant="acme")))[1] == "api_not_found"


def test_public_apis_of_the_default_tenant_are_everybodys_with_a_good_key_or_none(gateway: Served) -> None:
    bed, upstream = gateway.bed, gateway.bed.upstream()
    bed.tenants.create("acme", by=OPERATOR)
    api = bed.api(upstream, api_public=True)
    for key in (None, bed.key("other:scope"), bed.key(tenant="acme", owner="bob")):
        assert gateway("GET", path_of(api), key=key).status == 200
    told = [[one.values(f"x-keyrack-{name}")[0] for name in ("tenant", "user")] for one in upstream.requests]
    assert told == [["default", ""], ["default", "ada"], ["acme", "bob"]]
    assert {one.values("authorization")[0] for one in upstream.requests} == {f"Bearer {KEYS[1]}"}


@pytest.mark.spec("UG-49")
def test_without_trusted_proxies_what_is_said_of_the_client_is_ignored(gateway: Served) -> None:
    api = gateway.bed.api(gateway.bed.upstream())
    key = gateway.bed.key(networks=["203.0.113.0/24"])
    answer = gateway("GET", path_of(api), key=key, X_Forwarded_For="203.0.113.7")
    assert problem(answer)[1] == "ip_denied"


@pytest.mark.spec("UG-49")
@pytest.mark.parametrize(
    ("forwarded", "code"),
    [
        ("203.0.113.7", None),
        ("198.51.100.9, 203.0.113.7", None),
        ("203.0.113.7, 198.51.100.9", "ip_denied"),
        ("203.0.113.7, 127.0.0.2", None),
        ("nonsense", "ip_denied"),
    ],
)
def test_behind_trusted_proxies_the_client_is_read_from_right_to_left(
    serve: Serve, forwarded: str, code: str | None
) -> None:
    gateway = serve(trusted_proxies=[ip_network("127.0.0.0/8")])
    api = gateway.bed.api(gateway.bed.upstream())
    key = gateway.bed.key(networks=["203.0.113.0/24"])
    answer = gateway("GET", path_of(api), key=key, X_Forwarded_For=forwarded)
    assert (None if answer.status == 200 else problem(answer)[1]) == code


@pytest.mark.spec("UG-42")
def test_endpoints_that_readers_could_mix_up_are_refused_when_they_are_written(gateway: Served) -> None:
    crossing = [
        {"method": "GET", "uri": "/{kind}/new", "scope": SCOPE},
        {"method": "GET", "uri": "/chat/{id}", "scope": "chat:admin"},
    ]
    for endpoints in (crossing, [{**ENDPOINT, "uri": "/Chat", "cost": 0}, ENDPOINT]):
        with pytest.raises(ValidationFailed):
            gateway.bed.api(gateway.bed.upstream(), endpoints=endpoints)
