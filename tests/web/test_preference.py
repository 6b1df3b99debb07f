"""Decisions through the real application: what is answered, kept by the visitor, and on disk before the answer."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Callable
from contextlib import closing
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from werkzeug.test import TestResponse

from consent_app.languages import available, texts
from consent_app.ledger import store
from consent_app.preference import local_path
from consent_app.rooms import NAME, Rooms
from consent_app.settings import Settings
from tests.web.conftest import Clock

KENT = "http://kent.localhost:8000"
DEFIBRENTAL = "http://defibrental.localhost:8000"
PARTNER = "http://defibrental.localhost:8000"
FORM = "application/x-www-form-urlencoded"


@pytest.fixture
def here(app: Flask) -> Rooms:
    rooms: Rooms = app.extensions[NAME]
    return rooms


def decision(here: Rooms, site: str = "kent", *, allowed: bool = True, **changes: Any) -> dict[str, Any]:
    found = here.sites.get(site)
    return {
        "site": site,
        "notice": found.notice.sha256,
        "decisions": {purpose.key: allowed for purpose in found.optional},
        "method": "banner-accept-all" if allowed else "banner-reject-all",
        "lang": "en",
    } | changes


def post(client: FlaskClient, document: Any, origin: str = KENT, **headers: str) -> TestResponse:
    return client.post("/v1/consent", json=document, base_url=KENT, headers={"Origin": origin, **headers})


def form(client: FlaskClient, here: Rooms, site: str = "kent", **fields: str) -> TestResponse:
    whole = {"site": site, "notice": here.sites.get(site).notice.sha256, "lang": "en", **fields}
    body = urlencode(whole)
    return client.post("/consent", data=body, content_type=FORM, base_url=KENT, headers={"Origin": KENT})


def records(here: Rooms) -> list[dict[str, Any]]:
    return [entry.record for entry in here.ledger.entries()]


def test_an_accepted_decision_is_recorded_and_kept(client: FlaskClient, here: Rooms) -> None:
    answer = post(client, decision(here))
    assert answer.status_code == 201
    said = answer.get_json()
    assert said["decisions"] == {"statistics": True, "embeds": True}
    [record] = records(here)
    assert record["id"] == said["receipt"]
    assert (record["event"], record["method"], record["language"]) == ("given", "banner-accept-all", "en")
    assert record["time"] == "2026-11-24T12:15:00Z"
    assert record["decisions"]["statistics"] == {"allowed": True, "basis": "PECR Schedule A1 paragraph 2"}
    permit = here.seal.check_permit(said["permit"], "kent")
    assert permit is not None
    assert permit.explicit
    proof = here.seal.open(said["token"], "kent")
    assert proof is not None
    assert proof.id == said["receipt"]


def test_the_cookies_of_a_decision(client: FlaskClient, here: Rooms) -> None:
    answer = post(client, decision(here))
    set_cookies = sorted(answer.headers.getlist("Set-Cookie"))
    said = answer.get_json()
    assert said["value"] == f"{here.sites.get('kent').notice.short}~2026-11-24~embeds.1+statistics.1~{said['permit']}"
    ending = "Expires=Sun, 23 May 2027 12:15:00 GMT; Max-Age=15552000"
    assert [text.split(";")[0] for text in set_cookies] == [
        f"__Secure-consent_proof={said['token']}",
        f"__Secure-consent_proof={said['token']}",
        f"__Secure-consent_rights={said['token']}",
        f"consent={said['value']}",
    ]
    assert all(ending in text and "SameSite=Lax" in text for text in set_cookies)
    assert all("HttpOnly" in text and "Secure" in text for text in set_cookies[:3])
    paths = [SimpleCookie(text).popitem()[1]["path"] for text in set_cookies]
    assert sorted(paths) == ["/", "/consent", "/v1/consent", "/your-data"]
    assert not any(said["receipt"] in text.split(";")[0] for text in set_cookies[3:])


def test_all_who_refuse_on_one_day_keep_the_same(app: Flask, here: Rooms, clock: Clock) -> None:
    kept = set()
    for visitor in range(60):
        clock.forward(minutes=7)
        answer = post(app.test_client(), decision(here, allowed=False), **{"User-Agent": f"Browser {visitor}"})
        kept.add(tuple(answer.headers.getlist("Set-Cookie")))
    assert len(kept) == 1
    assert {record["time"] for record in records(here)} == {"2026-11-24"}
    assert all("id" not in record for record in records(here))


@pytest.mark.parametrize(
    ("site", "steps", "events"),
    [
        ("kent", [False], ["refused"]),
        ("kent", [True, False], ["given", "withdrawn"]),
        ("kent", [False, True], ["refused", "given"]),
        ("kent", [True, True], ["given", "given"]),
        ("kent", [True, {"statistics": True, "embeds": False}, False], ["given", "changed", "withdrawn"]),
        ("surrey", [False], ["objected"]),
        ("surrey", [True, False], ["given", "objected"]),
    ],
)
def test_the_record_says_what_happened(
    client: FlaskClient, here: Rooms, clock: Clock, site: str, steps: list[Any], events: list[str]
) -> None:
    origin = f"http://{site}.localhost:8000"
    for step in steps:
        clock.forward(seconds=1)
        changes = {} if isinstance(step, bool) else {"decisions": step, "method": "preferences"}
        document = decision(here, site, allowed=step is True, **changes)
        answer = client.post("/v1/consent", json=document, base_url=origin, headers={"Origin": origin})
        assert answer.status_code == 201
    assert [record["event"] for record in records(here)] == events


def test_what_follows_on_a_given_decision_keeps_its_id(client: FlaskClient, here: Rooms, clock: Clock) -> None:
    first = post(client, decision(here)).get_json()["receipt"]
    clock.forward(minutes=1)
    post(client, decision(here, decisions={"statistics": True, "embeds": False}, method="preferences"))
    clock.forward(minutes=1)
    last = post(client, decision(here, allowed=False))
    assert last.get_json()["receipt"] == first
    assert first not in str(here.seal.open(last.get_json()["token"], "kent"))
    history = here.ledger.history(first)
    assert [entry.record["event"] for entry in history] == ["given", "changed", "withdrawn"]


def test_a_form_sees_the_earlier_decision_of_a_script(client: FlaskClient, here: Rooms, clock: Clock) -> None:
    post(client, decision(here))
    clock.forward(minutes=1)
    form(client, here, choice="reject")
    assert [(record["event"], record["method"]) for record in records(here)] == [
        ("given", "banner-accept-all"),
        ("withdrawn", "no-js-form"),
    ]


def test_a_script_only_page_holds_its_own_token(client: FlaskClient, here: Rooms, clock: Clock) -> None:
    first = post(client, decision(here, "defibrental"), PARTNER)
    assert first.status_code == 201
    assert first.headers.getlist("Set-Cookie") == []
    assert first.headers["Access-Control-Allow-Origin"] == PARTNER
    clock.forward(minutes=1)
    held = first.get_json()["token"]
    second = post(client, decision(here, "defibrental", allowed=False, token=held), PARTNER)
    assert second.status_code == 201
    assert [record["event"] for record in records(here)] == ["given", "withdrawn"]


def test_the_state_of_a_visitor(client: FlaskClient, here: Rooms) -> None:
    before = client.get("/v1/consent?site=kent", base_url=KENT).get_json()
    assert (before["decided"], before["decisions"]) == (False, {"statistics": False, "embeds": False})
    assert before["notice"] == {"sha256": here.sites.get("kent").notice.sha256, "effective": "2026-11-01"}
    surrey = client.get("/v1/consent?site=surrey", base_url=KENT).get_json()
    assert surrey["decisions"] == {"statistics": True}
    surrey = client.get("/v1/consent?site=surrey", base_url=KENT, headers={"Sec-GPC": "1"}).get_json()
    assert surrey["decisions"] == {"statistics": False}
    said = post(https(client), decision(here)).get_json()
    after = https(client).get("/v1/consent?site=kent", base_url=KENT).get_json()
    assert (after["decided"], after["decisions"]) == (True, {"statistics": True, "embeds": True})
    assert after["receipt"] == said["receipt"]


def https(client: FlaskClient) -> FlaskClient:
    return client


def test_withdrawing_is_one_request(client: FlaskClient, here: Rooms, clock: Clock) -> None:
    post(client, decision(here))
    clock.forward(minutes=1)
    answer = client.delete("/v1/consent?site=kent", base_url=KENT, headers={"Origin": KENT})
    assert answer.status_code == 201
    assert answer.get_json()["permit"] == ""
    assert records(here)[-1]["event"] == "withdrawn"
    assert not any(value["allowed"] for value in records(here)[-1]["decisions"].values())


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"colour": "red"}, "colour"),
        ({"notice": None}, "notice"),
        ({"notice": "f" * 63}, "notice"),
        ({"decisions": {"statistics": True}}, "decisions.embeds"),
        ({"decisions": {"statistics": True, "embeds": True, "adverts": True}}, "decisions.adverts"),
        ({"decisions": {"statistics": 1, "embeds": True}}, "decisions.statistics"),
        ({"decisions": []}, "decisions"),
        ({"method": "telepathy"}, "method"),
        ({"method": "no-js-form"}, "method"),
        ({"method": "banner-reject-all"}, "method"),
        ({"method": ["api"]}, "method"),
        ({"lang": "en_GB; x"}, "lang"),
        ({"token": "x" * 3000}, "token"),
        ({"token": 7}, "token"),
        ({"site": "nowhere"}, "site"),
        ({"site": ["kent"]}, "site"),
    ],
)
def test_a_decision_that_does_not_fit_is_refused_by_name(
    client: FlaskClient, here: Rooms, changes: dict[str, Any], named: str
) -> None:
    answer = post(client, decision(here) | changes)
    assert answer.status_code == 422
    assert answer.content_type == "application/problem+json"
    assert list(answer.get_json()["fields"]) == [named]
    assert records(here) == []
    assert answer.headers.getlist("Set-Cookie") == []


@pytest.mark.parametrize("field", ["site", "notice", "decisions", "method", "lang"])
def test_a_missing_field_is_named(client: FlaskClient, here: Rooms, field: str) -> None:
    document = decision(here)
    del document[field]
    answer = post(client, document)
    assert (answer.status_code, answer.get_json()["fields"]) == (422, {field: "is missing"})


def test_a_stale_notice_brings_the_current_one(client: FlaskClient, here: Rooms) -> None:
    answer = post(client, decision(here, notice="0" * 64))
    assert answer.status_code == 409
    assert answer.get_json()["notice"]["sha256"] == here.sites.get("kent").notice.sha256
    assert records(here) == []


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"x" * 4097, "application/json", 413),
        (b"{}", "text/plain", 415),
        (b"{}", FORM, 415),
        (b"{", "application/json", 422),
        (b"[" * 4000, "application/json", 422),
        (b"\xff", "application/json", 422),
        (b"[1]", "application/json", 422),
    ],
)
def test_a_body_that_is_no_decision(client: FlaskClient, body: bytes, kind: str, status: int) -> None:
    answer = client.post("/v1/consent", data=body, content_type=kind, base_url=KENT, headers={"Origin": KENT})
    assert answer.status_code == status


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://stranger.example"},
        {"Origin": PARTNER},
        {"Origin": "null"},
        {"Origin": "null", "Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_no_other_site_decides(client: FlaskClient, here: Rooms, headers: dict[str, str]) -> None:
    site = here.sites.get("kent")
    answers = [
        client.post("/v1/consent", json=decision(here), base_url=KENT, headers=headers),
        client.delete("/v1/consent?site=kent", base_url=KENT, headers=headers),
        client.post(
            "/consent",
            data={"site": "kent", "notice": site.notice.sha256, "choice": "accept"},
            base_url=KENT,
            headers=headers,
        ),
    ]
    assert [answer.status_code for answer in answers] == [403, 403, 403]
    assert records(here) == []
    assert all("Access-Control-Allow-Origin" not in answer.headers for answer in answers)


def test_a_page_of_another_site_here_does_not_decide(client: FlaskClient, here: Rooms) -> None:
    other = "http://surrey.localhost:8000"
    answer = client.post("/v1/consent", json=decision(here), base_url=other, headers={"Origin": other})
    assert answer.status_code == 403


@pytest.mark.parametrize("headers", [{"Origin": "null", "Sec-Fetch-Site": "same-origin"}, {}, {"Origin": KENT}])
def test_the_sites_own_pages_decide(client: FlaskClient, here: Rooms, headers: dict[str, str]) -> None:
    assert client.post("/v1/consent", json=decision(here), base_url=KENT, headers=headers).status_code == 201


def test_a_ledger_that_cannot_write_is_told_and_nothing_is_half_done(
    settings: Settings, make_app: Callable[[Settings], Flask], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "BUSY_SECONDS", 0.05)
    app = make_app(settings)
    here: Rooms = app.extensions[NAME]
    with closing(sqlite3.connect(settings.ledger_file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        answer = post(app.test_client(), decision(here))
        page = form(app.test_client(), here, choice="accept")
        other.execute("ROLLBACK")
    assert (answer.status_code, page.status_code) == (503, 503)
    assert answer.headers["Retry-After"] == page.headers["Retry-After"] == "5"
    assert answer.headers.getlist("Set-Cookie") == page.headers.getlist("Set-Cookie") == []
    assert records(here) == []
    assert post(app.test_client(), decision(here)).status_code == 201


def test_a_lost_record_heals_once(
    settings: Settings, make_app: Callable[[Settings], Flask], client: FlaskClient, here: Rooms
) -> None:
    post(client, decision(here))
    [lost] = records(here)
    settings.ledger_file.rename(settings.home / "lost.db")
    for extra in ("-wal", "-shm"):
        settings.ledger_file.with_name(settings.ledger_file.name + extra).unlink(missing_ok=True)
    again = make_app(settings)
    browser = again.test_client()
    for name in ("__Secure-consent_proof",):
        cookie = client.get_cookie(name, "kent.localhost", "/v1/consent")
        assert cookie is not None
        browser.set_cookie(name, cookie.value, domain="kent.localhost", path="/v1/consent")
    for _ in range(3):
        assert browser.get("/v1/consent?site=kent", base_url=KENT).get_json()["decided"]
    assert records(again.extensions[NAME]) == [lost]


FORGERIES = ["", "x", "a.b", "..", "é", "A" * 3000, '"', "e30.AAAA"]


@pytest.mark.parametrize("token", FORGERIES)
def test_a_forged_proof_is_no_consent(client: FlaskClient, here: Rooms, token: str) -> None:
    client.set_cookie("__Secure-consent_proof", token, domain="kent.localhost", path="/v1/consent")
    client.set_cookie("consent", token, domain="kent.localhost")
    assert client.get("/v1/consent?site=kent", base_url=KENT).get_json()["decided"] is False
    assert client.get("/cookies?site=kent", base_url=KENT).status_code == 200
    assert post(client, decision(here, allowed=False)).status_code == 201
    assert records(here)[-1]["event"] == "refused"


def test_a_proof_of_another_site_or_of_yore_is_no_consent(client: FlaskClient, here: Rooms, clock: Clock) -> None:
    token = post(client, decision(here, "surrey"), "http://surrey.localhost:8000")
    client.set_cookie("__Secure-consent_proof", token.text, domain="kent.localhost", path="/v1/consent")
    assert client.get("/v1/consent?site=kent", base_url=KENT).get_json()["decided"] is False
    kept = post(client, decision(here)).get_json()["token"]
    clock.forward(days=181)
    client.set_cookie("__Secure-consent_proof", kept, domain="kent.localhost", path="/v1/consent")
    assert client.get("/v1/consent?site=kent", base_url=KENT).get_json()["decided"] is False


def test_a_retired_key_is_no_consent(
    client: FlaskClient, here: Rooms, settings: Settings, make_app: Callable[[Settings], Flask]
) -> None:
    token = post(client, decision(here)).get_json()["token"]
    (settings.secrets / "signing.keys").write_text("2026-11-24 " + "another-key" * 4 + "\n", "utf-8")
    renewed = Settings.from_environment({}, home=settings.home, clock=settings.clock)
    browser = make_app(renewed).test_client()
    browser.set_cookie("__Secure-consent_proof", token, domain="kent.localhost", path="/v1/consent")
    assert browser.get("/v1/consent?site=kent", base_url=KENT).get_json()["decided"] is False


def test_a_changed_notice_asks_again(
    client: FlaskClient, here: Rooms, settings: Settings, make_app: Callable[[Settings], Flask]
) -> None:
    said = post(client, decision(here)).get_json()
    with (settings.home / "notices" / "kent.txt").open("a") as notice:
        notice.write("One more sentence.\n")
    browser = make_app(settings).test_client()
    browser.set_cookie("__Secure-consent_proof", said["token"], domain="kent.localhost", path="/v1/consent")
    browser.set_cookie("consent", said["value"], domain="kent.localhost")
    assert browser.get("/v1/consent?site=kent", base_url=KENT).get_json()["decided"] is False
    assert "You have not chosen yet" in browser.get("/cookies?site=kent", base_url=KENT).text


def test_the_form_works_without_script(client: FlaskClient, here: Rooms) -> None:
    answer = form(client, here, choice="save", **{"purpose.statistics": "on", "return": "/furniture?page=2"})
    assert (answer.status_code, answer.headers["Location"]) == (303, "/furniture?page=2")
    [record] = records(here)
    assert {key: value["allowed"] for key, value in record["decisions"].items()} == {
        "statistics": True,
        "embeds": False,
    }
    page = client.get("/cookies?site=kent&saved=1", base_url=KENT).text
    assert 'name="purpose.statistics" aria-describedby="about-statistics" checked' in page
    assert 'name="purpose.embeds" aria-describedby="about-embeds">' in page
    assert "You chose on 24 November 2026" in page
    assert "Saved." in page


def test_a_form_under_a_stale_notice_shows_the_page_again(client: FlaskClient, here: Rooms) -> None:
    answer = form(client, here, choice="accept", notice="0" * 64)
    assert answer.status_code == 409
    assert "has just changed" in answer.text
    assert here.sites.get("kent").notice.sha256 in answer.text
    assert records(here) == []


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"choice": "maybe"}, "choice"),
        ({"choice": "save", "purpose.adverts": "on"}, "purpose.adverts"),
        ({"choice": "accept", "notice": "<b>"}, "notice"),
        ({"choice": "accept", "site": "nowhere"}, "site"),
        ({"choice": "accept", "site": "defibrental"}, "site"),
    ],
)
def test_a_form_that_does_not_fit_is_told_in_a_page(
    client: FlaskClient, here: Rooms, fields: dict[str, str], named: str
) -> None:
    origin = PARTNER if fields.get("site") == "defibrental" else KENT
    whole = {"site": "kent", "notice": here.sites.get("kent").notice.sha256, **fields}
    answer = client.post("/consent", data=whole, base_url=KENT, headers={"Origin": origin})
    assert (answer.status_code, answer.mimetype) == (422, "text/html")
    assert named in answer.text
    assert "<b>" not in answer.text


ELSEWHERE = [
    "https://stranger.example/",
    "//stranger.example",
    "/\\stranger.example",
    "\\\\stranger.example",
    "/\t/stranger.example",
    "/%0d%0aLocation:x\r\n",
    "javascript:alert(1)",
    " /x",
    "stranger.example",
    "",
]


@pytest.mark.parametrize("address", ELSEWHERE)
def test_nobody_is_led_elsewhere(client: FlaskClient, here: Rooms, address: str) -> None:
    answer = form(client, here, choice="reject", **{"return": address})
    assert answer.status_code == 303
    assert answer.headers["Location"] == "/cookies?site=kent&lang=en&saved=1"
    assert "stranger" not in client.get("/cookies", query_string={"site": "kent", "return": address}).text


@given(st.text(max_size=40))
def test_a_local_path_stays_local(text: str) -> None:
    found = local_path("/" + text)
    assert found == "" or (found[1:2] not in ("/", "\\") and not any(ord(character) < 33 for character in found))


def test_no_box_is_ticked_before_a_choice(client: FlaskClient) -> None:
    assert " checked" not in client.get("/cookies?site=kent", base_url=KENT).text
    surrey = "http://surrey.localhost:8000"
    assert client.get("/cookies?site=surrey", base_url=surrey).text.count(" checked") == 1
    page = client.get("/cookies?site=surrey", base_url=surrey, headers={"Sec-GPC": "1"}).text
    assert " checked" not in page
    assert "Global Privacy Control" in page


def test_every_declared_cookie_is_on_the_page(client: FlaskClient, here: Rooms) -> None:
    for site in here.sites:
        page = client.get("/cookies", query_string={"site": site.key}).text
        for purpose in site.purposes:
            assert all(f"<code>{cookie.name}</code>" in page for cookie in purpose.cookies)
        assert ('<form method="post"' in page) == (site.embed == "same-host")


def test_the_page_speaks_welsh(client: FlaskClient) -> None:
    page = client.get("/cookies?site=kent&lang=cy", base_url=KENT).text
    assert '<html lang="cy"' in page
    assert "Ystadegau" in page
    assert "Gwrthod popeth" in page
    by_browser = client.get("/cookies?site=kent", base_url=KENT, headers={"Accept-Language": "cy-GB,cy;q=0.9"}).text
    assert '<html lang="cy"' in by_browser


@pytest.mark.parametrize("lang", available())
def test_every_phrase_of_the_page_is_there(root: Path, lang: str) -> None:
    template = (root / "consent_app" / "templates" / "cookies.html").read_text("utf-8")
    used = set(re.findall(r"texts\.(\w+)", template))
    assert len(used) > 15
    assert used - texts(lang).keys() == set()


def test_cookies_without_a_site(client: FlaskClient) -> None:
    assert "Kent Office" in client.get("/cookies", base_url=KENT).text
    assert client.get("/cookies").headers["Location"] == "/"
    assert client.get("/cookies?site=nowhere").status_code == 404


def test_withdrawal_takes_declared_cookies_away(home: Any, make_app: Any, settings: Settings) -> None:
    file = home / "sites.toml"
    more = '[[site.kent.purpose.embeds.cookies]]\nname = "map_*"\ndescription = "The map\'s own."\n'
    file.write_text(file.read_text().replace("[site.surrey]", more + "\n[site.surrey]", 1))
    app = make_app(settings)
    here: Rooms = app.extensions[NAME]
    client = app.test_client()
    client.set_cookie("map_zoom", "3", domain="kent.localhost")
    client.set_cookie("basket", "7", domain="kent.localhost")
    assert post(client, decision(here)).status_code == 201
    assert client.get_cookie("map_zoom", "kent.localhost") is not None
    post(client, decision(here, allowed=False))
    assert client.get_cookie("map_zoom", "kent.localhost") is None
    assert client.get_cookie("basket", "kent.localhost") is not None


ALLOWED = {"statistics": False, "embeds": True}


@pytest.mark.parametrize(
    ("said", "held"),
    [
        ({**ALLOWED}, {**ALLOWED, "map": True, "film": True}),
        ({**ALLOWED, "map": False}, {**ALLOWED, "map": False, "film": True}),
        ({**ALLOWED, "embeds": False}, {**ALLOWED, "embeds": False, "map": False, "film": False}),
    ],
)
def test_a_service_follows_its_purpose_unless_it_is_decided(
    client: FlaskClient, here: Rooms, said: dict[str, bool], held: dict[str, bool]
) -> None:
    document = decision(here, "defibrental", decisions=said, method="preferences")
    answer = post(client, document, DEFIBRENTAL)
    assert answer.get_json()["decisions"] == held
    [record] = records(here)
    assert {key: value["allowed"] for key, value in record["decisions"].items()} == held
    permit = here.seal.check_permit(answer.get_json()["permit"], "defibrental")
    assert permit is None if not held["embeds"] else permit and permit.decisions == ALLOWED


@pytest.mark.parametrize(
    ("said", "field", "reason"),
    [
        ({"embeds": False, "map": True}, "decisions.map", "is allowed, but not its purpose embeds"),
        ({"embeds": True, "map": 1}, "decisions.map", "must be true or false"),
        ({"embeds": True, "radio": True}, "decisions.radio", "is not asked by this site"),
    ],
)
def test_a_decision_about_services_is_read_strictly(
    client: FlaskClient, here: Rooms, said: dict[str, Any], field: str, reason: str
) -> None:
    document = decision(here, "defibrental", decisions={"statistics": True, **said}, method="preferences")
    answer = post(client, document, DEFIBRENTAL)
    assert answer.status_code == 422
    assert reason in answer.text and field in answer.text
    assert records(here) == []


def test_the_privacy_signal_allows_nothing(client: FlaskClient, here: Rooms) -> None:
    assert post(client, decision(here, method="gpc")).status_code == 422
    assert post(client, decision(here, allowed=False, method="gpc")).status_code == 201
    [record] = records(here)
    assert (record["method"], record["event"], record["time"]) == ("gpc", "refused", "2026-11-24")


def test_do_not_track_counts_where_the_site_says_so(home: Any, make_app: Any, settings: Settings) -> None:
    file = home / "sites.toml"
    file.write_text(file.read_text().replace("[site.surrey]", "[site.surrey]\ndo_not_track = true", 1))
    client = make_app(settings).test_client()
    sites = "http://surrey.localhost:8000"
    for headers, on in (({}, True), ({"DNT": "1"}, False), ({"DNT": "0"}, True), ({"Sec-GPC": "1"}, False)):
        said = client.get("/v1/consent?site=surrey", base_url=sites, headers=headers).get_json()
        assert said["decisions"] == {"statistics": on}, headers
    page = client.get("/cookies?site=surrey", base_url=sites, headers={"DNT": "1"}).text
    assert "privacy signal (Do Not Track)" in page
    kent = client.get("/cookies?site=kent", base_url=KENT, headers={"DNT": "1"}).text
    assert "Do Not Track" not in kent


def test_a_receipt_that_is_not_there(client: FlaskClient) -> None:
    for record_id in ("0" * 32, "x", "0" * 31, "%00"):
        assert client.get(f"/v1/receipts/{record_id}").status_code == 404


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=40),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=20), inner, max_size=4),
    max_leaves=12,
)
FIELDS = st.sampled_from(["site", "notice", "decisions", "method", "lang", "token", "extra"])
FUZZ = hypothesis_settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@FUZZ
@given(changes=st.dictionaries(FIELDS, JSON | st.just("kent"), max_size=4), token=st.text(max_size=60))
def test_no_json_does_worse_than_a_refusal(
    app: Flask, here: Rooms, clock: Clock, changes: dict[str, Any], token: str
) -> None:
    clock.forward(minutes=1)
    document = decision(here) | {"token": token} | changes
    answer = post(app.test_client(), document)
    assert answer.status_code in (201, 409, 422)


@FUZZ
@given(body=st.binary(max_size=300), kind=st.sampled_from(["application/json", FORM, "text/plain", ""]))
def test_no_body_does_worse_than_a_refusal(app: Flask, clock: Clock, body: bytes, kind: str) -> None:
    clock.forward(minutes=1)
    for path in ("/v1/consent", "/consent", "/v1/collect"):
        answer = app.test_client().post(path, data=body, content_type=kind, base_url=KENT, headers={"Origin": KENT})
        assert answer.status_code < 500


def test_the_answer_is_json_all_the_way(client: FlaskClient, here: Rooms) -> None:
    answer = post(client, decision(here))
    assert json.loads(answer.text)["receipt"]
    assert answer.headers["Cache-Control"] == "no-store"
