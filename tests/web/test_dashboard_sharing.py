"""What the house writes beside figures: notes, views, shared links; the consent card; the sum of all sites."""

from __future__ import annotations

import json
import re
import shutil
from datetime import date
from html import unescape
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from anonymiser.stats import Statistics
from consent_app.dashboard.consent import shown
from consent_app.dashboard.figures import Estimate, count, total
from consent_app.dashboard.notebook import Notebook
from consent_app.dashboard.shares import GUESSES_A_MINUTE, PAGES_A_MINUTE
from consent_app.errors import FieldsError
from consent_app.ledger.records import ConsentRecord, RecordedDecision
from consent_app.rooms import NAME, Rooms
from consent_app.settings import Settings
from tests.released import Shop, write
from tests.web.test_dashboard_pages import YESTERDAY, signed_in, words

PAGE = "/dashboard/kent/notebook"


@pytest.fixture(scope="module")
def figures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve weeks of two sites."""
    file = tmp_path_factory.mktemp("figures") / "stats.duckdb"
    write(file, [Shop(key, 240, date(2026, 9, 1), YESTERDAY) for key in ("kent", "surrey")])
    return file


@pytest.fixture
def app(app: Flask, settings: Settings, figures: Path) -> Flask:
    """The application with those figures."""
    shutil.copy(figures, settings.stats_file)
    return app


@pytest.fixture
def anna(app: Flask) -> FlaskClient:
    """An admin of kent."""
    return signed_in(app, "anna", "admin", ("kent",))


def writes(client: FlaskClient, what: str, **form: str) -> tuple[int, str]:
    token = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', client.get(PAGE).text)
    assert token
    answer = client.post(PAGE, data={"csrf_token": token[1], "what": what, **form})
    return answer.status_code, answer.text


def make_link(client: FlaskClient, password: str = "") -> str:
    status, page = writes(client, "share", name="the board", password=password)
    assert status == 200
    link = re.search(r'class="link"><a href="http://[^/]+([^"]+)"', page)
    assert link
    return unescape(link[1])


# -- notes and views --------------------------------------------------------------------------------------------------


def test_a_note_stands_on_its_day_for_everybody_who_sees_the_site(app: Flask, anna: FlaskClient) -> None:
    assert writes(anna, "note", day="2026-11-12", text="The <b>autumn</b> offer began")[0] == 303
    page = signed_in(app, "mary", "viewer", ()).get("/dashboard/kent").text
    assert "Thu 12 Nov 2026</span> The &lt;b&gt;autumn&lt;/b&gt; offer began" in page
    assert page.count('<g class="note"') == 1
    assert '<g class="note"' not in anna.get("/dashboard/kent?period=7d").text


def test_only_an_admin_writes_notes_and_makes_links(app: Flask, anna: FlaskClient, settings: Settings) -> None:
    for role in ("viewer", "auditor"):
        other = signed_in(app, role, role, ("kent",))
        assert "Make a link" not in other.get(PAGE).text
        assert writes(other, "note", day="2026-11-12", text="A note")[0] == 404
        assert writes(other, "share", name="me")[0] == 404
    assert Notebook.of(settings, "kent").pages().notes == ()
    assert anna.post(PAGE, data={"what": "note", "day": "2026-11-12", "text": "no token"}).status_code == 422 or (
        Notebook.of(settings, "kent").pages().notes == ()
    )


def test_a_view_is_one_accounts_own_and_comes_back_as_it_was(app: Flask, anna: FlaskClient) -> None:
    query = "period=12m&compare=year&tab=entries"
    assert writes(anna, "view", name="Landing pages", query=query)[0] == 303
    page = anna.get("/dashboard/kent").text
    assert f'href="/dashboard/kent?{query.replace("&", "&amp;")}">Landing pages</a>' in page
    mary = signed_in(app, "mary", "viewer", ())
    assert "Landing pages" not in mary.get("/dashboard/kent").text
    number = re.search(r'name="id" value="([0-9a-f]{8})"', anna.get(PAGE).text)
    assert number
    writes(mary, "remove", id=number[1])
    assert "Landing pages" in anna.get(PAGE).text
    writes(anna, "remove", id=number[1])
    assert "Landing pages" not in anna.get(PAGE).text


WRONG = [
    ("note", {"day": "12 Nov", "text": "x"}, "The day is not a date"),
    ("note", {"day": "2026-11-12", "text": " "}, "The text must be one line"),
    ("note", {"day": "2026-11-12", "text": "x" * 201}, "The text must be one line"),
    ("view", {"name": "", "query": ""}, "The name must be one line"),
    ("view", {"name": "a", "query": "x\ny"}, "The query is not the end of an address"),
    ("share", {"name": "a", "password": "short"}, "The password must have 10"),
]


def test_what_cannot_be_kept_is_told(anna: FlaskClient) -> None:
    for what, form, said in WRONG:
        status, page = writes(anna, what, **form)
        assert status == 422
        assert said in unescape(page)


def test_the_notebook_is_its_owners_and_holds_no_token(anna: FlaskClient, settings: Settings) -> None:
    link = make_link(anna, "a password of ten")
    file = settings.home / "dashboard" / "kent.json"
    assert file.stat().st_mode & 0o077 == 0
    kept = json.loads(file.read_text("utf-8"))["shares"][0]
    assert link.rpartition("/")[2] not in str(kept)
    assert "a password of ten" not in str(kept)
    with pytest.raises(FieldsError):
        Notebook.of(settings, "kent").add_note("2026-02-30", "x", "anna")


# -- shared links -----------------------------------------------------------------------------------------------------


def test_a_link_shows_one_site_and_nothing_of_the_house(app: Flask, anna: FlaskClient) -> None:
    link = make_link(anna)
    visitor = app.test_client()
    answer = visitor.get(link)
    assert answer.status_code == 200
    assert "Kent Office Solutions" in answer.text and "Views" in answer.text
    assert answer.headers["X-Robots-Tag"] == "noindex, nofollow"
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    inside = set(re.findall(r'href="(/[^"?#]*)', answer.text)) - set(re.findall(r'href="(/static[^"?#]*)', answer.text))
    assert {place.startswith(link) for place in inside} == {True}
    assert "Surrey" not in answer.text and "anna" not in answer.text and "Sign out" not in answer.text
    assert visitor.get(f"{link}/table/pages").status_code == 200
    assert visitor.get(f"{link}?period=12m&page=/desks/").status_code == 200


def test_a_link_opens_no_other_page(app: Flask, anna: FlaskClient) -> None:
    visitor = app.test_client()
    visitor.get(make_link(anna))
    for route in ("", "/", "/kent", "/kent/table/pages", "/kent/notebook", "/kent/export", "/records/"):
        answer = visitor.get(f"/dashboard{route}")
        assert answer.status_code in (303, 308), route
        assert answer.status_code == 308 or "/dashboard/login" in answer.location, route


def test_a_token_of_one_site_opens_no_other(app: Flask, anna: FlaskClient) -> None:
    link = make_link(anna)
    for wrong in (link.replace("kent", "surrey"), link[:-1] + "?", link[:-2] + "xx", link.replace("kent", "nowhere")):
        assert app.test_client().get(wrong).status_code == 404, wrong


def test_a_link_that_was_taken_back_is_closed_at_once(app: Flask, anna: FlaskClient) -> None:
    link = make_link(anna)
    number = re.search(r'name="id" value="([0-9a-f]{8})"', anna.get(PAGE).text)
    assert number
    assert writes(anna, "remove", id=number[1])[0] == 303
    assert app.test_client().get(link).status_code == 404


def test_a_password_is_asked_for_once(app: Flask, anna: FlaskClient) -> None:
    link = make_link(anna, "a password of ten")
    visitor = app.test_client()
    page = visitor.get(link).text
    assert "shared with a password" in page and "Views" not in page
    assert visitor.get(f"{link}/table/pages").status_code == 303
    token = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', page)
    assert token
    assert visitor.post(link, data={"csrf_token": token[1], "password": "another one"}).status_code == 401
    assert visitor.post(link, data={"csrf_token": token[1], "password": "a password of ten"}).status_code == 303
    assert "Views" in visitor.get(link).text
    assert visitor.get("/dashboard/kent").status_code == 303


def test_guessing_is_slow(app: Flask, anna: FlaskClient) -> None:
    link = make_link(anna, "a password of ten")
    visitor = app.test_client()
    answers = [visitor.post(link, data={"password": str(n)}).status_code for n in range(GUESSES_A_MINUTE + 2)]
    assert answers[-1] == 429
    wrong = link[:-2] + "xx"
    assert 429 in [visitor.get(wrong).status_code for _ in range(PAGES_A_MINUTE)]


# -- consent and the sum of sites -------------------------------------------------------------------------------------


def decide(app: Flask, event: str, allowed: bool, times: int, notice: str) -> None:
    rooms: Rooms = app.extensions[NAME]
    basis = "PECR Schedule A1 paragraph 2"
    for number in range(times):
        rooms.ledger.append(
            ConsentRecord(
                site="kent", controller="Kent", notice=notice, notice_effective="2026-11-01", bundle="ab" * 32,
                language="en", method="banner-accept-all", event=event,
                decisions={"statistics": RecordedDecision(allowed, basis)},
                time=f"2026-11-{10 + number % 9:02}T10:00:00Z" if allowed else f"2026-11-{10 + number % 9:02}",
                valid_until="2027-06-01", id=f"{hash((event, number, notice)) & (2**128 - 1):032x}" if allowed else "",
            )
        )  # fmt: skip


def test_decisions_are_counted_by_kind_notice_and_week(app: Flask, anna: FlaskClient) -> None:
    rooms: Rooms = app.extensions[NAME]
    notice = next(site for site in rooms.sites if site.key == "kent").notice.sha256
    decide(app, "given", True, 43, notice)
    decide(app, "refused", False, 12, notice)
    decide(app, "given", True, 4, "cd" * 32)
    page = words(anna, "/dashboard/kent")
    assert "Accepted everything 45 Accepted a part fewer than 10 Refused everything 10" in page
    assert "Notice of 2026-11-01 45 fewer than 10 10" in page
    assert "Notice cdcdcdcd fewer than 10" in page
    assert "no choice is not known" in page
    decide(app, "refused", False, 5, notice)
    assert "Refused everything 15" in words(anna, "/dashboard/kent")
    assert "No decision was recorded" in words(anna, "/dashboard/kent?period=yesterday")


@pytest.mark.parametrize(
    ("decisions", "text"), [(0, "fewer than 10"), (9, "fewer than 10"), (10, "10"), (1234, "1,235")]
)
def test_few_decisions_are_not_told(decisions: int, text: str) -> None:
    assert shown(decisions).text == text


def test_all_sites_together_are_the_sum_of_sites(app: Flask, settings: Settings) -> None:
    page = words(signed_in(app, "mary", "viewer", ()), "/dashboard/")
    with Statistics(settings.stats_file) as statistics:
        rows = [
            row for site in ("kent", "surrey") for row in statistics.daily(site, date(2026, 10, 27), YESTERDAY)
            if row.metric == "views"
        ]  # fmt: skip
    whole = count(total(Estimate(row.value, row.sigma) for row in rows))
    assert f"All 2 sites together 27 Oct to 23 Nov 2026 Views {whole.text} ± {whole.margin}" in page
    assert "Sums of sites: somebody who visits two of them counts in both." in page
    assert "together" not in words(signed_in(app, "sam", "viewer", ("kent",)), "/dashboard/")


def test_a_day_that_one_site_lacks_is_left_out_of_the_sum(app: Flask, settings: Settings) -> None:
    sites = [Shop("kent", 240, date(2026, 9, 1), YESTERDAY), Shop("surrey", 8, date(2026, 9, 1), date(2026, 11, 22))]
    write(settings.stats_file, sites)
    page = words(signed_in(app, "mary", "viewer", ()), "/dashboard/")
    with Statistics(settings.stats_file) as statistics:
        rows = [
            row for site in ("kent", "surrey") for row in statistics.daily(site, date(2026, 10, 27), date(2026, 11, 22))
            if row.metric == "views"
        ]  # fmt: skip
    whole = count(total(Estimate(row.value, row.sigma) for row in rows))
    assert f"27 Oct to 23 Nov 2026 Views {whole.text} ± {whole.margin} Visitor-days" in page  # and no change
    assert "1 of 28 days lacks figures of a site and is left out." in page
