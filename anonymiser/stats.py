"""Door out: read-only questions to the published statistics.

Every answer is noisy as released, with the standard deviation of its noise, and never more exact than that.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, fields
from datetime import UTC, date, datetime
from math import inf, log, sqrt
from pathlib import Path
from threading import Lock
from types import MappingProxyType
from typing import Any, Final, Self

import duckdb

from anonymiser import clock, scrub
from anonymiser.bounds import CUT, STATISTICS
from anonymiser.errors import StatisticsError
from anonymiser.ranges import EDGES, Gap, new_visitors

LONGEST_RANGE: Final = 91
DELTA_OF_KEYS: Final = 0.1
SIGMAS: Final = 1.96
# `import duckdb` opens a database with threads of its own. A web server forks its workers after it, and a worker that
# inherits them without having them is aborted when it stops.
duckdb.default_connection().close()

CONFIG: Final[dict[str, Any]] = {"autoinstall_known_extensions": "false", "temp_directory": "", "threads": "1"}


@dataclass(frozen=True, slots=True)
class Release:
    """One answer for one period (whole local days, both counted): under which policy, with which bounds and noise.

    `bounds` holds l2, linf, keys_touched, fold and sigma of each statistic, `weights` its share of the budget.
    """

    release_id: str
    site: str
    period_start: date
    period_end: date
    policy: str
    epsilon: float
    delta: float
    k: int
    bounds: Mapping[str, Mapping[str, float]]
    weights: Mapping[str, float]
    catalogue_sha256: str
    software: str
    released_at: datetime

    @property
    def keys_touched(self) -> float:
        """How many keys that nobody declared a browser-day can bring at most."""
        brought = (name for name in self.bounds if name in STATISTICS and STATISTICS[name].open_ended)
        return sum(self.bounds[name]["keys_touched"] for name in brought)


@dataclass(frozen=True, slots=True)
class Cell:
    """One released number, signed and noisy; `sigma` is the standard deviation of its noise."""

    release_id: str
    site: str
    period_start: date
    period_days: int
    statistic: str
    key1: str
    key2: str
    metric: str
    value: int
    sigma: float


@dataclass(frozen=True, slots=True)
class DailyRow:
    """One total of one day; `metric` is visitors, views, visits or bounces."""

    day: date
    metric: str
    value: float
    sigma: float


@dataclass(frozen=True, slots=True)
class RangeFigure:
    """Visitors of a range of days; visitor-days where a visitor of several days counts once on each."""

    value: float
    sigma: float
    is_visitor_days: bool


@dataclass(frozen=True, slots=True)
class BreakdownRow:
    """One key's sum over the `periods` in which it was released.

    In the others it was too rare for that, or not there, and is part of "(other)". With 39 chances of 40 it had at most
    value + 1.96 sigma + hidden in all periods together; `hidden` is 0 when it was released in every one.
    """

    key1: str
    key2: str
    value: float
    sigma: float
    periods: int
    hidden: float


@dataclass(frozen=True, slots=True)
class Breakdown:
    """A statistic by key over the released `periods` that lie within a range; no days when none does."""

    first_day: date | None
    last_day: date | None
    rows: list[BreakdownRow]
    periods: int


class Statistics:
    """The published file behind one held read-only connection, opened anew when the file is replaced. Thread-safe.

    A file that is not there has released nothing. Raises StatisticsError for one that is foreign or damaged.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = Lock()
        self._file: _File | None = None

    def sites(self) -> list[str]:
        """The sites that have releases."""
        return [site for (site,) in self._rows("SELECT DISTINCT site FROM stats.release ORDER BY site")]

    def newest_day(self, site: str) -> date | None:
        """The newest day with totals."""
        query = "SELECT max(period_start) FROM stats.cell WHERE site = ? AND statistic = 'totals'"
        return next((day for (day,) in self._rows(query, site)), None)

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
        return [DailyRow(*row) for row in self._rows(_DAILY, site, start, end)]

    def visitors(self, site: str, start: date, end: date) -> RangeFigure:
        """Different visitors from `start` to `end`: on each day those whose last active day lies before `start`.

        An identity (design, chapter 4): a visitor is counted on the first active day of the range, where the gap to the
        day before exceeds the days since `start`. Each day gives two answers, the long gaps, and its visitors less the
        short gaps; they are weighed by their noise. Without totals and gaps for every day, or over more than 91 days,
        it is the sum of daily visitors.
        """
        days = (end - start).days + 1
        totals = {row.day: row for row in self.daily(site, start, end) if row.metric == "visitors"}
        gaps: dict[date, list[Gap]] = {day: [] for day in totals}
        if 1 < days <= LONGEST_RANGE:
            for day, gap, value, sigma in self._rows(_GAPS, site, start, end):
                if day in gaps and gap in EDGES:
                    gaps[day].append((gap, value, sigma))
        if len(totals) != days or not all(gaps.values()):
            return _figure([(row.value, row.sigma) for row in totals.values()], visitor_days=days != 1)
        new = [new_visitors((of.value, of.sigma), gaps[day], (day - start).days) for day, of in totals.items()]
        return _figure(new, visitor_days=False)

    def breakdown(self, site: str, statistic: str, start: date, end: date) -> Breakdown:
        """The statistic's keys summed over the periods that lie within the range, the largest first.

        A key adds nothing in a period where it was too rare to be released; its row says how often that was, and how
        much it may have had there.
        """
        rows = self._rows(_BREAKDOWN, site, statistic, start, end)
        answered = {name for row in rows for name in row[-1]}
        limits = {r.release_id: _limits(r, statistic) for r in self.releases(site) if r.release_id in answered}
        found = []
        for key1, key2, value, sigma, _, _, shown in rows:
            missing = [limits[name] for name in answered.difference(shown) if name in limits]
            hidden = _hidden(f"{key1} {key2}", sigma, missing)
            found.append(BreakdownRow(key1, key2, float(value), sigma, len(shown), hidden))
        first, last = min((row[4] for row in rows), default=None), max((row[5] for row in rows), default=None)
        return Breakdown(first, last, found, len(answered))

    def cells(self, site: str, statistic: str, key1: str) -> list[Cell]:
        """Every released number of one key, by release."""
        return [Cell(*row) for row in self._rows(_CELLS, site, statistic, key1)]

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
        return [Cell(*row) for row in self._rows(_RELEASED, site, list(statistics), start, end)]


_Version = tuple[int, int, int]


def _version(path: Path) -> _Version:
    status = path.stat()
    return status.st_ino, status.st_mtime_ns, status.st_size


class _File:
    """One version of the published file, held open; what it says never changes."""

    def __init__(self, path: Path, version: _Version) -> None:
        self.version = version
        self._path = path
        self._connection = opened(path)
        self._lock = Lock()
        self._releases: dict[str, list[Release]] = {}
        self._visitors: dict[str, float | None] = {}

    def rows(self, query: str, *values: Any) -> list[Any]:
        """The answer to one question, on a cursor of its own."""
        try:
            with self._lock:
                cursor = self._connection.cursor()
            with closing(cursor):
                return cursor.execute(query, values).fetchall()
        except duckdb.Error as error:
            raise _unreadable(self._path, error) from error

    def releases(self, site: str) -> list[Release]:
        """The site's releases, which every page asks for: read once."""
        if site not in self._releases:
            found = [release for row in self.rows(_RELEASES, site) for release in _releases(self._path, *row)]
            self._releases[site] = sorted(found, key=lambda r: (r.period_end, r.period_start, r.released_at))
        return self._releases[site]

    def usual_visitors(self, site: str) -> float | None:
        """The mean of the newest daily visitors, which every config and every banner asks for: read once."""
        if site not in self._visitors:
            ((self._visitors[site],),) = self.rows(_USUAL, site, clock.LOOK_BACK)
        return self._visitors[site]


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


_TEXTS: Final = ("bounds", "weights")
_PLAIN: Final = ", ".join(f"{field.name} := {field.name}" for field in fields(Release) if field.name not in _TEXTS)
# Thousands of releases share the few long texts of a site's settings: fetched and read once each.
_RELEASES: Final = (
    f"SELECT bounds, weights, list(struct_pack({_PLAIN})) FROM stats.release WHERE site = ? "  # noqa: S608 - our names
    "GROUP BY bounds, weights"
)
_DAILY: Final = (
    "SELECT period_start, metric, value, sigma FROM stats.cell "
    "WHERE site = ? AND statistic = 'totals' AND period_start BETWEEN ? AND ? ORDER BY period_start, metric"
)
_USUAL: Final = (
    "SELECT avg(value) FROM (SELECT value FROM stats.cell WHERE site = ? AND statistic = 'totals' "
    "AND metric = 'visitors' ORDER BY period_start DESC LIMIT ?)"
)
_CELLS: Final = (
    f"SELECT {', '.join(field.name for field in fields(Cell))} FROM stats.cell "  # noqa: S608 - our names
    "WHERE site = ? AND statistic = ? AND key1 = ? ORDER BY release_id, key2"
)
_RELEASED: Final = (
    f"SELECT {', '.join(field.name for field in fields(Cell))} FROM stats.cell "  # noqa: S608 - our names
    "WHERE site = ? AND list_contains(?, statistic) AND period_start >= ? AND period_start + period_days - 1 <= ? "
    "ORDER BY statistic, period_start, period_days, key1, key2, metric"
)
_GAPS: Final = (
    "SELECT period_start, key1, value, sigma FROM stats.cell "
    "WHERE site = ? AND statistic = 'returning' AND period_start BETWEEN ? AND ?"
)
_BREAKDOWN: Final = (
    "SELECT key1, key2, sum(value), sqrt(sum(sigma * sigma)), min(period_start), max(period_start + period_days - 1), "
    "list(DISTINCT release_id) "
    "FROM stats.cell WHERE site = ? AND statistic = ? AND period_start >= ? AND period_start + period_days - 1 <= ? "
    "GROUP BY key1, key2 ORDER BY sum(value) DESC, key1, key2"
)


def _releases(path: Path, bounds: str, weights: str, rows: list[dict[str, Any]]) -> list[Release]:
    try:
        texts = {"bounds": MappingProxyType(json.loads(bounds)), "weights": MappingProxyType(json.loads(weights))}
    except (ValueError, TypeError) as error:
        raise _unreadable(path, error) from error
    return [Release(**row | texts | {"released_at": row["released_at"].replace(tzinfo=UTC)}) for row in rows]


def _figure(parts: Sequence[tuple[float, float]], *, visitor_days: bool) -> RangeFigure:
    return RangeFigure(sum(v for v, _ in parts), sqrt(sum(s * s for _, s in parts)), visitor_days)


_Limit = tuple[float, float]
"""The threshold that a period's noisy count did not exceed, and the variance of its noise."""


def _limits(release: Release, statistic: str) -> tuple[_Limit, _Limit]:
    """The limits of one release for a plain key and for one that many texts may have become."""
    if release.policy == "threshold":
        return (release.k - 1, 0.0), (release.k - 1, 0.0)
    if statistic not in release.bounds:
        return (inf, 0.0), (inf, 0.0)
    bound, touched = release.bounds[statistic], release.keys_touched
    chance = release.delta * DELTA_OF_KEYS / max(touched, 1)
    sigma, reach = sqrt(2) * bound["sigma"], sqrt(2 * log(1 / chance))
    most = bound["keys_touched"] if bound["fold"] > 1 else bound["linf"]
    wide = bound["fold"] * sigma
    return (_with_cut(bound["linf"] + sigma * reach), sigma**2), (_with_cut(most + wide * reach), wide**2)


def _with_cut(above: float) -> float:
    """A threshold with the cut that comes before it (protect/dp.py)."""
    return int(above * CUT) + above


def _hidden(key: str, sigma: float, limits: Sequence[tuple[_Limit, _Limit]]) -> float:
    """What to add to a key's upper limit for the periods that did not show it.

    Noisy counts of all periods together are off by noise nobody chose; those not shown were below their thresholds.
    """
    missing = [folded if scrub.is_folded(key) else plain for plain, folded in limits]
    noise = sqrt(sigma**2 + sum(variance for _, variance in missing))
    return sum(threshold for threshold, _ in missing) + SIGMAS * (noise - sigma)


def _unreadable(path: Path, error: Exception) -> StatisticsError:
    reason = (str(error) or type(error).__name__).splitlines()[0]
    return StatisticsError(
        f"{path} is no statistics file of ours, or is damaged ({reason}); publish it again with `consent batch`, or "
        "restore it"
    )
