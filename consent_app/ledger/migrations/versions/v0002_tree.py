"""The signed tree's heads, and erasure: a record may go once a tombstone is named for it."""

from __future__ import annotations

from alembic import op
from sqlalchemy import BigInteger, Column, ForeignKey, Integer, LargeBinary

from consent_app.ledger import guards

revision = "0002"
down_revision = "0001"
NUMBER = BigInteger().with_variant(Integer, "sqlite")


def upgrade() -> None:
    """Make the two tables; guard them, and the records anew."""
    op.create_table(
        "erased",
        Column("seq", NUMBER, ForeignKey("entry.seq"), primary_key=True, autoincrement=False),
        Column("tombstone", NUMBER, ForeignKey("entry.seq"), nullable=False),
    )
    op.create_table(
        "head",
        Column("size", NUMBER, primary_key=True, autoincrement=False),
        Column("root", LargeBinary, nullable=False),
    )
    guards.create(op.get_bind(), ["body", "erased", "head"])
