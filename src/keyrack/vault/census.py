"""What is sealed in a store: how much under which master key, and what does not open here. Never a value."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from keyrack.core.errors import Unavailable
from keyrack.core.master_keys import MasterKeys
from keyrack.core.sealed import SealedSecret
from keyrack.stores.opened import Stores
from keyrack.vault.secrets import Vault, stored


class Census(NamedTuple):
    """The sealed secrets of a store; those that were erased are not among them."""

    under: Mapping[str, int]
    """How many there are, by the id of the master key that they name."""
    closed: Sequence[str]
    """The ids of those that do not open here."""


def census(stores: Stores, master_keys: MasterKeys | None) -> Census:
    """Count what is sealed, and try to open each. Without master keys nothing opens."""
    under: Counter[str] = Counter()
    closed = []
    vault = Vault(master_keys)
    for secret in stored(stores):
        if secret.ciphertext is None:
            continue
        under[secret.ciphertext.master_key] += 1
        if not _opens(vault, secret):
            closed.append(secret.id)
    return Census(under, closed)


def _opens(vault: Vault, secret: SealedSecret) -> bool:
    try:
        vault.opened(secret)
    except Unavailable:
        return False
    return True
