"""The commands: `serve` the service, `init` its key store, `compact` its objects, `purge` a tenant."""

from __future__ import annotations

import argparse
import os
import sys

import uvicorn

from examples.log_lake import compaction, founding, logs, purging
from examples.log_lake.clock import utc_now
from examples.log_lake.names import tenant_id
from examples.log_lake.service import Service
from examples.log_lake.settings import Settings
from examples.log_lake.storage import Storage
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


def init(options: argparse.Namespace) -> None:
    """Make the key store; one that is there is left as it is."""
    root_key = founding.found(Settings.read(os.environ))
    if root_key is None:
        raise ConfigurationError("KEYRACK_STORE", "names a store that is there already.")
    _tell(root_key)


def serve(options: argparse.Namespace) -> None:
    """Open everything once before the port, so that a process that listens is one that can work."""
    settings = Settings.read(os.environ)
    if options.init:
        _tell(founding.found(settings))
    Service.open(settings).close()
    uvicorn.run(
        "examples.log_lake.app:create",
        factory=True,
        host=options.host,
        port=options.port,
        workers=options.workers,
        log_config=logs.CONFIG,
        access_log=False,  # it would write query strings, where people put keys
        proxy_headers=False,  # the guard alone decides whom to believe about addresses
        server_header=False,
    )


def compact(options: argparse.Namespace) -> None:
    """Merge small objects; as often as once an hour is of use."""
    done = compaction.compact(_storage(), utc_now)
    sys.stdout.write(f"Merged into {done.merged} objects, deleted {done.removed} that were merged before.\n")


def purge(options: argparse.Namespace) -> None:
    """Delete the events of a tenant, for good."""
    deleted = purging.purge(_storage(), options.tenant)
    sys.stdout.write(f"Deleted {deleted} objects.\n")


def _storage() -> Storage:
    return Storage.open(Settings.read(os.environ).storage_url)


def _tell(root_key: str | None) -> None:
    if root_key is not None:
        sys.stdout.write(f"Root key, shown this once: {root_key}\n")
        sys.stdout.flush()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m examples.log_lake")
    commands = parser.add_subparsers(required=True)
    commands.add_parser("init", help="make the key store").set_defaults(run=init)
    serving = commands.add_parser("serve", help="serve the service")
    serving.add_argument("--host", default="127.0.0.1")
    serving.add_argument("--port", type=int, default=8080)
    serving.add_argument("--workers", type=int, default=1)
    serving.add_argument("--init", action="store_true", help="first make the key store if there is none")
    serving.set_defaults(run=serve)
    commands.add_parser("compact", help="merge small objects of past days").set_defaults(run=compact)
    deleting = commands.add_parser("purge", help="delete all events of a tenant")
    deleting.add_argument("tenant", type=tenant_id)
    deleting.set_defaults(run=purge)
    return parser


if __name__ == "__main__":
    main()
