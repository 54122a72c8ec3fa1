"""`keyrack init` makes a store, `keyrack serve` serves from one."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from keyrack.cli import display, options
from keyrack.cli.creation import create, mint_root
from keyrack.core.errors import ConfigurationError, StoreExists
from keyrack.settings import Settings, variable
from keyrack.stores.urls import is_static, public_url


def init(
    store: options.Store = None,
    max_stale: Annotated[
        float | None, typer.Option(metavar="SECONDS", help="How stale a node of this store may be at most.")
    ] = None,
    dev: options.Dev = False,
    as_json: options.Json = False,
) -> None:
    """Make a store, and print its root key this once.

    A store that exists is left as it is (exit 1). Peppers come from KEYRACK_PEPPERS; for the default
    store and with --dev, missing ones are made and kept in a file beside it.
    """
    settings = Settings.read(store=store, max_stale=max_stale, dev=dev or None)
    create(settings)
    root_key = mint_root(settings)
    if as_json:
        display.show_json({"root_key": root_key})
        return
    display.say(f"Made {public_url(settings.store)}.")
    display.say(f"Root key, shown this once: {root_key}")


def serve(
    store: options.Store = None,
    host: Annotated[str | None, typer.Option(metavar="HOST", help="Where to listen: 127.0.0.1.")] = None,
    port: Annotated[int | None, typer.Option(metavar="PORT", help="Where to listen: 8080.")] = None,
    workers: Annotated[int | None, typer.Option(metavar="N", help="How many processes: 1.")] = None,
    dev: options.Dev = False,
    show_key: Annotated[
        bool, typer.Option("--tour", help="Show a new store's root key and a tour where no terminal is, too.")
    ] = False,
) -> None:
    """Serve the HTTP API from a store that exists; with --dev, a missing one is made."""
    given: dict[str, Any] = {
        "store": store,
        "host": host,
        "port": port,
        "workers": workers,
        "dev": dev or None,
    }
    settings = Settings.read(**given)
    try:
        from keyrack.server import run, tour
    except ModuleNotFoundError:
        raise ConfigurationError("keyrack serve", "needs `pip install 'keyrack[server]'`.") from None
    environ = {variable(name): str(value) for name, value in given.items() if value is not None}
    # First the ports: a new root key is tried out over HTTP, and must not be told to whoever else has them.
    with run.listening(settings) as (served, sockets):
        root_key = _first_root_key(served, show=show_key or sys.stdout.isatty())
        if root_key is None:
            tour.when_up(served, lambda: tour.say_address(served))
        else:
            tour.when_up(served, lambda: tour.take_tour(served, root_key))
        run.run(served, sockets, environ)


def _first_root_key(settings: Settings, *, show: bool) -> str | None:
    """The root key of a store that was made just now, if it may be shown."""
    if not settings.dev or is_static(settings.store):
        return None
    try:
        create(settings)
    except StoreExists:
        return None
    if show:
        return mint_root(settings)
    display.hint("This is no terminal, so no root key is shown: `keyrack keys mint NAME --scope '*:*'`.")
    return None
