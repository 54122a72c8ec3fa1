"""Keys of upstreams that are one user's own: sealed and erased, inside a commit."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import NamedTuple

from keyrack.core.authority import Authority
from keyrack.core.errors import Conflict
from keyrack.core.events import EventKind
from keyrack.core.sealed import SealedSecret, place
from keyrack.core.upstream import USER_PURPOSE, Upstream
from keyrack.gateway.admin.auditing import audited
from keyrack.stores.ledger import Draft
from keyrack.vault.secrets import Vault

UNBOUND = "Say with api_key_origins where the keys of this group may be sent, or make its first API."


class UserKeys(NamedTuple):
    """The own keys of users, as one change reads and writes them."""

    draft: Draft
    vault: Vault
    by: Authority
    now: datetime

    def seal(self, upstream: Upstream, owner: str, text: str) -> int:
        """Write a user's own key, bound to the group, the user and the origins; returns its number.

        Raises Unavailable (reason `unconfigured`) without master keys, and Conflict (`group_unbound`)
        while nothing says where the keys of the group may go: the next API would decide it.
        """
        if not upstream.origins:
            raise Conflict(UNBOUND, code="group_unbound")
        # Of the event that writes it: no number is given twice, whatever became of the keys before.
        number = self.draft.head.number + 1
        name = upstream.user_secret_name(owner)
        bound = {"group": upstream.name, "user": owner, "origins": list(upstream.origins)}
        empty = SealedSecret(USER_PURPOSE, upstream.tenant, name, number, self.now, facts=bound)
        facts = {"group": upstream.name, "user": owner, "master_key": self.vault.master_keys.first.id}
        sealed = self.vault.sealed(empty, text.encode())
        self.draft.write_secret(sealed, audited(EventKind.SECRET_SEALED, self.by, self.now, facts))
        return number

    def erase(self, upstream: Upstream, owner: str, number: int) -> None:
        """Erase a user's own key, for good."""
        secret = self.draft.secret(
            place(USER_PURPOSE, upstream.tenant, upstream.user_secret_name(owner), number)
        )
        if secret is None or secret.ciphertext is None:
            return
        facts = {"group": upstream.name, "user": owner}
        erased = replace(secret, ciphertext=None, not_after=self.now)
        self.draft.write_secret(erased, audited(EventKind.SECRET_RETIRED, self.by, self.now, facts))
