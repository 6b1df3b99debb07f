"""The weights give the figures that bench/utility.py prints enough of the budget: noise alone, without any bias.

The counts are those of a site with 240 visitors a day; half of all normal noise stays within 0.6745 sigma.
"""

from __future__ import annotations

import pytest

from anonymiser.protect import sigmas
from anonymiser.settings import Protection

HALF_WITHIN = 0.6745
WEEKS = 2  # a month sums four weekly releases: twice the noise of one


@pytest.mark.parametrize(
    ("statistic", "count", "releases", "most"),
    [
        ("visitors", 240, 1, 0.04),
        ("views", 636, 1, 0.045),
        ("pages", 170, 1, 0.10),  # the median of a week's top ten
        ("pages", 680, WEEKS, 0.07),
        ("sources", 160, 1, 0.06),  # the third of a week
    ],
)
def test_noise_leaves_small_sites_their_figures(statistic: str, count: int, releases: int, most: float) -> None:
    sigma = sigmas(Protection(), "beacons")[statistic]
    assert HALF_WITHIN * sigma * releases / count <= most
