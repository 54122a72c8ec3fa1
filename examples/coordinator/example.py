"""How `examples.run` starts this service, and what to try with it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from examples.coordinator.callers import CALLERS
from examples.coordinator.settings import WEBHOOK_SECRET
from examples.coordinator.signature import SECRET_PREFIX
from examples.declaration import Example, key_text


def _command(port: int) -> list[str]:
    return ["examples.coordinator", "serve", "--port", str(port)]


def _local(data: Path) -> Mapping[str, str]:
    return {"COORDINATOR_DATABASE_URL": f"sqlite:///{data / 'coordinator.db'}"}


def _try_out(port: int) -> str:
    jobs = f"http://127.0.0.1:{port}/coordinator/jobs"
    body = """-H 'Content-Type: application/json' -d '{"type": "stitch"}'"""
    return f"""
  # without a key: 401
  curl -i {jobs}/1
  # the coordinator creates a job
  curl -i {jobs} -H "X-API-Key: $COORDINATOR_API_KEY" {body}
  # the monitor reads health and nothing else
  curl -i http://127.0.0.1:{port}/coordinator/health -H "Authorization: Bearer $MONITOR_API_KEY"
  curl -i {jobs} -H "X-API-Key: $MONITOR_API_KEY" {body}"""


EXAMPLE = Example(
    command=_command,
    try_out=_try_out,
    random={
        "KEYRACK_PEPPERS": lambda: f"p1:{key_text()}",
        WEBHOOK_SECRET: lambda: SECRET_PREFIX + key_text(),
        **{variable: key_text for variable, _ in CALLERS.values()},
    },
    local=_local,
)
