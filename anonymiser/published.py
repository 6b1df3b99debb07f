"""One version of the published file, held open read-only; what it says never changes, so answers are kept."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import closing
from datetime import UTC, date, timedelta
from functools import lru_cache
from pathlib import Path
from threading import Lock
from types import MappingProxyType
from typing import Any, Final

import duckdb

from anonymiser import clock, questions
from anonymiser.answers import RangeFigure, Release, figure
from anonymiser.errors import StatisticsError
from anonymiser.kept import Kept
from anonymiser.ranges import EDGES, Gaps, new_visitors

MOST_SITES: Final = 32
MOST_YEARS: Final = 64
MOST_ANSWERS: Final = 1024
MOST_ROWS: Final = 5_000
# `import duckdb` opens a database with threads of its own. A web server forks its workers after it, and a worker that
# inherits them without having them is aborted when it stops.
duckdb.default_connection().close()

CONFIG: Final[dict[str, Any]] = {"autoinstall_known_extensions": "false", "temp_directory": "", "threads": "1"}

Totals = Mapping[date, Mapping[str, tuple[float, float]]]
"""Of each released day by metric: the value and its sigma."""

Version = tuple[int, int, int]


class File:
    """One version of the published file, held open; what it says never changes, so an answer is kept for the next."""

    def __init__(self, path: Path, version: Version) -> None:
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
            raise unreadable(self._path, error) from error

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


def renewed(path: Path, held: File | None) -> File | None:
    """The file as it is now: `held` while it was not replaced, None where there is none."""
    try:
        status = path.stat()
        version = status.st_ino, status.st_mtime_ns, status.st_size
        return held if held and held.version == version else File(path, version)
    except FileNotFoundError:
        return None
    except (duckdb.Error, OSError) as error:
        raise unreadable(path, error) from error


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
        raise unreadable(path, error) from error
    return [Release(**row | texts | {"released_at": row["released_at"].replace(tzinfo=UTC)}) for row in rows]


def unreadable(path: Path, error: Exception) -> StatisticsError:
    """What to raise for a file that cannot be read, with the remedy."""
    reason = (str(error) or type(error).__name__).splitlines()[0]
    return StatisticsError(
        f"{path} is no statistics file of ours, or is damaged ({reason}); publish it again with `consent batch`, or "
        "restore it"
    )
