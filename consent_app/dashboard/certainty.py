"""The answer to "How sure is this?": what the newest release says of its noise, its bounds and itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil, exp
from typing import Any, Final

from anonymiser.stats import Release
from consent_app.dashboard.figures import Estimate, margin
from consent_app.dashboard.periods import long, span

BOUND_NAMES: Final = {"views": "views", "pages": "different pages", "visits": "visits"}
DAILY_NAMES: Final = {"views": "views", "visitors": "visitors", "visits": "visits"}


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


def certainty(newest: Release) -> Certainty:
    """What the site's newest release says of itself."""
    noisy = newest.policy != "threshold"
    return Certainty(
        noisy=noisy,
        epsilon=f"{newest.epsilon:g}",
        delta=_chance(newest.delta),
        factor=f"{ceil(10 * exp(newest.epsilon)) / 10:,}",
        k=newest.k,
        bounds=_bounds(newest.bounds),
        facts=[*(_noise(newest.bounds) if noisy else ()), *_facts(newest, noisy)],
    )


def _chance(delta: float) -> str:
    return f"1 in {round(1 / delta):,}" if delta > 0 else "nought"


def _bounds(bounds: Mapping[str, Any]) -> str:
    """The most that one browser adds on one day, in words; "" for a release that does not say."""
    parts = [
        f"{max(bounds[name]['linf'], bounds[name]['keys_touched']):,} {words}"
        for name, words in BOUND_NAMES.items()
        if name in bounds
    ]
    return " and ".join(filter(None, (", ".join(parts[:-1]), *parts[-1:])))


def _noise(bounds: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [
        (f"{words.capitalize()} of one day", f"± {margin(Estimate(0, bounds[name]['sigma']))}")
        for name, words in DAILY_NAMES.items()
        if bounds.get(name, {}).get("sigma")
    ]


def _facts(newest: Release, noisy: bool) -> list[tuple[str, str]]:
    policy = "Differential privacy" if noisy else f"Threshold of {newest.k}, no guarantee"
    return [
        ("Method", policy),
        ("Newest release", f"{newest.release_id}, of {span(newest.period_start, newest.period_end)}"),
        ("Released", f"{long(newest.released_at.date())}, {newest.released_at:%H:%M} UTC"),
        ("Catalogue", f"{newest.catalogue_sha256[:12]}…" if newest.catalogue_sha256 else "none declared"),
        ("Software", newest.software),
    ]
