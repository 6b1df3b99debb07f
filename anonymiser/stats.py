"""Door out: read-only questions to the published statistics.

Every answer is noisy as released, with the standard deviation of its noise, and never more exact than that.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from datetime import UTC, date, datetime, timedelta
from math import sqrt
from pathlib import Path
from threading import Lock
from typing import Any, Final, Self

import duckdb

from anonymiser.bounds import GAP_BUCKETS
from anonymiser.errors import StatisticsError

LONGEST_RANGE: Final = 32
DAY: Final = timedelta(days=1)
READ_ONLY: Final[dict[str, Any]] = {"autoinstall_known_extensions": "false", "temp_directory": "", "threads": "1"}


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
    """One key's sum over the released periods."""

    key1: str
    key2: str
    value: float
    sigma: float


@dataclass(frozen=True, slots=True)
class Breakdown:
    """A statistic by key over the released periods that lie within a range; no days when none does."""

    first_day: date | None
    last_day: date | None
    rows: list[BreakdownRow]


class Statistics:
    """The published file behind one held read-only connection, opened anew when the file is replaced. Thread-safe.

    A file that is not there has released nothing. Raises StatisticsError for one that is foreign or damaged.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = Lock()
        self._seen: tuple[int, int, int] | None = None
        self._connection: duckdb.DuckDBPyConnection | None = None

    def sites(self) -> list[str]:
        """The sites that have releases."""
        return [site for (site,) in self._rows("SELECT DISTINCT site FROM release ORDER BY site")]

    def newest_day(self, site: str) -> date | None:
        """The newest day with totals."""
        query = "SELECT max(period_start) FROM cell WHERE site = ? AND statistic = 'totals'"
        return next((day for (day,) in self._rows(query, site)), None)

    def releases(self, site: str) -> list[Release]:
        """Every release of the site, by the days it covers; the newest is last."""
        query = "SELECT * FROM release WHERE site = ? ORDER BY period_end, period_start, released_at"
        return [_release(row) for row in self._rows(query, site)]

    def daily(self, site: str, start: date, end: date) -> list[DailyRow]:
        """The totals of each released day from `start` to `end`, both counted."""
        query = (
            "SELECT period_start, metric, value, sigma FROM cell "
            "WHERE site = ? AND statistic = 'totals' AND period_start BETWEEN ? AND ? ORDER BY period_start, metric"
        )
        return [
            DailyRow(day, metric, value, sigma) for day, metric, value, sigma in self._rows(query, site, start, end)
        ]

    def visitors(self, site: str, start: date, end: date) -> RangeFigure:
        """Different visitors from `start` to `end`: on each day those whose last active day lies before `start`.

        An identity (design, chapter 4): a visitor is counted on the first active day of the range, where the gap to the
        day before exceeds the days since `start`. Without gaps for every day, or over more than 32 days, it is the sum
        of daily visitors.
        """
        days = (end - start).days + 1
        gaps = self._gaps(site, start, end) if 1 < days <= LONGEST_RANGE else []
        if len({day for day, *_ in gaps}) != days or days == 1:
            rows = [row for row in self.daily(site, start, end) if row.metric == "visitors"]
            return _figure([(row.value, row.sigma) for row in rows], visitor_days=days > 1)
        new = [(value, sigma) for day, gap, value, sigma in gaps if _longer(gap, (day - start).days)]
        return _figure(new, visitor_days=False)

    def breakdown(self, site: str, statistic: str, start: date, end: date) -> Breakdown:
        """The statistic's keys summed over the periods that lie within the range, the largest first."""
        within = (
            "FROM cell WHERE site = ? AND statistic = ? AND period_start >= ? "
            "AND period_start + CAST(period_days - 1 AS INTEGER) <= ?"
        )
        span = f"SELECT min(period_start), max(period_start + CAST(period_days - 1 AS INTEGER)) {within}"
        first, last = next(self._rows(span, site, statistic, start, end), (None, None))
        rows = self._rows(
            f"SELECT key1, key2, sum(value), sqrt(sum(sigma * sigma)) {within} "
            "GROUP BY key1, key2 ORDER BY sum(value) DESC, key1, key2",
            site, statistic, start, end,
        )  # fmt: skip
        return Breakdown(first, last, [BreakdownRow(key1, key2, float(n), sigma) for key1, key2, n, sigma in rows])

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            self._close()

    def _close(self) -> None:
        if self._connection:
            self._connection.close()
        self._connection, self._seen = None, None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _gaps(self, site: str, start: date, end: date) -> list[tuple[date, str, float, float]]:
        query = (
            "SELECT period_start, key1, value, sigma FROM cell "
            "WHERE site = ? AND statistic = 'returning' AND period_start BETWEEN ? AND ?"
        )
        return list(self._rows(query, site, start, end))

    def _rows(self, query: str, *values: Any) -> Iterator[Any]:
        """One question at a time: a query still running would keep the file alive that was just replaced."""
        try:
            with self._lock:
                connection = self._current()
                return iter(connection.execute(query, values).fetchall() if connection else [])
        except duckdb.Error as error:
            raise StatisticsError(
                f"{self._path} is no statistics file of ours, or is damaged ({str(error).splitlines()[0]}); "
                "publish it again with `consent batch`, or restore it"
            ) from error

    def _current(self) -> duckdb.DuckDBPyConnection | None:
        """The connection to the file as it is now."""
        try:
            status = self._path.stat()
        except FileNotFoundError:
            self._close()
            return None
        now = (status.st_ino, status.st_mtime_ns, status.st_size)
        if self._seen != now:
            self._close()
            self._connection = duckdb.connect(str(self._path), read_only=True, config=READ_ONLY)
            self._seen = now
        return self._connection


def _release(row: tuple[Any, ...]) -> Release:
    values = dict(zip((field.name for field in fields(Release)), row, strict=True))
    values |= {name: json.loads(values[name]) for name in ("bounds", "weights")}
    return Release(**values | {"released_at": values["released_at"].replace(tzinfo=UTC)})


def _figure(parts: list[tuple[float, float]], *, visitor_days: bool) -> RangeFigure:
    return RangeFigure(sum(v for v, _ in parts), sqrt(sum(s * s for _, s in parts)), visitor_days)


def _longer(gap: str, days: int) -> bool:
    """Whether a gap of that bucket is longer than `days`; within 32 days every bucket is on one side."""
    return GAP_BUCKETS.index(gap) >= days
