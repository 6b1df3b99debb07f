"""Different visitors of a range of days, from the gaps: those of a day whose last active day lies before the range."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from math import inf, log, sqrt
from typing import Final

Gap = tuple[str, float, float]
"""A bucket of `bounds.GAP_BUCKETS`, how many had it, and the standard deviation of that."""

EDGES: Final[dict[str, tuple[float, float]]] = {
    **{str(days): (days, days) for days in range(1, 32)},
    "32-60": (32, 60),
    "61-90": (61, 90),
    "91-180": (91, 180),
    "181-365": (181, 365),
    **dict.fromkeys(("more", "first"), (366, inf)),
}


def new_visitors(total: tuple[float, float], gaps: Sequence[Gap], days: int) -> tuple[float, float]:
    """The day's visitors whose last active day is more than `days` ago, from both sides, and the sigma of that.

    `total` is the day's visitors and their sigma: less the short gaps they say the same as the long ones.
    """
    longer = [(_longer(gap, days), value, sigma) for gap, value, sigma in gaps]
    near = total[0] - sum((1 - part) * value for part, value, _ in longer)
    near_variance = total[1] ** 2 + sum(((1 - part) * sigma) ** 2 for part, _, sigma in longer)
    far = sum(part * value for part, value, _ in longer)
    far_variance = sum((part * sigma) ** 2 for part, _, sigma in longer)
    weight = far_variance / (near_variance + far_variance) if far_variance else 0.0
    return far + weight * (near - far), sqrt(weight**2 * near_variance + (1 - weight) ** 2 * far_variance)


@cache
def _longer(gap: str, days: int) -> float:
    """The part of a gap's bucket that is longer than `days`; within a bucket of many days short gaps are more common,
    in proportion to 1/gap."""
    first, last = EDGES[gap]
    if days < first or days >= last:
        return float(days < first)
    return log((last + 1) / (days + 1)) / log((last + 1) / first)
