"""The sealed secrets of a store: sealed before they are written, opened for as long as they are used.

Plain texts are handed through and never kept. Whatever does not open is our own trouble (503). The cipher
is imported where it is used: whoever has no master key needs no library for one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from keyrack.core.errors import ConfigurationError, Unsealable
from keyrack.core.master_keys import SETTING, MasterKeys
from keyrack.core.sealed import Ciphertext, SealedSecret
from keyrack.stores.opened import Stores
from keyrack.stores.protocols import Kind, Listing
from keyrack.stores.sealing import open_secret

PAGE = 100


class Unconfigured(Unsealable):
    """Nothing reversible can be kept or opened: this process was given no master keys."""

    def __init__(self) -> None:
        super().__init__(f"{SETTING} is not set here.", reason="unconfigured")
        self.details["reason"] = self.reason


class Vault:
    """Seals and opens with the master keys of this process; None when it was given none.

    Raises ConfigurationError when there are some and the library is not installed.
    """

    def __init__(self, master_keys: MasterKeys | None):
        if master_keys is not None:
            _require_library()
        self._master_keys = master_keys

    @property
    def master_keys(self) -> MasterKeys:
        """The master keys, and with them what seals. Raises Unconfigured."""
        if self._master_keys is None:
            raise Unconfigured()
        return self._master_keys

    def sealed(self, secret: SealedSecret, plain: bytes) -> SealedSecret:
        """This secret with its text sealed under the first master key. Raises Unconfigured."""
        first = self.master_keys.first
        from keyrack.vault.cipher import seal

        return replace(secret, ciphertext=seal(plain, first, secret.context))

    def opened(self, secret: SealedSecret) -> bytes:
        """The plain bytes of a secret. Raises Unsealable: Unconfigured, or because they do not open."""
        master_keys, plain = self.master_keys, None
        from keyrack.vault.cipher import unseal

        if secret.ciphertext is not None:
            plain = unseal(secret.ciphertext, master_keys, secret.context)
        if plain is None:
            raise Unsealable(f"The sealed secret {secret.id} cannot be opened here.")
        return plain


def stored(stores: Stores) -> Iterator[SealedSecret]:
    """Every sealed secret of a store, in the order in which they were made."""
    after = 0
    while page := stores.keys.records(Listing(Kind.SECRET, after=after, most=PAGE)):
        yield from (open_secret(record, stores.peppers) for record in page)
        after = page[-1].serial


def require_openable(stores: Stores, master_keys: MasterKeys | None) -> None:
    """Refuse to start with a store that holds what these master keys do not open.

    Raises ConfigurationError, which names the setting and the key's id.
    """
    if master_keys is not None:
        _require_library()
    for secret in stored(stores):
        if secret.ciphertext is not None:
            _require_key(secret.ciphertext, master_keys)


def _require_key(ciphertext: Ciphertext, master_keys: MasterKeys | None) -> None:
    key_id = ciphertext.master_key
    given = None if master_keys is None else master_keys.get(key_id)
    if given is None:
        raise ConfigurationError(SETTING, f"lacks the master key {key_id!r}, which the store needs.")
    if given.check != ciphertext.check:
        raise ConfigurationError(
            SETTING, f"the master key {key_id!r} is not the one this store's secrets are sealed under."
        )


def _require_library() -> None:
    try:
        import keyrack.vault.cipher  # noqa: F401  # whether it is there is all that is asked
    except ModuleNotFoundError:
        raise ConfigurationError(SETTING, "needs `pip install 'keyrack[sessions]'`.") from None
