"""Exact counts of closed periods -> cells that may be published: noise or threshold, once, on small numbers.

Nothing behind this door sees an exact count, and nothing before it draws noise, so there is one privacy proof
(docs/privacy.md) for every engine and every kind of input.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from math import sqrt
from typing import Final

from anonymiser import catalogue
from anonymiser.bounds import LOG_STATISTICS, OTHER, STATISTICS, Schedule, Statistic
from anonymiser.catalogue import Key
from anonymiser.protect import dp, threshold
from anonymiser.settings import Protection, SiteRules, Source

DELTA_FOR_THRESHOLDS: Final = 0.1

Exact = Mapping[tuple[str, Key], int]
"""(statistic, key) -> exact bounded count of one period."""


@dataclass(frozen=True, slots=True)
class Period:
    """Whole local days from `start` to `end`, both counted, what was counted in them, and whether all of them are wide.

    A period with a day of the plain set has the plain set as well. That costs no day more than its own set does: the
    totals of its wide days were paid at smaller shares than the plain set's, and it shows nothing of two dimensions.
    """

    start: date
    end: date
    counts: Exact
    wide: bool = False


@dataclass(frozen=True, slots=True)
class SafeCell:
    """One cell as it is released; `sigma` is the standard deviation of its noise, 0 under `threshold`."""

    statistic: Statistic
    key: Key
    value: int
    sigma: float


def statistics(source: Source, *, wide: bool = False) -> tuple[Statistic, ...]:
    """What can be known from beacons, or from web-server logs; with two dimensions only in the `wide` set.

    Which of the two a site uses is no secret, and neither is a day's set (docs/adr/0014).
    """
    known = (s for s in STATISTICS.values() if source == "beacons" or s.name in LOG_STATISTICS)
    return tuple(s for s in known if wide or not s.crossed)


def sigmas(protection: Protection, source: Source, *, wide: bool = False) -> dict[str, float]:
    """The noise of each statistic (standard deviation of a plain cell); 0 for all under `threshold`.

    rho is split by weight over every statistic of the source and set: one browser-day meets each of them once. Every
    share of the wide set is smaller than the same of the plain one.
    """
    known = statistics(source, wide=wide)
    if protection.policy == "threshold":
        return dict.fromkeys((s.name for s in known), 0.0)
    rho = dp.rho(protection.epsilon, protection.delta * (1 - DELTA_FOR_THRESHOLDS))
    whole = sum(s.weight for s in known)
    return {s.name: s.l2 / sqrt(2 * rho * s.weight / whole) for s in known}


@contextmanager
def at_hand(protection: Protection) -> Iterator[None]:
    """Meanwhile, on another thread, load OpenDP and convert the budget: that takes as long as many thousand lines."""
    with ThreadPoolExecutor(1) as beside:
        beside.submit(sigmas, protection, "logs")
        yield


def protect(rules: SiteRules, source: Source, schedule: Schedule, periods: Sequence[Period]) -> list[list[SafeCell]]:
    """The safe cells of each period, in order. Noise is drawn anew at each call: call once, keep what it returned."""
    safe: list[list[SafeCell]] = [[] for _ in periods]
    for wide in dict.fromkeys(period.wide for period in periods):
        places = [place for place, period in enumerate(periods) if period.wide == wide]
        answered = [s for s in statistics(source, wide=wide) if s.schedule == schedule]
        terms = _Terms(rules, source, wide=wide)
        counted = [_by_statistic(periods[place].counts) for place in places]
        for statistic in answered:
            released = _release(statistic, [found.get(statistic.name, {}) for found in counted], terms)
            for place, found in zip(places, released, strict=True):
                safe[place] += found
    return safe


class _Terms:
    """What a site's releases of one set have in common: how wide the noise is, and how rare a key may be."""

    def __init__(self, rules: SiteRules, source: Source, *, wide: bool) -> None:
        self.rules = rules
        self.noise = sigmas(rules.protection, source, wide=wide)
        self.key_delta = _key_delta(rules.protection, statistics(source, wide=wide))


def _by_statistic(counts: Exact) -> dict[str, dict[Key, int]]:
    tables: dict[str, dict[Key, int]] = defaultdict(dict)
    for (name, key), count in counts.items():
        tables[name][key] = count
    return tables


def _release(
    statistic: Statistic,
    tables: Sequence[Mapping[Key, int]],
    terms: _Terms,
) -> Iterator[list[SafeCell]]:
    protection, declared = terms.rules.protection, catalogue.declared(statistic, terms.rules)
    if protection.policy == "threshold":
        for table in tables:
            cells = threshold.release(table, declared, protection.k, open_ended=open_ended(statistic))
            yield [SafeCell(statistic, key, value, 0.0) for key, value in cells]
        return
    plan = dp.Plan(statistic, terms.noise[statistic.name], terms.key_delta, open_ended(statistic))
    for noisy in dp.release(plan, tables, declared):
        yield [SafeCell(statistic, key, value, width) for key, value, width in noisy]


def open_ended(statistic: Statistic) -> bool:
    """Whether visitors can bring keys that nobody declared; then there is a cell "(other)"."""
    return bool(statistic.keys) and statistic.catalogue != "closed"


def _key_delta(protection: Protection, known: Sequence[Statistic]) -> float:
    """The chance allowed that one key which a single browser brought is published: a tenth of delta, shared by all the
    keys a browser-day can bring."""
    touched = sum(s.keys_touched for s in known if open_ended(s))
    return protection.delta * DELTA_FOR_THRESHOLDS / touched


__all__ = ["OTHER", "Period", "SafeCell", "at_hand", "open_ended", "protect", "sigmas", "statistics"]
