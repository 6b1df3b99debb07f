"""Different visitors of a range of days, from the gaps: those of a day whose last active day lies before the range."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import inf, log, sqrt
from operator import mul
from typing import Final

EDGES: Final[dict[str, tuple[float, float]]] = {
    **{str(days): (days, days) for days in range(1, 32)},
    "32-60": (32, 60),
    "61-90": (61, 90),
    "91-180": (91, 180),
    "181-365": (181, 365),
    **dict.fromkeys(("more", "first"), (366, inf)),
}


@dataclass(frozen=True, slots=True)
class Gaps:
    """The gaps of one day: names of buckets, how many had each, and the standard deviations of that, or one for all."""

    names: tuple[str, ...]
    values: Sequence[float]
    sigmas: Sequence[float]


def new_visitors(total: tuple[float, float], gaps: Gaps, days: int) -> tuple[float, float]:
    """The day's visitors whose last active day is more than `days` ago, from both sides, and the sigma of that.

    `total` is the day's visitors and their sigma: less the short gaps they say the same as the long ones.
    """
    parts, squares, rests = _parts(gaps.names, days)
    far = sum(map(mul, parts, gaps.values))
    near = total[0] - (sum(gaps.values) - far)
    if len(gaps.sigmas) == 1:
        variance = gaps.sigmas[0] ** 2
        far_variance, near_variance = variance * sum(squares), total[1] ** 2 + variance * sum(rests)
    else:
        variances = [sigma * sigma for sigma in gaps.sigmas]
        far_variance = sum(map(mul, squares, variances))
        near_variance = total[1] ** 2 + sum(map(mul, rests, variances))
    weight = far_variance / (near_variance + far_variance) if far_variance else 0.0
    return far + weight * (near - far), sqrt(weight**2 * near_variance + (1 - weight) ** 2 * far_variance)


Parts = tuple[float, ...]


@lru_cache(maxsize=1024)
def _parts(names: tuple[str, ...], days: int) -> tuple[Parts, Parts, Parts]:
    """Of each bucket the part that is longer than `days`; its square, and that of the rest."""
    parts = tuple(_longer(name, days) for name in names)
    return parts, tuple(part**2 for part in parts), tuple((1 - part) ** 2 for part in parts)


def _longer(gap: str, days: int) -> float:
    """The part of a gap's bucket that is longer than `days`; within a bucket of many days short gaps are more common,
    in proportion to 1/gap."""
    first, last = EDGES[gap]
    if days < first or days >= last:
        return float(days < first)
    return log((last + 1) / (days + 1)) / log((last + 1) / first)
