"""Door out: read-only questions to the published statistics.

Every answer is noisy as released, with the standard deviation of its noise, and never more exact than that.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import closing
from datetime import UTC, date, timedelta
from functools import lru_cache
from pathlib import Path
from threading import Lock
from types import MappingProxyType
from typing import Any, Final, Self

import duckdb

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
from anonymiser.errors import StatisticsError
from anonymiser.kept import Kept
from anonymiser.ranges import EDGES, Gaps, new_visitors
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
MOST_SITES: Final = 32
MOST_YEARS: Final = 64
MOST_ANSWERS: Final = 1024
MOST_ROWS: Final = 5_000
# `import duckdb` opens a database with threads of its own. A web server forks its workers after it, and a worker that
# inherits them without having them is aborted when it stops.
duckdb.default_connection().close()

CONFIG: Final[dict[str, Any]] = {"autoinstall_known_extensions": "false", "temp_directory": "", "threads": "1"}


class Statistics:
    """The published file behind one held read-only connection, opened anew when the file is replaced. Thread-safe.

    `ranges` has sites whose visitors are told apart over fewer days than LONGEST_RANGE, and over how many. A file that
    is not there has released nothing. Raises StatisticsError for one that is foreign or damaged.
    """

    def __init__(self, path: Path, ranges: Mapping[str, int] | None = None) -> None:
        self._path = path
        self._ranges = ranges or {}
        self._lock = Lock()
        self._file: _File | None = None

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

    def _current(self) -> _File | None:
        """The file as it is now. A question still being asked of the one before is answered by that one."""
        with self._lock:
            try:
                version = _version(self._path)
                if self._file is None or self._file.version != version:
                    self._file = None
                    self._file = _File(self._path, version)
            except FileNotFoundError:
                self._file = None
            except (duckdb.Error, OSError) as error:
                raise _unreadable(self._path, error) from error
            return self._file

    def released(self, site: str, statistics: Sequence[str], start: date, end: date) -> list[Cell]:
        """Every released number of these statistics in the periods that lie within the range, as it was released."""
        return [Cell(*row) for row in self._rows(questions.RELEASED, site, list(statistics), start, end)]


_Version = tuple[int, int, int]


def _version(path: Path) -> _Version:
    status = path.stat()
    return status.st_ino, status.st_mtime_ns, status.st_size


Totals = Mapping[date, Mapping[str, tuple[float, float]]]
"""Of each released day by metric: the value and its sigma."""


class _File:
    """One version of the published file, held open; what it says never changes, so an answer is kept for the next."""

    def __init__(self, path: Path, version: _Version) -> None:
        self.version = version
        self._path = path
        self._connection = opened(path)
        self._lock = Lock()
        self._releases: dict[str, list[Release]] = {}
        self._usual: dict[str, float | None] = {}
        self._answers = Kept[tuple[Any, ...], list[Any]](MOST_ANSWERS)
        self._totals = Kept[str, Totals](MOST_SITES)
        self._gaps = Kept[tuple[str, int], Mapping[date, Gaps]](MOST_YEARS)
        self._visitors = Kept[tuple[str, date, date], RangeFigure](MOST_ANSWERS)

    def rows(self, query: str, *values: Any) -> list[Any]:
        """The answer to one question; a new one is asked on a cursor of its own."""
        question = (query, *(tuple(value) if isinstance(value, list) else value for value in values))
        kept = self._answers.get(question)
        if kept is None:
            kept = self._asked(query, values)
            if len(kept) <= MOST_ROWS:
                self._answers.keep(question, kept)
        return kept

    def _asked(self, query: str, values: Sequence[Any]) -> list[Any]:
        try:
            with self._lock:
                cursor = self._connection.cursor()
            with closing(cursor):
                return cursor.execute(query, values).fetchall()
        except duckdb.Error as error:
            raise _unreadable(self._path, error) from error

    def totals(self, site: str) -> Totals:
        """The days of a site, which every page asks for in many ways: read at once."""
        kept = self._totals.get(site)
        if kept is None:
            kept = {day: _figures(*lists) for day, *lists in self._asked(questions.TOTALS, (site,))}
            self._totals.keep(site, kept)
        return kept

    def gaps(self, site: str, day: date) -> Gaps | None:
        """The gaps of a day, None where none were released; those of its year are read with it."""
        kept = self._gaps.get((site, day.year))
        if kept is None:
            rows = self._asked(questions.GAPS, (site, date(day.year, 1, 1), date(day.year, 12, 31), [*EDGES]))
            kept = {day: _gaps(*lists) for day, *lists in rows}
            self._gaps.keep((site, day.year), kept)
        return kept.get(day)

    def visitors(self, site: str, start: date, end: date, longest: int) -> RangeFigure:
        """What `Statistics.visitors` says."""
        question = (site, start, end)
        kept = self._visitors.get(question)
        if kept is None:
            kept = self._different(site, start, end, longest)
            self._visitors.keep(question, kept)
        return kept

    def _different(self, site: str, start: date, end: date, longest: int) -> RangeFigure:
        """Different visitors of a range out of its days; visitor-days where that cannot be told."""
        days = (end - start).days + 1
        found = ((day, self.totals(site).get(day, {})) for day in (start + timedelta(days=n) for n in range(days)))
        totals = {day: of["visitors"] for day, of in found if "visitors" in of}
        if not 1 < days <= longest or len(totals) != days:
            return figure([*totals.values()], visitor_days=days != 1)
        gaps = [of for day in totals if (of := self.gaps(site, day))]
        if len(gaps) != days:
            return figure([*totals.values()], visitor_days=True)
        new = [new_visitors(of, gaps[n], n) for n, of in enumerate(totals.values())]
        return figure(new, visitor_days=False)

    def newest(self, site: str) -> Release | None:
        """The site's last release."""
        rows = [release for row in self.rows(questions.NEWEST, site) for release in _releases(self._path, *row)]
        return rows[0] if rows else None

    def kinds(self, site: str, start: date, end: date) -> list[tuple[Release, frozenset[str]]]:
        """One release of each setting the range's releases were made under, with the names of all of them."""
        rows = self.rows(questions.KINDS, site, start, end)
        return [
            (_releases(self._path, bounds, weights, [sample])[0], frozenset(names))
            for bounds, weights, sample, names in rows
        ]

    def releases(self, site: str) -> list[Release]:
        """The site's releases, which every page asks for: read once."""
        if site not in self._releases:
            found = [release for row in self.rows(questions.RELEASES, site) for release in _releases(self._path, *row)]
            self._releases[site] = sorted(found, key=lambda r: (r.period_end, r.period_start, r.released_at))
        return self._releases[site]

    def usual_visitors(self, site: str) -> float | None:
        """The mean of the newest daily visitors, which every config and every banner asks for: read once."""
        if site not in self._usual:
            ((self._usual[site],),) = self.rows(questions.USUAL, site, clock.LOOK_BACK)
        return self._usual[site]


def opened(path: Path) -> duckdb.DuckDBPyConnection:
    """A connection that can read the file as catalogue `stats`, and nothing else on this machine.

    Not `connect(path)`: DuckDB would hand out an instance that the process has open already, of a file since replaced.
    """
    connection = duckdb.connect(":memory:", config=CONFIG)
    try:
        connection.execute("ATTACH '{}' AS stats (READ_ONLY)".format(str(path).replace("'", "''")))
        connection.execute("SET enable_external_access = false")
    except duckdb.Error:
        connection.close()
        raise
    return connection


def _of_keys(key1: Sequence[str], key2: Sequence[str]) -> tuple[str, list[list[str]]]:
    """A condition on the keys of which some are named, and its values."""
    keys = {name: list(named) for name, named in (("key1", key1), ("key2", key2)) if named}
    return "".join(f"AND list_contains(?, {name}) " for name in keys), [*keys.values()]


def _number(shown: Any) -> int:
    """How many releases these are: given as their number, or by name."""
    return shown if isinstance(shown, int) else len(shown)


def _gaps(names: str, values: list[float], sigmas: list[float]) -> Gaps:
    return Gaps(_split(names), values, sigmas)


@lru_cache(maxsize=256)
def _split(names: str) -> tuple[str, ...]:
    """The buckets' names, of which thousands of days have the same ones in the same order."""
    return tuple(names.split(" "))


def _figures(metrics: list[str], values: list[float], sigmas: list[float]) -> dict[str, tuple[float, float]]:
    return {metric: (value, sigma) for metric, value, sigma in zip(metrics, values, sigmas, strict=True)}


def _releases(path: Path, bounds: str, weights: str, rows: list[dict[str, Any]]) -> list[Release]:
    try:
        texts = {"bounds": MappingProxyType(json.loads(bounds)), "weights": MappingProxyType(json.loads(weights))}
    except (ValueError, TypeError) as error:
        raise _unreadable(path, error) from error
    return [Release(**row | texts | {"released_at": row["released_at"].replace(tzinfo=UTC)}) for row in rows]


def _unreadable(path: Path, error: Exception) -> StatisticsError:
    reason = (str(error) or type(error).__name__).splitlines()[0]
    return StatisticsError(
        f"{path} is no statistics file of ours, or is damaged ({reason}); publish it again with `consent batch`, or "
        "restore it"
    )
