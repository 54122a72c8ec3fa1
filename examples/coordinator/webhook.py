"""Events from the bot, in one order: signature, time, replay, then the body, then what it asks for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import Connection

from examples.coordinator import answers, audit
from examples.coordinator.bodies import Accepted, WebhookEvent
from examples.coordinator.call import Call
from examples.coordinator.clock import Clock
from examples.coordinator.database import Database
from examples.coordinator.deliveries import Deliveries, Reply, Write
from examples.coordinator.jobs import Jobs, add, save
from examples.coordinator.problems import InvalidSignature, Problem, Unavailable, ValidationFailed
from examples.coordinator.reading import parse
from examples.coordinator.signature import Delivery, prove
from examples.coordinator.states import Action, Change

Effect = tuple[str | None, Write | None]
"""The job that an event is about, and what is to be written for it."""


class Webhook:
    """The receiver. Without secrets it is switched off and takes nothing."""

    def __init__(self, database: Database, jobs: Jobs, *, secrets: Sequence[bytes], clock: Clock):
        self._database = database
        self._jobs = jobs
        self._secrets = secrets
        self._clock = clock
        self._deliveries = Deliveries(database, clock)

    def receive(self, headers: Mapping[str, str], body: bytes, call: Call) -> Reply:
        """Answer one webhook. Raises Unavailable, InvalidSignature or Conflict."""
        if not self._secrets:
            raise Unavailable("Webhooks are switched off.")
        delivery = self._proved(headers, body, call)
        content_type = headers.get("content-type", "")
        return self._deliveries.reply(delivery, lambda: self._decide(delivery.body, content_type, call))

    def _proved(self, headers: Mapping[str, str], body: bytes, call: Call) -> Delivery:
        now = self._clock()
        try:
            return prove(headers, body, secrets=self._secrets, now=now)
        except InvalidSignature as refusal:
            with self._database.write() as connection:
                audit.note_refusal(connection, call, refusal.reason, now)
            raise

    def _decide(self, body: bytes, content_type: str, call: Call) -> tuple[Reply, Write | None]:
        try:
            job_id, write = self._effect(parse(WebhookEvent, body, content_type), call)
        except Problem as problem:
            if problem.status >= 500:
                raise
            return Reply(problem.status, answers.document(problem)), None
        return Reply(202, Accepted(job_id=job_id).model_dump()), write

    def _effect(self, event: WebhookEvent, call: Call) -> Effect:
        if event.job is not None:
            return self._request(event.job.model_dump(), call)
        if event.job_id is not None:
            return self._cancel(event.job_id, call)
        return None, None

    def _request(self, fields: Mapping[str, object], call: Call) -> Effect:
        job = self._jobs.draft(fields, call)

        def write(connection: Connection) -> None:
            add(connection, job, call)

        return job.id, write

    def _cancel(self, job_id: str, call: Call) -> Effect:
        change = Change(Action.CANCEL)
        before = self._jobs.get(job_id)
        if before is None:
            raise ValidationFailed({"job_id": ["There is no job of that id."]})
        after = self._jobs.changed(before, change, call)

        def write(connection: Connection) -> None:
            save(connection, after, change, call)

        return job_id, None if after is before else write
