"""What people install: the wheel has all that runs and nothing else, and does what the README says."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from email.parser import Parser
from pathlib import Path
from zipfile import ZipFile

import pytest
from servers.ports import free_port

from keyrack.testing import PEPPERS

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src"
UV = Path(sys.executable).with_name("uv")
SECONDS = 120


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this tree, built with nothing but what is installed here."""
    folder = tmp_path_factory.mktemp("wheel")
    run([sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, ROOT])
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="session")
def bare(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The commands of an environment that has the wheel without any extra."""
    return installed(tmp_path_factory.mktemp("bare"), str(wheel))


@pytest.fixture(scope="session")
def server(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The commands of an environment that has the wheel with the server, in the versions of the lock."""
    folder = tmp_path_factory.mktemp("server")
    locked = ["export", "--frozen", "--all-extras", "--no-emit-project", "--no-hashes", "--quiet"]
    (folder / "locked.txt").write_text(run([UV, "--project", ROOT, *locked]))
    return installed(folder, f"{wheel}[server]", "--constraint", str(folder / "locked.txt"))


def installed(folder: Path, *what: str) -> Path:
    environment = folder / "venv"
    run([UV, "venv", "--quiet", "--python", sys.executable, environment])
    run([UV, "pip", "install", "--quiet", "--python", environment / "bin" / "python", *what])
    return environment / "bin"


def run(command: Sequence[str | Path], *, cwd: Path | None = None) -> str:
    done = attempt(command, cwd=cwd)
    assert done.returncode == 0, done.stderr
    return done.stdout


def attempt(command: Sequence[str | Path], *, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=cwd, env=clean(), capture_output=True, text=True, timeout=SECONDS, check=False
    )


def clean() -> Mapping[str, str]:
    """This environment without what makes Python or Keyrack find anything of this tree."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "KEYRACK_"))}
    return {**kept, "UV_PYTHON_DOWNLOADS": "never"}


def names(wheel: Path) -> set[str]:
    return {name for name in ZipFile(wheel).namelist() if ".dist-info/" not in name}


def test_the_wheel_holds_the_package_as_it_is_and_nothing_else(wheel: Path) -> None:
    package = (path for path in (SOURCE / "keyrack").rglob("*") if path.is_file())
    assert names(wheel) == {
        str(path.relative_to(SOURCE)) for path in package if "__pycache__" not in path.parts
    }


def test_the_wheel_holds_types_migrations_and_pages(wheel: Path) -> None:
    assert {
        "keyrack/py.typed",
        "keyrack/server/pages/docs.html",
        "keyrack/server/pages/page.css",
        "keyrack/server/pages/page.js",
        "keyrack/stores/sql/migrations/versions/0001_log_and_records.py",
    } <= names(wheel)


def test_the_wheel_needs_nothing_unless_an_extra_is_asked_for(wheel: Path) -> None:
    archive = ZipFile(wheel)
    (path,) = (name for name in archive.namelist() if name.endswith("/METADATA"))
    metadata = Parser().parsestr(archive.read(path).decode())
    needed = metadata.get_all("Requires-Dist") or []
    assert [one for one in needed if "extra ==" not in one] == []
    assert metadata["License-Expression"] == "Apache-2.0"
    assert any(name.endswith("/licenses/LICENSE") for name in archive.namelist())


def test_the_version_of_the_wheel_is_in_the_changelog(wheel: Path) -> None:
    version = wheel.name.split("-")[1]
    assert re.search(rf"^## {re.escape(version)}$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert f"keyrack-{version}-" in (ROOT / "README.md").read_text()


DECIDES = """
import sys
from keyrack import Access, Allowed, Authority, Verifier, Wish
from keyrack.guards.asgi import Guard
from keyrack.guards.wsgi import Guard

with Verifier.open("memory:") as verifier:
    minted = verifier.issuer().mint(Wish("a", scopes=["logs:read"]), by=Authority.operator("me"))
    assert isinstance(verifier.verify(minted.secret, Access(scopes=("logs:read",))), Allowed)
print(*{name.partition(".")[0] for name in sys.modules} - sys.stdlib_module_names)
"""


def test_the_library_decides_with_the_standard_library_alone(bare: Path) -> None:
    loaded = run([bare / "python", "-c", DECIDES]).split()
    assert {name for name in loaded if not name.startswith("_")} == {"keyrack"}


def test_without_an_extra_the_command_says_in_one_sentence_how_to_get_it(bare: Path) -> None:
    ended = attempt([bare / "keyrack", "keys", "list"])
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == "keyrack: the command line needs `pip install 'keyrack[cli]'`.\n"


def test_without_an_extra_a_store_says_in_one_sentence_how_to_get_it(bare: Path, tmp_path: Path) -> None:
    opening = f"import keyrack; keyrack.open_stores('sqlite:///a.db', peppers={PEPPERS!r})"
    ended = attempt([bare / "python", "-c", opening], cwd=tmp_path)
    assert ended.stderr.splitlines()[-1].endswith("KEYRACK_STORE: needs `pip install keyrack[sql]`.")


def test_the_wheel_makes_a_store_and_serves_it(server: Path, tmp_path: Path) -> None:
    root_key = json.loads(run([server / "keyrack", "init", "--json"], cwd=tmp_path))["root_key"]
    with serving(server, tmp_path) as base:
        question = json.dumps({"key": root_key, "scopes": ["keys:manage"]})
        answer = json.loads(fetch(f"{base}/v1/verify", root_key, question))
        assert answer["valid"] is True
        assert "Keyrack" in fetch(f"{base}/docs", root_key)
        assert json.loads(fetch(f"{base}/openapi.json", root_key))["openapi"].startswith("3.1")


@contextmanager
def serving(commands: Path, folder: Path) -> Iterator[str]:
    """`keyrack serve` on a free port, once it has said that it is there; stopped by a signal, and well."""
    command = [commands / "keyrack", "serve", "--port", str(free_port())]
    with subprocess.Popen(command, cwd=folder, env=clean(), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        said = re.search(r"http://\S+", process.stdout.readline())
        try:
            assert said is not None
            yield said[0].rstrip(",")
        finally:
            process.send_signal(signal.SIGTERM)
            ended = process.wait(SECONDS)
    assert ended in (0, -signal.SIGTERM)


def fetch(url: str, key: str, body: str | None = None) -> str:
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    request = urllib.request.Request(url, None if body is None else body.encode(), headers)
    with urllib.request.urlopen(request, timeout=SECONDS) as response:
        text: str = response.read().decode()
    return text
