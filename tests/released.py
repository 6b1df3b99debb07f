"""Made-up but realistic figures: noisy releases of a small shop, as the batch publishes them, from a fixed seed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from math import pi, sin, sqrt
from pathlib import Path
from random import Random
from typing import Final

from anonymiser.bounds import GAP_BUCKETS, OTHER, STATISTICS, TOTAL_WEIGHT
from anonymiser.clock import periods
from anonymiser.publish import publish
from anonymiser.settings import Grain
from anonymiser.stats import Cell, Release

RHO: Final = 0.08  # what epsilon 2 and delta 1e-6 come to
DAY: Final = timedelta(days=1)
PLAIN: Final = tuple(s for s in STATISTICS.values() if not s.crossed)
PAGES: Final = (
    ("/", 30), ("/desks/", 14), ("/chairs/", 12), ("/chairs/mesh-back-operator-chair", 7), ("/contact", 6),
    ("/desks/height-adjustable-desk-1600mm", 5), ("/storage/", 5), ("/delivery", 4), ("/offers", 4), ("/about", 3),
    ("/used-furniture/reconditioned-executive-desks-and-matching-pedestals", 3), ("/chairs/draughtsman", 2),
    ("/reception/", 2), ("/boardroom/", 2), ("/space-planning", 1), ("/finance", 1), ("/cookies", 0.2),
    ("/terms", 0.1), ("/privacy", 0.1),
)  # fmt: skip
SOURCES: Final = (
    ("Google", "Organic search", 45), ("Direct", "Direct", 28), ("Bing", "Organic search", 8),
    ("newsletter", "E-mail", 6), ("Facebook", "Social", 4), ("LinkedIn", "Social", 2), ("defibrental.example",
    "Referral", 2), ("DuckDuckGo", "Organic search", 1), ("Ecosia", "Organic search", 0.2),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Shop:
    """One site to make figures for: its average daily visitors, and the days it has been counted."""

    key: str
    visitors: float
    first: date
    last: date
    grain: Grain = "week"
    policy: str = "dp"
    missing: frozenset[date] = frozenset()


def write(out: Path, shops: Sequence[Shop]) -> None:
    """Publish figures for these sites."""
    made = [release for shop in shops for release in _releases(shop)]
    publish(out, [release for release, _ in made], [cell for _, cells in made for cell in cells])


def sigma(name: str, policy: str = "dp") -> float:
    """The noise of one cell of a statistic."""
    statistic = STATISTICS[name]
    return statistic.l2 / sqrt(2 * RHO * statistic.weight / TOTAL_WEIGHT) if policy == "dp" else 0.0


def _releases(shop: Shop) -> Iterator[tuple[Release, list[Cell]]]:
    chance = Random(shop.key)
    days = [shop.first + n * DAY for n in range((shop.last - shop.first).days + 1)]
    for day in days:
        if day not in shop.missing:
            yield _made(shop, day, day, "daily", _totals(shop, day, chance), chance)
    for start, end in periods(shop.first, shop.last, shop.grain, whole=True):
        yield _made(shop, start, end, "breakdown", _breakdowns(shop, start, end), chance)


Count = tuple[str, str, str, float]


def _totals(shop: Shop, day: date, chance: Random) -> Iterator[Count]:
    visitors = _busy(shop, day) * chance.gauss(1, 0.06)
    views, visits = visitors * 2.85, visitors * 1.14
    for name, value in (("visitors", visitors), ("views", views), ("visits", visits), ("bounces", visits * 0.46)):
        yield name, "", "", value
    shares = {gap: 0.28 * 0.72**place for place, gap in enumerate(GAP_BUCKETS[:-1])}
    for gap in GAP_BUCKETS:
        yield "returning", gap, "", visitors * (shares[gap] * 0.3 if gap in shares else 0.7)


def _breakdowns(shop: Shop, start: date, end: date) -> Iterator[Count]:
    visitors = sum(_busy(shop, start + n * DAY) for n in range((end - start).days + 1))
    for page, share in (*PAGES, (OTHER, 3.0)):
        yield "pages", page, "", visitors * share * 0.019
    for source, channel, share in (*SOURCES, (OTHER, "", 3.0)):
        yield "sources", source, channel, visitors * share / 100


def _busy(shop: Shop, day: date) -> float:
    """Expected visitors: quieter at weekends, slowly growing, with a slow wave through the year."""
    weekend = 0.45 if day.weekday() >= 5 else 1.15
    age = (day - date(2026, 1, 1)).days
    return shop.visitors * weekend * (1 + age / 1500) * (1 + 0.18 * sin(2 * pi * age / 91))


def _made(
    shop: Shop, start: date, end: date, schedule: str, counts: Iterator[Count], chance: Random
) -> tuple[Release, list[Cell]]:
    release = _release(shop, start, end, schedule)
    cells = []
    for name, key1, key2, count in counts:
        statistic, width = STATISTICS[name], sigma(name, shop.policy)
        value = round(chance.gauss(count, width)) if width else round(count / 5) * 5
        days = (end - start).days + 1
        cells.append(
            Cell(release.release_id, shop.key, start, days, statistic.table, key1, key2, statistic.metric, value, width)
        )
    return release, cells


def _release(shop: Shop, start: date, end: date, schedule: str) -> Release:
    return Release(
        release_id=f"{shop.key}-{schedule}-{end:%Y%m%d}",
        site=shop.key,
        period_start=start,
        period_end=end,
        policy=shop.policy,
        epsilon=2.0,
        delta=1e-6,
        k=10,
        bounds={
            s.name: {"l2": s.l2, "linf": s.linf, "keys_touched": s.keys_touched, "fold": s.fold,
                     "sigma": sigma(s.name, shop.policy)}
            for s in PLAIN
        },
        weights={s.name: s.weight for s in PLAIN},
        catalogue_sha256="5f" * 32,
        software="consent-app 0.1.0",
        released_at=datetime.combine(end + DAY, time(2, 10), UTC),
    )  # fmt: skip
