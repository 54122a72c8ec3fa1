"""`keyrack blocks`: networks that no key of a tenant may be used from."""

from __future__ import annotations

from typing import Annotated

import typer

from keyrack.cli import display, options
from keyrack.cli.desk import at_desk

app = typer.Typer(help="Block networks for all keys of a tenant, and lift that again.")
COLUMNS = ("id", "cidr", "reason", "created at", "expires at")

Tenant = Annotated[str | None, typer.Option(metavar="ID", help="Whose keys: default.")]


@app.command()
def add(
    cidr: Annotated[str, typer.Argument(metavar="CIDR", help="A network, such as 203.0.113.0/24.")],
    reason: options.Reason = None,
    expires_at: Annotated[
        str | None, typer.Option(metavar="TIME", help="When the block ends by itself.")
    ] = None,
    tenant: Tenant = None,
    store: options.Store = None,
    as_json: options.Json = False,
) -> None:
    """Refuse a network to all keys of a tenant."""
    with at_desk(store) as desk:
        made = desk.block_network(cidr, reason=reason, expires_at=expires_at, tenant=tenant)
    if as_json:
        display.show_json(made)
        return
    display.show_members(made)


@app.command("list")
def list_blocks(tenant: Tenant = None, store: options.Store = None, as_json: options.Json = False) -> None:
    """List the blocks that stand, in the order in which they were made."""
    with at_desk(store) as desk:
        page = desk.network_blocks(tenant=tenant)
    if as_json:
        display.show_json(page)
        return
    rows = ([one[name.replace(" ", "_")] for name in COLUMNS] for one in page["data"])
    display.show_rows(COLUMNS, rows)


@app.command()
def lift(
    block: Annotated[str, typer.Argument(metavar="BLOCK", help="The id of a block.")],
    tenant: Tenant = None,
    store: options.Store = None,
    as_json: options.Json = False,
) -> None:
    """Let the keys be used from that network again."""
    with at_desk(store) as desk:
        desk.lift_block(block, tenant=tenant)
    if as_json:
        display.show_json({"id": block})
        return
    display.say(f"Lifted {block}.")
