"""One value of an answer: as released, with the noise it was released with and the interval that follows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from math import ceil, floor, hypot, inf
from typing import Any, Final

from anonymiser.stats import Release
from consent_app.dashboard.figures import Z95, Estimate

CONFIDENCE: Final = 0.95
PER_CENT: Final = 100
THRESHOLD: Final = "threshold"
MIXED: Final = "mixed"


@dataclass(frozen=True, slots=True)
class Value:
    """A count or a rate; `low` and `high` are None where nothing is known of the error, `value` where too little is."""

    value: float | None
    sigma: float | None
    low: float | None
    high: float | None
    policy: str

    @property
    def certainty(self) -> dict[str, Any]:
        """All but the value itself."""
        return {"low": self.low, "high": self.high, "sigma": self.sigma, "policy": self.policy}


def counted(found: Estimate, policy: str, hidden: float = 0) -> Value:
    """A count as released: noise may take it below nought, which is left so that sums of it stay right.

    `hidden` is what it may have had in periods in which it was too rare to be released.
    """
    if policy in (THRESHOLD, MIXED):
        return Value(round(found.value), None, None, None, policy)
    low, high = max(0, floor(found.value - found.margin)), max(0, ceil(found.value + found.margin + hidden))
    return Value(round(found.value), round(found.sigma, 3), low, high, policy)


def rate(part: Estimate, whole: Estimate, policy: str, *, scale: int = PER_CENT) -> Value:
    """`part` of `whole`, in per cent or per one, by first-order propagation of both noises.

    Without a value where the whole is not larger than its own noise: then nothing is known of a part of it.
    """
    if whole.value <= 0 or whole.value <= whole.margin:
        return Value(None, None, None, None, policy)
    ratio = part.value / whole.value
    if policy in (THRESHOLD, MIXED):
        return Value(round(scale * ratio, 2), None, None, None, policy)
    sigma, top = scale * hypot(part.sigma, ratio * whole.sigma) / whole.value, PER_CENT if scale == PER_CENT else inf
    low, high = (min(max(0.0, scale * ratio + side * Z95 * sigma), top) for side in (-1, 1))
    return Value(round(scale * ratio, 2), round(sigma, 3), floor(100 * low) / 100, ceil(100 * high) / 100, policy)


def summed(parts: Iterable[Estimate]) -> Estimate:
    """The sum of independently noised values."""
    found = list(parts)
    return Estimate(sum(part.value for part in found), hypot(*(part.sigma for part in found)))


class Policies:
    """Under which policy the days of a site were released."""

    def __init__(self, releases: Sequence[Release]) -> None:
        self._periods = [(release.period_start, release.period_end, release.policy) for release in releases]
        self._all = {policy for _, _, policy in self._periods}

    def of(self, start: date, end: date) -> str:
        """The policy of the releases within these days; `mixed` where there are several."""
        if len(self._all) == 1:
            return next(iter(self._all))
        found = {policy for first, last, policy in self._periods if start <= first and last <= end}
        return next(iter(found)) if len(found) == 1 else MIXED
