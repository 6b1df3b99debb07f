"""The tables of an export: every released number with its noise, in columns that have plain names."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import date, timedelta
from typing import Any, Final, Literal

from anonymiser.bounds import ENGAGED, OTHER, SCROLLED, STATISTICS
from anonymiser.stats import Cell, Release

Kind = Literal["string", "integer", "number", "date", "datetime"]
Record = Mapping[str, Any]
TOTALS: Final = ("visitors", "views", "visits", "bounces")
NOISE: Final = "standard deviation of its noise; 0 under the policy threshold, where nothing is known of the error"


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its name, its type in Table Schema, and what it says."""

    name: str
    kind: Kind
    about: str


@dataclass(frozen=True, slots=True)
class Table:
    """One table: its rows are records of its columns; `key` names what tells a row from any other."""

    name: str
    title: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    rows: Sequence[Record]


PERIOD: Final = (
    Column("release_id", "string", "the release it belongs to, in the table releases"),
    Column("period_start", "date", "first day it covers, local to the site"),
    Column("period_end", "date", "last day it covers"),
)
DAYS: Final = Column("visitors", "integer", "visitor-days as released: noise may take it below nought")
SIGMA: Final = Column("sigma", "number", NOISE)
_RELEASE: Final = {
    "site": "key of the site",
    "policy": "dp (differential privacy) or threshold",
    "epsilon": "most that one browser-day may cost",
    "delta": "chance left outside that promise",
    "k": "least count shown under threshold",
    "catalogue_sha256": "SHA-256 over the keys that were declared beforehand",
    "software": "what released it",
    "released_at": "when, in UTC",
}
# Whole numbers among the keys, and classes that have a name besides their number.
_NUMBERS: Final = ("hour", "step", "seconds", "depth")
_NAMES: Final = {"engagement": ("step", "engaged", ENGAGED), "scroll": ("step", "scrolled", SCROLLED)}
_CALLED: Final = {"gap": "gap_days"}
TITLES: Final = {
    "totals": "Totals of each day", "returning": "Days since the last active day", "hours": "Hours of the day",
    "pages": "Pages", "entries": "Landing pages", "exits": "Last pages", "sources": "Sources", "campaigns": "Campaigns",
    "countries": "Countries", "devices": "Devices", "browsers": "Browsers and systems", "languages": "Languages",
    "screens": "Screens", "goals": "Goals", "outbound": "Links away", "downloads": "Downloads",
    "not_found": "Pages not found", "searches": "Searches on the site", "engagement": "Engaged time",
    "scroll": "Scroll depth", "funnels": "Funnels", "page_sources": "Pages by source",
    "page_devices": "Pages by device",
    "source_goals": "Goals by source", "entry_goals": "Goals by landing page",
}  # fmt: skip
KEYS: Final = {statistic.table: statistic.keys for statistic in STATISTICS.values() if statistic.keys}
# What the page calls these keys where it filters by them; those of the other tables are called as their columns.
_FILTERED: Final = {"entries": ("entry",), "exits": ("exit",), "not_found": ("address",)}
_DIMENSIONS: Final = KEYS | _FILTERED
FILTERS: Final = (
    "page", "entry", "exit", "source", "channel", "campaign", "country", "device", "browser", "system", "screen",
    "language", "goal",
)  # fmt: skip


def tables(cells: Iterable[Cell], names: Sequence[str], filters: Mapping[str, str]) -> list[Table]:
    """The tables of these names; where there are filters, those that have their keys, and of them the rows that fit."""
    by_name: dict[str, list[Cell]] = {name: [] for name in names}
    for cell in cells:
        by_name[cell.statistic].append(cell)
    fitting = [name for name in names if filters.keys() <= {*_DIMENSIONS.get(name, ())}]
    return [_table(name, [cell for cell in by_name[name] if _fits(cell, filters)]) for name in fitting]


def releases(found: Iterable[Release]) -> Table:
    """The releases that the other tables speak of."""
    declared = {field.name: field for field in fields(Release)}
    kinds: dict[str, Kind] = {"epsilon": "number", "delta": "number", "k": "integer", "released_at": "datetime"}
    columns = [Column(name, kinds.get(name, "string"), _RELEASE[name]) for name in declared if name in _RELEASE]
    whole = (Column("release_id", "string", "its name"), *PERIOD[1:], *columns)
    rows = [{column.name: getattr(release, column.name) for column in whole} for release in found]
    return Table("releases", "Releases", whole, ("release_id",), rows)


def _fits(cell: Cell, filters: Mapping[str, str]) -> bool:
    own = dict(zip(_DIMENSIONS.get(cell.statistic, ()), (cell.key1, cell.key2), strict=False))
    return all(own[name] == value for name, value in filters.items())


def _table(name: str, cells: Sequence[Cell]) -> Table:
    if name == "totals":
        return _totals(cells)
    keys = _keys(name)
    columns = tuple(column for column, _ in keys)
    rows = [
        _period(cell)
        | {column.name: read(cell) for column, read in keys}
        | {DAYS.name: cell.value, "sigma": cell.sigma}
        for cell in cells
    ]
    told = ("release_id", *(column.name for column in columns))
    return Table(name, TITLES[name], (*PERIOD, *columns, DAYS, SIGMA), told, rows)


def _totals(cells: Sequence[Cell]) -> Table:
    """One row for each day, with a column for each total and one for its noise."""
    days: dict[str, dict[str, Any]] = {}
    for cell in cells:
        row = days.setdefault(cell.release_id, _period(cell))
        row |= {cell.metric: cell.value, f"{cell.metric}_sigma": cell.sigma}
    pairs = ((Column(n, "integer", f"{n} as released"), Column(f"{n}_sigma", "number", NOISE)) for n in TOTALS)
    columns = (*PERIOD, *(column for pair in pairs for column in pair))
    rows = [{column.name: row.get(column.name) for column in columns} for row in days.values()]
    return Table("totals", TITLES["totals"], columns, ("release_id",), rows)


def _period(cell: Cell) -> dict[str, Any]:
    end: date = cell.period_start + timedelta(days=cell.period_days - 1)
    return {"release_id": cell.release_id, "period_start": cell.period_start, "period_end": end}


_Read = Callable[[Cell], Any]


def _keys(statistic: str) -> list[tuple[Column, _Read]]:
    """The key columns of a table, and how each is read from a cell."""
    if statistic in _NAMES:
        number, named, names = _NAMES[statistic]
        return [
            (Column(number, "integer", "class, in order"), lambda cell: _number(cell.key1)),
            (Column(named, "string", "what the class is"), lambda cell: _name(names, cell.key1)),
        ]
    readers: tuple[_Read, _Read] = (lambda cell: cell.key1, lambda cell: cell.key2)
    found = []
    for name, read in zip(KEYS[statistic], readers, strict=False):
        kind: Kind = "integer" if name in _NUMBERS else "string"
        column = Column(_CALLED.get(name, name), kind, f"{name}; {OTHER} is everything too rare to be named")
        found.append((column, _whole(read) if kind == "integer" else read))
    return found


def _whole(read: _Read) -> _Read:
    return lambda cell: _number(read(cell))


def _number(text: str) -> int | None:
    return int(text) if text.isdecimal() else None


def _name(names: Sequence[str], text: str) -> str | None:
    place = _number(text)
    return names[place - 1] if place and place <= len(names) else None
