"""The OpenAPI document: what FastAPI knows, the hot paths by hand, and what the table says of scopes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fastapi import FastAPI

from keyrack.core.credential import MAX_LENGTH
from keyrack.core.model import Access
from keyrack.guards import OPEN
from keyrack.server.questions import MAX_BATCH, MAX_COST
from keyrack.server.schemas import Problem
from keyrack.server.table import ROWS

_SECURITY: list[dict[str, list[str]]] = [{"bearer": []}, {"apiKey": []}]
_SCHEMES = {
    "bearer": {"type": "http", "scheme": "bearer"},
    "apiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
}
_GUARDED = {
    "400": "Ambiguous credentials, or a request that cannot be read",
    "401": "No valid key",
    "403": "The key may not do this",
    "429": "Too many requests",
    "503": "Keys cannot be checked at the moment",
}
_CHANGES = {
    "409": "The state does not allow it",
    "412": "If-Match names an older revision",
    "413": "The body is too large",
    "415": "The body is not JSON",
    "422": "A field is outside its rule",
}


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
    document["paths"].update(_hot_paths())
    components = document.setdefault("components", {})
    components.setdefault("schemas", {})["Problem"] = Problem.model_json_schema()
    components["schemas"].update(_schemas())
    components["securitySchemes"] = _SCHEMES
    scopes = {(row.method.lower(), row.path): row.access for row in ROWS}
    for method, path, operation in _operations(document):
        access = scopes.get((method, path))
        if access is OPEN:
            continue
        operation["security"] = _SECURITY
        if isinstance(access, Access):
            operation["x-required-scopes"] = list(access.scopes)
        _add_problems(operation, _GUARDED)
        if "{" in path:
            _add_problems(operation, {"404": "There is nothing of this id in your reach"})
        if method != "get":
            _add_problems(operation, _CHANGES)


def _operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in document["paths"].items():
        for method, operation in item.items():
            yield method, path, operation


def _add_problems(operation: dict[str, Any], answers: dict[str, str]) -> None:
    content = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    for status, description in answers.items():
        operation["responses"][status] = {"description": description, "content": content}


def _hot_paths() -> dict[str, Any]:
    one, many = {"$ref": "#/components/schemas/Question"}, {"$ref": "#/components/schemas/Questions"}
    verify = _posted("Verify a key", "verify", one, {"$ref": "#/components/schemas/Answer"})
    batch = _posted("Verify up to 100 keys", "verify_batch", many, {"$ref": "#/components/schemas/Answers"})
    return {
        "/v1/verify": {"post": verify | {"x-required-scopes": ["keys:verify"]}},
        "/v1/verify/batch": {"post": batch | {"x-required-scopes": ["keys:verify"]}},
        "/v1/forward-auth": {"get": _forward_auth("For Caddy, Traefik and Envoy", "forward_auth")},
        "/v1/forward-auth/nginx": {"get": _forward_auth("For nginx auth_request", "forward_auth_nginx")},
    }


def _posted(summary: str, name: str, takes: Any, gives: Any) -> dict[str, Any]:
    answer = {"description": "The decision", "content": {"application/json": {"schema": gives}}}
    return {
        "tags": ["verify"],
        "summary": summary,
        "description": "A denial is an answer too: 200 with `valid: false`, its `code` and exact `reason`.",
        "operationId": name,
        "requestBody": {"required": True, "content": {"application/json": {"schema": takes}}},
        "responses": {"200": answer},
    }


def _forward_auth(summary: str, name: str) -> dict[str, Any]:
    scope = {
        "name": "scope",
        "in": "query",
        "required": True,
        "description": "What the forwarded request needs; exactly once, several with commas.",
        "schema": {"type": "string", "minLength": 3, "maxLength": 200, "examples": ["logs:read"]},
    }
    return {
        "tags": ["forward-auth"],
        "summary": summary,
        "description": "Any method. Allowed is 200 with X-Keyrack-Key-Id, -Tenant, -User and -Scopes.",
        "operationId": name,
        "parameters": [scope],
        "responses": {"200": {"description": "The request may pass"}},
    }


def _schemas() -> dict[str, Any]:
    text = {"type": ["string", "null"], "maxLength": 100}
    scopes = {"type": "array", "maxItems": 100, "items": {"type": "string", "examples": ["logs:read"]}}
    question = {
        "type": "object",
        "additionalProperties": False,
        "required": ["key"],
        "properties": {
            "key": {"type": "string", "description": f"The key's text; over {MAX_LENGTH} it is malformed."},
            "scopes": scopes,
            "tenant": text,
            "ip": {"type": ["string", "null"], "examples": ["192.0.2.7"]},
            "cost": {"type": "integer", "minimum": 0, "maximum": MAX_COST, "default": 1},
            "explain": {"type": "boolean", "default": False},
            "environments": {"type": "array", "minItems": 1, "maxItems": 10, "items": {"type": "string"}},
            "service": text,
        },
    }
    answer = {
        "type": "object",
        "required": ["valid", "code"],
        "properties": {
            "valid": {"type": "boolean"},
            "code": {"type": "string", "examples": ["ok"]},
            "reason": {"type": "string"},
            "key_id": {"type": "string"},
            "tenant": {"type": "string"},
            "owner": {"type": ["string", "null"]},
            "scopes": scopes,
        },
    }
    data = {"type": "array", "items": {"$ref": "#/components/schemas/Answer"}}
    return {
        "Question": question,
        "Questions": {
            "type": "array",
            "minItems": 1,
            "maxItems": MAX_BATCH,
            "items": {"$ref": "#/components/schemas/Question"},
        },
        "Answer": answer,
        "Answers": {"type": "object", "required": ["data"], "properties": {"data": data}},
    }
