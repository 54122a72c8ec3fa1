"""A shell in an empty folder, and one beside a store that was just made."""

from __future__ import annotations

from pathlib import Path

import pytest
from cli_bed import Shell


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Shell:
    """A shell where there is no store yet."""
    return Shell(tmp_path, monkeypatch, capsys)


@pytest.fixture
def root_key(bare: Shell) -> str:
    """The root key of the default store, which is made for it."""
    key: str = bare.json("init")["root_key"]
    return key


@pytest.fixture
def shell(bare: Shell, root_key: str) -> Shell:
    """A shell beside the default store."""
    return bare
