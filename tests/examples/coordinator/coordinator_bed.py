"""One coordinator inside the test process, called over ASGI as by real clients, on a clock of its own."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import os
import secrets
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from examples.coordinator.app import create_app
from examples.coordinator.callers import CALLERS
from examples.coordinator.service import Service
from examples.coordinator.settings import Settings
from examples.coordinator.signature import parse_secret, sign

ADDRESS = "198.51.100.7"
JOBS = "/coordinator/jobs"
PATIENCE_SECONDS = 60
"""How long a test waits for what another thread or node does; how fast that has to be is proved elsewhere."""


class Clock:
    """A time that passes only when it is told to."""

    def __init__(self, now: datetime = datetime(2030, 1, 1, 12, tzinfo=UTC)):
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def after(self, **duration: float) -> datetime:
        return self.now + timedelta(**duration)

    def pass_time(self, **duration: float) -> None:
        self.now += timedelta(**duration)


class Secrets:
    """Every secret that a test used and every answer that it got, so that one is never in the other."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.answers: list[httpx.Response] = []

    def note(self, text: str | None) -> str:
        assert text
        self.texts.append(text)
        return text

    def shown(self, records: Sequence[logging.LogRecord], folder: Path) -> list[str]:
        """Where a secret stands: names of loggers, paths that were asked, names of files."""
        places = [(record.name, everything(record).encode()) for record in records]
        places += [
            (answer.url.path, answer.content + str(answer.headers).encode()) for answer in self.answers
        ]
        places += [(path.name, path.read_bytes()) for path in folder.rglob("*") if path.is_file()]
        secrets_used = [text.encode() for text in self.texts]
        return [name for name, found in places if any(secret in found for secret in secrets_used)]

    def key(self) -> str:
        return self.note(base64.b64encode(secrets.token_bytes(32)).decode())

    def environment(self) -> dict[str, str]:
        """All that static mode needs, one key for each caller."""
        return {
            "KEYRACK_PEPPERS": "p1:" + self.key(),
            "STITCHER_WEBHOOK_SECRET": self.note("whsec_" + self.key()),
            **{variable: self.key() for variable, _ in CALLERS.values()},
        }


def everything(record: logging.LogRecord) -> str:
    """The message and all that travels with it."""
    return f"{record.getMessage()} {vars(record)!r}"


class Coordinator:
    """A coordinator opened from the environment."""

    def __init__(self, clock: Clock, used: Secrets):
        self.environment = dict(os.environ)
        self.clock = clock
        self.used = used
        self.service = Service.open(Settings.read(os.environ), clock=clock)
        self.app = create_app(self.service)
        self._loop = asyncio.Runner()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.close()
        self.service.close()

    def key(self, caller: str) -> str:
        """The static key of a caller."""
        return self.environment[CALLERS[caller][0]]

    def send(self, *requests: dict[str, Any], address: str = ADDRESS) -> list[httpx.Response]:
        """Send requests at the same time; the answers in their order."""
        return self._loop.run(self._send(requests, address))

    def request(
        self, method: str, path: str, *, by: str | None = None, address: str = ADDRESS, **request: Any
    ) -> httpx.Response:
        """One request; `by` names the caller whose key it carries."""
        return self.send(self.prepared(method, path, by=by, **request), address=address)[0]

    def prepared(self, method: str, path: str, *, by: str | None = None, **request: Any) -> dict[str, Any]:
        headers = dict(request.pop("headers", {}))
        if by is not None:
            headers["X-API-Key"] = self.key(by)
        return {"method": method, "url": path, "headers": headers, **request}

    async def _send(self, requests: tuple[dict[str, Any], ...], address: str) -> list[httpx.Response]:
        transport = httpx.ASGITransport(self.app, client=(address, 40000), raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://coordinator") as client:
            answers = await asyncio.gather(*(client.request(**request) for request in requests))
        self.used.answers += answers
        return list(answers)

    def new_job(self, **fields: Any) -> dict[str, Any]:
        """A job that the coordinator created."""
        answer = self.request("POST", JOBS, by="coordinator", json={"type": "stitch", **fields})
        assert answer.status_code == 201, answer.text
        return dict(answer.json())

    def job_in(self, status: str) -> dict[str, Any]:
        """A job that went its shortest way to a status."""
        job = self.new_job()
        for step in WAYS[status]:
            answer = self.act(job["id"], step)
            assert answer.status_code in (200, 202), answer.text
        return dict(self.request("GET", f"{JOBS}/{job['id']}", by="coordinator").json())

    def act(self, job_id: str, action: str, **body: Any) -> httpx.Response:
        """Ask one action of a job, by whoever may."""
        if action == "dispatch":
            return self.request("POST", "/stitcher/dispatch", by="operator", json={"job_id": job_id})
        method, path, given = ACTIONS[action]
        return self.request(method, f"{JOBS}/{job_id}/{path}", by="coordinator", json={**given, **body})

    def signed(
        self,
        event: Mapping[str, Any] | bytes,
        webhook_id: str,
        *,
        at: datetime | None = None,
        secret: str | None = None,
        by: str | None = "stitcher-bot",
    ) -> dict[str, Any]:
        """A webhook as the bot sends it."""
        body = event if isinstance(event, bytes) else json.dumps(event).encode()
        timestamp = str(int((at or self.clock()).timestamp()))
        secret_bytes = parse_secret(secret or self.environment["STITCHER_WEBHOOK_SECRET"])
        assert secret_bytes is not None
        headers = {
            "Content-Type": "application/json",
            "webhook-id": webhook_id,
            "webhook-timestamp": timestamp,
            "webhook-signature": sign(secret_bytes, webhook_id, timestamp, body),
        }
        return self.prepared("POST", "/stitcher/webhook", by=by, headers=headers, content=body)

    def webhook(self, event: Mapping[str, Any] | bytes, webhook_id: str, **how: Any) -> httpx.Response:
        return self.send(self.signed(event, webhook_id, **how))[0]

    def audit(self) -> list[dict[str, Any]]:
        """The rows of the audit table, in order."""
        with self.service.database.read() as connection:
            return [
                dict(row._mapping) for row in connection.exec_driver_sql("SELECT * FROM audit ORDER BY id")
            ]


ERROR = {"code": "E1", "message": "broken"}
ACTIONS: Mapping[str, tuple[str, str, dict[str, Any]]] = {
    "queued": ("PATCH", "status", {"status": "queued"}),
    "running": ("PATCH", "status", {"status": "running"}),
    "cancelled": ("PATCH", "status", {"status": "cancelled"}),
    "complete": ("POST", "complete", {"result": {"url": "x"}}),
    "fail": ("POST", "fail", {"error": ERROR}),
    "progress": ("PATCH", "progress", {"progress_percent": 50}),
}
WAYS = {
    "pending": (),
    "queued": ("dispatch",),
    "running": ("dispatch", "running"),
    "completed": ("dispatch", "running", "complete"),
    "failed": ("dispatch", "fail"),
    "cancelled": ("cancelled",),
}


def wrong(key: str) -> str:
    """A text of the same form that is no key."""
    return key[:20] + ("A" if key[20] != "A" else "B") + key[21:]


HOLDER = {
    "create_job": "coordinator",
    "change_status": "coordinator",
    "report_progress": "coordinator",
    "complete_job": "coordinator",
    "fail_job": "coordinator",
    "get_job": "coordinator",
    "get_health": "monitor",
    "receive_webhook": "stitcher-bot",
    "dispatch_job": "operator",
}
"""A caller that may do each protected operation."""


def right_request(bed: Coordinator, name: str) -> dict[str, Any]:
    """A request, without a key, that succeeds when the key is right."""
    match name:
        case "create_job":
            return bed.prepared("POST", JOBS, json={"type": "stitch"})
        case "change_status":
            return bed.prepared("PATCH", f"{JOBS}/{bed.new_job()['id']}/status", json={"status": "queued"})
        case "get_job":
            return bed.prepared("GET", f"{JOBS}/{bed.new_job()['id']}")
        case "get_health":
            return bed.prepared("GET", "/coordinator/health")
        case "receive_webhook":
            return bed.signed({"event": "ping"}, secrets.token_hex(8), by=None)
        case "dispatch_job":
            return bed.prepared("POST", "/stitcher/dispatch", json={"job_id": bed.new_job()["id"]})
    action = {"report_progress": "progress", "complete_job": "complete", "fail_job": "fail"}[name]
    method, path, body = ACTIONS[action]
    return bed.prepared(method, f"{JOBS}/{bed.job_in('running')['id']}/{path}", json=body)


def with_key(request: dict[str, Any], key: str | bytes) -> dict[str, Any]:
    """The same request with this key."""
    return {**request, "headers": {**request["headers"], "X-API-Key": key}}
