"""What is written about the service and what it is: routes, variables, gates and the names of tests."""

from __future__ import annotations

import ast
import json
import re
from functools import cache
from pathlib import Path

import pytest
from coordinator_bed import HOLDER, Secrets
from coordinator_process import ROOT, run

from examples.coordinator import openapi
from examples.coordinator.bodies import JobView
from examples.coordinator.callers import CALLERS, PRESETS
from examples.coordinator.operations import OPERATIONS
from examples.coordinator.settings import VARIABLES, Settings
from keyrack import Policy, StaticKeys

HERE = ROOT / "examples" / "coordinator"
README = (HERE / "README.md").read_text()
SPEC = (ROOT / "docs" / "spec" / "coordinator.md").read_text()


def rows(text: str, *columns: str) -> list[list[str]]:
    """The cells of the table under these column names, without their code marks."""
    lines = text.splitlines()
    start = lines.index("| " + " | ".join(columns) + " |") + 2
    found = []
    for line in lines[start:]:
        if not line.startswith("|"):
            break
        found.append([cell.strip() for cell in line.strip("|").split("|")])
    return found


def bare(cell: str) -> str:
    return cell.replace("`", "")


@pytest.mark.spec("CO-47")
def test_the_readme_names_every_route_with_its_scope() -> None:
    documented = {tuple(map(bare, row)) for row in rows(README, "Operation", "Scope", "What it does")}
    assert documented == {
        (f"{one.method} {one.path}", one.scope or "none", one.summary) for one in OPERATIONS
    }


@pytest.mark.spec("CO-17", "CO-47")
def test_the_readme_names_every_variable_that_is_read() -> None:
    documented = [bare(row[0]) for row in rows(README, "Variable", "Default", "What it is")]
    assert sorted(documented) == sorted(VARIABLES)


@pytest.mark.spec("CO-18", "CO-47")
def test_the_example_file_lists_every_variable_with_an_empty_value() -> None:
    lines = [line for line in (HERE / ".env.example").read_text().splitlines() if line[:1] not in ("", "#")]
    assert sorted(lines) == sorted(f"{name}=" for name in VARIABLES)


@pytest.mark.spec("CO-47")
def test_the_documented_defaults_are_the_real_ones(used: Secrets) -> None:
    settings = Settings.read({"STITCHER_WEBHOOK": "off"})
    documented = {bare(row[0]): bare(row[1]) for row in rows(README, "Variable", "Default", "What it is")}
    assert documented["KEYRACK_STORE"] == settings.store
    assert documented["COORDINATOR_DATABASE_URL"] == settings.database_url
    assert float(documented["KEYRACK_MAX_STALE"]) == settings.max_stale
    assert float(documented["KEYRACK_POLL"]) == settings.poll
    for name, limit in (("RATE", settings.rate_limit), ("FAILURE", settings.failure_limit)):
        assert documented[f"COORDINATOR_{name}_LIMIT"] == f"{limit.limit}/{limit.window_seconds}"


@pytest.mark.spec("CO-16", "CO-17")
def test_callers_and_presets_are_the_documented_and_the_specified_ones() -> None:
    documented = {
        bare(row[0]): (bare(row[1]), bare(row[2]), tuple(bare(row[3]).split()))
        for row in rows(README, "Caller", "Variable", "Preset", "Scopes")
    }
    assert documented == {
        caller: (variable, preset, PRESETS[preset]) for caller, (variable, preset) in CALLERS.items()
    }
    specified = {
        bare(name): tuple(bare(scopes).split(", ")) for name, scopes in rows(SPEC, "Preset", "Scopes")
    }
    assert specified == PRESETS


@pytest.mark.spec("CO-16")
def test_no_preset_has_a_wildcard() -> None:
    assert not [scope for scopes in PRESETS.values() for scope in scopes if "*" in scope]


@pytest.mark.spec("CO-1", "CO-47")
def test_the_table_of_operations_is_the_specified_one() -> None:
    columns = ("#", "Operation", "Purpose", "Scope", "Success", "Specific errors")
    specified = [
        (bare(operation), re.split(r"[ `]", scope.strip("`"))[0], success[:3])
        for _, operation, _, scope, success, _ in rows(SPEC, *columns)
    ]
    assert specified == [
        (f"{one.method} {one.path}", one.scope or "none", str(one.success)) for one in OPERATIONS
    ]


@pytest.mark.spec("CO-2", "CO-5")
def test_the_openapi_document_is_exported_by_command_and_needs_no_setting(tmp_path: Path) -> None:
    exported = run("openapi", environment={}, folder=tmp_path)
    assert exported.returncode == 0, exported.stderr
    assert json.loads(exported.stdout) == openapi.document()


@pytest.mark.spec("CO-5", "CO-25")
def test_the_openapi_document_is_built_from_the_table() -> None:
    document = openapi.document()
    described = {
        (method.upper(), path): operation
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }
    assert set(described) == {(one.method, one.path) for one in OPERATIONS}
    for one in OPERATIONS:
        operation = described[one.method, one.path]
        scopes = {scope for way in operation["security"] for held in way.values() for scope in held}
        assert scopes == ({one.scope} if one.scope else set())
        assert {str(one.success), *map(str, one.errors)} <= set(operation["responses"])
        assert ("requestBody" in operation) == (one.body is not None)
    assert set(document["components"]["schemas"]["JobView"]["properties"]) == set(JobView.model_fields)


@pytest.mark.spec("CO-5")
def test_every_reference_of_the_openapi_document_leads_somewhere() -> None:
    text = json.dumps(openapi.document())
    schemas = openapi.document()["components"]["schemas"]
    assert set(re.findall(r"#/components/schemas/(\w+)", text)) <= set(schemas)


@pytest.mark.spec("CO-17")
def test_only_the_first_variable_of_a_caller_is_mandatory(
    used: Secrets, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COORDINATOR_API_KEY", used.key())
    for variable, _ in list(CALLERS.values())[1:]:
        monkeypatch.delenv(variable, raising=False)
    static = StaticKeys(CALLERS, ("coordinator",))
    assert [caller.name for caller in static.read(Policy(presets=PRESETS))] == ["coordinator"]


@cache
def cases(prefix: str) -> set[str]:
    """The tests of a family, found by their names in the files of this folder."""
    trees = [ast.parse(path.read_text()) for path in Path(__file__).parent.glob("test_*.py")]
    names = [node.name for tree in trees for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    return {name for name in names if name.startswith(f"test_{prefix}_")}


@pytest.mark.spec("CO-43")
@pytest.mark.parametrize(
    ("word", "prefix"),
    [
        (word, "guard")
        for word in ("valid", "missing", "wrong", "without_any_key_source", "empty", "spelling", "timing")
    ]
    + [(word, "coordinator_operation") for word in ("needs_a_key", "valid", "invalid")]
    + [
        (word, "stitcher")
        for word in (
            "webhook_needs_a_key",
            "dispatch_needs_a_key",
            "valid",
            "wrong_key",
            "empty",
            "bad_signature",
            "without_signature",
        )
    ],
)
def test_the_minimum_cases_are_there_by_name(word: str, prefix: str) -> None:
    assert [name for name in cases(prefix) if word in name]


@pytest.mark.spec("CO-43")
def test_there_are_enough_cases_of_each_family() -> None:
    protected = len(HOLDER) - 2
    assert len(cases("guard")) >= 8
    assert len(cases("coordinator_operation")) * protected >= 10
    assert len(cases("stitcher")) >= 7
