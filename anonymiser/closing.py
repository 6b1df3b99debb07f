"""What is held of ended days -> the answers that are kept: each a release that tells its terms, and its safe cells."""

from __future__ import annotations

import secrets
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from importlib.metadata import version
from typing import Final

from anonymiser import catalogue, clock
from anonymiser.bounds import STATISTICS, Schedule
from anonymiser.holding import Cell
from anonymiser.protect import Period, protect, sigmas, statistics
from anonymiser.protect.budget import Answer
from anonymiser.settings import SiteRules, Source
from anonymiser.stats import Release

SOFTWARE: Final = f"consent-app {version('consent-app')}"

Table = Counter[tuple[str, tuple[str, str]]]


def periods(
    counts: Mapping[Cell, int], schedule: Schedule, spans: Sequence[tuple[date, date]], wide: Collection[date]
) -> Iterator[Period]:
    """What this schedule answers of each span of days; `wide` are the days that have the wide set of statistics."""
    asked = {statistic.name for statistic in STATISTICS.values() if statistic.schedule == schedule}
    by_day: dict[str, Table] = defaultdict(Counter)
    for (day, name, key1, key2), count in counts.items():
        if name in asked:
            by_day[day][name, (key1, key2)] = count
    for start, end in spans:
        total: Table = Counter()
        for of in clock.days(start, end):
            total.update(by_day.get(of.isoformat(), {}))
        yield Period(start, end, total, wide=all(of in wide for of in clock.days(start, end)))


def answers(
    rules: SiteRules, source: Source, schedule: Schedule, closed: Iterator[Period], now: datetime
) -> Iterator[Answer]:
    """Protect the periods' counts. Noise is drawn here: keep what this returns, and call it once."""
    found = list(closed)
    for period, safe in zip(found, protect(rules, source, schedule, found), strict=True):
        yield Answer(_release(rules, source, period, now), schedule, safe)


def _release(rules: SiteRules, source: Source, period: Period, now: datetime) -> Release:
    protection = rules.protection
    known, noise = statistics(source, wide=period.wide), sigmas(protection, source, wide=period.wide)
    return Release(
        release_id=secrets.token_hex(8),
        site=rules.key,
        period_start=period.start,
        period_end=period.end,
        policy=protection.policy,
        epsilon=protection.epsilon,
        delta=protection.delta,
        k=protection.k,
        bounds={
            s.name: {"l2": s.l2, "linf": s.linf, "keys_touched": s.keys_touched, "fold": s.fold, "sigma": noise[s.name]}
            for s in known
        },
        weights={s.name: s.weight for s in known},
        catalogue_sha256=catalogue.digest(rules),
        software=SOFTWARE,
        released_at=now.astimezone(UTC).replace(microsecond=0),
    )
