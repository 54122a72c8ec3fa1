"""Loads one checked directory as one run: files, catalogue, the run itself, its results."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import httpx

from examples.ci_results.app import create_app
from examples.ci_results.load import reporting, stocking
from examples.ci_results.load.directory import Loadable
from examples.ci_results.load.reporting import Refused, Reporter
from examples.ci_results.models.runs import Run
from examples.ci_results.service import Service
from examples.ci_results.services.runs import NewRun

Tell = Callable[[str, int, int], None]
"""Hears what is being done, and how much of how much is."""


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
        lease = service.leases.claim_run(run.id)
        if lease is None:
            raise Refused("Somebody else ended the run at once.")

        async def report() -> None:
            async with self._client() as client:
                reporter = Reporter(client, lease)
                await reporting.report(reporter, tests, loadable.log, partial(tell, "Tests"))

        asyncio.run(report())
        return service.runs.get(run.id)

    def _client(self) -> httpx.AsyncClient:
        timeout = reporting.LIMIT_SECONDS
        if self._url is not None:
            return httpx.AsyncClient(base_url=self._url, timeout=timeout)
        transport = httpx.ASGITransport(create_app(self._service), raise_app_exceptions=False)
        return httpx.AsyncClient(base_url="http://loader.invalid", transport=transport, timeout=timeout)
