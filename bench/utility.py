"""How far published figures are from the truth: the median relative error of each, by size of site and by epsilon.

    python bench/utility.py             the table
    python bench/utility.py weights     the weights that bring every figure equally close to its target

A site is simulated browser by browser. Its beacons go through `facts.shred`, so what the bounds cut off counts as
error; the noise is `protect.sigmas`; figures are what `stats` answers from a published file. That file holds the exact
bounded counts, so the error is known without drawing: it is normal, with the bias of that answer and the sigma the
answer itself claims. Real releases check it before anything is printed.

The simulated site (February 2027, which is four whole weeks; ranges go on for 90 days):
* Half of a day's visitors come on that day only. The others are regulars, each with a chance to come on a day drawn
  between 1/60 and 1/1.4 (uniform in its logarithm). Weekends are quieter.
* A visitor makes another visit that day with chance 0.13; each visit has a geometric number of pages, 2.43 on average.
* 120 pages by Zipf's law (exponent 1), never the same twice running, all of them in the site's sitemap.
* Seven sources from direct (40 %) to AI assistants (3 %); half of later visits come as the first did.
* Two dimensions: the page views' sources are simulated; a part of the visitors stands for the other pairs. Sites with
  2,000 visitors a day have the wide set of statistics, smaller ones the plain one; the last block has both.
* 100,000 visitors a day are 2,000 visitors a day with every count taken fifty times.
Truth is what no bound has touched: all views and visits of the day, and browser-days that saw a page, or came from a
source, on any visit.
"""

from __future__ import annotations

import sys
import tempfile
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import accumulate
from math import erf, log, sqrt
from pathlib import Path
from random import Random
from statistics import median

from anonymiser.agents import Agent
from anonymiser.bounds import GAP_BUCKETS, STATISTICS, TOTAL_WEIGHT, Schedule, Statistic
from anonymiser.clock import grain, is_wide, periods
from anonymiser.facts import Beacon, shred
from anonymiser.protect import Period, protect, sigmas, statistics
from anonymiser.publish import publish
from anonymiser.settings import Protection, SiteRules
from anonymiser.sources import classify, group
from anonymiser.stats import Cell, Statistics

SIZES = (50, 240, 500, 2_000, 100_000)
SIMULATED = 2_000
EPSILONS = (0.5, 1.0, 2.0, 4.0, 8.0)
FIRST = date(2027, 2, 1)
MONTH, LONGEST, BEFORE = 28, 90, 90
WINDOWS = [(at, n) for n, step in ((7, 3), (28, 10), (60, 30), (90, 90)) for at in range(0, LONGEST - n + 1, step)]
WEEKDAYS = (1.1, 1.1, 1.1, 1.1, 1.05, 0.75, 0.8)
REGULARS = 0.5
RARELY, OFTEN = 1 / 60, 1 / 1.4
AGAIN, PAGES_A_VISIT, PAGES = 0.13, 2.43, 120
SOURCES = {"": 40, "www.google.com": 30, "www.bing.com": 10, "news.example": 7, "www.linkedin.com": 6,
           "duckduckgo.com": 4, "chatgpt.com": 3}  # fmt: skip
AGENT = Agent("Firefox", "Linux", "desktop", "")

Counts = Counter[tuple[int, str, str, str]]
"""(day, statistic, key1, key2) -> count; days from FIRST."""
Shares = Mapping[str, float]

# A part of the day's visitors that a figure of lesser statistics stands for, and the error aimed at for its month.
LESSER = {
    "campaigns": (0.03, 0.10), "countries": (0.05, 0.10), "devices": (0.30, 0.05), "browsers": (0.10, 0.08),
    "languages": (0.05, 0.10), "screens": (0.20, 0.05), "goals": (0.03, 0.15), "outbound": (0.05, 0.30),
    "downloads": (0.05, 0.30), "not_found": (0.05, 0.30), "searches": (0.05, 0.30), "engagement": (0.10, 0.10),
    "scroll": (0.10, 0.15), "funnels": (0.05, 0.25), "hours": (0.06, 0.15),
}  # fmt: skip
# The same of pairs, at a site that has them: a goal of 3 % has 1 % from one source and 0.5 % from one landing page.
CROSSED_PARTS = {"page_devices": (0.05, 0.10), "source_goals": (0.01, 0.10), "entry_goals": (0.005, 0.20)}
PARTS = LESSER | CROSSED_PARTS


@dataclass(frozen=True)
class Item:
    """One published figure: its expected value, the truth, the standard deviation of its noise."""

    expected: float
    truth: float
    sigma: float


@dataclass(frozen=True)
class Site:
    """What was simulated: bounded counts, true counts (same keys), different visitors of ranges (first day, days)."""

    visitors: int
    bounded: Counts
    truth: Counts
    ranges: Mapping[tuple[int, int], int]

    def times(self, factor: int) -> Site:
        """The same site with every count taken `factor` times."""
        grown = [Counter({key: n * factor for key, n in counts.items()}) for counts in (self.bounded, self.truth)]
        return Site(self.visitors * factor, *grown, {key: n * factor for key, n in self.ranges.items()})


def simulated(visitors: int, seed: int = 1) -> Site:
    """A site with that many visitors on an average day."""
    rng = Random(seed)
    gaps = ((day, "returning", gap, "") for day in range(LONGEST) for gap in GAP_BUCKETS)
    bounded: Counts = Counter(dict.fromkeys(gaps, 0))
    truth: Counts = Counter()
    come = list(_comings(rng, visitors))
    for days in come:
        for place, day in enumerate(days):
            if day >= 0:
                gap = _gap(day - days[place - 1]) if place else "first"
                _live(rng, day, gap, bounded, truth)
    for name, (share, _) in PARTS.items():
        for day in range(MONTH):
            bounded[day, name, "part", ""] = round(share * bounded[day, "visitors", "", ""])
    # What these mean is the bounded count itself: the first visit's entry and exit, a part of the visitors.
    truth.update({key: count for key, count in bounded.items() if key[1] in ("entries", "exits", *PARTS)})
    return Site(visitors, bounded, truth, {(at, days): _different(come, at, days) for at, days in WINDOWS})


def _different(come: Iterable[Sequence[int]], first: int, days: int) -> int:
    """Browsers that came at least once: counted by looking at each, not by gaps."""
    found = 0
    for active in come:
        place = bisect_left(active, first)
        found += place < len(active) and active[place] < first + days
    return found


def _comings(rng: Random, visitors: int) -> Iterator[list[int]]:
    """For each browser the days it comes."""
    rate = (OFTEN - RARELY) / log(OFTEN / RARELY)
    for _ in range(round(visitors * REGULARS / rate)):
        chance = RARELY * (OFTEN / RARELY) ** rng.random()
        days = [day for day in range(-BEFORE, LONGEST) if rng.random() < chance * WEEKDAYS[day % 7]]
        if days:
            yield days
    for day in range(-BEFORE, LONGEST):
        mean = visitors * (1 - REGULARS) * WEEKDAYS[day % 7]
        yield from ([day] for _ in range(max(0, round(rng.gauss(mean, sqrt(mean))))))


def _gap(days: int) -> str:
    for bucket, last in (("32-60", 60), ("61-90", 90), ("91-180", 180)):
        if 31 < days <= last:
            return bucket
    return str(days)


def _live(rng: Random, day: int, gap: str, bounded: Counts, truth: Counts) -> None:
    """One browser's day. Beyond the month only what ranges need: that it came, and after how long."""
    if day >= MONTH:
        bounded.update(((day, "visitors", "", ""), (day, "returning", gap, "")))
        return
    seen: set[tuple[str, str, str]] = set()
    for beacon in _beacons(rng, day, gap):
        for _, _, statistic, key1, key2, delta in shred(beacon, AGENT, 12, frozenset()):
            if statistic not in PARTS:
                bounded[day, statistic, key1, key2] += delta
        came = classify(beacon.referrer, "", "", frozenset())
        seen |= {("pages", beacon.path, ""), ("sources", came.name, came.channel)}
        seen.add(("page_sources", beacon.path, group(came.name, came.channel)))
        truth[day, "views", "", ""] += 1
        truth[day, "visits", "", ""] += beacon.k == 1
        truth[day, "bounces", "", ""] += (beacon.k == 1) - (beacon.k == 2)
    truth[day, "visitors", "", ""] += 1
    truth.update((day, *key) for key in seen)


def _beacons(rng: Random, day: int, gap: str) -> Iterator[Beacon]:
    n, v, seen, source, text = 0, 0, set[str](), "", (FIRST + timedelta(days=day)).isoformat()
    while v == 0 or rng.random() < AGAIN:
        v, k, path = v + 1, 0, ""
        source = source if v > 1 and rng.random() < 0.5 else rng.choices(*_SOURCES)[0]
        while k == 0 or rng.random() < 1 - 1 / PAGES_A_VISIT:
            prev, path = path, _other_page(rng, path)
            n, k, is_new = n + 1, k + 1, path not in seen
            seen.add(path)
            p = len(seen) if is_new else 0
            yield Beacon("site", "", "", text, "pageview", path, prev, "/", n, p, v, k, gap=gap, referrer=source)


_SOURCES = (tuple(SOURCES), tuple(SOURCES.values()))
_PATHS = tuple(f"/{a}/{b}" for a in "bcdfghjklmnp" for b in "abcdefghij")
_ZIPF = tuple(accumulate(1 / (rank + 1) for rank in range(PAGES)))


def _other_page(rng: Random, page: str) -> str:
    while (drawn := rng.choices(_PATHS, cum_weights=_ZIPF)[0]) == page:
        pass
    return drawn


def exact(site: Site, noise: Shares) -> Iterator[Cell]:
    """Cells whose values are the exact bounded counts, and whose sigmas are those of the noise."""
    for schedule in ("daily", "breakdown"):
        for period in _counted(site, schedule):
            for (name, (key1, key2)), count in period.counts.items():
                if name in noise:
                    yield _cell(period, STATISTICS[name], key1, key2, count, noise[name])


def drawn(site: Site, protection: Protection) -> Iterator[Cell]:
    """Cells of a real release, noise drawn anew."""
    rules = SiteRules("site", protection=protection, catalogue={"pages": _PATHS})
    for schedule in ("daily", "breakdown"):
        counted = _counted(site, schedule)
        for period, safe in zip(counted, protect(rules, "beacons", schedule, counted), strict=True):
            for cell in safe:
                yield _cell(period, cell.statistic, *cell.key, cell.value, cell.sigma)


def _counted(site: Site, schedule: Schedule) -> list[Period]:
    """The closed periods of a schedule with their counts."""
    days, length = (LONGEST, "day") if schedule == "daily" else (MONTH, grain(site.visitors, None))
    spans = periods(FIRST, FIRST + timedelta(days=days - 1), length, whole=True)
    found = [Period(start, end, Counter()) for start, end in spans]
    of_day = {(p.start - FIRST).days + n: p for p in found for n in range((p.end - p.start).days + 1)}
    for (day, name, *key), count in site.bounded.items():
        if STATISTICS[name].schedule == schedule and day in of_day:
            of_day[day].counts[name, (key[0], key[1])] += count
    return found


def _cell(period: Period, statistic: Statistic, key1: str, key2: str, count: int, sigma: float) -> Cell:
    days = (period.end - period.start).days + 1
    return Cell("", "site", period.start, days, statistic.table, key1, key2, statistic.metric, count, sigma)


Ask = Callable[[Statistics, Site], Iterator[Item]]


def _total(metric: str) -> Ask:
    def ask(stats: Statistics, site: Site) -> Iterator[Item]:
        for row in stats.daily("site", FIRST, FIRST + timedelta(days=MONTH - 1)):
            if row.metric == metric:
                yield Item(row.value, site.truth[(row.day - FIRST).days, metric, "", ""], row.sigma)

    return ask


def _range(days: int) -> Ask:
    def ask(stats: Statistics, site: Site) -> Iterator[Item]:
        for (at, length), truth in site.ranges.items():
            if length == days:
                start = FIRST + timedelta(days=at)
                figure = stats.visitors("site", start, start + timedelta(days=days - 1))
                yield Item(figure.value, truth, figure.sigma)

    return ask


def _ranks(statistic: str, days: int, ranks: slice) -> Ask:
    """The keys that are truly the largest of each stretch of `days` of the month."""

    def ask(stats: Statistics, site: Site) -> Iterator[Item]:
        for at in range(0, MONTH, days):
            start = FIRST + timedelta(days=at)
            found = stats.breakdown("site", statistic, start, start + timedelta(days=days - 1))
            rows = {(row.key1, row.key2): row for row in found.rows}
            true: Counter[tuple[str, str]] = Counter()
            for (day, name, *key), count in site.truth.items():
                if name == statistic and at <= day < at + days:
                    true[key[0], key[1]] += count
            for key, count in true.most_common()[ranks] if rows else ():
                yield Item(rows[key].value, count, rows[key].sigma)

    return ask


@dataclass(frozen=True)
class Figure:
    """What someone reads. At 240 visitors a day and epsilon 2 its error, bias included, should be at most `target` (0:
    nothing was promised); its noise alone at most `aim`, which the weights are searched by."""

    name: str
    statistic: str
    aim: float
    ask: Ask
    target: float = 0.0


PRINTED = (
    Figure("visitors of a day", "visitors", 0.04, _total("visitors"), 0.04),
    Figure("views of a day", "views", 0.0375, _total("views"), 0.05),  # the bound takes its part of the 5 %
    Figure("visits of a day", "visits", 0.08, _total("visits")),
    Figure("bounces of a day", "bounces", 0.20, _total("bounces")),
    Figure("visitors of 7 days", "returning", 0.04, _range(7), 0.04),
    Figure("visitors of 28 days", "returning", 0.04, _range(28), 0.04),
    Figure("visitors of 60 days", "returning", 0.04, _range(60), 0.04),
    Figure("visitors of 90 days", "returning", 0.04, _range(90), 0.04),
    Figure("top-10 pages of a week", "pages", 0.10, _ranks("pages", 7, slice(10)), 0.10),
    Figure("  the 10th alone", "pages", 0.15, _ranks("pages", 7, slice(9, 10))),
    Figure("top-10 pages of a month", "pages", 0.07, _ranks("pages", MONTH, slice(10)), 0.07),
    Figure("  the tenth alone", "pages", 0.08, _ranks("pages", MONTH, slice(9, 10))),
    Figure("sources 1-3 of a week", "sources", 0.06, _ranks("sources", 7, slice(3)), 0.06),
    Figure("  the 3rd alone", "sources", 0.06, _ranks("sources", 7, slice(2, 3))),
)
OTHERS = (
    Figure("top-5 entries of a month", "entries", 0.10, _ranks("entries", MONTH, slice(5))),
    Figure("top-5 exits of a month", "exits", 0.30, _ranks("exits", MONTH, slice(5))),
    *(
        Figure(f"{name}: one with {share:.0%}", name, aim, _ranks(name, MONTH, slice(1)))
        for name, (share, aim) in LESSER.items()
    ),
)


PAIRS = (
    Figure("top-10 page-sources, month", "page_sources", 0.10, _ranks("page_sources", MONTH, slice(10))),
    Figure("  of a day", "page_sources", 0.30, _ranks("page_sources", 1, slice(10))),
    *(
        Figure(f"{name}: one with {share:.1%}", name, aim, _ranks(name, MONTH, slice(1)))
        for name, (share, aim) in CROSSED_PARTS.items()
    ),
)


def median_error(items: Sequence[Item]) -> float:
    """The error (a part of the truth) that a figure drawn from these keeps within half the time."""
    low, high = 0.0, max(abs(i.expected - i.truth) + 4 * i.sigma for i in items) / min(i.truth for i in items)
    for _ in range(40):
        middle = (low + high) / 2
        within = sum(_within(item, middle * item.truth) for item in items) / len(items)
        low, high = (middle, high) if within < 0.5 else (low, middle)
    return high


def _within(item: Item, most: float) -> float:
    bias, scale = item.expected - item.truth, item.sigma * sqrt(2) or 1e-9
    return (erf((most - bias) / scale) - erf((-most - bias) / scale)) / 2


def asked(figures: Iterable[Figure], site: Site, cells: Iterable[Cell]) -> dict[str, list[Item]]:
    """What a file with these cells answers to each figure; nothing where the site's clock releases none."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "stats.duckdb"
        publish(file, (), cells)
        with Statistics(file) as stats:
            return {figure.name: list(figure.ask(stats, site)) for figure in figures}


def searched(site: Site, epsilon: float = 2.0, rounds: int = 25) -> dict[str, float]:
    """Weights (of 100) under which no statistic is further from its aim than another: twice as far, four times as much.

    Only noise counts here: what a bound cuts off, no weight can buy back.
    """
    weights = {s.name: s.weight / TOTAL_WEIGHT for s in statistics("beacons")}
    unit = {name: sigma * sqrt(weights[name]) for name, sigma in sigmas(Protection(epsilon=epsilon), "beacons").items()}
    for _ in range(rounds):
        noise = {name: unit[name] / sqrt(weight) for name, weight in weights.items()}
        found = asked((*PRINTED, *OTHERS), site, exact(site, noise))
        needed = dict.fromkeys(weights, 0.0)
        for figure in (*PRINTED, *OTHERS):
            items = [Item(item.expected, item.expected, item.sigma) for item in found[figure.name]]
            needed[figure.statistic] = max(needed[figure.statistic], (median_error(items) / figure.aim) ** 2)
        weights = {name: weight * needed[name] for name, weight in weights.items()}
        weights = {name: weight / sum(weights.values()) for name, weight in weights.items()}
    return {name: 100 * weight for name, weight in weights.items()}


def trustworthy(site: Site, draws: int = 8) -> str:
    """Compare real releases with what is foreseen (from 100 draws on); a difference beyond chance ends the run."""
    foreseen = asked(PRINTED, site, exact(site, sigmas(Protection(), "beacons")))
    errors: dict[str, list[float]] = {figure.name: [] for figure in PRINTED}
    for _ in range(draws):
        for name, items in asked(PRINTED, site, drawn(site, Protection())).items():
            errors[name] += [abs(item.expected - item.truth) / item.truth for item in items]
    said = []
    for name, found in errors.items():
        if len(found) > 100:
            drew, saw = median(found), median_error(foreseen[name])
            said.append(f"  {name}: {drew:.1%}, foreseen {saw:.1%}")
            if not 0.6 < drew / saw < 1.5:
                sys.exit(f"real releases do not bear out the table:\n{said[-1]}\nNo figure is printed.")
    return "\n".join((f"Checked: the median error of {draws} real releases", *said))


def table(site: Site, *, wide: bool) -> None:
    """Print one block for a site: a row a figure, a column an epsilon."""
    figures = (*PRINTED, *(OTHERS if site.visitors == 240 and not wide else ()), *(PAIRS if wide else ()))
    found = {
        epsilon: asked(figures, site, exact(site, sigmas(Protection(epsilon=epsilon), "beacons", wide=wide)))
        for epsilon in EPSILONS
    }
    of = "wide" if wide else "plain"
    print(f"\n{site.visitors:,} visitors a day, {of} set, breakdowns by the {grain(site.visitors, None)}")
    print(f"{'median error':28}{'bias':>8}" + "".join(f"{f'ε {e:g}':>9}" for e in EPSILONS) + f"{'target':>9}")
    for figure in figures:
        columns = [found[epsilon][figure.name] for epsilon in EPSILONS]
        if not columns[0]:
            print(f"{figure.name:28}{'not released':>16}")
            continue
        bias = median(item.expected / item.truth - 1 for item in columns[0])
        aimed = f"{figure.target:9.0%}" if figure.target and site.visitors == 240 and not wide else ""
        print(f"{figure.name:28}{bias:8.1%}" + "".join(f"{median_error(items):9.1%}" for items in columns) + aimed)


def main(arguments: Sequence[str]) -> None:
    if arguments == ["weights"]:
        for name, weight in searched(simulated(240)).items():
            print(f"{name:12}{weight:6.2f}")
        return
    if arguments:
        sys.exit(__doc__)
    print(trustworthy(simulated(240)))
    for visitors in SIZES:
        site = simulated(visitors) if visitors <= SIMULATED else simulated(SIMULATED).times(visitors // SIMULATED)
        table(site, wide=is_wide(site.visitors, asked=False))
    table(simulated(240), wide=True)


if __name__ == "__main__":
    main(sys.argv[1:])
