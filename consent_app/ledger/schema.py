"""Which schema a ledger has, without changing it: what an upgrade asks before it begins."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError

from consent_app.errors import LedgerError
from consent_app.ledger.engine import Database
from consent_app.ledger.migrations import NEWEST, version
from consent_app.ledger.postgresql import PostgreSQL
from consent_app.ledger.sqlite import SQLite
from consent_app.ledger.store import BUSY_SECONDS

__all__ = ["NEWEST", "found"]


def found(file: Path, url: str = "") -> str:
    """The schema of the ledger in that file or at that URL; "" where there is none. Raises LedgerError."""
    if not url and not file.exists():
        return ""
    database: Database = PostgreSQL(url, BUSY_SECONDS) if url else SQLite(file, BUSY_SECONDS)
    try:
        with database.reading.begin() as connection:
            return version(connection)
    except SQLAlchemyError as error:
        raise LedgerError(f"{database.name} {database.fault(error)}") from error
    finally:
        database.close()
