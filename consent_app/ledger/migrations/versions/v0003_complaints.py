"""Complaints, which are beside the log and under none of its guards."""

from __future__ import annotations

from alembic import op
from sqlalchemy import Column, LargeBinary, Text

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "complaint",
        Column("reference", Text, primary_key=True),
        Column("site", Text, nullable=False),
        Column("opened", Text, nullable=False),
        Column("due", Text, nullable=False),
        Column("state", Text, nullable=False),
        Column("closed", Text),
        Column("sealed", LargeBinary, nullable=False),
    )
