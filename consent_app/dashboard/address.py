"""The address of a view: everything that was chosen stands in it, so that each view can be kept as a bookmark."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from consent_app.dashboard import filters
from consent_app.dashboard.filters import Filter
from consent_app.dashboard.overview import Asked
from consent_app.dashboard.tabs import CARDS, Kind, Tab

Query = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Address:
    """What a page shows, and the queries of the pages that are one choice away from it."""

    asked: Asked

    @property
    def kept(self) -> Query:
        """Everything but the days."""
        usual = Asked(self.asked.period)
        chosen: Query = {"metric": self.asked.metric, "compare": self.asked.comparison}
        found = {name: value for name, value in chosen.items() if value not in (usual.metric, usual.comparison)}
        tabs = _tabs(self.asked.tabs)
        return found | {f.dimension: f.value for f in self.asked.filters} | ({"tab": tabs} if tabs else {})

    @property
    def query(self) -> Query:
        """The page itself."""
        days = self.asked.period.query
        return self.kept if days == {"period": "28d"} else days | self.kept

    def named(self, period: str) -> Query:
        """Other days."""
        return {"period": period} | self.kept

    def dated(self, query: Query) -> Query:
        """The days of that query."""
        return query | self.kept

    def metric(self, metric: str) -> Query:
        """The line of another metric."""
        return Address(replace(self.asked, metric=metric)).query

    def compared(self, comparison: str) -> Query:
        """Against something else."""
        return Address(replace(self.asked, comparison=comparison)).query

    def clicked(self, row: Filter) -> Query:
        """With one more filter, in the place of one of the same dimension; without it if it is there."""
        if row in self.asked.filters:
            return self.without(row)
        others = [f for f in self.asked.filters if f.dimension != row.dimension]
        return self.only([*others[-(filters.MOST - 1) :], row])

    def without(self, chosen: Filter) -> Query:
        """With one filter less."""
        return self.only(f for f in self.asked.filters if f != chosen)

    def only(self, chosen: Iterable[Filter]) -> Query:
        """With these filters and no others."""
        return Address(replace(self.asked, filters=tuple(chosen))).query

    def tab(self, kind: Kind, tab: Tab) -> Query:
        """With another tab of a card in front."""
        names = {each.name for each in kind.tabs}
        others = tuple(name for name in self.asked.tabs if name not in names)
        return Address(replace(self.asked, tabs=(*others, tab.name))).query


def _tabs(names: Iterable[str]) -> list[str]:
    """Those that would not be in front anyway."""
    first = {kind.tabs[0].name for kind in CARDS}
    known = {tab.name for kind in CARDS for tab in kind.tabs}
    return [name for name in dict.fromkeys(names) if name in known - first]
