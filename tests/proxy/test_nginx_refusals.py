"""Through nginx every refusal is the one that the library's own guard gives, header by header."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from guards.bed import Answer, Bed, asgi_echo, call_asgi

from keyrack import Access, Reason, Verifier
from keyrack.core.http import ANSWERS, problem
from keyrack.gateway.refusals import Refused
from keyrack.guards import Row
from keyrack.guards.asgi import Guard
from keyrack.testing import PEPPERS
from proxy.conftest import Site
from proxy.nginx import DEPLOY

ROW = Row("GET", "/logs", Access(("app:read",)))
SAME_ID = ("X-Request-ID", "same-1")
MINTED = {
    "revoked": Reason.REVOKED,
    "disabled": Reason.DISABLED,
    "expired": Reason.EXPIRED,
    "retired": Reason.RETIRED,
    "suspended": Reason.SUSPENDED,
    "network": Reason.NETWORK,
    "scope": Reason.SCOPE,
    "rate": Reason.RATE,
}
Headers = list[tuple[str, str]]


@pytest.fixture(scope="module")
def guard(shared_site: Site) -> Iterator[Any]:
    """The library's guard, on the same store."""
    with Verifier.open(shared_site.keys.url, peppers=PEPPERS) as verifier:
        yield Guard(asgi_echo, verifier, [ROW])


def unlike(site: Site) -> dict[str, tuple[Reason, Headers]]:
    """Requests that no state of a key makes refused, but their own form."""
    good = site.keys.texts["good"]
    strange = Bed().text("app:read")
    return {
        "nothing": (Reason.MISSING, []),
        "basic": (Reason.MISSING, [("Authorization", "Basic eDp5")]),
        "nonsense": (Reason.MALFORMED, [("X-API-Key", "nonsense")]),
        "mistyped": (Reason.MALFORMED, [("X-API-Key", good[:-1])]),
        "endless": (Reason.MALFORMED, [("X-API-Key", "k" * 5000)]),
        "not ascii": (Reason.MALFORMED, [("X-API-Key", "kr_live_ä")]),
        "of another store": (Reason.UNKNOWN, [("Authorization", f"Bearer {strange}")]),
        "in both headers": (Reason.AMBIGUOUS, [("X-API-Key", good), ("Authorization", f"Bearer {good}")]),
        "twice": (Reason.AMBIGUOUS, [("X-API-Key", good), ("x-api-key", strange)]),
        "twice the same": (Reason.AMBIGUOUS, [("X-API-Key", good), ("X-API-Key", good)]),
    }


def timeless(answer: Answer) -> Answer:
    """The answer without what a second changes."""
    timed = {"retry-after", "ratelimit", "x-ratelimit-reset"}
    headers = [
        (name, re.sub(r"(^|t=)\d+", r"\1…", value) if name in timed else value)
        for name, value in answer.headers
    ]
    return answer._replace(headers=sorted(headers))


def compare(site: Site, guard: Any, reason: Reason, headers: Headers) -> None:
    """Put one request to both."""
    through = site.ask(headers=[*headers, SAME_ID])
    direct = call_asgi(guard, "GET", "/logs", [*headers, SAME_ID], peer="127.0.0.1")
    assert (through.status, through.code) == (ANSWERS[reason].status, ANSWERS[reason].code)
    assert timeless(through) == timeless(direct)
    assert site.app.seen == []


@pytest.mark.parametrize("name", MINTED)
def test_a_key_in_this_state_is_refused_alike(site: Site, guard: Any, name: str) -> None:
    headers = [("X-API-Key", site.keys.texts[name])]
    if name == "rate":
        site.ask("rate")
        call_asgi(guard, "GET", "/logs", headers)
        site.app.forget()
    compare(site, guard, MINTED[name], headers)


@pytest.mark.parametrize(
    "name",
    [
        "nothing",
        "basic",
        "nonsense",
        "mistyped",
        "endless",
        "not ascii",
        "of another store",
        "in both headers",
        "twice",
        "twice the same",
    ],
)
def test_a_request_of_this_form_is_refused_alike(site: Site, guard: Any, name: str) -> None:
    compare(site, guard, *unlike(site)[name])


@pytest.mark.parametrize("method", ["HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_whatever_the_method_a_request_without_a_key_is_401(site: Site, method: str) -> None:
    answer = site.ask(None, method)
    assert answer.status == 401
    assert answer.header("www-authenticate") == 'Bearer realm="keyrack"'
    assert (answer.body == b"") == (method == "HEAD")
    assert site.app.seen == []


def test_a_refusal_never_takes_its_type_from_the_path(site: Site) -> None:
    assert site.ask(target="/page.html").code == "missing_credentials"
    assert site.ask(target="/photo.png").code == "missing_credentials"


def test_what_was_refused_names_the_missing_scope_and_each_location_has_its_own(site: Site) -> None:
    for target in ("/admin", "/admin/users", "/admin?x=1", "/%61dmin"):
        refused = site.ask("good", target=target)
        assert (refused.status, refused.json()["details"]["missing_scopes"]) == (403, ["app:admin"])
        assert site.ask("admin", target=target).status == 200


@pytest.mark.parametrize("query", ["api_key=x", "a=1&KEY=x", "%74oken=x", "access_token"])
def test_a_key_in_the_query_is_400_even_beside_a_good_one(site: Site, query: str) -> None:
    for name in ("good", None):
        answer = site.ask(name, target=f"/logs?{query}")
        assert (answer.status, answer.code) == (400, "invalid_request")
    assert site.app.seen == []


@pytest.mark.parametrize(
    "target",
    [
        "//admin",
        "/a//b",
        "/a/../admin",
        "/a/./b",
        "/a%2fb",
        "/..%2fadmin",
        "/a%5cb",
        "/%2e%2e/x",
        "/a/..;/b",
        "/;/b",
    ],
)
def test_a_path_that_nginx_and_the_application_could_read_differently_is_400(site: Site, target: str) -> None:
    for name in ("admin", None):
        answer = site.ask(name, target=target)
        assert (answer.status, answer.code) == (400, "invalid_request")
    assert site.app.seen == []


@pytest.mark.parametrize("target", ["/../x", "/%zz", "/%00", "*"])
def test_what_nginx_itself_cannot_read_is_400_in_the_same_form(site: Site, target: str) -> None:
    answer = site.ask("good", target=target)
    assert (answer.status, answer.code) == (400, "invalid_request")
    assert site.app.seen == []


def test_two_authorization_headers_are_400_in_the_same_form(site: Site) -> None:
    bearer = ("Authorization", f"Bearer {site.keys.texts['good']}")
    answer = site.ask(headers=[bearer, bearer])
    assert (answer.status, answer.code) == (400, "invalid_request")
    assert site.app.seen == []


def test_headers_that_nginx_does_not_hold_are_431_in_the_same_form(site: Site) -> None:
    answer = site.ask(headers=[("X-API-Key", "k" * 20_000)])
    assert (answer.status, answer.code) == (431, "headers_too_large")


def test_keyracks_own_place_is_not_there_for_clients(site: Site) -> None:
    for place in ("/_keyrack", "/_keyrack_unreadable", "/_keyrack_too_large"):
        assert site.ask("admin", target=place).status == 404
    assert site.app.seen == []


def test_the_shipped_files_return_every_status_of_the_table() -> None:
    shipped = (DEPLOY / "keyrack_server.conf").read_text()
    returned = re.findall(r"if \(\$keyrack_status = (\d+)\) \{ return (\d+) \$keyrack_problem; \}", shipped)
    assert all(status == as_told for status, as_told in returned)
    denials = {answer.status for answer in ANSWERS.values()}
    by_document = {one.value.status for one in (Refused.ENDPOINT_NOT_FOUND, Refused.METHOD_NOT_ALLOWED)}
    assert {int(status) for status, _ in returned} == denials | by_document


def test_the_shipped_document_for_a_keyrack_that_is_down_is_its_own() -> None:
    shipped = (DEPLOY / "keyrack_server.conf").read_text()
    assert problem(ANSWERS[Reason.STALE], {}, "$keyrack_answer_id").decode() in shipped


def test_nginx_finds_nothing_to_warn_of(site: Site) -> None:
    for name in ("good", "scope", None):
        site.ask(name)
    assert not re.search(r"\[(warn|alert|crit|emerg)\]", site.nginx.log)
