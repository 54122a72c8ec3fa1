"""What rows add to an OpenAPI document: how to authenticate, which scopes, and how a refusal looks."""

from __future__ import annotations

import re
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

from keyrack.core.http import PROBLEM_TYPE
from keyrack.core.model import Access
from keyrack.guards.rows import OPEN, Row

SECURITY_SCHEMES = {
    "bearer": {"type": "http", "scheme": "bearer"},
    "api_key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
}
PROBLEM = "KeyrackProblem"
PROBLEM_SCHEMA = {
    "title": "Problem",
    "description": "An error (RFC 9457). `code` is stable, `details` depends on it.",
    "type": "object",
    "required": ["type", "title", "status", "detail", "code", "details", "request_id"],
    "properties": {
        "type": {"type": "string", "format": "uri"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "code": {"type": "string"},
        "details": {"type": "object"},
        "request_id": {"type": "string"},
    },
}
REFUSALS = (400, 401, 403, 429, 503)
"""The statuses that a guard may answer on any row that is not open."""

_REST = re.compile(r":path\}")


def describe(document: dict[str, Any], rows: Iterable[Row]) -> dict[str, Any]:
    """Add to a document what its operations need; doing it again changes nothing."""
    components = document.setdefault("components", {})
    components.setdefault("securitySchemes", {}).update(SECURITY_SCHEMES)
    components.setdefault("schemas", {})[PROBLEM] = PROBLEM_SCHEMA
    for row in rows:
        path = document.get("paths", {}).get(_REST.sub("}", row.path), {})
        if row.method.lower() in path:
            _describe(path[row.method.lower()], row)
    return document


def _describe(operation: dict[str, Any], row: Row) -> None:
    if row.access is OPEN:
        operation["security"] = []
        return
    operation["security"] = [{scheme: []} for scheme in SECURITY_SCHEMES]
    if isinstance(row.access, Access):
        operation["x-required-scopes"] = list(row.access.scopes)
    responses = operation.setdefault("responses", {})
    for status in REFUSALS:
        responses.setdefault(str(status), _refusal(status))


def _refusal(status: int) -> dict[str, Any]:
    schema = {"$ref": f"#/components/schemas/{PROBLEM}"}
    return {"description": HTTPStatus(status).phrase, "content": {PROBLEM_TYPE: {"schema": schema}}}
