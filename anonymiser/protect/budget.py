"""The budget ledger: which period of which site was answered, once and for ever, and with which noisy cells.

A release and its cells are written in one transaction, and published from here. So a run that is killed has either
drawn no noise that anybody sees, or kept it; nobody can make it draw again for the same days.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any, Final, Self

from anonymiser.bounds import Schedule, is_wide
from anonymiser.clock import days
from anonymiser.errors import ReleaseConflict, StatisticsError
from anonymiser.protect import SafeCell
from anonymiser.settings import Source
from anonymiser.stats import Cell, Release

BUSY_SECONDS: Final = 30
LOCK_SECONDS: Final = 3600

_TABLES: Final = """
CREATE TABLE IF NOT EXISTS release (
    release_id TEXT PRIMARY KEY, site TEXT NOT NULL, schedule TEXT NOT NULL, period_start TEXT NOT NULL,
    period_end TEXT NOT NULL, policy TEXT NOT NULL, epsilon REAL NOT NULL, delta REAL NOT NULL, k INTEGER NOT NULL,
    bounds TEXT NOT NULL, weights TEXT NOT NULL, catalogue_sha256 TEXT NOT NULL, software TEXT NOT NULL,
    released_at TEXT NOT NULL, published INTEGER NOT NULL DEFAULT 0, UNIQUE (site, schedule, period_start)
) STRICT;
CREATE TABLE IF NOT EXISTS cell (
    release_id TEXT NOT NULL REFERENCES release, statistic TEXT NOT NULL, key1 TEXT NOT NULL, key2 TEXT NOT NULL,
    metric TEXT NOT NULL, value INTEGER NOT NULL, sigma REAL NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS cell_by_release ON cell (release_id, statistic, metric);
CREATE TABLE IF NOT EXISTS expired (release_id TEXT PRIMARY KEY REFERENCES release) STRICT;
CREATE TABLE IF NOT EXISTS source (site TEXT PRIMARY KEY, kind TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS zone (site TEXT PRIMARY KEY, name TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS input (site TEXT NOT NULL, digest TEXT NOT NULL, PRIMARY KEY (site, digest)) STRICT;
CREATE TABLE IF NOT EXISTS removal (segment TEXT PRIMARY KEY, hour TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS run (at TEXT NOT NULL, kind TEXT NOT NULL, counts TEXT NOT NULL) STRICT;
"""


@dataclass(frozen=True, slots=True)
class Answer:
    """One release about to be kept: its record, its schedule, its cells."""

    release: Release
    schedule: Schedule
    cells: Sequence[SafeCell]


class Budget:
    """The private file `budget.db` of a workspace. Raises StatisticsError when it cannot be used."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "budget.db"
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._file.touch(mode=0o600)
            self._connection = sqlite3.connect(self._file, timeout=BUSY_SECONDS)
            self._connection.executescript(f"PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; {_TABLES}")
        except (OSError, sqlite3.Error) as error:
            raise StatisticsError(
                f"the budget ledger {self._file} cannot be used ({error}); make room, give rights, or restore it"
            ) from error

    def keep(self, answers: Iterable[Answer]) -> None:
        """Write releases with their cells, all or none. Raises ReleaseConflict for a period answered already."""
        try:
            with self._connection as connection:
                for answer in answers:
                    _refuse_overlap(connection, answer)
                    connection.execute(_INSERT_RELEASE, _release_row(answer))
                    connection.executemany("INSERT INTO cell VALUES (?, ?, ?, ?, ?, ?, ?)", _cell_rows(answer))
        except (sqlite3.Error, OSError) as error:
            raise StatisticsError(f"releases could not be written to {self._file} ({error}); nothing was") from error

    def covered(self, site: str, schedule: Schedule) -> tuple[date, date] | None:
        """The first and the last day answered for a site, None before its first release."""
        query = "SELECT min(period_start), max(period_end) FROM release WHERE site = ? AND schedule = ?"
        first, last = self._connection.execute(query, (site, schedule)).fetchone()
        return (date.fromisoformat(first), date.fromisoformat(last)) if first else None

    def answered(self, site: str, schedule: Schedule) -> set[date]:
        """Every day answered for a site. Days from logs may have holes between them, to be filled later."""
        query = "SELECT period_start, period_end FROM release WHERE site = ? AND schedule = ?"
        spans = self._connection.execute(query, (site, schedule)).fetchall()
        return {day for first, last in spans for day in days(date.fromisoformat(first), date.fromisoformat(last))}

    def daily_visitors(self, site: str, look_back: int) -> float | None:
        """The mean of the released (noisy) visitors over the last `look_back` released days; None before the first."""
        rows = self._connection.execute(
            "SELECT value FROM release JOIN cell USING (release_id) WHERE site = ? AND schedule = 'daily' "
            "AND statistic = 'totals' AND metric = 'visitors' ORDER BY period_start DESC LIMIT ?",
            (site, look_back),
        ).fetchall()
        return sum(value for (value,) in rows) / len(rows) if rows else None

    def wide_days(self, site: str) -> set[date]:
        """The days that have the wide set of statistics.

        A day's set is what the shares of its totals say. They are its first release, so nothing of it can come before
        its set is written down, and nothing after can change it.
        """
        query = "SELECT period_start, weights FROM release WHERE site = ? AND schedule = 'daily'"
        rows = self._connection.execute(query, (site,))
        return {date.fromisoformat(day) for day, weights in rows if is_wide(json.loads(weights))}

    def source(self, site: str, kind: Source) -> Source:
        """What a site is counted from: as first said, for ever, because both would count the same visits twice."""
        with self._connection as connection:
            connection.execute("INSERT OR IGNORE INTO source VALUES (?, ?)", (site, kind))
        (found,) = self._connection.execute("SELECT kind FROM source WHERE site = ?", (site,)).fetchone()
        return "logs" if found == "logs" else "beacons"

    def refuse_other_zone(self, site: str, zone: str) -> None:
        """Raise ReleaseConflict if a site's days were cut at another zone's midnight: the hours between the two would
        be in two answers, once in each of two days.
        """
        found = self._connection.execute("SELECT name FROM zone WHERE site = ? AND name <> ?", (site, zone)).fetchone()
        if found:
            raise ReleaseConflict(
                f"site {site!r}: its days are those of {found[0]}, and figures of some are released. Days of {zone} "
                f"would count hours at their edges twice. Use {found[0]}, or give the site another key in a new --out"
            )

    def learn_zone(self, site: str, zone: str) -> None:
        """Remember at whose midnight a site's days are cut: as first said, for ever."""
        with self._connection as connection:
            connection.execute("INSERT OR IGNORE INTO zone VALUES (?, ?)", (site, zone))

    def knows(self, site: str, digest: str) -> bool:
        """Whether this very input was counted before."""
        query = "SELECT count(*) FROM input WHERE site = ? AND digest = ?"
        return bool(self._connection.execute(query, (site, digest)).fetchone()[0])

    def learn(self, site: str, digest: str) -> None:
        """Remember an input by its SHA-256."""
        with self._connection as connection:
            connection.execute("INSERT OR IGNORE INTO input VALUES (?, ?)", (site, digest))

    def note(self, at: datetime, kind: str, counts: Mapping[str, Any]) -> None:
        """Write a run's exact counts into the private journal; the last thousand runs are kept."""
        with self._connection as connection:
            connection.execute("INSERT INTO run VALUES (?, ?, ?)", (at.isoformat(), kind, json.dumps(counts)))
            connection.execute("DELETE FROM run WHERE rowid <= (SELECT max(rowid) FROM run) - 1000")

    def removing(self, segments: Mapping[str, datetime]) -> None:
        """Remember segments (name -> hour) that are about to be unlinked, until the ledger has said so."""
        rows = [(name, hour.isoformat()) for name, hour in segments.items()]
        with self._connection as connection:
            connection.executemany("INSERT OR IGNORE INTO removal VALUES (?, ?)", rows)

    def unrecorded(self) -> dict[str, datetime]:
        """The segments (name -> hour) whose removal has begun and is not in the ledger yet."""
        query = "SELECT segment, hour FROM removal ORDER BY segment"
        return {name: datetime.fromisoformat(hour) for name, hour in self._connection.execute(query)}

    def recorded(self, segments: Iterable[str]) -> None:
        """The ledger has said that these are removed."""
        with self._connection as connection:
            connection.executemany("DELETE FROM removal WHERE segment = ?", [(name,) for name in segments])

    def unpublished(self) -> list[str]:
        """Identifiers of releases that the statistics file does not show as they are: new ones, and those let go of."""
        query = "SELECT release_id FROM release WHERE published = 0 ORDER BY rowid"
        return [row[0] for row in self._connection.execute(query)]

    def published(self) -> None:
        """Every release is in the statistics file now."""
        with self._connection as connection:
            connection.execute("UPDATE release SET published = 1 WHERE published = 0")

    def expire(self, site: str, now: date, months: int) -> int:
        """Let go of the figures of periods that ended longer ago; returns of how many. That they were answered stays
        known, so nobody can ask again. The statistics file must be written anew.
        """
        old = (
            "FROM release WHERE site = ? AND period_end < date(?, ?) "
            "AND release_id NOT IN (SELECT release_id FROM expired)"
        )
        with self._connection as connection:
            terms = (site, now.isoformat(), f"-{months} months")
            gone = connection.execute(f"SELECT release_id {old}", terms).fetchall()
            connection.executemany("DELETE FROM cell WHERE release_id = ?", gone)
            connection.executemany("UPDATE release SET published = 0 WHERE release_id = ?", gone)
            connection.executemany("INSERT INTO expired VALUES (?)", gone)
        return len(gone)

    def releases(self) -> Iterator[Release]:
        """Every release whose figures are kept, in the order they were made."""
        query = (
            f"SELECT {', '.join(_COLUMNS)} FROM release "  # noqa: S608 - names from this file
            "WHERE release_id NOT IN (SELECT release_id FROM expired) ORDER BY rowid"
        )
        for row in self._connection.execute(query):
            values = dict(zip(_COLUMNS, row, strict=True))
            values |= {name: date.fromisoformat(values[name]) for name in ("period_start", "period_end")}
            values |= {name: json.loads(values[name]) for name in ("bounds", "weights")}
            yield Release(**values | {"released_at": datetime.fromisoformat(values["released_at"])})

    def cells(self) -> Iterator[Cell]:
        """Every released cell."""
        for row in self._connection.execute(
            "SELECT release_id, site, period_start, julianday(period_end) - julianday(period_start) + 1, statistic, "
            "key1, key2, metric, value, sigma FROM release JOIN cell USING (release_id)"
        ):
            release_id, site, start, days, *rest = row
            yield Cell(release_id, site, date.fromisoformat(start), int(days), *rest)

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self.close()
        if isinstance(error, sqlite3.Error):
            raise StatisticsError(
                f"the budget ledger {self._file} could not be written ({error}); make room or give rights to it and "
                "run again: what was published before is unchanged"
            ) from error


@contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Let one run at a time work on a workspace; the next one waits. A killed run lets go by itself."""
    lock = folder / "lock.db"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock.touch(mode=0o600)
        connection = sqlite3.connect(lock, timeout=LOCK_SECONDS, isolation_level=None)
    except (OSError, sqlite3.Error) as error:
        raise StatisticsError(
            f"{folder} cannot be written ({getattr(error, 'strerror', None) or error}); name another --out, make "
            "room, or give rights to it"
        ) from error
    try:
        _wait(connection, lock)
        yield
    finally:
        connection.close()


def _wait(connection: sqlite3.Connection, lock: Path) -> None:
    try:
        connection.execute("BEGIN EXCLUSIVE")
    except sqlite3.OperationalError as error:
        raise StatisticsError(f"another run has held {lock} for an hour ({error}); end it and try again") from error


_COLUMNS: Final = (
    "release_id", "site", "period_start", "period_end", "policy", "epsilon", "delta", "k", "bounds", "weights",
    "catalogue_sha256", "software", "released_at",
)  # fmt: skip
_INSERT_RELEASE: Final = (
    f"INSERT INTO release ({', '.join(_COLUMNS)}, schedule) "  # noqa: S608 - names from this file
    f"VALUES ({', '.join('?' * (len(_COLUMNS) + 1))})"
)


def _refuse_overlap(connection: sqlite3.Connection, answer: Answer) -> None:
    release = answer.release
    found = connection.execute(
        "SELECT period_start, period_end FROM release WHERE site = ? AND schedule = ? AND period_start <= ? "
        "AND period_end >= ?",
        (release.site, answer.schedule, release.period_end.isoformat(), release.period_start.isoformat()),
    ).fetchone()
    if found:
        raise ReleaseConflict(
            f"site {release.site!r}: {found[0]} to {found[1]} is released already, and a second answer for the same "
            "days would weaken the protection of the first"
        )


def _release_row(answer: Answer) -> tuple[Any, ...]:
    release = answer.release
    return (
        release.release_id, release.site, release.period_start.isoformat(), release.period_end.isoformat(),
        release.policy, release.epsilon, release.delta, release.k, json.dumps(release.bounds),
        json.dumps(release.weights), release.catalogue_sha256, release.software, release.released_at.isoformat(),
        answer.schedule,
    )  # fmt: skip


def _cell_rows(answer: Answer) -> Iterator[tuple[Any, ...]]:
    for cell in answer.cells:
        statistic = cell.statistic
        yield answer.release.release_id, statistic.table, *cell.key, statistic.metric, cell.value, cell.sigma
