"""The release clock: when a local day is over for good, and how many days a breakdown covers."""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Iterable, Iterator
from datetime import date, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from anonymiser.settings import Grain

DAY: Final = timedelta(days=1)
# Facts of 23:59 may wait five minutes to be mixed, and their segment is closed when its hour ends.
SETTLING: Final = timedelta(hours=2)
DAILY_FROM: Final = 2_000
WEEKLY_FROM: Final = 100
LOOK_BACK: Final = 28


def last_closed(now: datetime, zone: ZoneInfo) -> date:
    """The newest local day of which nothing more can come."""
    return (now - SETTLING).astimezone(zone).date() - DAY


def days(first: date, last: date) -> Iterator[date]:
    """Every day from `first` to `last`, both counted."""
    while first <= last:
        yield first
        first += DAY


def stretches(found: Iterable[date], apart: int) -> Iterator[tuple[date, date]]:
    """The first and the last day of each group of days in which neighbours are at most `apart` days from each other."""
    first = last = None
    for day in sorted(found):
        if first is None or last is None:
            first = day
        elif (day - last).days > apart:
            yield first, last
            first = day
        last = day
    if first is not None and last is not None:
        yield first, last


def grain(visitors: float | None, asked: Grain | None) -> Grain:
    """How long a breakdown's period is: as the site asks, else by its released daily visitors."""
    if asked:
        return asked
    if visitors is None or visitors < WEEKLY_FROM:
        return "month"
    return "day" if visitors >= DAILY_FROM else "week"


def is_wide(visitors: float | None, asked: bool) -> bool:
    """Whether a day has the wide set of statistics: where the site asks, else by its released daily visitors."""
    return asked or (visitors is not None and visitors >= DAILY_FROM)


def periods(first: date, last: date, grain: Grain, *, whole: bool) -> Iterator[tuple[date, date]]:
    """The periods from `first` on that are over by `last`: ISO weeks or calendar months, the first one cut to begin
    with `first`. Unless they must be `whole`, the days left over at the end are a period of their own.
    """
    while first <= last:
        end = _end(first, grain)
        if end > last and whole:
            return
        yield first, min(end, last)
        first = end + DAY


def _end(first: date, grain: Grain) -> date:
    if grain == "day":
        return first
    if grain == "week":
        return first + timedelta(days=6 - first.weekday())
    return first.replace(day=monthrange(first.year, first.month)[1])
