"""Every role at every route: who gets in, who finds nothing there, and that no page shows anything of another site.

The routes come from the application itself: a new one fails here until it is declared in ROUTES.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Final

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.routing import Rule
from werkzeug.test import TestResponse

from consent_app import create_app
from consent_app.api_keys import ApiKeys
from consent_app.rooms import NAME, Rooms
from tests.released import Shop, write
from tests.web.api_figures import close, standing
from tests.web.conftest import Clock
from tests.web.rights_visitor import visitor
from tests.web.test_dashboard_login import hidden, sign_in

PASSWORD = "correct horse battery"
# Who: role and sites (none stands for all). `nobody` is not signed in.
ROLES: Final[Mapping[str, tuple[str, tuple[str, ...]] | None]] = {
    "nobody": None,
    "kents-viewer": ("viewer", ("kent",)),
    "surreys-viewer": ("viewer", ("surrey",)),
    "kents-auditor": ("auditor", ("kent",)),
    "surreys-auditor": ("auditor", ("surrey",)),
    "surreys-admin": ("admin", ("surrey",)),
    "auditor": ("auditor", ()),
    "admin": ("admin", ()),
}
ACCOUNTS = set(ROLES) - {"nobody"}
OF_KENT = {"kents-viewer", "kents-auditor", "auditor", "admin"}
READERS = {"kents-auditor", "surreys-auditor", "surreys-admin", "auditor", "admin"}
# The rules: to whom a route answers. Everybody else is led to the sign-in page, or finds nothing there.
PUBLIC = set(ROLES)
DASHBOARD: Final[Mapping[str, set[str]]] = {
    "GET dashboard.sites": ACCOUNTS,
    "GET dashboard.site": OF_KENT,
    "GET dashboard.table": OF_KENT,
    "GET dashboard.exports.export": OF_KENT,
    "GET dashboard.notebook.notebook": OF_KENT,
    "POST dashboard.notebook.write": OF_KENT,  # notes and links are an admin's: tests/web/test_notebook.py
    "GET dashboard.records.activities": READERS,
    "GET dashboard.records.complaints": READERS,
    "GET dashboard.records.complaint": READERS & OF_KENT,
    "POST dashboard.records.answer": {"admin"},
    "GET dashboard.trail.entries": {"auditor", "admin"},
    "GET dashboard.account.overview": ACCOUNTS,
    "GET dashboard.account.factor": ACCOUNTS,
    "POST dashboard.account.begin_factor": ACCOUNTS,
    "POST dashboard.account.confirm_factor": ACCOUNTS,
    "POST dashboard.account.everywhere": ACCOUNTS,
    "POST dashboard.account.password": ACCOUNTS,
    "POST dashboard.account.remove_factor": ACCOUNTS,
    "POST dashboard.account.renew": ACCOUNTS,
}
# Before anybody is signed in. What they do is in test_dashboard_login.py and test_totp.py.
DOOR = {
    "GET dashboard.login.sign_in", "POST dashboard.login.sign_in", "GET dashboard.login.second_factor",
    "POST dashboard.login.second_factor", "POST dashboard.login.sign_out",
}  # fmt: skip
# For whoever holds a key; a session opens nothing there.
KEYED = {"POST stats_api.query"}
# For everybody, and the same for everybody: no page here knows who is signed in.
OPEN = {
    "GET static", "GET banner.show_details", "GET banner.show_look", "GET dashboard.shares.shared",
    "GET dashboard.shares.table", "POST dashboard.shares.enter", "GET banner.show_fragment",
    "GET banner.show_preferences", "GET banner.show_insert", "GET banner.show_config", "GET banner.show_mode",
    "GET banner.show_loader", "GET banner.show_file", "GET banner.show_gpc", "GET preference.state",
    "POST preference.decide_by_script", "POST preference.hand_over", "DELETE preference.withdraw",
    "POST preference.decide_by_form", "GET preference.cookies", "POST collect.collect", "GET operations.front",
    "GET operations.healthz", "GET operations.readyz", "GET operations.metrics", "GET operations.security",
    "GET transparency.checkpoint", "GET transparency.key", "GET transparency.notice", "GET transparency.tile",
    "GET transparency.year_file", "GET transparency.verify", "GET transparency.verify_alone",
    "GET transparency.asset", "GET transparency.proof", "GET transparency.receipt", "GET transparency.receipt_page",
    "GET transparency.receipt_file", "GET rights.overview", "POST rights.overview_by_receipt", "POST rights.copy",
    "POST rights.erase", "GET rights.erased", "GET rights.erasure_receipt", "GET rights.erasure_proof",
    "POST rights.stop", "GET rights.style", "GET complaints.offer", "POST complaints.take", "GET complaints.show",
    "GET notices.archive", "GET notices.notice", "GET notices.banner", "GET notices.banner_file",
    "POST witness.add_checkpoint", "GET witness.key", "GET witness.cosigned", "GET stats_api.openapi",
}  # fmt: skip
ROUTES = {*DASHBOARD, *DOOR, *KEYED, *OPEN}


@dataclass
class House:
    """One application with figures, a complaint about kent and an account of each role, signed in."""

    app: Flask
    rooms: Rooms
    clients: dict[str, FlaskClient]
    complaint: str


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    settings = standing(tmp_path_factory.mktemp("house") / "home", Clock(), decisions_per_minute=100_000)
    shops = [Shop(key, 240, date(2026, 11, 1), date(2026, 11, 23)) for key in ("kent", "surrey")]
    write(settings.stats_file, shops)
    app = create_app(settings)
    here: Rooms = app.extensions[NAME]
    page = visitor(app).sends("/your-data/complaints", text="The map came first.").headers["Location"]
    clients = {}
    for name, account in ROLES.items():
        clients[name] = app.test_client()
        if account:
            here.users.add(name, PASSWORD, account[0], account[1])  # type: ignore[arg-type]
            assert sign_in(clients[name], PASSWORD, name).status_code == 303
    yield House(app, here, clients, page.partition("?")[0].rpartition("/")[2])
    close(app)


def routes(app: Flask) -> Iterator[tuple[str, str, Rule]]:
    """Method, its name in ROUTES, and the rule."""
    for rule in app.url_map.iter_rules():
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
            yield method, f"{method} {rule.endpoint}", rule


def address(house: House, rule: Rule, site: str = "kent") -> str:
    """An address of that rule, about a site, a complaint about kent, and otherwise about nothing that is there."""
    known = {"key": site, "site": site, "reference": house.complaint, "name": "pages", "seq": 1}
    with house.app.test_request_context():
        values = {name: known.get(name, "0" * 64) for name in rule.arguments}
        if "any(" in rule.rule:
            values["name"] = "receipt.css"
        built = rule.build(values)
    assert built is not None
    return str(built[1])


def asks(house: House, who: str, method: str, path: str) -> TestResponse:
    answer = house.clients[who].open(path, method=method)
    answer.get_data()
    answer.close()
    return answer


def test_every_route_is_declared_and_every_declared_route_is_there(house: House) -> None:
    found = {name for _, name, _ in routes(house.app)}
    assert sorted(found - ROUTES) == [], "say in ROUTES who may use them"
    assert sorted(ROUTES - found) == []


def test_every_role_at_every_route_of_the_dashboard(house: House) -> None:
    wrong = []
    for method, name, rule in routes(house.app):
        for who in ROLES if name in DASHBOARD else ():
            answer = asks(house, who, method, address(house, rule))
            if who in DASHBOARD[name]:
                right = answer.status_code in (200, 400, 422)  # a form without its token goes no further
            elif who == "nobody":
                right = answer.status_code == 303 and answer.location.startswith("/dashboard/login")
            else:
                right = answer.status_code == 404 and "Kent" not in answer.text
            if not right:
                wrong.append(f"{who} at {name}: {answer.status_code}")
    assert wrong == []


def test_a_session_changes_nothing_on_the_open_routes(house: House) -> None:
    different = []
    for method, name, rule in routes(house.app):
        if name in OPEN:
            path = address(house, rule)
            statuses = {
                who: asks(house, who, method, path).status_code for who in ("nobody", "surreys-viewer", "admin")
            }
            if len({*statuses.values()}) > 1 or max(statuses.values()) >= 500:
                different.append(f"{name}: {statuses}")
    assert different == []


def test_every_answer_carries_its_headers(house: House) -> None:
    """Every route, so that no page is forgotten: policy with Trusted Types, no sniffing, no cookie, no cache."""
    wrong = []
    for method, name, rule in routes(house.app):
        answer = house.clients["admin"].open(address(house, rule), method=method)
        answer.close()
        policy = answer.headers.get("Content-Security-Policy", "")
        page = answer.mimetype == "text/html" and name != "GET transparency.verify_alone"
        demanded = ["default-src 'none'", "base-uri 'none'", "frame-ancestors 'none'"]
        demanded += ["require-trusted-types-for 'script'", "trusted-types"] if page else []
        has_policy = all(part in policy for part in demanded) and "unsafe" not in policy and "http" not in policy
        if answer.status_code not in (204, 303, 308) and not has_policy and "verify_alone" not in name:
            wrong.append(f"{name} {answer.status_code}: {policy}")
        if answer.headers.get("X-Content-Type-Options") != "nosniff":
            wrong.append(f"{name}: sniffed")
        if name in DASHBOARD and answer.headers.get("Cache-Control") != "no-store":
            wrong.append(f"{name}: cached")
        if page and name in DASHBOARD and answer.headers.get("Cross-Origin-Resource-Policy") != "same-origin":
            wrong.append(f"{name}: can be embedded")
        if page and not answer.headers.get("Referrer-Policy"):
            wrong.append(f"{name}: tells where people come from")
    assert wrong == []


def test_no_route_shows_a_viewer_of_one_site_anything_of_another(house: House) -> None:
    """Whatever comes in answer, the other site's name, controller or figures are not in it."""
    names = re.compile("Kent Office|kent.localhost|site=kent|/kent")
    seen = []
    for method, name, rule in routes(house.app):
        if name in DASHBOARD and method == "GET":
            for path in {address(house, rule, site) for site in ("kent", "surrey")}:
                for who in ("surreys-viewer", "surreys-auditor", "surreys-admin"):
                    text = asks(house, who, method, path).get_data().decode(errors="replace")
                    if names.search(text.partition("Where it lies")[0]):
                        seen.append(f"{who} at {path}")
    assert seen == []
    assert names.search(asks(house, "admin", "GET", "/dashboard/").text), "who may see it sees it"


def test_no_form_of_the_dashboard_is_taken_without_its_token(house: House) -> None:
    posts = [(name, rule) for method, name, rule in routes(house.app) if method == "POST" and name in DASHBOARD]
    assert len(posts) > 5
    before = house.rooms.users.all()
    fields = {"password": PASSWORD, "new": "a sentence nobody knows", "code": "123456", "text": "x"}
    for name, rule in posts:
        for token in ({}, {"csrf_token": "forged"}):
            answer = house.clients["admin"].post(address(house, rule), data={**fields, **token})
            assert answer.status_code in (400, 422), name
    assert house.rooms.users.all() == before


def test_a_method_that_a_route_does_not_take_is_refused(house: House) -> None:
    for _, name, rule in routes(house.app):
        if name.startswith(("GET dashboard", "POST dashboard")):
            for method in ("PUT", "PATCH", "DELETE", "TRACE"):
                assert asks(house, "admin", method, address(house, rule)).status_code == 405, name


def test_a_key_opens_its_site_and_a_session_opens_no_question(house: House) -> None:
    keys = ApiKeys(house.rooms.settings.api_keys)
    _, surreys = keys.add("tool", ("surrey",), date(2026, 11, 24), date(2027, 11, 24))
    question = {"site_id": "kent", "metrics": ["visitors"], "date_range": ["2026-11-02", "2026-11-22"]}
    path = "/api/v2/query"
    headers = {"Authorization": f"Bearer {surreys}"}
    assert house.clients["nobody"].post(path, json=question, headers=headers).status_code == 404
    assert house.clients["admin"].post(path, json=question).status_code == 401
    own = {**question, "site_id": "surrey"}
    assert house.clients["nobody"].post(path, json=own, headers=headers).status_code == 200


def test_an_account_that_loses_a_site_loses_it_at_once(house: House) -> None:
    house.rooms.users.add("moving", PASSWORD, "viewer", ("kent",))
    client = house.app.test_client()
    sign_in(client, PASSWORD, "moving")
    assert client.get("/dashboard/kent").status_code == 200
    house.rooms.users.add("moving", PASSWORD, "viewer", ("surrey",))
    assert client.get("/dashboard/kent").status_code == 303
    sign_in(client, PASSWORD, "moving")
    assert client.get("/dashboard/kent").status_code == 404
    assert hidden(client.get("/dashboard/").text, "csrf_token")
