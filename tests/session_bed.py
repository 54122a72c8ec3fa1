"""Master keys that everybody knows, and an engine on which keys are exchanged for sessions."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass
from hashlib import sha256
from ipaddress import ip_address
from typing import Any

from engine_bed import Bed

from keyrack import Access, Allowed
from keyrack.core.master_keys import MasterKeys
from keyrack.core.model import Key
from keyrack.sessions.exchange import Exchanged, Sessions, SessionWish
from keyrack.sessions.keys import SigningKeys
from keyrack.vault.secrets import Vault


def master_key(key_id: str, seed: str = "") -> str:
    """A master key of that id as the setting holds it; another seed gives another key."""
    return f"{key_id}:{b64encode(sha256(f'{key_id} {seed}'.encode()).digest()).decode()}"


M1, M2 = master_key("m1"), master_key("m2")
ONE = MasterKeys.parse(M1)
BOTH = MasterKeys.parse(f"{M2},{M1}")
"""The second key in front of the first, as they stand while it takes over."""
HERE, THERE = ip_address("192.0.2.7"), ip_address("198.51.100.7")
READS = Access(("logs:read",))


@dataclass
class Desk:
    """An engine, and the one place where its keys are exchanged, by callers from HERE."""

    bed: Bed
    sessions: Sessions

    def exchange(self, text: str, **wish: Any) -> str:
        """The token of a new session for whoever has this text."""
        return self.whole(text, **wish).token

    def whole(self, text: str, **wish: Any) -> Exchanged:
        """The same, with what is told beside it."""
        allowed = self.bed.verifier.verify(text, Access(address=HERE))
        assert isinstance(allowed, Allowed)
        return self.sessions.exchange(allowed, SessionWish(**wish))

    def holder(self, *scopes: str, **wish: Any) -> tuple[Key, str, str]:
        """A new key, its text, and a session token for all of it."""
        minted, text = self.bed.mint(*scopes, **wish)
        return minted.key, text, self.exchange(text)

    def signing(self) -> SigningKeys:
        """Who makes and replaces the keys that sign."""
        return SigningKeys(self.bed.stores, Vault(ONE))


def desk_on(bed: Bed) -> Desk:
    """A desk on this engine, with one master key."""
    return Desk(bed, Sessions(bed.verifier, ONE))


def parts(token: str) -> list[str]:
    """Header, claims and signature."""
    return token.split(".")
