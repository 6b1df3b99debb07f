"""The noise is what docs/privacy.md says: right width for every kind of cell, drawn anew, keys published rarely enough.

The laws are tested on real draws of OpenDP with wide margins, so that chance fails a test about once in a million runs.
"""

from __future__ import annotations

from datetime import date
from itertools import product
from math import exp, log, sqrt
from statistics import mean, pstdev

import pytest

from anonymiser.bounds import CROSSED, OTHER, STATISTICS, Statistic
from anonymiser.protect import Period, SafeCell, dp, open_ended, protect, sigmas, statistics
from anonymiser.settings import Protection, SiteRules, Source

RULES = SiteRules("kent", catalogue={"pages": ("/", "/contact"), "goals": ("enquiry",)})
DAY = date(2026, 11, 2)
DRAWS = 4000


def plan(name: str = "pages", sigma: float = 10.0) -> dp.Plan:
    return dp.Plan(STATISTICS[name], sigma, 1e-9, open_ended(STATISTICS[name]))


@pytest.mark.parametrize("epsilon", [0.5, 2.0, 8.0])
def test_rho_is_what_the_paper_gives(epsilon: float) -> None:
    """Bun and Steinke 2016, proposition 1.3 is a lower bound; OpenDP's tighter conversion may allow a little more."""
    delta = 9e-7
    simple = (sqrt(log(1 / delta) + epsilon) - sqrt(log(1 / delta))) ** 2
    assert simple <= dp.rho(epsilon, delta) <= 1.5 * simple


@pytest.mark.parametrize("wide", [False, True], ids=["plain", "wide"])
@pytest.mark.parametrize("source", ["beacons", "logs"])
def test_one_browser_day_spends_exactly_the_budget(source: Source, wide: bool) -> None:
    protection = Protection()
    noise = sigmas(protection, source, wide=wide)
    spent = sum((s.l2 / noise[s.name]) ** 2 / 2 for s in statistics(source, wide=wide))
    assert spent == pytest.approx(dp.rho(protection.epsilon, 0.9 * protection.delta), rel=1e-9)


def test_noise_has_the_width_it_claims() -> None:
    tables = [{("/", ""): 500, ("/order/:id", ""): 90, ("/strange", ""): 1000}] * DRAWS
    declared = [("/", ""), ("/order/:id", "")]
    drawn = [{key: (value, width) for key, value, width in cells} for cells in dp.release(plan(), tables, declared)]
    wide = STATISTICS["pages"].fold
    for key, true, width in (
        (("/", ""), 500, 10),
        (("/order/:id", ""), 90, 10 * wide),
        (("/strange", ""), 1000, 10 * sqrt(2)),
        ((OTHER, ""), 0, 10 * sqrt(2) * wide),
    ):
        values = [cells[key][0] for cells in drawn]
        assert all(cells[key][1] == pytest.approx(width) for cells in drawn)
        assert mean(values) == pytest.approx(true, abs=6 * width / sqrt(DRAWS))
        assert pstdev(values) == pytest.approx(width, rel=6 / sqrt(2 * DRAWS))


def test_what_is_not_published_is_in_other() -> None:
    few = {(f"/only-{number}", ""): 2 for number in range(400)} | {(OTHER, ""): 50}
    (cells,) = dp.release(plan(), [few], [("/", "")])
    assert [key for key, _, _ in cells] == [("/", ""), (OTHER, "")]
    assert cells[1][1] == pytest.approx(850, abs=6 * cells[1][2])


def test_a_key_of_one_browser_is_hardly_ever_published() -> None:
    """At a chance of 1e-3 a key, 4000 keys of one browser each show about 4 at most; a threshold off by three noise
    widths would show hundreds.
    """
    loose = dp.Plan(STATISTICS["pages"], 10.0, 1e-3, open_ended=True)
    alone = {(f"/{number}", ""): loose.terms(folded=False).cut + 1 for number in range(DRAWS)}
    (cells,) = dp.release(loose, [alone], [])
    assert len(cells) - 1 <= 25


def test_the_cut_adds_to_the_threshold_and_takes_nothing_from_what_is_shown() -> None:
    """Keys at the cut are never shown, however often noise is drawn; common ones keep their value and their noise."""
    loose = dp.Plan(STATISTICS["pages"], 10.0, 0.5, open_ended=True)
    cut = loose.terms(folded=False).cut
    assert cut > 0
    assert loose.threshold(("/rare", "")) - cut == pytest.approx(1 + 10 * sqrt(2) * sqrt(2 * log(2)))
    tables = [{("/rare", ""): cut, ("/common", ""): 500}] * DRAWS
    drawn = [{key: value for key, value, _ in cells} for cells in dp.release(loose, tables, [])]
    assert not any(("/rare", "") in cells for cells in drawn)
    assert mean(cells["/common", ""] for cells in drawn) == pytest.approx(500, abs=6 * 10 * sqrt(2) / sqrt(DRAWS))
    assert mean(cells[OTHER, ""] for cells in drawn) == pytest.approx(
        cut, abs=6 * 10 * sqrt(2) * STATISTICS["pages"].fold / sqrt(DRAWS)
    )


def test_noise_is_drawn_anew() -> None:
    periods = [Period(DAY, DAY, {("views", ("", "")): 100})] * 50
    values = [cells[1].value for cells in protect(RULES, "beacons", "daily", periods)]
    assert len(set(values)) > 10


def test_declared_keys_are_published_whatever_their_count() -> None:
    (cells,) = protect(RULES, "beacons", "breakdown", [Period(DAY, DAY, {})])
    keys = {(cell.statistic.name, cell.key) for cell in cells}
    assert {("pages", ("/contact", "")), ("goals", ("enquiry", "")), ("countries", ("GB", ""))} <= keys
    assert ("outbound", (OTHER, "")) in keys


def test_a_log_spends_nothing_on_what_it_cannot_know() -> None:
    (cells,) = protect(RULES, "logs", "breakdown", [Period(DAY, DAY, {})])
    assert {"countries", "languages"}.isdisjoint(cell.statistic.name for cell in cells)
    assert sigmas(Protection(), "logs")["pages"] < sigmas(Protection(), "beacons")["pages"]


def spent(statistic: Statistic, declared: int, folded: int, strange: int, strange_folded: int, other: int) -> float:
    """The squared change of everything that is released, in units of sigma, when a browser-day adds 1 to so many
    declared cells, 1 each into one declared folded cell, into as many undeclared cells, one undeclared folded cell, and
    straight into "(other)".
    """
    wide = statistic.fold**2
    looked_at_for_the_threshold = strange / 2 + strange_folded**2 / (2 * wide)
    left_in_other = (strange + strange_folded + other) ** 2 / (2 * wide)
    return declared + folded**2 / wide + looked_at_for_the_threshold + left_in_other


@pytest.mark.parametrize("name", [*("pages", "goals", "entries", "sources", "campaigns", "funnels"), *sorted(CROSSED)])
def test_statement_3_undeclared_keys_cost_no_more_than_declared_ones(name: str) -> None:
    statistic = STATISTICS[name]
    worst = max(
        spent(statistic, *parts)
        for parts in product(range(statistic.keys_touched + 1), repeat=5)
        if sum(parts) <= statistic.keys_touched
    )
    assert worst == pytest.approx(statistic.l2**2)


TOTALS: dict[tuple[str, tuple[str, str]], int] = {
    ("visitors", ("", "")): 1,
    ("views", ("", "")): 6,
    ("visits", ("", "")): 3,
    ("bounces", ("", "")): 3,
}


def score(cells: list[SafeCell]) -> float:
    """What an attacker would look at: each total weighed by what the browser adds, in units of its noise."""
    return sum(TOTALS.get((cell.statistic.name, cell.key), 0) * cell.value / cell.sigma**2 for cell in cells)


def lower_bound_on_epsilon(counts: dict[tuple[str, tuple[str, str]], int], draws: int = 2000) -> float:
    """The best log-likelihood ratio of tail events with and without one browser-day, through `protect` itself.

    Cut points are chosen on the first half of the draws, events counted on the second, less five standard errors.
    """
    rules = SiteRules("kent", protection=Protection(epsilon=2.0))
    without, within = (
        [score(cells) for cells in protect(rules, "beacons", "daily", [Period(DAY, DAY, added)] * draws)]
        for added in ({}, counts)
    )
    best = 0.0
    for cut in sorted(within[: draws // 2])[:: draws // 40]:
        rare, often = (sum(value >= cut for value in scores[draws // 2 :]) for scores in (without, within))
        low = often - 5 * sqrt(often + 1)
        if low > 0:
            best = max(best, log(low / (rare + 5 * sqrt(rare + 1))))
    return best


@pytest.mark.slow
def test_the_claim_holds_and_a_broken_bound_would_be_caught() -> None:
    assert lower_bound_on_epsilon(TOTALS) <= 2.0
    # Twenty times as much is so far off that chance cannot hide it, which at ten times it could.
    assert lower_bound_on_epsilon({key: 20 * count for key, count in TOTALS.items()}) > 2.0


def test_the_factor_in_the_guarantee_is_e_to_the_epsilon() -> None:
    assert exp(Protection().epsilon) == pytest.approx(7.39, abs=0.01)
