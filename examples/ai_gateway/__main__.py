"""The commands: `serve` for your own calls, `tour` for all that happens in the life of such a gateway."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
import threading
from collections.abc import Mapping
from pathlib import Path

from examples.ai_gateway import tour
from examples.ai_gateway.house import REQUIRED, House, opened
from examples.ai_gateway.setup import set_up
from keyrack import ConfigurationError

EXIT_CONFIGURATION = 78
"""EX_CONFIG of sysexits.h."""
LOG = "AI_GATEWAY_LOG"


def main() -> None:
    """Run one command; a wrong setting ends it with one line and exit code 78."""
    options = _parser().parse_args()
    try:
        options.run(options)
    except ConfigurationError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(EXIT_CONFIGURATION)


def serve(options: argparse.Namespace) -> None:
    """Provider and gateway until they are ended; a new store gets its callers, whose keys are shown once."""
    ending = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ending.set())
    with opened(_settings(os.environ), Path(os.environ.get(LOG, os.devnull)), port=options.port) as house:
        _say(f"Callers find the provider's API at {house.gateway}.")
        if house.root_key is not None:
            _introduce(house)
        ending.wait()


def play(options: argparse.Namespace) -> None:
    """Every scene, on a store that is thrown away."""
    for line in tour.told(tour.run()):
        _say(line)


def _introduce(house: House) -> None:
    web, trial = asyncio.run(set_up(house))
    _say(f"Root key of Keyrack, shown this once: {house.root_key}")
    for caller in (web, trial):
        _say(f"Key of the caller {caller.name}, shown this once: {caller.secret}")


def _settings(environ: Mapping[str, str]) -> dict[str, str]:
    for name in REQUIRED:
        if not environ.get(name):
            raise ConfigurationError(name, "is missing.")
    return {name: value for name, value in environ.items() if name.startswith("KEYRACK_") or name in REQUIRED}


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m examples.ai_gateway")
    commands = parser.add_subparsers(required=True)
    serving = commands.add_parser("serve", help="serve provider and gateway")
    serving.add_argument("--port", type=int, default=8080)
    serving.set_defaults(run=serve)
    commands.add_parser("tour", help="play every scene and say what came of it").set_defaults(run=play)
    return parser


if __name__ == "__main__":
    main()
