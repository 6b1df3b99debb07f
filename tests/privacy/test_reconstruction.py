"""Reconstruction: what follows from the published cells of one day when all their margins are held against each other.

Entries, sources, countries, devices, browsers, languages, screens, gaps and hours each add up to the day's visitors, so
one release answers the same question ten times. Under `threshold` every cell is an interval, and the linear programme
"all groups have one sum" is solved exactly; under `dp` the same equations are solved by weighted least squares.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from math import pi, sqrt
from random import Random
from typing import NamedTuple

import pytest

from anonymiser.agents import DEVICES, Agent
from anonymiser.bounds import OTHER, ROUNDING
from anonymiser.facts import Beacon, shred
from anonymiser.protect import Period, SafeCell, protect, threshold
from anonymiser.settings import Protection, SiteRules

K, DAYS = 10, 25
DAY = date(2026, 11, 2)
PAGES = ("/", "/chairs/", "/desks/", "/contact")
CATALOGUE: dict[str, tuple[str, ...]] = {"pages": PAGES}
GROUPS = ("visitors", "entries", "sources", "countries", "devices", "browsers", "languages", "screens", "returning",
          "hours")  # fmt: skip
SCREENS = ("small", "medium", "large", "wide")
AGENTS = (Agent("Chrome", "Windows", "desktop", ""), Agent("Safari", "iOS", "phone", ""),
          Agent("Safari", "iOS", "tablet", ""))  # fmt: skip

Counts = Counter[tuple[str, tuple[str, str]]]
Place = tuple[str, tuple[str, str]]


class Interval(NamedTuple):
    """The exact counts that are possible, both ends counted."""

    low: int
    high: int


# -- days and their releases ------------------------------------------------------------------------------------------


def visitor(chance: Random) -> Beacon:
    zone = chance.choices(("Europe/London", "Europe/Paris", "Asia/Kolkata"), (80, 15, 5))[0]
    return Beacon(
        "kent", "permit", "0" * 16, DAY.isoformat(), "pageview", chance.choices(PAGES, (60, 25, 10, 5))[0], n=1, p=1,
        v=1, k=1, gap=chance.choices(("first", "1", "2", "9"), (60, 25, 10, 5))[0], zone=zone,
        lang=chance.choices(("en", "fr", "hi"), (80, 15, 5))[0], screen=chance.choices(SCREENS, (40, 5, 40, 15))[0],
        referrer=chance.choices(("", "google.com", "bing.com"), (50, 42, 8))[0],
    )  # fmt: skip


def exact_days(chance: Random) -> list[Counts]:
    """Days of 40 to 200 visitors."""
    days = []
    for _ in range(DAYS):
        counts: Counts = Counter()
        for _ in range(chance.randrange(40, 200)):
            agent, hour = chance.choices(AGENTS, (60, 35, 5))[0], chance.choices((9, 12, 20), (50, 40, 10))[0]
            for fact in shred(visitor(chance), agent, hour, frozenset()):
                counts[fact.statistic, (fact.key1, fact.key2)] += fact.delta
        days.append(counts)
    return days


def released(days: Sequence[Counts], protection: Protection) -> list[dict[Place, SafeCell]]:
    """What is published, less the keys of which the attacker knows that nobody at this site ever has them."""
    occurring = {place for counts in days for place in counts}
    rules = SiteRules("kent", catalogue=CATALOGUE, protection=protection)
    periods = [Period(DAY, DAY, counts) for counts in days]
    totals, parts = (protect(rules, "beacons", schedule, periods) for schedule in ("daily", "breakdown"))
    return [
        {
            (cell.statistic.name, cell.key): cell
            for cell in (*both[0], *both[1])
            if cell.statistic.name in GROUPS
            if cell.key[0] == OTHER or (cell.statistic.name, cell.key) in occurring
        }
        for both in zip(totals, parts, strict=True)
    ]


# -- the attack on `threshold` ----------------------------------------------------------------------------------------


def possible(cell: SafeCell) -> Interval:
    """Which counts are published as this number. "(other)" is unlike the rest: what it hides may be several cells."""
    if cell.value == 0:
        return Interval(0, K - 1)
    return Interval(max(K, cell.value - ROUNDING // 2), cell.value + ROUNDING // 2)


def exactly(cell: SafeCell) -> Interval:
    """The same for cells that are not rounded."""
    return Interval(cell.value, cell.value) if cell.value else Interval(0, K - 1)


Reading = Callable[[SafeCell], Interval]


def deduced(
    cells: Mapping[Place, SafeCell], read: Reading = possible, groups: Sequence[str] = GROUPS
) -> dict[Place, Interval]:
    """Each cell's exact range, given that every group has the same sum (exact for this linear programme: a cell is
    bound by its own interval and by its group's sum, the sums by each other).
    """
    known = {place: read(cell) for place, cell in cells.items()}
    ranges = [total(known, name) for name in groups]
    everybody = Interval(max(r.low for r in ranges), min(r.high for r in ranges))
    return {place: narrowed(known, place, everybody) for place in known}


def total(known: Mapping[Place, Interval], name: str) -> Interval:
    parts = [interval for (group, _), interval in known.items() if group == name]
    return Interval(sum(part.low for part in parts), sum(part.high for part in parts))


def narrowed(known: Mapping[Place, Interval], place: Place, everybody: Interval) -> Interval:
    mine, group = known[place], total(known, place[0])
    least = everybody.low - (group.high - mine.high)
    most = everybody.high - (group.low - mine.low)
    return Interval(max(mine.low, least), min(mine.high, most))


def revealed(
    days: Sequence[Counts], releases: Sequence[Mapping[Place, SafeCell]], read: Reading = possible
) -> tuple[list[int], list[int]]:
    """For every small count (1 to k - 1) with a cell of its own: how many values stay possible; and those of the
    total. The truth must be among them, or the attack itself is wrong.
    """
    small, totals = [], []
    for exact, cells in zip(days, releases, strict=True):
        for place, interval in deduced(cells, read).items():
            count = exact[place]
            if place[1][0] == OTHER:
                continue
            assert interval.low <= count <= interval.high, place
            if 0 < count < K:
                small.append(interval.high - interval.low + 1)
            elif place[0] == "visitors":
                totals.append(interval.high - interval.low + 1)
    return small, totals


def test_threshold_leaves_no_small_count_with_one_value() -> None:
    days = exact_days(Random(1))
    small, totals = revealed(days, released(days, Protection("threshold", k=K)))
    assert len(small) > 100
    assert min(small) >= ROUNDING
    assert sum(left == K for left in small) > len(small) / 3
    assert max(totals) <= ROUNDING


def test_without_rounding_the_attack_reads_small_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same attack where large counts are exact: a group with one hidden cell gives it away."""
    monkeypatch.setattr(threshold, "_rounded", lambda count, k: count if count >= k else 0)
    days = exact_days(Random(1))
    small, _ = revealed(days, released(days, Protection("threshold", k=K)), exactly)
    assert sum(left == 1 for left in small) > len(small) / 10


def test_threshold_can_be_beaten_where_chance_helps() -> None:
    """Why it is labelled "no mathematical guarantee": 123 visitors are published as 125, so there were at least 123; 87
    desktops as 85, so at most 87. Four other kinds of devices, all that this site ever sees, are published as 0
    each and share at least 36: they are 9 each.
    """
    unlucky: Counts = Counter({("visitors", ("", "")): 123, ("devices", ("desktop", "")): 87})
    hidden = [("devices", (name, "")) for name in DEVICES if name != "desktop"][:4]
    unlucky.update(dict.fromkeys(hidden, K - 1))
    (cells,) = released([unlucky], Protection("threshold", k=K))
    kept = {place: cell for place, cell in cells.items() if place[0] in ("visitors", "devices")}
    found = deduced(kept, groups=("visitors", "devices"))
    assert {kept[place].value for place in hidden} == {0}
    assert {found[place] for place in hidden} == {Interval(K - 1, K - 1)}


# -- the attack on `dp` -----------------------------------------------------------------------------------------------


def fitted(cells: Mapping[Place, SafeCell]) -> dict[Place, float]:
    """Weighted least squares under "all groups have one sum": each group moves towards the common sum, its cells by
    their share of its variance.
    """
    groups = {name: [cell for (group, _), cell in cells.items() if group == name] for name in GROUPS}
    sums = {name: sum(cell.value for cell in group) for name, group in groups.items()}
    spread = {name: sum(cell.sigma**2 for cell in group) for name, group in groups.items()}
    everybody = sum(sums[name] / spread[name] for name in GROUPS) / sum(1 / spread[name] for name in GROUPS)
    return {
        place: cell.value + (everybody - sums[place[0]]) * cell.sigma**2 / spread[place[0]]
        for place, cell in cells.items()
    }


def errors(days: Sequence[Counts], releases: Sequence[Mapping[Place, SafeCell]]) -> list[tuple[float, float]]:
    """(error of the fit, noise) of every small count with a cell of its own."""
    return [
        (value - exact[place], cells[place].sigma)
        for exact, cells in zip(days, releases, strict=True)
        for place, value in fitted(cells).items()
        if 0 < exact[place] < K and place[1][0] != OTHER
    ]


def test_under_dp_the_attack_stays_within_the_noise() -> None:
    days = exact_days(Random(1))
    found = errors(days, released(days, Protection()))
    assert len(found) > 100
    spread = sqrt(sum((error / sigma) ** 2 for error, sigma in found) / len(found))
    assert 0.6 < spread < 1.3
    hits = sum(abs(error) < 0.5 for error, _ in found)
    chance = sum(1 / (0.7 * sigma * sqrt(2 * pi)) for _, sigma in found)
    assert hits <= chance + 7 * sqrt(chance)
