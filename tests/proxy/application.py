"""The plain application behind nginx: it knows nothing of keys and remembers what reached it."""

from __future__ import annotations

import hashlib
import http.client
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Seen:
    """One request as it arrived, nothing decoded."""

    def __init__(self, line: bytes, headers: list[tuple[str, str]]):
        self.method, self.target, _ = line.decode("latin-1").split(" ", 2)
        self.headers = headers
        self.received = 0
        """Bytes of the body so far."""
        self.digest = hashlib.sha256()

    def values(self, name: str) -> list[str]:
        """The values of every header of this name, in any case."""
        return [value for key, value in self.headers if key.lower() == name.lower()]


class Application:
    """Answers 200 `served`, or the status and headers that `answer` is set to."""

    def __init__(self, port: int):
        self.port = port
        self.seen: list[Seen] = []
        self.status = 200
        self.headers: list[tuple[str, str]] = []

    @property
    def last(self) -> Seen:
        return self.seen[-1]

    def forget(self) -> None:
        """Answer as at first, and remember nothing."""
        self.seen.clear()
        self.status, self.headers = 200, []


@contextmanager
def application() -> Iterator[Application]:
    """An application on a port of its own; it has ended when this is left."""
    server = _Server(("127.0.0.1", 0), _Handler)
    server.application = Application(server.server_port)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield server.application
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Server(ThreadingHTTPServer):
    application: Application
    daemon_threads = True
    block_on_close = False
    request_queue_size = 256

    def handle_error(self, request: Any, client_address: Any) -> None:
        # nginx hangs up when an answer is too long for it.
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def _serve(self) -> None:
        application = self.server.application
        seen = Seen(self.raw_requestline, list(self.headers.items()))
        application.seen.append(seen)
        self._read_body(seen)
        body = b"" if self.command == "HEAD" else b"served"
        self.send_response(application.status)
        for name, value in application.headers:
            self.send_header(name, value)
        self.send_header("Content-Length", "6")
        self.end_headers()
        self.wfile.write(body)

    def __getattr__(self, name: str) -> Any:
        # The server looks for a method `do_GET` and so on; here all methods are alike.
        if name.startswith("do_"):
            return self._serve
        raise AttributeError(name)

    def _read_body(self, seen: Seen) -> None:
        if self.headers.get("Transfer-Encoding") == "chunked":
            while size := int(self.rfile.readline(), 16):
                self._take(seen, size)
                self.rfile.readline()
            seen.headers += http.client.parse_headers(self.rfile).items()
        else:
            self._take(seen, int(self.headers.get("Content-Length") or 0))

    def _take(self, seen: Seen, size: int) -> None:
        while size:
            part = self.rfile.read1(min(size, 65536))
            if not part:
                return
            size -= len(part)
            seen.received += len(part)
            seen.digest.update(part)

    def log_message(self, *_: Any) -> None:
        """Nothing is said."""
