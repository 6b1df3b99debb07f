"""The `consent` command on a real data home."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from textwrap import indent
from time import sleep
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

import pytest
from click.testing import CliRunner, Result

from anonymiser.facts import Fact
from anonymiser.hour_keys import HourKeys
from anonymiser.spool import Spool
from consent_app import home as data_home
from consent_app.commands import main
from consent_app.commands.snippets import WAYS, steps
from consent_app.ledger import Ledger, RemovalRecord
from consent_app.settings import Settings, read_keys
from consent_app.sites import Sites
from consent_app.users import Users

Run = Callable[..., Result]
CONSENT = Path(sys.executable).with_name("consent")
PASSWORD = "a password of some length"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Where the data home of these tests lies; `run("init")` makes it."""
    return tmp_path / "home"


@pytest.fixture
def run(home: Path) -> Run:
    """Run a command against that home."""

    def command(*words: str | Path, code: int = 0, **environment: str) -> Result:
        env = {"CONSENT_HOME": str(home), **environment}
        result = CliRunner().invoke(main, [str(word) for word in words], env=env, catch_exceptions=False)
        assert result.exit_code == code, result.output
        return result

    return command


@pytest.fixture
def made(run: Run, home: Path) -> Path:
    """A fresh home."""
    run("init")
    return home


def lines(result: Result) -> dict[str, tuple[str, str]]:
    """What `verify` printed: name -> (verdict, sentence)."""
    found = {}
    for line in result.output.splitlines():
        if line.startswith(("ok   ", "FAIL ")):
            name, _, sentence = line[5:].partition(": ")
            found[name] = (line[:4].strip(), sentence)
    return found


def failed(result: Result) -> list[str]:
    return [name for name, (verdict, _) in lines(result).items() if verdict == "FAIL"]


# -- init -------------------------------------------------------------------------------------------------------------


def test_init_makes_a_private_home_that_verifies(made: Path, run: Run) -> None:
    modes = {p.relative_to(made).as_posix(): p.stat().st_mode & 0o777 for p in made.rglob("*")}
    assert made.stat().st_mode & 0o777 == 0o700
    assert (modes["secrets"], modes["secrets/signing.keys"], modes["secrets/session.keys"]) == (0o700, 0o600, 0o600)
    assert modes["ledger.db"] == 0o600
    assert failed(run("verify")) == []


def test_init_says_what_comes_next_with_commands_that_exist(run: Run, home: Path) -> None:
    said = run("init").output
    assert f"CONSENT_HOME={home}" in said
    for words in ("site check", "user add", "serve", "batch", "verify"):
        assert f"consent {words}" in said
        run(*words.split(), "--help")


def test_init_overwrites_nothing(made: Path, run: Run) -> None:
    before = {path: path.read_bytes() for path in made.rglob("*") if path.is_file()}
    assert "nothing is overwritten" in run("init", code=2).stderr
    assert {path: path.read_bytes() for path in made.rglob("*") if path.is_file()} == before


def test_two_homes_have_different_keys(run: Run, tmp_path: Path) -> None:
    run("init", "--home", tmp_path / "one")
    run("init", "--home", tmp_path / "two")
    one, two = (read_keys(tmp_path / name / "secrets" / "signing.keys") for name in ("one", "two"))
    assert one[0][1] != two[0][1]


# -- errors -----------------------------------------------------------------------------------------------------------


WORK = (["batch"], ["site", "list"], ["site", "check"], ["ledger", "show"], ["ledger", "verify"], ["serve"])


@pytest.mark.parametrize("words", [*WORK, ["keys", "rotate"], ["notice", "list"]], ids=" ".join)
def test_without_a_home_one_line_says_so(run: Run, home: Path, words: list[str]) -> None:
    result = run(*words, code=2)
    assert result.stderr.startswith("consent: ")
    assert result.stderr.count("\n") == 1
    assert str(home) in result.stderr
    assert not home.exists(), "looking must not make a home"


@pytest.mark.parametrize("words", [["batch"], ["site", "check"], ["serve"], ["user", "add", "mary"]], ids=" ".join)
def test_a_broken_sites_file_is_named_with_its_line(made: Path, run: Run, words: list[str]) -> None:
    file = made / "sites.toml"
    file.write_text(file.read_text("utf-8").replace('regime = "uk"', 'regime = "mars"', 1), "utf-8")
    said = run(*words, code=2).stderr
    assert f"{file}, line " in said
    assert "one of uk, eu" in said
    assert "Traceback" not in said


def test_a_setting_out_of_range_is_named(made: Path, run: Run) -> None:
    assert "CONSENT_WORKERS" in run("serve", code=2, CONSENT_WORKERS="many").stderr
    assert "CONSENT_WORKERS is 1000; it must be from 1 to 64" in run("serve", "--workers", "1000", code=2).stderr


def test_a_folder_nobody_may_write_is_one_line(run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert "cannot be made" in run("init", "--home", tmp_path / "file" / "home", code=2).stderr


# -- sites, notices, users, keys --------------------------------------------------------------------------------------


def test_site_list_and_check_name_every_site(made: Path, run: Run) -> None:
    listed, checked = run("site", "list").output, run("site", "check").output
    for key in ("kent", "surrey", "defibrental", "orders"):
        assert f"\n{key} " in f"\n{listed}"
        assert f"ok   {key}:" in checked


def test_site_check_reads_the_catalogue_too(made: Path, run: Run) -> None:
    file = made / "sites.toml"
    text = file.read_text("utf-8").replace("[site.kent]\n", '[site.kent]\ncatalogue_file = "pages.txt"\n')
    file.write_text(text, "utf-8")
    (made / "pages.txt").write_text("/stationery\nfurniture\n", "utf-8")
    assert "pages.txt, line 2" in run("site", "check", code=2).stderr


def snippet(run: Run, site: str, way: str = "", **more: Any) -> str:
    words = ("site", "snippet", site, *(("--for", way) if way else ()))
    return str(run(*words, CONSENT_PUBLIC_URL="https://consent.example", **more).output)


def test_a_snippet_names_tag_and_policy(made: Path, run: Run) -> None:
    said = snippet(run, "defibrental")
    assert '<script async src="https://consent.example/taskbar.js" data-site="defibrental"></script>' in said
    assert "script-src https://consent.example" in said
    assert 'consent_banner("kent")' in snippet(run, "kent")
    assert "no such site" in run("site", "snippet", "elsewhere", code=2).stderr


@pytest.mark.parametrize(
    "site,way", [("kent", "script"), ("kent", "subdomain"), ("orders", "nginx"), ("orders", "asp")]
)
def test_a_way_that_sites_toml_does_not_say_is_refused(made: Path, run: Run, site: str, way: str) -> None:
    said = run("site", "snippet", site, "--for", way, code=2).stderr
    assert "sites.toml" in said and "goes with embed = " in said


def test_a_snippet_names_this_installation(made: Path, run: Run) -> None:
    assert "proxy_pass http://127.0.0.1:9001;" in snippet(run, "kent", "nginx", CONSENT_BIND="127.0.0.1:9001")


PAGES = {"script": "Script tag", "subdomain": "Subdomain", "jinja": "Template function", "nginx": "nginx",
         "caddy": "Caddy", "iis": "IIS", "asp": "Classic ASP"}  # fmt: skip


@pytest.mark.parametrize("way", PAGES)
def test_the_page_on_embedding_shows_what_is_printed(made: Path, way: str) -> None:
    """In the way's own section, or, for what every proxy has in common, in that of nginx."""
    page = (Path(__file__).parents[2] / "docs" / "embed.md").read_text("utf-8")
    sections = dict(re.findall(r"^## (.+)\n((?:(?!## ).*\n)*)", page, re.MULTILINE))
    shown = sections[PAGES[way]] + (sections["nginx"] if WAYS[way].embed == "same-host" else "")
    settings = Settings.from_environment({}, home=made, public_url="https://consent.example")
    site = Sites.load(settings.sites_file).get("kent" if WAYS[way].embed == "same-host" else "defibrental")
    for step in steps(site, settings, way):
        assert step.about.rstrip(":") in shown.replace("`", ""), step.about
        assert (f"](../deploy/{step.file})" if step.file else indent(step.paste, "   ")) in shown


def test_a_notice_can_be_read_by_the_hash_that_a_record_names(made: Path, run: Run) -> None:
    listed = [line.split() for line in run("notice", "list").output.splitlines()]
    sha256 = next(sha for _, sha, site in listed if site == "kent")
    assert run("notice", "show", sha256[:12]).output == (made / "notices" / "kent.txt").read_text("utf-8")
    assert "notice list" in run("notice", "show", "0" * 12, code=2).stderr
    assert "notice list" in run("notice", "show", "", code=2).stderr


def test_users_are_added_listed_and_shut_out(made: Path, run: Run, tmp_path: Path) -> None:
    (tmp_path / "password").write_text(f"{PASSWORD}\n", "utf-8")
    run("user", "add", "mary", "--site", "kent", "--password-file", tmp_path / "password")
    user = Users.load(made / "users.json").verify("mary", PASSWORD)
    assert user is not None
    assert user.sites == ("kent",)
    assert "active" in run("user", "list").output
    run("user", "disable", "mary")
    assert "disabled" in run("user", "list").output
    assert Users.load(made / "users.json").verify("mary", PASSWORD) is None


def test_a_user_needs_a_known_site_and_a_long_password(made: Path, run: Run, tmp_path: Path) -> None:
    (tmp_path / "short").write_text("short", "utf-8")
    assert "from 12 to" in run("user", "add", "mary", "--password-file", tmp_path / "short", code=2).stderr
    said = run("user", "add", "mary", "--site", "mars", "--password-file", tmp_path / "short", code=2).stderr
    assert "no such site" in said
    assert "--password-file" in run("user", "add", "mary", code=2).stderr, "there is no terminal to ask"
    assert not (made / "users.json").exists()


def test_rotating_adds_a_key_and_keeps_what_still_verifies(made: Path, run: Run) -> None:
    file = made / "secrets" / "signing.keys"
    first = read_keys(file)
    run("keys", "rotate")
    both = read_keys(file)
    assert both[:-1] == first
    assert both[-1][1] != first[0][1]
    assert file.stat().st_mode & 0o777 == 0o600


def test_rotating_changes_the_key_of_the_log_too(made: Path, run: Run) -> None:
    with Ledger(made / "ledger.db") as ledger:
        ledger.append(RemovalRecord("one", "2026-11-24T09Z", "2026-11-24T10:00:00Z"))
        ledger.sequence()
    assert "ledger.keys: a new key signs" in run("keys", "rotate").output
    assert len(read_keys(made / "secrets" / "ledger.keys")) == 2
    run("verify")


def test_a_key_goes_when_all_it_signed_has_expired(made: Path) -> None:
    file = made / "secrets" / "signing.keys"
    file.write_text(f"2025-01-01 {'a' * 40}\n2026-01-01 {'b' * 40}\n", "utf-8")
    settings = Settings.from_environment({}, home=made, clock=lambda: datetime(2026, 7, 6, tzinfo=UTC))
    data_home.rotate(settings)
    assert [made for made, _ in read_keys(file)] == [date(2025, 1, 1), date(2026, 1, 1), date(2026, 7, 6)]
    settings = Settings.from_environment({}, home=made, clock=lambda: datetime(2026, 7, 7, tzinfo=UTC))
    data_home.rotate(settings)
    # b was made on 1 January: a signed until then, 180 days on and a week for the restart it is 7 July.
    assert [made for made, _ in read_keys(file)] == [date(2026, 1, 1), date(2026, 7, 6), date(2026, 7, 7)]


# -- batch, ledger, verify --------------------------------------------------------------------------------------------


def facts_of(home: Path, at: datetime, count: int = 5) -> None:
    """Facts as the web server leaves them: a closed segment of that hour."""
    HourKeys(home / "private").provide(home / "spool", at)
    with Spool(home / "spool", clock=lambda: at) as spool:
        for _ in range(count):
            spool.add([Fact("kent", at.date().isoformat(), "views", "", "", 1)])


def test_the_batch_counts_removes_and_records_once(made: Path, run: Run) -> None:
    facts_of(made, datetime(2026, 11, 20, 12, 5, tzinfo=UTC))
    assert "1 hours' segments counted and removed" in run("batch", "--now", "2026-11-21T03:00Z").output
    assert [path.name for path in (made / "spool").iterdir()] == ["public.keys"]
    assert (made / "stats.duckdb").exists()
    before = (made / "stats.duckdb").read_bytes()
    assert "0 hours' segments" in run("batch", "--now", "2026-11-21T03:00Z").output
    assert (made / "stats.duckdb").read_bytes() == before
    (entry,) = map(json.loads, run("ledger", "show").output.splitlines())
    assert (entry["kind"], entry["record"]["hour"]) == ("removal", "2026-11-20T12Z")
    assert run("ledger", "show", entry["record"]["segment"]).output.count("\n") == 1
    assert "no entry speaks of" in run("ledger", "show", "nobody", code=2).stderr


def test_a_time_without_meaning_is_refused(made: Path, run: Run) -> None:
    assert "2026-11-25T03:00Z" in run("batch", "--now", "soon", code=2).stderr


def test_verify_finds_facts_that_were_never_removed(made: Path, run: Run) -> None:
    facts_of(made, datetime.now(UTC) - timedelta(hours=30))
    result = run("verify", code=1)
    assert failed(result) == ["removal"]
    assert "has waited for" in lines(result)["removal"][1]


def test_verify_finds_a_removal_that_nobody_recorded(made: Path, run: Run) -> None:
    facts_of(made, datetime.now(UTC) - timedelta(hours=3))
    run("batch")
    assert failed(run("verify")) == []
    with sqlite3.connect(made / "private" / "budget.db") as connection:
        connection.execute("INSERT INTO removal VALUES ('20261101T10-0123456789abcdef', '2026-11-01T10:00:00+00:00')")
    connection.close()
    assert failed(run("verify", code=1)) == ["removal"]


def test_verify_finds_an_edited_entry_and_a_lost_one(made: Path, run: Run) -> None:
    with Ledger(made / "ledger.db") as ledger:
        for hour in ("10", "11", "12"):
            ledger.append(RemovalRecord(f"segment-{hour}", f"2026-11-20T{hour}Z", "2026-11-20T13:00:00Z"))
    assert failed(run("verify")) == []
    edit(made, "UPDATE body SET record = CAST(replace(record, '20T10', '20T09') AS BLOB) WHERE seq = 0")
    assert "entry 0 is not what was appended" in lines(run("verify", code=1))["ledger entries"][1]
    edit(made, "DELETE FROM body WHERE seq = 1", "DELETE FROM entry WHERE seq = 1")
    result = run("verify", code=1)
    assert "entry 1 is missing" in lines(result)["ledger sequence"][1]
    assert "ledger sequence" in failed(run("ledger", "verify", code=1))


def test_verify_fails_and_goes_on_whatever_was_done_to_the_ledger(made: Path, run: Run) -> None:
    with Ledger(made / "ledger.db") as ledger:
        ledger.append(RemovalRecord("segment", "2026-11-20T12Z", "2026-11-20T13:00:00Z"))
    edit(made, "UPDATE body SET record = replace(record, '20T12', '20T09')")  # which makes text of a blob
    result = run("verify", code=1)
    assert any(name.startswith("ledger") for name in failed(result))
    assert "statistics" in lines(result)
    run("ledger", "verify", code=1)


def edit(home: Path, *statements: str) -> None:
    """Change the ledger as somebody with the file in hand would: past its triggers, which are put back."""
    with sqlite3.connect(home / "ledger.db") as connection:
        triggers = connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").fetchall()
        for name, _ in triggers:
            connection.execute(f"DROP TRIGGER {name}")
        for statement in statements:
            assert connection.execute(statement).rowcount == 1
        for _, sql in triggers:
            connection.execute(sql)
    connection.close()


def test_verify_finds_keys_that_others_may_read(made: Path, run: Run) -> None:
    (made / "secrets" / "session.keys").chmod(0o640)
    result = run("verify", code=2)
    assert "chmod 600" in result.stderr
    (made / "secrets" / "session.keys").chmod(0o600)
    for name in ("ledger.db", "secrets/any.keys"):
        (made / name).touch()
        (made / name).chmod(0o644)
        assert failed(run("verify", code=1)) == ["keys"]
        (made / name).chmod(0o600)


def test_verify_finds_a_notice_that_is_shown_and_not_kept(made: Path, run: Run) -> None:
    (made / "notices" / "kent.txt").write_text("Another text.", "utf-8")
    assert failed(run("verify", code=1)) == ["shown notices"]


def test_verify_finds_a_foreign_statistics_file(made: Path, run: Run) -> None:
    (made / "stats.duckdb").write_bytes(b"not a database at all")
    assert failed(run("verify", code=1)) == ["statistics file"]


def test_verify_says_what_it_did_not_check(made: Path, run: Run) -> None:
    assert "Not checked, because a home cannot show it" in run("verify").output


# -- serve ------------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(sys.platform == "win32", reason="gunicorn does not run there")
def test_serve_answers_and_stops_cleanly(made: Path) -> None:
    port = free_port()
    environment = {**os.environ, "CONSENT_HOME": str(made)}
    command = [str(CONSENT), "serve", "--bind", f"127.0.0.1:{port}", "--workers", "2"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as server:
        try:
            assert wait_for(f"http://127.0.0.1:{port}/healthz") == 200
        finally:
            server.send_signal(signal.SIGTERM)
        said = server.communicate(timeout=300)[0].decode()
    assert server.returncode == 0, said
    assert said.count("\n") == 1, said  # where it serves; no worker is aborted


def test_serve_says_that_a_port_is_taken(made: Path, run: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        said = run("serve", "--bind", f"127.0.0.1:{taken.getsockname()[1]}", code=2).stderr
    assert "cannot be used" in said


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


def wait_for(url: str) -> int:
    """The status of the first answer; a server that has not begun yet is asked again."""
    for _ in range(600):
        try:
            with urlopen(url, timeout=30) as answer:
                return int(answer.status)
        except URLError:
            sleep(0.1)
    raise AssertionError(f"nobody answers at {url}")
