"""`keyrack store`: what stands beside the log of an object store."""

from __future__ import annotations

import typer

from keyrack.cli import display, options
from keyrack.cli.session import opened
from keyrack.core.errors import Conflict
from keyrack.stores.objects.keys import ObjectKeys

app = typer.Typer(help="Write what stands beside the log of an object store.")


@app.callback()
def store() -> None:
    """Write what stands beside the log of an object store."""


@app.command()
def project(store: options.Store = None, as_json: options.Json = False) -> None:
    """Write the documents of all keys and tenants anew: for people and backup tools, without secrets.

    They are written after each change as well, and no decision reads them. A store that is no directory
    and no bucket has none (exit 1).
    """
    with opened(store) as session:
        keys = session.stores.keys
        if not isinstance(keys, ObjectKeys):
            raise Conflict("Only a directory or a bucket has such documents.", code="unsupported_store")
        written = keys.project()
    if as_json:
        display.show_json({"documents": written})
        return
    display.say(f"{written} documents were written.")
