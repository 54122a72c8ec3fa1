"""A bucket or container as a store of objects, through obstore: S3, Google Cloud Storage and Azure.

Where it is and who asks comes from the environment variables that obstore reads (`AWS_…`, `GOOGLE_…`,
`AZURE_…`).
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import from_url

from keyrack.core.errors import Unavailable
from keyrack.stores.objects.storage import Found, Listed

CONNECT_SECONDS = 1.0
REQUEST_SECONDS = 1.5
"""For one small request and its retry. A commit makes three, below a third of a max_stale of 15 seconds."""
BULK_SECONDS = 60.0
"""For a checkpoint and its pages, which may be large and which no commit waits for."""
BULK = ("checkpoint/", "page/")
RETRIES = 1
_ON = ("true", "1", "on", "yes")


class Bucket:
    """The objects below a URL. Implements Storage.

    Opened at first use: its threads do not live across a fork, so the process that uses it opens it.
    """

    def __init__(self, url: str):
        self._url = url
        self._opened: dict[float, Any] = {}
        self._process = 0

    def get(self, path: str) -> Found | None:
        with self._asking():
            try:
                found = obstore.get(self._store(path), path)
            except FileNotFoundError:
                return None
            return Found(bytes(found.bytes()), found.meta["e_tag"] or "")

    def tag(self, path: str) -> str | None:
        with self._asking():
            try:
                return obstore.head(self._store(path), path)["e_tag"] or ""
            except FileNotFoundError:
                return None

    def written_at(self, path: str) -> float | None:
        with self._asking():
            try:
                found = obstore.head(self._store(path), path)["last_modified"]
            except FileNotFoundError:
                return None
            # HTTP tells whole seconds, the fraction cut off (RFC 9110, 8.8.2).
            return found.timestamp() + 0.5

    def list(self, folder: str, *, after: str = "") -> Sequence[Listed]:
        with self._asking():
            pages = obstore.list(self._store(), folder, offset=after or None)
            found = [_listed(one) for page in pages for one in page]
        return sorted(one for one in found if one.path.count("/") == folder.count("/"))

    def put(self, path: str, data: bytes) -> str | None:
        with self._asking():
            try:
                # In one piece: one in parts would not be refused where an object is.
                done = obstore.put(self._store(path), path, data, mode="create", use_multipart=False)
            except AlreadyExistsError:
                return None
            return done["e_tag"] or ""

    def replace(self, path: str, data: bytes) -> None:
        with self._asking():
            obstore.put(self._store(path), path, data, use_multipart=False)

    def remove(self, path: str) -> None:
        with self._asking():
            try:
                obstore.delete(self._store(path), path)
            except FileNotFoundError:
                return

    def close(self) -> None:
        self._opened.clear()

    @contextmanager
    def _asking(self) -> Iterator[None]:
        """The one place where the driver's errors become ours."""
        try:
            yield
        except (BaseError, OSError, ValueError) as error:
            # Only the class: a message quotes the request with its headers.
            raise Unavailable(f"The key store failed: {type(error).__name__}.") from None

    def _store(self, path: str = "") -> Any:
        if self._process not in (0, os.getpid()):
            raise Unavailable("This process was forked; open the store after the fork.")
        self._process = os.getpid()
        seconds = BULK_SECONDS if path.startswith(BULK) else REQUEST_SECONDS
        if seconds not in self._opened:
            self._opened[seconds] = _open(self._url, seconds)
        return self._opened[seconds]


def _listed(one: Any) -> Listed:
    return Listed(one["path"], one["e_tag"] or "", one["last_modified"].timestamp())


def _open(url: str, seconds: float) -> Any:
    options: Any = {
        "timeout": timedelta(seconds=seconds),
        "connect_timeout": timedelta(seconds=CONNECT_SECONDS),
        # Options that are given here replace those of the environment, this one among them.
        "allow_http": os.environ.get("AWS_ALLOW_HTTP", "").lower() in _ON,
    }
    retries: Any = {"max_retries": RETRIES, "retry_timeout": timedelta(seconds=seconds)}
    return from_url(url, client_options=options, retry_config=retries)
