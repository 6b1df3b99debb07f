"""What waits to be signed: how many entries, and for how long. What /metrics and an operator look at."""

from __future__ import annotations

from dataclasses import dataclass
from time import time

from sqlalchemy import func, select

from consent_app.ledger.published import CHECKPOINT
from consent_app.ledger.shards import shards
from consent_app.ledger.store import Ledger
from consent_app.ledger.tables import entry
from consent_app.ledger.tlog.checkpoint import Checkpoint


@dataclass(frozen=True, slots=True)
class Backlog:
    """`entries` that are not signed yet; `seconds` since something was signed last, 0 while nothing waits."""

    entries: int
    seconds: float


def backlog(ledger: Ledger) -> Backlog:
    """What waits to be signed now. Raises UnavailableError, and ProofError for a checkpoint that is none."""
    published = ledger.published
    note = published.checkpoint()
    signed = Checkpoint.read(note.decode("utf-8", "replace").partition("\n\n")[0] + "\n").size if note else 0
    with ledger.reading() as connection:
        signed += next((log.first for log in shards(connection) if log.name == published.year), 0)
        count = connection.execute(select(func.coalesce(func.max(entry.c.seq) + 1, 0))).scalar_one()
    waiting = max(0, int(count) - signed)
    if not (waiting and note):
        return Backlog(waiting, 0.0)
    return Backlog(waiting, max(0.0, time() - (published.folder / CHECKPOINT).stat().st_mtime))
