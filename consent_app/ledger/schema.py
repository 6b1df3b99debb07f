"""The ledger's tables. Rows can be added, never changed or taken away: the database itself refuses."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Column, Integer, LargeBinary, MetaData, String, Table, Text

metadata: Final = MetaData()
entries: Final = Table(
    "entries",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=False),
    Column("kind", String(16), nullable=False),
    Column("record", String(64), nullable=False, index=True),
    Column("nonce", LargeBinary, nullable=False),
    Column("canonical", LargeBinary, nullable=False),
    Column("leaf", LargeBinary, nullable=False),
)
notices: Final = Table(
    "notices",
    metadata,
    Column("sha256", String(64), primary_key=True),
    Column("text", Text, nullable=False),
    Column("effective", String(10), nullable=False),
)
TRIGGERS: Final = tuple(
    f"CREATE TRIGGER IF NOT EXISTS {table}_no_{action.lower()} BEFORE {action} ON {table} "
    f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
    for table in ("entries", "notices")
    for action in ("UPDATE", "DELETE")
)
