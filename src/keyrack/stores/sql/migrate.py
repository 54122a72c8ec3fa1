"""Brings a database to the schema of this code, and refuses one that is newer."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, column, inspect, select, table

from keyrack.core.errors import ConfigurationError

HEAD = "0005"
"""The revision of the newest script in `migrations`."""
SCRIPTS = Path(__file__).parent / "migrations"
VERSION_TABLE = "alembic_version"
"""Where it stands which migrations a database has."""


def migrate(connection: Connection) -> None:
    """Run the migrations that this database lacks. Raises ConfigurationError for a newer schema."""
    present = _present(connection)
    if present != HEAD:
        _upgrade(connection, present)


def is_migrated(connection: Connection) -> bool:
    """Whether there is nothing to run."""
    return _present(connection) == HEAD


def _present(connection: Connection) -> str | None:
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    # Alembic's own table, which no MetaData of ours describes.
    found: str | None = connection.execute(
        select(column("version_num")).select_from(table(VERSION_TABLE))
    ).scalar()
    return found


def _upgrade(connection: Connection, present: str | None) -> None:
    # Imported for new and old databases alone: it takes longer than all the rest of opening one.
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(SCRIPTS).replace("%", "%%"))
    config.attributes["connection"] = connection
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if present is not None and present not in known:
        raise ConfigurationError(
            "KEYRACK_STORE", f"names a store of schema {present}, which is newer than this Keyrack."
        )
    command.upgrade(config, "head")
