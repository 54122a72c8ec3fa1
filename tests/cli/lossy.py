"""A server behind a line that breaks: what is asked arrives, the first answer does not."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import httpx


@contextmanager
def losing_the_first_answer(url: str) -> Iterator[str]:
    """The URL at which this server is behind such a line."""
    arrived: list[str] = []

    class Line(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            length = int(self.headers.get("content-length", 0))
            headers = {name: self.headers[name] for name in self.headers if name.lower() != "host"}
            content = self.rfile.read(length)
            answer = httpx.request(self.command, url + self.path, headers=headers, content=content)
            arrived.append(self.path)
            if len(arrived) == 1:
                self.close_connection = True
                return
            self.send_response(answer.status_code)
            self.send_header("content-type", answer.headers.get("content-type", ""))
            self.send_header("content-length", str(len(answer.content)))
            self.end_headers()
            self.wfile.write(answer.content)

        do_POST = do_GET  # noqa: N815 - the name in the base

        def log_message(self, *args: object) -> None:
            """Says nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Line) as line:
        thread = Thread(target=line.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{line.server_port}"
        finally:
            line.shutdown()
            thread.join()
