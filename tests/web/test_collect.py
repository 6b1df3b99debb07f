"""Beacons through the real application: what is kept, and the one word for everything that is not."""

from __future__ import annotations

import json
import re
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from werkzeug.test import TestResponse, create_environ, run_wsgi_app

from anonymiser import facts
from anonymiser.errors import SegmentError
from anonymiser.facts import Fact
from anonymiser.hour_keys import HourKeys
from anonymiser.spool import segments
from anonymiser.unsealing import read
from consent_app.collect import Nonces
from consent_app.door import Door
from consent_app.guard import NAME as GUARD
from consent_app.guard import Tally
from consent_app.home import make_hour_keys
from consent_app.rooms import NAME, Rooms
from consent_app.settings import Settings
from consent_app.sites import LAST_DAY
from tests.web.conftest import Clock

KENT = "http://kent.localhost:8000"
SURREY = "http://surrey.localhost:8000"
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
FIRST = {"n": 1, "p": 1, "v": 1, "k": 1, "gap": "first", "screen": "large", "lang": "en-GB", "zone": "Europe/London"}
MakeApp = Callable[[Settings], Flask]


@pytest.fixture
def here(app: Flask) -> Rooms:
    rooms: Rooms = app.extensions[NAME]
    return rooms


def permit(here: Rooms, site: str = "kent", *, explicit: bool = True, **decisions: bool) -> str:
    found = here.sites.get(site)
    whole = {purpose.key: True for purpose in found.optional} | decisions
    return here.seal.permit(site, found.notice.sha256, whole, here.settings.clock().date(), explicit=explicit)


def beacon(here: Rooms, site: str = "kent", **changes: Any) -> dict[str, Any]:
    start = {"schema": 1, "site": site, "nonce": "00000000000000aa", "day": "2026-11-24", "kind": "pageview"}
    return {**start, "path": "/furniture", "permit": permit(here, site), **FIRST, **changes}


def send(client: FlaskClient, document: Any, origin: str = KENT, **headers: str) -> TestResponse:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    whole = {"Origin": origin, "User-Agent": FIREFOX, **headers}
    return client.post(
        "/v1/collect", data=body, content_type="text/plain;charset=UTF-8", base_url=origin, headers=whole
    )


def dropped(answer: TestResponse) -> str:
    assert answer.status_code == 204, answer.status
    assert answer.data == b""
    return answer.headers["X-Collect"].removeprefix("dropped; reason=")


def kept(here: Rooms) -> list[Fact]:
    here.spool.flush()
    keys = HourKeys(here.settings.private)
    return [fact for segment in segments(here.settings.spool) for fact in read(segment, keys).facts]


def test_a_page_view_becomes_facts(client: FlaskClient, here: Rooms) -> None:
    answer = send(client, beacon(here, referrer="https://www.google.com/"))
    assert (answer.status_code, answer.data) == (202, b"")
    facts = kept(here)
    assert {fact.site for fact in facts} == {"kent"}
    found = {(fact.statistic, fact.key1, fact.key2) for fact in facts}
    assert ("pages", "/furniture", "") in found
    assert ("browsers", "Firefox", "Linux") in found
    assert ("hours", "12", "") in found
    assert ("countries", "GB", "") in found
    assert any(statistic == "sources" and key.lower().startswith("google") for statistic, key, _ in found)


def test_an_internal_referrer_is_no_source(client: FlaskClient, here: Rooms) -> None:
    send(client, beacon(here, referrer=f"{KENT}/print"))
    [source] = [fact for fact in kept(here) if fact.statistic == "sources"]
    assert "kent" not in (source.key1 + source.key2).lower()


def test_the_local_hour_counts(client: FlaskClient, here: Rooms, clock: Clock) -> None:
    clock.forward(days=-120)
    make_hour_keys(here.settings, clock.now)
    send(client, beacon(here, day="2026-07-27"))
    assert [fact.key1 for fact in kept(here) if fact.statistic == "hours"] == ["13"]


DROPS: dict[str, dict[str, Any]] = {
    "schema": {"colour": "red"},
    "site": {"site": "nowhere"},
    "day": {"day": "2026-11-22"},
    "permit": {"permit": "forged.text"},
}


@pytest.mark.parametrize("reason", DROPS)
def test_a_beacon_that_does_not_fit_is_dropped(client: FlaskClient, here: Rooms, reason: str) -> None:
    assert dropped(send(client, beacon(here) | DROPS[reason])) == reason
    assert kept(here) == []


@pytest.mark.parametrize("days", [-1, 0, 1])
def test_a_day_beside_is_kept(client: FlaskClient, here: Rooms, clock: Clock, days: int) -> None:
    day = (clock.now + timedelta(days=days)).date().isoformat()
    assert send(client, beacon(here, day=day)).status_code == 202


@pytest.mark.parametrize(
    ("body", "kind", "reason"),
    [
        (b"{}", "application/json", "type"),
        (b"{}", "text/html", "type"),
        (b"x" * (facts.MAX_BYTES + 1), "text/plain", "size"),
        (b"{}", "text/plain", "schema"),
        (b"\xff\xfe", "text/plain", "schema"),
        (b"[" * 2000, "text/plain", "schema"),
    ],
)
def test_what_is_no_beacon(client: FlaskClient, body: bytes, kind: str, reason: str) -> None:
    answer = client.post("/v1/collect", data=body, content_type=kind, base_url=KENT, headers={"Origin": KENT})
    assert dropped(answer) == reason


@pytest.mark.parametrize("origin", ["https://stranger.example", SURREY, "null"])
def test_a_page_of_another_site_counts_nothing(client: FlaskClient, here: Rooms, origin: str) -> None:
    headers = {"Origin": origin, "User-Agent": FIREFOX}
    body = json.dumps(beacon(here))
    answer = client.post("/v1/collect", data=body, content_type="text/plain", base_url=KENT, headers=headers)
    assert dropped(answer) == "origin"
    assert kept(here) == []


def test_permits_that_allow_nothing(client: FlaskClient, here: Rooms, clock: Clock) -> None:
    refused = permit(here, statistics=False)
    another = permit(here, "surrey")
    default = permit(here, explicit=False)
    earlier = here.seal.permit("kent", "0" * 64, {"statistics": True}, clock.now.date())
    old = here.seal.permit("kent", here.sites.get("kent").notice.sha256, {"statistics": True}, clock.now.date())
    for text, reason in ((refused, "permit"), (another, "permit"), (default, "permit"), (earlier, "notice")):
        assert dropped(send(client, beacon(here, permit=text))) == reason
    clock.forward(days=181)
    assert dropped(send(client, beacon(here, permit=old, day=clock.now.date().isoformat()))) == "permit"
    assert kept(here) == []


def test_a_choice_wins_over_global_privacy_control(client: FlaskClient, here: Rooms) -> None:
    signal = {"Sec-GPC": "1"}
    default = beacon(here, "surrey", permit=permit(here, "surrey", explicit=False))
    assert dropped(send(client, default, SURREY, **signal)) == "gpc"
    assert send(client, default, SURREY).status_code == 202
    chosen = beacon(here, "surrey", nonce="00000000000000bb")
    assert send(client, chosen, SURREY, **signal).status_code == 202


@pytest.mark.parametrize("agent", ["Googlebot/2.1 (+http://www.google.com/bot.html)", "", "curl/8.0", "HeadlessChrome"])
def test_robots_are_not_counted(client: FlaskClient, here: Rooms, agent: str) -> None:
    assert dropped(send(client, beacon(here), **{"User-Agent": agent})) == "bot"


def test_a_retry_is_counted_once(client: FlaskClient, here: Rooms) -> None:
    assert send(client, beacon(here)).status_code == 202
    assert dropped(send(client, beacon(here))) == "repeat"
    assert Counter(fact.statistic for fact in kept(here))["views"] == 1


def test_numbers_are_remembered_up_to_a_bound() -> None:
    nonces = Nonces(most=3)
    assert all(nonces.is_new("kent", str(number)) for number in range(5))
    assert not nonces.is_new("kent", "4")
    assert nonces.is_new("surrey", "4")
    assert nonces.is_new("kent", "0")


@pytest.mark.parametrize("address", ["192.0.2.77", "::ffff:192.0.2.77", "2001:db8::5"])
def test_excluded_networks(home: Path, settings: Settings, make_app: MakeApp, address: str) -> None:
    file = home / "sites.toml"
    networks = 'search_parameter = "q"\nexcluded_networks = ["192.0.2.0/24", "2001:db8::/32"]'
    file.write_text(file.read_text("utf-8").replace('search_parameter = "q"', networks, 1), "utf-8")
    app = make_app(settings)
    here: Rooms = app.extensions[NAME]
    client = app.test_client()
    client.environ_base["REMOTE_ADDR"] = address
    assert dropped(send(client, beacon(here))) == "network"
    client.environ_base["REMOTE_ADDR"] = "198.51.100.1"
    assert send(client, beacon(here)).status_code == 202


def test_too_many_beacons_from_one_address(settings: Settings, make_app: MakeApp, clock: Clock) -> None:
    object.__setattr__(settings, "beacons_per_minute", 2)
    app = make_app(settings)
    here: Rooms = app.extensions[NAME]
    answers = [send(app.test_client(), beacon(here, nonce=f"{number:016x}")) for number in range(3)]
    assert [answer.status_code for answer in answers] == [202, 202, 429]
    assert answers[-1].headers["Retry-After"] == "60"
    clock.forward(minutes=1)
    assert send(app.test_client(), beacon(here)).status_code == 202


def test_behind_a_proxy_addresses_are_the_visitors(settings: Settings, make_app: MakeApp) -> None:
    """The door stands behind what reads X-Forwarded-For, or all visitors would share one limit."""
    object.__setattr__(settings, "beacons_per_minute", 1)
    object.__setattr__(settings, "trusted_proxies", 1)
    app = make_app(settings)
    here: Rooms = app.extensions[NAME]
    client = app.test_client()

    def said(address: str, nonce: str) -> int:
        proxied = {"X-Forwarded-For": address, "X-Forwarded-Proto": "https", "X-Forwarded-Host": "kent.example"}
        return send(client, beacon(here, nonce=nonce * 16), **proxied).status_code

    assert [said("198.51.100.1", "1"), said("198.51.100.2", "2"), said("198.51.100.1", "3")] == [202, 202, 429]


def test_a_spool_that_takes_nothing_is_told(client: FlaskClient, here: Rooms) -> None:
    here.spool.close()
    with pytest.raises(SegmentError):
        here.spool.add([Fact("kent", "2026-11-24", "views", "", "", 1)])
    for _ in range(2):
        answer = send(client, beacon(here))
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")


def test_without_a_key_of_the_hour_nothing_is_kept_and_decisions_are(
    client: FlaskClient, here: Rooms, clock: Clock
) -> None:
    clock.forward(hours=49)
    late = beacon(here, day=clock.now.date().isoformat())
    assert dropped(send(client, late)) == "no-key"
    assert segments(here.settings.spool) == []
    site = here.sites.get("kent")
    decision = {"site": "kent", "notice": site.notice.sha256, "method": "banner-accept-all", "lang": "en"}
    decisions = {purpose.key: True for purpose in site.optional}
    answer = client.post(
        "/v1/consent", json=decision | {"decisions": decisions}, base_url=KENT, headers={"Origin": KENT}
    )
    assert answer.status_code == 201
    ready = client.get("/readyz")
    assert (ready.status_code, ready.get_json()["checks"]["spool"]) == (503, False)
    assert 'endpoint="collect.collect",status="204",reason="no-key"} 1' in client.get("/metrics").text
    make_hour_keys(here.settings, clock.now)
    assert client.get("/readyz").get_json()["checks"]["spool"] is True
    assert send(client, late).status_code == 202
    assert kept(here)


def test_an_objection_is_honoured_where_statistics_run_by_default(client: FlaskClient, here: Rooms) -> None:
    objected = permit(here, "surrey", statistics=False)
    assert dropped(send(client, beacon(here, "surrey", permit=objected), SURREY)) == "permit"
    assert (
        send(client, beacon(here, "surrey", permit=permit(here, "surrey", explicit=False)), SURREY).status_code == 202
    )


def test_every_reason_is_a_line_of_the_metrics(client: FlaskClient, here: Rooms) -> None:
    signal = {"Sec-GPC": "1"}
    default = beacon(here, "surrey", permit=permit(here, "surrey", explicit=False))
    earlier = here.seal.permit("kent", "0" * 64, {"statistics": True}, here.settings.clock().date())
    answers = [
        *(send(client, beacon(here) | change) for change in DROPS.values()),
        send(client, default, SURREY, **signal),
        send(client, beacon(here, permit=earlier)),
        send(client, beacon(here), **{"User-Agent": "curl/8.0"}),
        send(client, beacon(here), Origin="https://stranger.example"),
        send(client, b"x" * (facts.MAX_BYTES + 1)),
        *(send(client, beacon(here)) for _ in range(2)),
    ]
    told = {dropped(answer) for answer in answers if answer.status_code == 204}
    assert told == {*DROPS, "gpc", "notice", "bot", "origin", "size", "repeat"}
    text = client.get("/metrics").text
    for reason in told:
        assert f'endpoint="collect.collect",status="204",reason="{reason}"}}' in text
    assert 'endpoint="collect.collect",status="202"} 1' in text


# -- the door before the application answers as the application would -------------------------------------------------

ASKED: dict[str, dict[str, Any]] = {
    "kept": {},
    "a later view": {"document": {"n": 2, "p": 2, "k": 2, "gap": "", "prev": "/furniture"}},
    "of another origin": {"headers": {"Origin": "https://stranger.example"}},
    "of another site's page": {"headers": {"Origin": SURREY}},
    "of no page": {"headers": {"Origin": None}},
    "of no page, told by the browser": {"headers": {"Origin": None, "Sec-Fetch-Site": "same-origin"}},
    "of a hidden page": {"headers": {"Origin": "null", "Sec-Fetch-Site": "same-origin"}},
    "of a page elsewhere": {"headers": {"Origin": None, "Sec-Fetch-Site": "cross-site"}},
    "of our own page": {"base": "http://127.0.0.1:8000", "headers": {"Origin": "http://127.0.0.1:8000"}},
    "over TLS": {"base": "https://consent.example", "headers": {"Origin": KENT}},
    "an unknown site": {"document": {"site": "nowhere"}},
    "a wrong day": {"document": {"day": "2026-11-22"}},
    "a forged permit": {"document": {"permit": "forged.text"}},
    "an unknown field": {"document": {"colour": "red"}},
    "a robot": {"headers": {"User-Agent": "curl/8.0"}},
    "another type": {"type": "application/json"},
    "a type in capitals": {"type": "TEXT/PLAIN ; charset=utf-8"},
    "no type": {"type": ""},
    "too long": {"body": b"x" * 5000},
    "no body": {"body": b""},
    "a question": {"query": "site=kent"},
    "with a cookie": {"headers": {"Cookie": f"{LAST_DAY}=2026-11-16; other=1"}},
}


def test_the_door_answers_as_the_application_does(settings: Settings, make_app: MakeApp) -> None:
    public = replace(settings, public_url="https://consent.example")
    other = shutil.copytree(settings.home, settings.home.with_name("other"))
    both = make_app(public), make_app(replace(public, home=other))
    doors = [app.wsgi_app for app in both]
    assert isinstance(doors[0], Door)
    assert isinstance(doors[1], Door)
    ways = (doors[0], doors[1].inner)
    for number, (name, asked) in enumerate(ASKED.items()):
        body = beacon(both[0].extensions[NAME], nonce=f"{number:016x}") | asked.get("document", {})
        headers = {"Origin": KENT, "User-Agent": FIREFOX, "Content-Type": asked.get("type", "text/plain")}
        headers = {key: value for key, value in (headers | asked.get("headers", {})).items() if value}
        answers = [answered(way, headers, json.dumps(body).encode(), asked) for way in ways]
        assert answers[0] == answers[1], name
        assert counted(both[0]) == counted(both[1]), name
    facts = [Counter(kept(app.extensions[NAME])) for app in both]
    assert facts[0] == facts[1]
    assert facts[0].total() > 50


def counted(app: Flask) -> dict[tuple[str, ...], int]:
    tally: Tally = app.extensions[GUARD][1]
    return tally.counts()


def answered(way: Any, headers: dict[str, str], body: bytes, asked: dict[str, Any]) -> tuple[str, list[Any]]:
    """Status and every header; without the moment at which a cookie ends, which is that of this very second."""
    base, query = asked.get("base", KENT), asked.get("query")
    body = asked.get("body", body)
    environ = create_environ("/v1/collect", base, method="POST", data=body, headers=headers, query_string=query)
    content, status, found = run_wsgi_app(way, environ)
    assert b"".join(content) == b""
    return status.upper(), sorted((name, re.sub("Expires=[^;]+; ", "", text)) for name, text in found)


def test_what_goes_wrong_at_the_door_is_told_as_the_application_tells_it(settings: Settings, make_app: MakeApp) -> None:
    app = make_app(replace(settings, beacons_per_minute=1))
    here: Rooms = app.extensions[NAME]
    send(app.test_client(), beacon(here))
    answer = send(app.test_client(), beacon(here))
    assert (answer.status_code, answer.mimetype, answer.get_json()["status"]) == (429, "application/problem+json", 429)
    object.__setattr__(here.settings, "beacons_per_minute", 100)
    assert app.test_client().get("/v1/collect").status_code == 405
    client = app.test_client()
    app.extensions["consent-nonces"] = None  # a fault of ours
    fault = send(client, beacon(here, nonce="00000000000000cc"))
    assert (fault.status_code, "reference" in fault.get_json()["detail"]) == (500, True)


FIELDS = st.sampled_from([*FIRST, "prev", "g", "f", "key", "step", "engaged", "scroll", "referrer", "utm_campaign"])
VALUES = st.integers(-3, 100_001) | st.text(max_size=30) | st.none() | st.lists(st.integers(0, 20), max_size=3)


@hypothesis_settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=st.dictionaries(FIELDS, VALUES, max_size=5), path=st.text(max_size=60), nonce=st.integers(0, 2**64 - 1))
def test_no_beacon_does_worse_than_being_dropped(
    app: Flask, here: Rooms, clock: Clock, changes: dict[str, Any], path: str, nonce: int
) -> None:
    clock.forward(seconds=1)
    document = beacon(here, path=f"/{path}", nonce=f"{nonce:016x}", **changes)
    answer = send(app.test_client(), document)
    assert answer.status_code in (202, 204)


def day_cookie(answer: TestResponse) -> str:
    """The Set-Cookie header of an answer, "" if it has none."""
    return answer.headers.get("Set-Cookie", "")


def test_the_first_view_of_a_day_leaves_its_date_and_nothing_else(client: FlaskClient, here: Rooms) -> None:
    answer = send(client, beacon(here))
    name, _, rest = day_cookie(answer).partition("=")
    assert (name, rest.split("; ")[0]) == (LAST_DAY, "2026-11-24")
    assert {"Max-Age=15552000", "Path=/", "SameSite=Lax"} <= set(rest.split("; "))
    later = [beacon(here, nonce="00000000000000bb", n=2, p=2, k=2, gap="", prev="/furniture")]
    later.append(beacon(here, nonce="00000000000000cc", kind="goal", key="enquiry", g=1))
    assert [day_cookie(send(client, document)) for document in later] == ["", ""]


def test_no_date_is_left_without_permission_or_declaration(
    home: Path, settings: Settings, make_app: MakeApp, client: FlaskClient, here: Rooms
) -> None:
    assert day_cookie(send(client, beacon(here, permit=permit(here, statistics=False)))) == ""
    file = home / "sites.toml"
    file.write_text(file.read_text("utf-8").replace(f'name = "{LAST_DAY}"', 'name = "other"'), "utf-8")
    answer = send(make_app(settings).test_client(), beacon(here))
    assert (answer.status_code, day_cookie(answer)) == (202, "")


def test_a_site_elsewhere_has_no_date_even_if_it_declares_one(
    home: Path, settings: Settings, make_app: MakeApp
) -> None:
    file = home / "sites.toml"
    counters = 'name = "consent-banner"\nkind = "indexedDB"'
    file.write_text(file.read_text("utf-8").replace(counters, f'name = "{LAST_DAY}"'), "utf-8")
    app = make_app(settings)
    document = beacon(app.extensions[NAME], "defibrental")
    answer = send(app.test_client(), document, "http://defibrental.localhost:8000")
    assert (answer.status_code, day_cookie(answer)) == (202, "")


@pytest.mark.parametrize(
    ("held", "said", "counted"),
    [
        ("2026-11-16", "first", "8"),  # its counters were forgotten after seven days
        ("2026-10-24", "first", "31"),
        ("2026-10-23", "first", "32-60"),
        ("2026-05-28", "first", "91-180"),
        ("2025-11-23", "first", "more"),
        ("2026-11-16", "2", "2"),  # what the browser knows itself wins
        ("2026-11-24", "first", "first"),
        ("2026-11-25", "first", "first"),
        ("someone", "first", "first"),
    ],
)
def test_the_last_day_is_known_where_counters_were_forgotten(
    client: FlaskClient, here: Rooms, held: str, said: str, counted: str
) -> None:
    client.set_cookie(LAST_DAY, held, domain="kent.localhost")
    send(client, beacon(here, gap=said))
    assert [fact.key1 for fact in kept(here) if fact.statistic == "returning"] == [counted]


def test_a_withdrawal_clears_the_date(client: FlaskClient, here: Rooms) -> None:
    client.set_cookie(LAST_DAY, "2026-11-16", domain="kent.localhost")
    site = here.sites.get("kent")
    decision = {
        "site": "kent",
        "notice": site.notice.sha256,
        "decisions": {purpose.key: False for purpose in site.optional},
        "method": "banner-reject-all",
        "lang": "en",
    }
    client.post("/v1/consent", json=decision, base_url=KENT, headers={"Origin": KENT})
    assert client.get_cookie(LAST_DAY, domain="kent.localhost") is None
