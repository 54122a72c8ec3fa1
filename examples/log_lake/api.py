"""The routes on FastAPI, built from the table of operations. No guard here, and nothing is opened."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import cache

from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute
from starlette.routing import BaseRoute

from examples.log_lake import errors
from examples.log_lake.operations import BY_NAME, OPERATIONS
from examples.log_lake.routes import firehose, health, ingest, keys, otlp, query, streams, tenants

MODULES = (firehose, health, ingest, keys, otlp, query, streams, tenants)
HANDLERS = {handler.__name__: handler for module in MODULES for handler in module.HANDLERS}


class TableMismatch(Exception):
    """The routes and the table of operations differ; a service like that must not start."""


def create_api() -> FastAPI:
    """The application behind the guard, without the framework's own documentation routes."""
    api = FastAPI(
        title="Log lake",
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=_closing,
        routes=list(_routes()),
    )
    errors.install(api)
    return api


@cache
def _routes() -> Sequence[BaseRoute]:
    """Built once: they know nothing of the service that is asked."""
    router = APIRouter()
    for name, handler in HANDLERS.items():
        operation = BY_NAME[name]
        router.add_api_route(
            operation.path,
            handler,
            methods=[operation.method],
            name=name,
            status_code=operation.success,
            response_model=None,
        )
    return tuple(router.routes)


def check_routes(api: FastAPI) -> None:
    """Raises TableMismatch when a route has no row in the table, or a row no route."""
    rows = {(operation.method, operation.path) for operation in OPERATIONS}
    different = sorted(registered(api) ^ rows)
    if different:
        raise TableMismatch(f"in the routes or in the table of operations alone: {different}")


def registered(api: FastAPI) -> set[tuple[str, str]]:
    """The method and path of every route that the application has."""
    return {pair for route in api.routes for pair in _pairs(route)}


@asynccontextmanager
async def _closing(api: FastAPI) -> AsyncIterator[None]:
    yield
    api.state.service.close()


def _pairs(route: BaseRoute) -> set[tuple[str, str]]:
    """A mount or a web socket has no method; such a thing is in no row, so it shows as a difference."""
    if isinstance(route, APIRoute):
        return {(method, route.path) for method in route.methods or ()}
    return {("any", repr(route))}
