"""Released values as a reader may see them: rounded to what is known, never below nought, always with their margin."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import ceil, floor, hypot, log10
from typing import Final

Z95: Final = 1.959964
LADDER: Final = (1, 1.5, 2, 3, 4, 5, 6, 8, 10)


@dataclass(frozen=True, slots=True)
class Estimate:
    """A released count, or a sum of them: `value` signed and noisy, `sigma` the standard deviation of its noise."""

    value: float
    sigma: float

    @property
    def margin(self) -> float:
        """Half the width of the 95 % interval of the noise."""
        return Z95 * self.sigma

    @property
    def known(self) -> bool:
        """Whether the value is larger than its own noise, also once both are rounded."""
        place = step(self.margin)
        return self.sigma == 0 or round(self.value / place) > round(self.margin / place)


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure in words: `text`, its `margin` ("" where none was added), and whether it is only an upper limit."""

    text: str
    margin: str = ""
    limit: bool = False


@dataclass(frozen=True, slots=True)
class Change:
    """How a figure moved against the period before: `direction` is up, down or level."""

    direction: str
    text: str


LEVEL: Final = Change("level", "no clear change")


def total(estimates: Iterable[Estimate]) -> Estimate:
    """The sum of independently noised values."""
    parts = list(estimates)
    return Estimate(sum(e.value for e in parts), hypot(*(e.sigma for e in parts)))


def step(margin: float) -> int:
    """The last place worth showing beside `margin`: two digits of it up to 354, else one (Particle Data Group, 5.3)."""
    if margin < 1:
        return 1
    exponent = floor(log10(margin))
    lead = margin / 10**exponent
    return int(10.0 ** max(0, exponent - 1 if lead < 3.55 else exponent))


def limit(estimate: Estimate) -> int:
    """A round number that the true count lies below in 39 of 40 cases."""
    top = max(estimate.value, 0) + estimate.margin
    power = 10.0 ** floor(log10(max(top, 1)))
    return next(ceil(rung * power) for rung in LADDER if rung * power >= top)


def count(estimate: Estimate) -> Figure:
    """A count as `7,180` ± `200`, or `fewer than about 30` when its noise is larger than itself."""
    if not estimate.known:
        return Figure(f"fewer than about {limit(estimate):,}", limit=True)
    place = step(estimate.margin)
    shown = f"{max(0, round(estimate.value / place)) * place:,}"
    return Figure(shown, margin(estimate))


def share(part: Estimate, whole: Estimate) -> Figure | None:
    """`part` of `whole` as `38%` ± `3`, or `less than about 20%`; None when too little is known."""
    rate = _rate(part, whole)
    if rate is None:
        return None
    if not rate.known:
        return Figure(f"less than about {limit(rate)}%", limit=True)
    place = step(rate.margin)
    return Figure(f"{round(rate.value / place) * place}%", margin(rate))


def share_change(now: tuple[Estimate, Estimate], then: tuple[Estimate, Estimate]) -> Change | None:
    """How a share moved, each given as part and whole; None when too little is known of one."""
    rates = _rate(*now), _rate(*then)
    if rates[0] is None or rates[1] is None:
        return None
    moved = Estimate(abs(rates[0].value - rates[1].value), hypot(rates[0].sigma, rates[1].sigma))
    return _moved("up" if rates[0].value > rates[1].value else "down", moved, " points") if moved.value else LEVEL


def _moved(direction: str, moved: Estimate, unit: str) -> Change:
    if not moved.known:
        return LEVEL
    place = step(moved.margin)
    shown = round(moved.value / place) * place
    if not shown:
        return Change(direction, f"{direction} by less than {place}{unit}")
    return Change(direction, f"{direction} {shown:,}{unit}" + (f" ± {margin(moved)}" if moved.margin else ""))


def _rate(part: Estimate, whole: Estimate) -> Estimate | None:
    """Per cent, by first-order propagation of both noises; None when even the half in which it lies is not known."""
    if not whole.known or whole.value <= 0:
        return None
    ratio = min(max(part.value / whole.value, 0), 1)
    rate = Estimate(100 * ratio, 100 * hypot(part.sigma, ratio * whole.sigma) / whole.value)
    return rate if rate.margin < 50 else None


def change(now: Estimate, then: Estimate) -> Change:
    """How `now` differs from `then`; a difference that the noise alone can make is no change."""
    difference = Estimate(now.value - then.value, hypot(now.sigma, then.sigma))
    if abs(difference.value) <= difference.margin:
        return LEVEL
    direction = "up" if difference.value > 0 else "down"
    if not then.known or then.value <= 0:
        return Change(direction, f"{direction} from {count(then).text}")
    ratio = now.value / then.value
    moved = Estimate(100 * abs(ratio - 1), 100 * hypot(now.sigma, ratio * then.sigma) / then.value)
    return _moved(direction, moved, "%")


def margin(estimate: Estimate) -> str:
    """Its margin as shown beside it; "" where no noise was added."""
    return _margin(estimate.margin, step(estimate.margin))


def _margin(margin: float, place: int) -> str:
    return f"{max(1, round(margin / place)) * place:,}" if margin else ""
