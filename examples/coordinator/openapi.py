"""The OpenAPI document, written from the table of operations; it is exported and never served."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from examples.coordinator import answers
from examples.coordinator.api import create_api
from examples.coordinator.bodies import ProblemView
from examples.coordinator.operations import OPERATIONS, Operation

_REFERENCE = "#/components/schemas/{model}"
_SCHEMES = {
    "bearer": {"type": "http", "scheme": "bearer"},
    "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
}
_SHARED = (400, 401, 403, 429, 503)
_WITH_BODY = (413, 415)


def document() -> dict[str, Any]:
    """The whole document."""
    described = create_api().openapi()
    for operation in OPERATIONS:
        described["paths"][operation.path][operation.method.lower()] |= _described(operation)
    described["components"] = {"securitySchemes": _SCHEMES, "schemas": _schemas()}
    return described


def _described(operation: Operation) -> dict[str, Any]:
    description = {"security": _security(operation), "responses": _responses(operation)}
    if operation.body is not None:
        description["requestBody"] = _request(operation.body)
    return description


def _request(body: type[BaseModel]) -> dict[str, Any]:
    return {"required": True, "content": _content("application/json", body)}


def _security(operation: Operation) -> list[dict[str, list[str]]]:
    return [{scheme: [operation.scope]} for scheme in _SCHEMES] if operation.scope else []


def _responses(operation: Operation) -> dict[str, Any]:
    answer = operation.answer
    success = {"description": "Done", **({"content": _content("application/json", answer)} if answer else {})}
    problem = {"description": "Not done", "content": _content(answers.PROBLEM_TYPE, ProblemView)}
    shared = _SHARED if operation.scope else ()
    statuses = {*shared, *operation.errors, *(_WITH_BODY if operation.body else ())}
    return {str(operation.success): success, **{str(status): problem for status in sorted(statuses)}}


def _content(media_type: str, model: type[BaseModel]) -> dict[str, Any]:
    return {media_type: {"schema": {"$ref": _REFERENCE.format(model=model.__name__)}}}


def _schemas() -> dict[str, Any]:
    used: dict[tuple[type[BaseModel], JsonSchemaMode], None] = {(ProblemView, "serialization"): None}
    for operation in OPERATIONS:
        if operation.body is not None:
            used[operation.body, "validation"] = None
        if operation.answer is not None:
            used[operation.answer, "serialization"] = None
    _, definitions = models_json_schema(list(used), ref_template=_REFERENCE)
    schemas: dict[str, Any] = definitions["$defs"]
    return schemas
