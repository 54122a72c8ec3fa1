"""All commands of `keyrack`, and the one place where an error becomes an exit code."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib.metadata import version
from typing import Annotated, Any

import typer
from typer.main import get_command

from keyrack.cli import exits
from keyrack.cli.api import app as api
from keyrack.cli.blocks import app as blocks
from keyrack.cli.copying import copy_store
from keyrack.cli.credits import app as credit_balances
from keyrack.cli.doctor import doctor
from keyrack.cli.events import app as events
from keyrack.cli.events import denials
from keyrack.cli.keys import app as keys
from keyrack.cli.pepper import app as pepper
from keyrack.cli.secrets import app as secrets
from keyrack.cli.sessions import app as sessions
from keyrack.cli.start import init, serve
from keyrack.cli.store import app as store
from keyrack.cli.tenants import app as tenants
from keyrack.cli.upstream import app as upstream
from keyrack.cli.verify import verify
from keyrack.cli.webhooks import app as webhooks
from keyrack.core.errors import KeyrackError

PROGRAM = "keyrack"
EPILOG = "Exit codes: 0 done, 1 refused, 2 usage, 3 unavailable, 78 configuration."
UsageError: Any = typer.BadParameter.__base__
"""The root of Typer's complaints about a command line; it names only some of its leaves in public."""

app = typer.Typer(
    name=PROGRAM,
    help="Issue, verify, scope, limit, rotate and revoke API keys.",
    epilog=EPILOG,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for command in (init, serve, verify, doctor):
    app.command()(command)
app.command("copy")(copy_store)
for name, group in {
    "keys": keys,
    "tenants": tenants,
    "blocks": blocks,
    "credits": credit_balances,
    "upstream": upstream,
    "api": api,
    "events": events,
    "denials": denials,
    "pepper": pepper,
    "secrets": secrets,
    "sessions": sessions,
    "store": store,
    "webhooks": webhooks,
}.items():
    app.add_typer(group, name=name)


def _show_version(is_asked: bool) -> None:
    if is_asked:
        typer.echo(f"{PROGRAM} {version(PROGRAM)}")
        raise typer.Exit


@app.callback()
def _whole(
    _version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version, and end."),
    ] = False,
) -> None:
    """Options of no command; Typer shows the help that the application was made with."""


def run(argv: Sequence[str]) -> int:
    """Run one command and return its exit code."""
    as_json = "--json" in argv
    try:
        return _command()(list(argv), prog_name=PROGRAM, standalone_mode=False) or exits.OK
    except KeyrackError as error:
        exits.complain(error, as_json=as_json)
        return exits.exit_code(error)
    except UsageError as error:
        command = error.ctx.command_path if error.ctx else PROGRAM
        exits.complain_of_usage(error.format_message(), command, as_json=as_json)
        return exits.USAGE
    except (typer.Abort, KeyboardInterrupt):
        return exits.INTERRUPTED


@cache
def _command() -> Any:
    """The commands, made once a process: Typer would make them anew at each call."""
    return get_command(app)
