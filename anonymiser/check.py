"""Is a published file what it claims to be, and safe? Recomputed from the papers, without the code that released it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import lru_cache
from math import exp, log, sqrt
from pathlib import Path
from typing import Any, Final

import duckdb

from anonymiser import scrub
from anonymiser.bounds import OTHER, ROUNDING, STATISTICS, Statistic
from anonymiser.errors import StatisticsError

DELTA_OF_NOISE: Final = 0.9
TOLERANCE: Final = 1e-3
CONFIG: Final[dict[str, Any]] = {"autoinstall_known_extensions": "false", "temp_directory": "", "threads": "1"}
TABLES: Final[Mapping[str, tuple[str, ...]]] = {
    "release": (
        "release_id", "site", "period_start", "period_end", "policy", "epsilon", "delta", "k", "bounds", "weights",
        "catalogue_sha256", "software", "released_at",
    ),
    "cell": (
        "release_id", "site", "period_start", "period_days", "statistic", "key1", "key2", "metric", "value", "sigma",
    ),
}  # fmt: skip
VIEWS: Final = frozenset(
    (*{s.table for s in STATISTICS.values()}, "channels", "systems"),
)
_BY_CELL: Final = {(s.table, s.metric): s for s in STATISTICS.values()}


@dataclass(frozen=True, slots=True)
class Finding:
    """One checked fact: what was checked, whether it holds, and a sentence that says so or names the place."""

    name: str
    ok: bool
    sentence: str


def check(path: Path) -> Iterator[Finding]:
    """Check a statistics file, one finding after the other; those that need the tables only if these are there.

    Raises StatisticsError when the file cannot be opened at all.
    """
    if not path.is_file():
        raise StatisticsError(f"{path} is no file; name a statistics file such as stats.duckdb")
    try:
        with closing(duckdb.connect(str(path), read_only=True, config=CONFIG)) as connection:
            shape = _shape(connection)
            yield shape
            if shape.ok:
                for name, (question, good) in _CHECKS.items():
                    fault = question(connection)
                    yield Finding(name, not fault, fault or good)
    except duckdb.Error as error:
        raise StatisticsError(f"{path} is no statistics file ({str(error).splitlines()[0]})") from error


def _shape(connection: duckdb.DuckDBPyConnection) -> Finding:
    found: dict[str, list[str]] = {}
    for table, column in connection.execute(
        "SELECT table_name, column_name FROM information_schema.columns ORDER BY table_name, ordinal_position"
    ).fetchall():
        found.setdefault(table, []).append(column)
    strange = sorted(found.keys() - TABLES.keys() - VIEWS)
    wrong = [name for name, columns in TABLES.items() if tuple(found.get(name, ())) != columns]
    missing = sorted(VIEWS - found.keys())
    fault = (
        (f"{strange[0]!r} is neither a table nor a view of ours" if strange else "")
        or (f"table {wrong[0]!r} does not have its columns" if wrong else "")
        or (f"view {missing[0]!r} is missing" if missing else "")
    )
    return Finding("shape", not fault, fault or f"two tables and {len(VIEWS)} views, nothing else")


def _releases(connection: duckdb.DuckDBPyConnection) -> str:
    """Every cell belongs to a release of its days; no two releases answer the same days and statistics."""
    stray = connection.execute(
        "SELECT c.site, c.period_start FROM cell c LEFT JOIN release r ON r.release_id = c.release_id AND "
        "r.site = c.site AND r.period_start = c.period_start AND r.period_end - r.period_start + 1 = c.period_days "
        "WHERE r.release_id IS NULL LIMIT 1"
    ).fetchone()
    if stray:
        return f"a cell of {stray[0]}, {stray[1]}, belongs to no release"
    twice = connection.execute(
        "WITH answer AS (SELECT DISTINCT release_id, site, statistic, period_start, period_days FROM cell) "
        "SELECT a.site, a.statistic, b.period_start FROM answer a JOIN answer b ON a.site = b.site AND "
        "a.statistic = b.statistic AND a.release_id <> b.release_id AND b.period_start >= a.period_start AND "
        "b.period_start < a.period_start + CAST(a.period_days AS INTEGER) LIMIT 1"
    ).fetchone()
    return f"{twice[1]} of {twice[0]} was answered twice for {twice[2]}" if twice else ""


def _statistics(connection: duckdb.DuckDBPyConnection) -> str:
    rows = connection.execute("SELECT DISTINCT statistic, metric FROM cell").fetchall()
    strange = sorted(row for row in rows if row not in _BY_CELL)
    return f"{'.'.join(strange[0])} is no statistic that can be protected" if strange else ""


def _identifiers(connection: duckdb.DuckDBPyConnection) -> str:
    rows = connection.execute("SELECT DISTINCT statistic, key1, key2 FROM cell WHERE key1 <> ''").fetchall()
    for statistic, *keys in sorted(rows):
        for key in keys:
            kinds = scrub.findings(key)
            if kinds:
                return f"a key of {statistic} looks like {kinds[0]} (the key is not repeated here)"
    return ""


def _noise(connection: duckdb.DuckDBPyConnection) -> str:
    """The noise of every cell is at least what the claimed epsilon and delta need."""
    releases = connection.execute("SELECT release_id, site, epsilon, delta, weights FROM release WHERE policy = 'dp'")
    claims = {row[0]: row[1:] for row in releases.fetchall()}
    cells = connection.execute(
        "SELECT DISTINCT release_id, statistic, metric, key1, sigma FROM cell SEMI JOIN release "
        "ON cell.release_id = release.release_id AND policy = 'dp'"
    ).fetchall()
    for release_id, table, metric, key, sigma in cells:
        site, epsilon, delta, weights = claims[release_id]
        needed = _needed(_BY_CELL[table, metric], key, epsilon, delta, weights)
        if sigma < needed * (1 - TOLERANCE):
            return f"{table} of {site} carries noise of {sigma:.2f}; epsilon {epsilon:g} needs {needed:.2f}"
    return ""


def _needed(statistic: Statistic, key: str, epsilon: float, delta: float, weights: str) -> float:
    """The standard deviation a cell needs: l2 / sqrt(2 rho_i), more where many texts meet in one cell."""
    shares = _shares(weights)
    if not shares.get(statistic.name):
        return float("inf")
    rho = _rho(epsilon, DELTA_OF_NOISE * delta) * shares[statistic.name]
    wider = statistic.fold * sqrt(2) if key == OTHER else statistic.fold if scrub.is_folded(key) else 1.0
    return statistic.l2 / sqrt(2 * rho) * wider


@lru_cache(maxsize=256)
def _shares(weights: str) -> dict[str, float]:
    given: dict[str, float] = json.loads(weights)
    return {name: weight / sum(given.values()) for name, weight in given.items()}


@lru_cache(maxsize=256)
def _rho(epsilon: float, delta: float) -> float:
    """The largest rho whose zCDP implies (epsilon, delta): Canonne, Kamath and Steinke 2020, proposition 7."""
    low, high = 0.0, 1000.0
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if _delta(middle, epsilon) <= delta else (low, middle)
    return low


def _delta(rho: float, epsilon: float) -> float:
    """delta = min over alpha > 1 of exp((alpha-1)(alpha rho - epsilon)) / (alpha - 1) * (1 - 1/alpha)^alpha."""
    if rho <= 0:
        return 0.0
    low, high = 1.0 + 1e-9, 1e6

    def value(alpha: float) -> float:
        return (alpha - 1) * (alpha * rho - epsilon) - log(alpha - 1) + alpha * log(1 - 1 / alpha)

    for _ in range(400):
        third = (high - low) / 3
        if value(low + third) < value(high - third):
            high -= third
        else:
            low += third
    least = value((low + high) / 2)
    return exp(least) if least < 0 else 1.0


def _threshold(connection: duckdb.DuckDBPyConnection) -> str:
    row = connection.execute(
        "SELECT site, statistic, period_start FROM cell JOIN release USING (release_id, site, period_start) "
        "WHERE policy = 'threshold' AND (sigma <> 0 OR value <> 0 AND value < k OR value % ? <> 0) LIMIT 1",
        [ROUNDING],
    ).fetchone()
    return f"{row[1]} of {row[0]}, {row[2]}, holds a count that is too small or not rounded" if row else ""


def _policies(connection: duckdb.DuckDBPyConnection) -> str:
    row: Any = connection.execute(
        "SELECT site, policy FROM release WHERE policy NOT IN ('dp', 'threshold') OR epsilon <= 0 OR epsilon > 20 "
        "OR delta <= 0 OR delta > 0.001 OR period_end < period_start LIMIT 1"
    ).fetchone()
    return f"a release of {row[0]} claims what no policy of ours does ({row[1]!r})" if row else ""


_CHECKS: Final = {
    "policies": (_policies, "every release names its policy and its price"),
    "releases": (_releases, "every cell belongs to one release; no day was answered twice"),
    "statistics": (_statistics, "every number is one of the protected statistics"),
    "identifiers": (_identifiers, "no key looks like an address, a number or a token of a person"),
    "noise": (_noise, "every noisy number carries at least the noise its epsilon and delta need"),
    "threshold": (_threshold, "every number without noise is rounded and no smaller than its k"),
}
