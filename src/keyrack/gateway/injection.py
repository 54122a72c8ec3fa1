"""The header that an upstream knows us by: its key is opened for one send, and kept nowhere.

Whatever does not open, or may not be sent there, is UpstreamKeyUnavailable; then nothing is sent.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from functools import lru_cache

from keyrack.core.errors import Unavailable
from keyrack.core.sealed import SealedSecret, place
from keyrack.core.upstream import USER_PURPOSE, Upstream
from keyrack.gateway.admin.origins import origins_of
from keyrack.gateway.admission import Admission
from keyrack.stores.protocols import Kind
from keyrack.stores.sealing import open_secret
from keyrack.vault.secrets import Vault
from keyrack.verifier import Verifier


class UpstreamKeyUnavailable(Unavailable):
    """A key of an upstream cannot be opened, or is bound to other servers than this one."""

    code, title = "upstream_key_unavailable", "Upstream key unavailable"


@dataclass(frozen=True, slots=True)
class Injection:
    """A header with the key in it, for as long as a request is sent and its answer is searched for it."""

    header: str
    value: str = field(repr=False)
    key: str = field(repr=False)


class Injector:
    """Opens the keys of upstreams for whoever sends, or has a proxy send."""

    def __init__(self, verifier: Verifier, vault: Vault):
        self._verifier = verifier
        self._vault = vault

    async def injection(self, admission: Admission, number: int, server: str) -> Injection | None:
        """The header for this version, or for the user's own key; None where the API needs none.

        `server` is where it will be sent. Raises UpstreamKeyUnavailable.
        """
        upstream = admission.upstream
        if upstream is None:
            return None
        if admission.user_key is None:
            secret = self._verifier.follower.replica.upstream_secrets.get(upstream.secret_id(number))
            return self._opened(upstream, secret, server)
        secret = await self._user_secret(admission, upstream, admission.user_key)
        return self._opened(upstream, secret, server)

    def _opened(self, upstream: Upstream, secret: SealedSecret | None, server: str) -> Injection:
        if secret is None:
            raise UpstreamKeyUnavailable(f"The key of {upstream.name} is not there.")
        origin = _origin_of(server)
        # A user's own key stays bound to the origins of the day it was sealed; the group may have fewer now.
        if origin not in upstream.origins or origin not in secret.facts.get("origins", ()):
            raise UpstreamKeyUnavailable(f"The key of {upstream.name} may not be sent to this server.")
        try:
            key = self._vault.opened(secret).decode()
        except Unavailable:
            raise UpstreamKeyUnavailable(f"The key of {upstream.name} cannot be opened.") from None
        return Injection(upstream.header, upstream.format.replace("{key}", key), key)

    async def _user_secret(
        self, admission: Admission, upstream: Upstream, version: int
    ) -> SealedSecret | None:
        if admission.allowed is None:
            return None
        name = upstream.user_secret_name(admission.allowed.key.owner or "")
        secret_id = place(USER_PURPOSE, upstream.tenant, name, version)
        record = await asyncio.to_thread(self._verifier.stores.keys.record, Kind.SECRET, secret_id)
        return None if record is None else open_secret(record, self._verifier.stores.peppers)


@lru_cache(1024)
def _origin_of(server: str) -> str:
    return origins_of([server])[0]
