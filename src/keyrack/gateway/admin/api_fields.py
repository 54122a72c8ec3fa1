"""The rules of an API document: JSON values in, the fields of the record out."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, get_args

from keyrack.core import scopes
from keyrack.core.errors import ConfigurationError, ValidationFailed
from keyrack.core.fields import refuse
from keyrack.core.upstream import Api, Endpoint
from keyrack.gateway.admin import origins, upstream_fields
from keyrack.gateway.endpoints import Endpoints
from keyrack.guards import templates
from keyrack.wishes import Reader

Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"]
METHODS: tuple[Method, ...] = get_args(Method)
MAX_SERVERS = 20
MAX_HEADERS = 100
MAX_ENDPOINTS = 500
MAX_RETRIES = 5
MAX_COST = 1000
MAX_POINTER = 200
VERSION_PATTERN = "v[0-9]{1,9}"
POINTER_PATTERN = "(/([^~/]|~[01])*)+"
"""A JSON pointer (RFC 6901) to something inside of the document."""
UNITS = ("input", "output")

_VERSION = re.compile(VERSION_PATTERN)
_HEADER = re.compile(upstream_fields.HEADER_PATTERN)
_POINTER = re.compile(POINTER_PATTERN)


def validated(given: Mapping[str, Any], *, named: tuple[str, str] | None = None) -> dict[str, Any]:
    """The fields of the record of a new API, or of changes to the one of this name and version.

    Raises ValidationFailed, which names every bad field.
    """
    unknown = sorted(set(given) - set(_RULES))
    if unknown:
        raise ValidationFailed({name: ["This field cannot be set."] for name in unknown})
    read = Reader()
    values = {_IN_RECORD[name]: read(name, _RULES[name], value) for name, value in given.items()}
    if named is None:
        for name in _REQUIRED:
            read(name, _present, name, given)
    else:
        for name, fixed in zip(_NAMES, named, strict=True):
            read(name, _same, name, given.get(name, fixed), fixed)
    read.finish()
    return values


def require_sound(api: Api) -> None:
    """Refuse a document whose fields do not go together. Raises ValidationFailed (`public_and_charged`)."""
    if api.public and api.charged:
        message = "What anybody may call can be charged to nobody."
        raise ValidationFailed({"api_credits_enabled": [message]}, code="public_and_charged")
    if api.charged and api.group is None:
        raise refuse("api_credit_group", "Credits are those of a group; name it.")


def _present(name: str, given: Mapping[str, Any]) -> None:
    if name not in given:
        raise refuse(name, "Give a value.")


def _same(name: str, value: object, fixed: str) -> None:
    if value != fixed:
        raise refuse(name, "An API's name and version are fixed.")


def _version(value: object) -> str:
    if not isinstance(value, str) or _VERSION.fullmatch(value) is None:
        raise refuse("api_version", "Give `v` and a number, such as `v1`.")
    return value


def _servers(value: object) -> tuple[str, ...]:
    items = _list("api_servers", value, MAX_SERVERS)
    if not items:
        raise refuse("api_servers", "Give at least one server.")
    return tuple(
        dict.fromkeys(origins.server(one, f"api_servers.{index}") for index, one in enumerate(items))
    )


def _headers(name: str, value: object) -> tuple[str, ...]:
    items = _list(name, value, MAX_HEADERS)
    for index, one in enumerate(items):
        if not isinstance(one, str) or _HEADER.fullmatch(one) is None:
            raise refuse(f"{name}.{index}", "Give the name of a header.")
    return tuple(sorted({one.lower() for one in items}))


def _endpoints(value: object) -> tuple[Endpoint, ...]:
    items = _list("endpoints", value, MAX_ENDPOINTS)
    read = tuple(_endpoint(one, f"endpoints.{index}") for index, one in enumerate(items))
    shapes = {(one.method, templates.parse(one.uri)) for one in read}
    if len(shapes) != len(read):
        raise refuse("endpoints", "Each method and path stands once.")
    try:
        Endpoints(read)
    except ConfigurationError as error:  # readers of a path could take it for either of two
        raise refuse("endpoints", error.detail) from None
    return read


def _endpoint(value: object, field: str) -> Endpoint:
    if not isinstance(value, Mapping) or not {"method", "uri", "scope"} <= set(value) <= set(_MEMBERS):
        raise refuse(field, "Give method, uri and scope, and perhaps cost.")
    return Endpoint(
        _method(value["method"], f"{field}.method"),
        _uri(value["uri"], f"{field}.uri"),
        _scope(value["scope"], f"{field}.scope"),
        upstream_fields.whole(value.get("cost", 1), f"{field}.cost", most=MAX_COST),
    )


def _method(value: object, field: str) -> str:
    if value not in METHODS:
        raise refuse(field, f"Give one of: {', '.join(METHODS)}.")
    return str(value)


def _uri(value: object, field: str) -> str:
    known = isinstance(value, str) and len(value) <= origins.MAX_URL
    shape = templates.parse(value) if known and isinstance(value, str) else None
    if shape is None or templates.REST in shape or "" in shape[:-1]:
        raise refuse(field, "Give a path such as `/chat/{id}`; a parameter is one whole segment.")
    return str(value)


def _scope(value: object, field: str) -> str:
    if not isinstance(value, str) or not scopes.is_scope(value):
        raise refuse(field, "Give a scope (resource:action).")
    return value


def _retries(value: object) -> int:
    return upstream_fields.whole(value, "api_allowed_retry_count", most=MAX_RETRIES)


def _pointers(value: object) -> dict[str, str]:
    if not isinstance(value, Mapping) or not set(value) <= set(UNITS):
        raise refuse("api_usage_pointers", "Give JSON pointers for `input` and `output`.")
    for name, pointer in value.items():
        is_text = isinstance(pointer, str) and len(pointer) <= MAX_POINTER
        if not is_text or _POINTER.fullmatch(pointer) is None:
            raise refuse(f"api_usage_pointers.{name}", "Give a JSON pointer such as `/usage/total_tokens`.")
    return dict(value)


def _list(name: str, value: object, most: int) -> Sequence[Any]:
    if not isinstance(value, list | tuple) or len(value) > most:
        raise refuse(name, f"Give a list of at most {most}.")
    return value


def _boolean(name: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise refuse(name, "Give true or false.")
    return value


_NAMES = ("api_name", "api_version")
_REQUIRED = (*_NAMES, "api_servers")
_MEMBERS = ("method", "uri", "scope", "cost")
_RULES: Mapping[str, Callable[[Any], Any]] = {
    "api_name": lambda value: upstream_fields.name(value, "api_name"),
    "api_version": _version,
    "api_servers": _servers,
    "active": lambda value: _boolean("active", value),
    "api_public": lambda value: _boolean("api_public", value),
    "api_credits_enabled": lambda value: _boolean("api_credits_enabled", value),
    "api_credit_group": lambda value: (
        None if value is None else upstream_fields.name(value, "api_credit_group")
    ),
    "api_allowed_headers": lambda value: _headers("api_allowed_headers", value),
    "api_response_headers": lambda value: _headers("api_response_headers", value),
    "api_allowed_retry_count": _retries,
    "api_usage_pointers": _pointers,
    "endpoints": _endpoints,
}
_IN_RECORD = {
    "api_name": "name",
    "api_version": "version",
    "api_servers": "servers",
    "active": "active",
    "api_public": "public",
    "api_credits_enabled": "charged",
    "api_credit_group": "group",
    "api_allowed_headers": "request_headers",
    "api_response_headers": "response_headers",
    "api_allowed_retry_count": "retries",
    "api_usage_pointers": "usage_pointers",
    "endpoints": "endpoints",
}
