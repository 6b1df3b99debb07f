"""What `anonymise explain` says of a published file: what was released, at what price, and how exact it is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from math import exp
from pathlib import Path
from typing import Final

from anonymiser.stats import Release, Statistics

SIGMAS_OF_95: Final = 1.96


def explanation(stats: Path) -> Iterator[str]:
    """Lines of plain text. Raises StatisticsError when the file cannot be read."""
    with Statistics(stats) as statistics:
        sites = statistics.sites()
        if not sites:
            yield "Nothing has been released in this file."
        for site in sites:
            yield from _site(site, statistics.releases(site))


def _site(site: str, releases: Sequence[Release]) -> Iterator[str]:
    newest = max(releases, key=lambda release: release.released_at)
    first, last = min(r.period_start for r in releases), max(r.period_end for r in releases)
    yield f"Site {site}: {len(releases)} releases, {first} to {last}"
    for policy, group in groupby(sorted(releases, key=lambda r: r.policy), key=lambda r: r.policy):
        yield f"  {len(list(group))} under the policy {policy!r}"
    if newest.policy == "threshold":
        yield f"  No noise and no mathematical guarantee: what fewer than {newest.k} browsers share is in (other)."
        return
    yield (
        f"  Each browser-day: epsilon {newest.epsilon:g} (a factor of at most {exp(newest.epsilon):.2f}), "
        f"delta {newest.delta:g}, spent like this:"
    )
    yield f"  {'statistic':12} {'share':>7} {'most one browser adds':>22} {'95 % within ±':>14}"
    whole = sum(newest.weights.values())
    for name, weight in sorted(newest.weights.items(), key=lambda item: -item[1]):
        bound = newest.bounds[name]
        yield (f"  {name:12} {100 * weight / whole:6.1f}% {bound['l2']:22.2f} {SIGMAS_OF_95 * bound['sigma']:14.0f}")
    yield "  A declared key is shown whatever its count; any other only when its noisy count passes a threshold that a"
    yield "  single browser reaches with a chance below a tenth of delta. All else is in (other)."
