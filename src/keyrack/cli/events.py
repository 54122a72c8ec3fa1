"""`keyrack events` and `keyrack denials`: what was changed, whether all of it stands, what was refused."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Annotated, Any

import typer

from keyrack.admin.audit import Audit, audit
from keyrack.cli import display, exits, options
from keyrack.cli.desk import Desk, at_desk
from keyrack.cli.session import opened

app = typer.Typer(help="Read the log of changes, follow it, and check all of it.")
denials = typer.Typer(help="Read what was refused.")
COLUMNS = ("number", "at", "kind", "actor", "tenant", "subject", "data")
DENIAL_COLUMNS = ("at", "reason", "times", "address", "key id", "tenant", "caller", "operation")
POLL_SECONDS = 0.5
TAIL_PAGE = 50
_never = threading.Event()

Subject = Annotated[str | None, typer.Option(metavar="ID", help="Only those about this key or tenant.")]
Show = Callable[[dict[str, Any]], None]


@app.command("list")
def list_events(
    tenant: options.OfTenant = None,
    subject: Subject = None,
    limit: options.Limit = 50,
    cursor: options.Cursor = None,
    store: options.Store = None,
    as_json: options.Json = False,
) -> None:
    """List events in order, the oldest first."""
    with at_desk(store) as desk:
        page = desk.events(tenant=tenant, subject=subject, limit=limit, cursor=cursor or 0)
    if as_json:
        display.show_json(page)
        return
    display.show_rows(COLUMNS, map(_row, page["data"]), following=page["next_cursor"])


@app.command()
def tail(
    lines: Annotated[int, typer.Option(min=0, metavar="N", help="How many to begin with.")] = 10,
    follow: Annotated[bool, typer.Option(help="Go on with what comes, until interrupted.")] = True,
    store: options.Store = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document a line.")] = False,
) -> None:
    """Print the newest events, and those that come."""
    show = display.show_json if as_json else _show_line
    with at_desk(store) as desk:
        after = max(0, desk.head() - lines)
        while True:
            after = _show_after(desk, after, show)
            if not follow:
                return
            _never.wait(POLL_SECONDS)


@app.command()
def check(store: options.Store = None, as_json: options.Json = False) -> None:
    """Check every number, hash and code of the log, every record, and the sum over all records.

    Exit code 0: all is well, 1: something is not as it was committed; the first number is named.
    """
    with opened(store) as session, display.progress() as report:
        found = audit(session.stores, report)
    if as_json:
        display.show_json(_audit_json(found))
    elif found.fault is None:
        display.say(f"All is well: {found.events} events and {found.records} records.")
    else:
        display.say(f"Event {found.fault.number} is the first that is not as it was committed.")
        display.say(found.fault.detail)
    if found.fault is not None:
        raise typer.Exit(exits.REFUSED)


@denials.command("list")
def list_denials(
    tenant: options.OfTenant = None,
    limit: options.Limit = 50,
    cursor: options.Cursor = None,
    store: options.Store = None,
    as_json: options.Json = False,
) -> None:
    """List refusals in order; unproved ones of one address and reason are merged with a count."""
    with at_desk(store) as desk:
        page = desk.denials(tenant=tenant, limit=limit, cursor=cursor or 0)
    if as_json:
        display.show_json(page)
        return
    rows = ([denial[name.replace(" ", "_")] for name in DENIAL_COLUMNS] for denial in page["data"])
    display.show_rows(DENIAL_COLUMNS, rows, following=page["next_cursor"])


def _show_after(desk: Desk, after: int, show: Show) -> int:
    """Show what the log has behind this number; the number of the last one shown."""
    while found := desk.events(tenant=None, subject=None, limit=TAIL_PAGE, cursor=after)["data"]:
        for event in found:
            show(event)
        after = found[-1]["number"]
    return after


def _show_line(event: dict[str, Any]) -> None:
    display.say("  ".join(display.cell(value).plain for value in _row(event)))


def _row(event: dict[str, Any]) -> tuple[object, ...]:
    return tuple(event[name] or None for name in COLUMNS)


def _audit_json(found: Audit) -> dict[str, Any]:
    fault = None if found.fault is None else found.fault._asdict()
    return {"ok": fault is None, "events": found.events, "records": found.records, "fault": fault}
