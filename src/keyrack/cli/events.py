"""`keyrack events` and `keyrack denials`: what was changed, whether all of it stands, what was refused."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import typer

from keyrack.audit import Audit, audit
from keyrack.cli import display, exits, options
from keyrack.cli.session import Session, opened
from keyrack.core.events import Entry, open_known
from keyrack.presenting import event_json, page_json, refusal_json
from keyrack.stores.protocols import Excerpt

app = typer.Typer(help="Read the log of changes, follow it, and check all of it.")
denials = typer.Typer(help="Read what was refused.")
COLUMNS = ("number", "at", "kind", "actor", "tenant", "subject", "data")
DENIAL_COLUMNS = ("at", "reason", "times", "address", "key id", "tenant", "caller", "operation")
POLL_SECONDS = 0.5
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
    with opened(store) as session:
        excerpt = Excerpt(after=cursor or 0, most=limit + 1, tenant=tenant, subject=subject)
        found = session.stores.keys.entries(excerpt)
        shown = _events(session, found[:limit])
    following = found[limit - 1].number if len(found) > limit else None
    if as_json:
        display.show_json(page_json(shown, following))
        return
    display.show_rows(COLUMNS, map(_row, shown), following=following)


@app.command()
def tail(
    lines: Annotated[int, typer.Option(min=0, metavar="N", help="How many to begin with.")] = 10,
    follow: Annotated[bool, typer.Option(help="Go on with what comes, until interrupted.")] = True,
    store: options.Store = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document a line.")] = False,
) -> None:
    """Print the newest events, and those that come."""
    show = display.show_json if as_json else _show_line
    with opened(store) as session:
        after = max(0, session.head().number - lines)
        while True:
            after = _show_after(session, after, show)
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
    with opened(store) as session:
        found = session.stores.journal.refusals(after=cursor or 0, most=limit + 1, tenant=tenant)
    shown = [refusal_json(refusal) for _, refusal in found[:limit]]
    following = found[limit - 1][0] if len(found) > limit else None
    if as_json:
        display.show_json(page_json(shown, following))
        return
    rows = ([denial[name.replace(" ", "_")] for name in DENIAL_COLUMNS] for denial in shown)
    display.show_rows(DENIAL_COLUMNS, rows, following=following)


def _events(session: Session, entries: Sequence[Entry]) -> list[dict[str, Any]]:
    """Events as JSON values; those whose pepper is gone are shown all the same, and that is said."""
    peppers = session.stores.peppers
    gone = sorted({entry.pepper for entry in entries if peppers.get(entry.pepper) is None})
    if gone:
        display.hint(f"Not authenticated here, for want of pepper {', '.join(gone)}: `keyrack events check`.")
    return [event_json(open_known(entry, peppers)[0]) for entry in entries]


def _show_after(session: Session, after: int, show: Show) -> int:
    """Show what the log has behind this number; the number of the last one shown."""
    while found := session.stores.keys.entries(Excerpt(after=after)):
        for event in _events(session, found):
            show(event)
        after = found[-1].number
    return after


def _show_line(event: dict[str, Any]) -> None:
    display.say("  ".join(display.cell(value).plain for value in _row(event)))


def _row(event: dict[str, Any]) -> tuple[object, ...]:
    return tuple(event[name] or None for name in COLUMNS)


def _audit_json(found: Audit) -> dict[str, Any]:
    fault = None if found.fault is None else found.fault._asdict()
    return {"ok": fault is None, "events": found.events, "records": found.records, "fault": fault}
