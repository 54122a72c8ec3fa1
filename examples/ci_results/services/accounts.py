"""Accounts of people, changed by an operator's commands alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from examples.ci_results.clock import Clock
from examples.ci_results.enumerations import Role
from examples.ci_results.models import accounts, audit
from examples.ci_results.models.accounts import Account
from examples.ci_results.models.database import Connection, Database, Taken
from examples.ci_results.problems import Conflict, Invalid, NotFound
from examples.ci_results.services.passwords import Passwords
from examples.ci_results.services.tokens import Tokens

MIN_PASSWORD, MAX_PASSWORD = 8, 128
OPERATOR = "operator"


class Person(NamedTuple):
    """Who is to have an account."""

    name: str
    email: str
    role: Role
    github_login: str | None = None


class Accounts:
    """Makes and changes accounts. What takes rights away first ends the tokens, then commits (CI-31)."""

    def __init__(self, database: Database, tokens: Tokens, passwords: Passwords, clock: Clock):
        self._database = database
        self._tokens = tokens
        self._passwords = passwords
        self._clock = clock

    def add(self, person: Person, password: str) -> int:
        """Make an account; returns its id. Raises Conflict for a name or an address that is taken."""
        password_hash = self._hashed(password)
        try:
            with self._database.write() as connection:
                made = accounts.add(
                    connection,
                    name=person.name,
                    email=person.email,
                    password_hash=password_hash,
                    role=person.role,
                    login=person.github_login,
                )
                self._note(connection, "user.added", person.name, {"role": person.role.value})
        except Taken:
            raise Conflict("Somebody already has this name or e-mail address.") from None
        return made

    def set_role(self, name: str, role: Role) -> None:
        """Give somebody another role; it holds from the next request on."""
        self._change(self._existing(name), "user.role", role=role)

    def set_login(self, name: str, login: str | None) -> None:
        """Say what somebody is called at the forge."""
        self._change(self._existing(name), "user.login", github_login=login)

    def set_password(self, name: str, password: str) -> int:
        """Give somebody another password; returns how many tokens that ended."""
        account, password_hash = self._existing(name), self._hashed(password)
        reason = "the password was changed"
        ended = self._tokens.revoke_all(account.id, reason)
        self._change(account, "user.password", password_hash=password_hash)
        # Whoever logged in with the old one meanwhile.
        return ended + self._tokens.revoke_all(account.id, reason)

    def deactivate(self, name: str) -> int:
        """Let somebody in no more; returns how many tokens that ended."""
        account = self._existing(name)
        reason = "the account was deactivated"
        ended = self._tokens.revoke_all(account.id, reason)
        self._change(account, "user.deactivated", active=False)
        return ended + self._tokens.revoke_all(account.id, reason)

    def remove(self, name: str) -> int:
        """Delete an account and its links; returns how many tokens that ended. The audit stays."""
        account = self._existing(name)
        ended = self._tokens.revoke_all(account.id, "the account was deleted")
        with self._database.write() as connection:
            accounts.remove(connection, account.id)
            self._note(connection, "user.deleted", name, {"tokens": ended})
        return ended

    def of_key(self, key_id: str) -> Account | None:
        """Who may use a key now: the active person that owns it."""
        with self._database.read() as connection:
            account = accounts.by_key(connection, key_id)
        return account if account is not None and account.active else None

    def named(self, name: str) -> Account:
        """Somebody by name. Raises NotFound."""
        return self._existing(name)

    def _existing(self, name: str) -> Account:
        with self._database.read() as connection:
            account = accounts.by_name(connection, name)
        if account is None:
            raise NotFound("There is nobody of this name.")
        return account

    def _change(self, account: Account, action: str, **columns: object) -> None:
        with self._database.write() as connection:
            accounts.change(connection, account.id, **columns)
            shown = {} if "password_hash" in columns else {key: str(one) for key, one in columns.items()}
            self._note(connection, action, account.name, shown)

    def _note(self, connection: Connection, action: str, name: str, data: Mapping[str, object]) -> None:
        audit.note(
            connection, at=self._clock(), actor=OPERATOR, action=action, target=f"user/{name}", data=data
        )

    def _hashed(self, password: str) -> str:
        if not MIN_PASSWORD <= len(password) <= MAX_PASSWORD:
            raise Invalid(f"A password has {MIN_PASSWORD} to {MAX_PASSWORD} characters.")
        return self._passwords.hash(password)
