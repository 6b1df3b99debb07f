"""Is a published file what it claims to be, and safe? Recomputed from the papers, without the code that released it.

What a file cannot show is outside: whether its noise was drawn well, and whether its keys were declared beforehand.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from math import sqrt
from pathlib import Path
from typing import Any, Final

import duckdb

from anonymiser import catalogue, schema, scrub
from anonymiser.bounds import CROSSED, CUT, OTHER, PARTS_OF_VISITORS, ROUNDING, STATISTICS, Statistic
from anonymiser.errors import StatisticsError
from anonymiser.settings import SiteRules
from anonymiser.stats import opened
from anonymiser.zcdp import largest_rho

DELTA_OF_NOISE: Final = 0.9
DELTA_OF_KEYS: Final = 0.1
TOLERANCE: Final = 1e-3  # of the releasing side's search for rho
FALSE_ALARM: Final = 4e-7  # the chance that a sound file fails one of the two checks that judge by chance
LARGEST_WEIGHT: Final = 1000.0
BOUNDS: Final = frozenset({"l2", "linf", "keys_touched", "fold", "sigma"})


@dataclass(frozen=True, slots=True)
class Finding:
    """One checked fact: what was checked, whether it holds, and a sentence that says so or names the place."""

    name: str
    ok: bool
    sentence: str


@dataclass(frozen=True, slots=True)
class _Question:
    """A statement that finds the worst fault, if any, and the sentence for either case."""

    name: str
    good: str
    fault: str
    values: tuple[str, ...] = ()


_QUESTIONS: Final = (
    _Question("cells", "every number belongs to a release of its days", "{0}, {1}: a cell of {2} has no release"),
    _Question(
        "statistics",
        "every number is one of the protected statistics, with a share of the budget",
        "{0}, {1}: {2}.{3} is no statistic of ours, covers the wrong days or has no share of the budget",
    ),
    _Question(
        "twice",
        "no question was answered twice, which would average its noise away",
        "{0}, {1}: {2} answers what is answered already",
    ),
    _Question(
        "keys",
        "every key of a closed list is on it, and declared keys are shown in every release",
        "{0}, {1}: {2} shows a key that is on no list, or that was declared for some releases only",
        ("other",),
    ),
    _Question(
        "crossed",
        "two dimensions are shown only of days whose totals were paid at the shares of the wide set",
        "{0}, {1}: {2} is shown, but the totals of {3} were paid at other shares than that needs",
        ("crossed",),
    ),
    _Question(
        "noise",
        "every number carries at least the noise that its epsilon and delta need",
        "{0}, {1}: {2} carries noise of {3:.3g} where its epsilon and delta need {4:.3g}",
        ("tolerance",),
    ),
    _Question(
        "spent",
        "no browser-day costs more than its releases claim",
        "{0}, {1}: all that was released costs {2:.2f} times what is claimed",
        ("tolerance",),
    ),
    _Question(
        "drawn",
        "the numbers scatter as widely as the noise they claim",
        "{0}: {2} of {3} numbers of {1} lie close to {4}; noise as wide as claimed leaves at most {5:.0f} there",
        ("other", "false_alarm"),
    ),
    _Question(
        "margins",
        "no parts add up to their total exactly, as only numbers without noise do",
        "{0}: the parts of {1} add up to the visitors exactly, {2} of {3} times",
        ("false_alarm",),
    ),
    _Question(
        "rare",
        "no key that nobody declared is shown for so few visits that it could be one person's",
        "{0}, {1}: a key of {2} is shown that too few browsers brought",
        ("tolerance", "cut"),
    ),
    _Question(
        "told",
        "every release tells the price, the bounds and the noise of its numbers",
        "{0}, {1}: the release tells another price, bound or noise for {2} than its numbers carry",
        ("tolerance",),
    ),
    _Question(
        "threshold",
        "every number without noise is rounded and nought or at least k",
        "{0}, {1}: {2} holds a count without noise that is too small or not rounded",
        ("rounding",),
    ),
)
_VALUES: Final[dict[str, Any]] = {
    "crossed": sorted(CROSSED), "tolerance": TOLERANCE, "cut": CUT, "other": OTHER, "rounding": ROUNDING,
    "false_alarm": FALSE_ALARM,
}  # fmt: skip


def check(path: Path) -> Iterator[Finding]:
    """Check a statistics file, one finding after the other; what needs sound tables or claims is left out without them.

    Raises StatisticsError when there is no such file.
    """
    if not path.is_file():
        raise StatisticsError(f"{path} is no file; name a statistics file such as stats.duckdb")
    try:
        with closing(opened(path)) as connection:
            yield from _findings(connection)
    except duckdb.Error as error:
        yield Finding("file", False, f"cannot be read: {str(error).splitlines()[0]}")


def _findings(connection: duckdb.DuckDBPyConnection) -> Iterator[Finding]:
    shape = _objects(connection)
    yield shape
    if not shape.ok:
        return
    connection.execute("USE stats")
    releases = _releases(connection)
    yield releases
    yield _identifiers(connection)
    if releases.ok:
        _prepare(connection)
        yield from (_asked(connection, question) for question in _QUESTIONS)


def _asked(connection: duckdb.DuckDBPyConnection, question: _Question) -> Finding:
    values = {name: _VALUES[name] for name in question.values}
    row = connection.execute(_statement(question.name), values).fetchone()
    return Finding(question.name, row is None, question.fault.format(*row) if row else question.good)


@cache
def _statement(name: str) -> str:
    return files("anonymiser").joinpath("sql", f"check_{name}.sql").read_text("utf-8")


def _objects(connection: duckdb.DuckDBPyConnection) -> Finding:
    """Tables, views and nothing else, each exactly as an empty file of ours has it."""
    found, ours = _held(connection, "stats"), _ours()
    strange = sorted(found.keys() - ours.keys())
    missing = sorted(ours.keys() - found.keys())
    changed = sorted(thing for thing in found.keys() & ours.keys() if found[thing] != ours[thing])
    for things, what in ((strange, "is not ours"), (missing, "is missing"), (changed, "is not defined as ours is")):
        if things:
            kind, name = things[0]
            return Finding("objects", False, f"the {kind} {name.removeprefix('main.')} {what}")
    return Finding("objects", True, "two tables and a view for each statistic, and nothing else")


@cache
def _ours() -> dict[tuple[str, str], str]:
    with closing(duckdb.connect(":memory:")) as connection:
        for statement in schema.statements():
            connection.execute(statement)
        return _held(connection, "memory")


def _held(connection: duckdb.DuckDBPyConnection, database: str) -> dict[tuple[str, str], str]:
    rows = connection.execute(_statement("objects"), {"database": database}).fetchall()
    return {(kind, name): definition for kind, name, definition in rows}


def _releases(connection: duckdb.DuckDBPyConnection) -> Finding:
    fault = next(_unclear(connection), "")
    return Finding("releases", not fault, fault or "every release names its policy, price, bounds and shares")


def _unclear(connection: duckdb.DuckDBPyConnection) -> Iterator[str]:
    for site, day in connection.execute(_statement("releases")).fetchall():
        yield f"{site}, {day}: the release claims what no release of ours can"
    for (weights,) in connection.execute("SELECT DISTINCT weights FROM release").fetchall():
        if not (
            _numbers(weights, frozenset(STATISTICS))
            and all(0 < w <= LARGEST_WEIGHT for w in json.loads(weights).values())
        ):
            yield "the weights of a release are not a positive share for each statistic"
    for (bounds,) in connection.execute("SELECT DISTINCT bounds FROM release").fetchall():
        found = _object(bounds)
        if not found or not all(name in STATISTICS and _numbers(json.dumps(of), BOUNDS) for name, of in found.items()):
            yield "the bounds of a release are not five numbers for each statistic"


def _object(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _numbers(text: str, names: frozenset[str]) -> bool:
    """Whether a text is an object of numbers under these names only: no place for anything else."""
    found = _object(text)
    return bool(found) and found.keys() <= names and all(type(n) in (int, float) for n in found.values())


def _identifiers(connection: duckdb.DuckDBPyConnection) -> Finding:
    rows = connection.execute(_statement("texts")).fetchall()
    for what, *texts in rows:
        kinds = [kind for text in texts for kind in scrub.findings(text)]
        if kinds:
            return Finding("identifiers", False, f"{what} looks like: {kinds[0]} (it is not repeated here)")
    return Finding("identifiers", True, "no text looks like an address, a number or a token of a person")


# -- what epsilon and delta need --------------------------------------------------------------------------------------


def _prepare(connection: duckdb.DuckDBPyConnection) -> None:
    """Lay the table of bounds, the folded keys and the noise each claim needs beside the cells."""
    connection.execute(
        "CREATE TEMP TABLE known (name VARCHAR, statistic VARCHAR, metric VARCHAR, schedule VARCHAR, l2 DOUBLE, "
        "linf INTEGER, keys_touched INTEGER, fold DOUBLE, open BOOLEAN, is_part BOOLEAN)"
    )
    connection.executemany(
        "INSERT INTO known VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", [*map(_known, STATISTICS.values())]
    )
    # As one text: a list of parameters would have DuckDB look for numpy at each of them.
    connection.execute(
        "CREATE TEMP TABLE listed AS SELECT l[1] AS statistic, l[2] AS key1, l[3] AS key2 "
        "FROM (SELECT unnest(from_json(?, '[[\"VARCHAR\"]]')) AS l)",
        [json.dumps([*_listed()])],
    )
    connection.execute("CREATE TEMP TABLE halves (statistic VARCHAR, place INTEGER, key VARCHAR)")
    connection.executemany("INSERT INTO halves VALUES (?, ?, ?)", [*_halves()])
    connection.execute("CREATE TEMP TABLE folded (key VARCHAR)")
    for (key,) in connection.execute("SELECT key1 FROM cell UNION SELECT key2 FROM cell").fetchall():
        if scrub.is_folded(key):
            connection.execute("INSERT INTO folded VALUES (?)", [key])
    connection.execute(
        "CREATE TEMP TABLE share (epsilon DOUBLE, delta DOUBLE, weights VARCHAR, name VARCHAR, rho DOUBLE, "
        "sigma DOUBLE, key_delta DOUBLE)"
    )
    for claim in connection.execute(
        "SELECT DISTINCT epsilon, delta, weights FROM release WHERE policy = 'dp'"
    ).fetchall():
        connection.executemany("INSERT INTO share VALUES (?, ?, ?, ?, ?, ?, ?)", [*_shares(*claim)])
    connection.execute(_statement("width"), {"other": OTHER, "tolerance": TOLERANCE})
    connection.execute(_statement("surprise"))


def _listed() -> Iterator[tuple[str, str, str]]:
    """Every key of every closed list."""
    for statistic in STATISTICS.values():
        if statistic.keys and not statistic.open_ended:
            yield from ((statistic.table, *key) for key in catalogue.declared(statistic, SiteRules("any")))


def _halves() -> Iterator[tuple[str, int, str]]:
    """Every key of the closed lists that one half of a pair is on."""
    for name in sorted(CROSSED):
        for place, half in enumerate(STATISTICS[name].keys, start=1):
            yield from ((name, place, key) for key in catalogue.half(half))


def _known(s: Statistic) -> tuple[Any, ...]:
    is_part = s.name in PARTS_OF_VISITORS
    return s.name, s.table, s.metric, s.schedule, s.l2, s.linf, s.keys_touched, s.fold, s.open_ended, is_part


def _shares(epsilon: float, delta: float, weights: str) -> Iterator[tuple[Any, ...]]:
    """What a claim makes each statistic's noise, sigma = l2 / sqrt(2 rho_i), and the chance left for each rare key."""
    given: dict[str, float] = json.loads(weights)
    rho = largest_rho(epsilon, DELTA_OF_NOISE * delta)
    touched = sum(STATISTICS[name].keys_touched for name in given if STATISTICS[name].open_ended)
    key_delta = DELTA_OF_KEYS * delta / max(touched, 1)
    for name, weight in given.items():
        sigma = STATISTICS[name].l2 / sqrt(2 * rho * weight / sum(given.values()))
        yield epsilon, delta, weights, name, rho, sigma, key_delta
