"""The life of the keys that sign sessions: random, sealed, replaced in time, published until unused.

The private part is opened by servers only. The public part stands in the record beside it, so whoever
follows the log can check sessions without a master key.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from keyrack.core.authority import Authority
from keyrack.core.events import Event, EventKind
from keyrack.core.model import DEFAULT_TENANT
from keyrack.core.scopes import EVERYTHING
from keyrack.core.sealed import SealedSecret, place
from keyrack.core.session import SIGNING_PURPOSE
from keyrack.key_changes import require_changeable
from keyrack.stores.ledger import Draft
from keyrack.stores.opened import Stores
from keyrack.vault.secrets import Vault

NAME = "signing"
RENEWED_AFTER = timedelta(days=30)
PUBLISHED_FOR = timedelta(hours=1)
"""After it was replaced: longer than a session, and than a node needs to learn of it."""
RENEWER = "service:sessions"


def current(keys: Iterable[SealedSecret]) -> SealedSecret | None:
    """The key that signs now, if there is one."""
    signing = (key for key in keys if key.ciphertext is not None)
    return max(signing, key=lambda key: key.version, default=None)


def published(keys: Iterable[SealedSecret], now: datetime) -> list[SealedSecret]:
    """The keys whose sessions may still run, the newest first."""
    standing = [key for key in keys if key.not_after is None or key.not_after > now]
    return sorted(standing, key=lambda key: key.version, reverse=True)


def is_due(key: SealedSecret | None, now: datetime) -> bool:
    """Whether it is time for a new signing key."""
    return key is None or now - key.created_at >= RENEWED_AFTER


class SigningKeys:
    """Makes and replaces the signing key of a store. Every call blocks until its commit is durable."""

    def __init__(self, stores: Stores, vault: Vault):
        self._stores = stores
        self._vault = vault

    def renew(self) -> SealedSecret:
        """A key that is not due; when another node came first, it is that node's."""

        def change(draft: Draft) -> SealedSecret:
            newest = current(_versions(draft))
            if newest is not None and not is_due(newest, self._now()):
                return newest
            return self._replace(draft, RENEWER, PUBLISHED_FOR)

        require_changeable(self._stores)
        return self._stores.ledger.commit(change)

    def rotate(self, *, by: Authority, compromised: bool = False) -> SealedSecret:
        """Sign with a new key from now on; with `compromised`, sessions under any older one end now."""
        by.refuse_session()
        by.require(EVERYTHING)
        require_changeable(self._stores)
        grace = timedelta(0) if compromised else PUBLISHED_FOR
        return self._stores.ledger.commit(
            lambda draft: self._replace(draft, by.name, grace), urgent=compromised
        )

    def sign(self, said: Mapping[str, Any], key: SealedSecret) -> str:
        """The token that makes these claims; the private part is open while it is signed, and no longer."""
        private = self._vault.opened(key)
        from keyrack.sessions.signing import sign

        return sign(said, private, key.facts["kid"])

    def _replace(self, draft: Draft, actor: str, grace: timedelta) -> SealedSecret:
        master_key = self._vault.master_keys.first.id
        known = list(_versions(draft))
        for key in known:
            self._retire(draft, key, actor, grace)
        made = self._made(len(known) + 1)
        facts = {"kid": made.facts["kid"], "master_key": master_key}
        return draft.write_secret(made, Event(EventKind.SECRET_SEALED, self._now(), actor, data=facts))

    def _retire(self, draft: Draft, key: SealedSecret, actor: str, grace: timedelta) -> None:
        """Date a key, never later than it was, and erase its private part: nobody signs with it again."""
        ends_at = min(filter(None, (key.not_after, self._now() + grace)))
        if key.ciphertext is None and key.not_after == ends_at:
            return
        retired = replace(key, ciphertext=None, not_after=ends_at)
        facts = {"kid": key.facts["kid"], "grace_seconds": int(grace.total_seconds())}
        draft.write_secret(retired, Event(EventKind.SECRET_RETIRED, self._now(), actor, data=facts))

    def _made(self, version: int) -> SealedSecret:
        from keyrack.sessions.signing import generate, thumbprint

        pair = generate()
        facts = {"kid": thumbprint(pair.x), "x": pair.x}
        empty = SealedSecret(SIGNING_PURPOSE, DEFAULT_TENANT, NAME, version, self._now(), facts=facts)
        return self._vault.sealed(empty, pair.private)

    def _now(self) -> datetime:
        return datetime.fromtimestamp(int(self._stores.clock()), UTC)


def _versions(draft: Draft) -> Iterator[SealedSecret]:
    """Every signing key that the store has had, by version."""
    version = 1
    while key := draft.secret(place(SIGNING_PURPOSE, DEFAULT_TENANT, NAME, version)):
        yield key
        version += 1
