"""Nodes never call each other: nothing here can reach a network but the library that reads the bucket."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

import keyrack.stores.objects

MODULES = sorted(Path(str(keyrack.stores.objects.__file__)).parent.glob("*.py"))
NETWORK = {"socket", "ssl", "http", "urllib", "asyncio", "ftplib", "smtplib", "xmlrpc", "selectors"}


def imported(path: Path) -> set[str]:
    """The first parts of the names of all modules that a file imports, wherever in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            names.add(str(node.module))
    return {name.partition(".")[0] for name in names}


@pytest.mark.spec("LL-57")
@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_nothing_but_obstore_can_reach_a_network(path: Path) -> None:
    found = imported(path)
    assert found & NETWORK == set()
    outside = found - {"keyrack", *sys.stdlib_module_names}
    assert outside == ({"obstore"} if path.stem == "bucket" else set())
