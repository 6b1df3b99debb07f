"""The released daily totals of one site as sums over days, and as the points of a line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date, timedelta
from typing import Final

from anonymiser.stats import Statistics
from consent_app.dashboard.charts import Point
from consent_app.dashboard.figures import Estimate, total
from consent_app.dashboard.periods import DAY, Period, custom, short

COUNTS: Final = ("views", "visitors", "visits", "bounces")
GRAINS: Final = ((1, "day"), (7, "week"), (28, "four weeks"))
FEWEST_POINTS: Final = 4
MOST_POINTS: Final = 62
Block = tuple[date, date]


def grains(days: int) -> list[tuple[int, str]]:
    """The block sizes in which a line over `days` days has neither too few points nor too many, finest first.

    Blocks are of equal length (not calendar months), so that every point is equally sure.
    """
    fitting = [(size, name) for size, name in GRAINS if FEWEST_POINTS * size <= days <= MOST_POINTS * size]
    return fitting or [GRAINS[0] if days < FEWEST_POINTS else GRAINS[-1]]


class Series:
    """The daily totals of `site` on the days of some periods, each read once."""

    def __init__(self, statistics: Statistics, site: str, periods: Iterable[Period]) -> None:
        self._statistics = statistics
        self._site = site
        self._days: dict[date, dict[str, Estimate]] = {}
        self._visitors: dict[Block, tuple[Estimate, bool]] = {}
        released = statistics.totals(site)
        for period in periods:
            for day in (period.start + n * DAY for n in range(period.days)):
                if day in released and day not in self._days:
                    self._days[day] = {metric: Estimate(*figure) for metric, figure in released[day].items()}

    def released(self, period: Period) -> list[date]:
        """The days of the period that have been released, in order."""
        days = (period.start + n * DAY for n in range(period.days))
        return [day for day in days if day in self._days]

    def covers(self, period: Period) -> bool:
        """Whether every day of the period is released."""
        return all(period.start + n * DAY in self._days for n in range(period.days))

    def sum(self, metric: str, start: date, end: date) -> Estimate | None:
        """The sum over the days that are released, or different visitors of all of them; None when there is none."""
        if metric == "visitors" and start != end:
            return self.visitors(start, end)[0]
        days = (self._days[day] for day in self.released(custom(start, end)))
        parts = [figures[metric] for figures in days if metric in figures]
        return total(parts) if parts else None

    def visitors(self, start: date, end: date) -> tuple[Estimate, bool]:
        """Visitors of a range of days, and whether they are only visitor-days."""
        if (start, end) not in self._visitors:
            figure = self._statistics.visitors(self._site, start, end)
            self._visitors[start, end] = Estimate(figure.value, figure.sigma), figure.is_visitor_days
        return self._visitors[start, end]

    def are_visitor_days(self, parts: Iterable[Block]) -> bool:
        """Whether visitors of any of these blocks count once on each of their days."""
        return any(self.visitors(start, end)[1] for start, end in parts if start != end)

    def value(self, metric: str, start: date, end: date) -> Estimate | None:
        """The figure of a block of days; None unless every one of them is released."""
        return self.sum(metric, start, end) if self.covers(custom(start, end)) else None

    def points(self, metric: str, parts: Iterable[Block]) -> list[Point]:
        """One point for each block of days."""
        return [Point(start, end, self.value(metric, start, end)) for start, end in parts]


def blocks(start: date, end: date, size: int) -> list[Block]:
    """The days in blocks of `size`, counted back from the last; the first may be shorter."""
    return sorted(_backwards(start, end, timedelta(days=size)))


def equal(parts: list[Block]) -> list[Block]:
    """The blocks without a shorter first one, which a line would show as a fall."""
    if len(parts) > 1 and parts[0][1] - parts[0][0] < parts[1][1] - parts[1][0]:
        return parts[1:]
    return parts


def _backwards(start: date, end: date, size: timedelta) -> Iterator[Block]:
    while end >= start:
        yield max(start, end - size + DAY), end
        end -= size


def axis_labels(parts: list[Block]) -> list[str]:
    """Short names of the blocks for the axis; the year stands where it changes."""
    names, year = [], parts[0][0].year if parts else 0
    for start, _ in parts:
        names.append(short(start) if start.year == year else f"{short(start)} {start.year}")
        year = start.year
    return names
