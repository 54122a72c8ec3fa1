"""Stores that were written under one pepper and are opened with another in front of it."""

from __future__ import annotations

from dataclasses import replace

from keyrack import Authority, Issuer, Wish
from keyrack.core.peppers import Peppers
from keyrack.stores.opened import Stores
from keyrack.stores.protocols import Listing, Record

ADA = Authority.operator("ada")
OLD = "p1:aB3dE5gH7jK9mN1pQ3rS5tU7vW9xY1zA"
NEW = "p2:zY9xW7vU5tS3rQ1pN9mK7jH5gE3dB1aZ"


def reopened(stores: Stores, peppers: str) -> Stores:
    """The same store as a process with other peppers opens it."""
    return replace(stores, peppers=Peppers.parse(peppers))


def mint(stores: Stores, name: str) -> str:
    return Issuer(stores).mint(Wish(name, scopes=["jobs:read"]), by=ADA).secret or ""


def keys_in(stores: Stores) -> list[Record]:
    return list(stores.keys.records(Listing(most=100)))
