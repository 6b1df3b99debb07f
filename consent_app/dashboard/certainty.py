"""The answer to "How sure is this?": what the newest release says of its noise, its bounds and itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import exp
from typing import Any, Final

from anonymiser.stats import Release
from consent_app.dashboard.periods import long

BOUND_NAMES: Final = {"views": "views", "pages": "different pages", "visits": "visits"}


@dataclass(frozen=True, slots=True)
@dataclass(frozen=True, slots=True)
class Certainty:
    """`noisy` is false under the threshold policy, which adds no noise and proves nothing; `factor` is e^epsilon."""

    noisy: bool
    epsilon: str
    delta: str
    factor: str
    k: int
    bounds: str
    facts: Sequence[tuple[str, str]]
