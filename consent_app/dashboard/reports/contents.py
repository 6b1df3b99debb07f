"""What a report says: headline figures, a bar for each day, where visitors came from, what they read and reached."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

from anonymiser.bounds import OTHER
from anonymiser.stats import BreakdownRow, Release, Statistics
from consent_app.dashboard import charts, figures
from consent_app.dashboard.figures import Change, Estimate, Figure
from consent_app.dashboard.periods import DAY, Period, custom, short
from consent_app.dashboard.series import Series, axis_labels
from consent_app.errors import ConsentError
from consent_app.sites import Site

WEEK: Final = "week"
MONTH: Final = "month"
BAR_HEIGHT: Final = 96
METRICS: Final = {"visitors": "Visitors", "views": "Page views", "visits": "Visits"}
SECTIONS: Final[tuple[tuple[str, str, str, int], ...]] = (
    ("sources", "Where visitors came from", "Source", 6),
    ("pages", "What they read", "Page", 8),
    ("goals", "What they reached", "Goal", 6),
)


class ReportError(ConsentError):
    """A report that cannot be made or sent."""


@dataclass(frozen=True, slots=True)
class Headline:
    """One headline figure and how it moved, in words; None while too little is known."""

    label: str
    figure: Figure | None
    change: str
    direction: str


@dataclass(frozen=True, slots=True)
class Bar:
    """One day: its label on the axis ("" for most of a month), its figure, and the pixels sure and possible."""

    label: str
    day: str
    figure: Figure | None
    low: int
    high: int


@dataclass(frozen=True, slots=True)
class Line:
    """One row of a section; its bar is sure up to `low` per cent and ends by `high`."""

    label: str
    detail: str
    figure: Figure
    low: int
    high: int


@dataclass(frozen=True, slots=True)
class Section:
    """One breakdown. `note` says which days it covers, `empty` why it has no rows, `more` what is left out.

    Without rows and without a word in `empty` it is not released for these days.
    """

    statistic: str
    title: str
    column: str
    lines: Sequence[Line] = ()
    note: str = ""
    empty: str = ""
    more: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """A report, ready to be written in HTML, in plain text and as a picture."""

    site: Site
    title: str
    period: Period
    headlines: Sequence[Headline]
    against: str
    coverage: str
    bars: Sequence[Bar]
    chart: charts.LineChart
    sections: Sequence[Section]
    visitor_days: bool
    hazy: bool
    newest: Release

    @property
    def told(self) -> list[Section]:
        """The sections that say something."""
        return [section for section in self.sections if section.lines or section.empty]

    @property
    def untold(self) -> str:
        """The names of those that are not released for these days: `sources, pages and goals`."""
        names = [section.statistic for section in self.sections if section not in self.told]
        return " and ".join(filter(None, (", ".join(names[:-1]), *names[-1:])))

    @property
    def name(self) -> str:
        """What its files are called, such as `kent-2026-10`."""
        days = f"{self.period.start:%Y-%m}" if self.period.name == "last-month" else self.period.start.isoformat()
        return f"{self.site.key}-{days}"


def wanted(kind: str, today: date, day: date | None = None) -> Period:
    """The week or month in which `day` lies; without one, the last that is over on the local day `today`.

    Raises ReportError for one that is not over.
    """
    if kind == WEEK:
        inside = day or today - 7 * DAY
        start = inside - inside.weekday() * DAY
        period = custom(start, start + 6 * DAY)
    else:
        inside = day or today.replace(day=1) - DAY
        start = inside.replace(day=1)
        period = Period("last-month", start, (start + 31 * DAY).replace(day=1) - DAY)
    if period.end >= today:
        raise ReportError(f"the {kind} of {inside} is not over; reports are of whole {kind}s")
    return period


def report(statistics: Statistics, site: Site, period: Period) -> Report:
    """The report of a site for a whole week or month. Raises ReportError where nothing of it is released."""
    releases = statistics.releases(site.key)
    earlier = period.before()
    series = Series(statistics, site.key, [each for each in (period, earlier) if each])
    days = series.released(period)
    if not days or not releases:
        raise ReportError(f"nothing is released of {site.name} for {period.label}; has `consent batch` run?")
    held = earlier if earlier and series.covers(earlier) and series.covers(period) else None
    parts = [(period.start + n * DAY,) * 2 for n in range(period.days)]
    points = series.points("visitors", parts)
    daily = [figures.count(point.estimate) for point in points if point.estimate]
    kinds = [each for each in SECTIONS if each[0] != "goals" or site.goals]
    return Report(
        site=site,
        title=f"{period.start:%B %Y}" if period.name == "last-month" else f"Week of {period.label}",
        period=period,
        headlines=_headlines(series, custom(days[0], days[-1]), held),
        against=_against(period, held),
        coverage=_coverage(len(days), period),
        bars=_bars(points, weekly=period.days <= 7),
        chart=charts.line("Visitors per day", points, axis_labels(parts)),
        sections=[_section(statistics, site, kind, period) for kind in kinds],
        visitor_days=series.are_visitor_days([(days[0], days[-1])]),
        hazy=2 * sum(each.limit for each in daily) > len(daily),
        newest=releases[-1],
    )


def _against(period: Period, held: Period | None) -> str:
    if held is None:
        return ""
    return (
        f"Changes are against {held.start:%B}."
        if period.name == "last-month"
        else "Changes are against the week before."
    )


def _coverage(released: int, period: Period) -> str:
    if released == period.days:
        return ""
    return f"Only {released} of the {period.days} days are released; the figures are of those."


# -- headlines --------------------------------------------------------------------------------------------------------


def _headlines(series: Series, shown: Period, held: Period | None) -> list[Headline]:
    days = series.are_visitor_days([(shown.start, shown.end)])
    found = []
    for metric, label in METRICS.items():
        now = series.sum(metric, shown.start, shown.end)
        then = series.sum(metric, held.start, held.end) if held else None
        change = figures.change(now, then) if now and then else None
        name = "Visitor-days" if metric == "visitors" and days else label
        found.append(_headline(name, figures.count(now) if now else None, change))
    return [*found, _bounces(series, shown, held)]


def _bounces(series: Series, shown: Period, held: Period | None) -> Headline:
    now = _pair(series, shown)
    then = _pair(series, held) if held else None
    rate = figures.share(*now) if now else None
    change = figures.share_change(now, then) if now and then and rate else None
    return _headline("One-page visits", rate, change)


def _pair(series: Series, period: Period) -> tuple[Estimate, Estimate] | None:
    bounces, visits = (series.sum(name, period.start, period.end) for name in ("bounces", "visits"))
    return (bounces, visits) if bounces and visits else None


def _headline(label: str, figure: Figure | None, change: Change | None) -> Headline:
    if change is None:
        return Headline(label, figure, "", "")
    return Headline(label, figure, in_words(change.text), change.direction)


def in_words(text: str) -> str:
    """`±` as people say it."""
    before, sign, margin = text.partition(" ± ")
    return f"{before}, give or take {margin}" if sign else text


# -- bars and rows ----------------------------------------------------------------------------------------------------


def _bars(points: Sequence[charts.Point], *, weekly: bool) -> list[Bar]:
    highest = max((p.estimate.value + p.estimate.margin for p in points if p.estimate), default=1)
    return [_bar(point, max(highest, 1), weekly=weekly) for point in points]


def _bar(point: charts.Point, highest: float, *, weekly: bool) -> Bar:
    label = f"{point.start:%a}" if weekly else str(point.start.day) if point.start.day % 7 == 1 else ""
    if point.estimate is None:
        return Bar(label, short(point.start), None, 0, 0)
    low, high = _ends(point.estimate, highest, BAR_HEIGHT)
    return Bar(label, short(point.start), figures.count(point.estimate), low, high)


def _ends(estimate: Estimate, highest: float, size: int) -> tuple[int, int]:
    """How far a bar is sure, and how far it may go, of so many parts."""
    low = max(0, estimate.value - estimate.margin)
    high = max(low, estimate.value + estimate.margin)
    return round(size * low / highest), round(size * high / highest)


def _section(statistics: Statistics, site: Site, kind: tuple[str, str, str, int], period: Period) -> Section:
    name, title, column, most = kind
    breakdown = statistics.breakdown(site.key, name, period.start, period.end)
    if breakdown.first_day is None or breakdown.last_day is None:
        return Section(name, title, column)
    covered = custom(breakdown.first_day, breakdown.last_day)
    known = [row for row in breakdown.rows if row.key1 != OTHER and not figures.count(_estimate(row)).limit]
    quiet = len([row for row in breakdown.rows if row.key1 != OTHER]) - len(known)
    lines = _lines(known[:most])
    return Section(
        name,
        title,
        column,
        lines,
        note="" if covered.days == period.days else f"Whole weeks only: {covered.label}.",
        empty="" if lines else "Nothing stands out from the noise in these days.",
        more=_more(len(known) - len(lines), quiet),
    )


def _lines(rows: Sequence[BreakdownRow]) -> list[Line]:
    highest = max((_estimate(row).value + _estimate(row).margin for row in rows), default=1)
    return [
        Line(
            row.key1,
            "" if row.key2 in (row.key1, "") else row.key2,
            figures.count(_estimate(row)),
            *_ends(_estimate(row), highest, 100),
        )
        for row in rows
    ]


def _more(left_out: int, quiet: int) -> str:
    """What is not shown: rows for which there is no room, and rows that are smaller than their noise."""
    parts = [f"{left_out} more" if left_out else "", f"{quiet} too small to tell" if quiet else ""]
    return " and ".join(filter(None, parts))


def _estimate(row: BreakdownRow) -> Estimate:
    return Estimate(row.value, row.sigma)
