"""The commands: `serve` the service, or print its `openapi` document."""

from __future__ import annotations

import argparse
import json
import os
import sys

import uvicorn

from examples.coordinator import logs, openapi
from examples.coordinator.service import Service
from examples.coordinator.settings import Settings
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


def serve(options: argparse.Namespace) -> None:
    """Open everything once before the port, so that a process that listens is one that can work."""
    Service.open(Settings.read(os.environ)).close()
    uvicorn.run(
        "examples.coordinator.app:create",
        factory=True,
        host=options.host,
        port=options.port,
        workers=options.workers,
        log_config=logs.CONFIG,
        access_log=False,  # it would write query strings, where people put keys
        proxy_headers=False,  # the guard alone decides whom to believe about addresses
        server_header=False,
    )


def export(options: argparse.Namespace) -> None:
    """Print the OpenAPI document; it needs no setting."""
    json.dump(openapi.document(), sys.stdout, indent=2)
    sys.stdout.write("\n")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m examples.coordinator")
    commands = parser.add_subparsers(required=True)
    serving = commands.add_parser("serve", help="serve the service")
    serving.add_argument("--host", default="127.0.0.1")
    serving.add_argument("--port", type=int, default=8080)
    serving.add_argument("--workers", type=int, default=1)
    serving.set_defaults(run=serve)
    exporting = commands.add_parser("openapi", help="print the OpenAPI document")
    exporting.set_defaults(run=export)
    return parser


if __name__ == "__main__":
    main()
