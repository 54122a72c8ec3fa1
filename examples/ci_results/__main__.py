"""The commands: `serve` the service, `init` its key store, and `users`, which an operator changes."""

from __future__ import annotations

import argparse
import getpass
import os
import sys

import uvicorn

from examples.ci_results.clock import utc_now
from examples.ci_results.enumerations import Role
from examples.ci_results.problems import Problem
from examples.ci_results.service import Service, open_verifier
from examples.ci_results.services.accounts import Person
from examples.ci_results.settings import Settings
from keyrack import ConfigurationError

EXIT_CONFIGURATION = 78
"""EX_CONFIG of sysexits.h."""


def main() -> None:
    """Run one command; a wrong setting ends it with one line and exit code 78."""
    options = _parser().parse_args()
    try:
        options.run(options)
    except ConfigurationError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(EXIT_CONFIGURATION)
    except Problem as problem:
        sys.stderr.write(f"{problem}\n")
        sys.exit(1)


def serve(options: argparse.Namespace) -> None:
    """Open everything once before the port, so that a process that listens is one that can work."""
    settings = Settings.read(os.environ)
    if options.init:
        _make_store(settings)
    Service.open(settings).close()
    uvicorn.run(
        "examples.ci_results.app:create",
        factory=True,
        host=options.host,
        port=options.port,
        workers=options.workers,
        access_log=False,  # it would write query strings, where people put tokens
        proxy_headers=False,  # the service itself decides whom to believe about addresses
        server_header=False,
    )


def init(options: argparse.Namespace) -> None:
    """Make the key store; one that is there is left as it is."""
    if not _make_store(Settings.read(os.environ)):
        raise ConfigurationError("KEYRACK_STORE", "names a store that is there already.")


def add_user(options: argparse.Namespace) -> None:
    """Make an account."""
    person = Person(options.name, options.email, options.role, options.login)
    with _opened() as service:
        service.accounts.add(person, _password())


def set_role(options: argparse.Namespace) -> None:
    """Give somebody another role."""
    with _opened() as service:
        service.accounts.set_role(options.name, options.role)


def set_login(options: argparse.Namespace) -> None:
    """Say what somebody is called at the forge."""
    with _opened() as service:
        service.accounts.set_login(options.name, options.login)


def set_password(options: argparse.Namespace) -> None:
    """Give somebody another password, and end their tokens."""
    with _opened() as service:
        _tell(service.accounts.set_password(options.name, _password()))


def deactivate(options: argparse.Namespace) -> None:
    """Let somebody in no more, and end their tokens."""
    with _opened() as service:
        _tell(service.accounts.deactivate(options.name))


def remove(options: argparse.Namespace) -> None:
    """Delete an account, and end its tokens."""
    with _opened() as service:
        _tell(service.accounts.remove(options.name))


def grant(options: argparse.Namespace) -> None:
    """Add a scope to a token of somebody, as an admin."""
    with _opened() as service:
        service.tokens.grant(options.token, options.scope, by=service.accounts.named(options.by))


def _opened() -> Service:
    return Service.open(Settings.read(os.environ))


def _make_store(settings: Settings) -> bool:
    """Make the key store where there is none; whether there was none."""
    try:
        open_verifier(settings, utc_now).close()
    except ConfigurationError:
        open_verifier(settings, utc_now, create=True).close()
        return True
    return False


def _password() -> str:
    """Typed where there is a terminal, else the first line of the input; never an argument."""
    if sys.stdin.isatty():
        return getpass.getpass("Password: ")
    return sys.stdin.readline().rstrip("\n")


def _tell(ended: int) -> None:
    sys.stdout.write(f"{ended} tokens ended.\n")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m examples.ci_results")
    commands = parser.add_subparsers(required=True)
    serving = commands.add_parser("serve", help="serve the service")
    serving.add_argument("--host", default="127.0.0.1")
    serving.add_argument("--port", type=int, default=8080)
    serving.add_argument("--workers", type=int, default=1)
    serving.add_argument("--init", action="store_true", help="first make the key store if there is none")
    serving.set_defaults(run=serve)
    commands.add_parser("init", help="make the key store").set_defaults(run=init)
    _add_users(commands.add_parser("users", help="make and change accounts").add_subparsers(required=True))
    return parser


def _add_users(users: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    adding = users.add_parser("add", help="make an account; the password is read from the input")
    adding.add_argument("name")
    adding.add_argument("email")
    adding.add_argument("--role", type=Role, choices=list(Role), default=Role.USER)
    adding.add_argument("--login", help="what they are called at the forge")
    adding.set_defaults(run=add_user)
    changing = users.add_parser("set-role", help="give somebody another role")
    changing.add_argument("name")
    changing.add_argument("role", type=Role, choices=list(Role))
    changing.set_defaults(run=set_role)
    naming = users.add_parser("set-login", help="say what somebody is called at the forge")
    naming.add_argument("name")
    naming.add_argument("login")
    naming.set_defaults(run=set_login)
    granting = users.add_parser("grant", help="add a scope to a token, as an admin")
    granting.add_argument("token", type=int)
    granting.add_argument("scope")
    granting.add_argument("--by", required=True, help="the name of the admin")
    granting.set_defaults(run=grant)
    for name, run in (("set-password", set_password), ("deactivate", deactivate), ("remove", remove)):
        one = users.add_parser(name, help=run.__doc__)
        one.add_argument("name")
        one.set_defaults(run=run)


if __name__ == "__main__":
    main()
