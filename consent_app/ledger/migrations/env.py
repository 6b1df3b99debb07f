"""What Alembic runs for each migration: on the connection it is given, within the transaction that is there."""

from __future__ import annotations

from alembic import context

context.configure(connection=context.config.attributes["connection"])
context.run_migrations()
