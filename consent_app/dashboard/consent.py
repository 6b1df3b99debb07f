"""The consent card: how many accepted or refused under which notice, week by week, out of the ledger.

These are decisions, not visits, and carry no noise. They are shown as the policy `threshold` would: nothing below ten,
the rest rounded to fives. Who saw the banner and chose nothing is not known: nothing may be kept before a choice.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from threading import Lock
from typing import Final

from anonymiser.bounds import ROUNDING
from consent_app.dashboard.figures import Figure
from consent_app.dashboard.periods import Period, span
from consent_app.dashboard.series import blocks
from consent_app.ledger import Ledger
from consent_app.ledger.choices import Choice, choices

LEAST: Final = 10
AT_ONCE: Final = 4000
NEWEST: Final = 2**62
ACCEPTED: Final = "Accepted everything"
SOME: Final = "Accepted a part"
REFUSED: Final = "Refused everything"
LATER: Final = "Changed or withdrawn later"
WAYS: Final = (ACCEPTED, SOME, REFUSED, LATER)
Key = tuple[str, str, str, str]
"""(site, day, notice, one of WAYS)"""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the card: `share` per cent of its width; None of a figure is one that is too small to be told."""

    label: str
    figure: Figure
    share: float


@dataclass(frozen=True, slots=True)
class ConsentCard:
    """Decisions of a period: in all, by notice, by week. `since` is the first day counted so far, if not all are."""

    lines: Sequence[Line]
    columns: Sequence[str]
    notices: Sequence[tuple[str, Sequence[Figure]]]
    weeks: Sequence[tuple[str, Sequence[Figure]]]
    since: str = ""

    @property
    def empty(self) -> bool:
        """Whether there was no decision."""
        return not self.lines


@dataclass(slots=True)
class Counts:
    """The decisions of a ledger, as far as they were read: the newest first, some thousands a look. Thread-safe."""

    found: Counter[Key] = field(default_factory=Counter)
    low: int = NEWEST
    high: int = -1
    oldest: str = ""
    done: bool = False
    lock: Lock = field(default_factory=Lock)

    def read(self, ledger: Ledger) -> None:
        """Count what is new, then some of what is older. Raises UnavailableError."""
        with self.lock:
            if self.high >= 0:
                self._count(choices(ledger, self.high, NEWEST, AT_ONCE))
            if not self.done:
                older = choices(ledger, -1, self.low, AT_ONCE)
                self._count(older)
                self.done = len(older) < AT_ONCE

    def _count(self, read: Sequence[Choice]) -> None:
        for one in read:
            self.found[one.site, one.day, one.notice, _way(one)] += 1
            self.low, self.high = min(self.low, one.seq), max(self.high, one.seq)
            self.oldest = min(self.oldest or one.day, one.day)


def _way(one: Choice) -> str:
    if one.event not in ("given", "refused"):
        return LATER
    return ACCEPTED if all(one.allowed) else SOME if any(one.allowed) else REFUSED


def card(counts: Counts, site: str, period: Period, effective: Mapping[str, str]) -> ConsentCard:
    """The decisions on the days of a period; `effective` has the first day of each notice."""
    first, last = period.start.isoformat(), period.end.isoformat()
    with counts.lock:
        found = [(key, n) for key, n in counts.found.items() if key[0] == site and first <= key[1] <= last]
    if not found:
        return ConsentCard((), (), (), (), _since(counts, first))
    whole = _sums((key[3], n) for key, n in found)
    most = max(whole.values())
    notices = sorted({key[2] for key, _ in found}, key=lambda notice: effective.get(notice, ""), reverse=True)
    return ConsentCard(
        lines=[Line(way, shown(whole[way]), _share(whole[way], most)) for way in WAYS],
        columns=WAYS,
        notices=[
            (_called(notice, effective), _figures((key[3], n) for key, n in found if key[2] == notice))
            for notice in notices
        ],
        weeks=[
            (span(start, end), _figures((k[3], n) for k, n in found if start <= date.fromisoformat(k[1]) <= end))
            for start, end in reversed(blocks(period.start, period.end, 7)[-13:])
        ],
        since=_since(counts, first),
    )


def shown(count: int) -> Figure:
    """A count of decisions as it may be shown."""
    if count < LEAST:
        return Figure(f"fewer than {LEAST}", limit=True)
    return Figure(f"{round(count / ROUNDING) * ROUNDING:,}")


def _share(count: int, most: int) -> float:
    return round(100 * count / most, 1) if count >= LEAST else 0.0


def _sums(parts: Iterable[tuple[str, int]]) -> Counter[str]:
    sums: Counter[str] = Counter()
    for way, n in parts:
        sums[way] += n
    return sums


def _figures(parts: Iterable[tuple[str, int]]) -> list[Figure]:
    sums = _sums(parts)
    return [shown(sums[way]) for way in WAYS]


def _called(notice: str, effective: Mapping[str, str]) -> str:
    return f"Notice of {effective[notice]}" if notice in effective else f"Notice {notice[:8]}"


def _since(counts: Counts, first: str) -> str:
    return "" if counts.done or counts.oldest <= first else counts.oldest
