"""When a day is over, and how long a breakdown's period is."""

from __future__ import annotations

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest

from anonymiser import clock
from anonymiser.settings import Grain

LONDON = ZoneInfo("Europe/London")


@pytest.mark.parametrize(
    ("now", "newest"),
    [
        ("2026-11-24T01:59", "2026-11-22"),
        ("2026-11-24T02:00", "2026-11-23"),
        ("2026-03-29T03:30", "2026-03-28"),  # clocks went forward at 01:00 UTC
        ("2026-10-25T00:59", "2026-10-23"),  # 25 October began at 23:00 UTC
        ("2026-10-25T01:00", "2026-10-24"),
        ("2026-10-26T01:59", "2026-10-24"),  # 26 October at midnight UTC
        ("2026-07-01T00:59", "2026-06-29"),
        ("2026-07-01T01:00", "2026-06-30"),
    ],
)
def test_a_day_closes_two_hours_after_the_sites_midnight(now: str, newest: str) -> None:
    moment = datetime.fromisoformat(now).replace(tzinfo=UTC)
    assert clock.last_closed(moment, LONDON) == date.fromisoformat(newest)


@pytest.mark.parametrize(
    ("visitors", "grain"),
    [(None, "month"), (-4.0, "month"), (99.9, "month"), (100, "week"), (1999.0, "week"), (2000, "day")],
)
def test_few_visitors_make_long_periods(visitors: float | None, grain: Grain) -> None:
    assert clock.grain(visitors, None) == grain
    assert clock.grain(visitors, "day") == "day"


def spans(first: str, last: str, grain: Grain, *, whole: bool) -> list[str]:
    found = clock.periods(date.fromisoformat(first), date.fromisoformat(last), grain, whole=whole)
    return [f"{start:%m%d}-{end:%m%d}" for start, end in found]


def test_weeks_end_on_sunday_and_the_first_is_cut() -> None:
    assert spans("2026-11-05", "2026-11-17", "week", whole=True) == ["1105-1108", "1109-1115"]
    assert spans("2026-11-05", "2026-11-17", "week", whole=False) == ["1105-1108", "1109-1115", "1116-1117"]


def test_months_and_days() -> None:
    assert spans("2028-02-10", "2028-03-31", "month", whole=True) == ["0210-0229", "0301-0331"]
    assert spans("2026-11-05", "2026-11-07", "day", whole=True) == ["1105-1105", "1106-1106", "1107-1107"]
    assert spans("2026-11-05", "2026-11-04", "day", whole=False) == []


def test_no_day_is_in_two_periods_or_in_none() -> None:
    for grain in ("day", "week", "month"):
        first, last = date(2026, 1, 7), date(2026, 12, 30)
        covered = [d for start, end in clock.periods(first, last, grain, whole=False) for d in clock.days(start, end)]
        assert covered == list(clock.days(first, last))


def test_days_that_lie_together_are_one_stretch() -> None:
    days = [date(2026, 1, d) for d in (9, 1, 2, 5, 2)]
    assert list(clock.stretches(days, 1)) == [(days[1], days[2]), (days[3], days[3]), (days[0], days[0])]
    assert list(clock.stretches(days, 3)) == [(days[1], days[3]), (days[0], days[0])]
    assert list(clock.stretches(days, 4)) == [(days[1], days[0])]
    assert list(clock.stretches([], 4)) == []
