"""How both clients reach a log lake. The key comes from the environment or a file, never from an argument:
arguments are read by everybody on a machine, and kept in histories.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.client import HTTPResponse
from pathlib import Path

KEY_VARIABLE = "LAKE_KEY"
ATTEMPTS = 5
PASSING = (429, 503)
"""What may be different in a moment; the answer says when."""
TIMEOUT_SECONDS = 330.0


class Failed(Exception):
    """The lake refused, or cannot be reached."""


@dataclass(frozen=True, slots=True)
class Connection:
    """A log lake, and the key for it."""

    host: str
    key: str = field(repr=False)
    tenant: str | None = None

    def post(self, path: str, body: bytes, headers: Mapping[str, str]) -> HTTPResponse:
        """Send a body; an answer that says so is waited for. Raises Failed."""
        for left in reversed(range(ATTEMPTS)):
            try:
                return self._post(path, body, headers)
            except urllib.error.HTTPError as error:
                if error.code not in PASSING or not left:
                    raise Failed(f"{error.code}: {error.read().decode(errors='replace')}") from None
                time.sleep(float(error.headers.get("Retry-After", "1")))
            except urllib.error.URLError as error:
                raise Failed(f"{self.host} cannot be reached: {error.reason}") from None
        raise Failed("no attempt is left")

    def _post(self, path: str, body: bytes, headers: Mapping[str, str]) -> HTTPResponse:
        own = {"X-API-Key": self.key, "Content-Type": "application/json"}
        if self.tenant is not None:
            own["X-P-Tenant"] = self.tenant
        request = urllib.request.Request(f"{self.host}{path}", body, {**own, **headers})  # noqa: S310  # commands take http and https alone
        answer: HTTPResponse = urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS)  # noqa: S310  # commands take http and https alone
        return answer


def parser(description: str) -> argparse.ArgumentParser:
    """The arguments that both clients take."""
    arguments = argparse.ArgumentParser(description=description)
    arguments.add_argument("--host", default="http://127.0.0.1:8080", help="where the log lake is")
    arguments.add_argument("--stream", required=True)
    arguments.add_argument("--tenant", help="the key's tenant; another is refused")
    arguments.add_argument(
        "--key-file", type=Path, help=f"the key's file; default: the variable {KEY_VARIABLE}"
    )
    return arguments


def connect(options: argparse.Namespace) -> Connection:
    """The connection that the arguments describe. Raises Failed without a key."""
    if options.key_file is not None:
        key = options.key_file.read_text(encoding="ascii").strip()
    else:
        key = os.environ.get(KEY_VARIABLE, "")
    if not key:
        raise Failed(f"no key: set {KEY_VARIABLE}, or name a file with --key-file")
    if not options.host.startswith(("http://", "https://")):
        raise Failed("--host is a URL, http:// or https://")
    return Connection(options.host.rstrip("/"), key, options.tenant)


def leave(error: Failed) -> None:
    """End with one line."""
    sys.stderr.write(f"{error}\n")
    sys.exit(1)
