"""A real S3 server over HTTP, from moto: in memory, on a port of its own, with a bucket for each test.

A test that asks for the fixture `s3_url` shares the server with all others of its process, and gets the
URL of an empty bucket; the environment says where it is. Child processes find it there as well.
"""

from __future__ import annotations

import http.client
import logging
import secrets
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from threading import Lock, Thread
from typing import Any

import pytest
from moto.moto_server.werkzeug_app import (
    DomainDispatcherApplication,
    MotoRequestHandler,
    create_backend_app,
)
from werkzeug.serving import make_server

from keyrack.stores.objects import bucket, keys

HOST = "127.0.0.1"
PATIENCE_SECONDS = 60.0
"""How long a loaded machine may take for what is done in milliseconds."""
_SIGNED = (
    "AWS4-HMAC-SHA256 Credential=tests/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0"
)


class S3Server:
    """A server that keeps what it is given until it is stopped."""

    def __init__(self) -> None:
        moto = _in_turn(DomainDispatcherApplication(create_backend_app))
        self._server = make_server(HOST, 0, moto, threaded=True, request_handler=MotoRequestHandler)
        self.port = self._server.server_port
        self._thread = Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    @property
    def environment(self) -> dict[str, str]:
        """What tells the libraries that speak S3 where it is."""
        return {
            "AWS_ENDPOINT_URL": f"http://{HOST}:{self.port}",
            "AWS_ALLOW_HTTP": "true",
            "AWS_ACCESS_KEY_ID": "tests",
            "AWS_SECRET_ACCESS_KEY": "tests",
            "AWS_REGION": "us-east-1",
        }

    def make_bucket(self) -> str:
        """A new, empty bucket; its name."""
        name = f"keyrack-{secrets.token_hex(6)}"
        connection = http.client.HTTPConnection(HOST, self.port)
        connection.request("PUT", f"/{name}", headers={"Authorization": _SIGNED})
        answer = connection.getresponse()
        answer.read()
        connection.close()
        assert answer.status == 200
        return name

    def stop(self) -> None:
        """End it, with all that is in it."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def _in_turn(app: Callable[..., Iterable[bytes]]) -> Callable[..., Iterable[bytes]]:
    """Requests one after the other: moto looks whether an object is there before it writes it, S3 does both
    at once."""
    turn = Lock()

    def answer(environ: dict[str, Any], respond: Any) -> Iterable[bytes]:
        with turn:
            return app(environ, respond)

    return answer


@contextmanager
def running() -> Iterator[S3Server]:
    """A server for whoever stops it in the middle; the environment is left as it is."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = S3Server()
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    """The server of this process, which the environment names as long as it runs."""
    with running() as server, pytest.MonkeyPatch.context() as environment:
        for name, value in server.environment.items():
            environment.setenv(name, value)
        yield server


@pytest.fixture
def s3_url(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of an empty place in a new bucket, which this process asks with patience."""
    monkeypatch.setattr(bucket, "REQUEST_SECONDS", PATIENCE_SECONDS)
    monkeypatch.setattr(keys, "COMMIT_SECONDS", PATIENCE_SECONDS)
    return f"s3://{s3_server.make_bucket()}/some/prefix"
