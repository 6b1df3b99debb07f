"""Simulated visitors: each behaves like a browser with the banner script, counters on its own side, no identifier sent.

The traffic is made up, the path is real: decisions and beacons go over HTTP to the same endpoints as a visitor's.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from random import Random
from typing import Any, Final

Page = str

AGENTS: Final = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6 "
    "Mobile/15E148 Safari/604.1",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36 "
    "Edg/141.0.0.0",
    "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Mobile Safari/537.36",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6 "
    "Safari/605.1.15",
    "Mozilla/5.0 (X11; Linux x86_64; rv:143.0) Gecko/20100101 Firefox/143.0",
)
AGENT_WEIGHTS: Final = (34, 24, 16, 14, 8, 4)
SCREENS: Final = ("large", "small", "wide", "small", "large", "medium")
SOURCES: Final[tuple[tuple[dict[str, str], int], ...]] = (
    ({}, 30),
    ({"referrer": "www.google.com"}, 34),
    ({"referrer": "www.bing.com"}, 8),
    ({"referrer": "www.linkedin.com"}, 6),
    ({"referrer": "chatgpt.com"}, 4),
    ({"utm_source": "newsletter", "utm_medium": "email", "utm_campaign": "autumn-offers"}, 8),
    ({"utm_source": "google", "utm_medium": "cpc", "utm_campaign": "office-chairs"}, 7),
    ({"referrer": "www.duckduckgo.com"}, 3),
)


@dataclass
class Visitor:
    """One simulated browser: what it decided, and the counters that the script would keep in IndexedDB."""

    agent: int
    address: str
    permit: str = ""
    last_active: date | None = None
    today: date | None = None
    views: int = 0
    visits: int = 0
    seen: set[Page] = field(default_factory=set)

    def visit(self, rng: Random, site: str, day: date, pages: list[Page]) -> Iterator[dict[str, Any]]:
        """Yield one beacon for each page of a visit, as the script would send it (see `anonymiser.facts.Beacon`)."""
        gap = self._start_day(day)
        self.visits += 1
        source = rng.choices([s for s, _ in SOURCES], [w for _, w in SOURCES])[0]
        previous = ""
        for position, page in enumerate(pages, start=1):
            self.views += 1
            beacon = self._beacon(rng, site, day, page, position)
            if self.views == 1:
                beacon |= {"gap": gap, "screen": SCREENS[self.agent], "lang": "en-GB", "zone": "Europe/London"}
            beacon |= {"prev": previous} if previous else source
            previous = page
            yield beacon

    def _start_day(self, day: date) -> str:
        if self.today == day:
            return ""
        gap = gap_bucket((day - self.last_active).days) if self.last_active else "first"
        self.today, self.last_active = day, day
        self.views, self.visits, self.seen = 0, 0, set()
        return gap

    def _beacon(self, rng: Random, site: str, day: date, page: Page, position: int) -> dict[str, Any]:
        fresh = page not in self.seen
        self.seen.add(page)
        return {
            "schema": 1,
            "site": site,
            "permit": self.permit,
            "nonce": f"{rng.getrandbits(64):016x}",
            "day": day.isoformat(),
            "kind": "pageview",
            "path": page,
            "n": self.views,
            "p": len(self.seen) if fresh else 0,
            "v": self.visits,
            "k": position,
        }


def gap_bucket(days: int) -> str:
    """The name of a gap between two active days, exact to 31 days."""
    if days <= 31:
        return str(days)
    return next((name for limit, name in ((60, "32-60"), (90, "61-90"), (180, "91-180")) if days <= limit), "181-365")


def walk(rng: Random, pages: tuple[tuple[Page, int], ...]) -> list[Page]:
    """The pages of one visit: geometric length, pages by weight, never the same page twice running."""
    length = 1
    while length < 12 and rng.random() < 0.58:
        length += 1
    names, weights = [p for p, _ in pages], [w for _, w in pages]
    steps: list[Page] = []
    while len(steps) < length:
        page = rng.choices(names, weights)[0]
        if not steps or steps[-1] != page:
            steps.append(page)
    return steps


@dataclass
class Crowd:
    """The visitors of one site, some of whom come back; `daily` is the usual number on a weekday.

    Their requests go to `host`, from pages of `origin`.
    """

    site: str
    host: str
    origin: str
    pages: tuple[tuple[Page, int], ...]
    daily: int
    known: list[Visitor] = field(default_factory=list)

    def arrivals(self, rng: Random, day: date) -> Iterator[Visitor]:
        """The visitors of one day: quieter at weekends, a slow rise, two thirds of them returning."""
        quiet = 0.45 if day.weekday() >= 5 else 1.0
        trend = 1 + 0.15 * ((day.toordinal() % 90) / 90)
        today = round(self.daily * quiet * trend * rng.uniform(0.88, 1.12))
        returning = rng.sample(self.known, min(len(self.known), today * 2 // 3))
        yield from returning
        for _ in range(today - len(returning)):
            agent = rng.choices(range(len(AGENTS)), AGENT_WEIGHTS)[0]
            visitor = Visitor(agent, f"192.0.2.{rng.randrange(1, 255)}")
            self.known.append(visitor)
            yield visitor


def body(beacon: dict[str, Any]) -> bytes:
    """A beacon as it travels."""
    return json.dumps(beacon, separators=(",", ":")).encode()
