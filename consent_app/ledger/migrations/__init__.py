"""From every schema there ever was to today's, forward only, by Alembic; the steps lie in `versions`.

Each step only adds. `consent_app/upgrade.py` copies the home aside first; that copy goes after a week, because it
keeps what is erased meanwhile.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect, text

from consent_app.errors import LedgerError

NEWEST: Final = "0004"


def migrate(connection: Connection, to: str = NEWEST) -> None:
    """Bring the schema up to date, inside one transaction. Raises LedgerError for a schema of a later version."""
    found = version(connection)
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.attributes["connection"] = connection
    known = [step.revision for step in ScriptDirectory.from_config(config).walk_revisions()]
    if found and found not in known:
        raise LedgerError(f"the ledger was written by a later version (its schema is {found}); install that one")
    if found:
        command.stamp(config, found)
    command.upgrade(config, to)
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql(f"PRAGMA user_version = {int(to)}")


def version(connection: Connection) -> str:
    """Which step a database has taken last; "" for an empty one.

    Before Alembic, SQLite's `user_version` counted the steps, and the first schema did not even say that.
    """
    tables = inspect(connection)
    if tables.has_table("alembic_version"):
        return str(connection.execute(text("SELECT version_num FROM alembic_version")).scalar() or "")
    if not tables.has_table("entry"):
        return ""
    said = connection.exec_driver_sql("PRAGMA user_version").scalar_one() if connection.dialect.name == "sqlite" else 0
    return f"{said or 1:04d}"
