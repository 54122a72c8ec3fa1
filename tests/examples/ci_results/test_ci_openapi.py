"""The OpenAPI documents: as they are committed, and what the table of operations says of each operation."""

from __future__ import annotations

from typing import Any

import pytest

from examples.ci_results import openapi
from examples.ci_results.operations import CONTRACT, OTHERS, Operation

COMMON = {"400", "401", "429", "500", "503", "default"}


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return openapi.contract()


def drawn(document: dict[str, Any], operation: Operation) -> dict[str, Any]:
    found: dict[str, Any] = document["paths"][operation.path][operation.method.lower()]
    return found


@pytest.mark.spec("CI-98")
def test_the_committed_documents_are_those_of_the_code(document: dict[str, Any]) -> None:
    say = "write them anew: python -m examples.ci_results openapi"
    assert openapi.CONTRACT_FILE.read_text() == openapi.text(document), say
    assert openapi.WORKER_FILE.read_text() == openapi.text(openapi.worker()), say


@pytest.mark.spec("CI-98")
def test_the_contract_has_exactly_the_29_operations(document: dict[str, Any]) -> None:
    found = {(method.upper(), path) for path, item in document["paths"].items() for method in item}
    assert found == {(operation.method, operation.path) for operation in CONTRACT}
    assert len(found) == len(CONTRACT) == 29
    assert document["openapi"].startswith("3.1")


@pytest.mark.spec("CI-98")
@pytest.mark.parametrize("operation", CONTRACT, ids=lambda operation: operation.name)
def test_an_operation_says_whom_it_is_for_and_what_it_answers(
    document: dict[str, Any], operation: Operation
) -> None:
    found = drawn(document, operation)
    assert found["x-required-scopes"] == ([operation.scope] if operation.scope else [])
    assert found["x-required-roles"] == list(operation.roles)
    statuses = COMMON | {str(status) for status in (operation.success, *operation.refuses)}
    if operation.scope or operation.roles:
        statuses.add("403")
    assert set(found["responses"]) == statuses
    assert bool(found["security"]) is (not operation.is_public or operation.name == "get_health")
    assert ("requestBody" in found) is (operation.method == "POST")


@pytest.mark.spec("CI-88")
def test_workers_and_downloads_have_a_document_of_their_own() -> None:
    document = openapi.worker()
    assert set(document["paths"]) == {operation.path for operation in OTHERS}
    form = document["paths"]["/progress-reporter/{run_id}"]["post"]["requestBody"]["content"]
    kinds = form["multipart/form-data"]["schema"]["discriminator"]["mapping"]
    assert set(kinds) == {"progress", "equality", "upload", "logupload", "artifactupload", "finish"}
    upload = document["components"]["schemas"]["UploadReport"]
    assert set(upload["required"]) == {"type", "test_id", "test_file_id", "file"}


def test_every_reference_is_to_something_that_is_there(document: dict[str, Any]) -> None:
    for one in (document, openapi.worker()):
        for reference in set(references(one)):
            place: Any = one
            for part in reference.removeprefix("#/").split("/"):
                place = place[part]


def references(value: Any) -> list[str]:
    if isinstance(value, dict):
        own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
        return own + [one for part in value.values() for one in references(part)]
    return [one for part in value for one in references(part)] if isinstance(value, list) else []
