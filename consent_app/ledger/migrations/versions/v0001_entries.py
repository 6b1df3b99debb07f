"""0.1.0: entries, their records, notices; nothing can be taken away."""

from __future__ import annotations

from alembic import op
from sqlalchemy import BigInteger, Column, ForeignKey, Integer, LargeBinary, Text

from consent_app.ledger import guards

revision = "0001"
down_revision = None
NUMBER = BigInteger().with_variant(Integer, "sqlite")


def upgrade() -> None:
    """Make the three tables and guard them."""
    op.create_table(
        "entry",
        Column("seq", NUMBER, primary_key=True, autoincrement=False),
        Column("kind", Text, nullable=False),
        Column("leaf", LargeBinary, nullable=False),
    )
    op.create_table(
        "body",
        Column("seq", NUMBER, ForeignKey("entry.seq"), primary_key=True, autoincrement=False),
        Column("subject", Text, index=True),
        Column("nonce", LargeBinary, nullable=False),
        Column("record", LargeBinary, nullable=False),
    )
    op.create_table(
        "notice",
        Column("sha256", Text, primary_key=True),
        Column("effective", Text, nullable=False),
        Column("text", Text, nullable=False),
    )
    guards.create(op.get_bind(), ["entry", "body", "notice"])
