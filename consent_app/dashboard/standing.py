"""How a site stands today: whether its figures are late, when the first ones come, and its line in the list."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from anonymiser.stats import Statistics
from consent_app.dashboard import charts, figures
from consent_app.dashboard.cards import first_breakdown
from consent_app.dashboard.figures import Figure
from consent_app.dashboard.periods import DAY, DEFAULT, long, named
from consent_app.dashboard.series import Series, blocks
from consent_app.sites import Site

GRACE: Final = timedelta(hours=6)


@dataclass(frozen=True, slots=True)
class Summary:
    """One line of the site list; `first` is the day of its first figures while there are none."""

    key: str
    name: str
    late: str
    first: str = ""
    spark: charts.LineChart | None = None
    views: Figure | None = None
    visitors: Figure | None = None


@dataclass(frozen=True, slots=True)
class Waiting:
    """When a site without figures will have some, and from when on their absence is a fault."""

    first: str
    breakdown: str
    after: str


def local_day(now: datetime, zone: ZoneInfo) -> date:
    """The day it is at the site."""
    return now.astimezone(zone).date()


def late(newest: date | None, now: datetime, zone: ZoneInfo) -> str:
    """What to say when yesterday's figures are overdue; "" while all is well or nothing was ever released."""
    expected = local_day(now - GRACE, zone) - DAY
    return "" if newest is None or newest >= expected else f"The newest day is {long(newest)}."


def waiting(today: date) -> Waiting:
    """What a site's page says before its first release."""
    return Waiting(long(today + DAY), long(first_breakdown(today)), long(today + 2 * DAY))


def summary(statistics: Statistics, site: Site, now: datetime) -> Summary:
    """The site's line in the list of sites."""
    newest, today = statistics.newest_day(site.key), local_day(now, site.zone)
    if newest is None:
        return Summary(site.key, site.name, "", first=long(today + DAY))
    period = named(DEFAULT, today, None)
    series = Series(statistics, site.key, [period])
    points = series.points("views", blocks(period.start, period.end, 1))
    values = (series.value(metric, period.end, period.end) for metric in ("views", "visitors"))
    views, visitors = (figures.count(value) if value else None for value in values)
    spark = charts.spark(f"{site.name}: views per day, {period.label}", points)
    return Summary(site.key, site.name, late(newest, now, site.zone), "", spark, views, visitors)
