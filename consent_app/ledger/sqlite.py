"""The ledger in a SQLite file: one writer at a time is SQLite's own rule, and a file lock is enough to sign."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.exc import OperationalError, SQLAlchemyError

from consent_app.errors import UnavailableError
from consent_app.ledger.engine import Database, said

SURE: Final = "FULL"
SOON: Final = "NORMAL"


class SQLite(Database):
    """A file; made, its owner's alone, when it is missing.

    Who writes begins IMMEDIATE: the lock is taken before the last number is read, or two would take the same. SURE: a
    commit is on disk when it returns, with all that was committed before. SOON: it is safe from the death of any
    process, and from a power cut once somebody commits SURE.
    """

    def __init__(self, file: Path, busy_seconds: float) -> None:
        if not file.exists():
            file.touch(mode=0o600)
        self.name = os.fspath(file)
        self.reading = _engine(file, busy_seconds, "DEFERRED", SURE)
        self.writing = _engine(file, busy_seconds, "IMMEDIATE", SOON)
        self.syncing = _engine(file, busy_seconds, "IMMEDIATE", SURE)

    def take_numbers(self, connection: Connection) -> None:
        """The transaction began with the lock."""

    def take_schema(self, connection: Connection) -> None:
        """The transaction began with the lock."""

    @contextmanager
    def sequencing(self) -> Iterator[None]:
        """The published folder lies beside the file, and its lock is the one that counts."""
        yield

    def is_writable(self) -> bool:
        """The file is there, and may be written."""
        return os.access(self.name, os.W_OK)

    def forget(self) -> None:
        """SQLite keeps old pages in its write-ahead log until that is emptied; a reader puts that off to the next."""
        with closing(self.reading.raw_connection()) as connection:
            connection.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def fault(self, error: SQLAlchemyError) -> str:
        """A file that does not open is damaged, or none; one that cannot be read or written now is neither."""
        remedy = "make room or give rights to it" if isinstance(error, OperationalError) else "restore it from a backup"
        return f"cannot be opened as a ledger ({said(error)}); {remedy}"


def _engine(file: Path, busy_seconds: float, begin: str, synced: str) -> Engine:
    url = URL.create("sqlite", database=os.fspath(file))
    engine = create_engine(url, hide_parameters=True, paramstyle="named", connect_args={"timeout": busy_seconds})
    event.listen(engine, "connect", partial(_prepare, synced))
    event.listen(engine, "begin", partial(_begin, f"BEGIN {begin}"))
    return engine


def _begin(statement: str, connection: Connection) -> None:
    connection.connection.execute(statement).close()


def _prepare(synced: str, connection: Any, _: Any) -> None:
    """Transactions are begun by us alone; what is erased is overwritten."""
    connection.isolation_level = None
    for pragma in ("journal_mode=WAL", f"synchronous={synced}", "foreign_keys=ON", "secure_delete=ON"):
        connection.execute(f"PRAGMA {pragma}").close()


def copy(source: Path, target: Path) -> None:
    """A whole copy of an SQLite file as of one moment, while others write; nothing of what was deleted is in it.

    Raises UnavailableError.
    """
    engine = create_engine(URL.create("sqlite", database=os.fspath(source)), isolation_level="AUTOCOMMIT")
    try:
        with engine.connect() as connection:
            connection.exec_driver_sql("VACUUM INTO ?", (os.fspath(target),))
    except SQLAlchemyError as error:
        raise UnavailableError(f"{source} cannot be copied ({said(error)})") from error
    finally:
        engine.dispose()
