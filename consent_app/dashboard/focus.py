"""The figure of the filters themselves: how many visitor-days, in which released periods, against which before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from anonymiser.stats import PeriodRow
from consent_app.dashboard import figures, filters
from consent_app.dashboard.cards import GRAINS, Question, newest_of
from consent_app.dashboard.figures import Change, Estimate, Figure, total
from consent_app.dashboard.filters import Answer
from consent_app.dashboard.graphs import Graph, periods_graph
from consent_app.dashboard.periods import Period, custom


@dataclass(frozen=True, slots=True)
class Focus:
    """What a filtered page says at its top; no figure where nothing was released, and `nearest` then has some."""

    coverage: str = ""
    nearest: Period | None = None
    figure: Figure | None = None
    change: Change | None = None
    comparison: str = ""
    graph: Graph | None = None
    note: str = ""


def focused(question: Question, comparison: str) -> Focus:
    """The filters' own figure, line and change."""
    found = filters.focus(question.statistics, question.site, question.filters, question.period)
    if found is None:
        both = " and ".join(f.title.lower() for f in question.filters)
        return Focus(f"There are no figures of {both} together: they are not released. Take one of the two away.")
    rows = _periods(question, found, question.period)
    if not any(row.value is not None for row in rows):
        return _none(question, found, rows)
    earlier = question.period.compared(comparison)
    before = _periods(question, found, earlier) if earlier else []
    alike = before if len(before) == len(rows) and _same_days(rows, before) else []
    now, then = _sum(rows), _sum(alike)
    return Focus(
        coverage=_coverage(question, rows),
        figure=figures.count(now) if now else None,
        change=figures.change(now, then) if now and then else None,
        comparison=_against(alike, earlier),
        graph=periods_graph("Visitor-days", rows, alike, _unit(rows)),
        note=found.note,
    )


def _periods(question: Question, found: Answer, period: Period) -> list[PeriodRow]:
    return question.statistics.periods(
        question.site, found.table.statistic, period.start, period.end, **dict(found.keys)
    )


def _none(question: Question, found: Answer, rows: Sequence[PeriodRow]) -> Focus:
    if rows:
        return Focus(
            "In these days it was too rare to be named, and is part of “(other)”. A longer period may show it.",
            note=found.note,
        )
    newest = newest_of(question, found.table.statistic)
    if newest:
        return Focus("No whole week or month lies within these days.", nearest=newest, note=found.note)
    return Focus(
        "These two are not released together here: that begins at 2,000 visitors a day, or where the site asks for it "
        "(crossed = true in sites.toml)."
    )


def _sum(rows: Sequence[PeriodRow]) -> Estimate | None:
    parts = [Estimate(float(row.value), row.sigma) for row in rows if row.value is not None]
    return total(parts) if parts else None


def _same_days(rows: Sequence[PeriodRow], before: Sequence[PeriodRow]) -> bool:
    """Whether both are nearly as long: months differ by some days, a cut one by more."""
    now, then = (sum((row.end - row.start).days + 1 for row in part) for part in (rows, before))
    return abs(now - then) <= 0.1 * max(now, then)


def _coverage(question: Question, rows: Sequence[PeriodRow]) -> str:
    shown = custom(rows[0].start, rows[-1].end)
    hidden = sum(row.value is None for row in rows)
    parts = []
    if shown.days != question.period.days:
        parts.append(f"Figures for {len(rows):,} whole {_unit(rows)}{'s' if len(rows) > 1 else ''}: {shown.label}.")
    if hidden:
        parts.append(
            f"In {hidden:,} of {len(rows):,} it was too rare to be named; what it had there is not in the sum."
        )
    return " ".join(parts)


def _against(alike: Sequence[PeriodRow], earlier: Period | None) -> str:
    if alike:
        return f"Changes are against {custom(alike[0].start, alike[-1].end).label}."
    return f"Changes are not known: {earlier.label} has not as many whole weeks or months." if earlier else ""


def _unit(rows: Sequence[PeriodRow]) -> str:
    longest = max((row.end - row.start).days + 1 for row in rows)
    return next((one for size, (one, _) in GRAINS.items() if longest <= size), "month")
