"""Rows of an answer, from the daily totals of a site or from one of its breakdowns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any, Final

from anonymiser.bounds import ENGAGED, OTHER, SCROLLED
from anonymiser.stats import Breakdown, BreakdownRow, Statistics
from consent_app.dashboard.figures import Estimate
from consent_app.dashboard.periods import DAY, EARLIEST
from consent_app.dashboard.stats_api.filters import Condition
from consent_app.dashboard.stats_api.question import Question
from consent_app.dashboard.stats_api.refusals import UnanswerableError, days, not_wide, several, swapped
from consent_app.dashboard.stats_api.values import PER_CENT, Policies, Value, counted, rate, summed
from consent_app.dashboard.stats_api.vocabulary import DIVISORS, RATES, TOTALS, VISITOR_DAYS, Table

MOST_PARTS: Final = 120
NO_VALUE: Final = "A rate is null where too little is known of what it is a part of."
CLASSES: Final = {"engagement": ENGAGED, "scroll": SCROLLED}
Bucket = tuple[str, date, date]


@dataclass(frozen=True, slots=True)
class Row:
    """One line: the keys of its dimensions in the question's order, and its values in the order of the metrics."""

    dimensions: tuple[str, ...]
    values: tuple[Value, ...]


class Totals:
    """Rows about the whole site, out of its daily totals."""

    def __init__(self, statistics: Statistics, question: Question, policies: Policies) -> None:
        self._statistics = statistics
        self._question = question
        self._policies = policies
        self._start, self._end = (date.fromisoformat(day) for day in question.dates)
        self._days: dict[date, dict[str, Estimate]] = {}
        for row in statistics.daily(question.site, self._start, self._end):
            self._days.setdefault(row.day, {})[row.metric] = Estimate(row.value, row.sigma)
        self.notes: list[str] = [NO_VALUE] if {"bounce_rate", "views_per_visit"} & {*question.metrics} else []

    def coverage(self) -> dict[str, Any]:
        """Which of the days are released."""
        asked = (self._end - self._start).days + 1
        return {
            "first_day": min(self._days).isoformat(),
            "last_day": max(self._days).isoformat(),
            "days_released": len(self._days),
            "days_asked": asked,
        }

    def rows(self, buckets: Sequence[Bucket]) -> list[Row]:
        """One row for each part of time whose days are all released; without time, one over those that are."""
        if not self._days:
            newest = self._statistics.newest_day(self._question.site)
            nearest = replace(self._question, dates=days(max(EARLIEST, newest - 27 * DAY), newest)) if newest else None
            raise UnanswerableError("date_range", "nothing has been released for these days", nearest)
        if not self._question.time:
            return [Row((), self._values(self._start, self._end))]
        return [Row((label,), self._values(start, end)) for label, start, end in buckets if self._has(start, end)]

    def _has(self, start: date, end: date) -> bool:
        return all(day in self._days for day in _days(start, end))

    def _values(self, start: date, end: date) -> tuple[Value, ...]:
        policy = self._policies.of(start, end)
        found = [day for day in _days(start, end) if day in self._days]
        return tuple(self._value(metric, found, (start, end), policy) for metric in self._question.metrics)

    def _value(self, metric: str, found: Sequence[date], block: tuple[date, date], policy: str) -> Value:
        if metric == "visitors":
            return counted(self._visitors(*block), policy)
        parts = [summed(self._days[day].get(name, Estimate(0, 0)) for day in found) for name in TOTALS[metric]]
        if len(parts) == 1:
            return counted(parts[0], policy)
        return rate(parts[0], parts[1], policy, scale=PER_CENT if metric == "bounce_rate" else 1)

    def _visitors(self, start: date, end: date) -> Estimate:
        figure = self._statistics.visitors(self._question.site, start, end)
        if figure.is_visitor_days:
            raise UnanswerableError("metrics", *self._why_not(start, end))
        return Estimate(figure.value, figure.sigma)

    def _why_not(self, start: date, end: date) -> tuple[str, Question]:
        """Why different visitors of these days are not known, and what is."""
        instead = swapped(self._question, "visitors", VISITOR_DAYS)
        longest = self._statistics.longest_range(self._question.site)
        if (end - start).days >= longest:
            return f"different visitors are known over {longest} days at most; visitor_days over any", instead
        first, last = min(self._days), max(self._days)
        gapless = self._has(first, last) and (first, last) != (start, end)
        if (
            gapless
            and not self._question.time
            and not self._statistics.visitors(self._question.site, first, last).is_visitor_days
        ):
            reason = "different visitors are known only over days that are all released"
            return reason, replace(self._question, dates=days(first, last))
        reason = (
            "different visitors of several days need each day's totals and returning visitors, which logs do not have"
        )
        return reason, instead


class Breakdowns:
    """Rows out of one released table; the question's dates are two days by now."""

    def __init__(
        self, statistics: Statistics, question: Question, table: Table, policies: Policies, today: date
    ) -> None:
        self._statistics = statistics
        self._question = question
        self._table = table
        self._policies = policies
        self._today = today
        self._seen: list[Breakdown] = []
        self._wholes: dict[tuple[date, date], Estimate | None] = {}
        self.notes: list[str] = []
        if not self._fixed():
            raise several(question, table)

    def coverage(self) -> dict[str, Any]:
        """The days that the released periods cover."""
        return {
            "first_day": min(str(each.first_day) for each in self._seen),
            "last_day": max(str(each.last_day) for each in self._seen),
            "periods": sum(each.periods for each in self._seen),
        }

    def rows(self, buckets: Sequence[Bucket]) -> list[Row]:
        """The rows of each part of time that released periods fill."""
        if len(buckets) > MOST_PARTS:
            nearest = replace(self._question, dimensions=self._timed("time:month"))
            raise UnanswerableError("dimensions", f"a breakdown has at most {MOST_PARTS} parts of time", nearest)
        found: list[Row] = []
        for label, start, end in buckets:
            breakdown = self._statistics.breakdown(self._question.site, self._table.statistic, start, end)
            if breakdown.periods and (not label or (breakdown.first_day, breakdown.last_day) == (start, end)):
                self._seen.append(breakdown)
                found += self._rows(label, breakdown)
        if not self._seen:
            raise self._nothing(bool(self._question.time))
        self._note()
        return found

    def _timed(self, name: str) -> tuple[str, ...]:
        return tuple(name if each == self._question.time else each for each in self._question.dimensions)

    def _fixed(self) -> bool:
        """Whether no two rows of one visitor are added up: each is shown by itself, or one alone is picked."""
        name, question = self._table.several, self._question
        picked = (
            isinstance(each, Condition)
            and each.dimension == name
            and each.operator == "is"
            and each.case_sensitive
            and len(each.clauses) == 1
            for each in question.filters
        )
        return not name or name in question.groups or any(picked)

    def _rows(self, label: str, breakdown: Breakdown) -> list[Row]:
        groups: dict[tuple[str, ...], list[BreakdownRow]] = {}
        for row in self._kept([self._named(row) for row in breakdown.rows]):
            groups.setdefault(self._key(label, row), []).append(row)
        return [Row(key, self._values(key, group, breakdown)) for key, group in groups.items()]

    def _named(self, row: BreakdownRow) -> BreakdownRow:
        """With the name of a class instead of its number."""
        names = CLASSES.get(self._table.statistic)
        return replace(row, key1=names[int(row.key1) - 1]) if names else row

    def _kept(self, rows: list[BreakdownRow]) -> list[BreakdownRow]:
        columns = {self._table.first: [row.key1 for row in rows]}
        if self._table.second:
            columns[self._table.second] = [row.key2 or (OTHER if row.key1 == OTHER else "") for row in rows]
        kept = [True] * len(rows)
        for each in self._question.filters:
            kept = [old and new for old, new in zip(kept, each.holds(columns), strict=True)]
        return [row for row, wanted in zip(rows, kept, strict=True) if wanted]

    def _key(self, label: str, row: BreakdownRow) -> tuple[str, ...]:
        second = row.key2 or (OTHER if row.key1 == OTHER else "")
        keys = {self._table.first: row.key1, self._table.second: second, self._question.time: label}
        return tuple(keys[name] for name in self._question.dimensions)

    def _values(self, key: tuple[str, ...], group: list[BreakdownRow], breakdown: Breakdown) -> tuple[Value, ...]:
        first, last = breakdown.first_day, breakdown.last_day
        assert first and last  # noqa: S101 - it has periods
        policy = self._policies.of(first, last)
        found = summed(Estimate(row.value, row.sigma) for row in group)
        hidden = sum(row.hidden for row in group)
        values = []
        for metric in self._question.metrics:
            if metric in RATES:
                whole = self._whole(metric, key, first, last)
                values.append(rate(found, whole, policy) if whole else Value(None, None, None, None, policy))
                continue
            if metric == "visitors" and first != last:
                raise self._over_days()
            values.append(counted(found, policy, hidden))
        return tuple(values)

    def _over_days(self) -> UnanswerableError:
        names = " and ".join(self._question.needed)
        reason = f"different visitors by {names} are known for single days only; over several, visitor_days are"
        return UnanswerableError("metrics", reason, swapped(self._question, "visitors", VISITOR_DAYS))

    def _whole(self, metric: str, key: tuple[str, ...], first: date, last: date) -> Estimate | None:
        """What a rate is a part of: all visitor-days of the periods, or those of the row's own group."""
        groups = [name for name in self._question.groups if name in DIVISORS]
        if metric == "group_conversion_rate" and groups:
            name = groups[0]
            own = key[self._question.dimensions.index(name)]
            return self._of_group(DIVISORS[name], own, first, last)
        if (first, last) not in self._wholes:
            self._wholes[first, last] = self._of_all(first, last)
        return self._wholes[first, last]

    def _of_all(self, first: date, last: date) -> Estimate | None:
        """All visitor-days of the released periods; None where the totals of one of their days are missing."""
        covered = self._covered(first, last)
        rows = self._statistics.daily(self._question.site, first, last)
        parts = [Estimate(row.value, row.sigma) for row in rows if row.metric == "visitors" and row.day in covered]
        return summed(parts) if len(parts) == len(covered) else None

    def _of_group(self, statistic: str, own: str, first: date, last: date) -> Estimate | None:
        others = self._statistics.breakdown(self._question.site, statistic, first, last)
        found = [Estimate(row.value, row.sigma) for row in others.rows if row.key1 == own]
        same = (others.first_day, others.last_day) == (first, last) and others.periods == self._seen[-1].periods
        return summed(found) if found and same else None

    def _covered(self, first: date, last: date) -> set[date]:
        """The days of the released periods."""
        cells = self._statistics.released(self._question.site, [self._table.statistic], first, last)
        periods = {(cell.period_start, cell.period_days) for cell in cells}
        return {day for start, length in periods for day in _days(start, start + (length - 1) * DAY)}

    def _nothing(self, timed: bool) -> UnanswerableError:
        """No period of this breakdown lies within the days, or fills a part of time."""
        question, site, name = self._question, self._question.site, self._table.statistic
        newest = self._statistics.breakdown(site, name, EARLIEST, self._today).last_day
        if newest is None and self._table.wide:
            return not_wide(question, self._table)
        if newest is None:
            return UnanswerableError("dimensions", "no such breakdown has been released for this site yet", None)
        if timed and question.time != "time:month":
            reason = "breakdowns of this site are released by longer periods, and none fills such a part of time"
            return UnanswerableError("dimensions", reason, replace(question, dimensions=self._timed(_longer(question))))
        starts = [r.period_start for r in self._statistics.releases(site) if r.period_end == newest]
        nearest = replace(question, dates=days(min(starts, default=newest), newest))
        reason = "breakdowns are released when a whole week or month is over, and none lies within these days"
        return UnanswerableError("date_range", reason, nearest)

    def _note(self) -> None:
        if VISITOR_DAYS in self._question.metrics:
            self.notes.append("A visitor of several days counts once on each: visitor_days.")
        if {*RATES} & {*self._question.metrics}:
            self.notes.append(f"Rates are of visitor_days. {NO_VALUE}")
        if any(row.hidden for each in self._seen for row in each.rows):
            self.notes.append(
                "Where a key was too rare in some periods, its `high` allows for what it may have had there."
            )


def _days(start: date, end: date) -> list[date]:
    return [start + n * DAY for n in range((end - start).days + 1)]


def _longer(question: Question) -> str:
    return "time:week" if question.time in ("time", "time:day") else "time:month"
