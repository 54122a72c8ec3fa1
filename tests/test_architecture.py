"""The house and its rules: who may import whom, what importing costs, and what stands in no module."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import keyrack

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "keyrack"
MODULES = sorted(SOURCE.rglob("*.py"))
EXAMPLES = sorted((ROOT / "examples").rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("test_*.py"))

FLOORS = {"core": 0, "stores": 1, "": 2, "guards": 3, "gateway": 3, "testing": 3, "server": 4, "cli": 5}
"""What stands on what; the modules of no package of their own are the engine, on the floor ''."""

PUBLIC = {
    "Access",
    "Allowed",
    "Authority",
    "Client",
    "ConfigurationError",
    "Decision",
    "Denied",
    "Issuer",
    "Key",
    "KeyrackError",
    "Limit",
    "Listing",
    "Minted",
    "Policy",
    "Reason",
    "StaticKeys",
    "Tenant",
    "Unavailable",
    "Verifier",
    "Wish",
    "key_json",
    "open_stores",
    "read_json",
    "weakness",
}


def named(path: Path) -> str:
    """A module by its dotted name."""
    parts = path.relative_to(SOURCE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def floor(module: str) -> int:
    """The floor of a module of ours."""
    package = module.split(".")[1] if module.count(".") else ""
    return FLOORS.get(package, FLOORS[""])


KNOWN = {named(path) for path in MODULES}


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def imported(path: Path) -> Iterator[str]:
    """Every module that a file imports, wherever in it, by its dotted name."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        if isinstance(node, ast.ImportFrom) and node.level == 0:
            # A name of a package may be a module in it; then it is that module that is imported.
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from (name if name in KNOWN else str(node.module) for name in names)


def ours(path: Path) -> set[str]:
    """The modules of this package that a file imports."""
    return {module for module in imported(path) if module in KNOWN}


@pytest.mark.parametrize("path", MODULES, ids=named)
def test_imports_go_down_and_never_up(path: Path) -> None:
    here = named(path)
    above = [module for module in ours(path) if floor(module) > floor(here)]
    if here == "keyrack":
        above = [module for module in above if floor(module) > FLOORS[""]]
    assert above == []


@pytest.mark.parametrize("path", MODULES, ids=named)
def test_imports_are_absolute_and_nobody_imports_what_is_for_tests(path: Path) -> None:
    relative = [node for node in ast.walk(tree(path)) if isinstance(node, ast.ImportFrom) and node.level]
    assert relative == []
    if not named(path).startswith("keyrack.testing"):
        assert [module for module in ours(path) if module.startswith("keyrack.testing")] == []


@pytest.mark.parametrize("path", sorted((SOURCE / "core").rglob("*.py")), ids=named)
def test_the_core_imports_the_standard_library_alone(path: Path) -> None:
    tops = {module.partition(".")[0] for module in imported(path)}
    assert tops - {"keyrack"} <= set(sys.stdlib_module_names)


def test_no_module_imports_itself_in_a_circle() -> None:
    """Two modules that import each other are one module, or one of them stands too high."""
    below = {named(path): ours(path) - {named(path)} for path in MODULES}

    def reaches(module: str, seen: tuple[str, ...]) -> tuple[str, ...] | None:
        if module in seen:
            return (*seen[seen.index(module) :], module)
        if module in clear:
            return None
        found = next((circle for one in below[module] if (circle := reaches(one, (*seen, module)))), None)
        clear.add(module)
        return found

    clear: set[str] = set()
    assert [circle for module in below if (circle := reaches(module, ()))] == []


LIGHT = {
    "import keyrack": {"keyrack"},
    "import keyrack.guards.asgi, keyrack.guards.wsgi": {"keyrack"},
    "import keyrack.testing, keyrack.testing.contract": {"keyrack"},
    "from keyrack.testing import open_memory; open_memory().close()": {"keyrack"},
    "import keyrack.stores.sql.sqlite": {"keyrack", "sqlalchemy"},
    "import keyrack.stores.objects.opening": {"keyrack"},
    "import keyrack.cli.app": {"keyrack", "typer", "rich"},
}
SPEAKING = {"keyrack.server.tour"}
"""What `serve` tells whoever started it on a terminal."""
HEAVY = (
    "obstore",
    "httpx",
    "aiohttp",
    "fastapi",
    "starlette",
    "flask",
    "uvicorn",
    "sqlalchemy",
    "alembic",
    "typer",
    "rich",
    "pydantic",
)


@pytest.mark.parametrize(("code", "loaded"), LIGHT.items())
def test_what_is_imported_loads_no_framework_and_no_driver_that_it_does_not_need(
    code: str, loaded: set[str]
) -> None:
    told = f"{code}\nimport sys\nprint(*sorted({{name.partition('.')[0] for name in sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True)
    found = set(done.stdout.split())
    assert "keyrack" in found
    assert found & set(HEAVY) == loaded & set(HEAVY)


def test_the_public_face_is_exactly_this() -> None:
    assert set(keyrack.__all__) == PUBLIC
    assert sorted(keyrack.__all__) == list(keyrack.__all__)
    for name in PUBLIC:
        assert getattr(keyrack, name).__doc__ or name == "Decision"


@pytest.mark.parametrize("path", MODULES, ids=named)
def test_what_a_module_exports_is_in_it(path: Path) -> None:
    """Each name of an `__all__` is defined or imported where it is exported."""
    for node in tree(path).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            exported = set(ast.literal_eval(node.value))
            assert exported <= defined(path)


def defined(path: Path) -> set[str]:
    """The names that a module binds at its top, the modules of its package included."""
    names = {one.stem for one in path.parent.glob("*.py")} if path.name == "__init__.py" else set()
    for node in tree(path).body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            names |= {alias.asname or alias.name for alias in node.names}
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names |= {ast.unparse(target) for target in targets}
    return names


@pytest.mark.parametrize("path", [*MODULES, *EXAMPLES], ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_but_tests_asserts_and_nothing_prints(path: Path) -> None:
    asserts = [node.lineno for node in ast.walk(tree(path)) if isinstance(node, ast.Assert)]
    calls = [node for node in ast.walk(tree(path)) if isinstance(node, ast.Call)]
    prints = [node.lineno for node in calls if ast.unparse(node.func) in ("print", "builtins.print")]
    assert asserts == []
    assert prints == [] or path in EXAMPLES or named(path) in SPEAKING


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: str(path.relative_to(ROOT)))
def test_an_example_uses_what_everybody_may_use(path: Path) -> None:
    """Of us, it imports `keyrack`, `keyrack.guards` and `keyrack.testing`, and what those export."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            assert not [alias.name for alias in node.names if alias.name.startswith("keyrack.")]
        if isinstance(node, ast.ImportFrom) and str(node.module).split(".")[0] == "keyrack":
            assert str(node.module).split(".")[1:2] in ([], ["guards"], ["testing"])
            assert {alias.name for alias in node.names} <= public(str(node.module))


def public(module: str) -> set[str]:
    """The names of a module of ours that anybody may use: its `__all__`, else those without underscore."""
    path = SOURCE.joinpath(*module.split(".")[1:])
    path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    for node in tree(path).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return set(ast.literal_eval(node.value))
    return {name for name in defined(path) if not name.startswith("_")}


Function = ast.FunctionDef | ast.AsyncFunctionDef


def functions(path: Path) -> Iterator[Function]:
    for node in ast.walk(tree(path)):
        if isinstance(node, Function):
            yield node


def called(function: Function) -> set[str]:
    """The names, without what they are reached through, of all that a function calls or hands on."""
    names = {node.id for node in ast.walk(function) if isinstance(node, ast.Name)}
    return names | {node.attr for node in ast.walk(function) if isinstance(node, ast.Attribute)}


def asserting() -> set[str]:
    """The names of the functions of our tests in which something can fail, in them or in what they call."""
    paths = [*(ROOT / "tests").rglob("*.py"), *(SOURCE / "testing").glob("*.py")]
    every = [one for path in paths for one in functions(path)]
    found = {"raises", "warns", "check_returncode"} | {one.name for one in every if fails(one)}
    while more := {one.name for one in every if one.name not in found and called(one) & found}:
        found |= more
    return found


def fails(function: Function) -> bool:
    return any(isinstance(node, ast.Assert | ast.Raise) for node in ast.walk(function))


@pytest.mark.spec("UG-56")
def test_every_test_can_fail() -> None:
    can_fail = asserting()
    tests = [(path, one) for path in TESTS for one in functions(path) if one.name.startswith("test_")]
    without = [
        f"{path.relative_to(ROOT)}::{one.name}"
        for path, one in tests
        if not any(isinstance(node, ast.Assert) for node in ast.walk(one)) and not called(one) & can_fail
    ]
    assert len(tests) > 500
    assert without == []


SUBSTITUTES = ("unittest.mock", "Mock", "MagicMock", "AsyncMock", "MockTransport")


@pytest.mark.spec("UG-56")
def test_no_test_puts_something_made_up_in_the_place_of_what_it_tests() -> None:
    """Least of all the gateway's client: its tests have upstreams that answer over HTTP."""
    paths = sorted((ROOT / "tests").rglob("*.py"))
    nodes = [(path, node) for path in paths for node in ast.walk(tree(path))]
    mocked = [
        f"{path.name}: {module}" for path in paths for module in imported(path) if module in SUBSTITUTES
    ]
    named_so = [path.name for path, node in nodes if isinstance(node, ast.Name) and node.id in SUBSTITUTES]
    patched = [
        f"{path.name}:{node.lineno}"
        for path, node in nodes
        if isinstance(node, ast.Call)
        and ast.unparse(node.func).endswith("monkeypatch.setattr")
        and "aiohttp" in ast.unparse(node)
    ]
    assert mocked + named_so + patched == []


@pytest.mark.parametrize("path", MODULES, ids=named)
def test_a_module_says_what_it_is_and_is_not_long(path: Path) -> None:
    assert ast.get_docstring(tree(path))
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 400
