"""`keyrack tenants`: create, list, show, change, suspend, resume, export and delete."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from keyrack.cli import display, options, wanted
from keyrack.cli.session import opened
from keyrack.core.model import Tenant
from keyrack.exporting import export
from keyrack.presenting import page_json, tenant_json
from keyrack.stores.protocols import Kind, Listing

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
    with opened(store) as session:
        _show(session.tenants().create(tenant, wish, by=session.by), as_json=as_json)


@app.command("list")
def list_tenants(
    limit: options.Limit = 50,
    cursor: options.Cursor = None,
    store: options.Store = None,
    as_json: options.Json = False,
) -> None:
    """List tenants in the order in which they were made."""
    with opened(store) as session:
        listing = Listing(Kind.TENANT, after=cursor or 0, most=limit)
        found, following = session.tenants().find(listing, by=session.by)
    shown = [tenant_json(tenant) for tenant in found]
    if as_json:
        display.show_json(page_json(shown, following))
        return
    rows = ([one[name.replace(" ", "_")] for name in COLUMNS] for one in shown)
    display.show_rows(COLUMNS, rows, following=following)


@app.command()
def show(tenant: options.TenantId, store: options.Store = None, as_json: options.Json = False) -> None:
    """Show a tenant, with its suspended services."""
    with opened(store) as session:
        _show(session.tenants().get(tenant, by=session.by), as_json=as_json)


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
    with opened(store) as session:
        changed = session.tenants().update(tenant, changes, by=session.by, if_match=if_match)
        _show(changed, as_json=as_json)


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
    with opened(store) as session:
        suspended = session.tenants().suspend(tenant, service, by=session.by, reason=reason, wait=wait)
        _show(suspended, as_json=as_json)


@app.command()
def resume(
    tenant: options.TenantId,
    service: Service = "workspace",
    reason: options.Reason = None,
    store: options.Store = None,
    as_json: options.Json = False,
) -> None:
    """Give a suspended service back."""
    with opened(store) as session:
        _show(session.tenants().resume(tenant, service, by=session.by, reason=reason), as_json=as_json)


@app.command()
def delete(
    tenant: options.TenantId,
    wait: options.Wait = False,
    if_match: options.IfMatch = None,
    store: options.Store = None,
    as_json: options.Json = False,
) -> None:
    """End a tenant for good: none of its keys works again, and nobody gets its id."""
    with opened(store) as session:
        deleted = session.tenants().delete(tenant, by=session.by, if_match=if_match, wait=wait)
        _show(deleted, as_json=as_json)


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


def _show(tenant: Tenant, *, as_json: bool) -> None:
    shown = tenant_json(tenant)
    if as_json:
        display.show_json(shown)
        return
    display.show_members({**shown, "limits": [wanted.limit_text(one) for one in shown["limits"]]})
