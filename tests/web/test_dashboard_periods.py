"""Periods are whole local days that end before today; bad dates are refused in words."""

from __future__ import annotations

from datetime import date

import pytest

from consent_app.dashboard.periods import NAMES, Period, PeriodError, asked, custom, named, span

TODAY = date(2026, 11, 23)
FIRST = date(2026, 10, 5)


@pytest.mark.parametrize(
    ("name", "start", "end"),
    [
        ("yesterday", date(2026, 11, 22), date(2026, 11, 22)),
        ("7d", date(2026, 11, 16), date(2026, 11, 22)),
        ("28d", date(2026, 10, 26), date(2026, 11, 22)),
        ("month", date(2026, 11, 1), date(2026, 11, 22)),
        ("last-month", date(2026, 10, 1), date(2026, 10, 31)),
        ("12m", date(2025, 11, 23), date(2026, 11, 22)),
        ("all", FIRST, date(2026, 11, 22)),
    ],
)
def test_named_periods(name: str, start: date, end: date) -> None:
    assert named(name, TODAY, FIRST) == Period(name, start, end)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("today", [date(2026, 1, 1), date(2028, 2, 29), date(2026, 3, 1), date(2026, 12, 31)])
def test_no_period_is_empty_or_upside_down(name: str, today: date) -> None:
    for first in (None, today, date(2024, 2, 29)):
        assert named(name, today, first).days >= 1


@pytest.mark.parametrize(
    ("period", "start", "end"),
    [
        (named("7d", TODAY, None), date(2026, 11, 9), date(2026, 11, 15)),
        (named("yesterday", TODAY, None), date(2026, 11, 21), date(2026, 11, 21)),
        (named("month", TODAY, None), date(2026, 10, 1), date(2026, 10, 22)),
        (named("last-month", TODAY, None), date(2026, 9, 1), date(2026, 9, 30)),
        (named("month", date(2026, 3, 31), None), date(2026, 2, 1), date(2026, 2, 28)),
        (custom(date(2026, 11, 1), date(2026, 11, 10)), date(2026, 10, 22), date(2026, 10, 31)),
    ],
)
def test_the_period_before(period: Period, start: date, end: date) -> None:
    before = period.before()
    assert before is not None
    assert (before.start, before.end) == (start, end)


def test_all_time_is_compared_with_nothing() -> None:
    assert named("all", TODAY, FIRST).before() is None


def test_dates_and_names_are_read_from_the_address() -> None:
    assert asked({}, TODAY, None).name == "28d"
    period = asked({"from": "2026-10-01", "to": "2026-10-31", "period": "7d"}, TODAY, None)
    assert (period.start, period.end, period.query) == (
        date(2026, 10, 1),
        date(2026, 10, 31),
        {"from": "2026-10-01", "to": "2026-10-31"},
    )


@pytest.mark.parametrize(
    ("arguments", "field", "message"),
    [
        ({"from": "31/10/2026", "to": "2026-10-31"}, "from", "first day is not a date"),
        ({"from": "2026-02-30", "to": "2026-10-31"}, "from", "first day is not a date"),
        ({"from": "2026-10-01"}, "to", "last day is not a date"),
        ({"from": "2026-10-31", "to": "2026-10-01"}, "from", "comes after"),
        ({"from": "0001-01-01", "to": "2026-10-01"}, "from", "between 2000-01-01 and today"),
        ({"from": "2026-10-01", "to": "9999-12-31"}, "to", "between 2000-01-01 and today"),
        ({"period": "fortnight"}, "", "no period of that name"),
    ],
)
def test_what_cannot_be_read_is_refused_with_a_remedy(arguments: dict[str, str], field: str, message: str) -> None:
    with pytest.raises(PeriodError, match=message) as refused:
        asked(arguments, TODAY, None)
    assert refused.value.field == field


def test_days_are_written_in_few_words() -> None:
    assert span(date(2026, 11, 2), date(2026, 11, 8)) == "2 to 8 Nov 2026"
    assert span(date(2026, 10, 26), date(2026, 11, 22)) == "26 Oct to 22 Nov 2026"
    assert span(date(2025, 12, 28), date(2026, 1, 3)) == "28 Dec 2025 to 3 Jan 2026"
    assert span(TODAY, TODAY) == "Mon 23 Nov 2026"
