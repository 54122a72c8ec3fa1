"""Forward-auth in the OpenAPI document, by hand: no framework knows of it."""

from __future__ import annotations

from typing import Any

from keyrack.server.bodies import SCOPE_SHAPE

TAG = "forward-auth"
_TEXT = {"type": "string"}
_QUERY_SCOPE = {
    "name": "scope",
    "in": "query",
    "required": True,
    "description": "What the forwarded request needs; exactly once, several with commas. "
    "A proxy may send X-Keyrack-Scope instead.",
    "schema": SCOPE_SHAPE,
}
_PATH = {
    "name": "path",
    "in": "path",
    "required": True,
    "description": "Path and query of the request, as Envoy will send them; 400 where the path could be "
    "read in two ways.",
    "schema": {"type": "string", "pattern": "^[A-Za-z0-9_~-][A-Za-z0-9._~-]{0,200}$"},
}
_ANY_PROXY = (
    "The decision on the request that the proxy forwards. Any method asks the same. "
    "Answered to loopback and trusted proxies, on the internal listener, and to whoever presents a key "
    "with gateway:authorize in X-Keyrack-Proxy-Key; anybody else gets 401. X-Keyrack-Environments and "
    "X-Keyrack-Service stand for the members of a question; X-Original-URI or X-Forwarded-Uri and "
    "X-Original-Method or X-Forwarded-Method say what the request is."
)
_DECISION = "The decision on the request that the proxy forwards; any method asks the same."
_NEEDS = (
    "Either X-Keyrack-Scope says what the request needs, or X-Keyrack-Api names the API whose document does."
)
_OWN_FORM = (
    f"{_DECISION} Answered to a key with gateway:authorize in X-Keyrack-Proxy-Key, on the internal listener "
    f"where there is one; anybody else gets 401. {_NEEDS}"
)


def paths() -> dict[str, Any]:
    """The operations of forward-auth."""
    refused = {"description": "Refused", "headers": _keyrack_headers("Status", "Problem")}
    nginx = _form("For nginx auth_request", "forward_auth_nginx", shows=("Inject",))
    nginx["description"] += (
        " Refused is 401, or 403 for all else; what it truly is stands in X-Keyrack-Status and -Problem."
    )
    nginx["responses"]["403"] = refused
    traefik = _form("For Traefik", "forward_auth_traefik")
    traefik["description"] = f"{_DECISION} Answered on the internal listener alone. {_NEEDS}"
    envoy = _form("For Envoy", "forward_auth_envoy")
    envoy["parameters"] = [_PATH]
    return {
        "/v1/forward-auth": {"get": _any_proxy()},
        "/v1/forward-auth/nginx": {"get": nginx},
        "/v1/forward-auth/caddy": {"get": _form("For Caddy", "forward_auth_caddy")},
        "/v1/forward-auth/traefik": {"get": traefik},
        "/v1/forward-auth/envoy/{path}": {"get": envoy},
        "/v1/forward-auth/report": {"post": _report()},
    }


def schemas() -> dict[str, Any]:
    """The shape of a report, and of the answer to it, which says it again."""
    return {
        "Report": {
            "type": "object",
            "additionalProperties": False,
            "required": ["request_id", "outcome"],
            "properties": {
                "request_id": {
                    "type": "string",
                    "maxLength": 200,
                    "description": "The X-Request-ID of the decision.",
                },
                "outcome": {"type": "string", "enum": ["settled", "refunded"]},
                "upstream_status": {"type": ["integer", "null"], "minimum": 100, "maximum": 599},
            },
        }
    }


def _any_proxy() -> dict[str, Any]:
    operation = _form("For any proxy that passes an answer on", "forward_auth")
    return {**operation, "description": _ANY_PROXY, "parameters": [_QUERY_SCOPE]}


def _form(summary: str, name: str, *, shows: tuple[str, ...] = ()) -> dict[str, Any]:
    allowed = {
        "description": "The request may pass",
        "headers": _keyrack_headers("Key-Id", "Tenant", "User", "Scopes", *shows),
    }
    return {
        "tags": [TAG],
        "summary": summary,
        "description": _OWN_FORM,
        "operationId": name,
        "responses": {"200": allowed},
    }


def _report() -> dict[str, Any]:
    content = {"application/json": {"schema": {"$ref": "#/components/schemas/Report"}}}
    return {
        "tags": [TAG],
        "summary": "Report what came of a request",
        "description": "Settles or refunds the credits that a decision reserved, and counts what the "
        "upstream said of its key. Only the proxy key that got the decision may report it, once.",
        "operationId": "forward_auth_report",
        "requestBody": {"required": True, "content": content},
        "responses": {
            "200": {"description": "The report, taken", "content": content},
            "404": {"description": "This proxy was told no decision of this id"},
            "409": {"description": "Reported before, or ended without a report"},
        },
    }


def _keyrack_headers(*names: str) -> dict[str, Any]:
    return {f"X-Keyrack-{name}": {"schema": _TEXT} for name in names}
