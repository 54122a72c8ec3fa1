"""`keyrack api`: the documents of APIs that callers reach through the gateway."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from keyrack.cli import display, options
from keyrack.cli.upstream_desk import ApiDesk, at_desks
from keyrack.core.errors import Conflict, InvalidRequest

app = typer.Typer(help="Apply, list, show and delete APIs.")
COLUMNS = ("api name", "api version", "api servers", "active", "api credit group", "created at")
NAMED = ("api_name", "api_version")

Name = Annotated[str, typer.Argument(metavar="NAME", help="The name of an API.")]
Version = Annotated[str, typer.Argument(metavar="VERSION", help="Its version, such as v1.")]
Tenant = Annotated[str | None, typer.Option(metavar="ID", help="Whose it is: default.")]


@app.command()
def apply(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A JSON file with the API's document.")],
    tenant: Tenant = None,
    store: options.Store = None,
    as_json: options.Json = False,
) -> None:
    """Create the API of a document, or change the one that there is; fields left out stay."""
    given = _read(file)
    with at_desks(store) as desks:
        _show(_applied(desks.apis, given, tenant), as_json=as_json)


@app.command("list")
def list_apis(
    tenant: Tenant = None,
    limit: options.Limit = 50,
    cursor: options.Cursor = None,
    store: options.Store = None,
    as_json: options.Json = False,
) -> None:
    """List APIs in the order in which they were made."""
    with at_desks(store) as desks:
        page = desks.apis.find(tenant=tenant, limit=limit, cursor=None if cursor is None else str(cursor))
    if as_json:
        display.show_json({"data": list(page.data), "next_cursor": page.next_cursor})
        return
    rows = ([one[name.replace(" ", "_")] for name in COLUMNS] for one in page.data)
    display.show_rows(COLUMNS, rows, following=page.next_cursor)


@app.command()
def show(
    name: Name,
    version: Version,
    tenant: Tenant = None,
    store: options.Store = None,
    as_json: options.Json = False,
) -> None:
    """Show the document of an API."""
    with at_desks(store) as desks:
        _show(desks.apis.get(name, version, tenant=tenant), as_json=as_json)


@app.command()
def delete(
    name: Name,
    version: Version,
    tenant: Tenant = None,
    if_match: options.IfMatch = None,
    store: options.Store = None,
    as_json: options.Json = False,
) -> None:
    """Delete an API; its name and version may be used again."""
    with at_desks(store) as desks:
        desks.apis.delete(name, version, tenant=tenant, if_match=if_match)
    if as_json:
        display.show_json({"api_name": name, "api_version": version})
        return
    display.say(f"Deleted {name} {version}.")


def _applied(desk: ApiDesk, given: dict[str, Any], tenant: str | None) -> dict[str, Any]:
    try:
        return desk.create(given, tenant=tenant)
    except Conflict as error:
        if error.code != "api_exists":
            raise
    name, version = (str(given[one]) for one in NAMED)
    return desk.update(name, version, given, tenant=tenant, if_match=None)


def _read(file: Path) -> dict[str, Any]:
    try:
        document = json.loads(file.read_bytes())
    except (OSError, ValueError):
        raise InvalidRequest(f"There is no JSON in {file.name}, or no such file.") from None
    if not isinstance(document, dict):
        raise InvalidRequest(f"Give a JSON object in {file.name}.")
    return document


def _show(api: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        display.show_json(api)
        return
    endpoints = api.pop("endpoints")
    display.show_members(api)
    columns = ("method", "uri", "scope", "cost")
    display.show_rows(columns, ([one[name] for name in columns] for one in endpoints))
