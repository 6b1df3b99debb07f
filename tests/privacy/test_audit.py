"""An audit of the published figures: how well can somebody who knows everything else tell that one browser-day was in?

The same days are released many times with and without one browser, through the whole pipeline. The attacker scores each
release by its likelihood over every cell the browser touches, places a cut on some of the draws and counts its hits
on the others. Confidence margins are of five standard errors, so the bound that comes out is a lower one.

Two conversions are taken, whichever says more: plain tail events, which assume nothing, and the normal law that both
scores follow (Gaussian differential privacy: Dong, Roth and Su 2022), which needs fewer draws.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from math import exp, log, sqrt
from pathlib import Path
from statistics import NormalDist, mean
from typing import Any

import pytest

from anonymiser import catalogue, facts, pipeline, protect, segments, sources
from anonymiser import closing as closing_of_days
from anonymiser.agents import Agent
from anonymiser.bounds import CROSSED, OTHER, STATISTICS
from anonymiser.facts import Beacon, Fact
from anonymiser.hour_keys import HourKeys
from anonymiser.protect import dp
from anonymiser.segments import Writer
from anonymiser.settings import Protection, SiteRules, Source, Workspace
from anonymiser.stats import opened

DRAWS, FOR_THE_CUT, ERRORS = 250, 50, 5.0
CLAIM = 8.0
FIRST = date(2020, 1, 1)
DAY = timedelta(days=1)
NORMAL = NormalDist()
AGENT = Agent("Firefox", "Linux", "desktop", "")
RULES = SiteRules(
    "kent",
    grain="day",
    catalogue={
        "pages": tuple(f"/page-{name}" for name in "abcdefghijklmnopqr"),
        "goals": tuple(f"goal {name}" for name in "abcdefghi"),
        "campaigns": ("spring",),
        "funnels": tuple(f"{funnel}:{step}" for funnel in ("order", "tour", "plan") for step in range(1, 7)),
    },
)
WIDE = replace(RULES, crossed=True)
PAGES, GOALS = RULES.catalogue["pages"], RULES.catalogue["goals"]
LIMITS = ("VIEWS_PER_DAY", "PAGES_PER_DAY", "VISITS_PER_DAY", "EXIT_VIEWS", "EVENTS_PER_DAY", "FUNNEL_STEPS_PER_DAY")

Place = tuple[int, str, str, str]
"""(day of the pair, statistic, key1, key2)"""
Draw = Mapping[Place, tuple[int, float]]


@pytest.fixture(autouse=True)
def short_lists(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer countries, languages and browsers: cells that no browser touches are noise alone and tell nothing."""
    closed = {name: keys[:6] for name, keys in catalogue._CLOSED.items()}
    closed |= {name: catalogue._CLOSED[name] for name in ("engagement", "scroll", "devices", "screens")}
    closed |= {"hours": (("09", ""),), "countries": (("FR", ""), ("GB", "")), "languages": (("en", ""), ("fr", ""))}
    closed |= {"browsers": ((AGENT.browser, AGENT.system),)}
    monkeypatch.setattr(catalogue, "_CLOSED", closed)
    monkeypatch.setattr(catalogue, "_KNOWN_SOURCES", (("Google", "Search"),))
    monkeypatch.setattr(sources, "GROUPS", ("Google", "Search"))
    monkeypatch.setattr(catalogue, "MOST_PAIRS", 40)


# -- one browser's day ------------------------------------------------------------------------------------------------


def beacon(kind: str, path: str = "/page-a", **values: Any) -> Beacon:
    return Beacon("kent", "permit", "0" * 16, FIRST.isoformat(), kind, path, **values)


FIRST_OF_DAY = {"gap": "3", "zone": "Europe/Paris", "lang": "fr", "screen": "wide", "referrer": "google.com"}


def busiest_day() -> Iterator[Beacon]:
    """A day that goes to three times every bound: 24 views of 18 pages in 9 visits, 9 events of each kind."""
    for n in range(1, 25):
        v, k = (1, n) if n <= 6 else (min(n - 5, 9), 1 if n <= 14 else n - 13)
        page, prev = PAGES[(n - 1) % 18], PAGES[(n - 2) % 18] if k > 1 else ""
        p = n if n <= 18 else 0
        yield beacon("pageview", page, prev=prev, n=n, p=p, v=v, k=k, utm_campaign="spring", **FIRST_OF_DAY)
    for g in range(1, 10):
        yield beacon("goal", key=GOALS[g - 1], g=g)
        yield beacon("outbound", key="www." * g + "shop.example", g=g)
        yield beacon("search", key="chair", g=g)
        yield beacon("download", key="/list.pdf", g=g)
        yield beacon("not_found", "/gone", g=g)
    for f, step in enumerate(RULES.catalogue["funnels"], start=1):
        yield beacon("goal", key=GOALS[0], g=0, step=step, f=f)
    yield beacon("engagement", engaged=(0, 8), scroll=(0, 8))


def crossed_day() -> Iterator[Beacon]:
    """The busiest day where a site has two dimensions: every view and goal says where its visit came from."""
    for sent in busiest_day():
        is_new = sent.kind in ("pageview", "goal")
        yield replace(sent, entry=PAGES[0], referrer="google.com") if is_new else sent


def day_with_losses() -> Iterator[Beacon]:
    """A visit to and fro between two pages of which every other beacon was lost: corrections that do not cancel."""
    for n in (2, 4, 6):
        yield beacon("pageview", PAGES[1], prev=PAGES[0], n=n, p=2 if n == 2 else 0, v=1, k=n)
    for v in (2, 3):
        yield beacon("pageview", PAGES[1], prev=PAGES[0], n=v + 6, v=v, k=2)
    for bucket in (1, 3, 5, 7):
        yield beacon("engagement", engaged=(bucket, bucket + 1), scroll=(bucket, bucket + 1))


def crowd() -> Iterator[Beacon]:
    """Others, who are there in any case."""
    for _ in range(10):
        yield beacon("pageview", PAGES[0], n=1, p=1, v=1, k=1, gap="1", zone="Europe/London", lang="en")
    yield beacon("outbound", key="shop.example", g=1)
    yield beacon("search", key="chair", g=1)
    yield beacon("download", key="/list.pdf", g=1)
    yield beacon("not_found", "/gone", g=1)


def shredded(beacons: Iterator[Beacon]) -> list[Fact]:
    return [fact for sent in beacons for fact in facts.shred(sent, AGENT, 9, frozenset())]


def pair(day: Callable[[], Iterator[Beacon]] | None) -> tuple[list[Fact], list[Fact]]:
    """Two days: the browser is there on the second in any case, and on the first if it is given a `day`.

    Without the first day its second shows a longer gap, so the cells of both days move.
    """
    again = beacon("pageview", PAGES[0], n=1, p=1, v=1, k=1, **FIRST_OF_DAY | {"gap": "1" if day else "4"})
    return shredded(crowd()) + (shredded(day()) if day else []), [*shredded(crowd()), *shredded(iter([again]))]


# -- releases of it ---------------------------------------------------------------------------------------------------


def released(home: Path, days: tuple[list[Fact], list[Fact]], rules: SiteRules, draws: int) -> list[Draw]:
    """The same two days over and over, as the pipeline publishes them: each pair is one independent draw."""
    workspace = Workspace(home / "stats.duckdb", home / "private")
    spool, at = _folder(home), datetime(2020, 1, 1, tzinfo=UTC)
    HourKeys(workspace.private).provide(spool, at)
    writer = Writer(spool, segments.hour_of(at))
    for number in range(2 * draws):
        today = (FIRST + number * DAY).isoformat()
        writer.write([fact._replace(day=today) for fact in days[number % 2]])
    writer.end()
    pipeline.run_spool(workspace, home / "spool", [rules], datetime(2020, 1, 1, 3, tzinfo=UTC) + 2 * draws * DAY)
    return list(_published(workspace.stats, draws))


def _folder(home: Path) -> Path:
    (home / "spool").mkdir(parents=True)
    return home / "spool"


def _published(stats: Path, count: int) -> Iterator[Draw]:
    names = {(s.table, s.metric): s.name for s in STATISTICS.values()}
    draws: list[dict[Place, tuple[int, float]]] = [{} for _ in range(count)]
    with closing(opened(stats)) as connection:
        rows = connection.execute(
            "SELECT period_start, statistic, metric, key1, key2, value, sigma FROM stats.cell WHERE period_start < ?",
            [FIRST + 2 * count * DAY],
        ).fetchall()
    for day, table, metric, key1, key2, value, sigma in rows:
        number = (day - FIRST).days
        draws[number // 2][number % 2, names[table, metric], key1, key2] = value, sigma
    yield from draws


def moved(within: tuple[list[Fact], list[Fact]], without: tuple[list[Fact], list[Fact]]) -> dict[Place, int]:
    """What the attacker expects the browser to have changed, undeclared keys in "(other)"."""
    cells: Counter[Place] = Counter()
    for sign, days in ((1, within), (-1, without)):
        for number, rows in enumerate(days):
            for fact in rows:
                statistic = STATISTICS[fact.statistic]
                key = fact.key1, fact.key2
                shown = key if key in catalogue.declared(statistic, RULES) else (OTHER, "")
                cells[number, statistic.name, *shown] += sign * fact.delta
    return {place: change for place, change in cells.items() if change}


def score(draw: Draw, change: Mapping[Place, int]) -> float:
    """The log-likelihood ratio of normal noise, but for a constant."""
    return sum(draw[place][0] * by / draw[place][1] ** 2 for place, by in change.items())


# -- a lower bound on epsilon -----------------------------------------------------------------------------------------


def share(hits: int, draws: int, errors: float) -> float:
    """The end of the Wilson score interval so many standard errors away."""
    p, z = hits / draws, errors
    middle = p + z * z / (2 * draws)
    return (middle + z * sqrt(p * (1 - p) / draws + z * z / (4 * draws * draws))) / (1 + z * z / draws)


def told_by(cut: float, without: Sequence[float], within: Sequence[float], delta: float) -> float:
    """The least epsilon that allows so many right and so few wrong guesses."""
    wrong = share(sum(value >= cut for value in without), len(without), ERRORS)
    right = 1 - share(sum(value < cut for value in within), len(within), ERRORS)
    if right <= wrong:
        return 0.0
    return max(log(max(right - delta, wrong) / wrong), epsilon_of(NORMAL.inv_cdf(right) - NORMAL.inv_cdf(wrong), delta))


def epsilon_of(mu: float, delta: float) -> float:
    """The epsilon of two normal laws `mu` standard deviations apart."""
    low, high = 0.0, 200.0
    for _ in range(60):
        e = (low + high) / 2
        excess = NORMAL.cdf(mu / 2 - e / mu) - exp(e) * NORMAL.cdf(-mu / 2 - e / mu)
        low, high = (e, high) if excess > delta else (low, e)
    return low


def bound(without: Sequence[float], within: Sequence[float], delta: float) -> float:
    """A lower bound on epsilon; the cut is placed on the first draws and tried on the rest.

    It lies in the middle between the two means. The cut that is best on the first draws lies anywhere near it: more
    than once in a hundred thousand runs so far off that a fault would be missed.
    """
    first, rest = slice(FOR_THE_CUT), slice(FOR_THE_CUT, None)
    cut = (mean(without[first]) + mean(within[first])) / 2
    return told_by(cut, without[rest], within[rest], delta)


def audited(
    home: Path,
    day: Callable[[], Iterator[Beacon]],
    epsilon: float = CLAIM,
    *,
    twice: bool = False,
    draws: int = DRAWS,
    site: SiteRules = RULES,
) -> float:
    """What the attacker proves about epsilon. `twice`: he also holds a release of the days without the browser, from
    a run of its own, and looks at the differences to it.
    """
    rules = replace(site, protection=Protection(epsilon=epsilon))
    within, without = pair(day), pair(None)
    change = moved(within, without)
    scores = [
        [score(draw, change) for draw in released(home / name, days, rules, draws)]
        for name, days in (("without", without), ("within", within), ("other", without))[: 3 if twice else 2]
    ]
    found = bound(scores[0], scores[1], rules.protection.delta)
    if twice:
        apart = [[a - b for a, b in zip(side, scores[2], strict=True)] for side in scores[:2]]
        found = max(found, bound(apart[0], apart[1], rules.protection.delta))
    return found


# -- the claim, and faults that must be seen --------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    ("day", "epsilon", "twice"),
    [(busiest_day, 2.0, False), (busiest_day, CLAIM, True), (day_with_losses, CLAIM, False)],
    ids=["two", "eight, differenced", "eight, beacons lost"],
)
def test_the_claim_holds(tmp_path: Path, day: Callable[[], Iterator[Beacon]], epsilon: float, twice: bool) -> None:
    assert audited(tmp_path, day, epsilon, twice=twice) <= epsilon


@pytest.mark.slow
def test_the_claim_holds_with_two_dimensions(tmp_path: Path) -> None:
    assert audited(tmp_path, crossed_day, site=WIDE) <= CLAIM


@pytest.mark.slow
def test_two_dimensions_that_nothing_was_paid_for_are_caught(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pairs released with a hundredth of the noise that they need, at the shares of the plain set for all else."""
    real = protect.sigmas

    def unpaid(protection: Protection, source: Source, *, wide: bool = False) -> dict[str, float]:
        noise = real(protection, source)
        return noise | dict.fromkeys(CROSSED, noise["pages"] / 100) if wide else noise

    monkeypatch.setattr(protect, "sigmas", unpaid)
    monkeypatch.setattr(closing_of_days, "sigmas", unpaid)
    assert audited(tmp_path, crossed_day, site=WIDE) > CLAIM


@pytest.mark.slow
def test_bounds_applied_too_loosely_are_caught(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in LIMITS:
        monkeypatch.setattr(facts, name, 3 * getattr(facts, name))
    assert audited(tmp_path, busiest_day, draws=650) > CLAIM


@pytest.mark.slow
def test_too_small_a_sensitivity_is_caught(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = {name: replace(statistic, l2=statistic.l2 / 4) for name, statistic in STATISTICS.items()}
    monkeypatch.setattr(protect, "STATISTICS", wrong)
    assert audited(tmp_path, busiest_day) > CLAIM


@pytest.mark.slow
def test_an_epsilon_that_is_ignored_is_caught(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = dp.rho
    monkeypatch.setattr(dp, "rho", lambda epsilon, delta: 30 * real(epsilon, delta))
    assert audited(tmp_path, busiest_day) > CLAIM


@pytest.mark.slow
def test_noise_used_again_is_caught(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same noise for two runs: their difference shows what they were made from."""
    real, kept = dp._noised, dict[tuple[float, ...], list[int]]()

    def again(cells: Sequence[tuple[int, float]]) -> Iterator[int]:
        widths = tuple(width for _, width in cells)
        if widths not in kept:
            kept[widths] = list(real([(0, width) for width in widths]))
        return (value + noise for (value, _), noise in zip(cells, kept[widths], strict=True))

    monkeypatch.setattr(dp, "_noised", again)
    assert audited(tmp_path, busiest_day, twice=True) > CLAIM
