"""Breakdown cards: rows that stand out from the noise with their bars, the others named together, "(other)" last."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

from anonymiser.stats import BreakdownRow, Statistics
from consent_app.dashboard.figures import Estimate, Figure, count, limit
from consent_app.dashboard.periods import DAY, EARLIEST, Period, custom, long

OTHER: Final = "(other)"
SHOWN: Final = 10
NOT_YET: Final = "Released when a whole week is over, or a month where visitors are few."


@dataclass(frozen=True, slots=True)
class Kind:
    """A card: its statistic in the published file, its title and what its rows are called."""

    statistic: str
    title: str
    column: str


CARDS: Final = (Kind("pages", "Top pages", "Page"), Kind("sources", "Sources", "Source"))


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a card; its bar is sure up to `low` per cent of the card's width and ends by `high`."""

    label: str
    detail: str
    figure: Figure
    low: float
    high: float
    other: bool


@dataclass(frozen=True, slots=True)
class Card:
    """One card as the template shows it. `empty` says why there are no rows, `nearest` which days have some."""

    kind: Kind
    rows: Sequence[Row] = ()
    more: Sequence[Row] = ()
    quiet: Sequence[str] = ()
    quiet_label: str = ""
    covers: str = ""
    empty: str = ""
    nearest: Period | None = None


def cards(statistics: Statistics, site: str, period: Period, today: date) -> list[Card]:
    """The site's cards for the period, seen on the local day `today`."""
    return [_card(statistics, site, kind, period, today) for kind in CARDS]


def _card(statistics: Statistics, site: str, kind: Kind, period: Period, today: date) -> Card:
    breakdown = statistics.breakdown(site, kind.statistic, period.start, period.end)
    if breakdown.first_day is None or breakdown.last_day is None:
        return _nothing(statistics, site, kind, today)
    covered = custom(breakdown.first_day, breakdown.last_day)
    return _filled(kind, period, covered, breakdown.rows)


def _filled(kind: Kind, period: Period, covered: Period, rows: Sequence[BreakdownRow]) -> Card:
    ordered = sorted(rows, key=lambda row: (row.key1 == OTHER, -row.value, row.key1, row.key2))
    loud = [row for row in ordered if not count(_estimate(row)).limit]
    quiet = [row for row in ordered if count(_estimate(row)).limit]
    drawn = _rows(loud)
    others = [row for row in drawn if row.other]
    named = [row for row in drawn if not row.other]
    return Card(
        kind,
        rows=[*named[:SHOWN], *others],
        more=named[SHOWN:],
        quiet=sorted(row.key1 for row in quiet),
        quiet_label=_quiet_label(quiet, bool(loud)),
        covers="" if covered.days == period.days else f"These cover {covered.label} only: whole weeks or months.",
        empty="" if loud else "Nothing stands out from the noise in these days. A longer period shows more.",
    )


def _rows(loud: Sequence[BreakdownRow]) -> list[Row]:
    top = max((_estimate(row).value + _estimate(row).margin for row in loud), default=1)
    return [
        Row(
            row.key1,
            "" if row.key2 == row.key1 else row.key2,
            count(_estimate(row)),
            round(100 * max(0, row.value - _estimate(row).margin) / top, 1),
            round(100 * (row.value + _estimate(row).margin) / top, 1),
            row.key1 == OTHER,
        )
        for row in loud
    ]


def _quiet_label(quiet: Sequence[BreakdownRow], more: bool) -> str:
    if not quiet:
        return ""
    most = max(limit(_estimate(row)) for row in quiet)
    return f"{len(quiet):,}{' more' if more else ''}, each fewer than about {most:,}"


def _nothing(statistics: Statistics, site: str, kind: Kind, today: date) -> Card:
    newest = _newest(statistics, site, kind, today)
    if newest is None:
        return Card(kind, empty=f"Counting. {NOT_YET} First figures by {long(first_breakdown(today))} at the latest.")
    return Card(kind, empty=f"{NOT_YET} None lies within these days.", nearest=newest)


def _newest(statistics: Statistics, site: str, kind: Kind, today: date) -> Period | None:
    """The last days for which this breakdown was released."""
    last = statistics.breakdown(site, kind.statistic, EARLIEST, today).last_day
    ends = [release.period_start for release in statistics.releases(site) if release.period_end == last]
    return custom(min(ends), last) if last and ends else None


def first_breakdown(today: date) -> date:
    """The day by which a site that begins today has its first breakdowns: the first of next month."""
    return (today.replace(day=28) + 4 * DAY).replace(day=1)


def _estimate(row: BreakdownRow) -> Estimate:
    return Estimate(row.value, row.sigma)
