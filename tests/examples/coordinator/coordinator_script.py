"""A client as an operator would write one: it walks the service through whole lives of jobs.

Run as a program: `python coordinator_script.py URL`, with the keys in the environment. It prints one
line for each life and ends with code 0 when all went as they should.
"""

from __future__ import annotations

import json
import os
import sys
import time
import uuid
from collections.abc import Mapping
from typing import Any

import httpx

from examples.coordinator.signature import parse_secret, sign


class Script:
    """The calls of three callers, each with its own key."""

    def __init__(self, url: str, variables: Mapping[str, str]):
        self._client = httpx.Client(base_url=url, timeout=60)
        self._keys = {
            "coordinator": variables["COORDINATOR_API_KEY"],
            "bot": variables["STITCHER_API_KEY"],
            "operator": variables["OPERATOR_API_KEY"],
        }
        self._secret = parse_secret(variables["STITCHER_WEBHOOK_SECRET"]) or b""

    def close(self) -> None:
        self._client.close()

    def ask(self, caller: str, method: str, path: str, expected: int, body: Any = None) -> Any:
        """One call; whatever is not expected ends the script."""
        headers = {"Authorization": f"Bearer {self._keys[caller]}"}
        answer = self._client.request(method, path, headers=headers, json=body)
        if answer.status_code != expected:
            raise SystemExit(f"{method} {path}: {answer.status_code} {answer.text}")
        return answer.json()

    def tell(self, event: Mapping[str, Any]) -> Any:
        """One signed event of the bot."""
        body, webhook_id, timestamp = json.dumps(event).encode(), str(uuid.uuid4()), str(int(time.time()))
        headers = {
            "X-API-Key": self._keys["bot"],
            "Content-Type": "application/json",
            "webhook-id": webhook_id,
            "webhook-timestamp": timestamp,
            "webhook-signature": sign(self._secret, webhook_id, timestamp, body),
        }
        answer = self._client.post("/stitcher/webhook", headers=headers, content=body)
        if answer.status_code != 202:
            raise SystemExit(f"webhook: {answer.status_code} {answer.text}")
        return answer.json()

    def new_job(self) -> str:
        return str(self.ask("coordinator", "POST", "/coordinator/jobs", 201, {"type": "stitch"})["id"])

    def status(self, job_id: str) -> str:
        return str(self.ask("operator", "GET", f"/coordinator/jobs/{job_id}", 200)["status"])

    def completes(self) -> str:
        job = self.new_job()
        path = f"/coordinator/jobs/{job}"
        self.ask("operator", "POST", "/stitcher/dispatch", 202, {"job_id": job})
        self.ask("coordinator", "PATCH", f"{path}/status", 200, {"status": "running"})
        self.ask("coordinator", "PATCH", f"{path}/progress", 200, {"progress_percent": 40})
        self.ask("coordinator", "POST", f"{path}/complete", 200, {"result": {"url": "x"}})
        return self.status(job)

    def fails(self) -> str:
        job = self.new_job()
        path = f"/coordinator/jobs/{job}"
        self.ask("coordinator", "PATCH", f"{path}/status", 200, {"status": "queued"})
        self.ask("coordinator", "POST", f"{path}/fail", 200, {"error": {"code": "E1", "message": "broken"}})
        return self.status(job)

    def is_cancelled(self) -> str:
        job = str(self.tell({"event": "job.requested", "job": {"type": "stitch"}})["job_id"])
        self.tell({"event": "job.cancel_requested", "job_id": job})
        return self.status(job)


def main() -> None:
    script = Script(sys.argv[1], os.environ)
    print(script.completes(), script.fails(), script.is_cancelled())
    script.close()


if __name__ == "__main__":
    main()
