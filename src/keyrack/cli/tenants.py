"""`keyrack tenants`: create, list, show, change, suspend, resume, export and delete."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from keyrack.cli import display, options, wanted
from keyrack.cli.desk import at_desk
from keyrack.cli.session import opened
from keyrack.gateway.admin.exporting import export

app = typer.Typer(help="Create, list, show, change, suspend and delete tenants.")
COLUMNS = ("id", "name", "suspended", "starts at", "ends at", "created at")
EMPTY: dict[str, Any] = {"starts_at": None, "ends_at": None, "limits": None, "quota": None, "metadata": None}

Name = Annotated[str | None, typer.Option(metavar="NAME", help="What people know it by.")]
StartsAt = Annotated[str | None, typer.Option(metavar="TIME", help="When its keys begin to work.")]
EndsAt = Annotated[str | None, typer.Option(metavar="TIME", help="When its keys stop working.")]
Quota = Annotated[str | None, typer.Option(metavar="JSON", help="A quota, for services that keep one.")]
Service = Annotated[
    str, typer.Option(metavar="NAME", help="ingest, query, or workspace, which is all of them.")
]


@app.command()
def create(
    tenant: options.TenantId,
    name: Name = None,
    starts_at: StartsAt = None,
    ends_at: EndsAt = None,
    limit: options.Limits = None,
    quota: Quota = None,
    metadata: options.Metadata = None,
    store: options.Store = None,
    as_json: options.Json = False,
) -> None:
    """Create a tenant. An id is used once, for good."""
    wish = _fields(name, starts_at, ends_at, limit, quota, metadata)
    with at_desk(store) as desk:
        _show(desk.create_tenant(tenant, wish), as_json=as_json)


@app.command("list")
def list_tenants(
    limit: options.Limit = 50,
    cursor: options.Cursor = None,
    store: options.Store = None,
    as_json: options.Json = False,
) -> None:
    """List tenants in the order in which they were made."""
    with at_desk(store) as desk:
        page = desk.find_tenants(limit=limit, cursor=cursor or 0)
    if as_json:
        display.show_json(page)
        return
    rows = ([one[name.replace(" ", "_")] for name in COLUMNS] for one in page["data"])
    display.show_rows(COLUMNS, rows, following=page["next_cursor"])


@app.command()
def show(tenant: options.TenantId, store: options.Store = None, as_json: options.Json = False) -> None:
    """Show a tenant, with its suspended services."""
    with at_desk(store) as desk:
        _show(desk.get_tenant(tenant), as_json=as_json)


@app.command()
def update(
    tenant: options.TenantId,
    name: Name = None,
    starts_at: StartsAt = None,
    ends_at: EndsAt = None,
    limit: options.Limits = None,
    quota: Quota = None,
    metadata: options.Metadata = None,
    clear: options.Clear = None,
    if_match: options.IfMatch = None,
    store: options.Store = None,
    as_json: options.Json = False,
) -> None:
    """Change fields of a tenant; what is not given stays."""
    changes = wanted.cleared(clear, EMPTY) | _fields(name, starts_at, ends_at, limit, quota, metadata)
    with at_desk(store) as desk:
        _show(desk.update_tenant(tenant, changes, if_match=if_match), as_json=as_json)


@app.command()
def suspend(
    tenant: options.TenantId,
    service: Service = "workspace",
    reason: options.Reason = None,
    wait: options.Wait = False,
    store: options.Store = None,
    as_json: options.Json = False,
) -> None:
    """Refuse a service to all keys of a tenant, until it is resumed."""
    with at_desk(store) as desk:
        _show(desk.suspend(tenant, service, reason=reason, wait=wait), as_json=as_json)


@app.command()
def resume(
    tenant: options.TenantId,
    service: Service = "workspace",
    reason: options.Reason = None,
    store: options.Store = None,
    as_json: options.Json = False,
) -> None:
    """Give a suspended service back."""
    with at_desk(store) as desk:
        _show(desk.resume(tenant, service, reason=reason), as_json=as_json)


@app.command()
def delete(
    tenant: options.TenantId,
    wait: options.Wait = False,
    if_match: options.IfMatch = None,
    store: options.Store = None,
    as_json: options.Json = False,
) -> None:
    """End a tenant for good: none of its keys works again, and nobody gets its id."""
    with at_desk(store) as desk:
        _show(desk.delete_tenant(tenant, if_match=if_match, wait=wait), as_json=as_json)


@app.command("export")
def export_tenant(
    tenant: options.TenantId, store: options.Store = None, as_json: options.Json = False
) -> None:
    """Print all that is known of a tenant, a JSON object a line, no secret among them.

    The last line counts them; without it the export was cut off. With --json the lines are the same.
    """
    with opened(store) as session:
        for line in export(session.stores, tenant, by=session.by):
            display.show_json(line)


def _fields(
    name: str | None,
    starts_at: str | None,
    ends_at: str | None,
    limit: list[str] | None,
    quota: str | None,
    metadata: str | None,
) -> dict[str, Any]:
    return wanted.present(
        name=name,
        starts_at=starts_at,
        ends_at=ends_at,
        limits=wanted.limits(limit),
        quota=wanted.json_object("quota", quota),
        metadata=wanted.json_object("metadata", metadata),
    )


def _show(shown: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        display.show_json(shown)
        return
    display.show_members({**shown, "limits": [wanted.limit_text(one) for one in shown["limits"]]})
