"""Loads one checked directory as one run: files, catalogue, the run itself, its results."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import httpx

from examples.ci_results.app import create_app
from examples.ci_results.load import reporting, stocking
from examples.ci_results.load.directory import Loadable
from examples.ci_results.load.reporting import Refused, Reporter
from examples.ci_results.load.stocking import Stocked
from examples.ci_results.models.runs import Run
from examples.ci_results.service import Service
from examples.ci_results.services.runs import NewRun

Tell = Callable[[str, int, int], None]
"""Hears what is being done, and how much of how much is."""
GIVEN_UP = "the worker gave up: a report was refused"


class Loader:
    """Loads runs into an open service. Results go to a server that serves it, or, without one, to the
    same application in this process."""

    def __init__(self, service: Service, url: str | None = None):
        self._service = service
        self._url = url

    def load(self, loadable: Loadable, wish: NewRun, tell: Tell = lambda *_: None) -> Run:
        """The run that was made, as it is when all is reported. Raises Problem, and Refused."""
        service = self._service
        stocking.store_files(loadable, service.storage, partial(tell, "Files"))
        tests = stocking.describe(loadable, service.database)
        test_ids = [test.test_id for test in tests]
        run = service.runs.create(replace(wish, test_ids=test_ids, is_reserved=True), None)
        try:
            asyncio.run(self._report(run.id, tests, loadable.log, partial(tell, "Tests")))
        except BaseException:  # also when it is interrupted: else the run waits until its key expires
            service.leases.cancel(run.id, GIVEN_UP)
            raise
        return service.runs.get(run.id)

    async def _report(
        self, run_id: int, tests: Sequence[Stocked], log: Path | None, tell: Callable[[int, int], None]
    ) -> None:
        lease = self._service.leases.claim_run(run_id)
        if lease is None:
            raise Refused("The run was ended before anything was reported.")
        async with self._client() as client:
            await reporting.report(Reporter(client, lease), tests, log, tell)

    def _client(self) -> httpx.AsyncClient:
        timeout = reporting.LIMIT_SECONDS
        if self._url is not None:
            return httpx.AsyncClient(base_url=self._url, timeout=timeout)
        transport = httpx.ASGITransport(create_app(self._service), raise_app_exceptions=False)
        return httpx.AsyncClient(base_url="http://loader.invalid", transport=transport, timeout=timeout)
