"""The line of a site's page, and the table behind it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from anonymiser.stats import PeriodRow
from consent_app.dashboard import charts, figures
from consent_app.dashboard.charts import Point
from consent_app.dashboard.figures import Estimate, Figure
from consent_app.dashboard.periods import Period, custom
from consent_app.dashboard.series import FEWEST_POINTS, Block, Series, axis_labels, blocks, equal, grains

METRICS: Final = {"views": "Views", "visitors": "Visitors", "visits": "Visits"}


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


def totals_graph(series: Series, metric: str, shown: Period, earlier: Period | None, around: Period) -> Graph:
    """The line over `shown`; a few days alone make none, so it then runs up to them."""
    if shown.days < FEWEST_POINTS:
        shown, earlier = custom(series.released(around)[0], shown.end), None
    size, unit = _grain(series, metric, shown)
    parts = blocks(shown.start, shown.end, size)
    drawn = equal(parts)
    before = equal(blocks(earlier.start, earlier.end, size))[: len(drawn)] if earlier else []
    points, others = series.points(metric, drawn), series.points(metric, before)
    days = series.are_visitor_days(drawn)
    names = [named(name, visitor_days=days) for name in METRICS]
    title = f"{named(metric, visitor_days=days)} per {unit}"
    again = dict(zip(drawn, before, strict=False))
    return Graph(
        chart=charts.line(title, points, axis_labels(drawn), others),
        days=shown.label,
        earlier=earlier.label if earlier else "",
        hazy=not readable(p.estimate for p in points),
        columns=[unit.capitalize(), *names, *([f"{named(metric, visitor_days=days)} earlier"] if earlier else [])],
        rows=[_row(series, metric, part, again.get(part), wide=bool(earlier)) for part in parts],
    )


def periods_graph(title: str, rows: Sequence[PeriodRow], before: Sequence[PeriodRow], unit: str) -> Graph | None:
    """The line over released periods; None where there are too few for one."""
    if len(rows) < 2:
        return None
    points, others = _points(rows), _points(before)
    shown = [_figures(row) for row in rows]
    earlier = custom(before[0].start, before[-1].end).label if before else ""
    past = [_figures(row) for row in before] if before else []
    return Graph(
        chart=charts.line(f"{title} per {unit}", points, axis_labels([(r.start, r.end) for r in rows]), others),
        days=custom(rows[0].start, rows[-1].end).label,
        earlier=earlier,
        hazy=not readable(p.estimate for p in points),
        columns=[unit.capitalize(), title, *([f"{title} earlier"] if before else [])],
        rows=[
            TableRow(point.label, [shown[n], *([past[n] if n < len(past) else None] if before else [])])
            for n, point in enumerate(points)
        ],
    )


def _points(rows: Iterable[PeriodRow]) -> list[Point]:
    return [Point(row.start, row.end, _estimate(row)) for row in rows]


def _estimate(row: PeriodRow) -> Estimate | None:
    return None if row.value is None else Estimate(float(row.value), row.sigma)


def _figures(row: PeriodRow) -> Figure | None:
    estimate = _estimate(row)
    return figures.count(estimate) if estimate else None


def _grain(series: Series, metric: str, shown: Period) -> tuple[int, str]:
    """Days when the line can be read in days, else the longer blocks in which it can."""
    choices = grains(shown.days)
    for size, unit in choices:
        if readable(p.estimate for p in series.points(metric, blocks(shown.start, shown.end, size))):
            return size, unit
    return choices[-1]


def readable(estimates: Iterable[Estimate | None]) -> bool:
    """Whether at least half the points are larger than their noise."""
    known = [estimate.known for estimate in estimates if estimate]
    return 2 * sum(known) >= len(known)


def _row(series: Series, metric: str, part: Block, earlier: Block | None, *, wide: bool) -> TableRow:
    values = [series.value(name, *part) for name in METRICS]
    if wide:
        values.append(series.value(metric, *earlier) if earlier else None)
    return TableRow(custom(*part).label, [figures.count(value) if value else None for value in values])


def named(metric: str, *, visitor_days: bool) -> str:
    """What a metric is called; visitors who cannot be recognised over so many days are visitor-days."""
    return "Visitor-days" if metric == "visitors" and visitor_days else METRICS[metric]
