"""What a guard costs to import: no framework, unless it is the guard for it."""

from __future__ import annotations

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
