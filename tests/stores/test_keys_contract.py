"""The contract of key stores, run by each of ours."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from keyrack.stores.memory import MemoryKeys
from keyrack.stores.protocols import Keys
from keyrack.stores.sql.postgres import open_postgres
from keyrack.stores.sql.sqlite import open_sqlite
from keyrack.testing.contract import KeysContract, OpenKeys


class TestMemory(KeysContract):
    @pytest.fixture
    def open_keys(self) -> OpenKeys:
        keys = MemoryKeys()
        return lambda: keys


class TestSqlite(KeysContract):
    @pytest.fixture
    def open_keys(self, tmp_path: Path) -> Iterator[OpenKeys]:
        with ExitStack() as opened:

            def open_one() -> Keys:
                keys = open_sqlite(tmp_path / "keys.db", create=True)
                opened.callback(keys.close)
                return keys

            yield open_one


class TestPostgres(KeysContract):
    @pytest.fixture
    def open_keys(self, postgresql_url: str) -> Iterator[OpenKeys]:
        with ExitStack() as opened:

            def open_one() -> Keys:
                keys, _ = open_postgres(postgresql_url, create=True)
                opened.callback(keys.close)
                return keys

            yield open_one


class DeafKeys(MemoryKeys):
    """A store that breaks the contract: it denies that there is news."""

    def moved(self) -> bool:
        return False


class TestTheContractItself:
    """The suite notices a store that breaks its promise, so passing it says something."""

    def test_a_store_that_denies_news_fails(self) -> None:
        keys = DeafKeys()
        with pytest.raises(AssertionError, match="found False instead of True for 2"):
            KeysContract().test_news_is_never_denied(lambda: keys)

    def test_stores_that_are_not_one_fail(self) -> None:
        with pytest.raises(AssertionError):
            KeysContract().test_a_commit_is_there_at_once_byte_for_byte_for_everybody(MemoryKeys)
