"""The forms of forward-auth: who may ask, what they ask, what they are handed, and what they are refused."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from guards.bed import BY, Answer, call_asgi, run_asgi
from proxy_bed import INTERNAL, NEW, OLD, PROXY, ProxyBed
from session_bed import M1

from keyrack import Access, Allowed, Limit
from keyrack.core.http import ANSWERS
from keyrack.core.master_keys import MasterKeys
from keyrack.core.model import Denied, Reason
from keyrack.guards.answers import refusal
from keyrack.server.app import create_app
from keyrack.server.proxies import for_nginx
from keyrack.sessions.exchange import Sessions, SessionWish
from keyrack.settings import Settings
from keyrack.stores.balances import KEPT_SECONDS
from keyrack.tenancy import Tenants

FORMS = ("nginx", "caddy", "traefik", "envoy")
KEYED = ("nginx", "caddy", "envoy")
SCOPE = ("x-keyrack-scope", "logs:read")
INJECTING = ("gateway:authorize", "apis/chat/v1:inject")
every_form = pytest.mark.parametrize("form", FORMS)
Make = Callable[..., ProxyBed]


@pytest.fixture
def make() -> Iterator[Make]:
    """A bed, closed at the end; with an internal listener unless it is stated otherwise."""
    made: list[ProxyBed] = []

    def bed(settings: Settings | None = None, **api: Any) -> ProxyBed:
        made.append(ProxyBed(settings, **api))
        return made[-1]

    yield bed
    for one in made:
        one.verifier.close()


def true(answer: Answer) -> tuple[int, str]:
    """Status and code of a refusal, as nginx's client gets them too."""
    status = answer.header("x-keyrack-status") or str(answer.status)
    return int(status), json.loads(answer.body)["code"]


def ask(bed: ProxyBed, form: str, text: str | None = None, *more: Any, **asked: Any) -> Answer:
    """Ask on the internal listener."""
    return bed.ask(form, text, *more, **{"server": INTERNAL, **asked})


# Who may ask


@pytest.mark.spec("UG-50")
@pytest.mark.parametrize("form", KEYED)
def test_a_proxy_is_answered_for_its_key_alone_wherever_it_stands(make: Make, form: str) -> None:
    bed = make()
    text = bed.text("logs:read")
    assert ask(bed, form, text, needs=SCOPE).status == 200
    for peer in (PROXY, "127.0.0.1"):
        for bad in ("", "nonsense", bed.text("logs:read"), bed.text("gateway:other")):
            answer = ask(bed, form, text, needs=SCOPE, proxy=bad, peer=peer)
            assert true(answer) == (401, "missing_credentials")


@pytest.mark.spec("UG-50")
@pytest.mark.parametrize("form", KEYED)
def test_where_there_is_an_internal_listener_proxies_are_answered_nowhere_else(make: Make, form: str) -> None:
    bed = make()
    text = bed.text("logs:read")
    assert true(bed.ask(form, text, needs=SCOPE)) == (401, "missing_credentials")
    without = make(Settings())
    assert without.ask(form, without.text("logs:read"), needs=SCOPE).status == 200


@pytest.mark.spec("UG-50")
def test_traefik_is_known_by_its_place_and_never_by_a_header(make: Make) -> None:
    bed = make()
    text = bed.text("logs:read")
    assert bed.ask("traefik", text, needs=SCOPE, proxy="nonsense").status == 200
    assert bed.ask("traefik", text, needs=SCOPE, proxy="").status == 200
    for server in (("127.0.0.1", 8080), None):
        refused = bed.ask("traefik", text, needs=SCOPE, server=server, peer="127.0.0.1")
        assert true(refused) == (401, "missing_credentials")


def test_a_key_for_traefik_that_is_no_good_is_trouble_of_ours_and_not_of_the_caller(make: Make) -> None:
    bed = make()
    bed.issuer.revoke(bed.proxy_id, by=BY)
    bed.verifier.follower.poll()
    assert true(ask(bed, "traefik", bed.text("logs:read"), needs=SCOPE)) == (503, "unavailable")


@pytest.mark.spec("UG-50")
@every_form
def test_the_key_of_a_proxy_is_no_credential_of_a_caller(make: Make, form: str) -> None:
    bed = make()
    wide = bed.text("*:*")
    assert true(ask(bed, form, None, needs=SCOPE, proxy=wide)) == (401, "missing_credentials")


@pytest.mark.spec("UG-50")
@every_form
@pytest.mark.parametrize(
    "name",
    ["proxy-key", "scope", "api", "original-uri", "original-method", "forwarded-uri", "forwarded-method"],
)
def test_what_a_proxy_says_twice_is_400(make: Make, form: str, name: str) -> None:
    bed = make()
    said = f"x-{name}" if "-uri" in name or "-method" in name else f"x-keyrack-{name}"
    answer = ask(bed, form, bed.text("logs:read"), [(said, "/a"), (said, "/a")], needs=SCOPE)
    assert true(answer) == (400, "invalid_request")


@pytest.mark.spec("UG-50")
@pytest.mark.parametrize("form", ["caddy", "traefik", "envoy"])
def test_the_scope_never_comes_from_the_query(make: Make, form: str) -> None:
    bed = make()
    text = bed.text("logs:read")
    asked: dict[str, Any] = {"query": "scope=logs:read"}
    answer = ask(bed, form, text, needs=SCOPE, **asked)
    assert answer.status == 200
    assert true(ask(bed, form, text, needs=("", ""), **asked)) == (400, "invalid_request")
    assert true(ask(bed, form, text, needs=("x-keyrack-scope", "logs:write"), **asked))[0] == 403


@pytest.mark.parametrize("form", KEYED)
def test_a_proxy_beyond_its_own_limit_is_429_and_blames_no_caller(make: Make, form: str) -> None:
    bed = make()
    proxy = bed.text("gateway:authorize", limits=[Limit("one", 1, 60)])
    text = bed.text("logs:read")
    assert ask(bed, form, text, needs=SCOPE, proxy=proxy).status == 200
    assert true(ask(bed, form, text, needs=SCOPE, proxy=proxy)) == (429, "rate_limited")


# What is asked


@every_form
def test_a_scope_or_an_api_is_named_and_never_both(make: Make, form: str) -> None:
    bed = make()
    text = bed.text("*:*")
    assert true(ask(bed, form, text, needs=("", ""))) == (400, "invalid_request")
    assert true(ask(bed, form, text, [SCOPE])) == (400, "invalid_request")
    for odd in ("chat", "chat/1", "chat/v1/x", "/v1", ""):
        assert true(ask(bed, form, text, needs=("x-keyrack-api", odd), proxy=bed.proxy))[0] == 400


@pytest.mark.spec("UG-42")
@every_form
@pytest.mark.parametrize("target", ["/chat//7", "/chat/../x", "/chat/%2e%2e/x", "/chat/a%2fb", "/chat/a%5cb"])
def test_a_path_that_could_be_read_in_two_ways_is_400(make: Make, form: str, target: str) -> None:
    bed = make()
    text = bed.text("*:*")
    for needs in (SCOPE, ("x-keyrack-api", "chat/v1")):
        assert true(ask(bed, form, text, target=target, needs=needs)) == (400, "invalid_request")


@pytest.mark.parametrize("form", ["nginx", "caddy", "traefik"])
def test_a_form_believes_its_own_headers_alone(make: Make, form: str) -> None:
    bed = make()
    other = "forwarded" if form == "nginx" else "original"
    invented = [(f"x-{other}-uri", "/chat/big"), (f"x-{other}-method", "POST")]
    text = bed.text("chat:read")
    assert ask(bed, form, text, invented).status == 200
    assert true(ask(bed, form, bed.text("chat:write"), invented))[1] == "insufficient_scope"


@pytest.mark.parametrize("form", ["nginx", "caddy", "traefik"])
def test_an_api_is_not_asked_about_without_saying_what_the_request_is(make: Make, form: str) -> None:
    bed = make()
    own = "original" if form == "nginx" else "forwarded"
    headers = [(f"x-{own}-uri", ""), (f"x-{own}-method", "")]
    for missing in (0, 1):
        answer = ask(bed, form, bed.text("*:*"), target="/chat/7")
        assert answer.status == 200
        told = [pair for index, pair in enumerate(headers) if index != missing]
        assert true(ask(bed, form, bed.text("*:*"), told))[0] == 400


@pytest.mark.spec("UG-50")
@every_form
@pytest.mark.parametrize(
    ("scope", "method", "target", "refused"),
    [
        ("chat:read", "GET", "/chat/7", None),
        ("chat:read", "GET", "/chat/7?x=1", None),
        ("chat:read", "POST", "/chat/big", (403, "insufficient_scope", "GTW013")),
        ("chat:write", "POST", "/chat/big", None),
        ("chat:write", "GET", "/chat/7", (403, "insufficient_scope", "GTW013")),
        ("chat:*", "GET", "/nowhere", (404, "endpoint_not_found", "GTW003")),
        ("chat:*", "DELETE", "/chat/7", (405, "method_not_allowed", "GTW004")),
        (None, "GET", "/chat/7", (401, "missing_credentials", None)),
        (None, "GET", "/nowhere", (401, "missing_credentials", None)),
    ],
)
def test_the_document_of_the_api_says_what_a_request_needs(
    make: Make, form: str, scope: str | None, method: str, target: str, refused: Any
) -> None:
    bed = make()
    text = None if scope is None else bed.text(scope)
    answer = ask(bed, form, text, method=method, target=target)
    if refused is None:
        assert answer.status == 200
    else:
        assert (*true(answer), json.loads(answer.body)["details"].get("gateway_code")) == refused


@every_form
def test_credentials_that_a_proxy_joined_are_several_here_too(make: Make, form: str) -> None:
    bed = make()
    text = bed.text("*:*")
    assert true(ask(bed, form, f"{text}, {text}"))[1] == "ambiguous_credentials"
    both = ask(bed, form, text, [("authorization", f"Bearer {text}")])
    assert true(both)[1] == "ambiguous_credentials"


# What is handed


@pytest.mark.spec("UG-51")
@every_form
def test_what_may_pass_is_told_who_asks_and_the_header_for_the_upstream(make: Make, form: str) -> None:
    bed = make()
    key, text = bed.mint("chat:read", owner="ann")
    answer = ask(bed, form, text)
    assert (answer.status, answer.body) == (200, b"")
    told = dict(answer.headers)
    assert told.pop("x-request-id")
    assert told.pop("x-keyrack-inject" if form == "nginx" else "authorization") == f"Bearer {OLD}"
    if form == "envoy":
        removed = told.pop("x-envoy-auth-headers-to-remove").split(",")
        assert removed == ["x-api-key", "x-keyrack-scope", "x-keyrack-api"]
    assert told == {
        "x-keyrack-key-id": key.id,
        "x-keyrack-tenant": "default",
        "x-keyrack-user": "ann",
        "x-keyrack-scopes": "chat:read",
        "cache-control": "no-store",
        "content-length": "0",
    }


@pytest.mark.spec("UG-51")
@every_form
def test_where_a_scope_was_asked_for_nothing_is_injected(make: Make, form: str) -> None:
    bed = make()
    answer = ask(bed, form, bed.text("logs:read"), needs=SCOPE)
    assert not {"authorization", "x-keyrack-inject"} & {name for name, _ in answer.headers}
    if form == "envoy":
        assert "authorization" in (answer.header("x-envoy-auth-headers-to-remove") or "")


@pytest.mark.spec("UG-3")
@pytest.mark.parametrize("form", KEYED)
@pytest.mark.parametrize(
    "scopes",
    [
        ("*:*",),
        ("gateway:authorize", "*:*"),
        ("gateway:authorize", "apis/*:inject"),
        ("gateway:authorize", "apis/chat/*:inject"),
        ("gateway:authorize", "apis/*/v1:*"),
        ("gateway:authorize", "apis/chat/v2:inject"),
        ("gateway:authorize",),
    ],
)
def test_a_proxy_whose_key_does_not_name_the_api_is_handed_no_key(
    make: Make, form: str, scopes: tuple[str, ...]
) -> None:
    bed = make(api_credits_enabled=True)
    bed.credit("ann", 3)
    answer = ask(bed, form, bed.text("chat:read", owner="ann"), proxy=bed.text(*scopes))
    assert true(answer) == (503, "upstream_key_unavailable")
    assert OLD not in str(answer)
    assert bed.balance("ann").available == 3


@pytest.mark.spec("UG-3")
@pytest.mark.parametrize(("scopes", "status"), [(("*:*",), 503), (INJECTING, 200)])
def test_a_session_names_no_api_that_its_key_does_not_name(
    make: Make, scopes: tuple[str, ...], status: int
) -> None:
    bed = make()
    proxy = bed.verifier.verify(bed.text(*scopes), Access())
    assert isinstance(proxy, Allowed)
    sessions = Sessions(bed.verifier, MasterKeys.parse(M1))
    token = sessions.exchange(proxy, SessionWish(scopes=INJECTING)).token
    answer = ask(bed, "caddy", bed.text("chat:read"), proxy=token)
    assert answer.status == status
    assert (OLD in str(answer)) is (status == 200)


@pytest.mark.spec("UG-3")
def test_a_proxy_of_another_tenant_is_handed_no_key(make: Make) -> None:
    bed = make()
    Tenants(bed.verifier.stores).create("other", by=BY)
    proxy = bed.text("gateway:authorize", "apis/chat/v1:inject", tenant="other")
    answer = ask(bed, "caddy", bed.text("chat:read"), proxy=proxy)
    assert true(answer) == (503, "upstream_key_unavailable")


@every_form
def test_an_api_without_an_upstream_key_is_decided_on_for_every_proxy(make: Make, form: str) -> None:
    bed = make(api_credit_group=None)
    text = bed.text("chat:read")
    answer = ask(bed, form, text, proxy=bed.text("gateway:authorize"))
    assert answer.status == 200
    assert answer.header("x-keyrack-inject") is None


@every_form
def test_a_public_api_takes_a_request_of_nobody(make: Make, form: str) -> None:
    bed = make(api_public=True)
    answer = ask(bed, form)
    assert (answer.status, answer.header("x-keyrack-key-id"), answer.header("x-keyrack-user")) == (
        200,
        "",
        "",
    )
    assert answer.header("x-keyrack-tenant") == "default"


@every_form
def test_a_key_of_the_upstream_that_does_not_open_is_503_and_costs_nothing(make: Make, form: str) -> None:
    bed = make(api_credits_enabled=True)
    bed.credit("ann", 3)
    secrets = bed.verifier.follower.replica.upstream_secrets
    (place,) = secrets
    secrets[place] = replace(secrets[place], name="another")
    answer = ask(bed, form, bed.text("chat:read", owner="ann"))
    assert true(answer) == (503, "upstream_key_unavailable")
    assert json.loads(answer.body)["details"]["gateway_code"] == "GTW018"
    assert bed.balance("ann").available == 3


@every_form
def test_during_grace_the_old_key_is_held_until_an_operator_moves_the_share(make: Make, form: str) -> None:
    bed = make()
    text = bed.text("chat:read")
    name = "x-keyrack-inject" if form == "nginx" else "authorization"
    bed.upstreams.rotate("openai", {"api_key_new": NEW, "grace_seconds": 3600}, by=BY)
    bed.verifier.follower.poll()
    assert {ask(bed, form, text).header(name) for _ in range(5)} == {f"Bearer {OLD}"}
    bed.upstreams.change_rotation("openai", {"rollout_percent": 100}, by=BY)
    bed.verifier.follower.poll()
    assert {ask(bed, form, text).header(name) for _ in range(5)} == {f"Bearer {NEW}"}
    bed.clock.advance(3601)
    bed.verifier.follower.poll()
    assert ask(bed, form, text).header(name) == f"Bearer {NEW}"


@pytest.mark.spec("UG-21")
@every_form
def test_in_an_emergency_the_old_key_is_not_held(make: Make, form: str) -> None:
    bed = make()
    bed.upstreams.rotate("openai", {"api_key_new": NEW, "plan": "emergency"}, by=BY)
    bed.verifier.follower.poll()
    name = "x-keyrack-inject" if form == "nginx" else "authorization"
    assert ask(bed, form, bed.text("chat:read")).header(name) == f"Bearer {NEW}"


@every_form
def test_a_key_that_was_destroyed_after_it_was_chosen_gives_way_to_the_next(make: Make, form: str) -> None:
    bed = make()
    name = "x-keyrack-inject" if form == "nginx" else "authorization"
    bed.upstreams.rotate("openai", {"api_key_new": NEW, "grace_seconds": 3600}, by=BY)
    bed.verifier.follower.poll()
    injector = bed.plane.injector.injection

    async def late(*chosen: Any) -> Any:
        """The key is destroyed at the last moment."""
        if chosen[1] == 1:
            bed.upstreams.promote("openai", by=BY, destroy=True)
            bed.verifier.follower.poll()
        return await injector(*chosen)

    bed.plane.injector.injection = late
    assert ask(bed, form, bed.text("chat:read")).header(name) == f"Bearer {NEW}"


# What is refused


def denied(reason: Reason) -> Any:
    return refusal(Denied(reason, details={"service": "Zoë"}), realm="keyrack", request_id="r", now=0.0)


@pytest.mark.spec("UG-52")
@pytest.mark.parametrize("reason", Reason)
def test_nginx_gets_401_or_403_and_the_truth_in_headers(reason: Reason) -> None:
    truth = denied(reason)
    told = for_nginx(truth)
    headers = dict(told.headers)
    assert told.status == (401 if ANSWERS[reason].status == 401 else 403)
    assert headers.pop("x-keyrack-status") == str(ANSWERS[reason].status)
    problem = headers.pop("x-keyrack-problem").encode("latin-1")
    assert problem == truth.body
    assert problem.decode().isprintable()
    assert headers == dict(truth.headers)


@pytest.mark.spec("UG-52")
@every_form
def test_a_refusal_says_when_to_come_back_and_holds_no_upstream_key(make: Make, form: str) -> None:
    bed = make()
    text = bed.text("chat:read", limits=[Limit("one", 1, 60)])
    assert ask(bed, form, text).status == 200
    limited = ask(bed, form, text)
    assert true(limited) == (429, "rate_limited")
    assert limited.status == (403 if form == "nginx" else 429)
    assert limited.header("retry-after") == "60"
    assert limited.header("x-ratelimit-remaining") == "0"
    assert OLD not in str(limited)


# Credits and reports


def credited(make: Make, available: int = 3) -> tuple[ProxyBed, str]:
    """A bed whose API is charged, and the text of a key that may call it."""
    bed = make(api_credits_enabled=True)
    bed.credit("ann", available)
    return bed, bed.text("chat:*", owner="ann")


def report(
    bed: ProxyBed,
    request_id: str | None,
    outcome: Any = "settled",
    status: Any = 200,
    *,
    proxy: str | None = None,
    **more: Any,
) -> Answer:
    """What the proxy is answered to its report."""
    document = {"request_id": request_id, "outcome": outcome, "upstream_status": status, **more}
    body = {"type": "http.request", "body": json.dumps(document).encode()}
    headers = [
        (b"x-keyrack-proxy-key", (bed.proxy if proxy is None else proxy).encode()),
        (b"content-type", b"application/json"),
    ]
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/v1/forward-auth/report",
        "query_string": b"",
        "headers": headers,
        "client": (PROXY, 40000),
        "server": INTERNAL,
    }
    start, end = run_asgi(bed.app, scope, body)
    told = [(name.decode(), value.decode()) for name, value in start["headers"]]
    return Answer(start["status"], told, end["body"])


@pytest.mark.spec("UG-53")
@every_form
def test_a_decision_reserves_and_the_report_settles_or_gives_back(make: Make, form: str) -> None:
    bed, text = credited(make)
    first = ask(bed, form, text).header("x-request-id")
    second = ask(bed, form, text).header("x-request-id")
    assert bed.balance("ann").available == 1
    assert report(bed, first, "settled").json() == {
        "request_id": first,
        "outcome": "settled",
        "upstream_status": 200,
    }
    assert report(bed, second, "refunded", 502).status == 200
    assert bed.balance("ann").available == 2


@pytest.mark.spec("UG-53")
@every_form
def test_without_a_report_a_reservation_is_settled_after_the_lease(make: Make, form: str) -> None:
    bed, text = credited(make)
    told = ask(bed, form, text).header("x-request-id")
    bed.clock.advance(61)
    assert bed.verifier.stores.balances.lapse(bed.clock()) == 1
    assert bed.balance("ann").available == 2
    assert report(bed, told, "refunded", 502).code == "conflict"
    assert bed.balance("ann").available == 2


@pytest.mark.spec("UG-53")
def test_only_the_proxy_that_got_the_decision_reports_it_and_once(make: Make) -> None:
    bed, text = credited(make)
    told = ask(bed, "caddy", text).header("x-request-id")
    other = bed.text("gateway:authorize", "apis/chat/v1:inject")
    assert report(bed, told, "refunded", proxy=other).code == "not_found"
    for bad in (text, "nonsense", ""):
        assert report(bed, told, "refunded", proxy=bad).code == "missing_credentials"
    assert bed.balance("ann").available == 2
    assert report(bed, told, "refunded").status == 200
    assert report(bed, told, "refunded").code == "conflict"
    assert report(bed, told, "settled").code == "conflict"
    assert bed.balance("ann").available == 3


@pytest.mark.spec("UG-53")
@pytest.mark.parametrize("is_reported", [True, False])
def test_a_decision_that_has_ended_long_ago_is_reported_no_more(make: Make, is_reported: bool) -> None:
    """Its reservation is known no longer by then."""
    bed, text = credited(make)
    told = ask(bed, "caddy", text).header("x-request-id")
    balances = bed.verifier.stores.balances
    if is_reported:
        assert report(bed, told, "settled").status == 200
    bed.clock.advance(61)
    balances.lapse(bed.clock())
    bed.clock.advance(KEPT_SECONDS + 61)
    balances.lapse(bed.clock())
    assert balances.reservation((told or "").partition(".")[0]) is None
    assert report(bed, told, "refunded", 502).code == "conflict"


@pytest.mark.spec("UG-53")
@pytest.mark.parametrize("made_up", ["", "x", "a.c.1..openai.code", "0" * 32, "é.c.1.x.openai.abc"])
def test_a_decision_that_was_never_told_is_not_found(make: Make, made_up: str) -> None:
    bed, text = credited(make)
    told = ask(bed, "caddy", text).header("x-request-id") or ""
    for one in (made_up, f"{told}x", told.replace("openai", "other"), told[1:]):
        assert report(bed, one).code == "not_found"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("request_id", 7),
        ("request_id", "x" * 201),
        ("outcome", "lost"),
        ("outcome", None),
        ("upstream_status", "200"),
        ("upstream_status", 99),
        ("upstream_status", True),
        ("user", "ann"),
    ],
)
def test_a_report_is_read_strictly(make: Make, field: str, value: Any) -> None:
    bed, text = credited(make)
    told = ask(bed, "caddy", text).header("x-request-id")
    given = {"request_id": told, "outcome": "settled", "status": 200}
    given["status" if field == "upstream_status" else field] = value
    answer = report(bed, given.pop("request_id"), given.pop("outcome"), given.pop("status"), **given)
    assert (answer.status, answer.code) == (422, "validation_error")
    assert list(answer.json()["details"]["fields"]) == [field]
    assert bed.balance("ann").available == 2


@pytest.mark.spec("UG-53")
@every_form
@pytest.mark.parametrize("charged", [True, False])
def test_a_reported_401_or_403_counts_as_a_refusal_and_every_send_once(
    make: Make, form: str, charged: bool
) -> None:
    bed = make(api_credits_enabled=charged)
    bed.credit("ann", 100)
    text = bed.text("chat:read", owner="ann")
    for status in (200, 404, 401, 403, 500, None):
        told = ask(bed, form, text).header("x-request-id")
        assert report(bed, told, "settled", status).status == 200
        assert report(bed, told, "settled", 401).code == "conflict"
    bed.plane.monitoring.tally.flush()
    use = bed.plane.monitoring.tally.use_of(bed.upstreams.get("openai", by=BY)).versions[1]
    assert (use.uses, use.refusals) == (6, 2)


@pytest.mark.spec("UG-35")
@every_form
def test_a_user_without_credits_is_402_and_is_handed_no_key(make: Make, form: str) -> None:
    bed, text = credited(make, 1)
    assert ask(bed, form, text).status == 200
    refused = ask(bed, form, text)
    assert true(refused) == (402, "credits_exhausted")
    assert json.loads(refused.body)["details"]["group"] == "openai"
    assert OLD not in str(refused)
    nobody = ask(bed, form, bed.text("chat:*"))
    assert true(nobody) == (402, "credits_exhausted")


def test_the_api_document_has_every_form_and_the_report(make: Make) -> None:
    app = create_app(Settings(), make().verifier)
    paths = call_asgi(app, "GET", "/openapi.json").json()["paths"]
    assert {f"/v1/forward-auth/{one}" for one in ("nginx", "caddy", "traefik", "report")} <= set(paths)
    assert "/v1/forward-auth/envoy/{path}" in paths
