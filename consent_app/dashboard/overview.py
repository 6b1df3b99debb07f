"""What one site's page and one line of the site list say: headline figures, the line, the table behind it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from anonymiser.stats import Statistics
from consent_app.dashboard import charts, figures
from consent_app.dashboard.cards import Card, cards, first_breakdown
from consent_app.dashboard.figures import Change, Estimate, Figure
from consent_app.dashboard.periods import DAY, Period, custom, long, named
from consent_app.dashboard.series import COUNTS, Series, axis_labels, blocks, equal, grains

METRICS: Final = {"views": "Views", "visitors": "Visitors", "visits": "Visits"}
GRACE: Final = timedelta(hours=6)


@dataclass(frozen=True, slots=True)
class Headline:
    """One headline figure; None while too little is known. `metric` is what its link makes the line show, if any."""

    label: str
    figure: Figure | None
    change: Change | None
    metric: str = ""


@dataclass(frozen=True, slots=True)
class TableRow:
    """One line of the table behind the chart; None where nothing was released."""

    label: str
    figures: Sequence[Figure | None]


@dataclass(frozen=True, slots=True)
class View:
    """A site's page for one period. `coverage` says which days are missing, `nearest` which have figures."""

    coverage: str
    nearest: Period | None
    headlines: Sequence[Headline]
    comparison: str
    visitor_days: bool
    chart: charts.LineChart
    hazy: bool
    grain: str
    table: Sequence[TableRow]
    cards: Sequence[Card]


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


def summary(statistics: Statistics, key: str, name: str, zone: ZoneInfo, now: datetime) -> Summary:
    """The site's line in the list of sites."""
    newest, today = statistics.newest_day(key), local_day(now, zone)
    if newest is None:
        return Summary(key, name, "", first=long(today + DAY))
    period = named("28d", today, None)
    series = Series(statistics, key, period.start, period.end)
    points = series.points("views", blocks(period.start, period.end, 1))
    values = (series.value(metric, period.end, period.end) for metric in ("views", "visitors"))
    views, visitors = (figures.count(value) if value else None for value in values)
    title = f"{name}: views per day, {period.label}"
    return Summary(key, name, late(newest, now, zone), "", charts.spark(title, points), views, visitors)


def view(statistics: Statistics, site: str, period: Period, metric: str, today: date) -> View:
    """The site's page for `period`, its line showing `metric`."""
    before = period.before()
    series = Series(statistics, site, (before or period).start, period.end)
    days = series.released(period)
    shown = custom(days[0], days[-1]) if days else period
    compared = before if before and _whole(series, before) and _whole(series, period) else None
    _, visitor_days = series.visitors(shown.start, shown.end) if days else (None, False)
    unit, parts = _blocks(series, metric, shown)
    drawn = equal(parts)
    points = series.points(metric, drawn)
    return View(
        coverage=_coverage(period, days),
        nearest=None if days else _nearest(statistics, site, today),
        headlines=_headlines(series, shown, compared, visitor_days) if days else (),
        comparison=_comparison(before, compared),
        visitor_days=visitor_days,
        chart=charts.line(f"{_name(metric, visitor_days)} per {unit}", points, axis_labels(drawn)),
        hazy=not _readable([p.estimate for p in points if p.estimate]),
        grain=unit.capitalize(),
        table=_table(series, parts),
        cards=cards(statistics, site, period, today),
    )


def _whole(series: Series, period: Period) -> bool:
    return len(series.released(period)) == period.days


def _coverage(period: Period, days: Sequence[date]) -> str:
    if not days:
        return "Nothing has been released for these days."
    if len(days) == period.days:
        return ""
    between = "" if (days[-1] - days[0]).days + 1 == len(days) else ", with gaps"
    return f"{len(days):,} of these {period.days:,} days are released: {custom(days[0], days[-1]).label}{between}."


def _nearest(statistics: Statistics, site: str, today: date) -> Period | None:
    newest = statistics.newest_day(site)
    return (
        custom(max(newest - 27 * DAY, min(r.period_start for r in statistics.releases(site))), newest)
        if newest
        else None
    )


def _name(metric: str, visitor_days: bool) -> str:
    return "Visitor-days" if metric == "visitors" and visitor_days else METRICS[metric]


def _blocks(series: Series, metric: str, shown: Period) -> tuple[str, list[tuple[date, date]]]:
    """The unit of the line and its blocks: days when they can be read, else the longer blocks that can."""
    choices = [(name, blocks(shown.start, shown.end, size)) for size, name in grains(shown.days)]
    for name, parts in choices:
        if _readable([p.estimate for p in series.points(metric, parts) if p.estimate]):
            return name, parts
    return choices[-1]


def _readable(estimates: Sequence[Estimate]) -> bool:
    """Whether at least half the points are larger than their noise."""
    return 2 * sum(estimate.known for estimate in estimates) >= len(estimates)


def _headlines(series: Series, shown: Period, compared: Period | None, visitor_days: bool) -> list[Headline]:
    now = {metric: _sum(series, metric, shown) for metric in COUNTS}
    then = {metric: _sum(series, metric, compared) for metric in COUNTS} if compared else {}
    counted = [
        Headline(
            _name(metric, visitor_days),
            figures.count(value) if (value := now[metric]) else None,
            figures.change(value, earlier) if value and (earlier := then.get(metric)) else None,
            metric,
        )
        for metric in METRICS
    ]
    rate = figures.share(now["bounces"], now["visits"]) if now["bounces"] and now["visits"] else None
    return [*counted, Headline("Bounce rate", rate, None)]


def _sum(series: Series, metric: str, period: Period) -> Estimate | None:
    if metric == "visitors":
        return series.visitors(period.start, period.end)[0]
    return series.sum(metric, period.start, period.end)


def _comparison(before: Period | None, compared: Period | None) -> str:
    if compared:
        return f"Changes are against {compared.label}."
    return f"There are no figures of all of {before.label} to compare with." if before else ""


def _table(series: Series, parts: Sequence[tuple[date, date]]) -> list[TableRow]:
    rows = []
    for start, end in parts:
        values = (series.value(metric, start, end) for metric in METRICS)
        rows.append(TableRow(custom(start, end).label, [figures.count(v) if v else None for v in values]))
    return rows
