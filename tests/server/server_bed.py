"""What the tests of the server stand on: a store with a root key, and callers of every kind."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from keyrack import Authority, Issuer, Wish, open_stores
from keyrack.founding import found
from keyrack.testing import PEPPERS

OPERATOR = Authority.operator("init")


@dataclass(frozen=True)
class Founded:
    """A store in a file, with its root key."""

    url: str
    root: str

    @property
    def settings(self) -> dict[str, str]:
        """What a server needs in its environment to serve from it."""
        return {"KEYRACK_STORE": self.url, "KEYRACK_PEPPERS": PEPPERS}


def make_store(folder: Path, *, max_stale: float | None = None) -> Founded:
    """A new store, as `keyrack init` makes it."""
    url = f"sqlite:///{folder / 'keyrack.db'}"
    stores = open_stores(url, peppers=PEPPERS, create=True)
    try:
        found(stores, max_stale=max_stale)
        root = Issuer(stores).mint(Wish("root", scopes=["*:*"]), by=OPERATOR).secret
    finally:
        stores.close()
    return Founded(url, root or "")


class Caller:
    """Somebody with a key, who calls the API."""

    def __init__(self, client: httpx.Client):
        self.client = client

    def __call__(self, method: str, path: str, json: Any = None, **more: Any) -> httpx.Response:
        return self.client.request(method, path, json=json, **more)

    def mint(self, *scopes: str, **wish: Any) -> dict[str, Any]:
        """A new key: its record, and its text as `secret`."""
        answer = self("POST", "/v1/keys", {"name": "key", "scopes": scopes, **wish})
        assert answer.status_code == 201, answer.text
        return {**answer.json()["key"], "secret": answer.json()["secret"]}

    def verify(self, text: str, **question: Any) -> dict[str, Any]:
        """The answer to one question."""
        answer = self("POST", "/v1/verify", {"key": text, **question})
        assert answer.status_code == 200, answer.text
        decision: dict[str, Any] = answer.json()
        return decision

    def head(self) -> int:
        """The number of the last event in the log."""
        number: int = self("GET", "/readyz").json()["replica"]["event"]
        return number
