"""`keyrack keys`: mint, look, change, rotate and take back. Only mint and rotate ever show a secret."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Annotated, Any

import typer

from keyrack.cli import display, options, wanted
from keyrack.cli.session import Session, opened
from keyrack.core import rotation
from keyrack.core.model import Key
from keyrack.issuer import Minted
from keyrack.presenting import key_json, page_json, uses_if_readable
from keyrack.stores.protocols import Listing
from keyrack.wishes import Wish

app = typer.Typer(help="Mint, list, show, change, rotate and revoke keys.")
COLUMNS = ("id", "name", "tenant", "owner", "scopes", "status", "hint", "expires at", "last used at")
EMPTY: dict[str, Any] = {
    "owner": None,
    "role": None,
    "expires_at": None,
    "networks": [],
    "limits": [],
    "metadata": {},
}

Scopes = Annotated[
    list[str] | None, typer.Option("--scope", metavar="SCOPE", help="resource:action; repeatable.")
]
Owner = Annotated[str | None, typer.Option(metavar="NAME", help="On whose behalf it acts.")]
Role = Annotated[str | None, typer.Option(metavar="NAME", help="A ceiling from the policy.")]
ExpiresAt = Annotated[
    str | None, typer.Option(metavar="TIME", help="When it stops working, such as 2030-01-31T12:00:00Z.")
]
Networks = Annotated[
    list[str] | None,
    typer.Option("--network", metavar="CIDR", help="Where it may be used from; repeatable."),
]


@app.command()
def mint(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What people know it by.")],
    scope: Scopes = None,
    preset: Annotated[str | None, typer.Option(metavar="NAME", help="Scopes from the policy.")] = None,
    role: Role = None,
    tenant: Annotated[str | None, typer.Option(metavar="ID", help="Whose key it is: default.")] = None,
    owner: Owner = None,
    environment: Annotated[str | None, typer.Option(metavar="NAME", help="Where it works: live.")] = None,
    prefix: Annotated[str | None, typer.Option(metavar="NAME", help="How its text begins.")] = None,
    expires_at: ExpiresAt = None,
    network: Networks = None,
    limit: options.Limits = None,
    metadata: options.Metadata = None,
    unique: Annotated[
        str | None, typer.Option(metavar="tenant|owner", help="Refuse a name that a live key there bears.")
    ] = None,
    store: options.Store = None,
    as_json: options.Json = False,
) -> None:
    """Mint a key, and print its secret this once. Give --scope or --preset."""
    wish = Wish(
        name=name,
        scopes=scope,
        preset=preset,
        role=role,
        tenant=tenant,
        owner=owner,
        prefix=prefix,
        environment=environment,
        expires_at=expires_at,
        networks=network or (),
        limits=wanted.limits(limit) or (),
        metadata=wanted.json_object("metadata", metadata) or {},
        unique=unique,
    )
    with opened(store) as session:
        _show_minted(session, session.issuer().mint(wish, by=session.by), as_json=as_json)


@app.command("list")
def list_keys(
    tenant: options.OfTenant = None,
    owner: Annotated[str | None, typer.Option(metavar="NAME", help="Only those of this owner.")] = None,
    limit: options.Limit = 50,
    cursor: options.Cursor = None,
    store: options.Store = None,
    as_json: options.Json = False,
) -> None:
    """List keys in the order in which they were made."""
    with opened(store) as session:
        listing = Listing(after=cursor or 0, most=limit, tenant=tenant, owner=owner)
        found, following = session.issuer().find(listing, by=session.by)
        shown = _presented(session, found)
    if as_json:
        display.show_json(page_json(shown, following))
        return
    display.show_rows(COLUMNS, map(_row, shown), following=following)


@app.command()
def show(key: options.KeyId, store: options.Store = None, as_json: options.Json = False) -> None:
    """Show a key, with each version of its secret and when that was last used."""
    with opened(store) as session:
        _show(session, session.issuer().get(key, by=session.by), as_json=as_json)


@app.command()
def update(
    key: options.KeyId,
    name: Annotated[str | None, typer.Option(metavar="NAME", help="What people know it by.")] = None,
    scope: Scopes = None,
    role: Role = None,
    owner: Owner = None,
    expires_at: ExpiresAt = None,
    network: Networks = None,
    limit: options.Limits = None,
    metadata: options.Metadata = None,
    clear: options.Clear = None,
    if_match: options.IfMatch = None,
    store: options.Store = None,
    as_json: options.Json = False,
) -> None:
    """Change fields of a key; what is not given stays. Lists replace the list that was there."""
    changes = wanted.cleared(clear, EMPTY) | wanted.present(
        name=name,
        scopes=scope,
        role=role,
        owner=owner,
        expires_at=expires_at,
        networks=network,
        limits=wanted.limits(limit),
        metadata=wanted.json_object("metadata", metadata),
    )
    with opened(store) as session:
        changed = session.issuer().update(key, changes, by=session.by, if_match=if_match)
        _show(session, changed, as_json=as_json)


@app.command()
def rotate(
    key: options.KeyId,
    grace_seconds: Annotated[
        int | None,
        typer.Option(
            metavar="SECONDS", help="How long the others go on: 3600 to 604800, 86400 if not given."
        ),
    ] = None,
    compromised: Annotated[
        bool, typer.Option("--compromised", help="Destroy every other secret of it at once.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Also while another rotation is under way.")] = False,
    if_match: options.IfMatch = None,
    store: options.Store = None,
    as_json: options.Json = False,
) -> None:
    """Give a key a new secret, and print it this once; the others keep working for the grace."""
    default = timedelta(0) if compromised else rotation.DEFAULT_GRACE
    grace = default if grace_seconds is None else timedelta(seconds=grace_seconds)
    with opened(store) as session:
        minted = session.issuer().rotate(
            key, by=session.by, grace=grace, compromised=compromised, force=force, if_match=if_match
        )
        _show_minted(session, minted, as_json=as_json)


@app.command()
def promote(
    key: options.KeyId,
    if_match: options.IfMatch = None,
    store: options.Store = None,
    as_json: options.Json = False,
) -> None:
    """End the grace of a rotation early: only the primary secret stays."""
    with opened(store) as session:
        _show(session, session.issuer().promote(key, by=session.by, if_match=if_match), as_json=as_json)


@app.command()
def abort(
    key: options.KeyId,
    if_match: options.IfMatch = None,
    store: options.Store = None,
    as_json: options.Json = False,
) -> None:
    """Drop the newest secret of a rotation; the one before it is the primary again."""
    with opened(store) as session:
        _show(session, session.issuer().abort(key, by=session.by, if_match=if_match), as_json=as_json)


@app.command()
def undo(
    key: options.KeyId,
    if_match: options.IfMatch = None,
    store: options.Store = None,
    as_json: options.Json = False,
) -> None:
    """Bring the previous secret back, within a day of its end."""
    with opened(store) as session:
        _show(session, session.issuer().undo(key, by=session.by, if_match=if_match), as_json=as_json)


@app.command()
def revoke(
    key: options.KeyId,
    reason: options.Reason = None,
    wait: options.Wait = False,
    store: options.Store = None,
    as_json: options.Json = False,
) -> None:
    """End a key for good. Repeating it changes nothing."""
    with opened(store) as session:
        revoked = session.issuer().revoke(key, by=session.by, reason=reason, wait=wait)
        _show(session, revoked, as_json=as_json)


@app.command()
def disable(
    key: options.KeyId,
    if_match: options.IfMatch = None,
    store: options.Store = None,
    as_json: options.Json = False,
) -> None:
    """Stop a key until it is enabled again."""
    with opened(store) as session:
        _show(session, session.issuer().disable(key, by=session.by, if_match=if_match), as_json=as_json)


@app.command()
def enable(
    key: options.KeyId,
    if_match: options.IfMatch = None,
    store: options.Store = None,
    as_json: options.Json = False,
) -> None:
    """Let a disabled key work again."""
    with opened(store) as session:
        _show(session, session.issuer().enable(key, by=session.by, if_match=if_match), as_json=as_json)


def _presented(session: Session, found: Sequence[Key]) -> list[dict[str, Any]]:
    uses = session.stores.journal.uses([key.id for key in found])
    return [key_json(key, uses, session.now()) for key in found]


def _show_minted(session: Session, minted: Minted, *, as_json: bool) -> None:
    uses = uses_if_readable(session.stores.journal, [minted.key.id])
    key = key_json(minted.key, uses, session.now())
    if as_json:
        display.show_json({"key": key, "secret": minted.secret})
        return
    display.say(f"Secret, shown this once: {minted.secret}")
    _show_key(key)


def _show(session: Session, found: Key, *, as_json: bool) -> None:
    (key,) = _presented(session, [found])
    if as_json:
        display.show_json(key)
        return
    _show_key(key)


def _show_key(key: dict[str, Any]) -> None:
    versions = key.pop("versions")
    display.show_members({**key, "limits": [wanted.limit_text(one) for one in key["limits"]]})
    columns = ("version", "state", "created at", "not after", "last used at", "uses")
    display.show_rows(columns, (tuple(version.values()) for version in versions))


def _row(key: dict[str, Any]) -> tuple[object, ...]:
    used = max((one["last_used_at"] for one in key["versions"] if one["last_used_at"]), default=None)
    names = ("id", "name", "tenant", "owner", "scopes", "status", "hint", "expires_at")
    return (*(key[name] for name in names), used)
