"""What one site's page says: headline figures, the line and what it is held against, the table behind it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

from anonymiser.stats import Statistics
from consent_app.dashboard import figures
from consent_app.dashboard.cards import Card, Question, cards
from consent_app.dashboard.figures import Change, Estimate, Figure
from consent_app.dashboard.filters import Filter
from consent_app.dashboard.focus import focused
from consent_app.dashboard.graphs import METRICS, Graph, named, totals_graph
from consent_app.dashboard.periods import BEFORE, COMPARISONS, DAY, OFF, Period, custom
from consent_app.dashboard.series import COUNTS, Series

CONTEXT: Final = 27 * DAY


@dataclass(frozen=True, slots=True)
class Asked:
    """What a page is asked to show: the days, the metric of the line, a key of COMPARISONS, filters, tabs by name."""

    period: Period
    metric: str = "views"
    comparison: str = BEFORE
    filters: tuple[Filter, ...] = ()
    tabs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Headline:
    """One headline figure; None while too little is known. `metric` is what its link makes the line show, if any."""

    label: str
    figure: Figure | None
    change: Change | None
    metric: str = ""


@dataclass(frozen=True, slots=True)
class View:
    """A site's page for one period. `coverage` says which days are missing, `nearest` which have figures.

    `comparison` says what the changes are against; `note` is what must be said of filtered figures.
    """

    coverage: str
    nearest: Period | None
    headlines: Sequence[Headline]
    comparison: str
    visitor_days: bool
    graph: Graph | None
    cards: Sequence[Card]
    note: str = ""


def view(statistics: Statistics, site: str, asked: Asked, first: date, today: date) -> View:
    """The site's page; `first` is its first released day, `today` the local day it is seen on."""
    question = Question(statistics, site, asked.period, asked.filters, today)
    return _filtered(question, asked) if asked.filters else _whole(question, asked, first)


def _whole(question: Question, asked: Asked, first: date) -> View:
    period, earlier = asked.period, asked.period.compared(asked.comparison)
    around = custom(period.end - CONTEXT, period.end)
    series = Series(question.statistics, question.site, filter(None, (period, earlier, around)))
    days = series.released(period)
    if not days:
        near = _nearest(question.statistics, question.site, first)
        return View(_coverage(period, days), near, (), "", False, None, cards(question, asked.tabs))
    shown = custom(days[0], days[-1])
    held = earlier if earlier and series.covers(earlier) and series.covers(period) else None
    return View(
        coverage=_coverage(period, days),
        nearest=None,
        headlines=_headlines(series, shown, held),
        comparison=_comparison(period, earlier, held, complete=series.covers(period)),
        visitor_days=series.are_visitor_days([(shown.start, shown.end)]),
        graph=totals_graph(series, asked.metric, shown, held, around),
        cards=cards(question, asked.tabs),
    )


def _filtered(question: Question, asked: Asked) -> View:
    """The page of a filter: its own visitor-days, over the periods in which they were released."""
    found = focused(question, asked.comparison)
    return View(
        coverage=found.coverage,
        nearest=found.nearest,
        headlines=[Headline("Visitor-days", found.figure, found.change)] if found.figure else (),
        comparison=found.comparison,
        visitor_days=False,
        graph=found.graph,
        cards=cards(question, asked.tabs),
        note=found.note,
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


def comparisons(period: Period, first: date) -> list[str]:
    """The comparisons that can be offered: those whose days begin after the site's first released day, and none."""
    known = [(name, period.compared(name)) for name in COMPARISONS if name != OFF]
    return [*(name for name, against in known if against and against.start >= first), OFF]


# -- headlines --------------------------------------------------------------------------------------------------------


def _headlines(series: Series, shown: Period, earlier: Period | None) -> list[Headline]:
    now = {metric: series.sum(metric, shown.start, shown.end) for metric in COUNTS}
    then = {metric: series.sum(metric, earlier.start, earlier.end) for metric in COUNTS} if earlier else {}
    days = series.are_visitor_days([(shown.start, shown.end)])
    counted = [
        Headline(
            named(metric, visitor_days=days),
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
