"""The service with data in it, for whoever wants to look at it: `make example NAME=ci_results`.

The first start makes the key store, an account, and a corpus of three runs, which it loads. All of it stays
for the next start; a start that was ended meanwhile is made up for.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

from examples.ci_results import corpus
from examples.ci_results.enumerations import Role, RunStatus
from examples.ci_results.load.bar import bar
from examples.ci_results.load.directory import read
from examples.ci_results.load.loading import Loader, Tell
from examples.ci_results.models.runs import RunFilter
from examples.ci_results.problems import NotFound
from examples.ci_results.service import Service
from examples.ci_results.services.accounts import Person
from examples.ci_results.services.runs import NewRun
from examples.ci_results.serving import make_store, serve
from examples.ci_results.settings import Settings
from keyrack import ConfigurationError

EXIT_CONFIGURATION = 78
ADMIN = Person("admin", "admin@example.org", Role.ADMIN, "octocat")
PASSWORD = "CI_ADMIN_PASSWORD"
"""Of that account. It is read when the account is made, and has no meaning to the service."""


def main() -> int:
    """Prepare what is missing, then serve."""
    options = _parser().parse_args()
    try:
        settings = Settings.read(os.environ)
        _prepare(settings, options.samples)
        serve(settings, host="127.0.0.1", port=options.port)
    except ConfigurationError as error:
        sys.stderr.write(f"{error}\n")
        return EXIT_CONFIGURATION
    return 0


def _prepare(settings: Settings, samples: int) -> None:
    make_store(settings)
    with Service.open(settings) as service:
        _add_admin(service)
        _load(service, samples)


def _add_admin(service: Service) -> None:
    try:
        service.accounts.named(ADMIN.name)
    except NotFound:
        service.accounts.add(ADMIN, _password())


def _password() -> str:
    if not os.environ.get(PASSWORD):
        raise ConfigurationError(PASSWORD, "is missing; it is the password of the first account.")
    return os.environ[PASSWORD]


def _load(service: Service, samples: int) -> None:
    """Load the runs of the corpus that are not there yet, and leave one in the queue."""
    with bar() as tell:
        for name, run in corpus.RUNS.items():
            if not _is_there(service, run):
                _load_one(service, name, samples, tell)
    queue = service.queue.find(platform=None, status=RunStatus.QUEUED, limit=1, offset=0)
    if not queue.waiting:
        service.runs.create(corpus.RUNS["first"], None)


def _is_there(service: Service, run: NewRun) -> bool:
    """Whether it was loaded to its end."""
    wanted = RunFilter(commit_sha=run.commit_sha)
    found, _ = service.runs.find(wanted, sort="run_id", limit=10, offset=0)
    return any(one.is_terminal for one in found)


def _load_one(service: Service, name: str, samples: int, tell: Tell) -> None:
    with tempfile.TemporaryDirectory() as folder:
        corpus.write_run(Path(folder), name, samples)
        doing = f"run {name}: {{}}".format
        Loader(service).load(
            read(Path(folder)), corpus.RUNS[name], lambda what, *done: tell(doing(what), *done)
        )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m examples.ci_results.demo")
    parser.add_argument("--port", type=int, default=8080)
    parser.add_argument("--samples", type=int, default=corpus.SAMPLES)
    return parser


if __name__ == "__main__":
    sys.exit(main())
