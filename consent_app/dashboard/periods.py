"""Which days a page shows: named periods that end with the newest day that can be closed, or two dates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

NAMES: Final = {
    "yesterday": "Yesterday",
    "day-before": "Day before",
    "7d": "7 days",
    "28d": "28 days",
    "month": "This month",
    "last-month": "Last month",
    "year": "This year",
    "12m": "12 months",
    "all": "All time",
}
# As in Plausible: D is the newest day, E the one before it; C chooses dates, X compares.
KEYS: Final = {
    "yesterday": "D", "day-before": "E", "7d": "W", "28d": "T", "month": "M", "last-month": "P", "year": "Y",
    "12m": "L", "all": "A",
}  # fmt: skip
DEFAULT: Final = "28d"
BEFORE: Final = "before"
YEAR: Final = "year"
OFF: Final = "off"
COMPARISONS: Final = {BEFORE: "the days before", YEAR: "a year earlier", OFF: "nothing"}
EARLIEST: Final = date(2000, 1, 1)
DAY: Final = timedelta(days=1)


class PeriodError(ValueError):
    """A period or date in the address that cannot be read; the message says what to write instead.

    `field` is the date it is about: "from", "to", or "" for the period's name.
    """

    def __init__(self, message: str, field: str = "") -> None:
        super().__init__(message)
        self.field = field


@dataclass(frozen=True, slots=True)
class Period:
    """Whole local days from `start` to `end`, both counted; `name` is a key of NAMES, or `custom`."""

    name: str
    start: date
    end: date

    @property
    def days(self) -> int:
        """How many days it has."""
        return (self.end - self.start).days + 1

    @property
    def label(self) -> str:
        """Its days in words."""
        return span(self.start, self.end)

    @property
    def query(self) -> dict[str, str]:
        """The address parameters that lead back to it."""
        if self.name == "custom":
            return {"from": self.start.isoformat(), "to": self.end.isoformat()}
        return {"period": self.name}

    def before(self) -> Period | None:
        """The period it is compared with: the month before, or as many days just before; None for all time."""
        if self.name == "all":
            return None
        if self.name in ("month", "last-month"):
            return _month_before(self)
        return custom(self.start - timedelta(days=self.days), self.start - DAY)

    def year_before(self) -> Period | None:
        """The same days of last year: by date for a month, else 52 weeks earlier, on the same weekdays."""
        if self.name == "all":
            return None
        if self.name in ("month", "last-month", "year"):
            return custom(_year_before(self.start), _year_before(self.end))
        return custom(self.start - 364 * DAY, self.end - 364 * DAY)

    def compared(self, comparison: str) -> Period | None:
        """The period it is held against; `comparison` is a key of COMPARISONS."""
        if comparison == OFF:
            return None
        return self.year_before() if comparison == YEAR else self.before()


def custom(start: date, end: date) -> Period:
    """The period from one day to another, both counted."""
    return Period("custom", start, end)


def named(name: str, today: date, first: date | None) -> Period:
    """The period called `name`, seen on the site's local day `today`; `first` is the site's first released day.

    Raises PeriodError for a name that is not one of NAMES.
    """
    yesterday = today - DAY
    starts = {
        "yesterday": yesterday,
        "day-before": yesterday - DAY,
        "7d": today - timedelta(days=7),
        "28d": today - timedelta(days=28),
        "month": today.replace(day=1),
        "last-month": (today.replace(day=1) - DAY).replace(day=1),
        "year": today.replace(month=1, day=1),
        "12m": _year_before(today),
        "all": min(first or yesterday, yesterday),
    }
    if name not in starts:
        raise PeriodError(f"There is no period of that name. Choose one of: {', '.join(NAMES.values())}.")
    if name == "last-month":
        return Period(name, starts[name], today.replace(day=1) - DAY)
    if name == "day-before":
        return Period(name, starts[name], starts[name])
    return Period(name, starts[name], max(starts[name], yesterday))


def asked(arguments: Mapping[str, str], today: date, first: date | None) -> Period:
    """The period that an address asks for; 28 days when it names none.

    Raises PeriodError naming the date that cannot be read, is out of range, or comes in the wrong order.
    """
    if not ("from" in arguments or "to" in arguments):
        return named(arguments.get("period", DEFAULT), today, first)
    start = _date("from", "first day", arguments, today)
    end = _date("to", "last day", arguments, today)
    if start > end:
        raise PeriodError("The first day comes after the last day. Swap them.", "from")
    return custom(start, end)


def _date(field: str, which: str, arguments: Mapping[str, str], today: date) -> date:
    try:
        day = date.fromisoformat(arguments.get(field, "").strip())
    except ValueError as error:
        raise PeriodError(f"The {which} is not a date. Write it like {today.isoformat()}.", field) from error
    if not EARLIEST <= day <= today:
        raise PeriodError(f"The {which} must lie between {EARLIEST.isoformat()} and today, {today.isoformat()}.", field)
    return day


def _month_before(period: Period) -> Period:
    last = period.start - DAY
    first = last.replace(day=1)
    if period.name == "last-month":
        return custom(first, last)
    return custom(first, min(last, first + timedelta(days=period.days - 1)))


def _year_before(today: date) -> date:
    try:
        return today.replace(year=today.year - 1)
    except ValueError:  # 29 February
        return today.replace(year=today.year - 1, day=28)


def short(day: date) -> str:
    """A day as in `2 Nov`."""
    return f"{day.day} {day:%b}"


def long(day: date) -> str:
    """A day as in `Mon 2 Nov 2026`."""
    return f"{day:%a} {day.day} {day:%b} {day.year}"


def span(start: date, end: date) -> str:
    """Two days in as few words as are clear: `2 to 8 Nov 2026`, `26 Oct to 22 Nov 2026`, `Mon 2 Nov 2026`."""
    if start == end:
        return long(start)
    if start.year != end.year:
        return f"{short(start)} {start.year} to {short(end)} {end.year}"
    if start.month != end.month:
        return f"{short(start)} to {short(end)} {end.year}"
    return f"{start.day} to {short(end)} {end.year}"
