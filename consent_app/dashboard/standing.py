"""How a site stands today: whether its figures are late, when the first ones come, and its line in the list."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from anonymiser.stats import DailyRow, Statistics
from consent_app.dashboard import charts, figures
from consent_app.dashboard.cards import first_breakdown
from consent_app.dashboard.charts import Point
from consent_app.dashboard.figures import Change, Estimate, Figure, total
from consent_app.dashboard.periods import DAY, DEFAULT, Period, long, named
from consent_app.sites import Site

LOOK_BACK: Final = 28 * DAY
GRACE: Final = timedelta(hours=6)


@dataclass(frozen=True, slots=True)
class Summary:
    """One line of the site list; `first` is the day of its first figures while there are none."""

    key: str
    name: str
    late: str
    first: str = ""
    spark: charts.LineChart | None = None
    views: Figure | None = None
    visitors: Figure | None = None


@dataclass(frozen=True, slots=True)
class Sum:
    """All sites together: a sum of sites, in which a visitor of two counts twice. `count` is how many it adds up."""

    count: int
    spark: charts.LineChart
    figures: Sequence[tuple[str, Figure | None, Change | None]]
    days: str
    missing: int


@dataclass(frozen=True, slots=True)
class Overview:
    """The list of sites, and their sum where there are several with figures."""

    summaries: Sequence[Summary]
    total: Sum | None


@dataclass(frozen=True, slots=True)
class Waiting:
    """When a site without figures will have some, and from when on their absence is a fault."""

    first: str
    breakdown: str
    after: str


def local_day(now: datetime, zone: ZoneInfo) -> date:
    """The day it is at the site."""
    return now.astimezone(zone).date()


def late(newest: date | None, now: datetime, zone: ZoneInfo) -> str:
    """What to say when yesterday's figures are overdue; "" while all is well or nothing was ever released."""
    expected = local_day(now - GRACE, zone) - DAY
    return "" if newest is None or newest >= expected else f"The newest day is {long(newest)}."


def waiting(today: date) -> Waiting:
    """What a site's page says before its first release."""
    return Waiting(long(today + DAY), long(first_breakdown(today)), long(today + 2 * DAY))


def overview(statistics: Statistics, sites: Sequence[Site], now: datetime) -> Overview:
    """The list of sites: all their days out of one question."""
    today = max((local_day(now, site.zone) for site in sites), default=now.date())
    found = statistics.daily_of_all(today - 2 * LOOK_BACK, today)
    summaries = [_summary(statistics, site, now, found.get(site.key, ())) for site in sites]
    counted = [site for site in sites if found.get(site.key)]
    total = _sum([found[site.key] for site in counted], today) if len(counted) > 1 else None
    return Overview(summaries, total)


def _summary(statistics: Statistics, site: Site, now: datetime, rows: Sequence[DailyRow]) -> Summary:
    """The site's line in the list of sites."""
    newest = max((row.day for row in rows), default=None) or statistics.newest_day(site.key)
    today = local_day(now, site.zone)
    if newest is None:
        return Summary(site.key, site.name, "", first=long(today + DAY))
    period = named(DEFAULT, today, None)
    values = {(row.day, row.metric): Estimate(row.value, row.sigma) for row in rows}
    points = [Point(day, day, values.get((day, "views"))) for day in _days(period)]
    views, visitors = (values.get((period.end, metric)) for metric in ("views", "visitors"))
    spark = charts.spark(f"{site.name}: views per day, {period.label}", points)
    shown = [figures.count(value) if value else None for value in (views, visitors)]
    return Summary(site.key, site.name, late(newest, now, site.zone), "", spark, *shown)


def _sum(sites: Sequence[Sequence[DailyRow]], today: date) -> Sum:
    """The last 28 days of several sites, added up day by day; days that one of them lacks are left out."""
    period = named(DEFAULT, today, None)
    before = period.before() or period
    by_day: dict[tuple[date, str], list[Estimate]] = {}
    for row in (row for rows in sites for row in rows):
        by_day.setdefault((row.day, row.metric), []).append(Estimate(row.value, row.sigma))
    whole = {key: total(parts) for key, parts in by_day.items() if len(parts) == len(sites)}
    points = [Point(day, day, whole.get((day, "views"))) for day in _days(period)]
    shown = [
        (label, _found(whole, metric, period), _found(whole, metric, before))
        for metric, label in (("views", "Views"), ("visitors", "Visitor-days"), ("visits", "Visits"))
    ]
    return Sum(
        len(sites),
        charts.spark(f"All sites: views per day, {period.label}", points),
        [
            (label, figures.count(total(now)) if now else None, _change(now, then, period.days))
            for label, now, then in shown
        ],
        period.label,
        sum(point.estimate is None for point in points),
    )


def _found(whole: Mapping[tuple[date, str], Estimate], metric: str, period: Period) -> list[Estimate]:
    """What is there of a period's days."""
    return [part for day in _days(period) if (part := whole.get((day, metric)))]


def _change(now: Sequence[Estimate], then: Sequence[Estimate], days: int) -> Change | None:
    """None unless every day of both periods is there."""
    return figures.change(total(now), total(then)) if len(now) == len(then) == days else None


def _days(period: Period) -> list[date]:
    return [period.start + n * DAY for n in range(period.days)]
