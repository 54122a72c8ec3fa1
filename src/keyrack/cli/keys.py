"""`keyrack keys`: mint, look, change, rotate and take back. Only mint and rotate ever show a secret."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from keyrack.cli import display, exits, options, wanted
from keyrack.cli.desk import at_desk
from keyrack.wishes import Wish

app = typer.Typer(help="Mint, list, show, change, rotate and revoke keys.")
COLUMNS = ("id", "name", "tenant", "owner", "scopes", "status", "hint", "expires at", "last used at")
EMPTY: dict[str, Any] = {
    "owner": None,
    "role": None,
    "expires_at": None,
    "networks": [],
    "limits": [],
    "credits": None,
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
Group = Annotated[
    str | None,
    typer.Option("--credits", metavar="GROUP", help="The credit group in which its owner pays for each use."),
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
    group: Group = None,
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
        credits=group,
        metadata=wanted.json_object("metadata", metadata) or {},
        unique=unique,
    )
    with at_desk(store) as desk:
        _show_minted(desk.mint(wish), done="made", as_json=as_json)


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
    with at_desk(store) as desk:
        page = desk.find(tenant=tenant, owner=owner, limit=limit, cursor=cursor or 0)
    if as_json:
        display.show_json(page)
        return
    display.show_rows(COLUMNS, map(_row, page["data"]), following=page["next_cursor"])


@app.command()
def show(key: options.KeyId, store: options.Store = None, as_json: options.Json = False) -> None:
    """Show a key, with each version of its secret and when that was last used."""
    with at_desk(store) as desk:
        _show(desk.get(key), as_json=as_json)


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
    group: Group = None,
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
        credits=group,
        metadata=wanted.json_object("metadata", metadata),
    )
    with at_desk(store) as desk:
        _show(desk.update(key, changes, if_match=if_match), as_json=as_json)


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
    with at_desk(store) as desk:
        minted = desk.rotate(
            key, grace_seconds=grace_seconds, compromised=compromised, force=force, if_match=if_match
        )
        _show_minted(minted, done="rotated", as_json=as_json)


@app.command()
def promote(
    key: options.KeyId,
    if_match: options.IfMatch = None,
    store: options.Store = None,
    as_json: options.Json = False,
) -> None:
    """End the grace of a rotation early: only the primary secret stays."""
    with at_desk(store) as desk:
        _show(desk.change(key, "promote", if_match=if_match), as_json=as_json)


@app.command()
def abort(
    key: options.KeyId,
    if_match: options.IfMatch = None,
    store: options.Store = None,
    as_json: options.Json = False,
) -> None:
    """Drop the newest secret of a rotation; the one before it is the primary again."""
    with at_desk(store) as desk:
        _show(desk.change(key, "abort", if_match=if_match), as_json=as_json)


@app.command()
def undo(
    key: options.KeyId,
    if_match: options.IfMatch = None,
    store: options.Store = None,
    as_json: options.Json = False,
) -> None:
    """Bring the previous secret back, within a day of its end."""
    with at_desk(store) as desk:
        _show(desk.change(key, "undo", if_match=if_match), as_json=as_json)


@app.command()
def revoke(
    key: options.KeyId,
    reason: options.Reason = None,
    wait: options.Wait = False,
    store: options.Store = None,
    as_json: options.Json = False,
) -> None:
    """End a key for good. Repeating it changes nothing."""
    with at_desk(store) as desk:
        _show(desk.revoke(key, reason=reason, wait=wait), as_json=as_json)


@app.command()
def disable(
    key: options.KeyId,
    if_match: options.IfMatch = None,
    store: options.Store = None,
    as_json: options.Json = False,
) -> None:
    """Stop a key until it is enabled again."""
    with at_desk(store) as desk:
        _show(desk.change(key, "disable", if_match=if_match), as_json=as_json)


@app.command()
def enable(
    key: options.KeyId,
    if_match: options.IfMatch = None,
    store: options.Store = None,
    as_json: options.Json = False,
) -> None:
    """Let a disabled key work again."""
    with at_desk(store) as desk:
        _show(desk.change(key, "enable", if_match=if_match), as_json=as_json)


def _show_minted(minted: dict[str, Any], *, done: str, as_json: bool) -> None:
    secret = minted["secret"]
    if as_json:
        display.show_json(minted)
    else:
        _show_new(minted["key"], secret)
    if secret is None:
        # The first answer was lost on the way, and the second one can only say what was done.
        display.hint(f"The key was {done}, and its secret was lost with the server's answer.")
        display.hint(f"`keyrack keys rotate {minted['key']['id']} --force` gives it another.")
        raise typer.Exit(exits.REFUSED)


def _show_new(key: dict[str, Any], secret: str | None) -> None:
    if secret is not None:
        display.say(f"Secret, shown this once: {secret}")
    _show_key(key)


def _show(key: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        display.show_json(key)
        return
    _show_key(key)


def _show_key(key: dict[str, Any]) -> None:
    versions = key.pop("versions")
    display.show_members({**key, "limits": [wanted.limit_text(one) for one in key["limits"]]})
    columns = ("version", "state", "created at", "not after", "last used at", "uses", "from")
    display.show_rows(columns, map(_version_row, versions))


def _version_row(version: dict[str, Any]) -> tuple[object, ...]:
    *others, addresses = version.values()
    return (*others, [one["address"] for one in addresses])


def _row(key: dict[str, Any]) -> tuple[object, ...]:
    used = max((one["last_used_at"] for one in key["versions"] if one["last_used_at"]), default=None)
    names = ("id", "name", "tenant", "owner", "scopes", "status", "hint", "expires_at")
    return (*(key[name] for name in names), used)
