"""The connection to the ledger's SQLite file: who writes takes the lock at once; how surely a commit is on disk."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import Any, Final

from sqlalchemy import URL, Engine, create_engine, event

SURE: Final = "FULL"
SOON: Final = "NORMAL"


def opened(file: Path, busy_seconds: float, begin: str = "DEFERRED", synced: str = SURE) -> Engine:
    """An engine whose connections any thread may use in turn; the file is made, its owner's alone, when missing.

    Who writes begins IMMEDIATE: the lock is taken before the last number is read, or two would take the same. SURE: a
    commit is on disk when it returns, with all that was committed before. SOON: it is safe from the death of any
    process, and from a power cut once somebody commits SURE.
    """
    if not file.exists():
        file.touch(mode=0o600)
    url = URL.create("sqlite", database=os.fspath(file))
    engine = create_engine(url, hide_parameters=True, connect_args={"timeout": busy_seconds})
    event.listen(engine, "connect", partial(_prepare, synced))
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql(f"BEGIN {begin}"))
    return engine


def _prepare(synced: str, connection: Any, _: Any) -> None:
    """Transactions are begun by us alone; what is erased is overwritten."""
    connection.isolation_level = None
    for pragma in ("journal_mode=WAL", f"synchronous={synced}", "foreign_keys=ON", "secure_delete=ON"):
        connection.execute(f"PRAGMA {pragma}").close()
