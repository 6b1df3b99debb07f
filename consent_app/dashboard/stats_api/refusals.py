"""What no released figure answers: told with the field, the reason and the nearest question that has an answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from typing import Any

from consent_app.dashboard.stats_api.question import Question
from consent_app.dashboard.stats_api.vocabulary import ENGAGEMENT, GOAL, NEVER, TOTALS, VISITOR_DAYS, Table, beside
from consent_app.errors import FieldsError


class UnanswerableError(FieldsError):
    """A question that is well put, but that no released figure answers. `nearest` is None where none does."""

    def __init__(self, field: str, reason: str, nearest: Question | None) -> None:
        super().__init__({field: reason})
        self.field = field
        self.reason = reason
        self.nearest = nearest

    def facts(self) -> Mapping[str, Any]:
        """The fields, and the nearest question as a request."""
        nearest = self.nearest.document() if self.nearest else None
        return {**super().facts(), "nearest": nearest}


def check_metrics(question: Question) -> None:
    """Raise UnanswerableError for a metric that is never released, or not for the rows asked for."""
    for metric in question.metrics:
        if metric in NEVER:
            raise UnanswerableError("metrics", f"{metric}: {NEVER[metric]}", _without(question, metric))
        if question.needed and metric in TOTALS and metric not in ("visitors", VISITOR_DAYS):
            reason = f"{metric} is released for the whole site only, not by {' or '.join(question.needed)}"
            raise UnanswerableError("metrics", reason, swapped(question, metric, VISITOR_DAYS))


def _without(question: Question, metric: str) -> Question:
    """With the metric that comes nearest to it."""
    if metric in ("visit_duration", "time_on_page"):
        return Question(question.site, (VISITOR_DAYS,), question.dates, (ENGAGEMENT,))
    if metric == "scroll_depth":
        return Question(question.site, (VISITOR_DAYS,), question.dates, ("visit:scroll",))
    instead = VISITOR_DAYS if question.needed else "pageviews"
    return swapped(question, metric, instead)


def swapped(question: Question, metric: str, instead: str) -> Question:
    """The question with one metric in another's place, also where it is ordered by it."""
    metrics = dict.fromkeys(instead if name == metric else name for name in question.metrics)
    order = tuple((instead if name == metric else name, down) for name, down in question.order)
    return replace(question, metrics=tuple(metrics), order=order)


def no_table(question: Question) -> UnanswerableError:
    """No table holds these dimensions together."""
    needed = question.needed
    (first, *others), field = needed, "filters" if question.filters else "dimensions"
    others_known = beside(first)
    reason = f"no released table holds {' and '.join(others)} beside {first}"
    if others_known:
        reason += f"; there are {', '.join(others_known)}"
    return UnanswerableError(field, reason, _narrowed(question, {first}))


def not_wide(question: Question, table: Table) -> UnanswerableError:
    """The table of two dimensions is not released for this site."""
    reason = (
        f"{table.first} by {table.second} is released for sites with 2,000 visitors a day, or with `crossed = true` in "
        "sites.toml; this site has none"
    )
    kept = question.groups[:1] or question.needed[:1]
    return UnanswerableError("filters" if question.filters else "dimensions", reason, _narrowed(question, {*kept}))


def _narrowed(question: Question, kept: set[str]) -> Question:
    """The question about these dimensions alone, and those filters that need no other."""
    dimensions = tuple(name for name in question.dimensions if name in kept or name == question.time)
    filters = tuple(each for each in question.filters if {*each.dimensions()} <= kept)
    names = (*question.metrics, *dimensions)
    narrow = replace(
        question,
        dimensions=dimensions,
        filters=filters,
        order=tuple(each for each in question.order if each[0] in names),
    )
    for metric in question.metrics:
        if metric in ("conversion_rate", "group_conversion_rate") and GOAL not in narrow.needed:
            narrow = swapped(narrow, metric, VISITOR_DAYS)
        if metric == "percentage" and not narrow.groups:
            narrow = swapped(narrow, metric, VISITOR_DAYS)
    return narrow


def several(question: Question, table: Table) -> UnanswerableError:
    """Rows that one visitor may be in more than once would have to be added up."""
    reason = f"a visitor may have several of {table.several} on one day; added up they would count more than once"
    nearest = replace(question, dimensions=(*question.dimensions, table.several))
    return UnanswerableError("dimensions", reason, nearest)


def days(start: date, end: date) -> tuple[str, str]:
    """Two days as `date_range` has them."""
    return start.isoformat(), end.isoformat()
