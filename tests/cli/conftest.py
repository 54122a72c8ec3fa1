"""A shell in an empty folder, and one beside a store that was just made."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from cli_bed import COMMAND, Shell

ROOT = "root.json"


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Shell:
    """A shell where there is no store yet."""
    return Shell(tmp_path, monkeypatch, capsys)


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a default store that was made once, and its root key, to be copied."""
    folder = tmp_path_factory.mktemp("made")
    started = subprocess.run(
        [*COMMAND, "init", "--json"], cwd=folder, capture_output=True, check=True, text=True
    )
    (folder / ROOT).write_text(started.stdout)
    return folder


@pytest.fixture
def root_key(bare: Shell, made: Path) -> str:
    """The root key of the default store, which is put in place for it."""
    shutil.copytree(made, bare.folder, dirs_exist_ok=True)
    key: str = json.loads((bare.folder / ROOT).read_text())["root_key"]
    (bare.folder / ROOT).unlink()
    return key


@pytest.fixture
def shell(bare: Shell, root_key: str) -> Shell:
    """A shell beside the default store."""
    return bare
