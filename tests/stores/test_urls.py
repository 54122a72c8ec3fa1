"""From a URL to open stores: what is wrong is named, and nothing is made that nobody asked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from keyrack.core.errors import ConfigurationError
from keyrack.stores.urls import beside, default_counters, open_stores, public_url, sqlite_path
from keyrack.testing import PEPPERS

UNKNOWN = ["", "keyrack.db", "sqlite:", "sqlite:///", "mysql://host/db", "env", "memory"]


@pytest.mark.parametrize("url", UNKNOWN)
def test_an_unknown_url_is_refused_by_the_name_of_its_setting(url: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        open_stores(url, peppers=PEPPERS)
    assert refused.value.setting == "KEYRACK_STORE"


def test_a_missing_file_is_not_made_by_opening_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="keyrack init"):
        open_stores(f"sqlite:///{tmp_path}/none.db", peppers=PEPPERS)
    assert list(tmp_path.iterdir()) == []


def test_counters_that_cannot_be_opened_are_refused_by_their_own_setting(tmp_path: Path) -> None:
    (tmp_path / "counters.db").write_text("this is no database, and it is somebody's")
    with pytest.raises(ConfigurationError) as refused:
        open_stores("memory:", counters=f"sqlite:///{tmp_path}/counters.db")
    assert refused.value.setting == "KEYRACK_COUNTERS"


@pytest.mark.parametrize("url", ["env:", "sqlite:///never-made.db"])
def test_only_the_store_in_memory_opens_without_peppers(url: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        open_stores(url)
    assert refused.value.setting == "KEYRACK_PEPPERS"
    open_stores("memory:").close()


def test_sqlite_urls_are_relative_with_three_slashes_and_absolute_with_four() -> None:
    assert sqlite_path("sqlite:///keys/a.db") == Path("keys/a.db")
    assert sqlite_path("sqlite:////srv/a.db") == Path("/srv/a.db")
    assert beside(Path("keys/a.db"), "journal") == Path("keys/a-journal.db")


def test_several_workers_count_in_a_file_and_one_counts_for_itself() -> None:
    assert default_counters("sqlite:///a.db", workers=1) == "memory:"
    assert default_counters("sqlite:///a.db", workers=2) == "sqlite:///a-counters.db"
    assert default_counters("env:", workers=2) == "memory:"


@pytest.mark.parametrize("url", ["postgresql://host/keys", "postgres://host/keys"])
def test_a_store_in_postgresql_counts_there_however_many_workers_there_are(url: str) -> None:
    assert [default_counters(url, workers=workers) for workers in (1, 2)] == [url, url]


def test_a_url_is_shown_without_its_password() -> None:
    assert public_url("scheme://user:pass@host/db?password=x") == "scheme://…@host/db"
