"""The audit trail: what leaves an entry, what never stands in one, and that it cannot be changed unseen."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner
from flask import Flask
from flask.testing import FlaskClient

from consent_app import dashboard
from consent_app.audit import LONGEST, WHATS, Entry, Trail
from consent_app.commands import main
from consent_app.commands.audit import WATCHED
from consent_app.dashboard import login
from consent_app.dashboard import trail as pages
from consent_app.errors import AuditError
from consent_app.rooms import NAME, Rooms
from consent_app.second_factor import SecondFactors
from consent_app.settings import Settings
from tests.web.conftest import Clock
from tests.web.rights_visitor import visitor
from tests.web.test_dashboard_login import PASSWORD, hidden, posts, sign_in, told
from tests.web.test_totp import enters, now_code

pytestmark = pytest.mark.usefixtures("light_hashes")
MakeApp = Callable[[Settings], Flask]
SECRET = "hunter2 is my password"


@pytest.fixture
def trail(settings: Settings) -> Trail:
    return Trail.of(settings)


@pytest.fixture
def rooms(app: Flask) -> Rooms:
    rooms: Rooms = app.extensions[NAME]
    rooms.users.add("mary", PASSWORD, "auditor")
    return rooms


def said(trail: Trail) -> list[tuple[str, str, str]]:
    """Every entry as who, what, to what; the oldest first."""
    return [(entry.who, entry.what, entry.about) for entry in trail.entries()][::-1]


def test_signing_in_and_out_leaves_entries(rooms: Rooms, client: FlaskClient, trail: Trail) -> None:
    sign_in(client, "wrong password")
    sign_in(client)
    posts(client, "/dashboard/logout")
    assert said(trail) == [
        ("mary", "sign-in failed", "password"), ("mary", "signed in", "password"), ("mary", "signed out", ""),
    ]  # fmt: skip


def test_second_factor_and_recovery_leave_entries(rooms: Rooms, client: FlaskClient, trail: Trail) -> None:
    secret, codes = SecondFactors.of(rooms.settings, rooms.users).enrol("mary")
    for code in ("000000", now_code(rooms, secret), codes[2]):
        sign_in(client)
        enters(client, code)
    posts(client, "/dashboard/account/second-factor/off", password=PASSWORD)
    assert said(trail) == [
        ("mary", "sign-in failed", "second factor"),
        ("mary", "signed in", "password and code"),
        ("mary", "recovery code used", ""),
        ("mary", "signed in", "password and recovery code"),
        ("mary", "second factor off", ""),
    ]


def test_a_lock_out_leaves_one_entry(rooms: Rooms, client: FlaskClient, trail: Trail, clock: Clock) -> None:
    for _ in range(8):
        sign_in(client, "wrong password")
    assert [what for _, what, _ in said(trail)] == ["sign-in failed"] * 5 + ["locked out"]
    clock.forward(seconds=30)
    for _ in range(3):
        sign_in(client, "wrong password")
    assert [what for _, what, _ in said(trail)][6:] == ["sign-in failed", "locked out"]


def test_a_flood_of_failures_does_not_fill_the_disk(
    rooms: Rooms, client: FlaskClient, trail: Trail, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(login, "FAILURES_A_MINUTE", 3)
    for number in range(7):
        sign_in(client, "wrong password", f"name{number}", environ_base={"REMOTE_ADDR": f"198.51.100.{number}"})
    assert [about for _, _, about in said(trail)] == ["password"] * 3 + [
        "more than 3 in this minute: the others are left out"
    ]
    clock.forward(minutes=1)
    sign_in(client, "wrong password")
    assert said(trail)[4:] == [("mary", "sign-in failed", "password")]


def test_nothing_that_was_typed_and_no_address_is_kept(
    rooms: Rooms, client: FlaskClient, settings: Settings, trail: Trail
) -> None:
    for name, password in ((SECRET, PASSWORD), ("bob", SECRET), ("mary", SECRET)):
        sign_in(client, password, name, environ_base={"REMOTE_ADDR": "203.0.113.77"})
    assert said(trail) == [("", "sign-in failed", "password")] * 2 + [("mary", "sign-in failed", "password")]
    held = b"".join(file.read_bytes() for file in (settings.home / "audit").iterdir())
    for canary in (SECRET, "bob", "203.0.113.77", PASSWORD):
        assert canary.encode() not in held


def test_accounts_passwords_and_sessions(rooms: Rooms, client: FlaskClient, trail: Trail) -> None:
    sign_in(client)
    new = "a sentence nobody knows"
    posts(client, "/dashboard/account/password", password=PASSWORD, new=new)
    posts(client, "/dashboard/account/sign-out-everywhere", password=new)
    assert said(trail)[1:] == [("mary", "password changed", ""), ("mary", "signed out everywhere", "")]


def test_an_account_that_is_refused_and_an_answer(app: Flask, rooms: Rooms, client: FlaskClient, trail: Trail) -> None:
    page = visitor(app).sends("/your-data/complaints", text="The map came first.").headers["Location"]
    reference = page.partition("?")[0].rpartition("/")[2]
    rooms.users.add("vera", PASSWORD, "viewer", ("kent",))
    rooms.users.add("adam", PASSWORD, "admin")
    sign_in(client, name="vera")
    for address in ("/dashboard/surrey", "/dashboard/records/audit"):
        assert client.get(address).status_code == 404
    sign_in(client, name="adam")
    address = f"/dashboard/records/complaints/{reference}"
    posts(client, address, address, text="We mended it.")
    assert said(trail)[1:] == [
        ("vera", "refused", "site"),
        ("vera", "refused", "trail.entries"),
        ("adam", "signed in", "password"),
        ("adam", "complaint answered", "records.answer"),
    ]


def test_what_is_watched_exists(app: Flask) -> None:
    assert set(pages.WATCHED) <= {rule.endpoint for rule in app.url_map.iter_rules()}
    assert {*pages.WATCHED.values(), *WATCHED.values()} <= {*WHATS}
    for path in WATCHED:
        command = main.get_command(None, path[0])  # type: ignore[arg-type]
        for word in path[1:]:
            command = command.commands[word]  # type: ignore[union-attr]
        assert command is not None, path
    assert dashboard.blueprint.after_request_funcs


# --- by command, and settings -----------------------------------------------------------------------------------------


def run(home: Path, *words: str) -> str:
    done = CliRunner().invoke(main, words, env={"CONSENT_HOME": str(home)})
    assert done.exit_code == 0, done.output
    return done.output


def test_commands_leave_entries_under_the_operators_name(home: Path, settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "password").write_text(PASSWORD, "utf-8")
    file = ("--password-file", str(tmp_path / "password"))
    run(home, "user", "add", "bob", "--site", "kent", *file)
    run(home, "user", "add", "bob", "--role", "admin", *file)
    run(home, "user", "sign-out", "bob")
    run(home, "user", "disable", "bob")
    run(home, "keys", "rotate")
    run(home, "backup", str(tmp_path / "copy.tar"))
    found = [*Trail.of(settings).entries()][::-1]
    assert [(entry.what, entry.about, entry.how) for entry in found] == [
        ("account added", "bob: viewer, kent", "command"),
        ("account changed", "bob: viewer, kent > admin, all sites; new password", "command"),
        ("signed out everywhere", "bob", "command"),
        ("account disabled", "bob", "command"),
        ("keys rotated", "consent keys rotate", "command"),
        ("backup", "consent backup", "command"),
    ]
    assert len({entry.who for entry in found}) == 1 and found[0].who
    printed = [json.loads(line) for line in run(home, "audit", "--json", "--what", "backup").splitlines()]
    assert [entry["about"] for entry in printed] == ["consent backup"]
    assert "bob: viewer, kent" in run(home, "audit", "--who", found[0].who) and not run(home, "audit", "--who", "x")
    assert "ok   audit: 6 entries" in run(home, "audit", "--check")


def test_a_visitors_receipt_number_does_not_go_into_it(app: Flask, home: Path, settings: Settings) -> None:
    ann = visitor(app)
    ann.decides(statistics=True, embeds=True)
    run(home, "rights", "export", ann.receipt)
    run(home, "rights", "erase", ann.receipt, "--yes")
    held = b"".join(file.read_bytes() for file in (settings.home / "audit").iterdir())
    assert b"consent rights export" in held and b"consent rights erase" in held
    assert ann.receipt.encode() not in held


def test_settings_that_change_privacy_leave_entries(settings: Settings, make_app: MakeApp, trail: Trail) -> None:
    make_app(settings)
    make_app(settings)
    assert said(trail) == [], "nothing changed"
    sites = settings.sites_file.read_text("utf-8")
    settings.sites_file.write_text(sites.replace("[site.kent]", "[site.kent]\nretention_months = 12", 1), "utf-8")
    make_app(replace(settings, mix_beacons=1))
    make_app(replace(settings, mix_beacons=1, threads=2))
    assert said(trail) == [
        ("", "settings changed", "installation: mix_beacons"), ("", "settings changed", "kent: retention_months"),
    ]  # fmt: skip
    settings.sites_file.write_text(sites, "utf-8")
    (settings.home / "notices" / "kent.txt").write_text("A new notice.\n", "utf-8")
    make_app(settings)
    assert ("", "settings changed", "kent: notice, retention_months") in [
        (who, what, about.replace("retention_months, notice", "notice, retention_months"))
        for who, what, about in said(trail)
    ]


# --- append-only ------------------------------------------------------------------------------------------------------


def lines(settings: Settings) -> list[bytes]:
    [file] = (settings.home / "audit").glob("*.jsonl")
    return file.read_bytes().splitlines(keepends=True)


def three(trail: Trail) -> None:
    for who in ("ann", "bob", "cat"):
        trail.add("signed in", who, "password")
    assert trail.fault() == ""


FAULTS: dict[str, Callable[[list[bytes]], list[bytes]]] = {
    "a line was changed": lambda kept: [kept[0].replace(b"ann", b"eve"), *kept[1:]],
    "a line was taken out": lambda kept: [kept[0], kept[2]],
    "two lines changed places": lambda kept: [kept[1], kept[0], kept[2]],
    "a line was put in": lambda kept: [kept[0], kept[0], *kept[1:]],
    "a line is none": lambda kept: [kept[0], b"{}\n", *kept[1:]],
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS.keys())
def test_a_change_is_seen(
    settings: Settings, trail: Trail, home: Path, fault: Callable[[list[bytes]], list[bytes]]
) -> None:
    three(trail)
    [file] = (settings.home / "audit").glob("*.jsonl")
    file.write_bytes(b"".join(fault(lines(settings))))
    assert "does not follow" in trail.fault()
    checked = CliRunner().invoke(main, ["audit", "--check"], env={"CONSENT_HOME": str(home)})
    assert checked.exit_code == 1 and "FAIL audit" in checked.output


def test_a_line_that_a_crash_left_half_written_is_written_over(settings: Settings, trail: Trail) -> None:
    three(trail)
    [file] = (settings.home / "audit").glob("*.jsonl")
    for torn in (b'{"time": "2026', b"x" * 5000, b""):
        with file.open("ab") as opened:
            opened.write(torn)
        trail.add("signed in", "dan")
        assert trail.fault() == ""
    assert [who for who, _, _ in said(trail)] == ["ann", "bob", "cat", "dan", "dan", "dan"]


def test_many_processes_add_and_no_entry_is_lost(settings: Settings, trail: Trail) -> None:
    program = (
        "import sys; from pathlib import Path; from datetime import UTC, datetime\n"
        "from consent_app.audit import Trail\n"
        "trail = Trail(Path(sys.argv[1]), lambda: datetime.now(UTC), 12)\n"
        "for _ in range(20): trail.add('signed in', sys.argv[2])"
    )
    folder = str(settings.home / "audit")
    running = [subprocess.Popen([sys.executable, "-c", program, folder, name]) for name in ("ann", "bob")]
    assert [process.wait() for process in running] == [0, 0]
    assert len(said(trail)) == 40 and trail.fault() == ""


def test_what_is_written_cannot_forge_a_line(trail: Trail, settings: Settings) -> None:
    trail.add("signed in", 'x"}\n{"time": "now", "who": "eve', "\u2028\x00" + "ü" * 5000)
    [line] = lines(settings)
    entry = next(trail.entries())
    assert entry.who == 'x"} {"time": "now", "who": "eve' and len(entry.about) == LONGEST
    assert len(line) < 8192
    trail.add("signed in", "\U0001f40e" * 300, "\U0001f40e" * 300, "\U0001f40e" * 300)
    trail.add("signed in", "ann")
    assert trail.fault() == ""


def test_months_go_when_they_are_past_their_time(settings: Settings, clock: Clock) -> None:
    trail = Trail.of(replace(settings, audit_months=2))
    for month in (7, 8, 9, 10, 11):
        clock.now = datetime(2026, month, 15, tzinfo=UTC)
        trail.add("signed in", f"of-{month}")
    assert [who for who, _, _ in said(trail)] == ["of-9", "of-10", "of-11"]
    assert trail.fault() == ""
    clock.now = datetime(2027, 1, 1, tzinfo=UTC)
    assert trail.forget() == 2
    assert {file.name for file in (settings.home / "audit").glob("*.jsonl")} == {"2026-11.jsonl"}


def test_the_files_are_the_owners_alone(settings: Settings, trail: Trail) -> None:
    three(trail)
    folder = settings.home / "audit"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert all(file.stat().st_mode & 0o777 == 0o600 for file in folder.iterdir())


def test_where_nothing_can_be_recorded_nothing_is_done(rooms: Rooms, client: FlaskClient, settings: Settings) -> None:
    (settings.home / "audit").rename(settings.home / "elsewhere")
    (settings.home / "audit").write_text("in the way", "utf-8")
    refused = sign_in(client)
    assert refused.status_code == 503 and "nothing was done" in told(refused)
    assert client.get("/dashboard/").status_code == 303
    with pytest.raises(AuditError):
        Trail.of(settings).add("signed in", "mary")


# --- the page ---------------------------------------------------------------------------------------------------------


def test_the_page_shows_and_sieves(rooms: Rooms, client: FlaskClient, trail: Trail, clock: Clock) -> None:
    clock.now = datetime(2026, 11, 20, 9, tzinfo=UTC)
    for number in range(150):
        trail.add("export", "ann", f"file {number}")
    clock.now = datetime(2026, 11, 24, 9, tzinfo=UTC)
    sign_in(client)
    rows = rows_of(client, "")
    assert len(rows) == 100 and rows[0].startswith("2026-11-24 09:00:00 mary signed in password")
    assert len(rows_of(client, "?page=2")) == 51
    assert len(rows_of(client, "?who=MARY&what=")) == 1
    assert rows_of(client, "?what=erasure") == []
    assert len(rows_of(client, "?to=2026-11-23&page=2")) == 50
    assert len(rows_of(client, "?from=2026-11-24")) == 1
    assert len(rows_of(client, "?from=tomorrow&to=%00&page=-3&what=<script>")) == 0
    page = client.get("/dashboard/records/audit?who=%3Cscript%3E").text
    assert "<script>" not in page and "&lt;script&gt;" in page


def rows_of(client: FlaskClient, query: str) -> list[str]:
    page = client.get(f"/dashboard/records/audit{query}")
    assert page.status_code == 200
    body = page.text.partition("<tbody>")[2].partition("</tbody>")[0]
    return [" ".join(re.sub(r"<[^>]+>", " ", row).split()) for row in body.split("</tr>") if row.strip()]


def test_the_page_tells_of_a_change(rooms: Rooms, client: FlaskClient, trail: Trail, settings: Settings) -> None:
    three(trail)
    sign_in(client)
    assert "taken out" not in client.get("/dashboard/records/audit").text
    [file] = (settings.home / "audit").glob("*.jsonl")
    file.write_bytes(b"".join(lines(settings)[1:2] + lines(settings)[3:]))
    assert "A line was changed, taken out or put in" in client.get("/dashboard/records/audit").text


@pytest.mark.parametrize(
    ("role", "sites", "status"),
    [("auditor", (), 200), ("admin", (), 200), ("viewer", (), 404), ("auditor", ("kent",), 404)],
)
def test_who_may_read_it(rooms: Rooms, client: FlaskClient, role: str, sites: tuple[str, ...], status: int) -> None:
    rooms.users.add("jane", PASSWORD, role, sites)  # type: ignore[arg-type]
    sign_in(client, name="jane")
    assert client.get("/dashboard/records/audit").status_code == status
    shown = client.get("/dashboard/records/")
    assert ("/dashboard/records/audit" in shown.text) == (status == 200)
    assert hidden(client.get("/dashboard/").text, "csrf_token")


def test_an_entry_is_what_the_record_declares() -> None:
    assert tuple(Entry.__dataclass_fields__) == ("time", "who", "what", "about", "how")


def test_an_account_sees_what_was_done_in_its_name(rooms: Rooms, client: FlaskClient, trail: Trail) -> None:
    trail.add("export", "jane")
    sign_in(client, "wrong password")
    sign_in(client)
    page = client.get("/dashboard/account").text.partition("lately")[2]
    assert "signed in" in page and "sign-in failed" in page and "export" not in page
