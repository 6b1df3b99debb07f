"""One module a step; Alembic reads them in the order of their revisions."""
