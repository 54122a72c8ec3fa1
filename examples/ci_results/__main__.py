"""The commands: `serve` the service, `init` its key store, `users` and `workers`, and `recompute`."""

from __future__ import annotations

import argparse
import getpass
import os
import sys

from examples.ci_results import openapi, serving
from examples.ci_results.enumerations import Role
from examples.ci_results.problems import Problem
from examples.ci_results.service import Service
from examples.ci_results.services.accounts import Person
from examples.ci_results.settings import Settings
from keyrack import ConfigurationError, KeyrackError

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
    except (Problem, KeyrackError) as problem:
        sys.stderr.write(f"{problem}\n")
        sys.exit(1)


def serve(options: argparse.Namespace) -> None:
    """Serve until a signal comes."""
    settings = Settings.read(os.environ)
    if options.init:
        serving.make_store(settings)
    serving.serve(settings, host=options.host, port=options.port, workers=options.workers)


def init(options: argparse.Namespace) -> None:
    """Make the key store; one that is there is left as it is."""
    if not serving.make_store(Settings.read(os.environ)):
        raise ConfigurationError("KEYRACK_STORE", "names a store that is there already.")


def describe(options: argparse.Namespace) -> None:
    """Write the OpenAPI documents of this service anew."""
    openapi.write()


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


def add_worker(options: argparse.Namespace) -> None:
    """Make a key with which a worker claims runs, and print it this once."""
    with _opened() as service:
        sys.stdout.write(f"Worker key, shown this once: {service.leases.add_worker(options.name)}\n")


def recompute(options: argparse.Namespace) -> None:
    """Write every stored status anew from the results and the progress that it follows from."""
    with _opened() as service:
        sys.stdout.write(f"{service.runs.recompute()} runs recomputed.\n")


def _opened() -> Service:
    return Service.open(Settings.read(os.environ))


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
    server = commands.add_parser("serve", help="serve the service")
    server.add_argument("--host", default="127.0.0.1")
    server.add_argument("--port", type=int, default=8080)
    server.add_argument("--workers", type=int, default=1)
    server.add_argument("--init", action="store_true", help="first make the key store if there is none")
    server.set_defaults(run=serve)
    commands.add_parser("init", help="make the key store").set_defaults(run=init)
    commands.add_parser("openapi", help="write the OpenAPI documents").set_defaults(run=describe)
    commands.add_parser("recompute", help="write every stored status anew").set_defaults(run=recompute)
    workers = commands.add_parser("workers", help="make keys of workers").add_subparsers(required=True)
    adding = workers.add_parser("add", help="make a key that claims runs; it is printed this once")
    adding.add_argument("name")
    adding.set_defaults(run=add_worker)
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
