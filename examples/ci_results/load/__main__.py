"""`python -m examples.ci_results.load DIR …`: exit code 0, 1 for bad input, 2 for a refused report.

The service is the one that the environment describes; a wrong setting is exit code 78, as everywhere.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from pydantic import ValidationError

from examples.ci_results.enumerations import Platform
from examples.ci_results.load.bar import bar
from examples.ci_results.load.directory import BadInput, Loadable, read
from examples.ci_results.load.loading import Loader
from examples.ci_results.load.reporting import Refused
from examples.ci_results.models.runs import Run
from examples.ci_results.problems import Problem, Unavailable
from examples.ci_results.schemas.runs import NewRunBody
from examples.ci_results.service import Service
from examples.ci_results.services.runs import NewRun
from examples.ci_results.settings import Settings
from keyrack import ConfigurationError

EXIT_BAD_INPUT, EXIT_REFUSED, EXIT_CONFIGURATION = 1, 2, 78
_URL = re.compile(r"https?://[^\s@]+")


def main(arguments: Sequence[str] | None = None) -> int:
    """Load a directory as one run; returns the exit code."""
    options = _parser().parse_args(arguments)
    try:
        run = _load(options)
    except ConfigurationError as error:
        return _fail(error, EXIT_CONFIGURATION)
    except (Refused, Unavailable) as error:
        return _fail(error, EXIT_REFUSED)
    except (BadInput, Problem) as error:
        return _fail(error, EXIT_BAD_INPUT)
    sys.stdout.write(f"run {run.id}: {run.status}\n")
    return 0


def _load(options: argparse.Namespace) -> Run:
    wish, loadable = _wish(options), _read(options.folder)
    with Service.open(Settings.read(os.environ)) as service, bar() as tell:
        return Loader(service, options.url).load(loadable, wish, tell)


def _read(folder: Path) -> Loadable:
    try:
        return read(folder)
    except OSError as error:
        raise BadInput(f"{error.filename}: cannot be read.") from None


def _wish(options: argparse.Namespace) -> NewRun:
    """The run that is asked for, by the rules of `POST /runs`."""
    asked = {
        "repository": options.repository,
        "commit_sha": options.commit,
        "platform": options.platform,
        "branch": options.branch,
        "pull_request": options.pull_request,
    }
    try:
        return NewRunBody.model_validate(asked).wish()
    except ValidationError as error:
        names = sorted({str(one["loc"][0]) for one in error.errors()})
        raise BadInput(f"Please correct: {', '.join(names)}.") from None


def _fail(error: Exception, code: int) -> int:
    sys.stderr.write(f"{error}\n")
    return code


class _Parser(argparse.ArgumentParser):
    """Wrong arguments are bad input; 2 means something else here."""

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(EXIT_BAD_INPUT, f"{self.prog}: {message}\n")


def _url(text: str) -> str:
    if _URL.fullmatch(text) is None:
        raise argparse.ArgumentTypeError("must be the address of the service, without credentials")
    return text


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="python -m examples.ci_results.load", description="Load results as a run.")
    parser.add_argument("folder", type=Path, metavar="DIR")
    parser.add_argument("--repository", required=True, metavar="OWNER/NAME")
    parser.add_argument("--commit", required=True, metavar="SHA", help="40 hexadecimal digits")
    parser.add_argument("--platform", required=True, choices=[one.value for one in Platform])
    parser.add_argument("--branch", default="master")
    parser.add_argument("--pull-request", type=int, metavar="N")
    parser.add_argument("--url", type=_url, help="a running server; without one, results need none")
    return parser


if __name__ == "__main__":
    sys.exit(main())
