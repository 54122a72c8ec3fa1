"""All that the example runs: the provider, and Keyrack before it."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from examples.ai_gateway import processes
from keyrack import Authority, Listing, Verifier, Wish


@dataclass(frozen=True, slots=True)
class House:
    """Where things are, and who may manage them."""

    keyrack: str
    provider: str
    provider_key: str = field(repr=False)
    console_key: str = field(repr=False)
    root_key: str | None = field(repr=False)
    """Of a store that was made just now; it is never known again."""

    @property
    def gateway(self) -> str:
        """Where callers find the provider's API."""
        return f"{self.keyrack}/api/rest/chat/v1"


@contextmanager
def opened(settings: Mapping[str, str], log: Path, *, port: int | None = None) -> Iterator[House]:
    """The house of these settings, all of REQUIRED; Keyrack on that port and the provider on the next one,
    or both on free ones."""
    root_key = founded(settings)
    ports = (processes.free_port(), processes.free_port()) if port is None else (port, port + 1)
    key, console_key = settings["MODEL_KEY"], settings["MODEL_CONSOLE_KEY"]
    with (
        processes.provider(
            ports[1], {"MODEL_KEYS": key, "MODEL_CONSOLE_KEY": console_key}, log=log
        ) as provider,
        processes.keyrack(ports[0], settings, log=log) as keyrack,
    ):
        yield House(keyrack, provider, key, console_key, root_key)


def founded(settings: Mapping[str, str]) -> str | None:
    """Make the store, and give its root key; None where there are keys in it already."""
    operator = Authority.operator("ai_gateway")
    store, peppers = settings["KEYRACK_STORE"], settings["KEYRACK_PEPPERS"]
    with Verifier.open(store, peppers=peppers, create=True) as verifier:
        issuer = verifier.issuer()
        found, _ = issuer.find(Listing(most=1), by=operator)
        return None if found else issuer.mint(Wish("root", scopes=["*:*"]), by=operator).secret


def provider_key() -> str:
    """A key as the provider makes them."""
    return f"sk-{secrets.token_hex(24)}"


def _pepper() -> str:
    return f"p1:{secrets.token_urlsafe(32)}"


def _master_key() -> str:
    return f"m1:{base64.b64encode(secrets.token_bytes(32)).decode()}"


SECRETS: Mapping[str, Callable[[], str]] = {
    "KEYRACK_PEPPERS": _pepper,
    "KEYRACK_MASTER_KEYS": _master_key,
    "MODEL_KEY": provider_key,
    "MODEL_CONSOLE_KEY": lambda: secrets.token_urlsafe(24),
}
"""What is secret here, and how each is made."""
REQUIRED = ("KEYRACK_STORE", *SECRETS)


def fresh(folder: Path) -> dict[str, str]:
    """Settings for a house in a folder that is empty."""
    made = {name: make() for name, make in SECRETS.items()}
    return {"KEYRACK_STORE": f"sqlite:///{folder / 'keyrack.db'}", **made}
