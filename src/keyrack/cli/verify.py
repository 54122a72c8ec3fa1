"""`keyrack verify`: one decision, on a secret that is read and never an argument."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from keyrack.cli import display, exits, options
from keyrack.cli.desk import client_of
from keyrack.cli.standard_input import read_secret
from keyrack.core.errors import Unavailable
from keyrack.server.opening import open_verifier
from keyrack.server.questions import answer_json, read_question
from keyrack.settings import Settings
from keyrack.stores.urls import is_server

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
        "key": read_secret("Key", "keyrack verify"),
        "scopes": scope or [],
        "tenant": tenant,
        "ip": ip,
        "environments": environment or ["live"],
        "service": service,
        "cost": cost,
        "explain": True,
    }
    answer = _decide(Settings.read(store=store), question)
    if as_json:
        display.show_json(answer)
    else:
        display.show_members({"decision": "allowed" if answer["valid"] else "denied", **answer})
    raise typer.Exit(_code(answer))


def _decide(settings: Settings, question: dict[str, Any]) -> dict[str, Any]:
    if is_server(settings.store):
        with client_of(settings) as client:
            answer: dict[str, Any] = client.call("POST", "/v1/verify", question)
            return answer
    asked = read_question(question)
    with open_verifier(settings) as verifier:
        return answer_json(verifier.verify(asked.text, asked.access, ORIGIN), explain=True)


def _code(answer: dict[str, Any]) -> int:
    if answer["valid"]:
        return exits.OK
    return exits.UNAVAILABLE if answer["code"] == Unavailable.code else exits.REFUSED
