"""Breakdown cards: rows that stand out from the noise with their bars, the others named together, "(other)" last."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from statistics import NormalDist
from typing import Final

from anonymiser.bounds import CROSSED, OTHER
from anonymiser.stats import Breakdown, BreakdownRow, Statistics
from consent_app.dashboard import filters as filtering
from consent_app.dashboard.figures import Estimate, Figure, count, limit, share, total
from consent_app.dashboard.filters import Filter
from consent_app.dashboard.names import called
from consent_app.dashboard.periods import DAY, Period, custom, long
from consent_app.dashboard.tabs import CARDS, Kind, Tab

SHOWN: Final = 9
CHANCE: Final = 0.05
FEW: Final = 2
NOT_YET: Final = "Released when a whole week is over, or a month where visitors are few."
GRAINS: Final = {1: ("day", "days"), 7: ("week", "weeks")}


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a card; its bar is sure up to `low` per cent of the card's width and ends by `high`.

    `filter` is what a click on it adds, `periods` says in how many of the periods it was released if not in all,
    `rate` its share where the card has one. `value` and `sigma` are for putting rows in order.
    """

    key: str
    label: str
    detail: str
    figure: Figure
    low: float
    high: float
    other: bool
    filter: Filter | None = None
    chosen: bool = False
    periods: str = ""
    rate: Figure | None = None
    value: float = 0.0
    sigma: float = 0.0


@dataclass(frozen=True, slots=True)
class Card:
    """One card as the template shows it.

    `covers` says which days it has, `empty` why there are no rows, `nearest` which days have some, `widen` which
    filters come nearest; `note` is what must be said of the rows.
    """

    kind: Kind
    tab: Tab
    rows: Sequence[Row] = ()
    more: int = 0
    quiet: Sequence[str] = ()
    quiet_label: str = ""
    covers: str = ""
    note: str = ""
    empty: str = ""
    nearest: Period | None = None
    widen: Sequence[Filter] | None = None


@dataclass(frozen=True, slots=True)
class Question:
    """What all cards of a page are asked: of a site, for a period, under filters, seen on the local day `today`."""

    statistics: Statistics
    site: str
    period: Period
    filters: Sequence[Filter]
    today: date


def cards(question: Question, tabs: Sequence[str]) -> list[Card]:
    """The site's cards, each with the tab that is named in `tabs`."""
    chosen = [(kind, _tab(question, kind, tabs)) for kind in CARDS]
    found = _found(question, [tab for _, tab in chosen])
    return [_card(question, kind, tab, *found[tab.name]) for kind, tab in chosen]


def _tab(question: Question, kind: Kind, tabs: Sequence[str]) -> Tab:
    """The tab that was asked for; under filters else the first that can answer."""
    asked = kind.chosen(tabs)
    if not question.filters or asked.name in tabs:
        return asked
    return next((tab for tab in kind.tabs if _is_answered(question, tab)), asked)


def _is_answered(question: Question, tab: Tab) -> bool:
    """Whether some released table has the tab's rows beside the filters; not yet in which days."""
    names = {*(f.dimension for f in question.filters), tab.dimension}
    table = filtering.table_of(*names) if tab.dimension and len(names) <= filtering.MOST else None
    return table is not None and (tab.statistic != "source_goals" or table.statistic == "source_goals")


def whole(question: Question, tab: Tab) -> Card:
    """One card with all its rows, the quiet ones too."""
    kind = next(kind for kind in CARDS if tab in kind.tabs)
    breakdown, note = _found(question, [tab])[tab.name]
    card = _card(question, kind, tab, breakdown, note)
    if breakdown is None or breakdown.first_day is None:
        return card
    return replace(card, rows=_rows(question, tab, breakdown, _summed(tab, breakdown.rows)), more=0)


Found = tuple[Breakdown | None, str]
"""A tab's rows, None where no released table has them under the filters, and what must be said of them."""


def _found(question: Question, tabs: Sequence[Tab]) -> dict[str, Found]:
    """What each tab has: without filters all of them out of one question."""
    if question.filters:
        return {tab.name: _filtered(question, tab) for tab in tabs}
    names = sorted({tab.statistic for tab in tabs if tab.statistic})
    period = question.period
    rows = question.statistics.breakdowns(question.site, names, period.start, period.end)
    return {tab.name: (rows.get(tab.statistic), "") for tab in tabs}


def _filtered(question: Question, tab: Tab) -> Found:
    if not tab.dimension:
        return None, ""
    found = filtering.answer(question.statistics, question.site, tab.dimension, question.filters, question.period)
    if found is None or (tab.statistic == "source_goals" and found.table.statistic != "source_goals"):
        return None, ""
    breakdown = filtering.asked(question.statistics, question.site, found, question.period)
    place = found.table.second == tab.dimension
    return replace(breakdown, rows=[_turned(row, tab, second=place) for row in breakdown.rows]), found.note


def _turned(row: BreakdownRow, tab: Tab, *, second: bool) -> BreakdownRow:
    """A row of a table of pairs as if it were one of the tab's own: its key where the tab looks for it."""
    key = row.key2 if second and row.key1 != OTHER else row.key1
    detail = "" if tab.statistic != "sources" or tab.second else row.key2 if not second else ""
    return replace(row, key1=detail if tab.second else key, key2=key if tab.second else detail)


def _card(question: Question, kind: Kind, tab: Tab, breakdown: Breakdown | None, note: str) -> Card:
    if tab.shape == "never":
        return Card(kind, tab, empty=tab.note)
    if breakdown is None:
        return _unanswered(question, kind, tab)
    if breakdown.first_day is None or breakdown.last_day is None:
        return _nothing(question, kind, tab)
    rows = _rows(question, tab, breakdown, _summed(tab, breakdown.rows))
    quiet = [] if tab.shape in ("ordered", "funnel") else _quiet(rows)
    silent = {row.key for row in quiet}
    loud = [row for row in rows if row.key not in silent]
    named = [row for row in loud if not row.other]
    others = [row for row in loud if row.other]
    shown = named if tab.shape in ("ordered", "funnel") else named[:SHOWN]
    return Card(
        kind,
        tab,
        rows=[*shown, *others],
        more=len(named) - len(shown),
        quiet=sorted(row.label for row in quiet),
        quiet_label=_quiet_label(quiet, more=bool(loud)),
        covers=_covers(question.period, breakdown),
        note=note,
        empty="" if loud else _silence(rows),
    )


def _quiet(rows: Sequence[Row]) -> list[Row]:
    """The rows that may be noise alone. Among hundreds a few are larger than their noise by chance: there the mark is
    so high that one in twenty cards has one such row.
    """
    mark = NormalDist().inv_cdf(1 - CHANCE / max(len(rows), FEW))
    return [row for row in rows if not row.other and (row.figure.limit or row.value < mark * row.sigma)]


def _silence(rows: Sequence[Row]) -> str:
    if not rows:
        return "Nothing was counted here in these days, or nothing often enough to be named."
    return "Nothing stands out from the noise in these days. A longer period shows more."


def _summed(tab: Tab, rows: Iterable[BreakdownRow]) -> list[tuple[str, str, Estimate, int]]:
    """(key, detail, sum, periods) of each key of the tab: where a table has two, over all of the other."""
    found: dict[str, list[BreakdownRow]] = {}
    for row in rows:
        key = row.key2 if tab.second and row.key1 != OTHER else row.key1
        found.setdefault(f"{row.key1} {row.key2}" if tab.shape == "funnel" else key, []).append(row)
    return [
        (key, _detail(tab, same), total(Estimate(r.value, r.sigma) for r in same), max(r.periods for r in same))
        for key, same in found.items()
    ]


def _detail(tab: Tab, rows: Sequence[BreakdownRow]) -> str:
    """The channel of a source; a source that has the name of its channel needs none."""
    first = rows[0]
    return first.key2 if tab.statistic == "sources" and not tab.second and first.key2 != first.key1 else ""


Sum = tuple[str, str, Estimate, int]


def _rows(question: Question, tab: Tab, breakdown: Breakdown, sums: Sequence[Sum]) -> list[Row]:
    whole = _visitor_days(question, breakdown) if tab.shape == "rate" else None
    top = max((e.value + e.margin for _, _, e, _ in sums if count(e).limit is False), default=0) or 1
    return [_row(question, tab, breakdown, each, top, whole) for each in _in_order(tab, sums)]


def _in_order(tab: Tab, sums: Sequence[Sum]) -> list[Sum]:
    if tab.shape == "ordered":
        place = {key: n for n, key in enumerate(tab.labels or ())}
        return sorted(sums, key=lambda each: place.get(each[0], len(place)))
    if tab.shape == "funnel":
        return sorted(sums, key=lambda each: (each[0].startswith(OTHER), each[0]))
    return sorted(sums, key=lambda each: (each[0] == OTHER, -each[2].value, each[0]))


def _row(question: Question, tab: Tab, breakdown: Breakdown, each: Sum, top: float, whole: Estimate | None) -> Row:
    key, detail, sum_, periods = each
    other = key.split(" ")[0] == OTHER
    missing = 0 if other else breakdown.periods - periods
    chosen = filtering.clicked(tab.dimension, key) if tab.dimension and key and not other else None
    return Row(
        key,
        _label(tab, key),
        detail,
        count(sum_),
        round(min(100, max(0, 100 * (sum_.value - sum_.margin) / top)), 1),
        round(min(100, max(0, 100 * (sum_.value + sum_.margin) / top)), 1),
        other,
        filter=chosen,
        chosen=chosen in question.filters,
        periods=f"in {periods:,} of {breakdown.periods:,} {grain(breakdown, 2)}" if missing > 0 else "",
        rate=share(sum_, whole) if whole and not other else None,
        value=sum_.value,
        sigma=sum_.sigma,
    )


def _label(tab: Tab, key: str) -> str:
    if key == "":
        return "(no channel)" if tab.second else "(none)"
    if tab.shape == "funnel":
        name, _, step = key.rpartition(" ")
        return f"{name}, step {step}" if step.isdecimal() else OTHER
    return (tab.labels or {}).get(key) or called(tab.dimension, key)


def _visitor_days(question: Question, breakdown: Breakdown) -> Estimate | None:
    """All visitor-days of the days a breakdown covers; under filters, those of the filters."""
    if breakdown.first_day is None or breakdown.last_day is None:
        return None
    if question.filters:
        return _focus(question, custom(breakdown.first_day, breakdown.last_day))
    days = question.statistics.daily(question.site, breakdown.first_day, breakdown.last_day)
    return total(Estimate(row.value, row.sigma) for row in days if row.metric == "visitors")


def _focus(question: Question, covered: Period) -> Estimate | None:
    """The visitor-days of the filters in those days; None of a goal, which is no part of another."""
    if any(f.dimension == "goal" for f in question.filters):
        return None
    found = filtering.focus(question.statistics, question.site, question.filters, covered)
    rows = filtering.asked(question.statistics, question.site, found, covered).rows if found and not found.note else []
    return total(Estimate(row.value, row.sigma) for row in rows) if rows else None


def grain(breakdown: Breakdown, number: int) -> str:
    """What the periods of a breakdown are called."""
    if breakdown.first_day is None or breakdown.last_day is None or not breakdown.periods:
        return ""
    days = ((breakdown.last_day - breakdown.first_day).days + 1) / breakdown.periods
    one, many = next((words for size, words in GRAINS.items() if days <= size), ("month", "months"))
    return one if number == 1 else many


def _covers(period: Period, breakdown: Breakdown) -> str:
    """Which days the rows are of, when it is not all of them."""
    if breakdown.first_day is None or breakdown.last_day is None:
        return ""
    covered = custom(breakdown.first_day, breakdown.last_day)
    if covered.days == period.days:
        return ""
    return f"Of these days, {breakdown.periods:,} whole {grain(breakdown, breakdown.periods)}: {covered.label}."


def _quiet_label(quiet: Sequence[Row], *, more: bool) -> str:
    if not quiet:
        return ""
    most = max(limit(Estimate(row.value, row.sigma)) for row in quiet)
    return f"{len(quiet):,}{' more' if more else ''}, each fewer than about {most:,}"


def _nothing(question: Question, kind: Kind, tab: Tab) -> Card:
    """No period of this table lies within the days: when the first comes, or where the newest is."""
    statistic = _statistic(question, tab)
    newest = newest_of(question, statistic)
    if newest:
        return Card(kind, tab, empty=f"{NOT_YET} None lies within these days.", nearest=newest)
    if question.statistics.newest_periods(question.site, ["pages", "sources"]):
        return Card(kind, tab, empty=_why_never(statistic))
    by = long(first_breakdown(question.today))
    return Card(kind, tab, empty=f"Counting. {NOT_YET} First figures by {by} at the latest.")


def _statistic(question: Question, tab: Tab) -> str:
    """The released table a tab's rows are of: under filters the one that has both."""
    if not question.filters or not tab.dimension:
        return tab.statistic
    found = filtering.answer(question.statistics, question.site, tab.dimension, question.filters, question.period)
    return found.table.statistic if found else tab.statistic


def _why_never(statistic: str) -> str:
    if statistic in CROSSED:
        return (
            "Two things at once are released from 2,000 visitors a day on, or where the site asks for it "
            "(crossed = true in sites.toml)."
        )
    if statistic in ("goals", "funnels"):
        return f"No {statistic} have been counted. They are declared in sites.toml; pages tell when one is reached."
    return "Nothing of this kind has been counted. A site that is counted from its logs has less to tell."


def _unanswered(question: Question, kind: Kind, tab: Tab) -> Card:
    """Why these rows cannot be filtered so, and which filter comes nearest."""
    chosen = question.filters[-1]
    beside = filtering.table_of(chosen.dimension, tab.dimension) if tab.dimension else None
    what = " and ".join(each.title.lower() for each in question.filters)
    if chosen.dimension == "page" and tab.dimension == "goal":
        near = [Filter("entry", chosen.value)]
        return Card(kind, tab, empty="Goals are released by the page a visit began with, not by each page.", widen=near)
    if beside and len(question.filters) > 1:
        return Card(kind, tab, empty="Three things at once are never released.", widen=[chosen])
    return Card(kind, tab, empty=f"{tab.title} by {what}: these are not released together.", widen=())


def newest_of(question: Question, statistic: str) -> Period | None:
    """The newest period for which a statistic was released."""
    found = question.statistics.newest_periods(question.site, [statistic]).get(statistic)
    return custom(*found) if found else None


def first_breakdown(today: date) -> date:
    """The day by which a site that begins today has its first breakdowns: the first of next month."""
    return (today.replace(day=28) + 4 * DAY).replace(day=1)


def chips(found: Sequence[Filter]) -> list[tuple[str, str, Mapping[str, str]]]:
    """Each filter as (dimension, value in words, the filters that are left without it)."""
    return [(f.title, called(f.dimension, f.value), {o.dimension: o.value for o in found if o != f}) for f in found]
