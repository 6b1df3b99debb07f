"""The ledger's tables. Rows can be added, never changed or taken away: triggers in the database refuse it.

`entry` is what a signed tree will be built on; `body` holds what may one day be erased: the record and the nonce
without which its hash says nothing.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import Column, ForeignKey, Integer, LargeBinary, MetaData, Table, Text

metadata: Final = MetaData()

entry: Final = Table(
    "entry",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=False),
    Column("kind", Text, nullable=False),
    Column("leaf", LargeBinary, nullable=False),
)
body: Final = Table(
    "body",
    metadata,
    Column("seq", Integer, ForeignKey("entry.seq"), primary_key=True, autoincrement=False),
    Column("subject", Text, index=True),
    Column("nonce", LargeBinary, nullable=False),
    Column("record", LargeBinary, nullable=False),
)
notice: Final = Table(
    "notice",
    metadata,
    Column("sha256", Text, primary_key=True),
    Column("effective", Text, nullable=False),
    Column("text", Text, nullable=False),
)

TRIGGERS: Final = {
    f"{table.name}_keeps_on_{action.lower()}": (
        f"CREATE TRIGGER {table.name}_keeps_on_{action.lower()} BEFORE {action} ON {table.name} "
        f"BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END"
    )
    for table in (entry, body, notice)
    for action in ("UPDATE", "DELETE")
}
