"""`keyrack webhooks`: what webhooks are owed, and sending again what was given up."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from keyrack.cli import display, options
from keyrack.cli.session import opened
from keyrack.core.errors import NotFound
from keyrack.core.records import write_time
from keyrack.gateway.redelivery import retried
from keyrack.stores.outbox import Delivery, DeliveryState

app = typer.Typer(help="See what webhooks were told, and send again what was given up.")
COLUMNS = ("message", "webhook", "event", "state", "attempts", "due at", "trouble")
MOST = 1_000
"""How many messages one `retry` sends again at most."""

State = Annotated[
    DeliveryState | None,
    typer.Option(metavar="STATE", help="Only those that are waiting, delivered or dead."),
]


@app.command("list")
def list_messages(
    state: State = None,
    limit: options.Limit = 50,
    store: options.Store = None,
    as_json: options.Json = False,
) -> None:
    """List messages, the newest first, with what became of each."""
    with opened(store) as session:
        found = session.stores.gateway.outbox.deliveries(state, most=limit)
    shown = [_shown(one) for one in found]
    if as_json:
        display.show_json({"data": shown})
        return
    display.show_rows(COLUMNS, ([one[name.replace(" ", "_")] for name in COLUMNS] for one in shown))


@app.command()
def retry(
    message: Annotated[
        str | None, typer.Argument(metavar="MESSAGE", help="The id of a message; every dead one without it.")
    ] = None,
    store: options.Store = None,
    as_json: options.Json = False,
) -> None:
    """Have running servers send dead messages again, with all their attempts before them."""
    with opened(store) as session:
        outbox = session.stores.gateway.outbox
        dead = outbox.deliveries(DeliveryState.DEAD, most=MOST)
        chosen = [one for one in dead if message in (None, one.message)]
        if message is not None and not chosen:
            raise NotFound("There is no dead message of this id.")
        for one in chosen:
            outbox.put(retried(one, session.stores.clock()))
    if as_json:
        display.show_json({"retried": len(chosen)})
        return
    display.say(f"Dead messages that are sent again: {len(chosen)}.")


def _shown(delivery: Delivery) -> dict[str, Any]:
    return {
        "message": delivery.message,
        "webhook": delivery.webhook,
        "event": delivery.kind,
        "state": delivery.state.value,
        "attempts": delivery.attempts,
        "due_at": write_time(datetime.fromtimestamp(int(delivery.due_at), UTC)),
        "trouble": delivery.trouble,
    }
