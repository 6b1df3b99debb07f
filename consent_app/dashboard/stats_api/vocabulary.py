"""The words of a question: its metrics and dimensions, and which released table holds which dimensions."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

SOURCE: Final = "visit:source"
PAGE: Final = "event:page"
GOAL: Final = "event:goal"
ENTRY: Final = "visit:entry_page"
ENGAGEMENT: Final = "visit:engagement"
VISITOR_DAYS: Final = "visitor_days"

# Of a whole site, and which daily totals each is made of.
TOTALS: Final = {
    "visitors": ("visitors",),
    VISITOR_DAYS: ("visitors",),
    "visits": ("visits",),
    "pageviews": ("views",),
    "bounce_rate": ("bounces", "visits"),
    "views_per_visit": ("views", "visits"),
}
# Of the rows of a breakdown.
RATES: Final = ("percentage", "conversion_rate", "group_conversion_rate")
PARTS: Final = ("visitors", VISITOR_DAYS, *RATES)
METRICS: Final = (*TOTALS, *RATES)
# Plausible's other metrics: why there are no such figures here.
NEVER: Final = {
    "events": "custom events are released as the visitor-days on which a goal was reached, not as a number of events",
    "visit_duration": "how long visits last is released as a histogram of engaged time, not in seconds",
    "time_on_page": "engaged time is released for the whole site, not for each page",
    "scroll_depth": "how far is scrolled is released as a histogram for the whole site, not for each page",
    "average_revenue": "no revenue is counted here",
    "total_revenue": "no revenue is counted here",
}
TIMES: Final = ("time", "time:day", "time:week", "time:month")
HOUR: Final = "time:hour"


@dataclass(frozen=True, slots=True)
class Table:
    """A released breakdown: its statistic, and the dimension of each of its two keys ("" where it has one).

    `several` is a dimension of which one visitor may have several keys on a day: such rows must not be added up. `wide`
    ones are released for sites with many visitors only, or on demand.
    """

    statistic: str
    first: str
    second: str = ""
    several: str = ""
    wide: bool = False

    @property
    def dimensions(self) -> tuple[str, ...]:
        """What its keys are."""
        return (self.first, self.second) if self.second else (self.first,)


TABLES: Final = (
    Table("sources", SOURCE, "visit:channel"),
    Table("pages", PAGE, several=PAGE),
    Table("entries", ENTRY),
    Table("exits", "visit:exit_page"),
    Table("campaigns", "visit:utm_campaign"),
    Table("countries", "visit:country"),
    Table("devices", "visit:device"),
    Table("browsers", "visit:browser", "visit:os"),
    Table("languages", "visit:language"),
    Table("screens", "visit:screen"),
    Table("goals", GOAL, several=GOAL),
    Table("outbound", "event:outbound", several="event:outbound"),
    Table("downloads", "event:download", several="event:download"),
    Table("not_found", "event:not_found", several="event:not_found"),
    Table("searches", "event:search", several="event:search"),
    Table("engagement", ENGAGEMENT),
    Table("scroll", "visit:scroll"),
    Table("funnels", "event:funnel", "event:funnel_step", several="event:funnel_step"),
    Table("hours", "visit:hour"),
    Table("returning", "visit:days_since_last"),
    Table("page_sources", PAGE, SOURCE, several=PAGE, wide=True),
    Table("page_devices", PAGE, "visit:device", several=PAGE, wide=True),
    Table("source_goals", SOURCE, GOAL, several=GOAL, wide=True),
    Table("entry_goals", ENTRY, GOAL, several=GOAL, wide=True),
)
# What a goal's rate within a group is divided by.
DIVISORS: Final = {SOURCE: "sources", ENTRY: "entries"}
DIMENSIONS: Final = tuple(dict.fromkeys(name for table in TABLES for name in table.dimensions))


def table_of(needed: Iterable[str]) -> Table | None:
    """The first table that holds all these dimensions."""
    wanted = {*needed}
    return next((table for table in TABLES if wanted <= {*table.dimensions}), None)


def beside(dimension: str) -> list[str]:
    """The dimensions that some table holds together with this one."""
    others = (name for table in TABLES if dimension in table.dimensions for name in table.dimensions)
    return sorted({*others} - {dimension})
