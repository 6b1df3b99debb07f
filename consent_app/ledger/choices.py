"""What was decided, entry by entry, for those who count decisions: never whose."""

from __future__ import annotations

import json
from dataclasses import dataclass

from sqlalchemy import select

from consent_app.ledger.records import ConsentRecord
from consent_app.ledger.store import Ledger
from consent_app.ledger.tables import body, entry


@dataclass(frozen=True, slots=True)
class Choice:
    """One decision: its entry's number, site, UTC day, event, notice (SHA-256), and which purposes it allows."""

    seq: int
    site: str
    day: str
    event: str
    notice: str
    allowed: tuple[bool, ...]


def choices(ledger: Ledger, above: int, below: int, most: int) -> list[Choice]:
    """The newest decisions of the entries numbered between `above` and `below` (without both), at most `most`."""
    query = select(body.c.seq, body.c.record).join(entry).where(entry.c.kind == ConsentRecord.KIND)
    query = query.where(body.c.seq > above, body.c.seq < below).order_by(body.c.seq.desc()).limit(most)
    with ledger.reading() as connection:
        return [_choice(row.seq, json.loads(bytes(row.record))) for row in connection.execute(query)]


def _choice(seq: int, record: dict[str, object]) -> Choice:
    decisions = record["decisions"]
    allowed = tuple(one["allowed"] for one in decisions.values()) if isinstance(decisions, dict) else ()
    names = (str(record[name]) for name in ("site", "time", "event", "notice"))
    site, time, event, notice = names
    return Choice(seq, site, time[:10], event, notice, allowed)
