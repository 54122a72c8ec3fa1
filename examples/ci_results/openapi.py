"""The OpenAPI documents: what FastAPI knows of the routes, and what the table of operations says of them.

One holds the 29 operations of the contract, one the worker protocol and the downloads (CI-88, CI-98). They
are committed as files, which `python -m examples.ci_results openapi` writes anew.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]  # it has no types
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute

from examples.ci_results.api import create_api
from examples.ci_results.operations import BY_NAME, CONTRACT, HEALTH, OTHERS, Operation
from examples.ci_results.schemas.fields import ErrorBody
from examples.ci_results.schemas.worker import FILE_TYPES, REPORT

VERSION = "3.1.0"
FOLDER = Path(__file__).parent
CONTRACT_FILE = FOLDER / "openapi.yaml"
WORKER_FILE = FOLDER / "openapi-worker.yaml"
_SCHEMES = {
    "bearer": {"type": "http", "scheme": "bearer"},
    "apiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
}
_SECURITY: list[dict[str, list[str]]] = [{"bearer": []}, {"apiKey": []}]
_EVERYWHERE = (400, 401, 429, 500, 503)
_REASONS = {
    204: "There is none",
    303: "The content is elsewhere",
    400: "A parameter or the body is outside its rule, or there are two credentials",
    401: "No live token, or a wrong password at login",
    403: "The token or the role may not do this",
    404: "There is nothing of this id",
    409: "The state does not allow it",
    413: "The body is too long",
    415: "The body is of another type",
    422: "Well formed, and cannot be done",
    429: "Too many requests of this class",
    500: "The request failed for a reason of the service",
    503: "Something that is needed cannot be reached",
}
_TEXT, _NUMBER = {"schema": {"type": "string"}}, {"schema": {"type": "integer"}}
_HEADERS = {
    303: {"Location": _TEXT},
    401: {"WWW-Authenticate": _TEXT},
    429: {"Retry-After": {**_NUMBER, "description": "Seconds"}},
}
_ERROR = {"application/json": {"schema": {"$ref": "#/components/schemas/ErrorBody"}}}
_FILE = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
_FORMS = ("multipart/form-data", "application/x-www-form-urlencoded")

Document = dict[str, Any]


def contract() -> Document:
    """The document of the 29 operations."""
    return _document("CI results", CONTRACT)


def worker() -> Document:
    """The document of the worker protocol, the downloads and the liveness of the process."""
    document = _document("CI results: workers and files", OTHERS)
    reports = REPORT.json_schema(ref_template="#/components/schemas/{model}")
    document["components"]["schemas"] |= _reports(reports.pop("$defs"))
    operation = document["paths"][BY_NAME["report"].path]["post"]
    operation["requestBody"] = {"required": True, "content": {form: {"schema": reports} for form in _FORMS}}
    return document


def write() -> None:
    """Write both files anew."""
    CONTRACT_FILE.write_text(text(contract()))
    WORKER_FILE.write_text(text(worker()))


def text(document: Document) -> str:
    """A document as it is in its file."""
    copied = json.loads(json.dumps(document))  # so that nothing is in there twice, and needs no anchor
    written: str = yaml.safe_dump(copied, sort_keys=False, width=100, allow_unicode=True)
    return written


def _document(title: str, operations: Sequence[Operation]) -> Document:
    names = {operation.name for operation in operations}
    routes = [route for route in _routes(create_api()) if route.name in names]
    document = get_openapi(title=title, version="1.0.0", openapi_version=VERSION, routes=routes)
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    for name in ("HTTPValidationError", "ValidationError"):  # FastAPI's own 422, which is never sent
        schemas.pop(name, None)
    schemas["ErrorBody"] = ErrorBody.model_json_schema()
    document["components"] |= {"responses": _failures(), "securitySchemes": _SCHEMES}
    for item in document["paths"].values():
        for drawn in item.values():
            _complete(drawn, BY_NAME[drawn["operationId"]])
    return document


def _routes(api: FastAPI) -> Sequence[APIRoute]:
    return [route for route in api.routes if isinstance(route, APIRoute)]


def _complete(drawn: Document, operation: Operation) -> None:
    contents = drawn.get("requestBody", {}).get("content", {}).values()
    for place in (*drawn.get("parameters", ()), *contents):
        _refuse_null(place)
    drawn["security"] = _security(operation)
    drawn["x-required-scopes"] = [] if operation.scope is None else [operation.scope]
    drawn["x-required-roles"] = [role.value for role in operation.roles]
    success = {**drawn["responses"][str(operation.success)], "description": drawn["summary"]}
    drawn["responses"] = _responses(success, operation)


def _refuse_null(place: Document) -> None:
    """A parameter, or a body, that may be left out is never null."""
    options = place["schema"].pop("anyOf", None)
    if options:
        place["schema"] = {**options[0], **place["schema"]}


def _security(operation: Operation) -> list[dict[str, list[str]]]:
    if operation.name == HEALTH:  # a token shows more, and none is needed
        return [{}, *_SECURITY]
    return [] if operation.is_public else _SECURITY


def _responses(success: Document, operation: Operation) -> Document:
    answers = {str(status): _refused(status) for status in sorted(_statuses(operation))}
    if operation.name == HEALTH:  # its 503 says in the words of its 200 that the service is down
        either = [success["content"]["application/json"]["schema"], _ERROR["application/json"]["schema"]]
        down = {"description": _REASONS[503], "content": {"application/json": {"schema": {"oneOf": either}}}}
        answers["503"] = down
    if operation.name == "create_run":
        success["headers"] = {"Location": {**_TEXT, "description": "The path of the run"}}
    if operation.name == "download":
        success["content"] = _FILE
    default = {"default": {"$ref": "#/components/responses/default"}} if operation.in_contract else {}
    return {str(operation.success): success, **answers, **default}


def _statuses(operation: Operation) -> set[int]:
    """What it can answer beside its success."""
    if operation.name == "livez":
        return set()
    forbidden = {403} if operation.scope or operation.roles else set()
    return {*_EVERYWHERE, *forbidden, *operation.refuses}


def _refused(status: int) -> Document:
    if status < 300:
        return {"description": _REASONS[status]}
    return {"$ref": f"#/components/responses/{status}"}


def _failures() -> Document:
    """Every answer that is not a success, as all operations give it."""
    statuses = [status for status in _REASONS if status >= 300]
    answers = {str(status): _failure(status) for status in statuses}
    return {**answers, "default": {"description": "Any other failure", "content": _ERROR}}


def _failure(status: int) -> Document:
    content = {"content": _ERROR} if status >= 400 else {}
    headers = {"headers": _HEADERS[status]} if status in _HEADERS else {}
    return {"description": _REASONS[status], **headers, **content}


def _reports(schemas: dict[str, Any]) -> dict[str, Any]:
    """The reports, and the file of those that come with one."""
    for schema in schemas.values():
        kind = schema.get("properties", {}).get("type", {}).get("const")
        if kind in FILE_TYPES:
            schema["properties"]["file"] = {"type": "string", "format": "binary"}
            schema["required"] = [*schema["required"], "file"]
    return schemas
