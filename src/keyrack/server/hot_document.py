"""The hot paths in the OpenAPI document, by hand: no framework knows of them."""

from __future__ import annotations

from typing import Any

from keyrack.core import fields
from keyrack.core.credential import ENVIRONMENT, MAX_LENGTH
from keyrack.core.scopes import MAX_SCOPES
from keyrack.server import proxy_document
from keyrack.server.bodies import SCOPE_SHAPE
from keyrack.server.questions import MAX_BATCH, MAX_COST, MAX_ENVIRONMENTS

TAGS = ("verify", proxy_document.TAG)
_SCOPES = {"type": "array", "maxItems": MAX_SCOPES, "items": SCOPE_SHAPE}
_NAME = {"type": ["string", "null"], "minLength": 1, "maxLength": fields.MAX_NAME}
_TEXT = {"type": "string"}
_QUESTION = {
    "type": "object",
    "additionalProperties": False,
    "required": ["key"],
    "properties": {
        "key": {
            "type": "string",
            "description": f"The key's text, or a session token. Over {MAX_LENGTH} bytes a key is malformed.",
        },
        "scopes": {
            **_SCOPES,
            "description": "What it must hold; without any, the answer proves identity only.",
        },
        "tenant": {**_NAME, "description": "The tenant that the request names, if it names one."},
        "ip": {"type": ["string", "null"], "description": "The client's address.", "examples": ["192.0.2.7"]},
        "cost": {"type": "integer", "minimum": 0, "maximum": MAX_COST, "default": 1},
        "explain": {"type": "boolean", "default": False},
        "environments": {
            "type": "array",
            "minItems": 1,
            "maxItems": MAX_ENVIRONMENTS,
            "items": {"type": "string", "pattern": f"^{ENVIRONMENT.pattern}$"},
            "default": ["live"],
        },
        "service": {**_NAME, "description": "Which of the tenant's services is asked for."},
    },
    "examples": [{"key": "kr_live_…", "scopes": ["logs:read"], "ip": "192.0.2.7", "cost": 1}],
}
_RATE = {
    "type": "object",
    "required": ["name", "limit", "window_seconds", "remaining", "reset_at"],
    "properties": {
        "name": _TEXT,
        **{name: {"type": "integer"} for name in ("limit", "window_seconds", "remaining", "reset_at")},
    },
}
_ANSWER = {
    "type": "object",
    "required": ["valid", "code"],
    "properties": {
        "valid": {"type": "boolean"},
        "code": {"type": "string", "examples": ["ok"]},
        "reason": {"type": "string", "description": "Why not, exactly."},
        "key_id": _TEXT,
        "version": {"type": "integer"},
        "name": _TEXT,
        "tenant": _TEXT,
        "owner": {"type": ["string", "null"]},
        "environment": _TEXT,
        "scopes": {"type": "array", "items": _TEXT},
        "expires_at": {"type": ["string", "null"], "format": "date-time"},
        "session": {
            "type": "object",
            "description": "Where a session token was asked about.",
            "required": ["expires_at", "audience"],
            "properties": {
                "expires_at": {"type": "string", "format": "date-time"},
                "audience": {"type": ["string", "null"]},
            },
        },
        "limits": {"type": "array", "items": _RATE},
        "retry_after": {"type": "integer", "description": "Seconds."},
        "details": {"type": "object"},
        "explanation": _TEXT,
    },
    "additionalProperties": False,
}


def schemas() -> dict[str, Any]:
    """The shapes of questions and answers."""
    questions = {"type": "array", "minItems": 1, "maxItems": MAX_BATCH, "items": _reference("Question")}
    data = {"type": "array", "items": _reference("Answer")}
    return {
        "Question": _QUESTION,
        "Questions": questions,
        "Answer": _ANSWER,
        **proxy_document.schemas(),
        "Answers": {"type": "object", "required": ["data"], "properties": {"data": data}},
    }


def paths() -> dict[str, Any]:
    """The operations of the hot paths."""
    verify = _posted("Verify a key", "verify_one", takes="Question", gives="Answer")
    batch = _posted(f"Verify up to {MAX_BATCH} keys", "verify_batch", takes="Questions", gives="Answers")
    return {
        "/v1/verify": {"post": verify},
        "/v1/verify/batch": {"post": batch},
        **proxy_document.paths(),
    }


def _posted(summary: str, name: str, *, takes: str, gives: str) -> dict[str, Any]:
    content = {"application/json": {"schema": _reference(gives)}}
    return {
        "tags": [TAGS[0]],
        "summary": summary,
        "description": "A denial is an answer too: 200 with `valid: false`, its `code` and exact `reason`.",
        "operationId": name,
        "requestBody": {"required": True, "content": {"application/json": {"schema": _reference(takes)}}},
        "responses": {"200": {"description": "The decision", "content": content}},
    }


def _reference(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}
