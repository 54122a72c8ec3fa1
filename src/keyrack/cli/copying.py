"""`keyrack copy`: from one store into another, while the first is used."""

from __future__ import annotations

from contextlib import closing
from typing import Annotated, Any

import typer

from keyrack.admin.moving import Copied, copy, move
from keyrack.cli import display, options
from keyrack.cli.session import Session, opened
from keyrack.core.errors import ConfigurationError
from keyrack.settings import Settings
from keyrack.stores.opened import Stores
from keyrack.stores.urls import is_static, open_stores, public_url

Source = Annotated[str, typer.Argument(metavar="FROM", help="URL of the store to copy.")]
Target = Annotated[str, typer.Argument(metavar="TO", help="URL of the store to make, or to go on filling.")]
Seal = Annotated[
    bool, typer.Option("--seal", help="Close FROM for good once TO has everything, and let TO go on.")
]


def copy_store(source: Source, target: Target, seal: Seal = False, as_json: options.Json = False) -> None:
    """Copy a store into another one, log and all; keys go on working under the same peppers.

    FROM may be in use. May be stopped and repeated: it goes on where it was. At the end the whole chain,
    every record and their sum are checked in TO.
    """
    _require_lasting(source, target)
    with opened(source) as session, closing(_made(target, session.stores)) as made:
        done = _done(session, made, seal=seal)
    if as_json:
        display.show_json({**done._asdict(), "sealed": seal})
        return
    for line in _lines(done, public_url(target), seal=seal):
        display.say(line)


def _require_lasting(source: str, target: str) -> None:
    for name, url in (("FROM", source), ("TO", target)):
        if is_static(url) or url == "memory:" or url.startswith(("http:", "https:")):
            raise ConfigurationError(name, "keeps no keys; name a file, a database or a bucket.")


def _made(url: str, source: Stores) -> Stores:
    return open_stores(url, peppers=source.peppers, counters="memory:", create=True, clock=source.clock)


def _done(session: Session, made: Stores, *, seal: bool) -> Copied:
    # What KEYRACK_CREDITS names is the place of both.
    given: dict[str, Any] = {"by": session.by, "with_balances": Settings.read().credits is None}
    with display.progress() as report:
        if seal:
            return move(session.stores, made, spread=session.spread, report=report, **given)
        return copy(session.stores, made, report=report, **given)


def _lines(done: Copied, where: str, *, seal: bool) -> list[str]:
    lines = [f"{where} holds events 1 to {done.events} and {done.records} records; all of it was checked."]
    if seal:
        return [*lines, "The source is closed. Start every node with the new URL."]
    if done.missing:
        first, last = done.events + 1, done.events + done.missing
        return [*lines, f"Not there are events {first} to {last}, made meanwhile: copy again."]
    return [*lines, "Nothing is missing now; what the source changes from here on is not there."]
