"""The worker protocol: claim a run, report on it. It is no part of the 29 operations."""

from __future__ import annotations

from typing import Annotated

from fastapi import Path, Request, Response
from pydantic import ValidationError
from starlette.concurrency import run_in_threadpool

from examples.ci_results.problems import Forbidden, Invalid, Problem
from examples.ci_results.routes.dependencies import CallerKey, Services
from examples.ci_results.routes.forms import Form, read_form
from examples.ci_results.schemas.fields import Id
from examples.ci_results.schemas.worker import (
    FILE_TYPES,
    REPORT,
    Accepted,
    ArtifactReport,
    ClaimBody,
    ClaimedRun,
    EqualityReport,
    FinishReport,
    LogReport,
    ProgressReport,
    Report,
    UploadReport,
    claimed_run,
)
from examples.ci_results.service import Service
from examples.ci_results.services.leases import run_of
from examples.ci_results.services.receiving import received
from examples.ci_results.services.worker import Place, Received

RunId = Annotated[Id, Path(description="The run that the key is bound to.")]


def claim_run(body: ClaimBody, service: Services) -> ClaimedRun:
    """The oldest queued run of a platform, and the key to report on it; 204 when none waits."""
    service.leases.cancel_overdue()
    lease = service.leases.claim(body.platform)
    if lease is None:
        return Response(status_code=204)  # type: ignore[return-value]  # it is sent as it is
    return claimed_run(lease, service.runs.tests(lease.run.id))


async def report(run_id: RunId, request: Request, key: CallerKey, service: Services) -> Accepted:
    """One report, as a form. A repeated report changes nothing; a refused one leaves nothing."""
    try:
        if run_of(key.key) != run_id:
            raise Forbidden("This key is bound to another run.", "insufficient_scope")
        async with read_form(request) as form:
            await run_in_threadpool(_take, service, run_id, form)
    except Problem as problem:
        problem.details = {"result": "FAIL", **problem.details}
        raise
    return Accepted()


def _take(service: Service, run_id: int, form: Form) -> None:
    said = _read(form)
    if said.type not in FILE_TYPES:
        _take_plain(service, run_id, said)
        return
    if form.file is None or not form.file.size:
        empty = Invalid("This upload has no content.")
        empty.details = {"result": "EMPTY"}
        raise empty
    with received(form.file.file) as file:
        _take_file(service, run_id, said, file)


def _read(form: Form) -> Report:
    try:
        said = REPORT.validate_python(form.fields)
    except ValidationError as error:
        fields = {
            ".".join(str(part) for part in one["loc"][1:]) or "type": [one["msg"]] for one in error.errors()
        }
        raise Invalid("Please correct: " + ", ".join(sorted(fields)) + ".", fields=fields) from None
    if form.file is not None and said.type not in FILE_TYPES:
        raise Invalid("This report takes no file.", fields={"file": ["This report takes no file."]})
    return said


def _take_plain(service: Service, run_id: int, said: Report) -> None:
    reports = service.reports
    match said:
        case ProgressReport():
            reports.progress(run_id, said.status, said.message, error_type=said.error_type)
        case EqualityReport():
            reports.equal(run_id, Place(said.test_id, said.test_file_id))
        case FinishReport():
            reports.finish(run_id, said.test_id, runtime_ms=said.runTime, exit_code=said.exitCode)


def _take_file(service: Service, run_id: int, said: Report, file: Received) -> None:
    reports = service.reports
    match said:
        case UploadReport():
            reports.upload(run_id, Place(said.test_id, said.test_file_id), file)
        case LogReport():
            reports.log(run_id, file, test_id=said.test_id)
        case ArtifactReport():
            reports.artifact(run_id, said.artifact_type, file)


HANDLERS = (claim_run, report)
