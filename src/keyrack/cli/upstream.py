"""`keyrack upstream`: keys of upstreams, their groups and their rotation. A key is never an argument."""

from __future__ import annotations

import re
from typing import Annotated, Any

import typer

from keyrack.cli import display, options, wanted
from keyrack.cli.standard_input import read_secret
from keyrack.cli.upstream_desk import at_desks
from keyrack.client import Page
from keyrack.core.fields import refuse
from keyrack.core.upstream import Plan

app = typer.Typer(help="Create, list, show, change, rotate and delete credit groups and their keys.")
COLUMNS = ("api credit group", "api key header", "api key hint", "state", "rollout percent", "created at")
_TIER = re.compile(r"([^=]+)=(\d+)/([a-z]+)(?:/(\d+|-)/(\d+|-))?")

Group = Annotated[str, typer.Argument(metavar="GROUP", help="The name of a credit group.")]
Tenant = Annotated[str | None, typer.Option(metavar="ID", help="Whose it is: default.")]
Header = Annotated[
    str | None, typer.Option(metavar="NAME", help="The header that the upstream takes its key in.")
]
Format = Annotated[
    str | None,
    typer.Option("--format", metavar="TEXT", help="What the header holds, such as 'Bearer {key}'."),
]
Origins = Annotated[
    list[str] | None,
    typer.Option("--origin", metavar="URL", help="Where the key may be sent; repeatable."),
]
Tiers = Annotated[
    list[str] | None,
    typer.Option(
        "--tier",
        metavar="NAME=CREDITS/FREQUENCY",
        help="What users get, such as basic=1000/monthly; /INPUT/OUTPUT may follow; repeatable.",
    ),
]
ExpiresAt = Annotated[
    str | None, typer.Option(metavar="TIME", help="When grace ends, such as 2030-01-31T12:00:00Z.")
]


@app.command()
def create(
    group: Group,
    header: Annotated[
        str, typer.Option(metavar="NAME", help="The header that the upstream takes its key in.")
    ],
    tier: Tiers = None,
    key_format: Format = None,
    origin: Origins = None,
    tenant: Tenant = None,
    store: options.Store = None,
    as_json: options.Json = False,
) -> None:
    """Create a group for the key in the first line of standard input; on a terminal it is asked for."""
    given = {"api_credit_group": group, **_fields(header, key_format, origin, tier)}
    given = {
        "credit_tiers": [],
        **given,
        "api_key": read_secret("Key of the upstream", "keyrack upstream create"),
    }
    with at_desks(store) as desks:
        _show_group(desks.upstreams.create(given, tenant=tenant), as_json=as_json)


@app.command("list")
def list_groups(
    tenant: Tenant = None,
    limit: options.Limit = 50,
    cursor: options.Cursor = None,
    store: options.Store = None,
    as_json: options.Json = False,
) -> None:
    """List groups in the order in which they were made."""
    with at_desks(store) as desks:
        page = desks.upstreams.find(tenant=tenant, limit=limit, cursor=_text(cursor))
    rows = [{**one, **one["rotation"]} for one in page.data]
    _show_page(page, COLUMNS, rows, as_json=as_json)


@app.command()
def show(
    group: Group, tenant: Tenant = None, store: options.Store = None, as_json: options.Json = False
) -> None:
    """Show a group, its key in the masked form."""
    with at_desks(store) as desks:
        _show_group(desks.upstreams.get(group, tenant=tenant), as_json=as_json)


@app.command()
def versions(
    group: Group, tenant: Tenant = None, store: options.Store = None, as_json: options.Json = False
) -> None:
    """List the versions of a group's key, and how each was used."""
    with at_desks(store) as desks:
        page = desks.upstreams.versions(group, tenant=tenant)
    columns = ("number", "state", "hint", "created at", "not after", "uses", "refusals", "last success at")
    _show_page(page, columns, page.data, as_json=as_json)


@app.command()
def history(
    group: Group,
    tenant: Tenant = None,
    limit: options.Limit = 50,
    cursor: options.Cursor = None,
    store: options.Store = None,
    as_json: options.Json = False,
) -> None:
    """List what was done to a group, a deleted one as well."""
    with at_desks(store) as desks:
        page = desks.upstreams.history(group, tenant=tenant, limit=limit, cursor=_text(cursor))
    columns = ("number", "at", "actor", "action", "versions", "address", "request id")
    _show_page(page, columns, page.data, as_json=as_json)


@app.command()
def update(
    group: Group,
    header: Header = None,
    key_format: Format = None,
    origin: Origins = None,
    tier: Tiers = None,
    with_key: Annotated[
        bool,
        typer.Option("--with-key", help="Read a key: the present one to add origins, another to replace it."),
    ] = False,
    tenant: Tenant = None,
    if_match: options.IfMatch = None,
    store: options.Store = None,
    as_json: options.Json = False,
) -> None:
    """Change fields of a group; what is not given stays. Lists replace the list that was there."""
    given = _fields(header, key_format, origin, tier)
    if with_key:
        given["api_key"] = read_secret("Key of the upstream", "keyrack upstream update")
    with at_desks(store) as desks:
        changed = desks.upstreams.update(group, given, tenant=tenant, if_match=if_match)
        _show_group(changed, as_json=as_json)


@app.command()
def rotate(
    group: Group,
    plan: Annotated[
        Plan,
        typer.Option(
            metavar="NAME", help="planned (24 h), emergency (1 h, the new key first) or gradual (7 d)."
        ),
    ] = Plan.PLANNED,
    grace_seconds: Annotated[
        int | None,
        typer.Option(
            metavar="SECONDS", help="With plan planned, how long the old key goes on: 3600 to 604800."
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Also while another rotation is under way.")] = False,
    tenant: Tenant = None,
    if_match: options.IfMatch = None,
    store: options.Store = None,
    as_json: options.Json = False,
) -> None:
    """Rotate to the key in the first line of standard input; the old one goes on until grace ends."""
    given = wanted.present(plan=plan.value, grace_seconds=grace_seconds, force=force)
    given["api_key_new"] = read_secret("New key of the upstream", "keyrack upstream rotate")
    with at_desks(store) as desks:
        started = desks.upstreams.rotate(group, given, tenant=tenant, if_match=if_match)
        _show_rotation(started, as_json=as_json)


@app.command()
def rotation(
    group: Group, tenant: Tenant = None, store: options.Store = None, as_json: options.Json = False
) -> None:
    """Show how far a rotation is, and what was sent in each of its hours."""
    with at_desks(store) as desks:
        _show_rotation(desks.upstreams.rotation(group, tenant=tenant), as_json=as_json)


@app.command()
def rollout(
    group: Group,
    percent: Annotated[
        int | None, typer.Option(metavar="PERCENT", help="Who gets the new key first: 1, 25, 50 or 100.")
    ] = None,
    ends_at: ExpiresAt = None,
    tenant: Tenant = None,
    if_match: options.IfMatch = None,
    store: options.Store = None,
    as_json: options.Json = False,
) -> None:
    """Change the share of requests that prefers the new key, or the end of grace."""
    given = wanted.present(rollout_percent=percent, api_key_rotation_expires=ends_at)
    with at_desks(store) as desks:
        changed = desks.upstreams.change_rotation(group, given, tenant=tenant, if_match=if_match)
        _show_rotation(changed, as_json=as_json)


@app.command()
def promote(
    group: Group,
    destroy: Annotated[
        bool, typer.Option("--destroy", help="Erase the old key at once; nothing brings it back.")
    ] = False,
    tenant: Tenant = None,
    if_match: options.IfMatch = None,
    store: options.Store = None,
    as_json: options.Json = False,
) -> None:
    """End the grace of a rotation early: only the new key stays."""
    with at_desks(store) as desks:
        after = desks.upstreams.promote(group, destroy=destroy, tenant=tenant, if_match=if_match)
        _show_rotation(after, as_json=as_json)


@app.command()
def abort(
    group: Group,
    tenant: Tenant = None,
    if_match: options.IfMatch = None,
    store: options.Store = None,
    as_json: options.Json = False,
) -> None:
    """Drop the new key of a rotation; the one before it is the primary again."""
    with at_desks(store) as desks:
        _show_rotation(desks.upstreams.abort(group, tenant=tenant, if_match=if_match), as_json=as_json)


@app.command()
def undo(
    group: Group,
    tenant: Tenant = None,
    if_match: options.IfMatch = None,
    store: options.Store = None,
    as_json: options.Json = False,
) -> None:
    """Bring the old key back, within a day of its end."""
    with at_desks(store) as desks:
        _show_rotation(desks.upstreams.undo(group, tenant=tenant, if_match=if_match), as_json=as_json)


@app.command()
def delete(
    group: Group,
    tenant: Tenant = None,
    if_match: options.IfMatch = None,
    store: options.Store = None,
    as_json: options.Json = False,
) -> None:
    """Erase the keys of a group and the group. Refused while an API uses it."""
    with at_desks(store) as desks:
        desks.upstreams.delete(group, tenant=tenant, if_match=if_match)
    if as_json:
        display.show_json({"api_credit_group": group})
        return
    display.say(f"Deleted {group}.")


def tier_of(text: str) -> dict[str, Any]:
    """A tier from a text like `basic=1000/monthly` or `big=5000/daily/1000000/-`."""
    found = _TIER.fullmatch(text)
    if found is None:
        raise refuse("tier", "Give a name, credits and how often they come back, such as basic=1000/monthly.")
    name, credited, frequency, *limits = found.groups()
    input_limit, output_limit = (None if one in (None, "-") else int(one) for one in limits)
    return {
        "tier_name": name,
        "credits": int(credited),
        "input_limit": input_limit,
        "output_limit": output_limit,
        "reset_frequency": frequency,
    }


def _fields(
    header: str | None, key_format: str | None, origin: list[str] | None, tier: list[str] | None
) -> dict[str, Any]:
    return wanted.present(
        api_key_header=header,
        api_key_format=key_format,
        api_key_origins=origin,
        credit_tiers=None if tier is None else [tier_of(one) for one in tier],
    )


def _text(cursor: int | None) -> str | None:
    return None if cursor is None else str(cursor)


def _show_group(group: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        display.show_json(group)
        return
    tiers = [f"{one['tier_name']}={one['credits']}/{one['reset_frequency']}" for one in group["credit_tiers"]]
    display.show_members({**group, "credit_tiers": tiers, **_prefixed(group["rotation"])})


def _prefixed(rotation: dict[str, Any]) -> dict[str, Any]:
    return {"rotation": rotation["state"], **{name: rotation[name] for name in rotation if name != "state"}}


def _show_rotation(document: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        display.show_json(document)
        return
    hours = document.pop("hours")
    display.show_members(document)
    if hours:
        display.show_rows(tuple(hours[0]), (tuple(one.values()) for one in hours))


def _show_page(page: Page[dict[str, Any]], columns: tuple[str, ...], rows: Any, *, as_json: bool) -> None:
    if as_json:
        display.show_json({"data": list(page.data), "next_cursor": page.next_cursor})
        return
    cells = ([one[name.replace(" ", "_")] for name in columns] for one in rows)
    display.show_rows(columns, cells, following=page.next_cursor)
