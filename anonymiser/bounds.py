"""The one table of statistics: what is counted, how much one browser may add on one day, and its share of the budget.

Everything that depends on sensitivities reads this table: `facts` applies the bounds at the door, `sql/` applies
them to logs, `protect` scales its noise by them, and docs/privacy.md prints it. The unit of protection is one
browser on one day at one site (a *browser-day*).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import sqrt
from typing import Final, Literal

Schedule = Literal["daily", "breakdown"]

VIEWS_PER_DAY: Final = 8
PAGES_PER_DAY: Final = 6
VISITS_PER_DAY: Final = 3
EVENTS_PER_DAY: Final = 3
EXIT_VIEWS: Final = 6
FUNNEL_STEPS_PER_DAY: Final = 6
BUCKETS: Final = 8
# A browser-day is in one bucket of each kind, 1 to 8: its engaged time in all, the deepest scroll of its views.
ENGAGED_FROM: Final = (0, 10, 30, 60, 120, 300, 600, 1800)  # seconds
ENGAGED: Final = ("0-9 s", "10-29 s", "30-59 s", "1-2 min", "2-5 min", "5-10 min", "10-30 min", "more than 30 min")
SCROLLED: Final = ("0-12 %", "12-25 %", "25-37 %", "37-50 %", "50-62 %", "62-75 %", "75-87 %", "87-100 %")

OTHER: Final = "(other)"
CUT: Final = 1 / 16  # of the threshold of a key nobody declared: so much must be there before noise is drawn for it
ROUNDING: Final = 5  # counts under the threshold policy are multiples of this
GAP_BUCKETS: Final = (*(str(days) for days in range(1, 32)), "32-60", "61-90", "91-180", "181-365", "more", "first")


@dataclass(frozen=True, slots=True)
class Statistic:
    """One counted statistic.

    `table` and `metric` name its rows in the published file. `l2` and `linf` bound what adding or removing one
    browser-day changes over all cells and in a single cell; `keys_touched` how many cells of one period. `weight`
    is its share of the zCDP budget. `schedule` says whether it is released every day or with the breakdowns.

    `l2` holds while each of the browser's keys stays a cell of its own. Where several may meet in one, in "(other)" or
    under a placeholder such as `/order/:id` (`scrub.is_folded`), that cell's noise must be `fold` times as wide:
    with a views in cells of their own and b in such cells, a + b <= keys_touched, the loss is a + b²/fold², never more
    than l2².

    `crossed` ones have two dimensions. They belong to the wide set of statistics only (`protect.statistics`).
    """

    name: str
    table: str
    metric: str
    keys: tuple[str, ...]
    l2: float
    linf: int
    keys_touched: int
    weight: float
    schedule: Schedule
    catalogue: str
    fold: float = 1.0
    crossed: bool = False

    @property
    def open_ended(self) -> bool:
        """Whether visitors can bring keys that nobody declared; then there is a cell "(other)"."""
        return bool(self.keys) and self.catalogue != "closed"


def _total(name: str, l2: float, weight: float) -> Statistic:
    return Statistic(name, "totals", name, (), l2, int(l2), 1, weight, "daily", "none")


def _daily(name: str, key: str, l2: float, touched: int, weight: float) -> Statistic:
    return Statistic(name, name, "visitors", (key,), l2, 1, touched, weight, "daily", "closed")


def _breakdown(
    name: str, keys: tuple[str, ...], l2: float, linf: int, touched: int, weight: float, catalogue: str
) -> Statistic:
    fold = touched / l2 if linf == 1 and catalogue != "closed" else 1.0
    return Statistic(name, name, "visitors", keys, l2, linf, touched, weight, "breakdown", catalogue, fold)


def _crossed(name: str, keys: tuple[str, str], touched: int, weight: float) -> Statistic:
    l2 = sqrt(touched)
    return Statistic(name, name, "visitors", keys, l2, 1, touched, weight, "breakdown", "pairs", l2, crossed=True)


# The weights (100 in all) bring the figures people read equally close to what is aimed at, for 240 visitors a day,
# rounded: `python bench/utility.py weights` searches them, docs/adr/0010 says what for and what it gave. Views have the
# most because one browser may add six to them, devices little because their cells are large.
# `exits` adds the page left last: each view adds its page and takes the previous one back. When beacons are lost the
# sum no longer telescopes: three of six lost can leave (+3, -3), hence sqrt(18). The other ordinals survive any loss;
# tests/privacy/test_bounds.py tries every subset of a day.
# Folding pages relabels them and can only make such a sum smaller, so `exits` needs no wider noise anywhere.
# `outbound` to `searches`: three texts that differ for the browser ("Chair", "chair") may be one key once scrubbed, so
# one cell may get all three. (`pages` and `goals` avoid that at the door, see `facts`: the price here is small.)
# `engagement` and `scroll`: one chain of buckets a browser-day. A beacon takes back the old bucket and adds a later;
# so each bucket is entered and left once at most, and no cell changes by more than 1, whatever is lost on the way.
# `returning`: without a day, the browser's next active day shows a longer gap, so three cells move.
# The crossed four are bounded by the half that is new each time, a page or a goal of the day: so no pair comes twice,
# whatever its other half. Pairs may meet where the new half is folded, and in "(other)". Their weights come on top of
# the 100: beside them every other statistic has 100 parts of 135, a noise 1.16 times as wide (docs/adr/0014).
STATISTICS: Final[dict[str, Statistic]] = {
    s.name: s
    for s in (
        _total("visitors", 1, 4),
        _total("views", VIEWS_PER_DAY, 21),
        _total("visits", VISITS_PER_DAY, 7),
        _total("bounces", VISITS_PER_DAY, 6),
        _daily("returning", "gap", sqrt(3), 3, 12),
        _daily("hours", "hour", 1, 1, 3),
        _breakdown("pages", ("page",), sqrt(PAGES_PER_DAY), 1, PAGES_PER_DAY, 16, "pages"),
        _breakdown("entries", ("page",), 1, 1, 1, 2, "pages"),
        _breakdown("exits", ("page",), sqrt(18), 3, EXIT_VIEWS, 1, "pages"),
        _breakdown("sources", ("source", "channel"), 1, 1, 1, 5, "sources"),
        _breakdown("campaigns", ("campaign",), 1, 1, 1, 3, "campaigns"),
        _breakdown("countries", ("country",), 1, 1, 1, 1.5, "closed"),
        _breakdown("devices", ("device",), 1, 1, 1, 0.5, "closed"),
        _breakdown("browsers", ("browser", "system"), 1, 1, 1, 0.75, "closed"),
        _breakdown("languages", ("language",), 1, 1, 1, 1.25, "closed"),
        _breakdown("screens", ("screen",), 1, 1, 1, 0.5, "closed"),
        _breakdown("goals", ("goal",), sqrt(EVENTS_PER_DAY), 1, EVENTS_PER_DAY, 5, "goals"),
        _breakdown("outbound", ("domain",), EVENTS_PER_DAY, EVENTS_PER_DAY, EVENTS_PER_DAY, 1.25, "none"),
        _breakdown("downloads", ("file",), EVENTS_PER_DAY, EVENTS_PER_DAY, EVENTS_PER_DAY, 1.25, "none"),
        _breakdown("not_found", ("page",), EVENTS_PER_DAY, EVENTS_PER_DAY, EVENTS_PER_DAY, 1.25, "none"),
        _breakdown("searches", ("term",), EVENTS_PER_DAY, EVENTS_PER_DAY, EVENTS_PER_DAY, 1.25, "none"),
        _breakdown("engagement", ("seconds",), sqrt(BUCKETS), 1, BUCKETS, 3, "closed"),
        _breakdown("scroll", ("depth",), sqrt(BUCKETS), 1, BUCKETS, 1.25, "closed"),
        _breakdown("funnels", ("funnel", "step"), sqrt(FUNNEL_STEPS_PER_DAY), 1, FUNNEL_STEPS_PER_DAY, 1.25, "goals"),
        _crossed("page_sources", ("page", "source"), PAGES_PER_DAY, 8),
        _crossed("page_devices", ("page", "device"), PAGES_PER_DAY, 3),
        _crossed("source_goals", ("source", "goal"), EVENTS_PER_DAY, 12),
        _crossed("entry_goals", ("entry", "goal"), EVENTS_PER_DAY, 12),
    )
}
CROSSED: Final = frozenset(s.name for s in STATISTICS.values() if s.crossed)


def is_wide(shares: Iterable[str]) -> bool:
    """Whether a budget divided among the statistics of these names is that of the wide set."""
    return not CROSSED.isdisjoint(shares)


# Every visitor of a day is in exactly one cell of each of these: their cells are parts of the visitors.
PARTS_OF_VISITORS: Final = frozenset(
    ("returning", "hours", "entries", "exits", "sources", "countries", "devices", "browsers", "languages", "screens")
)

TOTAL_WEIGHT: Final = sum(s.weight for s in STATISTICS.values() if not s.crossed)

# What a web-server log can know: no gap between days, no place, language or screen, nothing a script reports.
LOG_STATISTICS: Final = frozenset(
    (
        *("visitors", "views", "visits", "bounces", "hours", "pages", "entries", "exits", "sources", "campaigns"),
        *("devices", "browsers", "downloads", "not_found", "page_sources", "page_devices"),
    )
)
