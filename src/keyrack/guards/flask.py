"""The guard for Flask, its rows written where the routes are.

    app = Flask(__name__)

    @app.get("/logs")
    @needs("logs:read")
    def logs() -> dict[str, str]:
        return {"tenant": current_key().key.tenant}

    protect(app, verifier)

It is pure WSGI underneath. A route without a row stops the start.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Unpack

try:
    from flask import Flask, Response, request
    from werkzeug.routing import Map, Rule
except ModuleNotFoundError as missing:
    raise ModuleNotFoundError(
        "The guard for Flask needs `pip install 'keyrack[flask]'`.", name=missing.name
    ) from None

from keyrack.core.errors import ConfigurationError
from keyrack.core.model import Access
from keyrack.deciding import Decides
from keyrack.guards.decision import Options
from keyrack.guards.key_state import KeyState, Refused
from keyrack.guards.needs import guarded, needed_by, needs
from keyrack.guards.rows import LATER, OPEN, Row, Special
from keyrack.guards.wsgi import KEY, Guard

__all__ = [
    "LATER",
    "OPEN",
    "KeyState",
    "Refused",
    "Row",
    "current_key",
    "guarded",
    "needs",
    "protect",
    "rows_of",
]

_VARIABLE = re.compile(r"<(?:(?P<converter>[A-Za-z_]\w*)(?:\([^<>]*\))?:)?(?P<name>[A-Za-z_]\w*)>")


def current_key() -> KeyState:
    """The key that called a guarded route. Raises KeyError on an open one."""
    key: KeyState = request.environ[KEY]
    return key


def protect(
    app: Flask,
    verifier: Decides | None,
    *,
    rows: Iterable[Row] = (),
    static: Access | Special | None = None,
    **options: Unpack[Options],
) -> None:
    """Guard an application. Call it behind the last route: one that comes later is not served.

    `rows` are for routes whose views bear no mark. The route of the static folder stays closed unless
    `static` says what it needs. The options are those of every guard.
    """
    guard = Guard(app.wsgi_app, verifier, rows_of(app, rows, static=static), **options)
    app.wsgi_app = guard  # type: ignore[method-assign]  # the way that Flask's documentation gives
    app.register_error_handler(Refused, _refused)


def rows_of(
    app: Flask, rows: Iterable[Row] = (), *, static: Access | Special | None = None
) -> tuple[Row, ...]:
    """The rows of an application: those of its marked views, and the given ones for what has no mark.

    Raises ConfigurationError, naming every route without a row.
    """
    given = {(row.method, row.path): row for row in rows}
    found: list[Row] = []
    without: list[str] = []
    for rule in app.url_map.iter_rules():
        access = static if rule.endpoint == "static" else needed_by(app.view_functions.get(rule.endpoint))
        for method, path in _operations(rule, app.url_map):
            if access is not None:
                found.append(Row(method, path, access))
            elif (method, path) not in given and rule.endpoint != "static":
                without.append(f"{method} {path}")
    if without:
        raise ConfigurationError("rows", f"these routes have none: {'; '.join(without)}.")
    return (*found, *given.values())


def _operations(rule: Rule, rules: Map) -> Iterator[tuple[str, str]]:
    """What a rule serves. HEAD comes with GET, and Flask's own answer to OPTIONS stays closed."""
    methods = set(rule.methods or ())
    methods -= {"HEAD"} if "GET" in methods else set()
    methods -= {"OPTIONS"} if getattr(rule, "provide_automatic_options", False) else set()
    path = _VARIABLE.sub(lambda variable: _parameter(variable, rules), rule.rule)
    return ((method, path) for method in sorted(methods))


def _parameter(variable: re.Match[str], rules: Map) -> str:
    converter = rules.converters.get(variable["converter"] or "default")
    takes_slashes = converter is not None and not converter.part_isolating
    return f"{{{variable['name']}{':path' if takes_slashes else ''}}}"


def _refused(error: Refused) -> Response:
    status, headers, body = error.response
    return Response(body, status, list(headers))
