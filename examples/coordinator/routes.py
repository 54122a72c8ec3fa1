"""The operations: each reads its body, asks one thing of one part of the service, and answers.

The guard has decided before any of these runs; none of them knows what a key is.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Header, Path, Request, Response
from starlette.responses import JSONResponse

from examples.coordinator.answers import respond
from examples.coordinator.bodies import (
    Completion,
    Dispatch,
    Failure,
    Health,
    NewJob,
    Progress,
    StatusChange,
)
from examples.coordinator.call import call_of
from examples.coordinator.health import check
from examples.coordinator.job import Job
from examples.coordinator.reading import body_of, raw_body
from examples.coordinator.service import Service
from examples.coordinator.states import Action, Change

IdempotencyKey = Annotated[str | None, Header(min_length=1, max_length=128, pattern=r"^[ -~]+$")]


async def _service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


Here = Annotated[Service, Depends(_service)]
JobId = Annotated[str, Path(alias="id")]


def create_job(
    request: Request,
    response: Response,
    service: Here,
    body: Annotated[NewJob, Depends(body_of(NewJob))],
    idempotency_key: IdempotencyKey = None,
) -> Job:
    """201 for a new job; 200 for the one that this Idempotency-Key made within 24 hours."""
    job, made = service.creations.create(body.model_dump(), call_of(request), idempotency_key)
    response.status_code = 201 if made else 200
    return job


def change_status(
    request: Request,
    service: Here,
    job_id: JobId,
    body: Annotated[StatusChange, Depends(body_of(StatusChange))],
) -> Job:
    """Queue, run or cancel a job."""
    change = Change(Action(body.status), reason=body.reason)
    return service.jobs.change(job_id, change, call_of(request))


def report_progress(
    request: Request, service: Here, job_id: JobId, body: Annotated[Progress, Depends(body_of(Progress))]
) -> Job:
    """Tell how far the current attempt is."""
    change = Change(Action.PROGRESS, body.model_dump(exclude_unset=True))
    return service.jobs.change(job_id, change, call_of(request))


def complete_job(
    request: Request, service: Here, job_id: JobId, body: Annotated[Completion, Depends(body_of(Completion))]
) -> Job:
    """Finish a job with its result."""
    return service.jobs.change(job_id, Change(Action.COMPLETE, body.model_dump()), call_of(request))


def fail_job(
    request: Request, service: Here, job_id: JobId, body: Annotated[Failure, Depends(body_of(Failure))]
) -> Job:
    """Finish a job with its error."""
    return service.jobs.change(job_id, Change(Action.FAIL, body.model_dump()), call_of(request))


def get_job(service: Here, job_id: JobId) -> Job:
    """A job as it is now."""
    return service.jobs.find(job_id)


def get_health(request: Request, response: Response, service: Here) -> Health:
    """200 while the service can work, 503 when a part of it is down."""
    health = check(service, request)
    response.status_code = 503 if health.status == "down" else 200
    return health


def receive_webhook(
    request: Request, service: Here, raw: Annotated[bytes, Depends(raw_body)]
) -> JSONResponse:
    """Take an event that the bot signed."""
    reply = service.webhook.receive(request.headers, raw, call_of(request))
    headers = {"Idempotent-Replayed": "true"} if reply.replayed else None
    return respond(request, reply.status, reply.body, headers)


def dispatch_job(
    request: Request, service: Here, body: Annotated[Dispatch, Depends(body_of(Dispatch))]
) -> Job:
    """Queue a pending job by hand."""
    return service.jobs.change(body.job_id, Change(Action.DISPATCH), call_of(request))


async def livez() -> Response:
    """Say that the process runs, and nothing else."""
    return Response()


HANDLERS = (
    create_job,
    change_status,
    report_progress,
    complete_job,
    fail_job,
    get_job,
    get_health,
    receive_webhook,
    dispatch_job,
    livez,
)
