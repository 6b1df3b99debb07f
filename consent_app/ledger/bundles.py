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


def named(ledger: Ledger) -> dict[str, int]:
    """SHA-256 of each bundle that a consent record names -> the number of the newest entry that does."""
    newest = select(func.max(body.c.seq)).join(entry).where(entry.c.kind == ConsentRecord.KIND).group_by(_HASH)
    with ledger.reading() as connection:
        rows = connection.execute(select(body.c.seq, body.c.record).where(body.c.seq.in_(newest))).all()
    return {json.loads(bytes(row.record))["bundle"]: row.seq for row in rows}
