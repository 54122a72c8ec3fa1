"""What a guard costs to import: no framework, unless it is the guard for it."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

FRAMEWORKS = {"fastapi", "starlette", "flask", "werkzeug", "pydantic", "anyio", "httpx", "uvicorn"}


@pytest.mark.parametrize(
    "module", ["keyrack", "keyrack.guards", "keyrack.guards.asgi", "keyrack.guards.wsgi"]
)
def test_no_framework_is_loaded(module: str) -> None:
    code = f"import sys, {module}; print(*{{name.split('.')[0] for name in sys.modules}})"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert FRAMEWORKS.isdisjoint(loaded.split())


@pytest.mark.parametrize("framework", ["fastapi", "flask"])
def test_a_guard_without_its_framework_says_how_to_get_it(
    framework: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, framework, None)
    monkeypatch.delitem(sys.modules, f"keyrack.guards.{framework}", raising=False)
    with pytest.raises(ModuleNotFoundError, match=rf"pip install 'keyrack\[{framework}\]'"):
        importlib.import_module(f"keyrack.guards.{framework}")
