"""Ports for servers that cannot be asked afterwards which one they took."""

from __future__ import annotations

import itertools
import os
import socket

HOST = "127.0.0.1"
# Below the ports that a system gives away by itself, so that no connection has one meanwhile; each process
# of one run has a range of its own, and begins somewhere in it, so that none is about to use another's.
_FIRST, _EACH = 12_000, 1_000
_worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 20
_turns = itertools.count(os.getpid())


def free_port() -> int:
    """A port of this machine that nobody uses; it was not given out before in this process."""
    ports = (_FIRST + _worker * _EACH + turn % _EACH for turn in _turns)
    return next(port for port in ports if _is_free(port))


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True
