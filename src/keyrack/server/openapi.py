"""The OpenAPI document: what FastAPI knows, the hot paths by hand, and what the table says of scopes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute

from keyrack.core.model import Access
from keyrack.guards import OPEN
from keyrack.server import hot_document
from keyrack.server.table import ROWS
from keyrack.server.views import Problem

_SECURITY: list[dict[str, list[str]]] = [{"bearer": []}, {"apiKey": []}]
_SCHEMES = {
    "bearer": {"type": "http", "scheme": "bearer"},
    "apiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
}
_ANY = {"431": "Too many header fields, or too long ones"}
_GUARDED = {
    "400": "More than one credential, one in the query string, or a request that cannot be read",
    "401": "No valid key",
    "403": "The key may not do this",
    "429": "Too many requests",
    "503": "Keys cannot be checked, or changed, at the moment",
}
_NAMED = {"404": "There is nothing of this id in your reach"}
_CHANGED = {"409": "The state does not allow it"}
_BODIED = {
    "413": "The body is too large",
    "415": "The body is not declared as JSON",
    "422": "A field is outside its rule",
}
_RULED = {"422": _BODIED["422"]}
"""Names have rules where they stand in a path as well."""
_CONDITIONAL = {"412": "If-Match names an older revision"}
_HEADERS = {
    "401": {"WWW-Authenticate": {"schema": {"type": "string"}}},
    "429": {"Retry-After": {"description": "Seconds", "schema": {"type": "integer"}}},
}
_TAGGED = frozenset({"KeyView", "MintedView", "TenantView", "GroupView", "RotationView", "ApiView"})
_ETAG = {"ETag": {"description": "The revision", "schema": {"type": "string", "pattern": '^"[0-9]+"$'}}}


def operation_id(route: APIRoute) -> str:
    """How clients that are generated name an operation."""
    return f"{route.tags[0]}_{route.name}".replace("-", "_")


def describe(api: FastAPI) -> None:
    """Complete the document of this application, once, when it is first asked for."""
    drawn = api.openapi

    def complete() -> dict[str, Any]:
        if api.openapi_schema is None:
            document = drawn()
            _complete(document)
            api.openapi_schema = document
        return api.openapi_schema

    api.openapi = complete  # type: ignore[method-assign]  # FastAPI's own way to extend the document


def _complete(document: dict[str, Any]) -> None:
    document["paths"].update(hot_document.paths())
    schemas = document["components"]["schemas"]
    # FastAPI's own form of 422, which this server never sends.
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    schemas.update(hot_document.schemas(), Problem=Problem.model_json_schema())
    document["components"]["securitySchemes"] = _SCHEMES
    accesses = {(row.method.lower(), row.path): row.access for row in ROWS}
    for method, path, operation in _operations(document):
        _complete_operation(operation, method, path, accesses.get((method, path)))


def _complete_operation(operation: dict[str, Any], method: str, path: str, access: object) -> None:
    operation["responses"].pop("422", None)
    for parameter in operation.get("parameters", ()):
        _complete_parameter(parameter)
    problems = _problems(operation, method, path, access)
    for answer in operation["responses"].values():
        _complete_answer(answer, operation["summary"])
    _add_problems(operation["responses"], problems)
    if access is not OPEN:
        operation["security"] = _SECURITY
    if isinstance(access, Access):
        operation["x-required-scopes"] = list(access.scopes)


def _complete_parameter(parameter: dict[str, Any]) -> None:
    """What may be left out cannot be null: no query and no header can say that."""
    options = parameter["schema"].get("anyOf")
    if options:
        parameter["schema"] = options[0]
        parameter.setdefault("description", options[0].get("description", ""))


def _problems(operation: dict[str, Any], method: str, path: str, access: object) -> dict[str, str]:
    """How an operation can fail, by status: by what it is and takes, and by what its route says itself."""
    found = dict(_ANY)
    if access is not OPEN:
        found |= _GUARDED
    if "{" in path:
        found |= _NAMED
    if "requestBody" in operation:
        found |= _BODIED
    if "/{username}" in path:
        found |= _RULED
    if method != "get" and operation["tags"][0] not in hot_document.TAGS:
        found |= _CHANGED
    if any(parameter["name"] == "if-match" for parameter in operation.get("parameters", ())):
        found |= _CONDITIONAL
    said = {status: one["description"] for status, one in operation["responses"].items() if status >= "400"}
    return found | said


def _complete_answer(answer: dict[str, Any], summary: str) -> None:
    if answer["description"] == "Successful Response":
        answer["description"] = summary
    shown = answer.get("content", {}).get("application/json", {}).get("schema", {}).get("$ref", "")
    if shown.rpartition("/")[2] in _TAGGED:
        answer["headers"] = _ETAG


def _operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in document["paths"].items():
        for method, operation in item.items():
            yield method, path, operation


def _add_problems(answers: dict[str, Any], problems: dict[str, str]) -> None:
    """Add problem documents to the answers of an operation, beside what else it gives at that status."""
    problem = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    for status, description in problems.items():
        known = answers.get(status, {"description": description})
        headers = {"headers": _HEADERS[status]} if status in _HEADERS else {}
        answers[status] = {**known, "content": {**known.get("content", {}), **problem}, **headers}
