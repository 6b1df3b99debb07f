"""Which banner bundles the consent records name: one look over the records, which are not parsed one by one."""

from __future__ import annotations

import json
from typing import Final

from sqlalchemy import func, select

from consent_app.ledger.records import ConsentRecord
from consent_app.ledger.store import Ledger
from consent_app.ledger.tables import body, entry

# Canonical JSON sorts its names, and `bundle` is the first of a consent record: its hash always stands here.
BEGINNING: Final = b'{"bundle":"'
_HASH: Final = func.substr(body.c.record, len(BEGINNING) + 1, 64)


def named(ledger: Ledger) -> dict[str, str]:
    """SHA-256 of each bundle that a consent record names -> the day of the newest that does."""
    newest = select(func.max(body.c.seq)).join(entry).where(entry.c.kind == ConsentRecord.KIND).group_by(_HASH)
    with ledger.reading() as connection:
        rows = connection.execute(select(body.c.record).where(body.c.seq.in_(newest))).all()
    records = [json.loads(bytes(row.record)) for row in rows]
    return {record["bundle"]: record["time"][:10] for record in records}
