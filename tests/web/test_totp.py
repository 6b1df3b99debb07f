"""The second factor: RFC 6238's own vectors, codes that are good once, enrolment, recovery, and what is kept of it."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from click.testing import CliRunner
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from consent_app import totp
from consent_app.commands import main
from consent_app.errors import SettingsError, UsersError
from consent_app.rooms import NAME, Rooms
from consent_app.second_factor import SecondFactors
from consent_app.settings import Settings
from consent_app.users import Users
from tests.web.conftest import Clock
from tests.web.test_dashboard_login import PASSWORD, hidden, sign_in, told

pytestmark = pytest.mark.usefixtures("light_hashes")
MakeApp = Callable[[Settings], Flask]
SECRET = b"12345678901234567890"
# RFC 6238, appendix B: seconds since 1970 -> code of eight digits (SHA-1).
VECTORS = {
    59: "94287082", 1111111109: "07081804", 1111111111: "14050471", 1234567890: "89005924", 2000000000: "69279037",
    20000000000: "65353130",
}  # fmt: skip


@pytest.mark.parametrize(("time", "code"), VECTORS.items())
def test_the_vectors_of_the_standard(time: int, code: str) -> None:
    assert totp.code(SECRET, time, digits=8) == code
    assert totp.step_of(SECRET, code[2:], time, 0) == time // 30


def test_a_code_fits_one_step_around_and_never_again() -> None:
    now = 1_800_000_000
    step = now // 30
    for away, fits in ((-2, False), (-1, True), (0, True), (1, True), (2, False)):
        code = totp.code(SECRET, (step + away) * 30)
        assert totp.step_of(SECRET, code, now, 0) == (step + away if fits else None)
    assert totp.step_of(SECRET, totp.code(SECRET, now), now, after=step) is None
    assert totp.step_of(SECRET, totp.code(SECRET, now - 30), now, after=step) is None, "an older one neither"
    assert totp.step_of(SECRET, "", now, 0) is None


@pytest.mark.parametrize("typed", ["", "12345", "1234567", "12345a", "١٢٣٤٥٦", "123456\0", "-12345"])
def test_what_cannot_be_a_code_is_none(typed: str) -> None:
    assert totp.digits(typed) == ""


def test_codes_are_read_however_they_are_typed() -> None:
    assert totp.digits(" 123 456\n") == "123456"
    codes = totp.new_recovery_codes()
    assert [code[0] for code in codes] == list("0123456789") and len({*codes}) == 10
    assert totp.recovery(codes[3].lower().replace("-", " ")) == codes[3]
    assert totp.recovery("3OIL-0000-0000") == "3011-0000-0000"
    assert [totp.recovery(text) for text in ("", "A000-0000-0000", "0" * 11, "0" * 33, "3U00-0000-0000")] == [""] * 5


def test_the_uri_says_what_an_app_needs() -> None:
    link = urlsplit(totp.uri(SECRET, "mary@example", "consent.example"))
    asked = {name: values[0] for name, values in parse_qs(link.query).items()}
    assert (link.scheme, link.netloc) == ("otpauth", "totp")
    assert asked == {
        "secret": "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ", "issuer": "consent.example", "digits": "6",
        "period": "30", "algorithm": "SHA1",
    }  # fmt: skip


# --- what is kept of it -----------------------------------------------------------------------------------------------


@pytest.fixture
def users(settings: Settings) -> Users:
    users = Users.load(settings.users_file)
    users.add("mary", PASSWORD, "admin")
    return users


@pytest.fixture
def factors(settings: Settings, users: Users) -> SecondFactors:
    return SecondFactors.of(settings, users)


def take(factors: SecondFactors, users: Users, typed: str) -> str | None:
    user = users.get("mary")
    assert user
    return factors.take(user, typed)


def test_a_code_is_good_once_though_many_try_at_once(factors: SecondFactors, users: Users, clock: Clock) -> None:
    secret, codes = factors.enrol("mary")
    code = totp.code(secret, int(clock.now.timestamp()))
    user = users.get("mary")
    assert user
    for typed, kind in ((code, "code"), (codes[0], "recovery code")):
        with ThreadPoolExecutor(4) as pool:
            taken = list(pool.map(lambda _, typed=typed: factors.take(user, typed), range(4)))
        assert sorted(filter(None, taken)) == [kind]
    clock.forward(seconds=30)
    assert take(factors, users, totp.code(secret, int(clock.now.timestamp()))) == "code"


def test_neither_secret_nor_recovery_code_lies_in_clear(
    factors: SecondFactors, users: Users, settings: Settings
) -> None:
    secret, codes = factors.enrol("mary")
    key = re.search("secret=([A-Z2-7]+)", totp.uri(secret, "mary", "x"))
    assert key
    for file in (file for file in settings.home.rglob("*") if file.is_file()):
        held = file.read_bytes()
        assert secret not in held and key[1].encode() not in held
        assert not any(code.encode() in held for code in codes)
    assert (settings.secrets / "factors.keys").stat().st_mode & 0o777 == 0o600
    [kept] = json.loads(settings.users_file.read_text("utf-8"))["users"]
    assert all(hash_.startswith("$argon2id$") for hash_ in kept["recovery"])


def test_a_sealed_secret_of_another_account_does_not_open(factors: SecondFactors, users: Users) -> None:
    factors.enrol("mary")
    users.add("jane", PASSWORD, "viewer")
    sealed = users.all()[1].totp
    stolen = users.change("jane", lambda user: replace(user, totp=sealed))
    with pytest.raises(UsersError, match="consent user totp jane"):
        factors.take(stolen, "123456")


def test_a_further_key_seals_and_the_one_before_still_opens(
    factors: SecondFactors, users: Users, settings: Settings, clock: Clock
) -> None:
    secret, _ = factors.enrol("mary")
    file = settings.secrets / "factors.keys"
    first = file.read_text("utf-8")
    file.write_text(f"{first}2026-12-01 {base64.urlsafe_b64encode(bytes(range(32))).decode()}\n", "utf-8")
    assert take(factors, users, totp.code(secret, int(clock.now.timestamp()))) == "code"
    secret, _ = factors.enrol("mary")
    clock.forward(minutes=1)
    file.write_text(first, "utf-8")
    with pytest.raises(UsersError, match="does not open"):
        take(factors, users, totp.code(secret, int(clock.now.timestamp())))


def test_without_its_key_nobody_gets_in_and_the_remedy_is_told(
    factors: SecondFactors, users: Users, settings: Settings
) -> None:
    factors.enrol("mary")
    key = settings.secrets / "factors.keys"
    key.chmod(0o644)
    with pytest.raises(SettingsError, match="chmod 600"):
        take(factors, users, "123456")
    key.unlink()
    with pytest.raises(UsersError, match="restore it"):
        take(factors, users, "123456")


def test_a_new_password_by_the_operator_leaves_the_second_factor_on(factors: SecondFactors, users: Users) -> None:
    factors.enrol("mary")
    assert users.add("mary", "another long sentence", "viewer").totp
    factors.remove("mary")
    mary = users.get("mary")
    assert mary and (mary.totp, mary.recovery, mary.step) == ("", (), 0)


# --- in the dashboard -------------------------------------------------------------------------------------------------


@pytest.fixture
def mary(app: Flask) -> Rooms:
    """The rooms of an application that knows Mary, without a second factor."""
    rooms: Rooms = app.extensions[NAME]
    rooms.users.add("mary", PASSWORD, "admin")
    return rooms


def enrol(rooms: Rooms) -> tuple[bytes, tuple[str, ...]]:
    return SecondFactors.of(rooms.settings, rooms.users).enrol("mary")


def now_code(rooms: Rooms, secret: bytes) -> str:
    return totp.code(secret, int(rooms.settings.clock().timestamp()))


def enters(client: FlaskClient, code: str) -> TestResponse:
    page = client.get("/dashboard/login/code")
    return client.post("/dashboard/login/code", data={"csrf_token": hidden(page.text, "csrf_token"), "code": code})


def sends(client: FlaskClient, page: str, to: str, **fields: str) -> TestResponse:
    token = hidden(client.get(page).text, "csrf_token")
    return client.post(to, data={"csrf_token": token, **fields})


def test_the_password_alone_opens_nothing(mary: Rooms, client: FlaskClient, clock: Clock) -> None:
    secret, _ = enrol(mary)
    half = sign_in(client, next="/dashboard/kent?period=7d")
    assert half.location == "/dashboard/login/code"
    assert client.get("/dashboard/").status_code == 303
    assert client.get("/dashboard/account").status_code == 303
    code = now_code(mary, secret)
    sign_in(client, next="/dashboard/kent?period=7d")
    done = enters(client, code)
    assert (done.status_code, done.location) == (303, "/dashboard/kent?period=7d")
    assert client.get("/dashboard/").status_code == 200
    replayed = client.application.test_client()
    sign_in(replayed)
    assert enters(replayed, code).status_code == 401
    assert replayed.get("/dashboard/").status_code == 303
    assert clock.now == mary.settings.clock()


def test_there_are_five_minutes_between_the_factors(mary: Rooms, client: FlaskClient, clock: Clock) -> None:
    secret, _ = enrol(mary)
    sign_in(client)
    clock.forward(minutes=4, seconds=59)
    assert client.get("/dashboard/login/code").status_code == 200
    clock.forward(seconds=1)
    late = client.post("/dashboard/login/code", data={"code": now_code(mary, secret)})
    assert late.location == "/dashboard/login?ended=late"
    assert "within 5 minutes" in told(client.get(late.location))
    assert client.get("/dashboard/login/code").status_code == 303, "nobody is half signed in any more"


def test_looking_at_the_page_of_the_code_signs_nobody_out(mary: Rooms, client: FlaskClient) -> None:
    sign_in(client)
    assert client.get("/dashboard/login/code").location == "/dashboard/login"
    assert client.get("/dashboard/").status_code == 200
    assert mary.users.get("mary")


def test_guessing_codes_is_slowed_down(mary: Rooms, client: FlaskClient, clock: Clock) -> None:
    secret, _ = enrol(mary)
    sign_in(client)
    for _ in range(5):
        assert enters(client, "000000").status_code == 401
    locked = enters(client, now_code(mary, secret))
    assert (locked.status_code, locked.headers["Retry-After"]) == (429, "30")
    clock.forward(seconds=30)
    assert enters(client, now_code(mary, secret)).status_code == 303


def test_a_recovery_code_opens_once(mary: Rooms, client: FlaskClient) -> None:
    _, codes = enrol(mary)
    sign_in(client)
    assert enters(client, codes[7].lower()).status_code == 303
    assert "9 recovery codes are left" in told(client.get("/dashboard/account"))
    other = client.application.test_client()
    sign_in(other)
    assert enters(other, codes[7]).status_code == 401


@pytest.mark.parametrize("token", ["", "forged"])
def test_a_code_form_of_another_site_does_nothing(mary: Rooms, client: FlaskClient, token: str) -> None:
    secret, _ = enrol(mary)
    sign_in(client)
    answer = client.post("/dashboard/login/code", data={"csrf_token": token, "code": now_code(mary, secret)})
    assert answer.status_code == 400
    assert client.get("/dashboard/").status_code == 303


def test_an_account_sets_it_up_alone(mary: Rooms, client: FlaskClient, clock: Clock) -> None:
    elsewhere = client.application.test_client()
    sign_in(client)
    sign_in(elsewhere)
    page = "/dashboard/account/second-factor"
    assert sends(client, page, page, password="not the password").status_code == 422
    assert "<svg" not in client.get(page).text, "nothing is shown without the password"
    assert sends(client, page, page, password=PASSWORD).status_code == 303
    shown = client.get(page)
    assert "<svg" in shown.text and "default-src 'none'" in shown.headers["Content-Security-Policy"]
    assert "<svg" not in elsewhere.get(page).text, "nor in another session"
    secret = secret_on(shown.text)
    assert sends(client, page, f"{page}/confirm", code="000000").status_code == 422
    done = sends(client, page, f"{page}/confirm", code=now_code(mary, secret))
    codes = re.findall(r"<code>(\d\w{3}-\w{4}-\w{4})</code>", done.text)
    assert (done.status_code, len(codes), done.headers["Cache-Control"]) == (200, 10, "no-store")
    assert client.get("/dashboard/").status_code == 200
    assert elsewhere.get("/dashboard/").status_code == 303, "every other session has ended"
    fresh = client.application.test_client()
    assert sign_in(fresh).location == "/dashboard/login/code"
    assert enters(fresh, now_code(mary, secret)).status_code == 401, "the code that confirmed is used up"
    clock.forward(seconds=30)
    assert enters(fresh, now_code(mary, secret)).status_code == 303


def secret_on(page: str) -> bytes:
    key = re.search(r"secret=([A-Z2-7]+)", page)
    assert key
    return base64.b32decode(key[1])


def test_an_offer_is_shown_for_a_quarter_of_an_hour(mary: Rooms, client: FlaskClient, clock: Clock) -> None:
    sign_in(client)
    page = "/dashboard/account/second-factor"
    sends(client, page, page, password=PASSWORD)
    clock.forward(minutes=15)
    assert "<svg" not in client.get(page).text
    assert mary.users.get("mary")


def test_it_can_be_renewed_and_switched_off_with_the_password(mary: Rooms, client: FlaskClient) -> None:
    secret, old = enrol(mary)
    sign_in(client)
    enters(client, now_code(mary, secret))
    page = "/dashboard/account/second-factor"
    for action in ("recovery", "off"):
        assert sends(client, page, f"{page}/{action}", password="guess").status_code == 422
    new = re.findall(r"<code>([^<]+)</code>", sends(client, page, f"{page}/recovery", password=PASSWORD).text)
    assert len(new) == 10 and not {*old} & {*new}
    other = client.application.test_client()
    sign_in(other)
    assert enters(other, old[0]).status_code == 401
    assert enters(other, new[0]).status_code == 303
    off = sends(client, page, f"{page}/off", password=PASSWORD)
    assert off.location == "/dashboard/account?done=off"
    assert client.get("/dashboard/").status_code == 200
    assert other.get("/dashboard/").status_code == 303


def test_a_role_may_have_to_have_one(settings: Settings, make_app: MakeApp) -> None:
    app = make_app(replace(settings, second_factor="admin, auditor"))
    rooms: Rooms = app.extensions[NAME]
    rooms.users.add("mary", PASSWORD, "admin")
    rooms.users.add("jane", PASSWORD, "viewer")
    client, viewer = app.test_client(), app.test_client()
    sign_in(client)
    sign_in(viewer, name="jane")
    assert viewer.get("/dashboard/").status_code == 200
    for address in ("/dashboard/", "/dashboard/kent", "/dashboard/records/", "/dashboard/records/audit"):
        assert client.get(address).location == "/dashboard/account/second-factor"
    page = "/dashboard/account/second-factor"
    sends(client, page, page, password=PASSWORD)
    secret = secret_on(client.get(page).text)
    assert sends(client, page, f"{page}/confirm", code=now_code(rooms, secret)).status_code == 200
    assert client.get("/dashboard/records/").status_code == 200
    refused = sends(client, page, f"{page}/off", password=PASSWORD)
    assert refused.status_code == 422 and "must have a second factor" in told(refused)


def test_an_unknown_role_stops_the_start(settings: Settings) -> None:
    with pytest.raises(SettingsError, match="CONSENT_SECOND_FACTOR names 'king'"):
        replace(settings, second_factor="admin king")


# --- by command -------------------------------------------------------------------------------------------------------


def run(home: Path, *words: str) -> str:
    done = CliRunner().invoke(main, words, env={"CONSENT_HOME": str(home)})
    assert done.exit_code == 0, done.output
    return done.output


def test_the_command_prints_code_uri_and_recovery_codes(home: Path, settings: Settings) -> None:
    (home / "password").write_text(PASSWORD, "utf-8")
    said = run(home, "user", "add", "Mary", "--role", "admin", "--totp", "--password-file", str(home / "password"))
    assert "▄" in said and re.search(r"otpauth://totp/127\.0\.0\.1(:|%3A)mary\?", said)
    codes = re.findall(r"^  (\d\w{3}-\w{4}-\w{4})$", said, re.MULTILINE)
    assert len(codes) == 10
    users = Users.load(settings.users_file)
    factors = SecondFactors.of(settings, users)
    assert take(factors, users, codes[4]) == "recovery code"
    assert take(factors, users, totp.code(secret_on(said), int(settings.clock().timestamp()))) == "code"
    again = run(home, "user", "totp", "mary")
    assert secret_on(again) != secret_on(said)
    assert take(factors, users, codes[5]) is None, "the codes of before are gone"
    assert "two factors" in run(home, "user", "list")
    run(home, "user", "totp", "mary", "--off")
    assert "two factors" not in run(home, "user", "list")
    assert CliRunner().invoke(main, ["user", "totp", "bob"], env={"CONSENT_HOME": str(home)}).exit_code == 2
