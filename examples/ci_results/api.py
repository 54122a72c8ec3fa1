"""The routes on FastAPI, built from the table of operations. No guard here, and nothing is opened."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import cache

from fastapi import APIRouter, Depends, FastAPI
from starlette.routing import BaseRoute

from examples.ci_results.middleware.errors import install
from examples.ci_results.middleware.validation import refuse_parameters, takes_parameters
from examples.ci_results.operations import BY_NAME
from examples.ci_results.routes import auth, downloads, errors, logs, results, runs, samples, system, worker
from examples.ci_results.upkeep import sweeping

MODULES = (auth, runs, samples, results, errors, logs, system, downloads, worker)
HANDLERS = {handler.__name__: handler for module in MODULES for handler in module.HANDLERS}


def create_api() -> FastAPI:
    """The application behind the guard, without the framework's own documentation routes."""
    api = FastAPI(
        title="CI results",
        version="1.0.0",
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=_closing,
        routes=list(_routes()),
    )
    install(api)
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
            operation_id=name,
            status_code=operation.success,
            dependencies=[] if takes_parameters(handler) else [Depends(refuse_parameters)],
        )
    return tuple(router.routes)


@asynccontextmanager
async def _closing(api: FastAPI) -> AsyncIterator[None]:
    async with sweeping(api.state.service):
        yield
    api.state.service.close()
