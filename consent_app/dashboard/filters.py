"""Filters by clicking a row: which released table can answer them, and what comes nearest where none can."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from anonymiser.bounds import OTHER
from anonymiser.stats import Breakdown, Statistics, channel_groups, group
from consent_app.dashboard.periods import Period

LONGEST: Final = 512
MOST: Final = 2


@dataclass(frozen=True, slots=True)
class Table:
    """A released breakdown as the pages need it: `first` and `second` are the dimensions of its keys.

    Under `grouped` ones sources are known by the groups of `anonymiser.sources` only. `wide` ones are released where
    visitors are many, or on demand.
    """

    statistic: str
    first: str
    second: str = ""
    grouped: bool = False
    wide: bool = False

    def keys(self, filters: Sequence[Filter]) -> dict[str, Sequence[str]]:
        """The arguments for `Statistics.half` that these filters are; each is of one of its dimensions."""
        return {"key1" if f.dimension == self.first else "key2": (f.value,) for f in filters}


@dataclass(frozen=True, slots=True)
class Filter:
    """One chip: figures of one `value` of a `dimension` only."""

    dimension: str
    value: str

    @property
    def title(self) -> str:
        """What its dimension is called."""
        return TITLES[self.dimension]


TITLES: Final = {
    "page": "Page", "entry": "Landing page", "exit": "Last page", "source": "Source", "channel": "Channel",
    "campaign": "Campaign", "country": "Country", "device": "Device", "browser": "Browser", "system": "System",
    "screen": "Screen", "language": "Language", "goal": "Goal",
}  # fmt: skip
TABLES: Final = (
    Table("pages", "page"),
    Table("entries", "entry"),
    Table("exits", "exit"),
    Table("sources", "source", "channel"),
    Table("campaigns", "campaign"),
    Table("countries", "country"),
    Table("devices", "device"),
    Table("browsers", "browser", "system"),
    Table("screens", "screen"),
    Table("languages", "language"),
    Table("goals", "goal"),
    Table("page_sources", "page", "source", grouped=True, wide=True),
    Table("page_devices", "page", "device", wide=True),
    Table("source_goals", "source", "goal", grouped=True, wide=True),
    Table("entry_goals", "entry", "goal", wide=True),
)


@dataclass(frozen=True, slots=True)
class Answer:
    """Where the figures of some dimensions are: the table, the keys to ask it for, and what must be said of them."""

    table: Table
    keys: Mapping[str, Sequence[str]]
    note: str = ""


def read(arguments: Mapping[str, str]) -> tuple[Filter, ...]:
    """The filters an address asks for, at most two: there is no table of three dimensions."""
    found = ((name, arguments.get(name, "").strip()[:LONGEST]) for name in TITLES)
    return tuple(Filter(name, value) for name, value in found if value and value != OTHER)[:MOST]


def clicked(dimension: str, key: str) -> Filter:
    """What a click on a row filters by: the group of a channel's small sources is that channel."""
    if dimension == "source" and key.startswith("Other "):
        rest = key.removeprefix("Other ")
        return Filter("channel", rest[:1].upper() + rest[1:])
    return Filter("channel" if dimension == "source" and key == "Referral" else dimension, key)


def table_of(*dimensions: str) -> Table | None:
    """The table that has exactly these dimensions, or one dimension among others."""
    wanted = {*dimensions}
    exact = (t for t in TABLES if {t.first, t.second} - {""} == wanted)
    among = (t for t in TABLES if wanted <= {t.first, t.second} and not t.wide)
    return next(exact, None) or next(among, None)


def focus(statistics: Statistics, site: str, filters: Sequence[Filter], period: Period) -> Answer | None:
    """Where the figure of the filters themselves is; None where these two were not released together."""
    return answer(statistics, site, "", filters, period)


def answer(
    statistics: Statistics, site: str, dimension: str, filters: Sequence[Filter], period: Period
) -> Answer | None:
    """Where a card's rows by `dimension` are under these filters; None where no table can say."""
    names = dict.fromkeys((*(f.dimension for f in filters), *filter(None, (dimension,))))
    if {"channel"} < {*names} and "source" not in names:
        return _of_channel(dimension, filters, names)
    table = table_of(*names) if len(names) <= MOST else None
    if table is None:
        return None
    return _regrouped(statistics, site, table, filters, period) if table.grouped else Answer(table, table.keys(filters))


def _of_channel(dimension: str, filters: Sequence[Filter], names: Mapping[str, None]) -> Answer | None:
    """A channel beside a page or a goal: the sum of its groups of sources."""
    table = table_of("source", *(name for name in names if name != "channel"))
    chosen = [f for f in filters if f.dimension == "channel"]
    if table is None or not table.grouped or not chosen or dimension == "channel":
        return None
    others = table.keys([f for f in filters if f.dimension != "channel"])
    place = "key1" if table.first == "source" else "key2"
    return Answer(table, {**others, place: channel_groups(chosen[0].value)})


def _regrouped(statistics: Statistics, site: str, table: Table, filters: Sequence[Filter], period: Period) -> Answer:
    """A source that pairs do not know by its name is asked for by its group, and that is said."""
    asked, note = [], ""
    for chosen in filters:
        if chosen.dimension == "source":
            known = group(chosen.value, channel_of(statistics, site, chosen.value, period))
            if known != chosen.value:
                note = f"Beside other things {chosen.value} is counted as part of “{known}”: these are its figures."
            chosen = Filter("source", known)
        asked.append(chosen)
    return Answer(table, table.keys(asked), note)


def channel_of(statistics: Statistics, site: str, source: str, period: Period) -> str:
    """The channel of a source that was released in the period; its own name where it was not."""
    rows = statistics.breakdown(site, "sources", period.start, period.end).rows
    return next((row.key2 for row in rows if row.key1 == source and row.key2), source)


def asked(statistics: Statistics, site: str, found: Answer, period: Period) -> Breakdown:
    """The rows of an answer."""
    name = found.table.statistic
    return (
        statistics.half(site, name, period.start, period.end, **found.keys)
        if found.keys
        else statistics.breakdown(site, name, period.start, period.end)
    )
