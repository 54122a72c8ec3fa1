"""When Keyrack does not answer, or answers oddly, nginx refuses with a problem and nothing passes."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from guards.bed import Answer
from patience import eventually, seconds_until, soon
from server.server_process import stop

from keyrack import Issuer, Reason, Wish
from keyrack.core.http import ANSWERS
from proxy import caller
from proxy.application import Application, application
from proxy.conftest import Site
from proxy.keys import BY
from proxy.nginx import nginx

TOLD = sorted({answer.status for answer in ANSWERS.values()} | {404, 405})
"""Denials, and what the document of an API has no endpoint for."""


def assert_unavailable(answer: Answer) -> None:
    assert (answer.status, answer.code) == (503, "unavailable")
    assert answer.json()["detail"] == ANSWERS[Reason.STALE].detail
    assert {name for name, _ in answer.headers} == {
        "content-type",
        "content-length",
        "cache-control",
        "x-request-id",
    }


def test_while_keyrack_is_down_everything_is_503_and_nothing_passes(own_site: Site) -> None:
    assert own_site.ask("good").status == 200
    own_site.app.forget()
    stop(own_site.keyrack)
    for name in ("good", "revoked", None):
        for method, body in (("GET", b""), ("POST", b"x" * 100_000)):
            assert_unavailable(own_site.ask(name, method, body=body))
    assert own_site.app.seen == []


def test_while_keyrack_is_too_slow_it_is_503_and_afterwards_all_is_well(hasty_site: Site) -> None:
    hasty_site.keyrack.signal(signal.SIGSTOP)
    try:
        assert_unavailable(hasty_site.ask("good"))
        assert hasty_site.app.seen == []
    finally:
        hasty_site.keyrack.signal(signal.SIGCONT)
    eventually(lambda: hasty_site.ask("good").status == 200)


def test_a_revoked_key_is_refused_through_nginx_within_a_second(own_site: Site) -> None:
    stores = own_site.keys.opened()
    with caller.Caller(own_site.nginx.port) as connection:

        def refused_after() -> float:
            minted = Issuer(stores).mint(Wish("n", scopes=["app:read"]), by=BY)
            key = [("X-API-Key", str(minted.secret))]
            eventually(lambda: connection.ask("GET", "/logs", key).status == 200)
            Issuer(stores).revoke(minted.key.id, by=BY)
            took = seconds_until(lambda: connection.ask("GET", "/logs", key).status == 401)
            assert connection.ask("GET", "/logs", key).code == "key_revoked"
            return took

        soon(refused_after, within=1.0)
    stores.close()


def test_a_location_that_forgets_its_scope_is_closed_to_everybody(site: Site, tmp_path: Path) -> None:
    forgotten = {"set $keyrack_scope app:admin;": ""}
    with nginx(tmp_path, **site.house.around, changes=forgotten) as running:
        for name in ("admin", "suspended"):
            key = [("X-API-Key", site.keys.texts[name])]
            assert caller.ask(running.port, "GET", "/admin", key).code == "invalid_request"
    assert site.app.seen == []


# What a stand-in for Keyrack answers


class Stage(NamedTuple):
    """nginx between an application and something that answers in Keyrack's place."""

    port: int
    keyrack: Application
    app: Application

    def told(self, status: int, *headers: tuple[str, str]) -> Answer:
        """The client's answer when the stand-in answers this."""
        self.keyrack.status, self.keyrack.headers = status, list(headers)
        return caller.ask(self.port, "GET", "/logs")


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    folder: Path = tmp_path_factory.mktemp("stage")
    with (
        application() as keyrack,
        application() as app,
        nginx(folder, keyrack=keyrack.port, app=app.port) as running,
    ):
        yield Stage(running.port, keyrack, app)
        assert app.seen == []


@pytest.mark.parametrize("status", TOLD)
@pytest.mark.parametrize("shown", [401, 403])
def test_every_status_of_the_table_reaches_the_client(stage: Stage, status: int, shown: int) -> None:
    document = '{"detail":"caf\\u00e9 \\"…\\""}'.encode()
    problem = ("X-Keyrack-Problem", document.decode("latin-1"))
    answer = stage.told(shown, ("X-Keyrack-Status", str(status)), problem, ("Retry-After", "7"))
    assert (answer.status, answer.body) == (status, document)
    assert answer.header("content-type") == "application/problem+json"
    assert answer.header("retry-after") == "7"


@pytest.mark.parametrize("status", ["", "0", "200", "204", "302", "410", "418", "500", "4030", "403 ", "x"])
def test_a_status_that_is_not_of_the_table_is_503(stage: Stage, status: str) -> None:
    answer = stage.told(403, ("X-Keyrack-Status", status.replace(" ", "x")), ("X-Keyrack-Problem", "{}"))
    assert_unavailable(answer)


@pytest.mark.parametrize("status", [302, 400, 402, 404, 405, 413, 429, 431, 500, 502, 503, 504])
def test_an_answer_that_nginx_does_not_understand_is_503(stage: Stage, status: int) -> None:
    assert_unavailable(stage.told(status))


def test_the_longest_problem_passes_and_a_longer_one_is_503(stage: Stage) -> None:
    scopes = ["s" * 200] * 100
    longest = json.dumps({"details": {"required_scopes": scopes, "missing_scopes": scopes}})
    told = stage.told(403, ("X-Keyrack-Status", "403"), ("X-Keyrack-Problem", longest))
    assert (told.status, told.body.decode()) == (403, longest)
    endless = ("X-Keyrack-Problem", "x" * 100_000)
    assert_unavailable(stage.told(403, ("X-Keyrack-Status", "403"), endless))
