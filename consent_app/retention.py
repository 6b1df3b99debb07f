"""How long each thing is kept, what is due to go, and letting it go (GDPR Art 5(1)(e)).

Facts and held counts go with the batch, statistics by its own clock (`anonymiser`); here go consent records and closed
complaints. What a legal hold covers stays, and is said to stay.
"""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from itertools import islice
from typing import Final

from consent_app.ledger import ConsentRecord, Entry, Ledger, complaints
from consent_app.ledger.holds import Hold, held, standing
from consent_app.ledger.records import MOST_ERASED
from consent_app.sites import LONGEST_KEPT, Sites

__all__ = ["Due", "due", "held", "months_before", "run"]


LONGEST_COMPLAINT: Final = 12  # months, of a site that is declared no more


@dataclass(frozen=True, slots=True)
class Due:
    """What is past its time: the entries of consent records that may go, those that a hold keeps, with that hold, and
    the reference numbers of complaints that may go.
    """

    entries: tuple[int, ...] = ()
    held: tuple[tuple[int, Hold], ...] = ()
    complaints: tuple[str, ...] = ()


def due(ledger: Ledger, sites: Sites, now: datetime) -> Due:
    """The consent records whose validity ended, and the complaints that were closed, longer ago than their site keeps
    them. A hold over a whole site keeps its complaints too.

    A site that is declared no more is kept as long as any may be. Read in the log's order up to the first record that
    is younger than the shortest of these times: no later one can be due.
    """
    months = {site.key: site.consent_retention_months for site in sites}
    holds = standing(ledger, now.date())
    may_go: list[int] = []
    kept: list[tuple[int, Hold]] = []
    for found in _past(ledger, now.date(), months):
        hold = next((each for each in holds if each.covers(found.record["site"], found.seq)), None)
        kept.append((found.seq, hold)) if hold else may_go.append(found.seq)
    return Due(tuple(may_go), tuple(kept), tuple(_complaints(ledger, sites, now.date(), holds)))


def run(ledger: Ledger, sites: Sites, now: datetime) -> Due:
    """Erase what is due, each with a tombstone in the log; returns what was due. Safe to run twice and to be killed."""
    found = due(ledger, sites, now)
    entries = iter(found.entries)
    while part := tuple(islice(entries, MOST_ERASED)):
        ledger.erase_entries(part)
    if found.complaints:
        complaints.forget(ledger, found.complaints)
    return found


def months_before(day: date, months: int) -> date:
    """The day so many months before; the last of its month where that is shorter."""
    year, month = divmod(day.year * 12 + day.month - 1 - months, 12)
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))


def _past(ledger: Ledger, today: date, months: Mapping[str, int]) -> Iterator[Entry]:
    shortest = months_before(today, min(months.values(), default=LONGEST_KEPT))
    for found in ledger.entries():
        if found.kind != ConsentRecord.KIND:
            continue
        if date.fromisoformat(found.record["time"][:10]) > shortest:
            return
        kept = months.get(found.record["site"], LONGEST_KEPT)
        if date.fromisoformat(found.record["valid_until"]) < months_before(today, kept):
            yield found


def _complaints(ledger: Ledger, sites: Sites, today: date, holds: Sequence[Hold]) -> Iterator[str]:
    months = {site.key: site.complaint_retention_months for site in sites}
    held_sites = {hold.site for hold in holds if not hold.entries}
    for reference, site, closed in complaints.closed(ledger):
        before = months_before(today, months.get(site, LONGEST_COMPLAINT))
        if site not in held_sites and date.fromisoformat(closed[:10]) < before:
            yield reference
