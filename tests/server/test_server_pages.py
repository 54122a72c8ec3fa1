"""What the server says of itself: its documentation, its document, liveness, readiness and metrics."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import httpx
import pytest
from anyio.from_thread import BlockingPortal
from patience import PATIENCE_SECONDS, eventually
from server_bed import Caller, House, problem
from server_process import Running

from keyrack.core.model import Access
from keyrack.guards import LATER, OPEN
from keyrack.server.hot_document import TAGS
from keyrack.server.table import ROWS
from keyrack.settings import Listener, Settings

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

FORWARD_AUTH = (
    "/v1/forward-auth",
    *(f"/v1/forward-auth/{form}" for form in ("nginx", "caddy", "traefik", "envoy/{path}")),
)


class Links(HTMLParser):
    """What a page loads."""

    def __init__(self, page: str):
        super().__init__()
        self.found: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.found += [value or "" for name, value in attributes if name in ("src", "href")]


def test_the_page_and_all_that_it_loads_come_from_this_server(house: House) -> None:
    anybody = house.caller()
    page = anybody("GET", "/docs")
    assert page.headers["content-type"].startswith("text/html")
    assert "default-src 'self'" in page.headers["content-security-policy"]
    links = Links(page.text).found
    assert links
    for link in links:
        assert "//" not in link
        loaded = anybody("GET", urljoin("/docs", link))
        assert loaded.status_code == 200
        # What the address of an upstream may look like is said by an example, which nobody loads.
        text = loaded.text.replace("https://api.example", "")
        assert not re.search(r"https?://|@import", text)


@pytest.mark.parametrize("file", ["docs.html", "page.js.map", "..%2fapp.py", "x", "%2e%2e/app.py"])
def test_nothing_else_is_served_beside_the_page(house: House, file: str) -> None:
    assert problem(house.root("GET", f"/docs/{file}")) == (404, "not_found")


@pytest.mark.browser
def test_a_browser_without_a_network_shows_every_operation(server: Running, tmp_path: Path) -> None:
    """The page draws itself from the document, under its own Content-Security-Policy."""
    offline = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"
    flags = ["--headless", "--no-sandbox", "--disable-gpu", offline, f"--user-data-dir={tmp_path}"]
    drawn = subprocess.run(
        [str(CHROMIUM), *flags, "--virtual-time-budget=10000", "--dump-dom", f"{server.url}/docs"],
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=True,
    ).stdout
    shown = Counter(re.findall(r"<code>(/[^<]*)</code>", drawn))
    paths = httpx.get(f"{server.url}/openapi.json").json()["paths"]
    assert shown == {path: len(item) for path, item in paths.items()}


class TestDocument:
    """The document says what the table says."""

    @pytest.fixture
    def document(self, house: House) -> dict[str, Any]:
        read: dict[str, Any] = house.caller()("GET", "/openapi.json").json()
        return read

    @staticmethod
    def operations(document: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
        return {
            (method.upper(), path): operation
            for path, item in document["paths"].items()
            for method, operation in item.items()
        }

    def test_it_has_every_row_of_the_table_and_the_hot_paths(self, document: dict[str, Any]) -> None:
        pages = {("GET", path) for path in ("/openapi.json", "/docs", "/docs/{file}")}
        rows = {(row.method, row.path) for row in ROWS} - pages
        hot = {("GET", path) for path in FORWARD_AUTH} | {("POST", f"{FORWARD_AUTH[0]}/report")}
        assert set(self.operations(document)) == rows | hot

    def test_it_names_the_scopes_of_the_table(self, document: dict[str, Any]) -> None:
        described = self.operations(document)
        for row in ROWS:
            operation = described.get((row.method, row.path), {})
            if isinstance(row.access, Access):
                assert operation["x-required-scopes"] == list(row.access.scopes)
            assert ("security" in operation) is (row.access is not OPEN and bool(operation))
            assert ("x-required-scopes" in operation) or row.access in (OPEN, LATER)

    def test_operations_have_ids_that_can_be_names_and_are_used_once(self, document: dict[str, Any]) -> None:
        ids = [operation["operationId"] for operation in self.operations(document).values()]
        assert len(set(ids)) == len(ids)
        assert all(re.fullmatch("[a-z][a-z_]*", one) for one in ids), ids

    def test_every_refusal_that_it_names_is_a_problem_document(self, document: dict[str, Any]) -> None:
        for operation in self.operations(document).values():
            for status, answer in operation["responses"].items():
                if int(status) >= 400:
                    assert "application/problem+json" in answer["content"], (operation, status)

    def test_every_reference_leads_somewhere(self, document: dict[str, Any]) -> None:
        names = set(re.findall(r"#/components/schemas/([\w.-]+)", str(document)))
        assert names <= set(document["components"]["schemas"])

    def test_what_decides_has_tags_of_its_own(self, document: dict[str, Any]) -> None:
        tagged = {path for (_, path), one in self.operations(document).items() if one["tags"][0] in TAGS}
        here = {"/v1/verify", "/v1/verify/batch", *FORWARD_AUTH, f"{FORWARD_AUTH[0]}/report"}
        elsewhere = {"/v1/prove", "/v1/feed", "/v1/feed/{node}", "/v1/usage"}
        assert tagged == here | elsewhere


def test_liveness_is_public_and_carries_nothing(house: House) -> None:
    answer = house.caller()("GET", "/livez")
    assert (answer.status_code, answer.content) == (200, b"")


@pytest.mark.parametrize(("path", "scope"), [("/readyz", "health:read"), ("/metrics", "metrics:read")])
def test_readiness_and_metrics_need_a_scope(house: House, path: str, scope: str) -> None:
    assert problem(house.caller()("GET", path)) == (401, "missing_credentials")
    weak = house.holder("keys:read")("GET", path)
    assert (problem(weak), weak.json()["details"]["missing_scopes"]) == ((403, "insufficient_scope"), [scope])
    assert house.holder(scope)("GET", path).status_code == 200


@pytest.mark.parametrize("path", ["/readyz", "/metrics", "/livez"])
def test_the_internal_listener_asks_for_no_key(server: Running, path: str) -> None:
    assert httpx.get(f"{server.internal_url}{path}").status_code == 200
    assert httpx.head(f"{server.internal_url}{path}").status_code == 200


@pytest.mark.parametrize("path", ["/v1/keys", "/v1/me", "/v1/events"])
def test_the_internal_listener_guards_everything_else(server: Running, path: str) -> None:
    assert problem(httpx.get(f"{server.internal_url}{path}")) == (401, "missing_credentials")


def test_the_main_listener_stays_guarded_beside_an_internal_one(server: Running) -> None:
    for path in ("/readyz", "/metrics"):
        assert problem(httpx.get(f"{server.url}{path}")) == (401, "missing_credentials")


def test_no_header_makes_a_request_internal(portal: BlockingPortal) -> None:
    """Which listener it is, is what the connection says."""
    settings = Settings(internal=Listener("127.0.0.1", 9999))
    house = House(portal, settings=settings)
    headers = {"host": "127.0.0.1:9999", "x-forwarded-port": "9999", "forwarded": "host=127.0.0.1:9999"}
    assert problem(house.caller()("GET", "/metrics", headers=headers)) == (401, "missing_credentials")
    house.verifier.close()


def test_readiness_says_how_old_its_knowledge_is(root: Caller) -> None:
    answer = root("GET", "/readyz").json()
    assert (answer["ready"], answer["reason"], answer["trouble"]) == (True, None, None)
    assert 0 <= answer["replica"]["age_seconds"] < answer["replica"]["max_stale_seconds"]


def test_metrics_count_decisions_by_outcome(root: Caller) -> None:
    def counted() -> float:
        text = root("GET", "/metrics").text
        found = re.search(r'^keyrack_decisions_total\{outcome="malformed"\} (\S+)', text, re.MULTILINE)
        return float(found[1]) if found else 0.0

    before = counted()
    root.verify("x")
    # With it everything is counted that other tests have asked before.
    eventually(lambda: counted() > before)
    before = counted()
    root.verify("x")
    eventually(lambda: counted() == before + 1)
    names = {"keyrack_replica_age_seconds", "keyrack_replica_keys", "keyrack_log_number", "keyrack_ready"}
    text = root("GET", "/metrics").text
    assert names <= set(re.findall(r"^(\w+) ", text, re.MULTILINE))
    assert 'keyrack_polls_total{outcome="confirmed"}' in text


@pytest.mark.parametrize("path", ["/livez", "/docs", "/openapi.json", "/v1/me", "/v1/keys"])
def test_head_is_answered_like_get_without_the_body(root: Caller, path: str) -> None:
    head, get = root("HEAD", path), root("GET", path)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == get.headers["content-length"]


@pytest.mark.parametrize(
    "path", ["/", "/v1", "/v2/keys", "/v1/keys/", "/V1/keys", "/v1//keys", "/v1/keys/%2e%2e/me"]
)
def test_a_path_that_is_not_there_is_told_to_holders_of_a_key_only(house: House, path: str) -> None:
    assert problem(house.caller()("GET", path)) == (401, "missing_credentials")
    assert problem(house.holder()("GET", path)) == (404, "not_found")


def test_a_request_has_the_id_that_its_sender_gave_it(house: House) -> None:
    assert house.root("GET", "/v1/me", headers={"x-request-id": "r-1"}).headers["x-request-id"] == "r-1"
    replaced = house.root("GET", "/v1/me", headers={"x-request-id": "a b\tc"}).headers["x-request-id"]
    assert re.fullmatch("[0-9a-f]{24}", replaced)
