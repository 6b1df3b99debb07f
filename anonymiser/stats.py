"""Door out: read-only questions to the published statistics.

Every answer is noisy as released, with the standard deviation of its noise, and never more exact than that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from threading import Lock
from typing import Any, Final, Self

from anonymiser import clock, questions
from anonymiser.answers import (
    Breakdown,
    BreakdownRow,
    Cell,
    DailyRow,
    PeriodRow,
    RangeFigure,
    Release,
    figure,
    hidden,
    missing,
)
from anonymiser.published import File, Totals, opened, renewed
from anonymiser.sources import channel_groups, group

__all__ = [
    "Breakdown",
    "BreakdownRow",
    "Cell",
    "DailyRow",
    "PeriodRow",
    "RangeFigure",
    "Release",
    "Statistics",
    "channel_groups",
    "group",
    "opened",
]

LONGEST_RANGE: Final = 91


class Statistics:
    """The published file behind one held read-only connection, opened anew when the file is replaced. Thread-safe.

    `ranges` has sites whose visitors are told apart over fewer days than LONGEST_RANGE, and over how many. A file that
    is not there has released nothing. Raises StatisticsError for one that is foreign or damaged.
    """

    def __init__(self, path: Path, ranges: Mapping[str, int] | None = None) -> None:
        self._path = path
        self._ranges = ranges or {}
        self._lock = Lock()
        self._file: File | None = None

    def sites(self) -> list[str]:
        """The sites that have releases."""
        return [site for (site,) in self._rows("SELECT DISTINCT site FROM stats.release ORDER BY site")]

    def newest_day(self, site: str) -> date | None:
        """The newest day with totals."""
        query = "SELECT max(period_start) FROM stats.cell WHERE site = ? AND statistic = 'totals'"
        return next((day for (day,) in self._rows(query, site)), None)

    def span(self, site: str) -> tuple[date, date] | None:
        """The first and the last day of anything released of the site."""
        ((first, last),) = self._rows(questions.SPAN, site) or [(None, None)]
        return (first, last) if first else None

    def newest_release(self, site: str) -> Release | None:
        """What `releases` has last."""
        file = self._current()
        return file.newest(site) if file else None

    def releases(self, site: str) -> list[Release]:
        """Every release of the site, by the days it covers; the newest is last."""
        file = self._current()
        return list(file.releases(site)) if file else []

    def is_wide(self, site: str, asked: bool) -> bool:
        """Whether what is counted now will have the wide set of statistics, by the figures released so far."""
        file = None if asked else self._current()
        return clock.is_wide(file.usual_visitors(site) if file else None, asked)

    def daily(self, site: str, start: date, end: date) -> list[DailyRow]:
        """The totals of each released day from `start` to `end`, both counted."""
        found = self.totals(site)
        wanted = sorted(day for day in found if start <= day <= end)
        return [DailyRow(day, metric, *figure) for day in wanted for metric, figure in found[day].items()]

    def totals(self, site: str) -> Totals:
        """Every released day of the site, read once for each published file."""
        file = self._current()
        return file.totals(site) if file else {}

    def daily_of_all(self, start: date, end: date) -> dict[str, list[DailyRow]]:
        """The same for every site that has any, in one question."""
        found: dict[str, list[DailyRow]] = {}
        for site, *row in self._rows(questions.DAILY_OF_ALL, start, end):
            found.setdefault(site, []).append(DailyRow(*row))
        return found

    def visitors(self, site: str, start: date, end: date) -> RangeFigure:
        """Different visitors from `start` to `end`: on each day those whose last active day lies before `start`.

        An identity (design, chapter 4): a visitor is counted on the first active day of the range, where the gap to the
        day before exceeds the days since `start`. Each day gives two answers, the long gaps, and its visitors less the
        short gaps; they are weighed by their noise. Without totals and gaps for every day, or over more days than
        `longest_range`, it is the sum of daily visitors.
        """
        file = self._current()
        return (
            file.visitors(site, start, end, self.longest_range(site)) if file else figure([], visitor_days=start != end)
        )

    def longest_range(self, site: str) -> int:
        """Over how many days the site's different visitors are known at most."""
        return self._ranges.get(site, LONGEST_RANGE)

    def breakdown(self, site: str, statistic: str, start: date, end: date) -> Breakdown:
        """The statistic's keys summed over the periods that lie within the range, the largest first.

        A key adds nothing in a period where it was too rare to be released; its row says how often that was, and how
        much it may have had there.
        """
        return self.breakdowns(site, (statistic,), start, end)[statistic]

    def breakdowns(self, site: str, statistics: Sequence[str], start: date, end: date) -> dict[str, Breakdown]:
        """Several statistics, as `breakdown` gives each, in one question."""
        return self._breakdowns(site, statistics, start, end, "", ())

    def half(
        self, site: str, statistic: str, start: date, end: date, *, key1: Sequence[str] = (), key2: Sequence[str] = ()
    ) -> Breakdown:
        """What `breakdown` says of the pairs whose first key, or second, is one of these."""
        where, keys = _of_keys(key1, key2)
        return self._breakdowns(site, (statistic,), start, end, where, keys)[statistic]

    def periods(
        self, site: str, statistic: str, start: date, end: date, *, key1: Sequence[str] = (), key2: Sequence[str] = ()
    ) -> list[PeriodRow]:
        """Each period of a statistic that lies within the range, with the sum of its cells of those keys, in order."""
        where, keys = _of_keys(key1, key2)
        query = questions.PERIODS.format(where=f"true {where}")
        return [PeriodRow(*row) for row in self._rows(query, *keys, *keys, site, statistic, start, end)]

    def newest_periods(self, site: str, statistics: Sequence[str]) -> dict[str, tuple[date, date]]:
        """The last period of each statistic that has been released at all."""
        return {name: (start, end) for name, start, end in self._rows(questions.LAST, site, list(statistics))}

    def _breakdowns(
        self, site: str, statistics: Sequence[str], start: date, end: date, where: str, keys: Sequence[list[str]]
    ) -> dict[str, Breakdown]:
        names = list(dict.fromkeys(statistics))
        limits = self._limits(site, start, end)
        alike = len(limits) <= 1
        how = (questions.ANSWERED, questions.BREAKDOWN) if alike else (questions.ANSWERED_BY, questions.BREAKDOWN_BY)
        answers, rows = (text.format(names=", ".join("?" * len(names)) or "NULL", where=where) for text in how)
        answered = {name: row for name, *row in self._rows(answers, site, *names, start, end)}
        found: dict[str, list[BreakdownRow]] = {name: [] for name in names}
        for name, key1, key2, value, sigma, shown in self._rows(rows, site, *names, start, end, *keys):
            unseen = missing(limits, name, answered[name][2], shown)
            more = hidden(f"{key1} {key2}", sigma, unseen) if unseen else 0.0
            found[name].append(BreakdownRow(key1, key2, float(value), sigma, _number(shown), more))
        return {
            name: Breakdown(answered[name][0], answered[name][1], found[name], _number(answered[name][2]))
            if name in answered
            else Breakdown(None, None, [], 0)
            for name in names
        }

    def _limits(self, site: str, start: date, end: date) -> list[tuple[Release, frozenset[str]]]:
        """The settings of the breakdowns within the range, each with the releases that were made under it."""
        file = self._current()
        return file.kinds(site, start, end) if file else []

    def cells(self, site: str, statistic: str, key1: str) -> list[Cell]:
        """Every released number of one key, by release."""
        return [Cell(*row) for row in self._rows(questions.CELLS, site, statistic, key1)]

    def releasing(self, site: str, statistic: str) -> list[str]:
        """The releases that answered a statistic."""
        query = "SELECT DISTINCT release_id FROM stats.cell WHERE site = ? AND statistic = ? ORDER BY release_id"
        return [name for (name,) in self._rows(query, site, statistic)]

    def close(self) -> None:
        """Let go of the file; the next question opens it again."""
        with self._lock:
            self._file = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _rows(self, query: str, *values: Any) -> list[Any]:
        file = self._current()
        return file.rows(query, *values) if file else []

    def _current(self) -> File | None:
        """The file as it is now. A question still being asked of the one before is answered by that one."""
        with self._lock:
            held, self._file = self._file, None
            self._file = renewed(self._path, held)
            return self._file

    def released(self, site: str, statistics: Sequence[str], start: date, end: date) -> list[Cell]:
        """Every released number of these statistics in the periods that lie within the range, as it was released."""
        return [Cell(*row) for row in self._rows(questions.RELEASED, site, list(statistics), start, end)]


def _of_keys(key1: Sequence[str], key2: Sequence[str]) -> tuple[str, list[list[str]]]:
    """A condition on the keys of which some are named, and its values."""
    keys = {name: list(named) for name, named in (("key1", key1), ("key2", key2)) if named}
    return "".join(f"AND list_contains(?, {name}) " for name in keys), [*keys.values()]


def _number(shown: Any) -> int:
    """How many releases these are: given as their number, or by name."""
    return shown if isinstance(shown, int) else len(shown)
