"""Sends the results of a run as a worker does: over HTTP, with the key of the run (CI-90)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import httpx

from examples.ci_results.enumerations import Stage
from examples.ci_results.load.stocking import Stocked
from examples.ci_results.services.leases import Lease

LIMIT_SECONDS = 60.0
MAX_TOLD = 300
"""Characters of a refusal that are quoted."""


class Refused(Exception):
    """A report was refused, or nobody answers; the message says which and why."""


class Reporter:
    """Reports on one run. It waits when it is told to slow down."""

    def __init__(self, client: httpx.AsyncClient, lease: Lease):
        self._client = client
        self._path = f"/progress-reporter/{lease.run.id}"
        self._headers = {"X-API-Key": lease.text}

    async def stage(self, stage: Stage, message: str) -> None:
        """A stage was reached."""
        await self._send("progress", {"status": stage.value, "message": message})

    async def log(self, path: Path, test_id: int | None = None) -> None:
        """The log of the run, or of one of its tests."""
        await self._send("logupload", {} if test_id is None else {"test_id": test_id}, path)

    async def test(self, stocked: Stocked) -> None:
        """All that is known of one test: its outputs, its log, and then its end."""
        case, test_id = stocked.case, stocked.test_id
        if case.result is None:
            return
        for output in case.outputs:
            place = {"test_id": test_id, "test_file_id": stocked.output_ids[output.filename]}
            if output.is_match:
                await self._send("equality", place)
            elif output.actual is not None:
                await self._send("upload", place, output.actual)
        if case.log is not None:
            await self.log(case.log, test_id)
        ended = {"runTime": case.result.runtime_ms, "exitCode": case.result.exit_code}
        await self._send("finish", {"test_id": test_id, **ended})

    async def _send(self, kind: str, fields: Mapping[str, object], file: Path | None = None) -> None:
        form = {"type": kind, **{name: str(value) for name, value in fields.items()}}
        files = None if file is None else {"file": ("file", file.read_bytes())}
        while (answer := await self._answer(form, files)).status_code == httpx.codes.TOO_MANY_REQUESTS:
            await asyncio.sleep(float(answer.headers["Retry-After"]))
        if answer.status_code != httpx.codes.OK:
            raise Refused(
                f"A report of type {kind} was refused: {answer.status_code} {answer.text[:MAX_TOLD]}"
            )

    async def _answer(
        self, form: dict[str, str], files: dict[str, tuple[str, bytes]] | None
    ) -> httpx.Response:
        try:
            return await self._client.post(self._path, headers=self._headers, data=form, files=files)
        except httpx.HTTPError as error:
            raise Refused(f"The service does not answer ({type(error).__name__}).") from None


async def report(
    reporter: Reporter, tests: Sequence[Stocked], log: Path | None, tell: Callable[[int, int], None]
) -> None:
    """Report a whole run. Raises Refused at the first report that is not taken."""
    await reporter.stage(Stage.PREPARATION, "loading results from files")
    await reporter.stage(Stage.TESTING, "reporting results")
    for done, test in enumerate(tests, start=1):
        await reporter.test(test)
        tell(done, len(tests))
    if log is not None:
        await reporter.log(log)
    await reporter.stage(Stage.COMPLETED, "all results are loaded")
