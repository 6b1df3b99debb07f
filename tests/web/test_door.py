"""A decision through the door before the application: answered as the application answers, header by header.

`test_collect` does the same with beacons.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from flask import Flask
from werkzeug.http import dump_cookie
from werkzeug.test import create_environ, run_wsgi_app

from consent_app import keepsakes
from consent_app.decisions import Outcome, cookie_text
from consent_app.door import Door
from consent_app.guard import NAME as GUARD
from consent_app.guard import Tally
from consent_app.receipts import VALIDITY, receipt
from consent_app.rooms import NAME, Rooms
from consent_app.settings import Settings
from tests.web.conftest import Clock

KENT = "http://kent.localhost:8000"
DEFIBRENTAL = "http://defibrental.localhost:8000"


@pytest.fixture
def here(app: Flask) -> Rooms:
    rooms: Rooms = app.extensions[NAME]
    return rooms


def decision(here: Rooms, key: str) -> dict[str, Any]:
    site = here.sites.get(key)
    whole = {purpose.key: True for purpose in site.optional}
    said = {"site": key, "notice": site.notice.sha256, "decisions": whole}
    return said | {"method": "banner-accept-all", "lang": "en"}


DECIDED: dict[str, dict[str, Any]] = {
    "given": {},
    "refused": {"document": {"decisions": {"statistics": False, "embeds": False}, "method": "banner-reject-all"}},
    "of another origin": {"headers": {"Origin": "https://stranger.example"}},
    "of another site's page": {"headers": {"Origin": DEFIBRENTAL}},
    "of no page": {"headers": {"Origin": None}},
    "of a page elsewhere": {"headers": {"Origin": None, "Sec-Fetch-Site": "cross-site"}},
    "of a hidden page": {"headers": {"Origin": "null", "Sec-Fetch-Site": "same-origin"}},
    "of our own page": {"base": "http://127.0.0.1:8000", "headers": {"Origin": "http://127.0.0.1:8000"}},
    "over TLS": {"base": "https://consent.example", "headers": {"Origin": KENT}},
    "from a long host": {"base": f"http://{'a.' * 300}example", "headers": {"Origin": KENT}},
    "for a site elsewhere": {"site": "defibrental", "headers": {"Origin": DEFIBRENTAL}},
    "for an unknown site": {"document": {"site": "nowhere"}},
    "under an old notice": {"document": {"notice": "0" * 64}},
    "with a strange field": {"document": {"colour": "red"}},
    "with a forged token": {"document": {"token": "e30.AAAA"}},
    "in another language": {"document": {"lang": "cy-GB"}},
    "in no language": {"document": {"lang": "\ud800"}},
    "of another type": {"type": "text/plain"},
    "a type in capitals": {"type": "APPLICATION/JSON ; charset=utf-8"},
    "no type": {"type": ""},
    "no JSON": {"body": b"{"},
    "a deep body": {"body": b"[" * 4000},
    "a list": {"body": b"[]"},
    "too long": {"body": b" " * 5000},
    "no body": {"body": b""},
    "a question": {"query": "site=kent"},
    "with cookies": {"headers": {"Cookie": "consent=1; consent-last-day=2026-11-16; map_zoom=2; other=1"}},
    "a forged proof": {"headers": {"Cookie": f"{keepsakes.PROOF}=e30.AAAA"}},
    "once too often": {"limit": 1},
}


def test_the_door_takes_decisions_as_the_application_does(
    settings: Settings, make_app: Callable[[Settings], Flask]
) -> None:
    public = replace(settings, public_url="https://consent.example", decisions_per_minute=100)
    other = shutil.copytree(settings.home, settings.home.with_name("other"))
    both = make_app(public), make_app(replace(public, home=other))
    doors = [app.wsgi_app for app in both]
    assert isinstance(doors[0], Door)
    assert isinstance(doors[1], Door)
    for name, asked in DECIDED.items():
        for app in both:
            object.__setattr__(app.extensions[NAME].settings, "decisions_per_minute", asked.get("limit", 100))
        body = decision(both[0].extensions[NAME], asked.get("site", "kent")) | asked.get("document", {})
        headers = {"Origin": KENT, "Content-Type": asked.get("type", "application/json")} | asked.get("headers", {})
        said = json.dumps(body).encode()
        answers = [answered(way, headers, said, asked) for way in (doors[0], doors[1].inner)]
        assert answers[0] == answers[1], name
        tallies: list[Tally] = [app.extensions[GUARD][1] for app in both]
        assert tallies[0].counts() == tallies[1].counts(), name
    kept = [recorded(app.extensions[NAME]) for app in both]
    assert kept[0] == kept[1]
    assert len(kept[0]) > 8


def recorded(here: Rooms) -> list[dict[str, Any]]:
    return [entry.record | {"id": bool(entry.record.get("id"))} for entry in here.ledger.entries()]


# What is drawn at random differs: a receipt's id, in the answer and under the seal.
_DRAWN = {"receipt": None, "token": None}


def answered(way: Any, headers: dict[str, Any], body: bytes, asked: dict[str, Any]) -> tuple[str, list[Any], Any]:
    """Status, every header and the body of an answer."""
    base, query, body = asked.get("base", KENT), asked.get("query"), asked.get("body", body)
    sent = {name: text for name, text in headers.items() if text}
    environ = create_environ("/v1/consent", base, method="POST", data=body, headers=sent, query_string=query)
    content, status, found = run_wsgi_app(way, environ)
    text = b"".join(content)
    document = json.loads(text)
    token = document.get("token") or "no token"
    names = sorted((name, value.replace(token, "(token)")) for name, value in found if name != "Content-Length")
    assert found["Content-Length"] == str(len(text))
    return status.upper(), names, document | {name: len(document[name]) for name in _DRAWN if name in document}


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("allowed", [True, False])
def test_cookies_are_spelt_as_werkzeug_spells_them(here: Rooms, clock: Clock, scheme: str, allowed: bool) -> None:
    site = here.sites.get("kent")
    made = receipt("kent", site.notice.sha256, dict.fromkeys(site.asked, allowed), clock.now)
    value = cookie_text(made, here.seal.permit("kent", made.notice, made.decisions, made.day))
    outcome = Outcome(made, made.id, "", here.seal.token(made), value)
    more: dict[str, Any] = {"max_age": VALIDITY, "expires": made.expires, "samesite": "Lax"}
    hidden: dict[str, Any] = {"secure": True, "httponly": True, **more}
    environ = create_environ("/v1/consent", f"{scheme}://kent.localhost")
    assert keepsakes.cookies(environ, site, outcome) == [
        dump_cookie("consent", value, secure=scheme == "https", **more),
        *(dump_cookie(keepsakes.PROOF, outcome.token, path=path, **hidden) for path in keepsakes.PROOF_PATHS),
        dump_cookie(keepsakes.RIGHTS, outcome.token, path=keepsakes.RIGHTS_PATH, **hidden),
    ]
