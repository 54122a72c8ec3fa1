"""`keyrack verify`: one decision, on a secret that is read and never an argument."""

from __future__ import annotations

import getpass
import sys
from typing import Annotated

import typer

from keyrack.cli import display, exits, options
from keyrack.core.errors import InvalidRequest
from keyrack.core.http import ANSWERS
from keyrack.core.model import Decision, Denied
from keyrack.core.session import MAX_LENGTH
from keyrack.server.opening import open_verifier
from keyrack.server.questions import Asked, answer_json, read_question
from keyrack.settings import Settings

ORIGIN = ("keyrack verify", None)


def verify(
    scope: Annotated[
        list[str] | None, typer.Option("--scope", metavar="SCOPE", help="What it must hold; repeatable.")
    ] = None,
    tenant: Annotated[str | None, typer.Option(metavar="ID", help="Whose key it must be.")] = None,
    ip: Annotated[str | None, typer.Option("--ip", metavar="ADDRESS", help="Where it is used from.")] = None,
    environment: Annotated[
        list[str] | None,
        typer.Option("--environment", metavar="NAME", help="Where it must work: live; repeatable."),
    ] = None,
    service: Annotated[
        str | None, typer.Option(metavar="NAME", help="The service asked: ingest, query, workspace.")
    ] = None,
    cost: Annotated[int, typer.Option(metavar="N", help="Units that each limit is charged.")] = 1,
    store: options.Store = None,
    as_json: options.Json = False,
) -> None:
    """Decide on a key whose text is the first line of standard input, or is asked for without an echo.

    Exit code 0: allowed, 1: denied, 3: nothing can be decided.
    """
    question = {
        "key": _read_text(),
        "scopes": scope or [],
        "tenant": tenant,
        "ip": ip,
        "environments": environment or ["live"],
        "service": service,
        "cost": cost,
        "explain": True,
    }
    decision = _decide(Settings.read(store=store), read_question(question))
    answer = answer_json(decision, explain=True)
    if as_json:
        display.show_json(answer)
    else:
        display.show_members({"decision": "allowed" if answer["valid"] else "denied", **answer})
    raise typer.Exit(_code(decision))


def _decide(settings: Settings, asked: Asked) -> Decision:
    with open_verifier(settings) as verifier:
        return verifier.verify(asked.text, asked.access, ORIGIN)


def _code(decision: Decision) -> int:
    if not isinstance(decision, Denied):
        return exits.OK
    return exits.UNAVAILABLE if ANSWERS[decision.reason].status == 503 else exits.REFUSED


def _read_text() -> str:
    """One line, too long ones cut: what is longer than a session token can be is refused as such."""
    if sys.stdin.isatty():
        text = getpass.getpass("Key: ")
    else:
        text = sys.stdin.buffer.readline(2 * MAX_LENGTH).decode("latin-1")
    if not text.strip():
        raise InvalidRequest("Give the key's text on standard input: `keyrack verify < file`.")
    return text.strip()
