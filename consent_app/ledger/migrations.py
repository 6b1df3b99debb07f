"""From every schema there ever was to today's, forward only; SQLite's `user_version` says where a file stands.

Each step only adds. Nothing is copied aside first: a copy would keep what is erased later.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from sqlalchemy import Connection, inspect, text

from consent_app.errors import LedgerError
from consent_app.ledger.tables import TRIGGERS, body, complaint, entry, erased, head, metadata, notice


def migrate(connection: Connection) -> None:
    """Bring the schema up to date, inside one transaction. Raises LedgerError for a file of a later version."""
    found = version(connection)
    if found > len(STEPS):
        raise LedgerError(f"the ledger was written by a later version (its schema is {found}); install that one")
    for step in STEPS[found:]:
        step(connection)
    connection.execute(text(f"PRAGMA user_version = {len(STEPS)}"))


def version(connection: Connection) -> int:
    """How many steps the file has taken. The first schema did not say."""
    said = int(connection.execute(text("PRAGMA user_version")).scalar_one())
    return said or int(inspect(connection).has_table("entry"))


def _first(connection: Connection) -> None:
    """0.1.0: entries, their records, notices; nothing can be taken away."""
    metadata.create_all(connection, [entry, body, notice])
    for table in (entry, body, notice):
        _guard(connection, table.name)


def _tree(connection: Connection) -> None:
    """The signed tree's heads, and erasure: a record may go once a tombstone is named for it."""
    metadata.create_all(connection, [erased, head])
    connection.execute(text("DROP TRIGGER IF EXISTS body_keeps_on_delete"))
    for name in ("body", "erased", "head"):
        _guard(connection, name)


def _complaints(connection: Connection) -> None:
    """Complaints, which are beside the log and under none of its guards."""
    metadata.create_all(connection, [complaint])


def _guard(connection: Connection, table: str) -> None:
    for trigger in TRIGGERS.values():
        if f" ON {table} " in trigger:
            connection.execute(text(trigger.replace("TRIGGER", "TRIGGER IF NOT EXISTS", 1)))


STEPS: Final[tuple[Callable[[Connection], None], ...]] = (_first, _tree, _complaints)
