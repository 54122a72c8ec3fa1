"""`keyrack secrets`: what is kept sealed under the master keys."""

from __future__ import annotations

import typer

from keyrack.cli import display, options
from keyrack.cli.session import opened
from keyrack.core.master_keys import MasterKeys
from keyrack.master_key_file import with_master_keys
from keyrack.settings import Settings
from keyrack.vault.reencryption import Reencrypted
from keyrack.vault.reencryption import reencrypt as reencrypt_all

app = typer.Typer(help="Move sealed secrets to another master key.")


@app.callback()
def secrets() -> None:
    """Move sealed secrets to another master key."""


@app.command()
def reencrypt(store: options.Store = None, as_json: options.Json = False) -> None:
    """Move every sealed secret to the first key of KEYRACK_MASTER_KEYS, beside the writers.

    Before: add the new key in second place on every node, then move it to the front on every node. May
    be stopped and repeated. Afterwards the older keys can be taken away.
    """
    master_keys = given_master_keys(store)
    with opened(store) as session, display.progress() as report:
        moved = reencrypt_all(session.stores, master_keys, by=session.by, report=report)
    if as_json:
        display.show_json({"done": moved.done, "total": moved.total})
        return
    display.say(_sentence(moved))


def given_master_keys(store: str | None) -> MasterKeys | None:
    """The master keys that the settings name, or that stand beside the store."""
    text = with_master_keys(Settings.read(store=store)).master_keys
    return None if text is None else MasterKeys.parse(text)


def _sentence(moved: Reencrypted) -> str:
    return f"{moved.done} of {moved.total} sealed secrets were moved to the first master key."
