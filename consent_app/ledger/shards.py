"""A log for each year (UTC): entries are numbered on through all of them, each has a tree and an origin of its own.

The first has the ledger's name as its origin, a later one that name, a slash and its year. Its first entry is a record
of the last checkpoint of the log before. When a year's log begins, which the sequencer decides, nobody can add to the
one before any more: its last checkpoint is final.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, select

from consent_app.ledger.published import Published
from consent_app.ledger.tables import dropped, shard


@dataclass(frozen=True, slots=True)
class Shard:
    """A year's log: the entries from number `first` up to `past` (not with it; None while it goes on).

    `year` is 0 before anything was signed; `gone` says that its entries were dropped.
    """

    first: int
    year: int = 0
    past: int | None = None
    oldest: bool = True
    gone: bool = False

    @property
    def name(self) -> str:
        """The folder in which it is published: its year, or "" for the oldest."""
        return "" if self.oldest else f"{self.year:04d}"

    @property
    def said(self) -> str:
        """What people call it."""
        return f"the log of {self.year}" if self.year else "the log"

    @property
    def end(self) -> int:
        """Past the numbers that can be in it."""
        return 2**62 if self.past is None else self.past

    def origin(self, name: str) -> str:
        """Its origin, where the ledger has that name."""
        return name if self.oldest else f"{name}/{self.name}"

    def of(self, published: Published) -> Published:
        """Its folder."""
        return published.of(self.name)


def shards(connection: Connection) -> list[Shard]:
    """Every year's log, oldest first; at least one."""
    rows = connection.execute(select(shard).order_by(shard.c.first)).all()
    if not rows:
        return [Shard(0)]
    gone = {row.first for row in connection.execute(select(dropped.c.first))}
    pasts = [row.first for row in rows[1:]] + [None]
    return [
        Shard(row.first, row.year, past, oldest=place == 0, gone=row.first in gone)
        for place, (row, past) in enumerate(zip(rows, pasts, strict=True))
    ]


def holding(connection: Connection, seq: int) -> Shard:
    """The log that an entry is in."""
    return next(found for found in reversed(shards(connection)) if found.first <= seq)
