"""Released values are shown no more exactly than they are known."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consent_app.dashboard.figures import Z95, Estimate, change, count, limit, share, share_change, step, total


@pytest.mark.parametrize(
    ("value", "margin", "text", "shown"),
    [
        (7184, 203, "7,180", "200"),
        (686, 77, "690", "80"),
        (240.4, 19.6, "240", "20"),
        (1_234_567, 12_300, "1,235,000", "12,000"),
        (84, 22.4, "84", "22"),
        (12, 0.4, "12", "1"),
    ],
)
def test_a_count_is_rounded_to_what_is_known(value: float, margin: float, text: str, shown: str) -> None:
    figure = count(Estimate(value, margin / Z95))
    assert (figure.text, figure.margin, figure.limit) == (text, shown, False)


@pytest.mark.parametrize(("value", "expected"), [(7, 30), (-15, 30), (-400, 30), (0, 30), (22, 50)])
def test_a_figure_smaller_than_its_noise_is_only_an_upper_limit(value: float, expected: int) -> None:
    figure = count(Estimate(value, 22.4 / Z95))
    assert figure.limit
    assert figure.text == f"fewer than about {expected}"
    assert figure.margin == ""


def test_a_count_without_noise_is_exact_and_has_no_margin() -> None:
    assert count(Estimate(1230, 0)) == count(Estimate(1230.0, 0))
    assert (count(Estimate(1230, 0)).text, count(Estimate(1230, 0)).margin) == ("1,230", "")


@given(st.floats(-1e6, 1e9), st.floats(0, 1e6))
def test_no_count_is_negative_or_more_exact_than_a_tenth_of_its_margin(value: float, sigma: float) -> None:
    estimate = Estimate(value, sigma)
    figure = count(estimate)
    assert "-" not in figure.text
    if not figure.limit and estimate.margin >= 1:
        place = step(estimate.margin)
        assert int(figure.text.replace(",", "")) % place == 0
        assert place > estimate.margin / 36
        assert abs(int(figure.text.replace(",", "")) - value) <= place / 2 + 1e-6


@given(st.floats(-1e6, 1e6), st.floats(0.01, 1e6))
def test_an_upper_limit_is_never_below_the_interval(value: float, sigma: float) -> None:
    assert limit(Estimate(value, sigma)) >= value + Z95 * sigma - 1e-6


def test_independent_noise_adds_in_squares() -> None:
    assert total([Estimate(10, 3), Estimate(20, 4)]) == Estimate(30, 5)


def test_a_change_within_the_noise_is_no_change() -> None:
    assert change(Estimate(1010, 20), Estimate(1000, 20)).direction == "level"
    assert change(Estimate(1057, 20), Estimate(1000, 20)).text == "no clear change"  # else: up 6% ± 6
    assert change(Estimate(1100, 20), Estimate(1000, 20)).text == "up 10% ± 6"
    assert change(Estimate(500, 20), Estimate(1000, 20)).text == "down 50% ± 4"


def test_a_change_from_next_to_nothing_has_no_percentage() -> None:
    assert change(Estimate(900, 20), Estimate(5, 20)).text == "up from fewer than about 50"


def test_a_share_carries_the_noise_of_both_counts() -> None:
    rate = share(Estimate(420, 20), Estimate(1000, 20))
    assert rate is not None
    assert (rate.text, rate.margin) == ("42%", "4")
    assert share(Estimate(4, 20), Estimate(10, 20)) is None


@pytest.mark.parametrize(("part", "text"), [(-30, "less than about 1%"), (5, "less than about 2%"), (20, "2%")])
def test_a_share_smaller_than_its_noise_is_only_an_upper_limit(part: float, text: str) -> None:
    rate = share(Estimate(part, 5), Estimate(1000, 20))
    assert rate is not None
    assert (rate.text, rate.limit) == (text, part < 20)


def test_a_share_moves_only_when_the_noise_cannot_have_moved_it() -> None:
    whole = Estimate(1000, 5)
    before = (Estimate(400, 5), whole)
    moves = [share_change((Estimate(part, 5), whole), before) for part in (410, 500, 300)]
    assert [move and (move.direction, move.text) for move in moves] == [
        ("level", "no clear change"),
        ("up", "up 10 points ± 2"),
        ("down", "down 10 points ± 1"),
    ]
    assert share_change((Estimate(4, 20), Estimate(10, 20)), before) is None
