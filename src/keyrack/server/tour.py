"""The first start on a fresh store: mint a key, verify it over HTTP, and say what to try next."""

from __future__ import annotations

import http.client
import json
import sys
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from keyrack.settings import Settings
from keyrack.stores.urls import public_url

START_SECONDS = 60.0
_WAIT = threading.Event()


def when_up(settings: Settings, then: Callable[[], None]) -> None:
    """Call `then` in a thread once the server answers."""
    threading.Thread(target=_wait_then, args=(settings, then), name="keyrack-tour", daemon=True).start()


def say_address(settings: Settings) -> None:
    """Where the server and its documentation are."""
    base = f"http://{settings.host}:{settings.port}"
    _say(f"Keyrack serves {public_url(settings.store)} at {base}, documentation at {base}/docs")


def take_tour(settings: Settings, root_key: str) -> None:
    """Mint and verify a demo key over HTTP, and print both with three commands to try."""
    wish = {"name": "demo", "scopes": ["logs:read"]}
    minted = _post(settings, "/v1/keys", root_key, wish)
    question = {"key": minted["secret"], "scopes": ["logs:read"]}
    decision = _post(settings, "/v1/verify", root_key, question)
    for line in _lines(settings, root_key, minted, decision):
        _say(line)


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201  # for the person at the terminal, beside the log


def _lines(
    settings: Settings, root_key: str, minted: Mapping[str, Any], decision: Mapping[str, Any]
) -> list[str]:
    base = f"http://{settings.host}:{settings.port}"
    key_id = minted["key"]["id"]
    bold, plain = ("\x1b[1m", "\x1b[0m") if sys.stdout.isatty() else ("", "")
    send = "curl -s -H \"Authorization: Bearer $KEYRACK_KEY\" -H 'content-type: application/json'"
    return [
        "",
        f"{bold}Root key, shown this once:{plain} {root_key}",
        f"{bold}A demo key:{plain}                {minted['secret']}",
        f"{bold}Verified over HTTP:{plain}        {json.dumps(decision)}",
        "",
        f"Documentation: {base}/docs",
        "Three things to try:",
        f"  export KEYRACK_KEY={root_key}",
        f"  {send} {base}/v1/verify -d '{json.dumps({'key': minted['secret'], 'scopes': ['logs:read']})}'",
        f"  {send} {base}/v1/keys/{key_id}/rotation -d '{{\"grace_seconds\": 3600}}'",
        f'  {send} {base}/v1/keys/{key_id}/revoke -d \'{{"reason": "trying it out", "wait": true}}\'',
        "",
    ]


def _wait_then(settings: Settings, then: Callable[[], None]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if _is_up(settings):
            then()
            return
        _WAIT.wait(0.05)


def _is_up(settings: Settings) -> bool:
    try:
        return _request(settings, "GET", "/livez", {}, None)[0] == 200
    except OSError:
        return False


def _post(settings: Settings, path: str, key: str, value: Mapping[str, Any]) -> dict[str, Any]:
    headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
    _, body = _request(settings, "POST", path, headers, json.dumps(value))
    answer: dict[str, Any] = json.loads(body)
    return answer


def _request(
    settings: Settings, method: str, path: str, headers: Mapping[str, str], body: str | None
) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(settings.host, settings.port, timeout=5)
    try:
        connection.request(method, path, body=body, headers=dict(headers))
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()
