"""The answer to a question: which days it is about, the rows, and what a reader must know of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any, Final

from anonymiser.stats import Statistics
from consent_app.dashboard.periods import DAY
from consent_app.dashboard.stats_api.question import Question, named_range, two_days
from consent_app.dashboard.stats_api.refusals import UnanswerableError, check_metrics, days, no_table
from consent_app.dashboard.stats_api.rows import Breakdowns, Row, Totals
from consent_app.dashboard.stats_api.values import CONFIDENCE, Policies
from consent_app.dashboard.stats_api.vocabulary import HOUR, table_of
from consent_app.sites import Site

MOST_CHANGES: Final = 6
DAYS_BY_DAY: Final = 62
DAYS_BY_WEEK: Final = 366
SIGNED: Final = "Values are as released: noise may take a small one below nought. Sums of them are right all the same."


@dataclass(slots=True)
class Answer:
    """What the API says: the question as it was answered, its rows, and notes; `changed` is why it is another one."""

    question: Question
    rows: list[Row]
    coverage: dict[str, Any]
    policy: dict[str, Any]
    labels: list[str]
    notes: list[str] = field(default_factory=list)
    changed: list[dict[str, str]] = field(default_factory=list)

    def document(self) -> dict[str, Any]:
        """As JSON: Plausible's `results`, `meta` and `query`, and beside each metric how sure it is."""
        question = self.question
        shown = self.rows[question.offset : question.offset + question.limit]
        meta: dict[str, Any] = {
            "confidence": CONFIDENCE,
            "policy": self.policy,
            "coverage": self.coverage,
            "notes": self.notes,
        }
        if self.changed:
            meta["changed"] = self.changed
        if "imports" in question.include:
            meta |= {"imports_included": False, "imports_skip_reason": "nothing is imported here"}
        if "time_labels" in question.include:
            meta["time_labels"] = self.labels
        if "total_rows" in question.include:
            meta["total_rows"] = len(self.rows)
        return {"results": [_result(row) for row in shown], "meta": meta, "query": question.document()}


def _result(row: Row) -> dict[str, Any]:
    return {
        "dimensions": [*row.dimensions],
        "metrics": [value.value for value in row.values],
        "certainty": [value.certainty for value in row.values],
    }


def answer(statistics: Statistics, site: Site, question: Question, today: date) -> Answer:
    """The rows for a question, seen on the site's local day `today`.

    Raises UnanswerableError where released figures do not have it; with `include.nearest` the nearest question is
    answered instead, and the answer says what was changed.
    """
    changed: list[dict[str, str]] = []
    while True:
        try:
            found = _answered(statistics, site, question, today)
        except UnanswerableError as refused:
            if "nearest" not in question.include or refused.nearest is None or len(changed) == MOST_CHANGES:
                raise
            changed.append({"field": refused.field, "reason": refused.reason})
            question = refused.nearest
            question = replace(question, include=question.include | {"nearest"})
        else:
            found.changed = changed
            return found


def _answered(statistics: Statistics, site: Site, question: Question, today: date) -> Answer:
    releases = statistics.releases(site.key)
    if not releases:
        raise UnanswerableError("date_range", "nothing has been released for this site yet", None)
    check_metrics(question)
    start, end = _range(question, today, min(release.period_start for release in releases))
    if question.time == HOUR:
        other = "the hours of the day, over all days, are the dimension visit:hour"
        nearest = replace(question, dimensions=tuple("time:day" if n == HOUR else n for n in question.dimensions))
        raise UnanswerableError("dimensions", f"nothing is released by hour; {other}", nearest)
    settled = replace(question, dates=days(start, end))
    table = table_of(settled.needed) if settled.needed else None
    if settled.needed and table is None:
        raise no_table(settled)
    buckets = _buckets(settled.time, start, end)
    policies = Policies(releases)
    source = Breakdowns(statistics, settled, table, policies, today) if table else Totals(statistics, settled, policies)
    rows = source.rows(buckets)
    newest = releases[-1]
    return Answer(
        settled,
        _ordered(settled, rows),
        source.coverage(),
        {"name": newest.policy, "epsilon": newest.epsilon, "delta": newest.delta, "k": newest.k},
        [label for label, _, _ in buckets],
        [*source.notes, *([SIGNED] if newest.policy == "dp" else [])],
    )


def _range(question: Question, today: date, first: date) -> tuple[date, date]:
    yesterday = today - DAY
    if question.dates == "day":
        nearest = replace(question, dates=days(yesterday, yesterday))
        raise UnanswerableError("date_range", "today is not released before it is over", nearest)
    if isinstance(question.dates, str):
        return named_range(question.dates, today, first)
    start, end = two_days(question.dates, today)
    if max(map(len, question.dates)) > len("2026-11-01"):
        raise UnanswerableError(
            "date_range", "figures are released for whole days of the site", replace(question, dates=days(start, end))
        )
    return start, end


Bucket = tuple[str, date, date]


def _buckets(time: str, start: date, end: date) -> list[Bucket]:
    """The parts of time that rows are about, each with its label; one without a label where time is no dimension."""
    if not time:
        return [("", start, end)]
    length = (end - start).days + 1
    if time == "time":
        time = "time:day" if length <= DAYS_BY_DAY else "time:week" if length <= DAYS_BY_WEEK else "time:month"
    found: list[Bucket] = []
    while start <= end:
        label, last = _bucket(time, start)
        found.append((label.isoformat(), start, min(last, end)))
        start = last + DAY
    return found


def _bucket(time: str, day: date) -> tuple[date, date]:
    """The first and last day of the day, week (from Monday) or month in which a day lies."""
    if time == "time:day":
        return day, day
    if time == "time:week":
        monday = day - day.weekday() * DAY
        return monday, monday + 6 * DAY
    return day.replace(day=1), (day.replace(day=28) + 4 * DAY).replace(day=1) - DAY


def _ordered(question: Question, rows: Sequence[Row]) -> list[Row]:
    """As asked; else by time, and by the first metric from the largest. What is not known comes last."""
    order = question.order or (*((question.time, False),) * bool(question.time), (question.metrics[0], True))
    found = sorted(rows, key=lambda row: row.dimensions)
    for name, down in reversed(order):
        if name in question.dimensions:
            place = question.dimensions.index(name)
            found.sort(key=lambda row, place=place: row.dimensions[place], reverse=down)  # type: ignore[misc]
        else:
            place = question.metrics.index(name)
            found.sort(key=lambda row, place=place, down=down: _rank(row, place, down))  # type: ignore[misc]
    return found


def _rank(row: Row, place: int, down: bool) -> tuple[bool, float]:
    value = row.values[place].value
    return value is None, 0 if value is None else -value if down else value
