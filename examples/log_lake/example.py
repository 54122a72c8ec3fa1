"""How `examples.run` starts this service, and what to try with it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from examples.declaration import Example, key_text


def _command(port: int) -> list[str]:
    return ["examples.log_lake", "serve", "--init", "--port", str(port)]


def _local(data: Path) -> Mapping[str, str]:
    return {
        "LAKE_STORAGE_URL": f"file:{data / 'lake'}",
        "LAKE_LIMITER_URL": f"sqlite:///{data / 'limiter.db'}",
        "LAKE_MULTI_TENANT": "on",
    }


def _try_out(port: int) -> str:
    lake = f"http://127.0.0.1:{port}/api/v1"
    json = "-H 'Content-Type: application/json'"
    question = """'{"query": "SELECT * FROM web", "startTime": "10m", "endTime": "now"}'"""
    return f"""
  # the root key, which a new lake shows below, once
  export ROOT=lake_live_…
  # without a key: 401
  curl -i {lake}/health
  # an event, and what was stored
  curl -i {lake}/ingest -H "X-API-Key: $ROOT" -H 'X-P-Stream: web' {json} -d '{{"status": 200}}'
  curl -i {lake}/query -H "X-API-Key: $ROOT" {json} -d {question}
  # a key that may write to this stream and do nothing else
  curl -i {lake}/apikeys -H "X-API-Key: $ROOT" {json} -d '{{"keyName": "shipper", "streams": ["web"]}}'"""


EXAMPLE = Example(
    command=_command,
    try_out=_try_out,
    random={"KEYRACK_PEPPERS": lambda: f"p1:{key_text()}"},
    local=_local,
)
