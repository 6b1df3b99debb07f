"""Moving a ledger to another database: the same entries, records, numbers and heads, in one transaction or not at all.

The published log, the keys and everything else of the home stay where they are: the tree is the same.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import Connection, Table, func, insert, select

from consent_app.errors import LedgerError
from consent_app.ledger import verification
from consent_app.ledger.engine import STREAMED
from consent_app.ledger.store import Ledger
from consent_app.ledger.tables import entry, metadata

_AT_ONCE: Final = 5_000


def copy(source: Ledger, target: Ledger) -> int:
    """Copy everything into an empty ledger; returns how many entries it has. Nobody can add to the source meanwhile.

    Every check is made of what was written before it is committed. Raises LedgerError where the target is not empty or
    a check fails, and UnavailableError; the target is as empty as before then, also when this process is killed.
    """
    signed = verification.Signed.read(source.published, None)
    with source.numbering(), source.reading() as rows, target.writing() as to:
        for table in metadata.sorted_tables:
            if to.execute(select(func.count()).select_from(table)).scalar_one():
                raise LedgerError(f"the target is not empty (table {table.name}); name a new database")
        for table in metadata.sorted_tables:
            _copy(table, rows, to)
        for check in (*signed.checks, *verification.checks(to, source.published, signed)):
            if not check.ok:
                raise LedgerError(f"nothing was copied, because of {check.name}: {check.sentence}")
        return int(to.execute(select(func.count()).select_from(entry)).scalar_one())


def _copy(table: Table, rows: Connection, to: Connection) -> None:
    with rows.execute(select(table), execution_options=STREAMED) as found:
        for part in found.mappings().partitions(_AT_ONCE):
            batch: list[dict[str, Any]] = [dict(row) for row in part]
            to.execute(insert(table), batch)
