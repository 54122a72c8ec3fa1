"""`keyrack doctor`: green and red lines on everything that a store needs, and the one cure it has."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from keyrack.admin.restoring import Restored, read_lost
from keyrack.admin.restoring import accept_head as accept
from keyrack.cli import display, exits, options
from keyrack.cli.checkup import examine
from keyrack.cli.session import opened

AcceptHead = Annotated[
    bool,
    typer.Option("--accept-head", help="After a restore: have the nodes take the store as it is now."),
]


LostHeads = Annotated[
    list[str] | None,
    typer.Option(
        "--lost",
        metavar="NUMBER:HASH",
        help="With --accept-head: an event that a node had applied, as it says; repeatable.",
    ),
]


def doctor(
    store: options.Store = None,
    accept_head: AcceptHead = False,
    lost: LostHeads = None,
    as_json: options.Json = False,
) -> None:
    """Look at the store, its log and records, the peppers, files, counters, nodes and the clock.

    Exit code 0: all is well, 1: something is not. Looking changes nothing; --accept-head commits one
    event, and lists the keys that were refused as revoked and that this store does not know to be.
    """
    if accept_head:
        _accept(store, lost or (), as_json=as_json)
        return
    findings = list(examine(store))
    ok = all(finding.ok for finding in findings)
    if as_json:
        display.show_json({"ok": ok, "checks": [finding._asdict() for finding in findings]})
    else:
        rows = (("ok" if one.ok else "failed", one.name, one.detail) for one in findings)
        display.show_rows(("", "what", "how it is"), rows)
    if not ok:
        raise typer.Exit(exits.REFUSED)


def _accept(store: str | None, told: Sequence[str], *, as_json: bool) -> None:
    heads = [read_lost(one) for one in told]
    with opened(store) as session:
        restored = accept(session.stores, by=session.by.name, lost=heads)
    lost = [{"node": one.node, "number": one.number, "hash": one.hash.hex()} for one in restored.lost]
    if as_json:
        display.show_json({"event": restored.number, "lost": lost, "revocations": restored.revocations})
        return
    display.say(f"The store was accepted with event {restored.number}.")
    display.show_rows(("node", "had seen event", "hash"), (tuple(one.values()) for one in lost))
    display.say(_revocations(restored))


def _revocations(restored: Restored) -> str:
    if not restored.revocations:
        return "No revocation is known that this store lacks."
    return f"Revoke again: {', '.join(restored.revocations)}"
