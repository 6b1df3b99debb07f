"""Signing in and out on the real application: sessions end, guessing is slow, nobody is led astray."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from consent_app.errors import SettingsError
from consent_app.rooms import NAME, Rooms
from consent_app.settings import Settings
from tests.web.conftest import Clock

pytestmark = pytest.mark.usefixtures("light_hashes")
PASSWORD = "correct horse battery"
SIGN_IN = "/dashboard/login"


@pytest.fixture(autouse=True)
def mary(app: Flask) -> None:
    """One account that may see everything."""
    people(app).users.add("mary", PASSWORD, "viewer")


def people(app: Flask) -> Rooms:
    rooms: Rooms = app.extensions[NAME]
    return rooms


def hidden(page: str, name: str) -> str:
    found = re.search(rf'name="{name}"[^>]*value="([^"]*)"', page)
    assert found, f"no field {name}"
    return found[1]


def sign_in(client: FlaskClient, password: str = PASSWORD, name: str = "mary", **more: Any) -> TestResponse:
    page = client.get(SIGN_IN, query_string={"next": more.pop("next", "")}).text
    fields = {"csrf_token": hidden(page, "csrf_token"), "next": hidden(page, "next")}
    return client.post(SIGN_IN, data={**fields, "name": name, "password": password}, **more)


def told(response: TestResponse) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", response.text).split())


def test_every_page_leads_to_the_sign_in_page_and_back(client: FlaskClient) -> None:
    asked = client.get("/dashboard/kent?period=7d&metric=visits")
    assert asked.status_code == 303
    page = client.get(asked.location)
    assert hidden(page.text, "next") == "/dashboard/kent?period=7d&amp;metric=visits"
    back = sign_in(client, next="/dashboard/kent?period=7d")
    assert (back.status_code, back.location) == (303, "/dashboard/kent?period=7d")
    assert client.get(back.location).status_code == 200


def test_the_right_password_opens_the_list_of_sites(client: FlaskClient) -> None:
    assert sign_in(client).location == "/dashboard/"
    page = client.get("/dashboard/")
    assert "Kent Office Solutions" in page.text
    assert page.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(("name", "password"), [("mary", "wrong password"), ("nobody", PASSWORD)])
def test_a_wrong_name_and_a_wrong_password_get_the_same_answer(client: FlaskClient, name: str, password: str) -> None:
    answer = sign_in(client, password, name)
    assert answer.status_code == 401
    assert "Name and password do not match an account." in told(answer)
    assert client.get("/dashboard/").status_code == 303


def test_empty_fields_are_named(client: FlaskClient) -> None:
    answer = sign_in(client, "", "")
    assert answer.status_code == 400
    assert "Enter your name." in told(answer)
    assert "Enter your password." in told(answer)
    assert 'aria-describedby="password-error"' in answer.text


@pytest.mark.parametrize("token", ["", "forged"])
def test_a_form_of_another_site_does_nothing(client: FlaskClient, token: str) -> None:
    client.get(SIGN_IN)
    answer = client.post(SIGN_IN, data={"name": "mary", "password": PASSWORD, "csrf_token": token})
    assert answer.status_code == 400
    assert "Sign in again" in told(answer)
    assert client.get("/dashboard/").status_code == 303


ELSEWHERE = [
    "https://evil.example/", "//evil.example/dashboard/", "/\\evil.example", "/dashboard/..//evil.example",
    "/dashboard/%2f%2fevil.example", "/dashboard/kent\n//evil.example", "javascript:alert(1)", "/v1/consent",
    "/dashboard/login", "/dashboard/logout", "/dashboard/login/code", "/dashboard//evil.example",
    "/dashboard/kent//evil.example", "/dashboard/kent?next=//evil.example", "/dashboardkent", "dashboard/",
]  # fmt: skip


@pytest.mark.parametrize("address", ELSEWHERE)
def test_nobody_is_led_elsewhere_after_signing_in(client: FlaskClient, address: str) -> None:
    assert sign_in(client, next=address).location == "/dashboard/"
    page = client.get(SIGN_IN).text
    fields = {"csrf_token": hidden(page, "csrf_token"), "name": "mary", "password": PASSWORD, "next": address}
    assert client.post(SIGN_IN, data=fields).location == "/dashboard/"


def test_a_session_ends_after_30_idle_minutes(client: FlaskClient, clock: Clock) -> None:
    sign_in(client)
    for _ in range(3):
        clock.forward(minutes=29)
        assert client.get("/dashboard/").status_code == 200
    clock.forward(minutes=30)
    ended = client.get("/dashboard/kent")
    assert ended.status_code == 303
    assert "after 30 minutes without activity" in told(client.get(ended.location))
    assert client.get("/dashboard/").status_code == 303


def test_a_session_lasts_twelve_hours_at_most(client: FlaskClient, clock: Clock) -> None:
    sign_in(client)
    for _ in range(12 * 3 - 1):
        clock.forward(minutes=20)
        assert client.get("/dashboard/").status_code == 200
    clock.forward(minutes=20)
    ended = client.get("/dashboard/")
    assert ended.status_code == 303
    assert "12 hours at most" in told(client.get(ended.location))


def test_signing_out_ends_the_session(client: FlaskClient) -> None:
    sign_in(client)
    token = hidden(client.get("/dashboard/").text, "csrf_token")
    assert client.post("/dashboard/logout").status_code == 400
    assert client.get("/dashboard/").status_code == 200
    left = client.post("/dashboard/logout", data={"csrf_token": token})
    assert (left.status_code, left.location) == (303, "/dashboard/login?ended=left")
    assert "You are signed out." in told(client.get(left.location))
    assert client.get("/dashboard/").status_code == 303


@pytest.mark.parametrize("change", ["disabled", "password", "role"])
def test_a_change_of_the_account_reaches_open_sessions(app: Flask, client: FlaskClient, change: str) -> None:
    sign_in(client)
    users = people(app).users
    if change == "disabled":
        users.disable("mary")
    else:
        users.add("mary", PASSWORD if change == "role" else "another long password", "viewer", ("orders",))
    ended = client.get("/dashboard/kent")
    assert ended.status_code == 303
    assert "your account was changed" in told(client.get(ended.location))


def posts(client: FlaskClient, to: str, page: str = "/dashboard/account", **fields: str) -> TestResponse:
    token = hidden(client.get(page).text, "csrf_token")
    return client.post(to, data={"csrf_token": token, **fields})


def test_a_copy_of_the_cookie_opens_nothing_after_signing_out(client: FlaskClient, app: Flask, clock: Clock) -> None:
    sign_in(client)
    client.get("/dashboard/")
    copied = client.get_cookie("session", path="/dashboard")
    assert copied
    thief = app.test_client()
    thief.set_cookie("session", copied.value, path="/dashboard")
    assert thief.get("/dashboard/").status_code == 200
    assert posts(client, "/dashboard/logout").headers["Clear-Site-Data"] == '"cache", "storage"'
    thief.set_cookie("session", copied.value, path="/dashboard")
    assert thief.get("/dashboard/").location == "/dashboard/login?next=/dashboard/&ended=left"
    folder = people(app).settings.home / "sessions"
    assert len([*folder.iterdir()]) == 1
    clock.forward(hours=13)
    sign_in(client)
    posts(client, "/dashboard/logout")
    assert len([*folder.iterdir()]) == 1, "what nobody can come back with is not kept"


def test_an_account_changes_its_password_and_ends_its_other_sessions(client: FlaskClient, app: Flask) -> None:
    elsewhere = app.test_client()
    sign_in(client)
    sign_in(elsewhere)
    to, new = "/dashboard/account/password", "a sentence nobody knows"
    for wrong in ({"password": "guess", "new": new}, {"password": PASSWORD, "new": "short"}, {"new": new}, {}):
        assert posts(client, to, **wrong).status_code == 422
    weak = posts(client, to, password=PASSWORD, new="mary mary mary 123")
    assert weak.status_code == 422 and "easy to guess" in told(weak) and "mary mary" not in weak.text
    assert posts(client, to, password=PASSWORD, new=new).location == "/dashboard/account?done=password"
    assert client.get("/dashboard/").status_code == 200
    assert elsewhere.get("/dashboard/").location.endswith("ended=changed")
    assert sign_in(elsewhere).status_code == 401
    assert sign_in(elsewhere, new).status_code == 303


def test_signing_out_everywhere(client: FlaskClient, app: Flask) -> None:
    elsewhere = app.test_client()
    sign_in(client)
    sign_in(elsewhere)
    to = "/dashboard/account/sign-out-everywhere"
    assert posts(client, to, password="guess").status_code == 422
    assert posts(client, to, password=PASSWORD).location == "/dashboard/login?ended=everywhere"
    assert client.get("/dashboard/").status_code == elsewhere.get("/dashboard/").status_code == 303


def test_passwords_of_an_account_are_guessed_slowly_from_inside_too(client: FlaskClient) -> None:
    sign_in(client)
    to = "/dashboard/account/sign-out-everywhere"
    for _ in range(5):
        assert "not your password" in told(posts(client, to, password="guess"))
    assert "Too many failed attempts" in told(posts(client, to, password=PASSWORD))


@pytest.mark.parametrize(
    "path", ["password", "sign-out-everywhere", "second-factor", "second-factor/confirm", "second-factor/off",
             "second-factor/recovery"],
)  # fmt: skip
def test_no_form_of_another_site_changes_an_account(client: FlaskClient, app: Flask, path: str) -> None:
    sign_in(client)
    before = people(app).users.get("mary")
    fields = {"password": PASSWORD, "new": "a sentence nobody knows", "code": "123456"}
    assert client.post(f"/dashboard/account/{path}", data=fields).status_code == 422
    assert people(app).users.get("mary") == before


# --- signed in by a proxy ---------------------------------------------------------------------------------------------

PROXY = {"login_header": "X-Forwarded-User", "login_networks": "10.0.0.5/32, fd00::/64"}


@pytest.fixture
def behind(settings: Settings, make_app: Callable[[Settings], Flask]) -> Callable[..., Any]:
    """Ask for the list of sites with a header, from an address."""
    apps: dict[int, Flask] = {}

    def ask(header: str, peer: str, proxies: int = 1, **more: str) -> TestResponse:
        app = apps.setdefault(
            proxies, make_app(Settings(**{**fields_of(settings), **PROXY, "trusted_proxies": proxies}))
        )
        headers = {"X-Forwarded-User": header, "X-Forwarded-For": "198.51.100.7", **more}
        return app.test_client().get("/dashboard/", headers=headers, environ_base={"REMOTE_ADDR": peer})

    return ask


def test_a_named_proxy_signs_people_in(behind: Callable[..., Any]) -> None:
    for peer, proxies in (("10.0.0.5", 1), ("10.0.0.5", 0), ("fd00::1", 1)):
        answer = behind("Mary", peer, proxies)
        assert answer.status_code == 200 and "mary" in answer.text
    assert behind("", "10.0.0.5").status_code == 303


def test_nobody_elses_word_is_taken(behind: Callable[..., Any], client: FlaskClient) -> None:
    for peer in ("10.0.0.6", "198.51.100.7", "", "unix", "fd00:1::1"):
        for proxies in (0, 1):
            assert behind("mary", peer, proxies).status_code == 303, peer
    assert behind("mary", "10.0.0.6", **{"X-Forwarded-For": "10.0.0.5"}).status_code == 303
    off = client.get("/dashboard/", headers={"X-Forwarded-User": "mary"}, environ_base={"REMOTE_ADDR": "10.0.0.5"})
    assert off.status_code == 303, "it is off by default"


def test_a_proxy_cannot_make_accounts_or_open_shut_ones(behind: Callable[..., Any], app: Flask) -> None:
    unknown = behind("<b>bob</b>", "10.0.0.5")
    assert unknown.status_code == 403 and "bob" not in unknown.text and "No account here" in unknown.text
    people(app).users.disable("mary")
    assert behind("mary", "10.0.0.5").status_code == 403


@pytest.mark.parametrize(
    "change",
    [
        {"login_networks": ""},
        {"login_header": ""},
        {"login_networks": "0.0.0.0/0"},
        {"login_networks": "10.0.0.5/8"},
        {"login_networks": "everybody"},
        {"login_header": "X User"},
    ],
)
def test_half_a_proxy_login_stops_the_start(settings: Settings, change: dict[str, str]) -> None:
    with pytest.raises(SettingsError, match="CONSENT_LOGIN_"):
        Settings(**{**fields_of(settings), **PROXY, **change})


def test_guessing_is_slowed_down_and_says_how_long(client: FlaskClient, clock: Clock) -> None:
    for _ in range(5):
        assert sign_in(client, "wrong password").status_code == 401
    locked = sign_in(client)
    assert (locked.status_code, locked.headers["Retry-After"]) == (429, "30")
    assert "Try again in 30 seconds." in told(locked)
    clock.forward(seconds=30)
    assert sign_in(client).status_code == 303


def test_a_colleague_elsewhere_can_still_sign_in(app: Flask, client: FlaskClient) -> None:
    for _ in range(6):
        sign_in(client, "wrong password")
    other = app.test_client()
    assert sign_in(other, environ_base={"REMOTE_ADDR": "198.51.100.7"}).status_code == 303


def test_an_address_in_a_header_is_believed_only_behind_a_declared_proxy(client: FlaskClient) -> None:
    for n in range(5):
        sign_in(client, "wrong password", headers={"X-Forwarded-For": f"192.0.2.{n}"})
    assert sign_in(client, headers={"X-Forwarded-For": "198.51.100.7"}).status_code == 429


@pytest.mark.parametrize("cookie", ["", "forged", "eyJ1c2VyIjoibWFyeSJ9.aaaa.bbbb"])
def test_a_forged_session_opens_nothing(client: FlaskClient, cookie: str) -> None:
    client.set_cookie("session", cookie, path="/dashboard")
    assert client.get("/dashboard/").status_code == 303


def test_a_session_of_a_foreign_key_opens_nothing(
    client: FlaskClient, settings: Settings, make_app: Callable[[Settings], Flask]
) -> None:
    sign_in(client)
    stolen = client.get_cookie("session", path="/dashboard")
    assert stolen
    strange = make_app(Settings(**{**fields_of(settings), "session_keys": ("another key " * 4,)})).test_client()
    strange.set_cookie("session", stolen.value, path="/dashboard")
    assert strange.get("/dashboard/").status_code == 303


def fields_of(settings: Settings) -> dict[str, Any]:
    return {name: getattr(settings, name) for name in settings.__dataclass_fields__}


def test_the_session_cookie_is_for_the_dashboard_only(client: FlaskClient) -> None:
    cookie = sign_in(client).headers["Set-Cookie"]
    assert {"HttpOnly", "Path=/dashboard", "SameSite=Lax"} <= {part.strip() for part in cookie.split(";")}
    assert "Expires" not in cookie


def test_signing_in_begins_a_new_session(client: FlaskClient) -> None:
    client.get(SIGN_IN)
    with client.session_transaction() as session:
        session["planted"] = "before"
    sign_in(client)
    first = client.get_cookie("session", path="/dashboard")
    sign_in(client)
    second = client.get_cookie("session", path="/dashboard")
    assert first and second and first.value != second.value
    with client.session_transaction() as session:
        assert "planted" not in session
        assert PASSWORD not in str(dict(session))
