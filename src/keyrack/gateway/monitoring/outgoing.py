"""The HTTP client for everything that leaves the gateway: it sends what it is told and adds nothing.

Nothing is followed, decoded, remembered or taken from the environment. Connections are kept apart by whose
they are, since those of the default tenant may reach what others may not.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Sequence

import aiohttp
from aiohttp import ClientRequest, ClientTimeout
from aiohttp.abc import AbstractCookieJar
from aiohttp.connector import AddrInfoType, Connection
from aiohttp.tracing import Trace

from keyrack.core.model import DEFAULT_TENANT, Network
from keyrack.gateway.monitoring.addresses import may_be_reached

CONNECT_SECONDS = 10.0
IDLE_SECONDS = 4.0
"""How long a connection waits for another request: less than the 5 seconds after which many servers close."""
MAX_HEAD_BYTES = 32 * 1024
_OWN = ("User-Agent", "Accept", "Accept-Encoding", "Content-Type")
"""Headers that the client would add by itself."""


class Outgoing:
    """The client of one process, to be used from its event loop.

    `networks` are those that every tenant may reach; `silent_seconds` is how long a server may say nothing.
    """

    def __init__(self, networks: Sequence[Network] = (), *, silent_seconds: float = 60.0):
        self._networks = tuple(networks)
        self._timeout = ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=silent_seconds)
        self._sessions: dict[bool, aiohttp.ClientSession] = {}

    def session(self, tenant: str) -> aiohttp.ClientSession:
        """The connections that serve a tenant."""
        is_judged = tenant != DEFAULT_TENANT
        session = self._sessions.get(is_judged)
        if session is None:
            session = self._sessions[is_judged] = self._open(is_judged=is_judged)
        return session

    async def close(self) -> None:
        """Close every connection."""
        for session in self._sessions.values():
            await session.close()
        self._sessions.clear()

    def _open(self, *, is_judged: bool) -> aiohttp.ClientSession:
        connector = _Connector(
            limit=0,
            keepalive_timeout=IDLE_SECONDS,
            resolver=aiohttp.ThreadedResolver(),
            socket_factory=self._judged if is_judged else None,
        )
        jar: AbstractCookieJar = aiohttp.DummyCookieJar()
        return aiohttp.ClientSession(
            connector=connector,
            cookie_jar=jar,
            timeout=self._timeout,
            auto_decompress=False,
            trust_env=False,
            skip_auto_headers=_OWN,
            max_line_size=MAX_HEAD_BYTES,
            max_field_size=MAX_HEAD_BYTES,
        )

    def _judged(self, address: AddrInfoType) -> socket.socket:
        """A socket for this very address. Raises OSError for one that tenants may not reach."""
        family, kind, protocol, _, place = address
        if not may_be_reached(str(place[0]), self._networks):
            raise OSError(errno.EACCES, "an address that APIs of tenants may not reach")
        return socket.socket(family, kind, protocol)


class _Connector(aiohttp.TCPConnector):
    """Never hands out a connection on which something came while nobody had asked.

    That would be taken for the answer to the next request, which may be somebody else's.
    """

    async def connect(self, req: ClientRequest, traces: list[Trace], timeout: ClientTimeout) -> Connection:
        connection = await super().connect(req, traces, timeout)
        while connection.protocol is not None and connection.protocol.should_close:
            connection.close()
            connection = await super().connect(req, traces, timeout)
        return connection
