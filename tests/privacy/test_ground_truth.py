"""Facts without identifiers against the truth with them: sixty made-up days on which every row names its browser.

What a browser keeps and sends is simulated here from the design's definitions; the truth is counted from the named rows
alone and shares no code with it. The facts take the real way: beacon text, shredding, spool, SQL.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from itertools import groupby
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import pytest

from anonymiser import bounds, facts, spool
from anonymiser.agents import Agent
from anonymiser.bounds import STATISTICS
from anonymiser.engines.duckdb import DuckDBEngine
from anonymiser.hour_keys import HourKeys
from anonymiser.publish import publish
from anonymiser.stats import Cell, Release, Statistics
from anonymiser.unsealing import read

FIRST, DAYS, BROWSERS, LONGEST = date(2026, 9, 1), 60, 300, 32
DAY = timedelta(days=1)
OWN_HOSTS = frozenset({"kent.example"})
PAGES = ("/", "/chairs/", "/desks/", "/contact", "/about", "/delivery", "/offers", "/order/1041", "/order/1042")
SHOWN = {"/order/1041": "/order/:id", "/order/1042": "/order/:id"}
SOURCES: dict[str, tuple[dict[str, str], tuple[str, str]]] = {
    "none": ({}, ("Direct", "Direct")),
    "search": ({"referrer": "www.google.co.uk"}, ("Google", "Search")),
    "mail": ({"utm_source": "newsletter", "utm_medium": "email"}, ("Newsletter", "Mail")),
    "blog": ({"referrer": "blog.partner.example"}, ("blog.partner.example", "Referral")),
}
CROSSED_AS = {"none": "Direct", "search": "Google", "mail": "Newsletter", "blog": "Referral"}
KEYS = {
    "goal": ("enquiry", "Call", "brochure", "basket", "order"),
    "outbound": ("shop.example", "maps.example", "pay.example", "press.example"),
    "download": ("/list.pdf", "/terms.pdf", "/size.pdf", "/care.pdf"),
    "search": ("chair", "desk", "lamp", "shelf", "stool"),
    "not_found": ("/gone", "/old", "/moved", "/lost"),
}
STEPS = (*(f"order:{number}" for number in range(1, 7)), "tour:1", "tour:2")
TABLES = {"goal": "goals", "outbound": "outbound", "download": "downloads", "search": "searches"}


@dataclass(frozen=True)
class Person:
    """What stays the same of a browser, whose number is the stable identifier."""

    number: int
    agent: Agent
    zone: tuple[str, str]
    lang: tuple[str, str]
    screen: str
    zeal: float


class Row(NamedTuple):
    """One thing a browser did: `visit` of its day, `key` the page or what the event was about."""

    who: int
    day: date
    hour: int
    visit: int
    kind: str
    key: str
    source: str = ""
    campaign: str = ""
    step: str = ""


@dataclass(frozen=True)
class Limits:
    """The bounds of one browser-day."""

    views: int = bounds.VIEWS_PER_DAY
    pages: int = bounds.PAGES_PER_DAY
    visits: int = bounds.VISITS_PER_DAY
    exit_views: int = bounds.EXIT_VIEWS
    events: int = bounds.EVENTS_PER_DAY
    steps: int = bounds.FUNNEL_STEPS_PER_DAY


LIFTED = Limits(*[10**6] * 6)
NAMES = ("VIEWS_PER_DAY", "PAGES_PER_DAY", "VISITS_PER_DAY", "EXIT_VIEWS", "EVENTS_PER_DAY", "FUNNEL_STEPS_PER_DAY")


# -- the world --------------------------------------------------------------------------------------------------------


def person(chance: Random, number: int) -> Person:
    agents = (Agent("Chrome", "Windows", "desktop", ""), Agent("Safari", "iOS", "mobile", ""))
    zones = (("Europe/London", "GB"), ("Europe/Paris", "FR"), ("Asia/Kolkata", "IN"))
    langs = (("en-GB", "en"), ("fr", "fr"), ("xx-strange", "unknown"))
    screen = chance.choice(("small", "medium", "large", "wide"))
    return Person(
        number, chance.choice(agents), chance.choice(zones), chance.choice(langs), screen, chance.random() ** 3 * 0.6
    )


def day_of(chance: Random, who: int, day: date) -> Iterator[Row]:
    """One browser's day in order; one in eight goes far beyond every limit."""
    busy = chance.random() < 0.125
    reached, hour = [0, 0], chance.randrange(8, 12)
    for visit in range(1, chance.randrange(3, 6) if busy else chance.choice((2, 2, 2, 3))):
        source, campaign = chance.choice(sorted(SOURCES)), chance.choice(("", "", "autumn-offers"))
        for _ in range(chance.choice((1, 4, 11)) if busy else chance.choice((1, 1, 2, 3, 4))):
            step = chance.choice(STEPS) if chance.random() < 0.3 else ""
            yield Row(who, day, hour, visit, "pageview", chance.choice(PAGES), source, campaign, step)
            for _ in range(chance.randrange(3) if busy else chance.random() < 0.2):
                kind = chance.choice(sorted(KEYS))
                yield Row(who, day, hour, visit, kind, chance.choice(KEYS[kind]), step=chance.choice(("", *STEPS)))
            grown = [chance.randrange(level, 9) if chance.random() < 0.4 else level for level in reached]
            if grown != reached:
                reached = grown
                yield Row(who, day, hour, visit, "engagement", f"{grown[0]} {grown[1]}")
        hour += chance.randrange(1, 3)


@dataclass(frozen=True)
class World:
    """Everybody, and everything they did, in the order of each browser's days."""

    people: Mapping[int, Person]
    rows: Sequence[Row]


@pytest.fixture(scope="module")
def world() -> World:
    chance = Random(20260901)
    people = {number: person(chance, number) for number in range(BROWSERS)}
    days = [FIRST + n * DAY for n in range(DAYS)]
    active = [(who, day) for who in people for day in days if chance.random() < people[who].zeal]
    return World(people, [row for who, day in active for row in day_of(chance, who, day)])


# -- what the browsers say, without an identifier ---------------------------------------------------------------------


@dataclass
class Device:
    """The counters on one visitor's own device."""

    person: Person
    today: date | None = None
    n: int = 0
    v: int = 0
    k: int = 0
    prev: str = ""
    came: dict[str, str] = field(default_factory=dict)
    reached: dict[str, int] = field(default_factory=dict)
    seen: dict[str, list[str]] = field(default_factory=dict)

    def beacon(self, row: Row) -> dict[str, Any]:
        gap = self._gap(row.day)
        told = {"schema": 1, "site": "kent", "permit": "p", "nonce": "0" * 16, "day": row.day.isoformat()}
        told |= {"kind": row.kind, "path": self.prev or "/"}
        if row.step:
            told |= {"step": row.step, "f": self._first("step", row.step)}
        if row.kind == "pageview":
            return told | self._view(row, gap)
        if row.kind == "engagement":
            return told | self._grown(row)
        told |= {"g": self._first(row.kind, row.key), "key": row.key} | (self.came if row.kind == "goal" else {})
        return told | {"path": row.key} if row.kind == "not_found" else told

    def _grown(self, row: Row) -> dict[str, Any]:
        """The day's engaged time, or its deepest scroll, or both, have come into a later bucket."""
        told = {}
        for name, new in zip(("engaged", "scroll"), map(int, row.key.split()), strict=True):
            old = self.reached.get(name, 0)
            if new > old:
                told[name] = [old, new]
                self.reached[name] = new
        return told

    def _gap(self, day: date) -> str:
        if day == self.today:
            return ""
        gap = bucket((day - self.today).days) if self.today else "first"
        self.today, self.n, self.v, self.reached, self.seen = day, 0, 0, {}, {}
        return gap

    def _view(self, row: Row, gap: str) -> dict[str, Any]:
        if row.visit != self.v:
            self.v, self.k, self.prev = row.visit, 0, ""
            self.came = {"entry": row.key} | SOURCES[row.source][0]
        self.n, self.k = self.n + 1, self.k + 1
        told: dict[str, Any] = {"path": row.key, "n": self.n, "v": self.v, "k": self.k}
        told["p"] = self._first("page", row.key)
        told |= self.came | ({"prev": self.prev} if self.prev else {"utm_campaign": row.campaign})
        if self.n == 1:
            told |= {"gap": gap, "zone": self.person.zone[0], "lang": self.person.lang[0], "screen": self.person.screen}
        self.prev = row.key
        return told

    def _first(self, kind: str, key: str) -> int:
        known = self.seen.setdefault(kind, [])
        if key in known:
            return 0
        known.append(key)
        return len(known)


def bucket(days: int) -> str:
    return str(days) if days < 32 else "32-60"


Counts = dict[tuple[str, str, str, str], int]


def counted(world: World, folder: Path) -> Counts:
    """The sums of the facts, by way of the spool."""
    devices = {number: Device(person) for number, person in world.people.items()}
    at = datetime(2026, 11, 1, 9, tzinfo=UTC)
    keys = HourKeys(folder / "private")
    keys.provide(folder, at)
    with spool.Spool(folder, clock=lambda: at) as waiting:
        for row in world.rows:
            beacon = facts.parse(json.dumps(devices[row.who].beacon(row)).encode())
            waiting.add(facts.shred(beacon, world.people[row.who].agent, row.hour, OWN_HOSTS))
    stored = [fact for segment in spool.segments(folder) for fact in read(segment, keys).facts]
    return DuckDBEngine().sum_facts(stored)


# -- the truth, with identifiers --------------------------------------------------------------------------------------


def truth(world: World, limits: Limits) -> Counts:
    """Every cell of every statistic, counted from the rows and the browsers' numbers."""
    cells: Counter[tuple[str, str, str, str]] = Counter()
    last: dict[int, date] = {}
    for (who, day), group in groupby(world.rows, key=lambda row: (row.who, row.day)):
        mine = list(group)
        gap = bucket((day - last[who]).days) if who in last else "first"
        last[who] = day
        for name, key1, key2, count in (
            *((name, *keys, 1) for name, keys in of_the_day(world.people[who], gap)),
            *of_views([row for row in mine if row.kind == "pageview"], limits),
            *of_pairs(mine, world.people[who], limits),
            *of_first_visit([row for row in mine if row.kind == "pageview" and row.visit == 1], limits),
            *of_events(mine, limits),
        ):
            cells[day.isoformat(), name, key1, key2] += count
    return {cell: count for cell, count in cells.items() if count}


def of_the_day(person: Person, gap: str) -> Iterator[tuple[str, tuple[str, str]]]:
    yield "visitors", ("", "")
    yield "returning", (gap, "")
    yield "countries", (person.zone[1], "")
    yield "languages", (person.lang[1], "")
    yield "screens", (person.screen, "")
    yield "devices", (person.agent.device, "")
    yield "browsers", (person.agent.browser, person.agent.system)


Added = Iterator[tuple[str, str, str, int]]


def of_views(views: Sequence[Row], limits: Limits) -> Added:
    visits = Counter(row.visit for row in views)
    yield "views", "", "", min(len(views), limits.views)
    yield "visits", "", "", min(len(visits), limits.visits)
    yield "bounces", "", "", sum(length == 1 for visit, length in visits.items() if visit <= limits.visits)
    for page in unique(row.key for row in views)[: limits.pages]:
        yield "pages", SHOWN.get(page, page), "", 1


def of_pairs(mine: Sequence[Row], person: Person, limits: Limits) -> Added:
    """New pages of the day with the source of their visit and the device; new goals with the source and the page that
    their visit began with.
    """
    begun = {row.visit: row for row in reversed(mine) if row.kind == "pageview"}
    for row in firsts(mine, "pageview")[: limits.pages]:
        page = SHOWN.get(row.key, row.key)
        yield "page_sources", page, CROSSED_AS[row.source], 1
        yield "page_devices", page, person.agent.device, 1
    for row in firsts(mine, "goal")[: limits.events]:
        entry = begun[row.visit]
        yield "source_goals", CROSSED_AS[entry.source], row.key, 1
        yield "entry_goals", SHOWN.get(entry.key, entry.key), row.key, 1


def firsts(mine: Sequence[Row], kind: str) -> list[Row]:
    """The first row of each different key of a kind."""
    found: dict[str, Row] = {}
    for row in mine:
        if row.kind == kind:
            found.setdefault(row.key, row)
    return list(found.values())


def of_first_visit(views: Sequence[Row], limits: Limits) -> Added:
    first, left = views[0], views[: limits.exit_views][-1]
    yield "entries", SHOWN.get(first.key, first.key), "", 1
    yield "exits", SHOWN.get(left.key, left.key), "", 1
    yield "sources", *SOURCES[first.source][1], 1
    yield "hours", f"{first.hour:02}", "", 1
    if first.campaign:
        yield "campaigns", first.campaign, "", 1


def of_events(mine: Sequence[Row], limits: Limits) -> Added:
    for kind in KEYS:
        for key in unique(row.key for row in mine if row.kind == kind)[: limits.events]:
            yield TABLES.get(kind, kind), key, "", 1
    for step in unique(row.step for row in mine if row.step)[: limits.steps]:
        funnel, number = step.split(":")
        yield "funnels", funnel, number, 1
    reached = [row.key for row in mine if row.kind == "engagement"]
    for name, last in zip(("engagement", "scroll"), reached[-1].split() if reached else (), strict=False):
        if last != "0":
            yield name, last, "", 1


def unique(keys: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(keys))


def differing(found: Counts, expected: Counts) -> set[str]:
    """The statistics in which any cell differs."""
    return {cell[1] for cell in found.keys() | expected.keys() if found.get(cell) != expected.get(cell)}


# -- the comparisons --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def bounded(world: World, tmp_path_factory: pytest.TempPathFactory) -> Counts:
    return counted(world, tmp_path_factory.mktemp("bounded"))


def test_without_bounds_every_cell_is_the_truth(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        monkeypatch.setattr(facts, name, 10**6)
    found, expected = counted(world, tmp_path), truth(world, LIFTED)
    assert {cell[1] for cell in expected} == set(STATISTICS)
    assert len(world.rows) > 10_000
    assert differing(found, expected) == set()


def test_with_bounds_every_cell_is_the_truth_bounded_by_browser_day(world: World, bounded: Counts) -> None:
    assert differing(bounded, truth(world, Limits())) == set()


@pytest.mark.parametrize(
    ("looser", "seen"),
    [
        (Limits(views=Limits.views + 1), {"views"}),
        (Limits(pages=Limits.pages + 1), {"pages", "page_sources", "page_devices"}),
        (Limits(visits=Limits.visits + 1), {"visits", "bounces"}),
        (Limits(exit_views=Limits.exit_views + 1), {"exits"}),
        (Limits(events=Limits.events + 1), {*TABLES.values(), "not_found", "source_goals", "entry_goals"}),
        (Limits(steps=Limits.steps + 1), {"funnels"}),
    ],
)
def test_each_bound_is_felt_and_a_looser_one_would_be_seen(
    world: World, bounded: Counts, looser: Limits, seen: set[str]
) -> None:
    assert differing(bounded, truth(world, looser)) == seen


def active(world: World) -> dict[date, set[int]]:
    found: dict[date, set[int]] = {FIRST + n * DAY: set() for n in range(DAYS)}
    for row in world.rows:
        found[row.day].add(row.who)
    return found


def ranges() -> list[tuple[date, date]]:
    starts = [(FIRST + n * DAY, min(LONGEST, DAYS - n)) for n in range(DAYS)]
    return [(start, start + n * DAY) for start, most in starts for n in range(most)]


def days_from(start: date, end: date) -> Iterator[date]:
    return (start + n * DAY for n in range((end - start).days + 1))


def test_visitors_of_any_range_follow_from_the_gaps(world: World, bounded: Counts) -> None:
    """Somebody is new in [a, b] on the day d whose gap exceeds d - a; "first" and the long gaps always do."""
    known = active(world)
    gaps: dict[date, Counter[int]] = {day: Counter() for day in known}
    for (day, name, gap, _), count in bounded.items():
        if name == "returning":
            gaps[date.fromisoformat(day)][int(gap) if gap.isdecimal() else 1000] += count
    for start, end in ranges():
        exact = len(set().union(*(known[day] for day in days_from(start, end))))
        new = sum(
            count for day in days_from(start, end) for gap, count in gaps[day].items() if gap > (day - start).days
        )
        assert new == exact, (start, end)


def test_the_published_file_answers_ranges_alike(world: World, bounded: Counts, tmp_path: Path) -> None:
    """Published without noise, a range of any length up to 32 days tells its different visitors exactly."""
    known = active(world)
    releases = [exact_release(day) for day in known]
    publish(tmp_path / "stats.duckdb", releases, exact_cells(bounded))
    with Statistics(tmp_path / "stats.duckdb") as statistics:
        for start, end in ranges()[::3]:
            figure = statistics.visitors("kent", start, end)
            assert not figure.is_visitor_days
            assert figure.value == len(set().union(*(known[day] for day in days_from(start, end)))), (start, end)


def test_adding_up_days_would_be_far_off(world: World) -> None:
    known = list(active(world).values())[:LONGEST]
    assert sum(map(len, known)) > 2 * len(set().union(*known))


def exact_release(day: date) -> Release:
    return Release(
        day.isoformat(), "kent", day, day, "threshold", 2.0, 1e-6, 2, {}, {}, "0" * 64, "test",
        datetime(2026, 11, 1, tzinfo=UTC),
    )  # fmt: skip


def exact_cells(counts: Counts) -> Iterator[Cell]:
    for (day, name, key1, key2), count in counts.items():
        statistic = STATISTICS[name]
        if statistic.schedule == "daily":
            start = date.fromisoformat(day)
            yield Cell(day, "kent", start, 1, statistic.table, key1, key2, statistic.metric, count, 0.0)
