"""`keyrack sessions`: the key that signs sessions."""

from __future__ import annotations

from typing import Annotated

import typer

from keyrack.cli import display, options
from keyrack.cli.secrets import given_master_keys
from keyrack.cli.session import opened
from keyrack.sessions.keys import SigningKeys
from keyrack.vault.secrets import Vault

app = typer.Typer(help="Replace the key that signs sessions.")


@app.callback()
def sessions() -> None:
    """Replace the key that signs sessions."""


@app.command()
def rotate(
    compromised: Annotated[
        bool, typer.Option("--compromised", help="End all sessions that older keys signed, at once.")
    ] = False,
    store: options.Store = None,
    as_json: options.Json = False,
) -> None:
    """Sign sessions with a new key from now on; otherwise it is replaced every 30 days.

    Sessions that run go on to their end, unless the older key is compromised.
    """
    vault = Vault(given_master_keys(store))
    with opened(store) as session:
        key = SigningKeys(session.stores, vault).rotate(by=session.by, compromised=compromised)
    if as_json:
        display.show_json({"kid": key.facts["kid"], "version": key.version})
        return
    display.say(f"Sessions are signed with key {key.version} now, {key.facts['kid']}.")
