"""Starts the service: its key store once, then its server."""

from __future__ import annotations

import uvicorn

from examples.ci_results.clock import utc_now
from examples.ci_results.service import Service, open_verifier
from examples.ci_results.settings import Settings
from keyrack import ConfigurationError


def make_store(settings: Settings) -> bool:
    """Make the key store where there is none; whether there was none."""
    try:
        open_verifier(settings, utc_now).close()
    except ConfigurationError:
        open_verifier(settings, utc_now, create=True).close()
        return True
    return False


def serve(settings: Settings, *, host: str, port: int, workers: int = 1) -> None:
    """Open everything once before the port, so that a process that listens is one that can work."""
    Service.open(settings).close()
    uvicorn.run(
        "examples.ci_results.app:create",
        factory=True,
        host=host,
        port=port,
        workers=workers,
        access_log=False,  # it would write query strings, where people put tokens
        proxy_headers=False,  # the service itself decides whom to believe about addresses
        server_header=False,
    )
