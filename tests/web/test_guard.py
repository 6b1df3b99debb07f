"""The guard: headers, other origins, rates, and errors that say enough to people and nothing to thieves."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace

import pytest
from flask import Flask
from flask.testing import FlaskClient

from consent_app import guard
from consent_app.errors import RateError
from consent_app.guard import Rates
from consent_app.settings import Settings
from tests.web.conftest import Clock

KENT = "http://kent.localhost:8000"
PARTNER = "http://defibrental.localhost:8000"
PAGES = ["/", "/cookies?site=kent", "/cookies?site=defibrental", "/nowhere", "/dashboard/login"]
MakeApp = Callable[[Settings], Flask]


@pytest.mark.parametrize("page", PAGES)
def test_every_page_carries_the_headers(client: FlaskClient, page: str) -> None:
    answer = client.get(page)
    assert answer.mimetype == "text/html"
    policy = answer.headers["Content-Security-Policy"]
    assert "unsafe" not in policy
    for directive in ("default-src 'none'", "frame-ancestors 'none'", "require-trusted-types-for 'script'"):
        assert directive in policy
    assert "http" not in policy
    for name in guard.PAGE_HEADERS:
        assert answer.headers[name] == guard.PAGE_HEADERS[name]
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("page", PAGES)
def test_pages_have_nothing_the_policy_would_block(client: FlaskClient, page: str) -> None:
    text = client.get(page).text
    assert " style=" not in text
    assert "<script>" not in text
    assert " onclick=" not in text
    assert "//" not in text.replace("http://kent", "").replace("http://defib", "").replace("https://defib", "")


@pytest.mark.parametrize(
    ("origin", "path", "allowed"),
    [
        (PARTNER, "/v1/sites/defibrental/config", True),
        (PARTNER, "/v1/sites/kent/config", False),
        (PARTNER, "/v1/consent?site=defibrental", True),
        (PARTNER, "/v1/consent?site=kent", False),
        (PARTNER, "/taskbar.js", True),
        (PARTNER + "0", "/v1/consent?site=defibrental", False),
        ("https://defibrental.localhost:8000", "/v1/consent?site=defibrental", False),
        ("https://stranger.example", "/v1/consent?site=defibrental", False),
        ("null", "/v1/consent?site=defibrental", False),
        (PARTNER, "/cookies?site=defibrental", False),
        (PARTNER, "/dashboard/", False),
    ],
)
def test_other_origins_read_only_what_is_theirs(client: FlaskClient, origin: str, path: str, allowed: bool) -> None:
    answer = client.get(path, headers={"Origin": origin})
    answer.close()
    assert answer.headers.get("Access-Control-Allow-Origin") == (origin if allowed else None)
    assert "Access-Control-Allow-Credentials" not in answer.headers
    if path.startswith("/v1/"):
        assert "Origin" in answer.headers["Vary"]


def test_a_preflight_is_answered_for_a_known_origin_only(client: FlaskClient) -> None:
    ask = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}
    answer = client.options("/v1/consent", headers={"Origin": PARTNER, **ask})
    assert answer.status_code == 204
    assert answer.headers["Access-Control-Allow-Origin"] == PARTNER
    assert "DELETE" in answer.headers["Access-Control-Allow-Methods"]
    assert answer.headers["Access-Control-Allow-Headers"] == "Content-Type"
    stranger = client.options("/v1/consent", headers={"Origin": "https://stranger.example", **ask})
    assert "Access-Control-Allow-Origin" not in stranger.headers
    login = client.options("/dashboard/login", headers={"Origin": PARTNER, **ask})
    assert "Access-Control-Allow-Origin" not in login.headers


def test_rates_are_by_address_and_minute(clock: Clock) -> None:
    rates = Rates(clock)
    for _ in range(3):
        rates.take("decision", "192.0.2.1", 3)
    with pytest.raises(RateError) as told:
        rates.take("decision", "192.0.2.1", 3)
    assert told.value.seconds == 60
    rates.take("decision", "192.0.2.2", 3)
    rates.take("beacon", "192.0.2.1", 3)
    clock.forward(minutes=1)
    rates.take("decision", "192.0.2.1", 3)


def test_one_connections_ipv6_addresses_count_as_one(clock: Clock) -> None:
    rates = Rates(clock)
    rates.take("decision", "2001:db8::1", 1)
    with pytest.raises(RateError):
        rates.take("decision", "2001:db8::ffff", 1)
    rates.take("decision", "2001:db8:0:1::1", 1)


def test_memory_of_addresses_is_bounded_and_holds_none(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "MOST_ADDRESSES", 50)
    rates = Rates(clock)
    for number in range(80):
        rates.take("decision", f"192.0.2.{number}", 1000)
    assert len(rates._counts) == 51
    assert not any(b"192.0.2" in place for place in rates._counts)
    yesterday = rates._key
    clock.forward(days=1)
    rates.take("decision", "192.0.2.1", 1000)
    assert rates._key != yesterday


def test_decisions_are_limited(settings: Settings, make_app: MakeApp) -> None:
    client = make_app(replace(settings, decisions_per_minute=2)).test_client()
    answers = [client.post("/v1/consent", json={}, headers={"Origin": KENT}) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [422, 422, 429]
    assert answers[-1].headers["Retry-After"] == "60"


def test_a_forwarded_address_is_believed_only_from_a_declared_proxy(settings: Settings, make_app: MakeApp) -> None:
    few = replace(settings, decisions_per_minute=1)
    for proxies, expected in ((0, [422, 429]), (1, [422, 422])):
        client = make_app(replace(few, trusted_proxies=proxies)).test_client()
        answers = [
            client.post("/v1/consent", json={}, headers={"X-Forwarded-For": f"192.0.2.{number}"}) for number in (1, 2)
        ]
        assert [answer.status_code for answer in answers] == expected


def test_errors_are_pages_for_people_and_problems_for_scripts(client: FlaskClient) -> None:
    page = client.get("/nowhere", headers={"Accept": "text/html"})
    assert (page.status_code, page.mimetype) == (404, "text/html")
    assert "There is no such page" in page.text
    script = client.get("/v1/nowhere")
    assert (script.status_code, script.content_type) == (404, "application/problem+json")
    assert script.get_json()["title"] == "Not Found"
    wrong = client.put("/v1/consent")
    assert wrong.status_code == 405
    assert "POST" in wrong.headers["Allow"]


def test_a_fault_of_ours_is_noted_without_what_the_visitor_sent(app: Flask, caplog: pytest.LogCaptureFixture) -> None:
    @app.get("/fault")
    def fault() -> str:
        raise RuntimeError("jane@example.org")

    with caplog.at_level(logging.ERROR):
        answer = app.test_client().get("/fault?name=jane", headers={"Accept": "text/html"})
    assert answer.status_code == 500
    assert "jane" not in answer.text
    assert "Traceback" not in answer.text
    [line] = [record.getMessage() for record in caplog.records]
    assert "jane" not in line
    reference = line.split()[1].rstrip(":")
    assert reference in answer.text
    assert "test_guard.py" in line


def test_a_body_past_every_limit(client: FlaskClient) -> None:
    answer = client.post("/dashboard/login", data={"name": "x" * 70_000})
    assert answer.status_code == 413
    assert "Traceback" not in answer.text
