"""How the example is started: what it needs, what it says once, and what it says to try."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from gateway_ports import two_ports

from examples import run
from examples.ai_gateway.example import EXAMPLE
from examples.ai_gateway.house import REQUIRED, fresh

ROOT = Path(__file__).resolve().parents[3]
COMMAND = [sys.executable, "-m", "examples.ai_gateway"]


def surroundings(settings: dict[str, str]) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), **settings}


@pytest.mark.parametrize("missing", ["KEYRACK_STORE", "MODEL_CONSOLE_KEY"])
def test_a_missing_variable_ends_the_start_with_its_name(missing: str, tmp_path: Path) -> None:
    settings = {**fresh(tmp_path), missing: ""}
    ended = subprocess.run(
        [*COMMAND, "serve"], env=surroundings(settings), cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stderr) == (78, f"{missing}: is missing.\n")


def test_what_is_unset_is_made_once_and_what_to_try_names_no_key(tmp_path: Path) -> None:
    made = run.prepared(EXAMPLE, tmp_path, {})
    assert set(made) == {*REQUIRED, "AI_GATEWAY_LOG"}
    assert run.prepared(EXAMPLE, tmp_path, {}) == made
    told = run.introduction(EXAMPLE, tmp_path / run.KEPT, 8123)
    assert ":8123/api/rest/chat/v1/" in told
    assert not [name for name in EXAMPLE.random if made[name] in told]


def test_a_new_store_gets_its_callers_whose_keys_are_shown_once(tmp_path: Path) -> None:
    settings, port = fresh(tmp_path), two_ports()
    first, second = (_said(settings, port) for _ in range(2))
    assert f"http://127.0.0.1:{port}/api/rest/chat/v1" in first
    assert len(re.findall(r"kr_live_\w{50}", first)) == 3
    assert "kr_live_" not in second


def _said(settings: dict[str, str], port: int) -> str:
    """What the command says until it serves; it has ended then."""
    command = [*COMMAND, "serve", "--port", str(port)]
    with subprocess.Popen(
        command, env=surroundings(settings), cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        # Whatever it has to say it says before it waits; an end that is asked for earlier is kept till then.
        said = process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        return said + process.stdout.read()
