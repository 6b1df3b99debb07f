"""What one browser adds on one day, tried out: every day of a kind, and of each day every subset of beacons arriving.

Noise is scaled by the table in `anonymiser.bounds`. If a browser could move the statistics further than the table says,
the published guarantee would be false; if it never came that far, the noise would be wasted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import chain, combinations, pairwise, permutations, product
from math import isclose, sqrt

import pytest

from anonymiser import facts, scrub
from anonymiser.agents import Agent
from anonymiser.bounds import BUCKETS, CROSSED, OTHER, STATISTICS, Statistic

Cells = Counter[tuple[str, str]]
Visits = Sequence[Sequence[str]]

AGENT = Agent("Firefox", "Linux", "desktop", "")
OWN_HOSTS = frozenset({"kent.example"})
VIEWS = 9  # one more than the limit, so that the limit is tried as well
PATTERN = 7  # pages of a day in every order of repetition: one more than the limit of pages
ENTRIES = ("/a", "/order/1041", "/a;v=2", "/order/1042")
REFERRERS = ("google.com", "partner.example", "other.example")
KEYED = {"goal": "goal-", "outbound": "shop", "download": "/list-", "search": "chair ", "not_found": "/gone-"}


@dataclass
class Browser:
    """The banner script's counters, as the visitor's own device keeps them (chapter 4 of the design)."""

    n: int = 0
    v: int = 0
    k: int = 0
    f: int = 0
    prev: str = ""
    came: dict[str, str] = field(default_factory=dict)
    seen: dict[str, set[str]] = field(default_factory=dict)

    def first_time(self, kind: str, key: str) -> int:
        """The ordinal of a key that is new today, 0 for one that was there already."""
        known = self.seen.setdefault(kind, set())
        if key in known:
            return 0
        known.add(key)
        return len(known)

    def visit(self, pages: Sequence[str]) -> Iterator[facts.Beacon]:
        self.v, self.k, self.prev = self.v + 1, 0, ""
        self.came = {"entry": pages[0], "referrer": REFERRERS[self.v % len(REFERRERS)]}
        for page in pages:
            self.n, self.k = self.n + 1, self.k + 1
            p = self.first_time("page", page)
            yield beacon(
                "pageview",
                page,
                **self.came,
                prev=self.prev,
                n=self.n,
                p=p,
                v=self.v,
                k=self.k,
                gap="3",
                zone="Europe/Paris",
            )
            self.prev = page

    def event(self, kind: str, key: str) -> facts.Beacon:
        g = self.first_time(kind, key)
        came = {"entry": ENTRIES[g % len(ENTRIES)], "referrer": REFERRERS[g % len(REFERRERS)]}
        return beacon(kind, key if kind == "not_found" else "/", key=key, g=g, **came)

    def step(self, step: str) -> facts.Beacon:
        return beacon("goal", "/", key="goal-0", step=step, f=self.first_time("step", step))


def beacon(kind: str, path: str, **values: object) -> facts.Beacon:
    return facts.Beacon("kent", "permit", "0" * 16, "2026-05-17", kind, path, utm_campaign="spring", **values)  # type: ignore[arg-type]


def views(visits: Visits) -> list[facts.Beacon]:
    browser = Browser()
    return list(chain.from_iterable(browser.visit(pages) for pages in visits))


def events(keys: Iterable[tuple[str, str]]) -> list[facts.Beacon]:
    browser = Browser()
    return [browser.event(kind, key) for kind, key in keys]


def engagement(steps: Sequence[int]) -> list[facts.Beacon]:
    edges = [0, *steps]
    return [beacon("engagement", "/", engaged=pair, scroll=pair) for pair in pairwise(edges)]


@cache
def days() -> tuple[list[facts.Beacon], ...]:
    """Every way to spread seven views over visits, every pattern of pages within one visit, and days of events."""
    spread = [views([[f"/{page}" for page in visit] for visit in visits]) for visits in compositions(range(VIEWS))]
    patterns = [views([[f"/{page}" for page in pattern]]) for pattern in growth_strings(PATTERN)]
    several = [events((kind, f"{key}{i}") for i in range(5)) for kind, key in KEYED.items()]
    merging = [
        events(("outbound", host) for host in ("shop.example", "www.shop.example", "www.www.shop.example")),
        events(("search", term) for term in ("chair", "Chair", "CHAIR")),
        events(("download", path) for path in ("/a%20b.pdf", "/a b.pdf", "/a b.pdf?x")),
        events(("not_found", path) for path in ("/gone", "/gone;a=1", "/gone;a=2")),
    ]
    browser = Browser()
    funnel = [browser.step(f"order:{step}") for step in range(1, 7)] + [browser.step("tour:1")]
    lengths = [engagement([step for step in range(1, BUCKETS + 1) if mask >> step & 1]) for mask in range(512)]
    return (*spread, *patterns, *several, *merging, funnel, *lengths)


def compositions(pages: Sequence[int]) -> Iterator[list[list[int]]]:
    for cuts in product((False, True), repeat=len(pages) - 1):
        visits = [[pages[0]]]
        for page, cut in zip(pages[1:], cuts, strict=True):
            if cut:
                visits.append([])
            visits[-1].append(page)
        yield visits


def growth_strings(length: int) -> Iterator[list[int]]:
    """Every pattern of equal and different pages, once (restricted growth strings)."""
    strings = [[0]]
    for _ in range(length - 1):
        strings = [[*string, page] for string in strings for page in range(max(string) + 2)]
    yield from strings


def additions(day: Iterable[facts.Beacon]) -> dict[str, list[Cells]]:
    """By statistic: what each beacon that touches it adds to its cells."""
    found: dict[str, list[Cells]] = {}
    for sent in day:
        by_statistic: dict[str, Cells] = {}
        for fact in facts.shred(sent, AGENT, 9, OWN_HOSTS):
            by_statistic.setdefault(fact.statistic, Counter())[(fact.key1, fact.key2)] += fact.delta
        for statistic, cells in by_statistic.items():
            found.setdefault(statistic, []).append(cells)
    return found


def arrivals(sent: Sequence[Cells]) -> Iterator[list[int]]:
    """For every subset of these beacons: the cells that changed."""
    totals: list[dict[tuple[str, str], int]] = [{}]
    for cells in sent:
        totals += [{key: total.get(key, 0) + cells.get(key, 0) for key in {*total, *cells}} for total in totals]
    for total in totals:
        yield [value for value in total.values() if value]


@cache
def reached() -> dict[str, tuple[int, int, int]]:
    """By statistic: the largest sum of squares, the largest cell, the most cells."""
    worst: dict[str, tuple[int, int, int]] = dict.fromkeys(STATISTICS, (0, 0, 0))
    for day in days():
        for statistic, sent in additions(day).items():
            for cells in arrivals(sent):
                squares, largest, touched = worst[statistic]
                worst[statistic] = (
                    max(squares, sum(value * value for value in cells)),
                    max(largest, *map(abs, cells), 0),
                    max(touched, len(cells)),
                )
    return worst


TRIED = [s for s in STATISTICS.values() if s.name != "returning"]


@pytest.mark.parametrize("statistic", TRIED, ids=lambda s: s.name)
def test_the_table_is_what_the_worst_day_reaches(statistic: Statistic) -> None:
    squares, largest, touched = reached()[statistic.name]
    assert isclose(sqrt(squares), statistic.l2), f"l2 reached {sqrt(squares)}"
    assert (largest, touched) == (statistic.linf, statistic.keys_touched)


def test_without_a_day_the_next_gap_moves_too() -> None:
    """A browser active on days 1, 4 and 6; without day 4, day 6 shows a gap of 5."""
    with_day = Counter([(4, "3"), (6, "2")])
    without = Counter([(6, "5")])
    moved = [with_day[cell] - without[cell] for cell in with_day | without]
    statistic = STATISTICS["returning"]
    assert isclose(sqrt(sum(value * value for value in moved)), statistic.l2)
    assert (max(map(abs, moved)), len(moved)) == (statistic.linf, statistic.keys_touched)


POOLS = {
    "pages": ("/a", "/b", "/c", "/a;v=2", "/b%20", "/order/1041", "/order/1042", "/user/jane", "/%c3"),
    "goals": ("Buy", "Call", "buy", "jane@mail.example", "mary@mail.example", "Buy "),
    "exits": ("/a", "/b", "/a;v=2", "/order/1041", "/order/1042", "/user/jane"),
}
POOLS |= dict.fromkeys(("page_sources", "page_devices"), POOLS["pages"])
POOLS |= dict.fromkeys(("source_goals", "entry_goals"), POOLS["goals"])


DECLARED = ({"/a", "/b", "/c", "Buy", "buy", "Call"}, {"/a"}, set[str]())


def mixed_days(name: str) -> Iterator[list[facts.Beacon]]:
    orders = permutations if name == "exits" else combinations
    for chosen in orders(POOLS[name], STATISTICS[name].keys_touched):
        if name.endswith("goals"):
            yield events(("goal", key) for key in chosen)
        else:
            yield views([[page] for page in chosen] if STATISTICS[name].crossed else [chosen])


def loss(statistic: Statistic, cells: Cells, declared: set[str]) -> float:
    """The squared change of the published cells, each in units of its own noise; at most l2² is promised."""
    published: Cells = Counter()
    for key, delta in cells.items():
        published[key if declared.intersection(key) else (OTHER, "")] += delta
    wide = {key: any(map(scrub.is_folded, key)) for key in published}
    return sum((delta / (statistic.fold if wide[key] else 1)) ** 2 for key, delta in published.items())


@pytest.mark.parametrize("name", POOLS)
def test_cells_where_keys_meet_are_covered_by_their_wider_noise(name: str) -> None:
    """Keys meet in "(other)" and under placeholders: with all final spellings declared, with one, with none."""
    statistic = STATISTICS[name]
    worst = 0.0
    for day in mixed_days(name):
        added = additions(day)[name]
        for mask in range(1 << len(added)):
            cells: Cells = Counter()
            for place, change in enumerate(added):
                if mask >> place & 1:
                    cells.update(change)
            worst = max(worst, *(loss(statistic, cells, declared) for declared in DECLARED))
    assert worst <= statistic.l2**2 + 1e-9
    assert worst >= statistic.l2**2 / 2


@pytest.mark.parametrize("limit", ["PAGES_PER_DAY", "EXIT_VIEWS", "VIEWS_PER_DAY", "VISITS_PER_DAY"])
def test_a_bound_applied_too_loosely_would_be_noticed(monkeypatch: pytest.MonkeyPatch, limit: str) -> None:
    monkeypatch.setattr(facts, limit, getattr(facts, limit) + 1)
    day = views([[f"/{page}" for page in range(VIEWS)]]) if limit != "VISITS_PER_DAY" else views([["/"]] * VIEWS)
    beyond = [
        statistic
        for statistic, sent in additions(day).items()
        for cells in arrivals(sent)
        if sqrt(sum(value * value for value in cells)) > STATISTICS[statistic].l2 + 1e-9
        or len(cells) > STATISTICS[statistic].keys_touched
    ]
    assert beyond


def test_a_source_or_landing_page_that_changes_gives_no_pair_twice() -> None:
    """The other half of a pair may be anything: what is new once a day is the page, or the goal."""
    day = [*views([["/a", "/b"], ["/a", "/c"], ["/b"]]), *events(("goal", key) for key in ("Buy", "Call", "Buy"))]
    found = {name: sum(additions(day)[name], Counter()) for name in CROSSED}
    assert found["page_sources"] == {("/a", "Referral"): 1, ("/b", "Referral"): 1, ("/c", "Referral"): 1}
    assert found["page_devices"] == {("/a", "desktop"): 1, ("/b", "desktop"): 1, ("/c", "desktop"): 1}
    assert found["source_goals"] == {("Referral", "Buy"): 1, ("Referral", "Call"): 1}
    assert found["entry_goals"] == {("/order/:id", "Buy"): 1, ("/a", "Call"): 1}


def test_a_half_in_other_takes_the_pair_with_it() -> None:
    day = [*views([["/a;v=2"]]), *events([("goal", "Buy ")])]
    assert all(sum(additions(day)[name], Counter()) == {(OTHER, ""): 1} for name in CROSSED)


def test_two_spellings_of_a_page_do_not_meet_in_its_own_cell() -> None:
    day = views([["/a", "/a;v=2", "/a;v=3", "/order/1041", "/order/1042"]])
    total: Cells = sum(additions(day)["pages"], Counter())
    assert total == {("/a", ""): 1, (OTHER, ""): 2, ("/order/:id", ""): 2}
