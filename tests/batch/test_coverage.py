"""Which days of an input are released, and the reasons of the others."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anonymiser import coverage
from anonymiser.errors import ReleaseConflict

DAY = timedelta(days=1)
MONDAY = date(2026, 11, 2)


def left_out(visitors: dict[str, int], answered: set[date] | None = None, closed: date | None = None) -> dict[str, str]:
    return coverage.left_out(visitors, answered or set(), fewest=10, closed=closed)


def test_every_day_of_a_plain_log_is_released() -> None:
    assert left_out({"2026-11-02": 1, "2026-11-05": 1}) == {}
    assert left_out({}) == {}


def test_released_days_are_late() -> None:
    assert left_out({"2026-11-02": 5, "2026-11-03": 5}, {MONDAY}) == {"2026-11-02": "late"}


@pytest.mark.parametrize(("closed", "open_days"), [(MONDAY + 9 * DAY, 1), (MONDAY + DAY, 1), (MONDAY, 2)])
def test_the_last_day_waits_and_so_does_what_is_not_over(closed: date, open_days: int) -> None:
    days = {(MONDAY + n * DAY).isoformat(): 50 for n in range(3)}
    assert list(left_out(days, closed=closed).values()) == ["open-day"] * open_days


def test_a_stray_line_is_not_the_last_day() -> None:
    days = {"2026-11-02": 50, "2026-11-03": 50, "2028-11-03": 1}
    assert left_out(days, closed=date(2030, 1, 1)) == {"2028-11-03": "stray-day", "2026-11-03": "open-day"}


@pytest.mark.parametrize(
    ("visitors", "answered", "stray"),
    [
        ({"1996-01-01": 1, "2026-11-02": 2}, set(), ["1996-01-01"]),
        ({"1996-01-01": 30, "2026-11-02": 2}, set(), ["2026-11-02"]),
        ({"1996-01-01": 30, "2026-11-02": 40}, set(), []),
        ({"2025-12-01": 1, "2026-11-02": 2}, set(), []),  # less than a year away
        ({"1996-01-01": 1}, set(), []),  # all there is
        ({"1996-01-01": 1}, {MONDAY}, []),
        ({"1996-01-01": 1, "2026-11-02": 1}, {MONDAY}, ["1996-01-01"]),  # also when nothing else is new
        ({"1996-01-01": 1, "1996-12-01": 1}, {date(1996, 1, 3), MONDAY}, []),
        ({"0001-01-01 (BC)": 1, "10000-01-01": 1, "0206-01-01": 1, "2026-11-02": 1}, set(), None),
    ],
)
def test_few_visitors_far_from_all_others_are_astray(
    visitors: dict[str, int], answered: set[date], stray: list[str] | None
) -> None:
    expected = [day for day in visitors if day != "2026-11-02"] if stray is None else stray
    found = left_out(visitors, answered)
    assert sorted(day for day, reason in found.items() if reason == "stray-day") == sorted(expected)


def test_empty_days_are_released_but_holes_stay_open() -> None:
    held = {MONDAY, MONDAY + 7 * DAY, MONDAY + 15 * DAY}
    found = list(coverage.days(held, set()))
    assert found == [*(MONDAY + n * DAY for n in range(8)), MONDAY + 15 * DAY]
    assert MONDAY + 3 * DAY not in set(coverage.days(held, {MONDAY + 3 * DAY}))


DATES = st.dates(date(2020, 1, 1), date(2024, 1, 1))


@given(held=st.sets(DATES), answered=st.sets(DATES))
def test_no_day_is_answered_twice_and_none_is_forgotten(held: set[date], answered: set[date]) -> None:
    found = list(coverage.days(held, answered))
    assert len(found) == len(set(found))
    assert not set(found) & answered
    assert held - answered <= set(found)


def test_a_refusal_names_the_days_and_the_remedy() -> None:
    late = {"2026-11-02": "late", "2026-11-03": "late", "2026-11-09": "late", "1996-01-01": "stray-day"}
    with pytest.raises(ReleaseConflict, match=r"2026-11-02 to 2026-11-03, 2026-11-09 are .*--skip-released"):
        coverage.refuse_late("shop", late)
    coverage.refuse_late("shop", {"1996-01-01": "stray-day"})
