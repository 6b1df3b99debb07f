"""What one site's page says: headline figures, the line and what it is held against, the table behind it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

from anonymiser.stats import Statistics
from consent_app.dashboard import charts, figures
from consent_app.dashboard.cards import Card, cards
from consent_app.dashboard.figures import Change, Estimate, Figure
from consent_app.dashboard.periods import BEFORE, COMPARISONS, DAY, Period, custom
from consent_app.dashboard.series import COUNTS, FEWEST_POINTS, Block, Series, axis_labels, blocks, equal, grains

METRICS: Final = {"views": "Views", "visitors": "Visitors", "visits": "Visits"}
CONTEXT: Final = 27 * DAY


@dataclass(frozen=True, slots=True)
class Asked:
    """What a page is asked to show: the days, the metric of the line, and a key of COMPARISONS."""

    period: Period
    metric: str = "views"
    comparison: str = BEFORE


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
class Graph:
    """The line and the table behind it. `earlier` names the days of the dashed line, `hazy` says it is mostly noise."""

    chart: charts.LineChart
    days: str
    earlier: str
    hazy: bool
    columns: Sequence[str]
    rows: Sequence[TableRow]


@dataclass(frozen=True, slots=True)
class View:
    """A site's page for one period. `coverage` says which days are missing, `nearest` which have figures.

    `comparison` says what the changes are against; `other` is the comparison it offers instead, if it has figures.
    """

    coverage: str
    nearest: Period | None
    headlines: Sequence[Headline]
    comparison: str
    other: str
    visitor_days: bool
    graph: Graph | None
    cards: Sequence[Card]


def view(statistics: Statistics, site: str, asked: Asked, first: date, today: date) -> View:
    """The site's page; `first` is its first released day, `today` the local day it is seen on."""
    period, earlier = asked.period, asked.period.compared(asked.comparison)
    around = custom(period.end - CONTEXT, period.end)
    series = Series(statistics, site, filter(None, (period, earlier, around)))
    days = series.released(period)
    if not days:
        near = _nearest(statistics, site, first)
        return View(_coverage(period, days), near, (), "", "", False, None, cards(statistics, site, period, today))
    shown = custom(days[0], days[-1])
    held = earlier if earlier and series.covers(earlier) and series.covers(period) else None
    return View(
        coverage=_coverage(period, days),
        nearest=None,
        headlines=_headlines(series, shown, held),
        comparison=_comparison(period, earlier, held, complete=series.covers(period)),
        other=_other(asked, first),
        visitor_days=series.are_visitor_days([(shown.start, shown.end)]),
        graph=_graph(series, asked.metric, shown, held, around),
        cards=cards(statistics, site, period, today),
    )


def _coverage(period: Period, days: Sequence[date]) -> str:
    if not days:
        return "Nothing has been released for these days."
    if len(days) == period.days:
        return ""
    between = "" if (days[-1] - days[0]).days + 1 == len(days) else ", with gaps"
    are = "is" if len(days) == 1 else "are"
    return f"{len(days):,} of these {period.days:,} days {are} released: {custom(days[0], days[-1]).label}{between}."


def _nearest(statistics: Statistics, site: str, first: date) -> Period | None:
    newest = statistics.newest_day(site)
    return custom(max(newest - CONTEXT, first), newest) if newest else None


def _comparison(period: Period, earlier: Period | None, held: Period | None, *, complete: bool) -> str:
    if held:
        return f"Changes are against {held.label}."
    if earlier is None:
        return ""
    missing = earlier if complete else period
    return f"Changes are not known: not all days of {missing.label} are released."


def _other(asked: Asked, first: date) -> str:
    """The comparison that is not shown, if its days begin after the site's first released day."""
    name = next(name for name in COMPARISONS if name != asked.comparison)
    period = asked.period.compared(name)
    return name if period and period.start >= first else ""


# -- headlines --------------------------------------------------------------------------------------------------------


def _headlines(series: Series, shown: Period, earlier: Period | None) -> list[Headline]:
    now = {metric: series.sum(metric, shown.start, shown.end) for metric in COUNTS}
    then = {metric: series.sum(metric, earlier.start, earlier.end) for metric in COUNTS} if earlier else {}
    days = series.are_visitor_days([(shown.start, shown.end)])
    counted = [
        Headline(
            _name(metric, visitor_days=days),
            figures.count(value) if (value := now[metric]) else None,
            figures.change(value, before) if value and (before := then.get(metric)) else None,
            metric,
        )
        for metric in METRICS
    ]
    return [*counted, _bounce_rate(now, then)]


def _bounce_rate(now: dict[str, Estimate | None], then: dict[str, Estimate | None]) -> Headline:
    shares = [
        (bounces, visits)
        for counts in (now, then)
        if (bounces := counts.get("bounces")) and (visits := counts.get("visits"))
    ]
    rate = figures.share(*shares[0]) if shares else None
    change = figures.share_change(shares[0], shares[1]) if len(shares) == 2 and rate else None
    return Headline("Bounce rate", rate, change)


def _name(metric: str, *, visitor_days: bool) -> str:
    return "Visitor-days" if metric == "visitors" and visitor_days else METRICS[metric]


# -- the line and its table -------------------------------------------------------------------------------------------


def _graph(series: Series, metric: str, shown: Period, earlier: Period | None, around: Period) -> Graph:
    """The line over `shown`; a few days alone make none, so it then runs up to them."""
    if shown.days < FEWEST_POINTS:
        shown, earlier = custom(series.released(around)[0], shown.end), None
    size, unit = _grain(series, metric, shown)
    parts = blocks(shown.start, shown.end, size)
    drawn = equal(parts)
    before = equal(blocks(earlier.start, earlier.end, size))[: len(drawn)] if earlier else []
    points, others = series.points(metric, drawn), series.points(metric, before)
    days = series.are_visitor_days(drawn)
    names = [_name(name, visitor_days=days) for name in METRICS]
    title = f"{_name(metric, visitor_days=days)} per {unit}"
    again = dict(zip(drawn, before, strict=False))
    return Graph(
        chart=charts.line(title, points, axis_labels(drawn), others),
        days=shown.label,
        earlier=earlier.label if earlier else "",
        hazy=not _readable(p.estimate for p in points),
        columns=[unit.capitalize(), *names, *([f"{_name(metric, visitor_days=days)} earlier"] if earlier else [])],
        rows=[_row(series, metric, part, again.get(part), wide=bool(earlier)) for part in parts],
    )


def _grain(series: Series, metric: str, shown: Period) -> tuple[int, str]:
    """Days when the line can be read in days, else the longer blocks in which it can."""
    choices = grains(shown.days)
    for size, unit in choices:
        if _readable(p.estimate for p in series.points(metric, blocks(shown.start, shown.end, size))):
            return size, unit
    return choices[-1]


def _readable(estimates: Iterable[Estimate | None]) -> bool:
    """Whether at least half the points are larger than their noise."""
    known = [estimate.known for estimate in estimates if estimate]
    return 2 * sum(known) >= len(known)


def _row(series: Series, metric: str, part: Block, earlier: Block | None, *, wide: bool) -> TableRow:
    values = [series.value(name, *part) for name in METRICS]
    if wide:
        values.append(series.value(metric, *earlier) if earlier else None)
    return TableRow(custom(*part).label, [figures.count(value) if value else None for value in values])
