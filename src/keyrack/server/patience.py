"""An end to the time that a connection may take: for headers, for a body, for reading an answer, and between
two requests."""

from __future__ import annotations

import asyncio

from keyrack.core.errors import KeyrackError
from keyrack.server.protocol import BoundedProtocol

HEAD_SECONDS = 30.0
"""From the start of a connection, or of a request, until its headers have ended."""
SILENT_SECONDS = 60.0
"""How long a body may pause while somebody waits for it, and a client that is being answered."""


class RequestTimeout(KeyrackError):
    """A request whose headers or whose body did not come."""

    status, code, title = 408, "request_timeout", "Request timeout"

    def __init__(self) -> None:
        super().__init__("The rest of this request did not come in time. Send it again, whole.")


class PatientProtocol(BoundedProtocol):
    """One connection."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        self._is_unfinished = True
        self._began_at = self.loop.time()
        self._heard_at: float | None = None
        self._patience: asyncio.TimerHandle | None = None
        self._reader: asyncio.TimerHandle | None = None
        super().connection_made(transport)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        self._is_unfinished = False
        self._watch()
        self._forget_reader()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        self._is_unfinished = True
        self._began_at = self.loop.time()
        super().on_message_begin()

    def end_message(self) -> None:
        self._is_unfinished = False
        super().end_message()

    def data_received(self, data: bytes) -> None:
        self._heard_at = self.loop.time()
        super().data_received(data)
        if self.transport.is_closing():
            return
        self._watch()
        if self.is_idle() and not self._is_unfinished:
            self._await_next()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self._is_unfinished:  # what has begun to come is waited for otherwise
            self._unset_keepalive_if_required()

    def refuse(self, error: KeyrackError) -> None:
        super().refuse(error)
        # Whoever does not read what was sent keeps a closed connection open.
        self.loop.call_later(SILENT_SECONDS, self.transport.abort)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._await_reader()

    def resume_writing(self) -> None:
        self._forget_reader()
        super().resume_writing()

    def _await_next(self) -> None:
        """Whoever asks nothing more for a while is hung up on, as Uvicorn does after its own answers."""
        self._unset_keepalive_if_required()
        self.timeout_keep_alive_task = self.loop.call_later(
            self.timeout_keep_alive, self.timeout_keep_alive_handler
        )

    def _watch(self) -> None:
        """Give a request that is not whole its time, and no other."""
        if self._is_unfinished and self._patience is None:
            self._patience = self.loop.call_later(HEAD_SECONDS, self._lose_patience)
        elif not self._is_unfinished and self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _lose_patience(self) -> None:
        self._patience = None
        left = self._patience_left()
        if left > 0:
            self._patience = self.loop.call_later(left, self._lose_patience)
        elif self._heard_at is None:
            self.transport.close()
        else:
            self.refuse(RequestTimeout())

    def _patience_left(self) -> float:
        if self.flow.read_paused or (self._is_in_head and not self.is_idle()):
            return SILENT_SECONDS  # it is we who do not read, or who have not answered what came before
        if self._is_in_head or self._heard_at is None:
            return self._began_at + HEAD_SECONDS - self.loop.time()
        return self._heard_at + SILENT_SECONDS - self.loop.time()

    def _await_reader(self) -> None:
        unread = self.transport.get_write_buffer_size()
        self._reader = self.loop.call_later(SILENT_SECONDS, self._lose_reader, unread)

    def _lose_reader(self, unread_before: int) -> None:
        if self.transport.get_write_buffer_size() < unread_before:
            self._await_reader()
        else:
            self.transport.abort()

    def _forget_reader(self) -> None:
        if self._reader is not None:
            self._reader.cancel()
            self._reader = None
