"""`keyrack doctor`: green and red lines on everything that a store needs."""

from __future__ import annotations

import typer

from keyrack.cli import display, exits, options
from keyrack.cli.checkup import examine


def doctor(store: options.Store = None, as_json: options.Json = False) -> None:
    """Look at the store, its log and records, the peppers, files, counters, nodes and the clock.

    Exit code 0: all is well, 1: something is not.
    """
    findings = list(examine(store))
    ok = all(finding.ok for finding in findings)
    if as_json:
        display.show_json({"ok": ok, "checks": [finding._asdict() for finding in findings]})
    else:
        rows = (("ok" if one.ok else "failed", one.name, one.detail) for one in findings)
        display.show_rows(("", "what", "how it is"), rows)
    if not ok:
        raise typer.Exit(exits.REFUSED)
