"""From a URL to open stores: the one place that knows which URL is kept where."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path

from keyrack.core.errors import ConfigurationError, Unavailable
from keyrack.core.peppers import SETTING, Peppers
from keyrack.stores.balances import Balances
from keyrack.stores.balances_memory import MemoryBalances
from keyrack.stores.clock import Dating
from keyrack.stores.counters import Counters, open_counters
from keyrack.stores.gateway_state import GatewayState
from keyrack.stores.journal import Journal, MemoryJournal
from keyrack.stores.memory import MemoryKeys
from keyrack.stores.opened import Clock, Stores
from keyrack.stores.protocols import Keys

DEFAULT_URL = "sqlite:///keyrack.db"
STORE = "KEYRACK_STORE"
COUNTERS = "KEYRACK_COUNTERS"
CREDITS = "KEYRACK_CREDITS"


def open_stores(
    url: str,
    *,
    peppers: Peppers | str | None = None,
    counters: str | None = None,
    credits: str | None = None,  # noqa: A002  # named like its setting
    counters_max_entries: int | None = None,
    create: bool = False,
    clock: Clock = time.time,
) -> Stores:
    """Open what a KEYRACK_STORE url names: `env:`, `env:NAME`, `memory:`, `sqlite:///path`,
    `postgresql://host/database`, `file:///dir`, or a bucket by `s3://`, `gs://` or `az://`.

    `counters_max_entries` bounds how many limits are counted at once; unknown ones beyond it share one.
    `credits` is a `redis://` url where balances are not to be kept with the keys, or cannot be. `create`
    makes a missing file or directory, or the tables in a database. Without peppers only
    `memory:` opens, under a random one. Raises ConfigurationError, which names the setting, and
    Unavailable.
    """
    _refuse_server(url)
    given = _peppers(url, peppers)
    with ExitStack() as undone:
        keys, journal = _keys_and_journal(url, given, create=create)
        undone.callback(keys.close)
        undone.callback(journal.close)
        counted = _counters(counters or default_counters(url, workers=1), counters_max_entries)
        undone.callback(counted.close)
        gateway = _gateway(url)
        undone.callback(gateway.close)
        balances = _balances(url, credits)
        undone.pop_all()
    return Stores(
        url=url,
        keys=keys,
        journal=journal,
        counters=counted,
        peppers=given,
        clock=_clock(keys, clock),
        balances=balances,
        gateway=gateway,
        fixed=is_static(url),
    )


def is_static(url: str) -> bool:
    """Whether keys come from the environment."""
    return url.startswith("env:")


def is_server(url: str) -> bool:
    """Whether this names a Keyrack server, which has a store and is none."""
    return url.startswith(("https://", "http://"))


def public_url(url: str) -> str:
    """A url as it may be shown: without its user and password, and without parameters."""
    return re.sub(r"://.*@", "://…@", url.partition("?")[0])


def sqlite_path(url: str) -> Path | None:
    """The file of a `sqlite:///` url, relative with three slashes and absolute with four."""
    scheme, separator, path = url.partition(":///")
    return Path(path) if scheme == "sqlite" and separator and path else None


def beside(path: Path, what: str) -> Path:
    """The file of that purpose beside a store's file: `keyrack-journal.db` beside `keyrack.db`."""
    return path.with_name(f"{path.stem}-{what}{path.suffix}")


def default_counters(url: str, *, workers: int) -> str:
    """Where limits are counted when nothing is said: in a PostgreSQL store, however many processes there
    are; else in the process while there is only one."""
    path = sqlite_path(url)
    if url.startswith(("postgresql:", "postgres:")):
        return url
    if workers == 1 or path is None:
        return "memory:"
    return f"sqlite:///{beside(path, 'counters')}"


def _refuse_server(url: str) -> None:
    if is_server(url):
        raise ConfigurationError(STORE, "names a server; this is done where its store is.")


def _clock(keys: Keys, given: Clock) -> Clock:
    """The store's own time, where it has one and no other clock was given."""
    return keys.clock if given is time.time and isinstance(keys, Dating) else given


def _peppers(url: str, peppers: Peppers | str | None) -> Peppers:
    if isinstance(peppers, Peppers):
        return peppers
    if not peppers and url == "memory:":
        return Peppers.parse(f"memory:{secrets.token_hex(32)}")
    if not peppers:
        raise ConfigurationError(SETTING, "is missing; it holds `id:text`, a text of at least 32 characters.")
    return Peppers.parse(peppers)


def _counters(url: str, max_entries: int | None) -> Counters:
    try:
        return open_counters(url, max_entries=max_entries)
    except Unavailable as error:
        raise ConfigurationError(COUNTERS, f"cannot be opened: {error.detail}") from None


def _keys_and_journal(url: str, peppers: Peppers, *, create: bool) -> tuple[Keys, Journal]:
    if url == "memory:" or is_static(url):
        return MemoryKeys(), MemoryJournal()
    found = _OPENERS.get(url.partition(":")[0])
    if found is None:
        raise ConfigurationError(
            STORE,
            "is none of env:, memory:, sqlite:///path, postgresql://host/database, file:///dir, "
            "s3://bucket/prefix, gs:// and az://.",
        )
    extra, opener = found
    try:
        return opener(url, peppers, create)
    except ModuleNotFoundError:
        raise ConfigurationError(STORE, f"needs `pip install keyrack[{extra}]`.") from None


def _balances(url: str, said: str | None) -> Balances | None:
    """Where credits are kept: where it is said, or with the keys; nowhere if nothing there is guarded."""
    path = sqlite_path(url)
    if said is not None:
        return _redis_balances(said)
    if url == "memory:":
        return MemoryBalances()
    if path is not None:
        from keyrack.stores.sql.sqlite_balances import SqliteBalances

        return SqliteBalances(beside(path, "credits"))
    if url.startswith(("postgresql:", "postgres:")):
        from keyrack.stores.sql.postgres_balances import PostgresBalances

        return PostgresBalances(url)
    return None


def _redis_balances(url: str) -> Balances:
    try:
        from keyrack.stores.balances_redis import RedisBalances
    except ModuleNotFoundError:
        raise ConfigurationError(CREDITS, "needs `pip install keyrack[redis]`.") from None
    return RedisBalances(url)


def _gateway(url: str) -> GatewayState:
    """What the processes of a gateway share beside; in this one alone where the store has no place for it."""
    path = sqlite_path(url)
    if path is not None:
        from keyrack.stores.sql.sqlite_gateway_state import open_sqlite_state

        return open_sqlite_state(beside(path, "gateway"))
    if url.startswith(("postgresql:", "postgres:")):
        from keyrack.stores.sql.postgres_gateway_state import open_postgres_state

        return open_postgres_state(url)
    return GatewayState()


def _open_sqlite(url: str, _: Peppers, create: bool) -> tuple[Keys, Journal]:
    path = sqlite_path(url)
    if path is None:
        raise ConfigurationError(STORE, "names no file; write sqlite:///keyrack.db.")
    from keyrack.stores.sql.sqlite import open_sqlite
    from keyrack.stores.sql.sqlite_journal import SqliteJournal

    keys = open_sqlite(path, create=create)
    return keys, SqliteJournal(beside(path, "journal"))


def _open_postgres(url: str, _: Peppers, create: bool) -> tuple[Keys, Journal]:
    from keyrack.stores.sql.postgres import open_postgres

    return open_postgres(url, create=create)


def _open_objects(url: str, peppers: Peppers, create: bool) -> tuple[Keys, Journal]:
    from keyrack.stores.objects.opening import open_objects

    return open_objects(url, peppers, create=create)


# What they import is imported by them alone, so that keys in the environment need no database library.
_OPENERS: Mapping[str, tuple[str, Callable[[str, Peppers, bool], tuple[Keys, Journal]]]] = {
    "sqlite": ("sql", _open_sqlite),
    "postgresql": ("postgres", _open_postgres),
    "postgres": ("postgres", _open_postgres),
    **dict.fromkeys(("file", "s3", "gs", "az"), ("objects", _open_objects)),
}
"""By scheme: the extra that is needed, and what opens the keys and the journal of a URL."""
