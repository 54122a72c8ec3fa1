"""What holds of the source itself: which layer knows which, no test switch, no library that nobody uses."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
PACKAGE = "examples.ci_results"
HOUSE = ROOT / "examples" / "ci_results"
FLAGS = re.compile(
    r"(?i)((is|in|under|for|use|ci|app)_)+test(s|ing)?|test(ing)?_?(mode|flag|env\w*|run)|pytest\w*"
)
VOCABULARY = frozenset({"enumerations", "problems", "clock", "settings"})
"""What every layer may know; none of it knows a layer."""
ALLOWED = {
    "models": frozenset(),
    "services": frozenset({"models", "operations"}),
    "schemas": frozenset({"models", "services"}),
    "middleware": frozenset({"models", "services", "operations"}),
    "routes": frozenset({"schemas", "models", "services", "operations", "service"}),
    "operations": frozenset({"services"}),
}
"""Beside itself and the vocabulary. What is not in here puts the layers together, and may know all."""
SQL = frozenset({"sqlalchemy", "alembic", "psycopg", "sqlite3"})
WEB = frozenset({"fastapi", "starlette", "uvicorn"})
INSTALLED_AS = {"argon2-cffi": "argon2", "python-multipart": "python_multipart", "pyyaml": "yaml"}
ADAPTERS = {"python-multipart": "examples/ci_results/routes/forms.py"}
"""Libraries that a framework loads by name, and the module that cannot work without."""


def modules() -> list[Path]:
    return sorted(HOUSE.rglob("*.py"))


def layer(path: Path) -> str:
    return path.relative_to(HOUSE).parts[0].removesuffix(".py")


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports name their package"
            yield node.module or ""
            yield from (f"{node.module}.{name.name}" for name in node.names)


def layers_of(path: Path) -> set[str]:
    own = (name.removeprefix(f"{PACKAGE}.") for name in imported(path) if name.startswith(f"{PACKAGE}."))
    return {name.partition(".")[0] for name in own}


@pytest.mark.spec("CI-2")
@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(HOUSE)))
def test_a_layer_knows_only_those_below_it(path: Path) -> None:
    of = layer(path)
    if of in VOCABULARY:
        assert layers_of(path) <= VOCABULARY
    elif of in ALLOWED:
        assert layers_of(path) <= ALLOWED[of] | VOCABULARY | {of}


@pytest.mark.spec("CI-2")
def test_only_models_know_sql_and_only_the_edge_knows_the_web() -> None:
    for path in modules():
        roots = {name.partition(".")[0] for name in imported(path)}
        if layer(path) != "models":
            assert not roots & SQL, path
        if layer(path) in ("models", "services", "schemas"):
            assert not roots & WEB, path


@pytest.mark.spec("CI-2", "CI-81")
def test_status_rules_are_in_one_module() -> None:
    writers = {
        path.relative_to(HOUSE).as_posix()
        for path in modules()
        if layer(path) != "models" and re.search(r"write_(test_)?status\(", path.read_text())
    }
    assert writers == {"services/statuses.py"}


@pytest.mark.spec("CI-7")
def test_no_testing_flag() -> None:
    for path in modules():
        found = {name for name in names(path) if FLAGS.fullmatch(name)}
        assert not found, path


def names(path: Path) -> Iterator[str]:
    """Every name and every text of a module but prose."""
    for node in ast.walk(ast.parse(path.read_text())):
        for field in ("id", "attr", "arg", "name", "value"):
            text = getattr(node, field, None)
            if isinstance(text, str):
                yield text


@pytest.mark.spec("CI-7")
def test_the_environment_is_read_in_one_place() -> None:
    readers = {
        path.relative_to(HOUSE).as_posix()
        for path in modules()
        if re.search(r"os\.(environ|getenv)", path.read_text())
    }
    assert readers <= {"__main__.py", "app.py", "demo.py", "example.py", "serving.py", "load/__main__.py"}
    for name in readers - {"demo.py", "example.py"}:
        found = re.findall(r"os\.(?:environ|getenv)(.?)", (HOUSE / name).read_text())
        assert set(found) == {")"}, f"{name} reads more than its settings"


def requirements(of: str) -> list[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    given = project["dependency-groups"][of]
    return [re.split(r"[>=\[]", one)[0] for one in given if not one.startswith("keyrack")]


@pytest.mark.spec("CI-101")
def test_no_unused_dependency() -> None:
    used = {name.partition(".")[0] for path in modules() for name in imported(path)}
    for requirement in requirements("example-ci-results"):
        module = INSTALLED_AS.get(requirement, requirement)
        if requirement in ADAPTERS:
            assert "form(" in (ROOT / ADAPTERS[requirement]).read_text()
        else:
            assert module in used, f"nothing shipped imports {requirement}"
    assert not used & {"hypothesis", "schemathesis", "pytest"}
    assert {"hypothesis", "schemathesis"} <= set(requirements("dev"))


@pytest.mark.spec("CI-101")
def test_bumping_a_version_is_a_change_of_its_own() -> None:
    rules = " ".join((ROOT / "CONTRIBUTING.md").read_text().split())
    assert "A new version of a dependency is a change of its own" in rules


@pytest.mark.spec("CI-100")
def test_no_test_patches_a_handler_or_calls_an_error_handler() -> None:
    for path in Path(__file__).parent.rglob("*.py"):
        text = path.read_text()
        roots = {name.partition(".")[0] for name in imported(path)}
        assert "unittest" not in roots, path
        assert not re.search(r"setattr\(\s*\"[^\"]*\.(routes|middleware|services)[^\"]*\.[a-z_]+\"", text), (
            path
        )
        handlers = [name for name in imported(path) if name.startswith(f"{PACKAGE}.middleware.errors")]
        assert not handlers, path
