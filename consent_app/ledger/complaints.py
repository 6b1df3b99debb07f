"""Complaints in the ledger's database: beside the log, changed and deleted like ordinary rows, their text sealed.

What a text says is the business of `consent_app/complaints.py`, which alone has the key.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Row, bindparam, delete, insert, select, update

from consent_app.ledger.store import Ledger
from consent_app.ledger.tables import complaint


@dataclass(frozen=True, slots=True)
class SealedComplaint:
    """One row. `opened` and `closed` are UTC seconds ("" while open), `due` the last UTC day of its clock."""

    reference: str
    site: str
    opened: str
    due: str
    state: str
    closed: str
    sealed: bytes


def add(ledger: Ledger, row: SealedComplaint) -> None:
    """Put a new complaint on disk. Raises UnavailableError."""
    with ledger.writing() as connection:
        connection.execute(insert(complaint).values(**asdict(row) | {"closed": None}))


def replace(ledger: Ledger, row: SealedComplaint) -> None:
    """Put a complaint's new state and text in the place of the old; its reference says which."""
    changed = {"state": row.state, "closed": row.closed or None, "sealed": row.sealed}
    with ledger.writing() as connection:
        connection.execute(update(complaint).where(complaint.c.reference == row.reference).values(**changed))


def find(ledger: Ledger, reference: str) -> SealedComplaint | None:
    """The complaint of that reference."""
    with ledger.reading() as connection:
        row = connection.execute(select(complaint).where(complaint.c.reference == reference)).first()
    return _read(row) if row else None


def of_sites(ledger: Ledger, sites: Iterable[str]) -> list[SealedComplaint]:
    """Every complaint about one of these sites: what is open first, what is due soonest first."""
    query = select(complaint).where(complaint.c.site.in_(list(sites)))
    with ledger.reading() as connection:
        found = [_read(row) for row in connection.execute(query)]
    return sorted(found, key=lambda row: (bool(row.closed), row.due, row.opened, row.reference))


def closed(ledger: Ledger) -> list[tuple[str, str, str]]:
    """(reference, site, UTC second of its closing) of every complaint that is closed, oldest first."""
    query = select(complaint.c.reference, complaint.c.site, complaint.c.closed).where(complaint.c.closed.is_not(None))
    with ledger.reading() as connection:
        rows = connection.execute(query.order_by(complaint.c.closed, complaint.c.reference))
        return [(row.reference, row.site, row.closed) for row in rows]


def forget(ledger: Ledger, references: Iterable[str]) -> None:
    """Delete complaints."""
    gone = delete(complaint).where(complaint.c.reference == bindparam("gone"))
    with ledger.writing() as connection:
        for reference in references:
            connection.execute(gone, {"gone": reference})


def _read(row: Row[Any]) -> SealedComplaint:
    return SealedComplaint(row.reference, row.site, row.opened, row.due, row.state, row.closed or "", bytes(row.sealed))
