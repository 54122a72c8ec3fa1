"""Opens the ports of the server, before anything else is started."""

from __future__ import annotations

import errno
import os
import socket
import time

from keyrack.core.errors import ConfigurationError
from keyrack.settings import Listener

BACKLOG = 2048
BIND_SECONDS = 5.0
"""How long to wait for a port that a process which was just killed still holds."""
RETRY_SECONDS = 0.1
"""How long to wait between two tries."""


def listen(setting: str, listener: Listener) -> socket.socket:
    """A socket that accepts connections, for workers to inherit. Raises ConfigurationError.

    Connections that come before a worker is ready wait in its queue.
    """
    deadline = time.monotonic() + BIND_SECONDS
    while True:
        try:
            return _listening(listener)
        except OSError as error:
            if error.errno != errno.EADDRINUSE or time.monotonic() >= deadline:
                raise ConfigurationError(setting, f"cannot be listened on: {_reason(error)}.") from None
        time.sleep(RETRY_SECONDS)


def bound(opened: socket.socket) -> Listener:
    """Where a socket listens: the port that the system chose if it was asked for port 0."""
    host, port = opened.getsockname()[:2]
    return Listener(host, port)


def written(listener: Listener) -> str:
    """`host:port`, an IPv6 host in brackets."""
    host = f"[{listener.host}]" if ":" in listener.host else listener.host
    return f"{host}:{listener.port}"


def _listening(listener: Listener) -> socket.socket:
    family = socket.AF_INET6 if ":" in listener.host else socket.AF_INET
    opened = socket.socket(family, socket.SOCK_STREAM)
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.bind(listener)
        # Not only bound: until somebody listens, a second server could bind the same port.
        opened.listen(BACKLOG)
        opened.set_inheritable(True)
    except BaseException:
        opened.close()
        raise
    return opened


def _reason(error: OSError) -> str:
    return os.strerror(error.errno) if error.errno and error.errno > 0 else "no such host"
