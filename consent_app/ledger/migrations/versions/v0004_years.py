"""A log for each year, and years that are dropped: what went with one may be deleted."""

from __future__ import annotations

from alembic import op
from sqlalchemy import BigInteger, Column, Integer

from consent_app.ledger import guards

revision = "0004"
down_revision = "0003"
NUMBER = BigInteger().with_variant(Integer, "sqlite")


def upgrade() -> None:
    """Make the two tables, and every guard anew. The log there is goes on to the end of the year in which it signs."""
    op.create_table(
        "shard",
        Column("first", NUMBER, primary_key=True, autoincrement=False),
        Column("year", Integer, nullable=False, unique=True),
    )
    op.create_table(
        "dropped",
        Column("first", NUMBER, primary_key=True, autoincrement=False),
        Column("past", NUMBER, nullable=False),
    )
    guards.create(op.get_bind(), guards.TABLES)
