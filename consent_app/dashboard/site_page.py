"""One site for one period, or one card of it in full: from an address to a page, for accounts and for shared links."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final
from urllib.parse import urlencode

from flask import current_app, render_template, request
from flask.typing import ResponseReturnValue

from consent_app.dashboard import filters
from consent_app.dashboard.address import Address, Query
from consent_app.dashboard.cards import Question, Row, whole
from consent_app.dashboard.certainty import certainty
from consent_app.dashboard.consent import ConsentCard, Counts
from consent_app.dashboard.consent import card as consent_card
from consent_app.dashboard.graphs import METRICS, Graph
from consent_app.dashboard.names import called
from consent_app.dashboard.notebook import Note, Notebook, Pages
from consent_app.dashboard.overview import Asked, comparisons, view
from consent_app.dashboard.periods import (
    BEFORE,
    COMPARISONS,
    DEFAULT,
    KEYS,
    NAMES,
    Period,
    PeriodError,
    asked,
    named,
)
from consent_app.dashboard.standing import late, local_day, waiting
from consent_app.dashboard.tabs import TABS, Tab
from consent_app.errors import NotFoundError
from consent_app.rooms import rooms
from consent_app.sites import Site

COUNTS: Final = "consent-counts"
SORTS: Final[Mapping[str, Callable[[Row], Any]]] = {
    "value": lambda row: -row.value,
    "name": lambda row: row.label.lower(),
    "noise": lambda row: row.sigma / row.value if row.value > 0 else float("inf"),
}


@dataclass(frozen=True, slots=True)
class Place:
    """Where a page is reached: `to` makes the address of a site's page out of a query, `table` of a card in full.

    `shared` pages show one site to whoever has the link, and nothing of the house around it.
    """

    to: Callable[[Query], str]
    table: Callable[[str, Query], str]
    shared: bool = False


def site_page(site: Site, place: Place, **more: Any) -> ResponseReturnValue:
    """The site's page: 400 for dates nobody can read, with the usual days in their place."""
    here = rooms()
    now = here.settings.clock()
    today = local_day(now, site.zone)
    span = here.statistics.span(site.key)
    newest = here.statistics.newest_release(site.key)
    common = more | {"site": site, "today": today, "place": place}
    if span is None or newest is None:
        return render_template("dashboard/site.html", **common, waiting=waiting(today))
    question, problem = _asked(today, span[0])
    shown = view(here.statistics, site.key, question, span[0], today)
    page = render_template(
        "dashboard/site.html",
        **common,
        **_choices(question, span[0], problem),
        view=shown,
        consent=_consent(site.key, question),
        notes=_placed(Notebook.of(here.settings, site.key).pages(), shown.graph),
        sure=certainty(newest),
        late=late(here.statistics.newest_day(site.key), now, site.zone),
    )
    return page, 400 if problem else 200


def table_page(site: Site, place: Place, name: str, **more: Any) -> ResponseReturnValue:
    """One card with all its rows, searched and put in order. Raises NotFoundError for a card that is not there."""
    tab, here = TABS.get(name), rooms()
    today = local_day(here.settings.clock(), site.zone)
    span, newest = here.statistics.span(site.key), here.statistics.newest_release(site.key)
    if tab is None or span is None or newest is None:
        raise NotFoundError("there is no such table")
    question, problem = _asked(today, span[0])
    card = whole(Question(here.statistics, site.key, question.period, question.filters, today), tab)
    search, sort = request.args.get("q", "").strip()[:100], request.args.get("sort", "")
    rows = _searched(_sorted(card.rows, sort, tab), search)
    page = render_template(
        "dashboard/table.html",
        **more,
        **_choices(question, span[0], problem),
        site=site,
        today=today,
        place=place,
        card=card,
        rows=rows,
        search=search,
        sort=sort if sort in SORTS else "",
        descending="desc" in request.args,
        sure=certainty(newest),
    )
    return page, 400 if problem else 200


def _consent(site: str, question: Asked) -> ConsentCard | None:
    """The decisions of the days; not beside filters, which are of visits."""
    if question.filters:
        return None
    counts: Counts = current_app.extensions.setdefault(COUNTS, Counts())
    ledger = rooms().ledger
    counts.read(ledger)
    return consent_card(counts, site, question.period, {sha256: day for day, sha256 in ledger.notices()})


def _placed(pages: Pages, graph: Graph | None) -> list[tuple[float, date, Note]]:
    """The notes on days of the line, each with where it stands, in per cent of the width."""
    marks = graph.chart.marks if graph else ()
    dated = [(date.fromisoformat(note.day), note) for note in pages.notes]
    return [(mark.x, day, note) for day, note in dated for mark in marks if mark.start <= day <= mark.end]


def _asked(today: date, first: date) -> tuple[Asked, PeriodError | None]:
    period, problem = _period(request.args, today, first)
    metric, comparison = _choice("metric", METRICS, "views"), _choice("compare", COMPARISONS, BEFORE)
    tabs = tuple(request.args.getlist("tab")[:16])
    return Asked(period, metric, comparison, filters.read(request.args), tabs), problem


def _choices(question: Asked, first: date, problem: PeriodError | None) -> dict[str, Any]:
    """What the pickers at the top need."""
    return {
        "asked": question,
        "address": Address(question),
        "names": NAMES,
        "keys": KEYS,
        "comparisons": {name: COMPARISONS[name] for name in comparisons(question.period, first)},
        "problem": problem,
        "dates": _dates(question.period, problem),
        "called": called,
        "query_text": urlencode(Address(question).query, doseq=True),
    }


def _choice(name: str, choices: Mapping[str, str], usual: str) -> str:
    chosen = request.args.get(name, usual)
    return chosen if chosen in choices else usual


def _period(arguments: Mapping[str, str], today: date, first: date) -> tuple[Period, PeriodError | None]:
    """The period asked for; when it cannot be read, the usual one and what is wrong."""
    try:
        return asked(arguments, today, first), None
    except PeriodError as problem:
        return named(DEFAULT, today, first), problem


def _dates(period: Period, problem: PeriodError | None) -> dict[str, Any]:
    """What stands in the two date fields: what was typed when it was wrong, else the days shown."""
    shown = {"from": period.start.isoformat(), "to": period.end.isoformat()}
    return {name: request.args.get(name, "")[:10] for name in shown} if problem and problem.field else shown


def _sorted(rows: Sequence[Row], sort: str, tab: Tab) -> list[Row]:
    """In the order asked for; "(other)" stays last."""
    by = SORTS.get(sort)
    if by is None:
        return list(rows)
    ordered = sorted((row for row in rows if not row.other), key=by, reverse="desc" in request.args)
    return [*ordered, *(row for row in rows if row.other)]


def _searched(rows: Sequence[Row], search: str) -> list[Row]:
    wanted = search.lower()
    return [row for row in rows if wanted in f"{row.label} {row.detail}".lower()] if wanted else list(rows)
