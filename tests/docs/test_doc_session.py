"""The reader of pages notices what is not as a page says; else all that it reads would prove nothing."""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from doc_likeness import unlike, unlike_json
from doc_pages import ROOT, Block
from doc_session import SHIM, Session

from keyrack import ConfigurationError


def block(language: str, text: str, kind: str | None = None, value: str = "") -> Block:
    return Block(ROOT / "README.md", 1, language, text, kind, value)


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    with closing(Session(tmp_path)) as session:
        yield session


def test_variables_files_and_names_stay_for_the_blocks_below(session: Session) -> None:
    session.run(block("text", "two words", "file", "told.txt"))
    session.run(block("sh", "TOLD=$(cat told.txt)\n"))
    session.run(block("python", "import os\ntold = os.environ['TOLD']\n"))
    session.run(block("python", "print(told)\n"))
    session.run(block("text", "two words\n", "output"))


def test_members_of_what_was_printed_go_where_the_page_says(session: Session) -> None:
    session.run(block("sh", """echo '{"key": {"id": "abc"}, "secret": "xyz"}'\n"""))
    session.run(block("console", "$ echo $ID $KEY\nabc xyz\n", "takes", "ID=key.id KEY=secret"))


def test_every_line_of_a_console_that_shows_less_may_print_more(session: Session) -> None:
    session.run(block("console", "$ printf 'one\\ntwo  words\\nthree\\n'\none\ntwo words\n"))


@pytest.mark.parametrize(
    "wrong",
    [
        block("sh", "false\n"),
        block("sh", "false; true\n"),
        block("console", "$ echo one\ntwo\n"),
        block("console", "$ printf 'one\\ntwo\\n'\ntwo\none\n"),
        block("text", "something\n", "output"),
        block("toml", "nothing = 1\n"),
    ],
    ids=lambda wrong: wrong.text,
)
def test_what_is_not_as_shown_fails(wrong: Block, session: Session) -> None:
    with pytest.raises(
        (AssertionError, ConfigurationError), match=r"exit 1|shown, but not printed|unknown members"
    ):
        session.run(wrong)


def test_a_python_block_fails_where_it_raises_and_where_it_warns(session: Session) -> None:
    with pytest.raises(ZeroDivisionError):
        session.run(block("python", "1 / 0\n"))
    with pytest.raises(DeprecationWarning):
        session.run(block("python", "import warnings\nwarnings.warn('old', DeprecationWarning)\n"))


def test_what_differs_at_every_run_is_alike_and_nothing_else_is() -> None:
    assert (
        unlike("at 2030-01-31T12:00:00Z by hGJwvf4C5ffm", "at 2031-02-01T13:01:02Z by abcdefghijkl") is None
    )
    assert unlike("status … revoked", "status          revoked") is None
    assert unlike("status active", "status revoked") is not None
    assert unlike_json({"a": [1, {"b": "x"}]}, {"a": [1, {"b": "x", "c": 0}], "d": 2}) is None
    assert unlike_json({"a": {"b": True}}, {"a": {"b": 1.5}}) == ".a.b: shown True, but it is 1.5"
    assert unlike_json({"a": None}, {}) == ".a: shown, but there is none"
    assert unlike_json({"a": 1}, []) is not None


class Echo(BaseHTTPRequestHandler):
    """Answers with what it was asked."""

    def do_GET(self) -> None:
        asked = self.rfile.read(int(self.headers.get("content-length", 0))).decode()
        body = f"{self.command} {self.path} {self.headers['x-api-key']} {asked}\n".encode()
        self.send_response(404 if "missing" in self.path else 200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_DELETE = do_GET  # noqa: N815

    def log_message(self, *_: object) -> None:
        """Nothing."""


@contextmanager
def echoing() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), Echo) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


CURLS = [curl for curl in (shutil.which("curl"), str(SHIM / "curl")) if curl]
"""The real one, where there is one, and what stands in for it elsewhere."""


@pytest.mark.parametrize(
    ("arguments", "printed"),
    [
        (["-s", "/one?a=b"], "GET /one?a=b None \n"),
        (["-s", "/one", "-H", "X-API-Key: k", "-d", '{"a": 1}'], 'POST /one k {"a": 1}\n'),
        (["-sX", "DELETE", "/one"], "DELETE /one None \n"),
        (["-s", "/missing", "-o", "/dev/null", "-w", "%{http_code}\\n"], "404\n"),
    ],
    ids=["get", "post", "method", "status"],
)
@pytest.mark.parametrize("curl", CURLS)
def test_curl_and_what_stands_in_for_it_do_the_same(curl: str, arguments: list[str], printed: str) -> None:
    command = [sys.executable, curl] if curl.startswith(str(SHIM)) else [curl]
    with echoing() as base:
        asked = [f"{base}{one}" if one.startswith(("/one", "/missing")) else one for one in arguments]
        done = subprocess.run([*command, *asked], capture_output=True, text=True, timeout=30, check=False)
    assert (done.stdout, done.returncode) == (printed, 0)
