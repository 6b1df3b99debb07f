"""What the published file answers, as values, and what a key may have had in the periods that did not show it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from math import inf, log, sqrt
from typing import Any, Final

from anonymiser import scrub
from anonymiser.bounds import CUT, STATISTICS

DELTA_OF_KEYS: Final = 0.1
SIGMAS: Final = 1.96


@dataclass(frozen=True, slots=True)
class Release:
    """One answer for one period (whole local days, both counted): under which policy, with which bounds and noise.

    `bounds` holds l2, linf, keys_touched, fold and sigma of each statistic, `weights` its share of the budget.
    """

    release_id: str
    site: str
    period_start: date
    period_end: date
    policy: str
    epsilon: float
    delta: float
    k: int
    bounds: Mapping[str, Mapping[str, float]]
    weights: Mapping[str, float]
    catalogue_sha256: str
    software: str
    released_at: datetime

    @property
    def keys_touched(self) -> float:
        """How many keys that nobody declared a browser-day can bring at most."""
        brought = (name for name in self.bounds if name in STATISTICS and STATISTICS[name].open_ended)
        return sum(self.bounds[name]["keys_touched"] for name in brought)


@dataclass(frozen=True, slots=True)
class Cell:
    """One released number, signed and noisy; `sigma` is the standard deviation of its noise."""

    release_id: str
    site: str
    period_start: date
    period_days: int
    statistic: str
    key1: str
    key2: str
    metric: str
    value: int
    sigma: float


@dataclass(frozen=True, slots=True)
class DailyRow:
    """One total of one day; `metric` is visitors, views, visits or bounces."""

    day: date
    metric: str
    value: float
    sigma: float


@dataclass(frozen=True, slots=True)
class RangeFigure:
    """Visitors of a range of days; visitor-days where a visitor of several days counts once on each."""

    value: float
    sigma: float
    is_visitor_days: bool


@dataclass(frozen=True, slots=True)
class BreakdownRow:
    """One key's sum over the `periods` in which it was released.

    In the others it was too rare for that, or not there, and is part of "(other)". With 39 chances of 40 it had at most
    value + 1.96 sigma + hidden in all periods together; `hidden` is 0 when it was released in every one.
    """

    key1: str
    key2: str
    value: float
    sigma: float
    periods: int
    hidden: float


@dataclass(frozen=True, slots=True)
class Breakdown:
    """A statistic by key over the released `periods` that lie within a range; no days when none does."""

    first_day: date | None
    last_day: date | None
    rows: list[BreakdownRow]
    periods: int


@dataclass(frozen=True, slots=True)
class PeriodRow:
    """One released period of a breakdown: the sum of the keys asked for, None where none of them was released in it."""

    start: date
    end: date
    value: float | None
    sigma: float


def figure(parts: Sequence[tuple[float, float]], *, visitor_days: bool) -> RangeFigure:
    return RangeFigure(sum(v for v, _ in parts), sqrt(sum(s * s for _, s in parts)), visitor_days)


Limit = tuple[float, float]
"""The threshold that a period's noisy count did not exceed, and the variance of its noise."""


def limits(release: Release, statistic: str) -> tuple[Limit, Limit]:
    """The limits of one release for a plain key and for one that many texts may have become."""
    if release.policy == "threshold":
        return (release.k - 1, 0.0), (release.k - 1, 0.0)
    if statistic not in release.bounds:
        return (inf, 0.0), (inf, 0.0)
    bound, touched = release.bounds[statistic], release.keys_touched
    chance = release.delta * DELTA_OF_KEYS / max(touched, 1)
    sigma, reach = sqrt(2) * bound["sigma"], sqrt(2 * log(1 / chance))
    most = bound["keys_touched"] if bound["fold"] > 1 else bound["linf"]
    wide = bound["fold"] * sigma
    return (_with_cut(bound["linf"] + sigma * reach), sigma**2), (_with_cut(most + wide * reach), wide**2)


def _with_cut(above: float) -> float:
    """A threshold with the cut that comes before it (protect/dp.py)."""
    return int(above * CUT) + above


Unseen = list[tuple[tuple[Limit, Limit], int]]
"""Limits of releases that did not show a key, and how many releases had them."""


def hidden(key: str, sigma: float, unseen: Unseen) -> float:
    """What to add to a key's upper limit for the periods that did not show it.

    Noisy counts of all periods together are off by noise nobody chose; those not shown were below their thresholds.
    """
    folds = scrub.is_folded(key)
    found = [(folded if folds else plain, times) for (plain, folded), times in unseen]
    noise = sqrt(sigma**2 + sum(times * variance for (_, variance), times in found))
    return sum(times * threshold for (threshold, _), times in found) + SIGMAS * (noise - sigma)


def missing(kinds: Sequence[tuple[Release, frozenset[str]]], statistic: str, answered: Any, shown: Any) -> Unseen:
    """The limits of the releases that answered and did not show a key. `answered` and `shown` are numbers where all
    releases are of one kind, else names.
    """
    if len(kinds) <= 1:
        return [(limits(of, statistic), answered - shown) for of, _ in kinds if answered > shown]
    unseen = set(answered).difference(shown)
    return [(limits(of, statistic), len(unseen & made)) for of, made in kinds if unseen & made]
