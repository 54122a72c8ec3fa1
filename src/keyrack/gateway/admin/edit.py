"""One change of credit groups inside its commit: the record, its sealed secrets, and the events of both."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from keyrack.core.authority import Authority
from keyrack.core.errors import NotFound
from keyrack.core.events import EventKind
from keyrack.core.rotation import live
from keyrack.core.sealed import SealedSecret
from keyrack.core.upstream import SEND_PURPOSE, Upstream, UpstreamVersion, upstream_id
from keyrack.gateway.admin import rotations
from keyrack.gateway.admin.auditing import audited
from keyrack.stores.ledger import Draft
from keyrack.vault.secrets import Vault


@dataclass(frozen=True, slots=True)
class Edit:
    """What one change reads and writes. A plain secret is in its hands only while a method runs."""

    draft: Draft
    vault: Vault
    by: Authority
    now: datetime

    def group(self, tenant: str, name: str) -> Upstream:
        """A group as it is at this commit. Raises NotFound (`group_not_found`).

        A rotation that ended by itself is cleaned up first, should nobody have come to it.
        """
        upstream = standing(self.draft.upstream(upstream_id(tenant, name)))
        return self.clean(upstream) if rotations.is_expired(upstream, self.now) else upstream

    def clean(self, upstream: Upstream) -> Upstream:
        """Write that a rotation is over."""
        after = rotations.cleaned(upstream, now=self.now)
        return self.write(after, EventKind.UPSTREAM_CLEANED_UP, {})

    def is_key(self, upstream: Upstream, version: UpstreamVersion, text: str) -> bool:
        """Whether this is the secret of a version. Raises Unavailable when it cannot be opened."""
        secret = self._secret(upstream, version.number)
        return secret is not None and hmac.compare_digest(self.vault.opened(secret), text.encode())

    def is_live_key(self, upstream: Upstream, text: str) -> bool:
        """Whether this is the secret of any version that is live."""
        return any(self.is_key(upstream, one, text) for one in live(upstream.versions, self.now))

    def seal(self, upstream: Upstream, version: UpstreamVersion, text: str) -> None:
        """Write the secret of a new version, bound to its place and to the origins of the group."""
        facts = {"origins": list(upstream.origins)}
        empty = SealedSecret(
            SEND_PURPOSE, upstream.tenant, upstream.name, version.number, self.now, facts=facts
        )
        self._write_sealed(empty, text.encode())

    def seal_anew(self, before: Upstream, after: Upstream, known: str | None = None) -> None:
        """Bind every secret that is kept to the origins that the group has now.

        Origins that are added later are for the secret that is `known` alone: whoever replaced a key knows
        its successor, and must not have the old one sent elsewhere by bringing it back.
        """
        for version in after.versions:
            secret = self._secret(after, version.number)
            if secret is not None:
                plain = self.vault.opened(secret)
                is_free = not before.origins or hmac.compare_digest(plain, (known or "").encode())
                bound = after.origins if is_free else secret.facts["origins"]
                kept = [origin for origin in bound if origin in after.origins]
                self._write_sealed(replace(secret, facts={"origins": kept}), plain)

    def erase(self, upstream: Upstream, *numbers: int) -> None:
        """Erase the secrets of versions, for good."""
        for number in numbers:
            secret = self._secret(upstream, number)
            if secret is not None:
                erased = replace(secret, ciphertext=None, not_after=self.now)
                event = audited(EventKind.SECRET_RETIRED, self.by, self.now, {"version": number})
                self.draft.write_secret(erased, event)

    def ended(self, upstream: Upstream) -> Upstream:
        """A group as it is once it is deleted; its secrets are erased here."""
        self.erase(upstream, *(one.number for one in upstream.versions))
        return replace(upstream, rollout=None, deleted_at=self.now)

    def erase_dropped(self, before: Upstream, after: Upstream) -> None:
        """Erase the secrets that nothing can bring back after a change."""
        kept = {one.number for one in after.versions if rotations.is_kept(one, self.now)}
        self.erase(before, *(one.number for one in before.versions if one.number not in kept))

    def write(self, upstream: Upstream, kind: EventKind, data: Mapping[str, Any]) -> Upstream:
        """Write the record, with the event that says why and what is live after it."""
        said = {
            **data,
            "versions": sorted(one.number for one in live(upstream.versions, self.now)),
            "rotation": rotations.state(upstream, self.now),
        }
        is_new = kind is EventKind.UPSTREAM_CREATED
        stamped = upstream if is_new else replace(upstream, updated_at=self.now)
        return self.draft.write_upstream(stamped, audited(kind, self.by, self.now, said))

    def _secret(self, upstream: Upstream, number: int) -> SealedSecret | None:
        """The sealed secret of a version, unless it was erased."""
        secret = self.draft.secret(upstream.secret_id(number))
        return None if secret is None or secret.ciphertext is None else secret

    def _write_sealed(self, secret: SealedSecret, plain: bytes) -> None:
        sealed = self.vault.sealed(secret, plain)
        facts = {"version": secret.version, "master_key": self.vault.master_keys.first.id}
        self.draft.write_secret(sealed, audited(EventKind.SECRET_SEALED, self.by, self.now, facts))


def standing(upstream: Upstream | None) -> Upstream:
    """A group that was not deleted. Raises NotFound (`group_not_found`)."""
    if upstream is None or upstream.deleted_at is not None:
        raise NotFound("There is no credit group of this name.", code="group_not_found")
    return upstream
