"""A server of two workers tells a rotation once: in its log, its metrics and to a webhook; and counts it."""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
import standardwebhooks
from gateway.receiver import Received, Receiver, receiving
from gateway.rotation_bed import FIELDS, GROUP, KEYS
from patience import eventually
from server_bed import make_store
from server_process import Running, serving
from session_bed import M1

SECRET = b"MfKQ9r8GKYqrTwjUPD8ILPZI"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as made:
        yield made


@pytest.fixture
def server(tmp_path: Path, receiver: Receiver) -> Iterator[tuple[Running, httpx.Client]]:
    """Two workers, their webhook, and a caller with the root key."""
    webhooks = tmp_path / "webhooks.toml"
    secret = f"whsec_{b64encode(SECRET).decode()}"
    webhooks.write_text(f'[[webhook]]\nname = "ops"\nurl = "{receiver.url}"\nsecret = "{secret}"\n')
    founded = make_store(tmp_path)
    settings = {
        **founded.settings,
        "KEYRACK_MASTER_KEYS": M1,
        "KEYRACK_WORKERS": "2",
        "KEYRACK_WEBHOOKS": str(webhooks),
    }
    with serving(settings, tmp_path) as running, running.client(founded.root) as root:
        yield running, root


def metric(root: httpx.Client, name: str) -> float:
    """The value of a metric, with its labels as Prometheus writes them."""
    found = re.search(rf"^{re.escape(name)} (.*)$", root.get("/metrics").text, re.MULTILINE)
    return 0.0 if found is None else float(found.group(1))


def messages(receiver: Receiver, kind: str) -> list[Received]:
    return [one for one in receiver.received if json.loads(one.body).get("type") == kind]


@pytest.mark.spec("UG-30")
@pytest.mark.spec("UG-32")
@pytest.mark.spec("UG-48")
def test_a_rotation_is_told_once_and_counted_whatever_worker_is_asked(
    server: tuple[Running, httpx.Client], receiver: Receiver
) -> None:
    running, root = server
    assert root.post("/v1/credits", json=FIELDS).status_code == 201
    api = {
        "api_name": "chat",
        "api_version": "v1",
        "api_servers": [receiver.url.removesuffix("/hook")],
        "api_credit_group": GROUP,
        "endpoints": [{"method": "POST", "uri": "/hook", "scope": "chat:write", "cost": 0}],
    }
    rotated = root.post(f"/v1/credits/{GROUP}/rotation", json={"api_key_new": KEYS[2], "grace_seconds": 3600})
    assert rotated.status_code == 201
    # After the rotation: whichever worker knows the API knows that, too.
    assert root.post("/v1/apis", json=api).status_code == 201
    for number in range(6):
        carried = eventually(
            lambda number=number: _carried(root, number)  # a worker may not have heard of the API yet
        )
        assert carried.status_code == 200

    message, *_ = eventually(lambda: messages(receiver, "rotation.started"))
    at = datetime.fromtimestamp(int(message.headers["webhook-timestamp"]), UTC)
    signed = standardwebhooks.Webhook(SECRET).sign(message.headers["webhook-id"], at, message.body.decode())
    assert message.headers["webhook-signature"] == signed
    assert json.loads(message.body)["data"]["subject"] == GROUP
    eventually(lambda: metric(root, 'keyrack_signals_total{event="rotation.started"}') == 1.0)
    eventually(lambda: metric(root, 'keyrack_webhook_attempts_total{outcome="delivered"}') >= 1.0)
    sends = f'{{group="{GROUP}",outcome="accepted",tenant="default",version="2"}}'
    eventually(lambda: metric(root, f"keyrack_upstream_sends_total{sends}") == 6.0)
    rotation = eventually(lambda: _counted(root, 6))
    assert [(one["version"], one["uses"], one["accepted"]) for one in rotation["hours"]] == [(2, 6, 6)]
    assert (rotation["uses_old"], rotation["uses_new"]) == (0, 6)
    assert len(running.logged("rotation.started")) == 1
    # One that took too long to arrive is sent again under its id.
    assert len({one.headers["webhook-id"] for one in messages(receiver, "rotation.started")}) == 1
    assert KEYS[1] not in running.output
    assert KEYS[2] not in running.output


def _carried(root: httpx.Client, number: int) -> httpx.Response | None:
    answer = root.post("/api/rest/chat/v1/hook", json={"number": number})
    return None if answer.status_code == 404 else answer


def _counted(root: httpx.Client, uses: int) -> dict[str, object] | None:
    rotation = root.get(f"/v1/credits/{GROUP}/rotation").json()
    return rotation if rotation["uses_new"] == uses else None
