"""The rows of a FastAPI application: every route has one, or the application does not start."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import combinations
from typing import NamedTuple

from fastapi import FastAPI
from fastapi.routing import RouteContext, iter_route_contexts
from starlette.routing import BaseRoute, Mount, Route, WebSocketRoute

from keyrack.core.errors import ConfigurationError
from keyrack.core.model import Access
from keyrack.guards import templates
from keyrack.guards.needs import needed_by
from keyrack.guards.rows import WEBSOCKET, Row, Special
from keyrack.guards.templates import Overlap

_CONVERTOR = re.compile(r":(?!path\})[A-Za-z_][A-Za-z0-9_]*\}")


class Registered(NamedTuple):
    """One route as an application has it; `access` is what its handler was marked with."""

    path: str
    methods: Collection[str] | None
    """None where it takes any."""
    access: Access | Special | None
    is_prefix: bool = False
    """True for what serves all that is below its path."""

    def __str__(self) -> str:
        return f"{'/'.join(sorted(self.methods or ('any method',)))} {self.path}"

    def rows(self, given: Iterable[Row]) -> list[Row]:
        """Its rows: by its mark, else those of the given ones that are about it."""
        if self.access is not None:
            return [Row(method, self.path, self.access) for method in sorted(self.methods or ())]
        if self.is_prefix:
            return [row for row in given if row.path.startswith(f"{self.path}/")]
        about = [row for row in given if row.path == self.path]
        return [row for row in about if self.methods is None or row.method in self.methods]


def rows_of(
    app: FastAPI, rows: Iterable[Row] = (), *, docs: Access | Special | None = None
) -> tuple[Row, ...]:
    """The rows of an application: those of its marked handlers, and the given ones for what has no mark.

    Its documentation routes stay closed unless `docs` says what they need. Raises ConfigurationError,
    naming every route without a row, and where the framework would try the wrong route first.
    """
    given = list(rows)
    found: list[Row] = []
    without: list[str] = []
    for one in _registered(app, "", docs):
        own = one.rows(given)
        found += own
        if not own or not _covers(own, one):
            without.append(str(one))
    if without:
        raise ConfigurationError("rows", f"these routes have none: {'; '.join(without)}.")
    _check_order(found)
    return (*found, *(row for row in given if row not in found))


def _covers(rows: Iterable[Row], one: Registered) -> bool:
    """Whether each method has a row. HEAD comes with GET."""
    methods = {row.method for row in rows}
    return one.is_prefix or one.methods is None or set(one.methods) - {"HEAD"} <= methods


def _registered(app: FastAPI, prefix: str, docs: Access | Special | None) -> Iterator[Registered]:
    if prefix and app.root_path:
        raise ConfigurationError("rows", f"the application mounted at {prefix} has a root_path of its own.")
    own_docs = {app.openapi_url, app.docs_url, app.redoc_url, app.swagger_ui_oauth2_redirect_url}
    for context in iter_route_contexts(app.routes):
        if context.path not in own_docs:
            yield from _walk(context, prefix, docs)
        elif docs is not None:
            yield Registered(f"{prefix}{context.path}", ("GET",), docs)


def _walk(context: RouteContext, prefix: str, docs: Access | Special | None) -> Iterator[Registered]:
    route = context.original_route
    path = _CONVERTOR.sub("}", prefix + (context.path or ""))
    if isinstance(route, Mount):
        yield from _mounted(route, path, docs)
    elif isinstance(route, WebSocketRoute):
        yield Registered(path, (WEBSOCKET,), needed_by(context.endpoint))
    elif isinstance(route, Route):
        yield Registered(path, context.methods or None, needed_by(context.endpoint))
    else:
        raise ConfigurationError("rows", f"the guard cannot tell what {type(route).__name__} routes serve.")


def _mounted(mount: Mount, path: str, docs: Access | Special | None) -> Iterator[Registered]:
    if isinstance(mount.app, FastAPI):
        yield from _registered(mount.app, path, docs)
    elif mount.routes:
        yield from _walk_all(mount.routes, path, docs)
    else:
        yield Registered(path, None, None, is_prefix=True)


def _walk_all(
    routes: Sequence[BaseRoute], prefix: str, docs: Access | Special | None
) -> Iterator[Registered]:
    for context in iter_route_contexts(routes):
        yield from _walk(context, prefix, docs)


def _check_order(rows: Sequence[Row]) -> None:
    """Starlette takes the first route that matches, the guard the most precise; both must agree."""
    for first, second in combinations(rows, 2):
        if first.method == second.method and first.needs != second.needs and _hides(first, second):
            raise ConfigurationError(
                "rows", f"{second} is never reached behind {first}; register it before that."
            )


def _hides(first: Row, second: Row) -> bool:
    shapes = templates.parse(second.path) or (), templates.parse(first.path) or ()
    return templates.overlap(*shapes) is Overlap.NARROWER
