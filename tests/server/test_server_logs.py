"""What a server writes: one JSON object a line, and nothing that could be a secret."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from patience import eventually
from server_bed import Caller, Founded, House, make_store
from server_process import Running, serving
from server_wire import head, send

from keyrack.core import credential
from keyrack.server import logs
from keyrack.testing import PEPPERS

PEPPER = PEPPERS.partition(":")[2]
LATER_SECRETS = ("supersecretvalue", "s3cr3t-in-a-header", "kr_live_" + "Q" * 50)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Founded:
    return make_store(tmp_path_factory.mktemp("logged"))


@pytest.fixture(scope="module", params=["1", "2"])
def running(
    request: pytest.FixtureRequest, store: Founded, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Running]:
    settings = store.settings | {"KEYRACK_WORKERS": request.param}
    with serving(settings, tmp_path_factory.mktemp("home")) as made:
        yield made


@pytest.fixture(scope="module")
def secrets(running: Running, store: Founded) -> set[str]:
    """A day at the server: every operation, well and badly called. Returns every secret that was used."""
    used = {store.root, PEPPER, *LATER_SECRETS}
    with running.client(store.root) as client:
        root = Caller(client)
        key = root.mint("logs:read", "keys:manage", limits=[{"name": "m", "limit": 1, "window_seconds": 60}])
        rotated = root("POST", f"/v1/keys/{key['id']}/rotation").json()["secret"]
        used |= {key["secret"], rotated}
        for text in (key["secret"], rotated, key["secret"][:-1], "kr_live_" + "Q" * 50):
            root.verify(text, scopes=["logs:read"])
            root("POST", "/v1/verify/batch", [{"key": text}])
            with running.client(text) as holder:
                holder.get("/v1/me")
                holder.get(f"/v1/keys/{text}")
                holder.post("/v1/keys", json={"name": text, "metadata": {"password": LATER_SECRETS[0]}})
                for uri in (f"/x?key={text}", f"/hooks/{text}"):
                    holder.get("/v1/forward-auth?scope=logs:read", headers={"x-forwarded-uri": uri})
            root("GET", f"/v1/keys/{text}?api_key={text}&token={text}")
            root("GET", f"/{text}")
            root("PATCH", f"/v1/keys/{key['id']}", {text: 1, "name": 7})
            root("POST", "/v1/keys", {"name": "k", "scopes": [text]}, headers={"idempotency-key": text})
            root("GET", "/v1/events", params={"subject": text})
            root("GET", "/v1/me", headers={"x-api-key": text, "x-other": LATER_SECRETS[1]})
            send(running.url, head("GET", f"/{text}\x01", [("x", text)]))
            send(running.url, head("GET", "/v1/me", [("x-request-id", text)]))
        root("POST", f"/v1/keys/{key['id']}/revoke")
    for _ in range(20):  # a connection each, so that every worker writes what it has noted before
        with running.client(rotated) as holder:
            assert holder.get("/v1/me").status_code == 401
    eventually(lambda: sum(one["denial"]["reason"] == "revoked" for one in running.logged("denied")) == 20)
    return used


def test_no_secret_is_ever_written(running: Running, secrets: set[str]) -> None:
    written = running.output
    for secret in secrets:
        assert secret not in written
        parsed = credential.parse(secret)
        if parsed is not None:
            assert parsed.text.decode()[-38:-6] not in written


def test_every_line_is_an_object_with_a_time_a_level_and_an_event(
    running: Running, secrets: set[str]
) -> None:
    """But for the one on standard output, which tells a person where the server is."""
    logged = [line for line in running.lines if not line.startswith("Keyrack serves ")]
    assert len(running.lines) - len(logged) <= 1
    for line in logged:
        assert {"event", "level", "timestamp", "logger"} <= set(json.loads(line))


def test_a_request_is_logged_by_its_row_and_not_by_its_path(running: Running, secrets: set[str]) -> None:
    lines = running.logged("request")
    operations = {line["operation"] for line in lines}
    assert {"GET /v1/keys/{key_id}", "POST /v1/keys", "GET /v1/me", None} <= operations
    for line in lines:
        named = {"event", "level", "timestamp", "logger", "request_id", "operation"}
        assert set(line) - {"client_request_id"} == named | {"status", "milliseconds", "key_id"}
        assert "?" not in (line["operation"] or "")


def test_beside_the_gateways_id_of_a_request_stands_the_clients_if_it_gave_one(running: Running) -> None:
    def theirs(request_id: str) -> list[str | None]:
        lines = [line for line in running.logged("request") if line["request_id"] == request_id]
        return [line.get("client_request_id") for line in lines]

    with running.client("no key") as client:
        named = client.get("/api/rest/chat/v1/x", headers={"x-request-id": "callers-own"})
        unnamed = client.get("/api/rest/chat/v1/x")
    eventually(lambda: theirs(named.headers["x-request-id"]) == ["callers-own"])
    eventually(lambda: theirs(unnamed.headers["x-request-id"]) == [None])


def test_a_refusal_is_logged_with_its_exact_reason(running: Running, secrets: set[str]) -> None:
    def reasons() -> set[str]:
        return {line["denial"]["reason"] for line in running.logged("denied")}

    eventually(lambda: {"malformed", "rate"} <= reasons())
    assert all("?" not in (line["denial"]["operation"] or "") for line in running.logged("denied"))


def test_the_hot_path_has_no_line_for_each_request(running: Running, secrets: set[str]) -> None:
    assert not [line for line in running.logged("request") if "verify" in (line["operation"] or "")]


class Fault(Exception):
    """Something that nobody foresaw, with what no log may show."""


class TestFaults:
    """Faults of ours are a problem document for the client and frames for the log."""

    @pytest.fixture
    def lines(self) -> Iterator[Callable[[], list[dict[str, Any]]]]:
        """What is written as the server writes it."""
        root = logging.getLogger()
        before, level = root.handlers[:], root.level
        logs.configure()
        (handler,) = root.handlers
        assert isinstance(handler, logging.StreamHandler)
        written = io.StringIO()
        handler.setStream(written)
        yield lambda: [json.loads(line) for line in written.getvalue().splitlines()]
        root.handlers[:] = before
        root.setLevel(level)
        logging.raiseExceptions = True

    @pytest.mark.parametrize("path", ["/v1/keys", "/v1/verify"])
    def test_a_fault_is_answered_without_a_word_of_it(
        self,
        house: House,
        monkeypatch: pytest.MonkeyPatch,
        lines: Callable[[], list[dict[str, Any]]],
        path: str,
    ) -> None:
        def fails(*_: Any, **__: Any) -> Any:
            raise Fault(LATER_SECRETS[0]) from ValueError(house.root_key)

        monkeypatch.setattr("keyrack.issuer.Issuer.find", fails)
        monkeypatch.setattr("keyrack.server.hot.read_one", fails)
        headers = {"x-request-id": "r-7", "x-other": LATER_SECRETS[1]}
        method, body = ("GET", None) if path == "/v1/keys" else ("POST", {"key": house.root_key})
        answer = house.root(method, path, body, headers=headers)
        assert answer.status_code == 500
        assert answer.headers["content-type"] == "application/problem+json"
        assert (answer.json()["code"], answer.json()["request_id"]) == ("internal_error", "r-7")
        assert "Fault" not in answer.text
        (line,) = [line for line in lines() if line["event"] == "a request failed"]
        assert (line["request_id"], line["error"], line["level"]) == ("r-7", "Fault", "error")
        assert any("server" in frame for frame in line["trace"])
        for secret in (*LATER_SECRETS, house.root_key):
            assert secret not in json.dumps(line)
