"""Years before the demo's own visitors: made-up sums of each day, as facts, which then go the way of all facts.

A fact is one addition to one statistic, so a day's sums are a few hundred facts. The batch cannot tell them from those
of page views: it counts, protects, publishes and removes them like any others.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from math import cos, pi, sqrt
from random import Random
from typing import Final

from anonymiser.bounds import GAP_BUCKETS
from anonymiser.facts import Fact

DAY: Final = timedelta(days=1)
Shares = tuple[tuple[str, float], ...]
"""Keys with what part of the day's visitors each has."""
Pairs = tuple[tuple[str, str, float], ...]

SOURCES: Final[Pairs] = (
    ("Google", "Search", 0.36), ("Direct", "Direct", 0.25), ("Bing", "Search", 0.09), ("Newsletter", "Mail", 0.06),
    ("LinkedIn", "Social", 0.05), ("Google Ads", "Paid", 0.06), ("ChatGPT", "AI assistants", 0.035),
    ("Facebook", "Social", 0.03), ("DuckDuckGo", "Search", 0.02), ("chamber-of-commerce.example", "Referral", 0.02),
    ("Perplexity", "AI assistants", 0.01), ("Yahoo", "Search", 0.008), ("trade-directory.example", "Referral", 0.007),
)  # fmt: skip
GROUPS: Final[Shares] = (
    ("Google", 0.36), ("Direct", 0.25), ("Bing", 0.09), ("Newsletter", 0.06), ("LinkedIn", 0.05), ("Google Ads", 0.06),
    ("ChatGPT", 0.035), ("Facebook", 0.03), ("DuckDuckGo", 0.02), ("Referral", 0.027), ("Other AI assistants", 0.01),
)  # fmt: skip
CAMPAIGNS: Final[Shares] = (("autumn-offers", 0.04), ("office-chairs", 0.05), ("first-aid-week", 0.015))
COUNTRIES: Final[Shares] = (
    ("GB", 0.9), ("IE", 0.03), ("FR", 0.015), ("DE", 0.012), ("US", 0.02), ("NL", 0.008), ("unknown", 0.015),
)  # fmt: skip
DEVICES: Final[Shares] = (("desktop", 0.55), ("phone", 0.4), ("tablet", 0.05))
BROWSERS: Final[Pairs] = (
    ("Chrome", "Windows", 0.34), ("Safari", "iOS", 0.24), ("Edge", "Windows", 0.17), ("Chrome", "Android", 0.13),
    ("Safari", "macOS", 0.06), ("Firefox", "Windows", 0.025), ("Samsung Internet", "Android", 0.02),
    ("Firefox", "Linux", 0.015),
)  # fmt: skip
LANGUAGES: Final[Shares] = (("en", 0.93), ("pl", 0.02), ("fr", 0.015), ("de", 0.01), ("cy", 0.01), ("ro", 0.01))
SCREENS: Final[Shares] = (("small", 0.4), ("medium", 0.08), ("large", 0.42), ("wide", 0.1))
ENGAGEMENT: Final = (0.28, 0.17, 0.15, 0.13, 0.13, 0.08, 0.05, 0.01)
SCROLL: Final = (0.1, 0.12, 0.14, 0.16, 0.16, 0.13, 0.1, 0.09)
OUTBOUND: Final[Shares] = (("www.hse.gov.uk", 0.012), ("maps.example", 0.01), ("www.resus.org.uk", 0.006))
DOWNLOADS: Final[Shares] = (("/files/catalogue.pdf", 0.02), ("/files/price-list.pdf", 0.012))
NOT_FOUND: Final[Shares] = (("/old-shop", 0.008), ("/favicon.png", 0.006), ("/wp-login.php", 0.005))
SEARCHES: Final[Shares] = (("chair", 0.012), ("desk", 0.009), ("toner", 0.008), ("a4 paper", 0.006))
HOURS: Final = (1, 0, 0, 0, 0, 1, 3, 8, 14, 18, 19, 17, 13, 15, 16, 15, 12, 8, 6, 6, 5, 4, 3, 2)


@dataclass(frozen=True, slots=True)
class Past:
    """One site before the demo: its usual visitors on a weekday when it ends, its pages and goals by weight.

    `crossed` makes the sums of two dimensions too; `growth` is how much larger the end is than the beginning, a year.
    """

    site: str
    visitors: int
    pages: tuple[tuple[str, float], ...]
    goals: Shares = (("enquiry", 0.03), ("quote", 0.014))
    funnels: dict[str, int] = field(default_factory=dict)
    crossed: bool = False
    growth: float = 0.12

    def expected(self, day: date, last: date) -> float:
        """Visitors to expect on a day: quiet weekends, August and Christmas; a steady rise up to `last`."""
        week = 0.42 if day.weekday() >= 5 else 1.0
        season = 1 + 0.12 * cos(2 * pi * (day.timetuple().tm_yday - 60) / 365)
        quiet = 0.35 if (day.month, day.day) >= (12, 23) or (day.month, day.day) <= (1, 2) else 1.0
        rise: float = (1 + self.growth) ** ((last - day).days / 365)
        return self.visitors * week * season * quiet / rise


def facts(past: Past, first: date, last: date, seed: int = 5) -> Iterator[list[Fact]]:
    """The facts of each day from `first` to `last`, both counted."""
    chance = Random(f"{past.site} {seed}")  # noqa: S311 - made-up sums, not secrets
    for number in range((last - first).days + 1):
        day = first + number * DAY
        visitors = _drawn(chance, past.expected(day, last) * chance.uniform(0.9, 1.1))
        yield [
            Fact(past.site, day.isoformat(), statistic, key1, key2, count)
            for statistic, key1, key2, expected in _sums(past, visitors, number)
            if (count := _drawn(chance, expected)) > 0
        ]


def _drawn(chance: Random, expected: float) -> int:
    """A count around what is expected, as far off as counts are."""
    return max(0, round(chance.gauss(expected, sqrt(expected)))) if expected > 0 else 0


Sum = tuple[str, str, str, float]


def _sums(past: Past, visitors: float, number: int) -> Iterator[Sum]:
    yield from (
        (name, "", "", visitors * part)
        for name, part in (("visitors", 1.0), ("views", 2.9), ("visits", 1.15), ("bounces", 0.47))
    )
    yield from (("returning", gap, "", visitors * part) for gap, part in _gaps(number))
    yield from (("hours", f"{hour:02}", "", visitors * weight / sum(HOURS)) for hour, weight in enumerate(HOURS))
    yield from _pages(past, visitors)
    yield from _visitors(visitors)
    yield from _goals(past, visitors)
    if past.crossed:
        yield from _crossed(past, visitors)


def _gaps(number: int) -> Iterator[tuple[str, float]]:
    """Four in ten were here before, most of them lately, as far as there was a before."""
    shares = {gap: 0.11 * 0.78**place for place, gap in enumerate(GAP_BUCKETS[:-1]) if place < number}
    yield from shares.items()
    yield "first", 1 - sum(shares.values())


def _parts(statistic: str, shares: Iterable[tuple[str, float]], whole: float) -> Iterator[Sum]:
    yield from ((statistic, key, "", whole * part) for key, part in shares)


def _pages(past: Past, visitors: float) -> Iterator[Sum]:
    weights = sum(weight for _, weight in past.pages)
    shares = [(path, weight / weights) for path, weight in past.pages]
    yield from _parts("pages", shares, visitors * 2.2)
    yield from _parts("entries", shares, visitors)
    yield from _parts("exits", reversed(shares), visitors)
    yield from _parts("not_found", NOT_FOUND, visitors)
    yield from _parts("searches", SEARCHES, visitors)


def _visitors(visitors: float) -> Iterator[Sum]:
    for statistic, shares in (
        ("campaigns", CAMPAIGNS), ("countries", COUNTRIES), ("devices", DEVICES), ("languages", LANGUAGES),
        ("screens", SCREENS), ("outbound", OUTBOUND), ("downloads", DOWNLOADS),
    ):  # fmt: skip
        yield from _parts(statistic, shares, visitors)
    for statistic, buckets in (("engagement", ENGAGEMENT), ("scroll", SCROLL)):
        yield from ((statistic, str(step), "", visitors * part) for step, part in enumerate(buckets, start=1))
    for statistic, pairs in (("sources", SOURCES), ("browsers", BROWSERS)):
        yield from ((statistic, one, other, visitors * part) for one, other, part in pairs)


def _goals(past: Past, visitors: float) -> Iterator[Sum]:
    yield from _parts("goals", past.goals, visitors)
    for name, steps in past.funnels.items():
        yield from (("funnels", name, str(step), visitors * 0.3 * 0.45 ** (step - 1)) for step in range(1, steps + 1))


def _crossed(past: Past, visitors: float) -> Iterator[Sum]:
    weights = sum(weight for _, weight in past.pages)
    pages = [(path, weight / weights) for path, weight in past.pages]
    for path, part in pages:
        views = visitors * 2.2 * part
        yield from (("page_sources", path, source, views * share) for source, share in GROUPS)
        yield from (("page_devices", path, device, views * share) for device, share in DEVICES)
        yield from (("entry_goals", path, goal, visitors * part * rate) for goal, rate in past.goals)
    for source, share in GROUPS:
        yield from (("source_goals", source, goal, visitors * share * rate) for goal, rate in past.goals)
