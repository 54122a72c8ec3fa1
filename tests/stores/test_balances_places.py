"""Where credits are kept: with the keys where that can be, in Redis where it is said, else nowhere."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from keyrack import ConfigurationError, open_stores
from keyrack.settings import Settings
from keyrack.stores.balances_memory import MemoryBalances
from keyrack.stores.balances_redis import RedisBalances
from keyrack.stores.sql.sqlite_balances import SqliteBalances
from keyrack.testing import PEPPERS

REDIS = "redis://localhost:1"


def kind(url: str, credits_at: str | None = None) -> type | None:
    with closing(open_stores(url, peppers=PEPPERS, credits=credits_at, create=True)) as stores:
        return None if stores.balances is None else type(stores.balances)


def test_credits_are_kept_where_the_keys_are(tmp_path: Path) -> None:
    assert kind("memory:") is MemoryBalances
    assert kind(f"sqlite:///{tmp_path / 'keys.db'}") is SqliteBalances
    assert (tmp_path / "keys-credits.db").stat().st_mode & 0o077 == 0


def test_a_store_without_guarded_updates_keeps_none_unless_there_is_a_redis(tmp_path: Path) -> None:
    bucket = f"file://{tmp_path / 'bucket'}"
    assert kind(bucket) is None
    assert kind(bucket, REDIS) is RedisBalances


def test_a_redis_that_is_named_comes_first(tmp_path: Path) -> None:
    assert kind(f"sqlite:///{tmp_path / 'keys.db'}", REDIS) is RedisBalances
    assert not (tmp_path / "keys-credits.db").exists()


def test_the_setting_is_the_url_of_a_redis_and_is_never_shown() -> None:
    url = "rediss://user:a-password@cache"
    assert Settings.read({"KEYRACK_CREDITS": url}).credits == url
    assert "a-password" not in repr(Settings.read({"KEYRACK_CREDITS": url}))
    with pytest.raises(ConfigurationError) as refused:
        Settings.read({"KEYRACK_CREDITS": "postgresql://user:a-password@db"})
    assert refused.value.setting == "KEYRACK_CREDITS"
    assert "a-password" not in refused.value.detail
