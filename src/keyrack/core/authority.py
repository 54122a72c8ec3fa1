"""Who asks for a change, and what they may grant: nobody grants more than they hold.

One function, `check_grant`, is asked about the whole key as it would be afterwards, by every path
that makes or changes one. For networks, expiry, limits and credits *absent* means unlimited and is
therefore wider than any value.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from keyrack.core import scopes as algebra
from keyrack.core.errors import NotHeld, SecretDated, SessionPresented
from keyrack.core.model import DEFAULT_TENANT, Allowed, Key, Limit, Network, Secret
from keyrack.core.policy import with_defaults

MANAGE_KEYS = "keys:manage"
READ_KEYS = "keys:read"
ROTATE_SELF = "self:rotate"
"""To give one's own key a new secret, within the ordinary grace, and nothing else."""
MANAGE_TENANTS = "tenants:manage"
ASSIGN_OWNERS = "owners:assign"
ASSIGN_ENVIRONMENTS = "environments:assign"
ASSIGN_LIMITS = "limits:assign"
"""To give limits in the place of the policy's defaults."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@-]{0,99}")


@dataclass(frozen=True, slots=True)
class Authority:
    """Who stands behind a call of the Issuer. Made by one of the three class methods.

    A key's authority is that key as the decision saw it. An operator can open the store and has the
    peppers, so nothing is refused to them. A service states its ceiling in code.
    """

    name: str
    scopes: tuple[str, ...]
    """What it may do."""
    grants: tuple[str, ...]
    """What it may give: for a key the same, for a service its ceiling."""
    tenant: str = DEFAULT_TENANT
    key: Key | None = None
    secret: Secret | None = None
    address: str | None = None
    request_id: str | None = None
    is_session: bool = False
    """Whether a session token was presented in the key's place: it reads, and changes nothing."""
    path: str | None = None
    """Of the request, where it came over HTTP."""

    @classmethod
    def of(
        cls,
        allowed: Allowed,
        *,
        address: str | None = None,
        request_id: str | None = None,
        path: str | None = None,
    ) -> Authority:
        """The authority of a key that was just proved."""
        key = allowed.key
        return cls(
            name=f"key:{key.id}",
            scopes=allowed.scopes,
            grants=allowed.scopes,
            tenant=key.tenant,
            key=key,
            secret=allowed.secret,
            address=address,
            request_id=request_id,
            is_session=allowed.session is not None,
            path=path,
        )

    @classmethod
    def operator(cls, name: str) -> Authority:
        """Whoever can open the store and has the peppers."""
        everything = (algebra.EVERYTHING,)
        return cls(f"operator:{_checked(name)}", everything, everything)

    @classmethod
    def service(cls, name: str, ceiling: Iterable[str], *, tenant: str = DEFAULT_TENANT) -> Authority:
        """A service that mints for its users, for any owner of one tenant, within this ceiling."""
        powers = (MANAGE_KEYS, ASSIGN_OWNERS, ASSIGN_ENVIRONMENTS)
        return cls(f"service:{_checked(name)}", powers, tuple(ceiling), tenant)

    def holds(self, scope: str) -> bool:
        """Whether this authority covers a scope."""
        return algebra.covers(self.scopes, scope)

    def reaches(self, tenant: str) -> bool:
        """Whether things of that tenant exist for this authority at all."""
        return tenant == self.tenant or self.holds(MANAGE_TENANTS)

    def refuse_session(self) -> None:
        """Refuse a change that is asked for with a session token. Raises SessionPresented."""
        if self.is_session:
            raise SessionPresented("A session changes nothing; present the key itself.")

    def require(self, scope: str) -> None:
        """Refuse, as not held, what this authority does not cover."""
        if not self.holds(scope):
            raise NotHeld([scope])


def check_grant(by: Authority, after: Key, *, defaults: Sequence[Limit] = ()) -> None:
    """Refuse a key, as it would be afterwards, that is wider than its giver. Raises NotHeld.

    `defaults` are the policy's limits: whoever has no limit of that name has the default one, and
    needs `limits:assign` to give a wider one in its place.
    """
    not_held = list(algebra.missing(by.grants, after.scopes))
    if not by.reaches(after.tenant):
        not_held.append(MANAGE_TENANTS)
    holder = by.key
    if holder is not None:
        not_held += _wider_than(holder, after, by, () if by.holds(ASSIGN_LIMITS) else defaults)
    if not_held:
        raise NotHeld(not_held)


def check_own(by: Authority, key: Key) -> None:
    """Refuse a change to a key by a secret of it that has an end. Raises SecretDated."""
    if by.key is None or by.secret is None or by.key.id != key.id:
        return
    # The key as it is now, not as the caller's decision saw it: the rotation may have come between.
    dated = [one for one in key.versions if one.number == by.secret.number and one.not_after is not None]
    if dated:
        raise SecretDated("This secret is being rotated out; use the key's newest one to change the key.")


def needed_to_rotate(by: Authority, key_id: str, *, exceptional: bool = False) -> str:
    """The scope that a rotation asks for: `self:rotate` does for one's own key, unless it is `exceptional`,
    which is by force or without a grace."""
    own = by.key is not None and by.key.id == key_id
    narrow = own and not exceptional and by.holds(ROTATE_SELF) and not by.holds(MANAGE_KEYS)
    return ROTATE_SELF if narrow else MANAGE_KEYS


def needed_to_read(by: Authority, key_id: str | None) -> str:
    """The scope that looking at this key, or at a list of keys, asks for."""
    if by.holds(MANAGE_KEYS) or by.holds(READ_KEYS) or key_id is None:
        return MANAGE_KEYS if by.holds(MANAGE_KEYS) else READ_KEYS
    needs = needed_to_rotate(by, key_id)
    return needs if needs == ROTATE_SELF else READ_KEYS


def _wider_than(holder: Key, after: Key, by: Authority, defaults: Sequence[Limit]) -> list[str]:
    names = []
    if after.owner != holder.owner and not by.holds(ASSIGN_OWNERS):
        names.append(ASSIGN_OWNERS)
    here = (holder.prefix, holder.environment)
    if (after.prefix, after.environment) != here and not by.holds(ASSIGN_ENVIRONMENTS):
        names.append(ASSIGN_ENVIRONMENTS)
    if not _networks_within(after.networks, holder.networks):
        names.append("networks")
    if holder.expires_at and (after.expires_at is None or after.expires_at > holder.expires_at):
        names.append("expires_at")
    given = with_defaults(after.limits, defaults)
    held = with_defaults(holder.limits, defaults)
    if not all(any(_as_tight(one, limit) for one in given) for limit in held):
        names.append("limits")
    if holder.credits is not None and after.credits != holder.credits:
        names.append("credits")
    return names


def _networks_within(child: tuple[Network, ...], parent: tuple[Network, ...]) -> bool:
    if not parent:
        return True
    return bool(child) and all(any(_inside(one, wide) for wide in parent) for one in child)


def _inside(one: Network, wide: Network) -> bool:
    # Two branches, since networks of different families cannot be compared.
    if one.version == 4:
        return wide.version == 4 and one.subnet_of(wide)
    return wide.version == 6 and one.subnet_of(wide)


def _as_tight(child: Limit, parent: Limit) -> bool:
    """Whether no window of the parent's length can hold more under the child than under the parent."""
    windows = -(-parent.window_seconds // child.window_seconds)
    return child.limit * windows <= parent.limit


def _checked(name: str) -> str:
    if _NAME.fullmatch(name) is None:
        raise ValueError("an authority is named with 1 to 100 of letters, digits, `_`, `.`, `@`, `-`")
    return name
