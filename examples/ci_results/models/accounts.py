"""People, and the links between them and their keys."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import Connection, Select, delete, func, insert, select, update

from examples.ci_results.enumerations import Role
from examples.ci_results.models.tables import api_token, user

S = TypeVar("S", bound=Select[Any])


class Account(NamedTuple):
    """A person, without the password."""

    id: int
    name: str
    email: str
    role: Role
    github_login: str | None
    active: bool


class Link(NamedTuple):
    """A token of somebody; its key lives in Keyrack. `key_id` is None until the key was minted."""

    id: int
    user_id: int
    key_id: str | None
    token_name: str
    live_name: str | None
    reserved_at: datetime


_ACCOUNT = (user.c.id, user.c.name, user.c.email, user.c.role, user.c.github_login, user.c.active)


def by_email(connection: Connection, email: str) -> tuple[Account, str] | None:
    """Who has this e-mail address, and the hash of their password."""
    found = select(*_ACCOUNT, user.c.password_hash).where(user.c.email == email.lower())
    row = connection.execute(found).one_or_none()
    return None if row is None else (Account(*row[:-1]), row[-1])


def by_key(connection: Connection, key_id: str) -> Account | None:
    """Who owns a key."""
    found = select(*_ACCOUNT).join(api_token).where(api_token.c.key_id == key_id)
    row = connection.execute(found).one_or_none()
    return None if row is None else Account(*row)


def by_id(connection: Connection, user_id: int) -> Account | None:
    """Who has this id."""
    row = connection.execute(select(*_ACCOUNT).where(user.c.id == user_id)).one_or_none()
    return None if row is None else Account(*row)


def by_name(connection: Connection, name: str) -> Account | None:
    """Who has this name."""
    row = connection.execute(select(*_ACCOUNT).where(user.c.name == name)).one_or_none()
    return None if row is None else Account(*row)


def has_password(connection: Connection, user_id: int, password_hash: str) -> bool:
    """Whether this is the hash of their password, which nobody changes until this transaction ends."""
    found = select(user.c.id).where(user.c.id == user_id, user.c.password_hash == password_hash)
    return connection.execute(found.with_for_update()).one_or_none() is not None


def add(
    connection: Connection, *, name: str, email: str, password_hash: str, role: Role, login: str | None
) -> int:
    """Make an account. Raises Taken for a name or an address that is taken."""
    row = {
        "name": name,
        "email": email.lower(),
        "password_hash": password_hash,
        "role": role,
        "github_login": login,
        "active": True,
    }
    made: int = connection.execute(insert(user).returning(user.c.id), row).scalar_one()
    return made


def change(connection: Connection, user_id: int, **columns: object) -> None:
    """Change columns of an account."""
    connection.execute(update(user).where(user.c.id == user_id).values(**columns))


def remove(connection: Connection, user_id: int) -> None:
    """Delete an account, with the links to its keys."""
    connection.execute(delete(user).where(user.c.id == user_id))


def link(connection: Connection, token_id: int) -> Link | None:
    """A token that was minted."""
    found = select(api_token).where(api_token.c.id == token_id, api_token.c.key_id.is_not(None))
    row = connection.execute(found).one_or_none()
    return None if row is None else Link(*row)


def link_of_key(connection: Connection, key_id: str) -> Link | None:
    """The token of a key."""
    row = connection.execute(select(api_token).where(api_token.c.key_id == key_id)).one_or_none()
    return None if row is None else Link(*row)


def link_named(connection: Connection, user_id: int, name: str) -> Link | None:
    """The token of somebody that holds this name."""
    found = select(api_token).where(api_token.c.user_id == user_id, api_token.c.live_name == name)
    row = connection.execute(found).one_or_none()
    return None if row is None else Link(*row)


def reserve_name(connection: Connection, user_id: int, name: str, *, now: datetime) -> int:
    """Write the link of a token whose key is still to be minted. Raises Taken for a name in use."""
    row = {"user_id": user_id, "token_name": name, "live_name": name, "reserved_at": now}
    made: int = connection.execute(insert(api_token).returning(api_token.c.id), row).scalar_one()
    return made


def complete(connection: Connection, token_id: int, key_id: str) -> bool:
    """Say which key a link is about; False when it was removed meanwhile."""
    found = update(api_token).where(api_token.c.id == token_id).values(key_id=key_id)
    return connection.execute(found).rowcount == 1


def free_name(connection: Connection, token_id: int) -> None:
    """Let another token have the name of this one, which is not live any more."""
    connection.execute(update(api_token).where(api_token.c.id == token_id).values(live_name=None))


def remove_incomplete(connection: Connection, *, reserved_before: datetime) -> int:
    """Remove links without a key that nobody will complete."""
    stale = delete(api_token).where(api_token.c.key_id.is_(None), api_token.c.reserved_at < reserved_before)
    return connection.execute(stale).rowcount


def remove_link(connection: Connection, token_id: int) -> None:
    """Remove the link of a token whose key was not minted."""
    connection.execute(delete(api_token).where(api_token.c.id == token_id))


def links(
    connection: Connection, *, user_id: int | None, limit: int | None = None, offset: int = 0
) -> Sequence[Link]:
    """The minted tokens of somebody, or of everybody, the newest first."""
    found = _minted(select(api_token), user_id).order_by(api_token.c.id.desc()).limit(limit).offset(offset)
    return [Link(*row) for row in connection.execute(found)]


def count_links(connection: Connection, *, user_id: int | None) -> int:
    """How many there are."""
    found = _minted(select(func.count()).select_from(api_token), user_id)
    return connection.execute(found).scalar_one()


def _minted(statement: S, user_id: int | None) -> S:
    statement = statement.where(api_token.c.key_id.is_not(None))
    return statement if user_id is None else statement.where(api_token.c.user_id == user_id)
