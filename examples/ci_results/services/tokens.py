"""Tokens: keys of Keyrack that people own. This service keeps which key is whose, and a name for it.

The link with its live name is written first, then the key is minted, then the link is completed; so a crash
leaves a link without a key, which goes after a minute, and never a key that nobody knows of.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple

from examples.ci_results.clock import Clock
from examples.ci_results.enumerations import Role
from examples.ci_results.models import accounts
from examples.ci_results.models.accounts import Account, Link
from examples.ci_results.models.database import Database, Taken
from examples.ci_results.problems import Forbidden, Invalid, InvalidCredentials, NotFound
from examples.ci_results.services import grants
from examples.ci_results.services.passwords import Passwords
from keyrack import Authority, Key, KeyrackError, Minted, Verifier, Wish

PREFIX = "spci"
SERVICE = Authority.service("ci-results", grants.SCOPES)
STALE = timedelta(minutes=1)
"""After which a link without a key is given up."""
GRANT_TRIES = 5
"""How often a grant is tried on a key that is changed by others each time."""
CHANGED = "precondition_failed"
"""Keyrack's word for a key that was changed since it was read."""


@dataclass(frozen=True, slots=True)
class Request:
    """What somebody asks for at login. No repr shows the password."""

    email: str
    password: str = field(repr=False)
    token_name: str
    scopes: Sequence[str]
    expires_in_days: int


class Issued(NamedTuple):
    """A new token; its text is in here and nowhere else."""

    text: str
    name: str
    scopes: tuple[str, ...]
    expires_at: datetime

    def __repr__(self) -> str:
        return f"<Issued {self.name}>"


class Token(NamedTuple):
    """A token as it is shown."""

    link: Link
    key: Key

    @property
    def expires_at(self) -> datetime:
        """Its end; every token has one."""
        return _end_of(self.key)


class Page(NamedTuple):
    """Some tokens, and how many there are in all."""

    tokens: Sequence[Token]
    total: int


class Tokens:
    """Makes, shows and ends tokens. Every call blocks."""

    def __init__(self, database: Database, verifier: Verifier, passwords: Passwords, clock: Clock):
        self._database = database
        self._issuer = verifier.issuer()
        self._passwords = passwords
        self._clock = clock

    def login(self, request: Request) -> Issued:
        """A token for who has this e-mail address and password.

        Raises InvalidCredentials, Forbidden for scopes that the role cannot ask for, Invalid for a name
        that a live token of theirs has.
        """
        account, password_hash = self._authenticated(request)
        refused = [scope for scope in request.scopes if scope not in grants.requestable(account.role)]
        if refused:
            raise Forbidden(
                "These scopes cannot be asked for by somebody of this role.",
                "scope_not_grantable",
                scopes=refused,
                user_role=account.role.value,
            )
        token_id = self._reserved(account, request.token_name)
        minted = self._minted(account, request, token_id, password_hash=password_hash)
        if minted.secret is None:
            raise RuntimeError("A new token has a secret.")
        return Issued(minted.secret, request.token_name, minted.key.scopes, _end_of(minted.key))

    def find(self, account: Account, *, everybody: bool, limit: int, offset: int) -> Page:
        """A page of somebody's tokens, or of everybody's, the newest first."""
        user_id = None if everybody else account.id
        with self._database.read() as connection:
            found = accounts.links(connection, user_id=user_id, limit=limit, offset=offset)
            total = accounts.count_links(connection, user_id=user_id)
        return Page([Token(link, self._key(link)) for link in found], total)

    def revoke(self, token_id: int, account: Account, *, manages: bool) -> None:
        """End a token of one's own, or, as an admin with `tokens:manage`, anybody's.

        Raises NotFound alike for what there is not and for what is not theirs; Forbidden for an admin
        without the scope.
        """
        with self._database.read() as connection:
            link = accounts.link(connection, token_id)
        is_foreign = link is not None and link.user_id != account.id
        if link is None or (is_foreign and account.role is not Role.ADMIN):
            raise NotFound("There is no token of this id.")
        if is_foreign and not manages:
            raise Forbidden(
                "A token of somebody else is revoked with the scope tokens:manage.",
                "insufficient_scope",
                required_scopes=[grants.TOKENS_MANAGE],
                missing_scopes=[grants.TOKENS_MANAGE],
            )
        self._end(link, "revoked")

    def revoke_key(self, key_id: str) -> None:
        """End the token that a key is of: the one that was presented."""
        with self._database.read() as connection:
            link = accounts.link_of_key(connection, key_id)
        if link is not None:
            self._end(link, "given up by its owner")

    def revoke_all(self, user_id: int, reason: str) -> int:
        """End every live token of somebody; returns how many there were."""
        with self._database.read() as connection:
            links = accounts.links(connection, user_id=user_id)
        return sum(self._end(link, reason) for link in links)

    def grant(self, token_id: int, scope: str, *, by: Account) -> Key:
        """Add a scope that an admin may grant to a token of somebody whose role may hold it (CI-24).

        Raises NotFound, Forbidden, and KeyrackError for a key that others change all the time.
        """
        with self._database.read() as connection:
            link = accounts.link(connection, token_id)
            owner = None if link is None else accounts.by_id(connection, link.user_id)
        if link is None or link.key_id is None or owner is None:
            raise NotFound("There is no token of this id.")
        allowed = grants.column(owner.role) & grants.column(by.role)
        if by.role is not Role.ADMIN or scope not in allowed:
            raise Forbidden("This scope cannot be granted here.", "scope_not_grantable", scopes=[scope])
        return self._widened(link, scope, tries=GRANT_TRIES)

    def remove_stale(self) -> int:
        """Remove links that were left without a key; returns how many."""
        with self._database.write() as connection:
            return accounts.remove_incomplete(connection, reserved_before=self._clock() - STALE)

    def _widened(self, link: Link, scope: str, *, tries: int) -> Key:
        """The key with one scope more. What others change meanwhile is read again, and stays."""
        key = self._key(link)
        changes = {"scopes": [*key.scopes, scope]}
        try:
            return self._issuer.update(key.id, changes, by=SERVICE, if_match=key.revision)
        except KeyrackError as error:
            if error.code != CHANGED or tries == 1:
                raise
        return self._widened(link, scope, tries=tries - 1)

    def _authenticated(self, request: Request) -> tuple[Account, str]:
        """Who logs in, and the hash that their password agrees with."""
        with self._database.read() as connection:
            found = accounts.by_email(connection, request.email)
        account, password_hash = found or (None, None)
        is_right = self._passwords.agrees(request.password, password_hash)
        if account is None or password_hash is None or not is_right or not account.active:
            raise InvalidCredentials()
        return account, password_hash

    def _reserved(self, account: Account, name: str) -> int:
        """The id of a link that holds this name for a key to come."""
        self.remove_stale()
        self._free(account, name)
        try:
            with self._database.write() as connection:
                return accounts.reserve_name(connection, account.id, name, now=self._clock())
        except Taken:
            raise Invalid(
                "A live token already has this name.",
                fields={"token_name": ["A live token already has this name."]},
            ) from None

    def _free(self, account: Account, name: str) -> None:
        """Take the name from a token that is not live any more."""
        with self._database.read() as connection:
            link = accounts.link_named(connection, account.id, name)
        if link is not None and link.key_id is not None and not self._is_live(self._key(link)):
            with self._database.write() as connection:
                accounts.free_name(connection, link.id)

    def _minted(self, account: Account, request: Request, token_id: int, *, password_hash: str) -> Minted:
        wish = Wish(
            request.token_name,
            scopes=request.scopes,
            prefix=PREFIX,
            owner=account.name,
            expires_at=self._clock() + timedelta(days=request.expires_in_days),
        )
        try:
            minted = self._issuer.mint(wish, by=SERVICE)
        except BaseException:
            with self._database.write() as connection:
                accounts.remove_link(connection, token_id)
            raise
        with self._database.write() as connection:
            # Verifying takes long; who has set another password since ended the tokens that were linked then.
            is_same = accounts.has_password(connection, account.id, password_hash)
            is_linked = is_same and accounts.complete(connection, token_id, minted.key.id)
        if not is_linked:
            self._issuer.revoke(minted.key.id, by=SERVICE, reason="its link was given up")
            raise Invalid("This took too long; ask again.")
        return minted

    def _end(self, link: Link, reason: str) -> bool:
        """Revoke a key and free the name; whether the token was live until now."""
        was_live = self._is_live(self._key(link))
        if was_live:
            self._issuer.revoke(self._key(link).id, by=SERVICE, reason=reason)
        with self._database.write() as connection:
            accounts.free_name(connection, link.id)
        return was_live

    def _key(self, link: Link) -> Key:
        return self._issuer.get(link.key_id or "", by=SERVICE)

    def _is_live(self, key: Key) -> bool:
        return key.revoked_at is None and (key.expires_at is None or key.expires_at > self._clock())


def _end_of(key: Key) -> datetime:
    if key.expires_at is None:
        raise RuntimeError("Every token has an end.")
    return key.expires_at
