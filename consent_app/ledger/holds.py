"""Legal holds: what the ledger itself says must stay, why, who ordered it and until when (GDPR Art 17(3)(e)).

A hold covers a whole site or the entries of one receipt, and is an entry of the log like any other: it cannot be put
there afterwards, nor taken away.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final

from sqlalchemy import select

from consent_app.errors import FieldsError, NotFoundError
from consent_app.ledger.records import MOST_HELD, ConsentRecord, HoldEndRecord, HoldRecord
from consent_app.ledger.store import Ledger
from consent_app.ledger.tables import body, entry

SECOND: Final = "%Y-%m-%dT%H:%M:%SZ"
_SAID: Final = (
    select(entry.c.kind, body.c.record)
    .join(body)
    .where(entry.c.kind.in_([HoldRecord.KIND, HoldEndRecord.KIND]))
    .order_by(entry.c.seq)
)


@dataclass(frozen=True, slots=True)
class Hold:
    """One legal hold of a site; without `entries` it covers all of them. It ends after the UTC day `until`."""

    hold: str
    site: str
    entries: frozenset[int]
    reason: str
    by: str
    until: date

    def covers(self, site: str, seq: int) -> bool:
        """Whether that entry of that site must stay."""
        return site == self.site and (not self.entries or seq in self.entries)


def standing(ledger: Ledger, today: date) -> list[Hold]:
    """The holds that stand on that UTC day, oldest first."""
    with ledger.reading() as connection:
        said = [(row.kind, json.loads(row.record)) for row in connection.execute(_SAID)]
    ended = {document["hold"] for kind, document in said if kind == HoldEndRecord.KIND}
    holds = [_hold(document) for kind, document in said if kind == HoldRecord.KIND]
    return [hold for hold in holds if hold.hold not in ended and today <= hold.until]


def held(ledger: Ledger, site: str, record_id: str, now: datetime) -> Hold | None:
    """The hold that keeps a record id of a site, the longest-lasting one; None when it may go."""
    holds = standing(ledger, now.date())
    entries = [found.seq for found in ledger.history(record_id)] if holds else []
    keeping = [hold for hold in holds if any(hold.covers(site, seq) for seq in entries)]
    return max(keeping, key=lambda hold: hold.until, default=None)


def add(
    ledger: Ledger, site: str, receipts: Sequence[str], *, reason: str, by: str, until: date, now: datetime
) -> Hold:
    """Order a hold over these receipts of a site, over the whole site if there are none.

    Raises NotFoundError for a receipt that site does not have, FieldsError for a last day that is past.
    """
    if until < now.date():
        raise FieldsError({"until": f"is {until}, which is past; a hold ends on a day to come"})
    entries = sorted({seq for receipt in receipts for seq in _entries(ledger, site, receipt)})
    if len(entries) > MOST_HELD:
        raise FieldsError({"receipt": f"names more than {MOST_HELD} entries; hold the whole site instead"})
    record = HoldRecord(secrets.token_hex(8), site, tuple(entries), reason, by, until.isoformat(), now.strftime(SECOND))
    ledger.append(record)
    return _hold(record.document())


def end(ledger: Ledger, hold: str, by: str, now: datetime) -> None:
    """End a hold before its day. Raises NotFoundError where none of that name stands."""
    if hold not in {each.hold for each in standing(ledger, now.date())}:
        raise NotFoundError(f"no hold {hold!r} stands; `consent hold list` shows those that do")
    ledger.append(HoldEndRecord(hold, by, now.strftime(SECOND)))


def _entries(ledger: Ledger, site: str, receipt: str) -> list[int]:
    history = [each for each in ledger.history(receipt) if each.kind == ConsentRecord.KIND]
    found = [each.seq for each in history if each.record["site"] == site]
    if not found:
        raise NotFoundError(f"site {site!r} has no receipt {receipt!r}, so there is nothing to hold")
    return found


def _hold(document: dict[str, Any]) -> Hold:
    values = {name: document[name] for name in ("hold", "site", "reason", "by")}
    return Hold(**values, entries=frozenset(document["entries"]), until=date.fromisoformat(document["until"]))
