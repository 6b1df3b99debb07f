"""The released daily totals of one site as sums over days, and as the points of a line."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from typing import Final

from anonymiser.stats import Statistics
from consent_app.dashboard.charts import Point
from consent_app.dashboard.figures import Estimate, total
from consent_app.dashboard.periods import DAY, Period, short

COUNTS: Final = ("views", "visitors", "visits", "bounces")
GRAINS: Final = ((1, "day"), (7, "week"), (28, "four weeks"))
FEWEST_POINTS: Final = 4
MOST_POINTS: Final = 62


def grains(days: int) -> list[tuple[int, str]]:
    """The block sizes in which a line over `days` days has neither too few points nor too many, finest first.

    Blocks are of equal length (not calendar months), so that every point is equally sure.
    """
    fitting = [(size, name) for size, name in GRAINS if FEWEST_POINTS * size <= days <= MOST_POINTS * size]
    return fitting or [GRAINS[0] if days < FEWEST_POINTS else GRAINS[-1]]


class Series:
    """The daily totals of `site` from `start` to `end`, read once."""

    def __init__(self, statistics: Statistics, site: str, start: date, end: date) -> None:
        self._statistics = statistics
        self._site = site
        self._days: dict[date, dict[str, Estimate]] = {}
        for row in statistics.daily(site, start, end):
            self._days.setdefault(row.day, {})[row.metric] = Estimate(row.value, row.sigma)

    def released(self, period: Period) -> list[date]:
        """The days of the period that have been released, in order."""
        return sorted(day for day in self._days if period.start <= day <= period.end)

    def sum(self, metric: str, start: date, end: date) -> Estimate | None:
        """The sum over the days that are released; None when there is none. Not for visitors: see `visitors`."""
        parts = [f[metric] for day, f in self._days.items() if start <= day <= end and metric in f]
        return total(parts) if parts else None

    def visitors(self, start: date, end: date) -> tuple[Estimate | None, bool]:
        """Visitors of the whole range, and whether they are only visitor-days."""
        if start == end:
            return self.sum("visitors", start, end), False
        figure = self._statistics.visitors(self._site, start, end)
        return Estimate(figure.value, figure.sigma), figure.is_visitor_days

    def value(self, metric: str, start: date, end: date) -> Estimate | None:
        """The figure of a block of days; None unless every one of them is released."""
        if not all(start + n * DAY in self._days for n in range((end - start).days + 1)):
            return None
        return self.visitors(start, end)[0] if metric == "visitors" else self.sum(metric, start, end)

    def points(self, metric: str, blocks: list[tuple[date, date]]) -> list[Point]:
        """One point for each block of days."""
        return [Point(start, end, self.value(metric, start, end)) for start, end in blocks]


def blocks(start: date, end: date, size: int) -> list[tuple[date, date]]:
    """The days in blocks of `size`, counted back from the last; the first may be shorter."""
    return sorted(_backwards(start, end, timedelta(days=size)))


def equal(parts: list[tuple[date, date]]) -> list[tuple[date, date]]:
    """The blocks without a shorter first one, which a line would show as a fall."""
    if len(parts) > 1 and parts[0][1] - parts[0][0] < parts[1][1] - parts[1][0]:
        return parts[1:]
    return parts


def _backwards(start: date, end: date, size: timedelta) -> Iterator[tuple[date, date]]:
    while end >= start:
        yield max(start, end - size + DAY), end
        end -= size


def axis_labels(parts: list[tuple[date, date]]) -> list[str]:
    """Short names of the blocks for the axis; the year stands where it changes."""
    names, year = [], parts[0][0].year if parts else 0
    for start, _ in parts:
        names.append(short(start) if start.year == year else f"{short(start)} {start.year}")
        year = start.year
    return names
