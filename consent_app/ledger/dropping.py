"""Dropping a finished year: when nothing of it must be kept any more, its entries go, and its last checkpoint stays.

The next year's log names that checkpoint, and a record in the newest log says that the year was dropped.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from sqlalchemy import Connection, delete, func, insert, select

from consent_app.errors import LedgerError
from consent_app.ledger import keys
from consent_app.ledger.holds import standing
from consent_app.ledger.records import ConsentRecord, DropRecord, HoldRecord
from consent_app.ledger.shards import Shard
from consent_app.ledger.store import Ledger
from consent_app.ledger.tables import body, dropped, entry, erased, head
from consent_app.ledger.tlog.checkpoint import Checkpoint, verified

# Whole years that must lie between a year and the one in which it is dropped.
YEARS_BETWEEN: Final = 1


def drop(ledger: Ledger, year: int, now: datetime) -> Checkpoint:
    """Take the oldest year out of the ledger; returns its last checkpoint. Done again, it changes nothing.

    Raises LedgerError naming what stands against it: a year that is not finished, or younger than the one before last,
    an older one that is still there, a consent record that was not erased, a hold that stands.
    """
    ledger.sequence()
    log = _require_oldest(ledger.logs(), year, now)
    last = _last(ledger, log)
    if log.gone:
        return last
    held = {hold.hold for hold in standing(ledger, now.astimezone(UTC).date())}
    record = DropRecord(last.origin, log.first, last.size, last.root.hex(), f"{now.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}")
    with ledger.writing() as connection:
        _require_nothing_kept(connection, log, held)
        ledger.add(connection, record)
        connection.execute(insert(dropped).values(first=log.first, past=log.end))
        for table in (body, erased, entry):
            connection.execute(delete(table).where(table.c.seq >= log.first, table.c.seq < log.end))
        connection.execute(delete(head).where(head.c.size > log.first, head.c.size <= log.end))
    ledger.forget()
    ledger.sequence()
    return last


def _require_oldest(logs: list[Shard], year: int, now: datetime) -> Shard:
    log = next((log for log in logs if log.year == year), None)
    if log is None or log.past is None:
        raise LedgerError(f"there is no finished log of {year}; `consent ledger years` shows those there are")
    if year + YEARS_BETWEEN >= now.astimezone(UTC).year:
        raise LedgerError(f"the log of {year} may be dropped from {year + YEARS_BETWEEN + 1} on")
    if older := [other.year for other in logs if not other.gone and other.first < log.first]:
        raise LedgerError(f"the log of {older[0]} is older and still there; drop that one first")
    return log


def _last(ledger: Ledger, log: Shard) -> Checkpoint:
    """The last checkpoint of a finished log. Raises ProofError."""
    published = log.of(ledger.published)
    return verified(published.checkpoint() or b"", keys.read_public(published.key()))


def _require_nothing_kept(connection: Connection, log: Shard, held: set[str]) -> None:
    here = select(func.count()).select_from(body).join(entry).where(body.c.seq >= log.first, body.c.seq < log.end)
    kept = connection.execute(here.where(entry.c.kind == ConsentRecord.KIND)).scalar_one()
    if kept:
        raise LedgerError(
            f"{kept} consent records of {log.year} are not erased yet, because they are kept or a hold is on them; "
            "`consent retention run` erases what is past its time"
        )
    holds = connection.execute(here.where(entry.c.kind == HoldRecord.KIND, body.c.subject.in_(held))).scalar_one()
    if holds:
        raise LedgerError(
            f"{holds} legal holds that were ordered in {log.year} stand yet; `consent hold list` shows them"
        )
