"""What the cards are: their tabs, each with the released statistic behind it and what a click on a row filters by."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from anonymiser.bounds import ENGAGED, SCROLLED

Shape = Literal["rows", "ordered", "rate", "funnel", "never"]


@dataclass(frozen=True, slots=True)
class Tab:
    """One tab: rows of `statistic` by its first or second key; `dimension` is what a row filters by, "" for nothing.

    `ordered` rows keep the order of `labels`, `rate` ones have a share of all visitor-days, a `funnel` has steps. Of
    what is `never` released `note` says why.
    """

    name: str
    title: str
    statistic: str
    column: str
    dimension: str = ""
    second: bool = False
    shape: Shape = "rows"
    labels: Mapping[str, str] | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Kind:
    """A card and its tabs; the first is shown unless the address names another."""

    name: str
    title: str
    tabs: tuple[Tab, ...]

    def chosen(self, names: Iterable[str]) -> Tab:
        """The tab that these names ask for."""
        by_name = {tab.name: tab for tab in self.tabs}
        return next((by_name[name] for name in names if name in by_name), self.tabs[0])


HOURS: Final = {f"{hour:02}": f"{hour:02}:00" for hour in range(24)}
GAPS: Final = {
    "first": "New, or over a year ago", "more": "Over a year ago", "181-365": "181 to 365 days ago",
    "91-180": "91 to 180 days ago", "61-90": "61 to 90 days ago", "32-60": "32 to 60 days ago",
    **{str(day): f"{day} days ago" if day > 1 else "The day before" for day in range(31, 0, -1)},
}  # fmt: skip
SCREENS: Final = {"small": "Small, such as phones", "medium": "Medium", "large": "Large", "wide": "Wide"}
TERMS: Final = (
    "Search engines have not told which words were searched for since 2011. What visitors search for on your own site "
    "is among the goals."
)
CARDS: Final = (
    Kind("sources", "Sources", (
        Tab("channels", "Channels", "sources", "Channel", "channel", second=True),
        Tab("sources", "Sources", "sources", "Source", "source"),
        Tab("campaigns", "Campaigns", "campaigns", "Campaign", "campaign"),
        Tab("terms", "Search terms", "", "Term", shape="never", note=TERMS),
    )),
    Kind("pages", "Pages", (
        Tab("pages", "Top", "pages", "Page", "page"),
        Tab("entries", "Entry", "entries", "First page of a visit", "entry"),
        Tab("exits", "Exit", "exits", "Last page of a visit", "exit"),
        Tab("not_found", "Not found", "not_found", "Address that does not exist"),
    )),
    Kind("places", "Places", (Tab("countries", "Countries", "countries", "Country", "country"),)),
    Kind("devices", "Devices", (
        Tab("devices", "Device", "devices", "Kind of device", "device"),
        Tab("browsers", "Browser", "browsers", "Browser", "browser"),
        Tab("systems", "System", "browsers", "Operating system", "system", second=True),
        Tab("screens", "Screen", "screens", "Width of the screen", "screen", labels=SCREENS),
        Tab("languages", "Language", "languages", "First language", "language"),
    )),
    Kind("goals", "Goals", (
        Tab("goals", "Conversions", "goals", "Goal", "goal", shape="rate"),
        Tab("goal_sources", "By source", "source_goals", "Source", "source"),
        Tab("funnels", "Funnels", "funnels", "Step", shape="funnel"),
        Tab("outbound", "Links away", "outbound", "Site"),
        Tab("downloads", "Downloads", "downloads", "File"),
        Tab("searches", "Site search", "searches", "Words"),
    )),
    Kind("visits", "Visits", (
        Tab("hours", "Hour", "hours", "Hour of the day", shape="ordered", labels=HOURS),
        Tab("engagement", "Time", "engagement", "Engaged time in a day", shape="ordered",
            labels={str(n): words for n, words in enumerate(ENGAGED, start=1)}),
        Tab("scroll", "Scrolling", "scroll", "Deepest scroll in a day", shape="ordered",
            labels={str(n): words for n, words in enumerate(SCROLLED, start=1)}),
        Tab("returning", "Last visit", "returning", "Active before", shape="ordered", labels=GAPS),
    )),
)  # fmt: skip
TABS: Final = {tab.name: tab for kind in CARDS for tab in kind.tabs if tab.shape != "never"}
