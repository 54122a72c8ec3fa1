"""`keyrack credits`: what users have left in each credit group. A user's own key is never an argument."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import typer

from keyrack.cli import display, options, wanted
from keyrack.cli.balance_desk import at_balances
from keyrack.cli.standard_input import read_secret
from keyrack.client import Page
from keyrack.core.fields import refuse

app = typer.Typer(help="List, show, change and remove balances of credits.")
COLUMNS = ("username", "api credit group", "tier name", "available credits", "reset date")

User = Annotated[str, typer.Argument(metavar="USER", help="A user: the owner of keys.")]
Group = Annotated[str, typer.Argument(metavar="GROUP", help="The name of a credit group.")]
Tenant = Annotated[str | None, typer.Option(metavar="ID", help="Whose users: default.")]


@app.command("list")
def list_balances(
    search: Annotated[str | None, typer.Option(metavar="TEXT", help="A part of the user's name.")] = None,
    tenant: Tenant = None,
    limit: options.Limit = 50,
    cursor: options.Cursor = None,
    store: options.Store = None,
    as_json: options.Json = False,
) -> None:
    """List balances in the order in which they were made."""
    with at_balances(store) as desk:
        page = desk.find(
            tenant=tenant, search=search, limit=limit, cursor=None if cursor is None else str(cursor)
        )
    _show_page(page, as_json=as_json)


@app.command()
def show(
    user: User, tenant: Tenant = None, store: options.Store = None, as_json: options.Json = False
) -> None:
    """Show all balances of a user."""
    with at_balances(store) as desk:
        page = desk.of(user, tenant=tenant)
    _show_page(page, as_json=as_json)


@app.command("set")
def amend(
    user: User,
    group: Group,
    tier: Annotated[
        str | None, typer.Option(metavar="NAME", help="A tier of the group; a new balance needs one.")
    ] = None,
    available: Annotated[
        int | None, typer.Option("--credits", metavar="N", help="How many credits are left from now on.")
    ] = None,
    reset: Annotated[str | None, typer.Option(metavar="TIME", help="When the balance is reset next.")] = None,
    own_key: Annotated[
        bool, typer.Option("--own-key", help="Keep the key on standard input as the user's own.")
    ] = False,
    clear_own_key: Annotated[
        bool, typer.Option("--clear-own-key", help="Take the user's own key away.")
    ] = False,
    tenant: Tenant = None,
    store: options.Store = None,
    as_json: options.Json = False,
) -> None:
    """Change a user's balance, or make it; what is not given stays."""
    if own_key and clear_own_key:
        raise refuse("own_key", "Give a key or take it away, not both.")
    given = wanted.present(tier_name=tier, available_credits=available, reset_date=reset)
    if own_key:
        given["user_api_key"] = read_secret("Key of the upstream", "keyrack credits set … --own-key")
    if clear_own_key:
        given["user_api_key"] = None
    with at_balances(store) as desk:
        changed = desk.amend(user, group, given, tenant=tenant)
    if as_json:
        display.show_json(changed)
        return
    display.show_members(changed)


@app.command()
def remove(
    user: User,
    group: Group,
    tenant: Tenant = None,
    store: options.Store = None,
    as_json: options.Json = False,
) -> None:
    """Take a user's balance away, and the user's own key."""
    with at_balances(store) as desk:
        desk.remove(user, group, tenant=tenant)
    if as_json:
        display.show_json({"username": user, "api_credit_group": group})
        return
    display.say(f"Removed the balance of {user} in {group}.")


def _show_page(page: Page[dict[str, Any]], *, as_json: bool) -> None:
    if as_json:
        display.show_json({"data": list(page.data), "next_cursor": page.next_cursor})
        return
    display.show_rows(COLUMNS, map(_row, page.data), following=page.next_cursor)


def _row(balance: dict[str, Any]) -> Sequence[Any]:
    return [balance[name.replace(" ", "_")] for name in COLUMNS]
