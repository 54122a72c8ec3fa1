"""What a reader has open while reading one page: a folder, a terminal, an interpreter, servers.

Blocks run in the page's order and leave to the next ones what a terminal and an interpreter would:
variables, files, names. Ports that pages name stand for free ones of this machine.
"""

from __future__ import annotations

import contextlib
import http.client
import io
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from doc_likeness import printed_json, unlike, unlike_json
from doc_pages import ROOT, Block
from doc_process import ServerProcess
from servers.ports import free_port

from keyrack import Policy
from keyrack.core.webhooks import Webhooks

API_PORT = 8080
PORTS = {
    API_PORT: "KEYRACK_PORT",
    8000: "UVICORN_PORT",
    5000: "FLASK_RUN_PORT",
    8081: "INTERNAL_PORT",
    9090: "UNUSED_PORT",
}
"""The ports that pages name, and the variable by which a server there learns of another."""
SERVES = re.compile(r"^(?:\$ )?(keyrack serve|uvicorn|flask|nginx|caddy|traefik|envoy)\b")
_OPENS = {"flask": 5000, **dict.fromkeys(("uvicorn", "nginx", "caddy", "traefik", "envoy"), 8000)}
"""The port of a command that names none, where it is not Keyrack's."""
_LOOKS = re.compile(r"keyrack (keys (show|list)|denials)\b|curl .*/readyz")
_COMMAND = re.compile(r"^\$ ((?:.*\\\n)*.*)\n", re.MULTILINE)
_pause = threading.Event()
SHIM = Path(__file__).parent / "bin"


class Session:
    """One reading of one page."""

    def __init__(self, folder: Path):
        self._folder = folder
        (folder / "deploy").symlink_to(ROOT / "deploy")
        self._ports = {named: free_port() for named in PORTS}
        self._environment = {**_clean(folder), **self._port_variables()}
        self._names: dict[str, object] = {"__name__": "__main__"}
        self._servers: list[ServerProcess] = []
        self._printed = ""

    def close(self) -> None:
        """Stop what was started."""
        while self._servers:
            self._servers.pop().stop()

    def set(self, variable: str, value: str) -> None:
        """Have a variable that somebody else set, before the page begins."""
        self._environment[variable] = value

    def make_store(self) -> None:
        """Have a new store in the page's folder, its root key in KEYRACK_KEY."""
        self._execute("keyrack init --json")
        self._take("KEYRACK_KEY=root_key")

    def start_server(self) -> None:
        """Have a server running on the store in the page's folder, as `make run` would."""
        self._serve("keyrack serve --dev")

    def run(self, block: Block) -> None:
        """Do what a reader of this block would do. Raises AssertionError when it is not as the page says."""
        text = self._moved(block.text)
        if block.kind == "takes":
            self._take(block.value)
        if block.kind == "file":
            (self._folder / block.value).write_text(text, encoding="utf-8")
        elif block.kind == "output":
            self._compare(block, text)
        elif block.kind == "body":
            self._printed = self._send(block.value, text)
        else:
            getattr(self, f"_run_{block.language}")(block, text)

    def _run_python(self, block: Block, text: str) -> None:
        code = compile("\n" * (block.line - 1) + text, str(block.page), "exec")
        printed = io.StringIO()
        with self._entered(), contextlib.redirect_stdout(printed):
            exec(code, self._names)
        self._printed = printed.getvalue()

    def _run_sh(self, block: Block, text: str) -> None:
        *before, last = _commands(text)
        if SERVES.match(last):
            self._execute("\n".join(before))
            self._serve(last)
        else:
            self._execute(text)

    def _run_console(self, block: Block, text: str) -> None:
        for command, shown in _shown(text):
            if SERVES.match(command):
                server = self._serve(command)
                server.wait_for(lambda printed, shown=shown: unlike(shown, printed) is None)
            else:
                difference = self._look(command, shown)
                assert difference is None, f"{block}: {command}\n{difference}"

    def _look(self, command: str, shown: str) -> str | None:
        """Run a command, and one that only looks once more a little later: use is written behind."""
        for pause in (0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0) if _LOOKS.match(command) else (0.0,):
            _pause.wait(pause)
            self._execute(command, may_fail=True)
            difference = unlike(shown, self._printed)
            if difference is None:
                break
        return difference

    def _run_toml(self, block: Block, text: str) -> None:
        read = Webhooks.read if text.startswith("[[webhook]]") else Policy.read
        read(text)

    def _take(self, wishes: str) -> None:
        """Put members of the JSON that was printed last into variables: `KEY=secret KEY_ID=key.id`."""
        for wish in wishes.split():
            variable, _, path = wish.partition("=")
            value = printed_json(self._printed)
            for member in path.split("."):
                value = value[member]
            self._environment[variable] = value

    def _compare(self, block: Block, text: str) -> None:
        if block.language == "json":
            difference = unlike_json(printed_json(text), printed_json(self._printed))
        else:
            difference = unlike(text, self._printed)
        assert difference is None, f"{block}: {difference}"

    def _send(self, operation: str, body: str) -> str:
        method, path = operation.split()
        key = self._environment["KEYRACK_KEY"]
        headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
        connection = http.client.HTTPConnection("127.0.0.1", self._ports[API_PORT], timeout=60)
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            answer = response.read().decode()
        finally:
            connection.close()
        assert response.status < 300, f"{operation} answered {response.status}: {answer}"
        return answer

    def _serve(self, command: str) -> ServerProcess:
        named = re.search(r"--port[ =](\d+)", command)
        port = int(named[1]) if named else self._ports[_OPENS.get(command.split()[0], API_PORT)]
        server = ServerProcess(command, port=port, folder=self._folder, environment=self._environment)
        self._servers.append(server)
        return server

    def _execute(self, commands: str, *, may_fail: bool = False) -> None:
        """Run commands in the terminal, whose variables stay."""
        kept = self._folder / ".variables"
        script = f"set -a\ntrap 'env -0 >{kept}' EXIT\n{commands}\n"
        done = subprocess.run(
            ["sh", "-uc" if may_fail else "-euc", script],
            cwd=self._folder,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
            check=False,
        )
        self._printed = done.stdout
        assert may_fail or done.returncode == 0, f"exit {done.returncode}\n{commands}\n{done.stdout}"
        pairs = (line.partition("=") for line in kept.read_text().split("\0") if line)
        self._environment = {name: value for name, _, value in pairs}

    def _moved(self, text: str) -> str:
        """The text with the ports that are free here."""
        return re.sub(r"\b\d{4}\b", lambda found: str(self._ports.get(int(found[0]), found[0])), text)

    def _port_variables(self) -> dict[str, str]:
        return {variable: str(self._ports[named]) for named, variable in PORTS.items()}

    @contextlib.contextmanager
    def _entered(self) -> Iterator[None]:
        """In the page's folder, with the variables of its terminal."""
        with pytest.MonkeyPatch.context() as patch, contextlib.chdir(self._folder):
            for name in set(os.environ) - set(self._environment):
                patch.delenv(name)
            for name, value in self._environment.items():
                patch.setenv(name, value)
            yield


def _clean(folder: Path) -> dict[str, str]:
    """An environment in which nothing of this project is set."""
    path = [str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]
    return {"PATH": ":".join([*path, str(SHIM)]), "HOME": str(folder), "LANG": "C.UTF-8", "COLUMNS": "200"}


def _commands(text: str) -> list[str]:
    """The commands of a block, each with the lines that continue it."""
    return [one for one in re.findall(r"(?:.*\\\n)*.*\n?", text) if one.strip()]


def _shown(text: str) -> Iterator[tuple[str, str]]:
    """Each command of a console block, and what the page shows of its output."""
    _, *parts = _COMMAND.split(text)
    yield from zip(parts[::2], parts[1::2], strict=True)
