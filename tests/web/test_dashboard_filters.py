"""Filters, tabs and full tables on the real application: whatever is shown is a sum of what was released."""

from __future__ import annotations

import re
from datetime import date, timedelta
from html import unescape
from pathlib import Path
from random import Random

import pytest
from flask import Flask
from flask.testing import FlaskClient

from anonymiser.bounds import STATISTICS
from anonymiser.publish import publish
from anonymiser.stats import Cell, Release, Statistics
from consent_app.dashboard.cards import SHOWN
from consent_app.dashboard.figures import Estimate, count, total
from consent_app.dashboard.filters import Filter, clicked, read, table_of
from consent_app.dashboard.names import called
from consent_app.dashboard.tabs import CARDS, TABS
from consent_app.demo.history import Past, facts
from consent_app.settings import Settings
from tests.released import Shop, _release, write
from tests.web.test_dashboard_pages import signed_in, words

MONDAY = date(2026, 9, 28)
YESTERDAY = date(2026, 11, 23)
WEEKS = "from=2026-09-28&to=2026-11-22"
SIGMA = 9.0
KENT = Past(
    "kent", 900, tuple((f"/page-{n}", 30 / (n + 1)) for n in range(16)), funnels={"order": 3}, crossed=True
)  # fmt: skip


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight weeks of a site with the statistics of two dimensions, in released form."""
    releases: dict[date, Release] = {}
    sums: dict[tuple[date, int, str, str, str, str], int] = {}
    for day in facts(KENT, MONDAY, YESTERDAY):
        for fact in day:
            when, statistic = date.fromisoformat(fact.day), STATISTICS[fact.statistic]
            daily = statistic.schedule == "daily"
            start, days = (when, 1) if daily else (when - timedelta(days=when.weekday()), 7)
            if start + timedelta(days=days - 1) <= YESTERDAY:
                place = (start, days, statistic.table, fact.key1, fact.key2, statistic.metric)
                sums[place] = sums.get(place, 0) + fact.delta
    shop, chance, cells = Shop("kent", 900, MONDAY, YESTERDAY), Random(4), []
    for (start, days, table, key1, key2, metric), value in sums.items():
        end = start + timedelta(days=days - 1)
        release = releases.setdefault(end if days > 1 else start + timedelta(days=4000), _release(
            shop, start, end, "breakdown" if days > 1 else "daily"))  # fmt: skip
        noisy = value + round(chance.gauss(0, SIGMA))
        cells.append(Cell(release.release_id, "kent", start, days, table, key1, key2, metric, noisy, SIGMA))
    file = tmp_path_factory.mktemp("wide") / "stats.duckdb"
    publish(file, releases.values(), cells)
    return file


@pytest.fixture
def mary(app: Flask, settings: Settings, wide: Path) -> FlaskClient:
    """A browser in which somebody who may see every site is signed in."""
    settings.stats_file.write_bytes(wide.read_bytes())
    return signed_in(app, "mary", "viewer", ())


def rows(client: FlaskClient, address: str, card: str) -> dict[str, str]:
    """The rows of a card as (label, figure)."""
    page = client.get(address)
    assert page.status_code == 200
    body = page.text.partition(f'id="card-{card}"')[2].partition("</section>")[0]
    found = re.findall(r'class="label"[^>]*>([^<]*)<.*?<td>(.*?)</td>', body, re.DOTALL)
    return {unescape(label): " ".join(re.sub("<[^>]+>", " ", figure).split()) for label, figure in found}


def said(value: float, sigma: float) -> str:
    figure = count(Estimate(value, sigma))
    return f"{figure.text} ± {figure.margin}" if figure.margin else figure.text


# -- filters ----------------------------------------------------------------------------------------------------------


ANSWERS = [
    ("page=/page-1", "sources", "page_sources", {"key1": ("/page-1",)}, "key2"),
    ("page=/page-1", "devices", "page_devices", {"key1": ("/page-1",)}, "key2"),
    ("source=Google", "pages", "page_sources", {"key2": ("Google",)}, "key1"),
    ("source=Google", "goals", "source_goals", {"key1": ("Google",)}, "key2"),
    ("device=desktop", "pages", "page_devices", {"key2": ("desktop",)}, "key1"),
    ("goal=enquiry", "sources", "source_goals", {"key2": ("enquiry",)}, "key1"),
    ("goal=enquiry&tab=entries", "pages", "entry_goals", {"key2": ("enquiry",)}, "key1"),
    ("entry=/page-0", "goals", "entry_goals", {"key1": ("/page-0",)}, "key2"),
    ("channel=Search&tab=sources", "sources", "sources", {"key2": ("Search",)}, "key1"),
    ("browser=Chrome&tab=systems", "devices", "browsers", {"key1": ("Chrome",)}, "key2"),
    ("system=Windows&tab=browsers", "devices", "browsers", {"key2": ("Windows",)}, "key1"),
]


def test_a_filter_is_answered_by_the_released_table_of_both(mary: FlaskClient, wide: Path) -> None:
    for query, card, statistic, keys, place in ANSWERS:
        shown = rows(mary, f"/dashboard/kent?{WEEKS}&{query}", card)
        with Statistics(wide) as statistics:
            found = statistics.half("kent", statistic, MONDAY, date(2026, 11, 22), **keys).rows
        expected = {called("device", getattr(row, place)): said(row.value, row.sigma) for row in found}
        assert len(shown) >= 2, query
        assert {label: figure for label, figure in shown.items() if expected.get(label) != figure} == {}, query


def test_the_figure_of_a_filter_is_its_own_sum_over_whole_weeks(mary: FlaskClient, wide: Path) -> None:
    page = words(mary, "/dashboard/kent?period=28d&page=/page-1")
    with Statistics(wide) as statistics:
        found = statistics.periods("kent", "pages", date(2026, 10, 27), YESTERDAY, key1=("/page-1",))
    whole = total(Estimate(float(row.value or 0), row.sigma) for row in found)
    assert len(found) == 3
    assert f"Visitor-days {said(whole.value, whole.sigma)}" in page
    assert "Figures for 3 whole weeks: 2 to 22 Nov 2026." in page
    assert "Visitor-days per week" in page


def test_two_filters_show_their_pair_and_a_third_thing_is_refused_in_words(mary: FlaskClient, wide: Path) -> None:
    address = f"/dashboard/kent?{WEEKS}&page=/page-1&source=Google"
    page = words(mary, address)
    with Statistics(wide) as statistics:
        (pair,) = statistics.half(
            "kent", "page_sources", MONDAY, date(2026, 11, 22), key1=("/page-1",), key2=("Google",)
        ).rows
    assert f"Visitor-days {said(pair.value, pair.sigma)}" in page
    assert "Devices by page and source: these are not released together." not in page
    assert rows(mary, address, "devices") == {}
    assert page.count("are not released together") + page.count("Three things at once are never released") >= 4


def test_a_small_source_is_answered_by_its_group_and_that_is_said(mary: FlaskClient) -> None:
    page = words(mary, f"/dashboard/kent?{WEEKS}&source=Perplexity")
    assert "Perplexity is counted as part of “Other AI assistants”" in page
    group = Filter("channel", "AI assistants")
    assert clicked("source", "Other AI assistants") == group
    assert clicked("source", "Google") == Filter("source", "Google")


def test_a_channel_beside_a_page_is_the_sum_of_its_groups(mary: FlaskClient, wide: Path) -> None:
    shown = rows(mary, f"/dashboard/kent?{WEEKS}&channel=Search", "pages")
    groups = ("Google", "Bing", "DuckDuckGo", "Yahoo", "Other search")
    with Statistics(wide) as statistics:
        found = statistics.half("kent", "page_sources", MONDAY, date(2026, 11, 22), key2=groups).rows
    one = total(Estimate(row.value, row.sigma) for row in found if row.key1 == "/page-0")
    assert shown["/page-0"] == said(one.value, one.sigma)


def test_goals_of_a_page_are_offered_by_landing_page(mary: FlaskClient) -> None:
    page = mary.get(f"/dashboard/kent?{WEEKS}&page=/page-1").text
    link = re.search(r'Goals are released by the page a visit began with, not by each page. <a href="([^"]+)">', page)
    assert link
    assert "enquiry" in rows(mary, unescape(link[1]), "goals")


def test_every_row_leads_to_a_page_and_every_chip_back(mary: FlaskClient) -> None:
    start = f"/dashboard/kent?{WEEKS}"
    page = mary.get(start).text
    links = {unescape(link) for link in re.findall(r'<a class="label" href="([^"]+)"', page)}
    assert len(links) > 15
    for link in sorted(links)[::4]:
        answer = mary.get(link)
        assert answer.status_code == 200, link
        chips = re.findall(r'<a class="chip" href="([^"]+)"', answer.text)
        assert [unescape(chip) for chip in chips] == [start], link


def test_without_pairs_the_card_says_from_when_they_are_released(app: Flask, settings: Settings) -> None:
    write(settings.stats_file, [Shop("kent", 240, date(2026, 9, 1), YESTERDAY)])
    mary = signed_in(app, "mary", "viewer", ())
    page = words(mary, "/dashboard/kent?page=/desks/&source=Google")
    assert "that begins at 2,000 visitors a day, or where the site asks for it" in page
    page = words(mary, "/dashboard/kent?page=/desks/&tab=sources")
    assert "Two things at once are released from 2,000 visitors a day on" in page


def test_filters_nobody_can_have_clicked_are_answered_too(mary: FlaskClient) -> None:
    for query in ("page=/nowhere", "source=%00", "page=(other)", "page=", "goal=" + "x" * 900):
        assert words(mary, f"/dashboard/kent?{WEEKS}&{query}"), query


def test_filters_are_read_strictly() -> None:
    assert read({"page": "/a", "source": "Google", "device": "desktop"}) == (
        Filter("page", "/a"), Filter("source", "Google"))  # fmt: skip
    assert read({"page": "(other)", "colour": "red"}) == ()
    assert table_of("page", "country") is None
    found = table_of("page", "device")
    assert found is not None and found.statistic == "page_devices"


# -- tabs and tables --------------------------------------------------------------------------------------------------


def test_every_tab_has_an_address_of_its_own(mary: FlaskClient) -> None:
    for turn in range(max(len(kind.tabs) for kind in CARDS)):
        asked = [(kind, kind.tabs[turn % len(kind.tabs)]) for kind in CARDS]
        page = mary.get(f"/dashboard/kent?{WEEKS}&" + "&".join(f"tab={tab.name}" for _, tab in asked)).text
        for kind, tab in asked:
            card = page.partition(f'id="card-{kind.name}"')[2].partition("</section>")[0]
            assert 'class="bars' in card or 'class="empty soft"' in card, tab.name
            assert len(kind.tabs) == 1 or f'aria-current="true">{tab.title}</a>' in card


def test_a_card_shows_the_first_rows_and_its_table_all_of_them(mary: FlaskClient) -> None:
    shown = rows(mary, f"/dashboard/kent?{WEEKS}", "pages")
    assert len([label for label in shown if label != "(other)"]) == SHOWN
    page = mary.get(f"/dashboard/kent/table/pages?{WEEKS}").text
    found = re.findall(r'<a class="label" href="[^"]+">(/page-\d+)</a>', page)
    assert len(found) == 16


def test_a_table_can_be_searched_and_put_in_order(mary: FlaskClient) -> None:
    def labels(query: str) -> list[str]:
        page = mary.get(f"/dashboard/kent/table/pages?{WEEKS}&{query}").text
        return re.findall(r'class="label"[^>]*>([^<]+)<', page)

    assert [label for label in labels("sort=name") if label != "(other)"] == sorted(f"/page-{n}" for n in range(16))
    assert labels("sort=name&desc=1")[0] == "/page-9"
    assert labels("sort=name&desc=1")[-1:] in ([["(other)"]], ["(other)"], ["/page-0"])
    assert labels("q=PAGE-1")[0] == "/page-1"
    assert set(labels("q=PAGE-1")) == {"/page-1", *(f"/page-1{n}" for n in range(6))}
    assert "No row has “<b>” in it." in unescape(mary.get("/dashboard/kent/table/pages", query_string={
        "from": "2026-09-28", "to": "2026-11-22", "q": "<b>"}).text)  # fmt: skip
    assert "<b>” in it" not in mary.get("/dashboard/kent/table/pages?q=<b>").text


def test_every_table_opens(mary: FlaskClient) -> None:
    for name in sorted(TABS):
        assert mary.get(f"/dashboard/kent/table/{name}?{WEEKS}").status_code == 200, name
        assert mary.get(f"/dashboard/kent/table/{name}?{WEEKS}&page=/page-1").status_code == 200, name


def test_tables_that_are_not_there_and_tables_of_others(app: Flask, mary: FlaskClient) -> None:
    assert mary.get("/dashboard/kent/table/terms").status_code == 404
    assert mary.get("/dashboard/kent/table/..").status_code == 404
    sam = signed_in(app, "sam", "admin", ("surrey",))
    for route in ("table/pages", "notebook"):
        assert sam.get(f"/dashboard/kent/{route}").status_code == 404


def test_hundreds_of_noisy_rows_do_not_bring_forth_countries(mary: FlaskClient, settings: Settings) -> None:
    chance = Random(1)
    release = _release(Shop("kent", 240, MONDAY, YESTERDAY), MONDAY, date(2026, 10, 4), "breakdown")
    names = [f"{one}{other}" for one in "ABCDEFGHIJKLMNOP" for other in "ABCDEFGHIJKLMNOP"]
    cells = [
        Cell(release.release_id, "kent", MONDAY, 7, "countries", name, "", "visitors", round(chance.gauss(0, 30)), 30.0)
        for name in names
    ]
    publish(settings.stats_file, [release], cells)
    above = [cell for cell in cells if cell.value > 1.96 * 30]
    assert len(above) >= 3
    assert len(rows(mary, "/dashboard/kent?from=2026-09-28&to=2026-10-04", "places")) <= 1
