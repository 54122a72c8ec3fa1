"""How the body of a request comes in: declared first, then bounded while it is read and unpacked."""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator, Iterator
from typing import Any

from starlette.requests import Request

from examples.log_lake.problems import InvalidRequest, PayloadTooLarge, UnsupportedMediaType

JSON = "application/json"
_GZIP = 16 + zlib.MAX_WBITS
_PIECE = 256 * 1024


async def read_body(request: Request, *, most: int) -> bytes:
    """The bytes of a JSON body, unpacked, never more than `most`; what is beyond is not read.

    Raises UnsupportedMediaType, PayloadTooLarge or InvalidRequest.
    """
    _check_declared(request)
    body = bytearray()
    async for piece in _unpacked(request):
        body += piece
        if len(body) > most:
            raise PayloadTooLarge(f"A body has at most {most} bytes.", max_bytes=most)
    return bytes(body)


def object_of(value: Any) -> dict[str, Any]:
    """A JSON value that has to be an object. Raises InvalidRequest."""
    if not isinstance(value, dict):
        raise InvalidRequest("The body is not a JSON object.")
    return value


def _check_declared(request: Request) -> None:
    declared = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if declared != JSON:
        raise UnsupportedMediaType("Send the body as application/json.")
    if request.headers.get("content-encoding", "identity").strip().lower() not in ("identity", "gzip"):
        raise UnsupportedMediaType("Send the body plain or with Content-Encoding: gzip.")


async def _unpacked(request: Request) -> AsyncIterator[bytes]:
    if request.headers.get("content-encoding", "identity").strip().lower() == "identity":
        async for chunk in request.stream():
            yield chunk
        return
    gzip = _Gzip()
    async for chunk in request.stream():
        for piece in gzip.unpack(chunk):
            yield piece
    gzip.check_end()


class _Gzip:
    """Unpacks gzip (RFC 1952), members one behind the other, in bounded pieces: a bomb is never whole."""

    def __init__(self) -> None:
        self._member = zlib.decompressobj(_GZIP)

    def unpack(self, data: bytes) -> Iterator[bytes]:
        """The next pieces. Raises InvalidRequest."""
        while data:
            if self._member.eof:
                self._member = zlib.decompressobj(_GZIP)
            yield self._piece(data)
            data = self._member.unused_data if self._member.eof else self._member.unconsumed_tail

    def check_end(self) -> None:
        """Raises InvalidRequest when the last member is cut off."""
        if not self._member.eof:
            raise InvalidRequest("The body is no complete gzip.")

    def _piece(self, data: bytes) -> bytes:
        try:
            return self._member.decompress(data, _PIECE)
        except zlib.error:
            raise InvalidRequest("The body is not gzip.") from None
