"""The connection to the ledger's SQLite file: who writes takes the lock at once; how surely a commit is on disk."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final

from sqlalchemy import URL, Connection, Engine, create_engine, event

SURE: Final = "FULL"
SOON: Final = "NORMAL"


def opened(file: Path, busy_seconds: float) -> Engine:
    """An engine whose connections any thread may use in turn; the file is made, its owner's alone, when missing."""
    if not file.exists():
        file.touch(mode=0o600)
    url = URL.create("sqlite", database=os.fspath(file))
    engine = create_engine(url, hide_parameters=True, connect_args={"timeout": busy_seconds})
    event.listen(engine, "connect", _prepare)
    event.listen(engine, "begin", _begin)
    return engine


def writing(engine: Engine, synced: str) -> Engine:
    """The same, for transactions that write. SURE: on disk when the commit returns, with all that was committed
    before. SOON: safe from the death of any process, and from a power cut once somebody committed SURE.
    """
    return engine.execution_options(begin="IMMEDIATE", synced=synced)


def _prepare(connection: Any, _: Any) -> None:
    """Transactions are begun by `_begin`; what is erased is overwritten."""
    connection.isolation_level = None
    for pragma in ("journal_mode=WAL", "foreign_keys=ON", "secure_delete=ON"):
        connection.execute(f"PRAGMA {pragma}").close()


def _begin(connection: Connection) -> None:
    """A writer takes the lock before it reads the last number, or two would take the same."""
    options = connection.get_execution_options()
    if "synced" in options:
        connection.exec_driver_sql(f"PRAGMA synchronous={options['synced']}")
    connection.exec_driver_sql(f"BEGIN {options.get('begin', 'DEFERRED')}")
