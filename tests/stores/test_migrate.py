"""The schema of a database: made, left as it is, and refused when it is newer."""

from __future__ import annotations

import re
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import create_engine

from keyrack import ConfigurationError, open_stores
from keyrack.stores.protocols import Kind, Listing
from keyrack.stores.sql.keys import _listed
from keyrack.stores.sql.migrate import HEAD, SCRIPTS, migrate
from keyrack.testing import PEPPERS


def test_the_head_is_the_newest_script() -> None:
    texts = [path.read_text() for path in (SCRIPTS / "versions").glob("*.py")]
    made = {name for text in texts for name in re.findall(r'^revision = "(\w+)"', text, re.MULTILINE)}
    followed = {
        name for text in texts for name in re.findall(r'^down_revision = "(\w+)"', text, re.MULTILINE)
    }
    assert made - followed == {HEAD}


def test_a_schema_that_is_newer_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "keyrack.db"
    open_stores(f"sqlite:///{path}", peppers=PEPPERS, create=True).close()
    with closing(sqlite3.connect(path)) as database:
        database.execute("UPDATE alembic_version SET version_num = '9999'")
        database.commit()
    with pytest.raises(ConfigurationError, match="newer than this Keyrack"):
        open_stores(f"sqlite:///{path}", peppers=PEPPERS)


def test_opening_a_store_of_this_schema_needs_no_migrations(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'keyrack.db'}"
    open_stores(url, peppers=PEPPERS, create=True).close()
    code = (
        "import sys; from keyrack import open_stores;"
        "open_stores(sys.argv[1], peppers=sys.argv[2]).close();"
        "sys.exit('alembic' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code, url, PEPPERS], check=False).returncode == 0


@pytest.mark.parametrize(
    "listing",
    [
        Listing(after=5),
        Listing(Kind.UPSTREAM, after=5),
        Listing(after=5, tenant="acme"),
        Listing(after=5, tenant="acme", owner="ada"),
    ],
)
def test_a_page_is_found_where_it_begins(listing: Listing, tmp_path: Path) -> None:
    """And not by reading all records of a kind, which a million keys make slow."""
    engine = create_engine(f"sqlite:///{tmp_path / 'keys.db'}")
    with engine.begin() as connection:
        migrate(connection)
        asked = _listed(listing).compile(connection, compile_kwargs={"literal_binds": True})
        plan = [row.detail for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {asked}")]
    engine.dispose()
    assert len(plan) == 1, plan
    assert "serial>?" in plan[0]
