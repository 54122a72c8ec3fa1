"""Asking for events: the statement and the rights are checked before there is a session (LL-36)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Annotated, Any

from fastapi import Depends, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import JSONResponse, StreamingResponse
from starlette.types import Receive, Scope, Send

from examples.log_lake import paths
from examples.log_lake.engine import Task
from examples.log_lake.period import Period, read_period
from examples.log_lake.problems import InvalidRequest, NotFound, written
from examples.log_lake.queries import Watch
from examples.log_lake.reading import body_of
from examples.log_lake.rights import permit_reading, reading
from examples.log_lake.routes.context import Here
from examples.log_lake.rows import Shape
from examples.log_lake.service import Service
from examples.log_lake.sessions import Running, Session
from examples.log_lake.settings import Settings
from examples.log_lake.statement import streams_in
from keyrack import Denied
from keyrack.guards.fastapi import CurrentKey, KeyState, Refused

ARRAY, LINES = "application/json", "application/x-ndjson"
ELAPSED = "p-time-elapsed"


class Question(BaseModel):
    """The body of a query."""

    model_config = ConfigDict(extra="forbid", strict=True)

    query: str
    start_time: str = Field(alias="startTime")
    end_time: str = Field(alias="endTime")
    send_null: bool = Field(default=False, alias="sendNull")


async def query(
    request: Request,
    service: Here,
    key: CurrentKey,
    question: Annotated[Question, Depends(body_of(Question))],
    fields: Annotated[bool, Query()] = False,
    send_null: Annotated[bool, Query(alias="sendNull")] = False,
    streaming: Annotated[bool, Query()] = False,
) -> Response:
    """The rows of one statement over streams that the key may read."""
    began = time.perf_counter()
    shape = Shape(fields=fields, send_null=send_null or question.send_null, streaming=streaming)
    streams, period = _read(question, service)
    await permit_reading(key, streams)
    await asyncio.to_thread(_require_streams, service, key.key.tenant, streams)
    running = service.queries.open(key.key.id, key.key.tenant, streams)
    watch = Watch(_checking(service, key, streams), request.is_disconnected)
    task = _task(question, running, period, shape=shape, limits=service.settings)
    try:
        await service.queries.run(running, task, watch)
    except BaseException:
        service.queries.sessions.close(running)
        raise
    headers = {ELAPSED: f"{time.perf_counter() - began:.6f}"}
    return Answer(service, running, watch, media_type=LINES if streaming else ARRAY, headers=headers)


class Answer(StreamingResponse):
    """The answer to a query. Its session ends with it, however it ends."""

    def __init__(self, service: Service, running: Running, watch: Watch, **response: Any):
        super().__init__(service.queries.chunks(running, watch), **response)
        self.headers["content-length"] = str(running.result.stat().st_size)
        self._sessions = service.queries.sessions
        self._running = running

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._sessions.close(self._running)


async def list_sessions(service: Here, key: CurrentKey) -> JSONResponse:
    """The queries of the caller's tenant that run now."""
    sessions = service.queries.sessions.of_tenant(key.key.tenant)
    return JSONResponse([_view(session) for session in sessions])


async def end_session(service: Here, key: CurrentKey, id: str) -> Response:  # noqa: A002  # the path's name
    """End a query of the caller's tenant."""
    if not service.queries.sessions.end(id, tenant=key.key.tenant):
        raise NotFound("There is no such session.")
    return Response(status_code=204)


def _read(question: Question, service: Service) -> tuple[tuple[str, ...], Period]:
    """The streams and the time range that a question is about. Raises what reading them raises."""
    if not all(text.strip() for text in (question.query, question.start_time, question.end_time)):
        raise InvalidRequest("query, startTime and endTime must say something.")
    streams = tuple(sorted(streams_in(question.query)))
    return streams, read_period(question.start_time, question.end_time, now=service.clock())


def _task(question: Question, running: Running, period: Period, *, shape: Shape, limits: Settings) -> Task:
    """What a worker is told. The session says what may be read."""
    return Task(
        sql=question.query,
        tenant=running.session.tenant,
        streams=running.session.streams,
        start_at=period.start_at,
        end_at=period.end_at,
        shape=shape,
        most_rows=limits.query_rows,
        memory_bytes=limits.query_memory,
        result=running.result,
    )


def _require_streams(service: Service, tenant: str, streams: tuple[str, ...]) -> None:
    unknown = [name for name in streams if not service.storage.has_any(paths.stream(tenant, name))]
    if unknown:
        raise NotFound("There are no such streams.", streams=unknown)


def _checking(service: Service, key: KeyState, streams: tuple[str, ...]) -> Callable[[], None]:
    """Whether the key may still do what it was let to do (LL-37)."""
    access = reading(key, streams)

    def check() -> None:
        decision = service.verifier.recheck(key.allowed, access)
        if isinstance(decision, Denied):
            raise Refused(key.response(decision))

    return check


def _view(session: Session) -> dict[str, Any]:
    return {
        "id": session.id,
        "keyId": session.key_id,
        "tenant": session.tenant,
        "streams": list(session.streams),
        "startedAt": written(session.started_at),
        "deadlineAt": written(session.deadline_at),
    }


HANDLERS = (query, list_sessions, end_session)
