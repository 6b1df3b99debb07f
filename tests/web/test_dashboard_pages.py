"""The dashboard's pages on the real application, over figures as the batch publishes them."""

from __future__ import annotations

import re
import shutil
import zlib
from datetime import date
from html import unescape
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from anonymiser.stats import Statistics
from consent_app.dashboard.figures import Estimate, count, total
from consent_app.rooms import NAME, Rooms
from consent_app.settings import Settings
from consent_app.users import Role, Users
from tests.released import Shop, write
from tests.web.conftest import Clock

PASSWORD = "correct horse battery"
YESTERDAY = date(2026, 11, 23)
KENT = Shop("kent", 240, date(2025, 9, 1), YESTERDAY)
SURREY = Shop("surrey", 8, date(2026, 10, 20), YESTERDAY, grain="month")
LATE = Shop("defibrental", 1400, date(2026, 1, 1), date(2026, 11, 19), policy="threshold")


@pytest.fixture(scope="module")
def figures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Published figures of three sites; `orders` has none yet."""
    file = tmp_path_factory.mktemp("figures") / "stats.duckdb"
    write(file, [KENT, SURREY, LATE])
    return file


@pytest.fixture
def app(app: Flask, settings: Settings, figures: Path) -> Flask:
    """The application with those figures."""
    shutil.copy(figures, settings.stats_file)
    return app


@pytest.fixture
def mary(app: Flask) -> FlaskClient:
    """A browser in which somebody who may see every site is signed in."""
    return signed_in(app, "mary", "viewer", ())


def signed_in(app: Flask, name: str, role: Role, sites: tuple[str, ...]) -> FlaskClient:
    users(app).add(name, PASSWORD, role, sites)
    client = app.test_client()
    token = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', client.get("/dashboard/login").text)
    assert token
    answer = client.post("/dashboard/login", data={"csrf_token": token[1], "name": name, "password": PASSWORD})
    assert answer.status_code == 303
    return client


def users(app: Flask) -> Users:
    rooms: Rooms = app.extensions[NAME]
    return rooms.users


def words(client: FlaskClient, address: str, status: int = 200) -> str:
    answer = client.get(address)
    assert answer.status_code == status
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", answer.text)).split())


# -- who may see what -------------------------------------------------------------------------------------------------

SITES = {"kent": "Kent Office Solutions", "surrey": "Surrey Office Solutions", "defibrental": "DefibRental Solutions",
         "orders": "Ordering portal"}  # fmt: skip
ROUTES = ["/dashboard/{}", "/dashboard/{}?period=all", "/dashboard/{}?from=2026-11-01&to=2026-11-07",
          "/dashboard/{}?metric=visitors&compare=year", "/dashboard/{}?from=nonsense"]  # fmt: skip


@pytest.mark.parametrize(
    ("role", "own"),
    [("viewer", "kent"), ("viewer", "surrey"), ("viewer", "orders"), ("admin", "kent"), ("auditor", "defibrental")],
)
def test_an_account_of_one_site_finds_no_other_by_any_route(app: Flask, role: Role, own: str) -> None:
    client = signed_in(app, "sam", role, (own,))
    unknown = words(client, "/dashboard/unknown", 404)
    for key in SITES:
        for route in ROUTES:
            answer = client.get(route.format(key))
            assert (answer.status_code == 404) == (key != own), (route, key)
    assert {words(client, route.format(key), 404) for key in SITES if key != own for route in ROUTES} == {unknown}
    for page in ("/dashboard/", f"/dashboard/{own}"):
        assert [name for key, name in SITES.items() if key != own and name in words(client, page)] == []


def test_an_account_without_a_list_sees_every_site(mary: FlaskClient) -> None:
    assert all(name in words(mary, "/dashboard/") for name in SITES.values())
    assert all(words(mary, f"/dashboard/{key}") for key in SITES)


def test_an_account_for_sites_that_are_gone_sees_an_empty_list(app: Flask) -> None:
    assert "There is no site that you may see yet." in words(signed_in(app, "sam", "viewer", ("gone",)), "/dashboard/")


@pytest.mark.parametrize("route", ["/dashboard/", "/dashboard/kent", "/dashboard/unknown"])
def test_without_signing_in_no_route_says_what_is_there(app: Flask, route: str) -> None:
    answer = app.test_client().get(route)
    assert (answer.status_code, answer.location.partition("?")[0]) == (303, "/dashboard/login")


# -- figures ----------------------------------------------------------------------------------------------------------


def test_headline_figures_are_the_released_ones_rounded_to_what_is_known(mary: FlaskClient, settings: Settings) -> None:
    page = words(mary, "/dashboard/kent")
    with Statistics(settings.stats_file) as statistics:
        rows = statistics.daily("kent", date(2026, 10, 27), YESTERDAY)
        for metric, label in (("views", "Views"), ("visits", "Visits")):
            figure = count(total(Estimate(row.value, row.sigma) for row in rows if row.metric == metric))
            assert f"{label} {figure.text} ± {figure.margin}" in page
        visitors = statistics.visitors("kent", date(2026, 10, 27), YESTERDAY)
        figure = count(Estimate(visitors.value, visitors.sigma))
        assert f"Visitors {figure.text} ± {figure.margin}" in page
    assert re.search(r"Bounce rate \d+% ± \d+", page)


@pytest.mark.parametrize("query", ["", "period=yesterday", "period=12m&metric=visitors", "period=all", "compare=year"])
@pytest.mark.parametrize("site", ["kent", "surrey"])
def test_no_figure_is_shown_more_exact_than_its_margin(mary: FlaskClient, site: str, query: str) -> None:
    page = words(mary, f"/dashboard/{site}?{query}")
    shown = re.findall(r"(\d[\d,]*)%?(?: points)? ± (\d[\d,]*)", page)
    assert len(shown) > 3
    for figure, margin in shown:
        value, wide = (int(text.replace(",", "")) for text in (figure, margin))
        place = 10 ** max(0, len(str(wide)) - 2)  # two digits of a margin at most, and no place beyond them
        assert (value % place, wide % place) == (0, 0), f"{figure} ± {margin}"


def test_a_figure_smaller_than_its_noise_is_an_upper_limit(mary: FlaskClient) -> None:
    page = words(mary, "/dashboard/surrey?from=2026-11-22&to=2026-11-22")
    assert re.search(r"Views fewer than about \d+", page)
    assert "Bounce rate too few to tell" in page


def test_the_threshold_policy_says_that_it_promises_nothing(mary: FlaskClient) -> None:
    page = words(mary, "/dashboard/defibrental?period=all")
    assert "±" not in page
    assert "No noise and no mathematical guarantee. How sure is this?" in page
    assert "fewer than 10 browsers is folded into “(other)”" in page


def test_how_sure_is_this_answers_in_words_and_numbers(mary: FlaskClient) -> None:
    page = words(mary, "/dashboard/kent")
    assert "at most a factor of 7.4 (that is e ε , ε = 2)" in page
    assert "1 in 1,000,000" in page
    assert "One browser adds at most 8 views, 6 different pages and 3 visits a day." in page
    assert "kent-daily-20261123" in page


@pytest.mark.parametrize("metric", ["views", "visitors", "visits"])
def test_every_chart_has_its_table(mary: FlaskClient, metric: str) -> None:
    page = mary.get(f"/dashboard/kent?period=7d&metric={metric}").text
    assert page.count('class="chart"') == page.count('<table class="numbers">') == 1
    rows = re.findall(r'<tr><th scope="row">(.+?)</th>', page)
    assert [row for row in rows if row.endswith("2026")] == [f"{day} Nov 2026" for day in (
        "Tue 17", "Wed 18", "Thu 19", "Fri 20", "Sat 21", "Sun 22", "Mon 23")]  # fmt: skip


def test_visitors_of_a_long_period_are_called_visitor_days_and_those_of_its_weeks_are_not(mary: FlaskClient) -> None:
    page = words(mary, "/dashboard/kent?period=12m&metric=visitors")
    assert "Visitor-days 9" in page
    assert "Visitors per week" in page
    assert "these are visitor-days" in page


def test_gaps_stay_gaps(mary: FlaskClient, settings: Settings) -> None:
    write(settings.stats_file, [Shop("kent", 240, KENT.first, YESTERDAY, missing=frozenset({date(2026, 11, 11)}))])
    page = mary.get("/dashboard/kent?period=28d").text
    assert "27 of these 28 days are released: 27 Oct to 23 Nov 2026, with gaps." in page
    assert page.count('class="line" d="M') == 2 + 1  # two pieces, and the legend
    assert re.search(r"Wed 11 Nov 2026</th><td><span class=\"soft\">not released", page)
    assert "Changes are not known: not all days of 27 Oct to 23 Nov 2026 are released." in page
    weeks = mary.get("/dashboard/kent?period=12m").text
    assert re.search(r"10 to 16 Nov 2026</th><td><span class=\"soft\">not released", weeks)


# -- comparison -------------------------------------------------------------------------------------------------------


def test_figures_are_compared_with_the_days_before_or_a_year_earlier(mary: FlaskClient) -> None:
    page = words(mary, "/dashboard/kent")
    assert "Compared with the days before The days before A year earlier Nothing" in page
    assert "Changes are against 29 Sep to 26 Oct 2026. What is ±?" in page
    page = words(mary, "/dashboard/kent?compare=year")
    assert "Changes are against 28 Oct to 24 Nov 2025. What is ±?" in page
    assert "Views earlier" in page
    page = words(mary, "/dashboard/kent?compare=off")
    assert "Changes are" not in page and "Views earlier" not in page


def test_a_comparison_that_has_no_figures_is_not_offered(mary: FlaskClient) -> None:
    page = words(mary, "/dashboard/surrey")
    assert "Compared with" not in page and "A year earlier" not in page
    assert "Changes are not known: not all days of 29 Sep to 26 Oct 2026 are released." in page


def test_links_keep_what_was_chosen(mary: FlaskClient) -> None:
    links = re.findall(r'href="(/dashboard/[^"]+)"', mary.get("/dashboard/kent?metric=visits&compare=year").text)
    periods = [unescape(link) for link in links if "period=7d" in link]
    assert periods == ["/dashboard/kent?period=7d&metric=visits&compare=year"]
    assert any(unescape(link) == "/dashboard/surrey?period=28d&metric=visits&compare=year" for link in links)


# -- cards ------------------------------------------------------------------------------------------------------------


def test_pages_and_sources_come_with_margins_and_other_last(mary: FlaskClient) -> None:
    page = words(mary, "/dashboard/kent?from=2026-10-26&to=2026-11-22")
    assert re.search(r"Sources Channels .*Pages Top .*/desks/ [\d,]+ ± \d+ .*\(other\) [\d,]+ ± \d+ .*Places", page)
    assert re.search(r"Organic search [\d,]+ ± \d+", page)
    assert re.search(r"\d more, each fewer than about \d+", page)
    page = words(mary, "/dashboard/kent?from=2026-10-26&to=2026-11-22&tab=sources")
    assert re.search(r"Google Organic search [\d,]+ ± \d+", page)


def test_a_card_says_which_days_it_covers_and_offers_the_nearest(mary: FlaskClient) -> None:
    page = words(mary, "/dashboard/kent?from=2026-11-12&to=2026-11-23")
    assert "Of these days, 1 whole week: 16 to 22 Nov 2026." in page
    answer = mary.get("/dashboard/kent?period=yesterday").text
    link = re.search(r'None lies within these days. <a href="([^"]+)">Show 16 to 22 Nov 2026</a>', answer)
    assert link
    assert "/desks/" in words(mary, unescape(link[1]))


def test_texts_from_outside_stay_text(mary: FlaskClient, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.released.PAGES", (("/<script>alert(1)</script>", 30),))
    write(settings.stats_file, [KENT])
    page = mary.get("/dashboard/kent?period=last-month").text
    assert "/&lt;script&gt;alert(1)" in page
    assert "<script>" not in page


# -- what is not there, late or wrong ---------------------------------------------------------------------------------


def test_a_site_without_figures_says_when_they_come(mary: FlaskClient) -> None:
    page = words(mary, "/dashboard/orders")
    assert "Counting. First figures on Wed 25 Nov 2026." in page
    assert "by Tue 1 Dec 2026 at the latest" in page
    assert "Counting. First figures on Wed 25 Nov 2026." in words(mary, "/dashboard/")


def test_without_a_statistics_file_every_site_is_counting(mary: FlaskClient, settings: Settings) -> None:
    settings.stats_file.unlink()
    assert words(mary, "/dashboard/").count("Counting.") == len(SITES)
    assert "Counting." in words(mary, "/dashboard/kent")


def test_late_figures_are_said_to_be_late(mary: FlaskClient) -> None:
    assert "Figures are late. The newest day is Thu 19 Nov 2026." in words(mary, "/dashboard/defibrental")
    assert "The newest day is Thu 19 Nov 2026." in words(mary, "/dashboard/")
    assert "Figures are late" not in words(mary, "/dashboard/kent")


def test_figures_are_late_only_after_six_hours_of_grace(mary: FlaskClient, clock: Clock) -> None:
    clock.forward(hours=17, minutes=44)  # 05:59 on the next day
    mary = signed_in(mary.application, "mary", "viewer", ())
    assert "Figures are late" not in words(mary, "/dashboard/kent")
    clock.forward(minutes=1)
    assert "Figures are late. The newest day is Mon 23 Nov 2026." in words(mary, "/dashboard/kent")


def test_the_first_day_draws_no_line_into_the_past(mary: FlaskClient, settings: Settings) -> None:
    write(settings.stats_file, [Shop("kent", 240, YESTERDAY, YESTERDAY)])
    page = words(mary, "/dashboard/kent")
    assert "1 of these 28 days are released" not in page
    assert "1 of these 28 days is released: Mon 23 Nov 2026." in page
    assert "Counting. Released when a whole week is over" in page


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("from=31/10/2026&to=2026-10-31", "The first day is not a date. Write it like 2026-11-24."),
        ("from=2026-10-01", "The last day is not a date. Write it like 2026-11-24."),
        ("from=2026-11-10&to=2026-11-01", "The first day comes after the last day. Swap them."),
        ("from=2026-11-10&to=2027-01-01", "The last day must lie between 2000-01-01 and today, 2026-11-24."),
        ("period=fortnight", "There is no period of that name. Choose one of: Yesterday"),
    ],
)
def test_bad_dates_are_refused_saying_what_to_write(mary: FlaskClient, query: str, said: str) -> None:
    page = words(mary, f"/dashboard/kent?{query}", 400)
    assert f"{said}" in page
    assert "Shown instead: the last 28 days." in page
    assert page.startswith("Error: Kent Office Solutions")


def test_what_was_typed_is_kept_and_escaped(mary: FlaskClient) -> None:
    page = mary.get('/dashboard/kent?from="><b>&to=2026-11-01').text
    assert 'value="&#34;&gt;&lt;b&gt;"' in page
    assert 'value="2026-11-01"' in page


@pytest.mark.parametrize("query", ["metric=secret", "compare=never", "metric=&compare=", "x=1"])
def test_choices_that_do_not_exist_fall_back(mary: FlaskClient, query: str) -> None:
    assert "Views per day" in words(mary, f"/dashboard/kent?{query}")


def test_a_damaged_statistics_file_is_a_page_that_says_what_to_do(mary: FlaskClient, settings: Settings) -> None:
    settings.stats_file.write_bytes(b"not a database" * 1000)
    for address in ("/dashboard/", "/dashboard/kent"):
        assert "The figures cannot be read right now" in words(mary, address, 503)
        assert "consent verify" in words(mary, address, 503)


def test_pages_need_no_script_and_name_no_other_host(mary: FlaskClient) -> None:
    for address in ("/dashboard/", "/dashboard/kent", "/dashboard/orders", "/dashboard/login"):
        answer = mary.get(address)
        assert "script-src 'self'" in answer.headers["Content-Security-Policy"]
        assert re.findall(r"<script[^>]*>[^<]*", answer.text) == ['<script type="module" src="/static/dashboard.js">']
        assert not re.search(r"<style|\bstyle=|\bon\w+=|https?://", answer.text)


def test_a_page_is_light(root: Path, mary: FlaskClient) -> None:
    """First paint at most 30 KB compressed (design, chapter 7); zlib is a little worse than brotli."""
    static = root / "consent_app" / "static"
    sheets = [
        (static / name).read_bytes() for name in ("tokens.css", "page.css", "dashboard.css", "dashboard.js", "icon.svg")
    ]
    page = mary.get("/dashboard/kent").data
    assert sum(len(zlib.compress(part, 9)) for part in (page, *sheets)) < 30_000
