"""What noise buys, by the papers: from zero-concentrated differential privacy (zCDP) to (epsilon, delta) and back.

The releasing side asks OpenDP instead (`protect/dp.py`); a test holds both together. `check`, `explanation` use these.
"""

from __future__ import annotations

from functools import lru_cache
from math import exp, log, log1p
from typing import Final

MOST_RHO: Final = 1e3
MOST_EPSILON: Final = 1e5
HALVINGS: Final = 80


@lru_cache(maxsize=64)
def largest_rho(epsilon: float, delta: float) -> float:
    """The largest rho for which rho-zCDP (Bun and Steinke 2016) implies (epsilon, delta)-differential privacy."""
    low, high = 0.0, MOST_RHO
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if least_delta(middle, epsilon) <= delta else (low, middle)
    return low


def least_epsilon(rho: float, delta: float) -> float:
    """The least epsilon for which rho-zCDP implies (epsilon, delta)-differential privacy."""
    low, high = 0.0, MOST_EPSILON
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if least_delta(rho, middle) <= delta else (middle, high)
    return high


def least_delta(rho: float, epsilon: float) -> float:
    """min over alpha > 1 of exp((alpha - 1)(alpha rho - epsilon)) / (alpha - 1) * (1 - 1 / alpha)^alpha.

    Canonne, Kamath and Steinke 2020, section 2.3. The logarithm is convex in alpha: its second derivative is
    2 rho + 1 / (alpha (alpha - 1)). So its slope is halved down to the least value.
    """
    low, high = 1.0 + 1e-9, 2.0 + (epsilon + 1) / rho
    for _ in range(HALVINGS):
        alpha = (low + high) / 2
        slope = rho * (2 * alpha - 1) - epsilon + log1p(-1 / alpha)
        low, high = (low, alpha) if slope > 0 else (alpha, high)
    return exp(min(0.0, (high - 1) * (high * rho - epsilon) - log(high - 1) + high * log1p(-1 / high)))
