"""`keyrack pepper`: a new first pepper takes over the store."""

from __future__ import annotations

import typer

from keyrack.admin.peppering import Rotated
from keyrack.admin.peppering import rotate as rotate_pepper
from keyrack.cli import display, options
from keyrack.cli.session import opened

app = typer.Typer(help="Rotate the pepper.")


@app.callback()
def pepper() -> None:
    """Rotate the pepper."""


@app.command()
def rotate(store: options.Store = None, as_json: options.Json = False) -> None:
    """Seal every record under the first pepper, and rotate the older ones out.

    Before: add the new pepper in second place on every node, then move it to the front on every node.
    May be stopped and repeated. Afterwards older peppers only prove secrets that were digested under
    them, each until its next use.
    """
    with opened(store) as session, display.progress() as report:
        rotated = rotate_pepper(session.stores, by=session.by, report=report)
    if as_json:
        display.show_json({"event": rotated.number, "resealed": rotated.resealed})
        return
    display.say(_sentence(rotated))


def _sentence(rotated: Rotated) -> str:
    if rotated.number is None:
        return f"The first pepper had taken over before; {rotated.resealed} records were sealed under it now."
    return f"The first pepper took over with event {rotated.number}; {rotated.resealed} records were sealed."
