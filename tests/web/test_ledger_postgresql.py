"""What only PostgreSQL has: a server that is away or restarted, machines that share a database, a URL that is wrong."""

from __future__ import annotations

import multiprocessing
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from threading import Thread
from time import sleep

import psycopg
import pytest
from click.testing import CliRunner
from flask import Flask

from consent_app.commands import main
from consent_app.errors import ConsentError, LedgerError, SettingsError, UnavailableError
from consent_app.ledger import Ledger
from consent_app.ledger.postgresql import SCHEMA, SIGNING
from consent_app.settings import Settings
from tests.web.ledger_places import Place, Server
from tests.web.ledger_records import GIVEN, TEXT, failed, given

ROOT = Path(__file__).parents[2]


@pytest.fixture
def there(tmp_path: Path, postgresql: Server) -> Place:
    """A ledger in PostgreSQL."""
    return Place.new(tmp_path, postgresql)


@pytest.fixture
def own(tmp_path: Path, postgresql: Server) -> Iterator[Place]:
    """A ledger on a server that the test may stop."""
    server = Server(postgresql._bin)
    yield Place.new(tmp_path, server)
    server.remove()


# -- what does not work is said ---------------------------------------------------------------------------------------


def wrong_urls(server: Server) -> dict[str, str]:
    """URLs that cannot be used, and what must be said of each."""
    return {
        server.url("ledger_template").replace(str(server.folder), "/nowhere"): "No such file",
        server.url("absent"): 'database "absent" does not exist',
        "postgresql://consent@127.0.0.1:1/consent": "refused",
        server.url("ledger_template", "guest:wrong"): "password authentication failed",
        server.url("template1"): "there is no ledger at",
    }


def test_a_url_that_cannot_be_used_is_said_in_one_line_without_its_password(tmp_path: Path, postgresql: Server) -> None:
    for url, words in wrong_urls(postgresql).items():
        environment = {"CONSENT_HOME": str(tmp_path), "CONSENT_LEDGER_URL": url}
        said = CliRunner().invoke(main, ["ledger", "verify"], env=environment)
        assert said.exit_code != 0
        assert words in said.output
        assert len(said.output.strip().splitlines()) == 1
        assert "wrong" not in said.output.replace("wrong password", "")


@pytest.mark.parametrize("url", ["mysql://u:secret@h/d", "postgresql://", "secret", "postgres://u:secret@h/d"])
def test_a_setting_that_is_no_url_of_postgresql_stops_the_start(url: str) -> None:
    with pytest.raises(SettingsError, match="CONSENT_LEDGER_URL must be a URL such as") as refused:
        Settings.from_environment({"CONSENT_LEDGER_URL": url})
    assert "secret" not in str(refused.value)


def test_the_url_comes_from_a_file_that_is_its_owners_alone(tmp_path: Path) -> None:
    file = tmp_path / "url"
    file.write_text("postgresql://u:p@h/d\n")
    environment = {"CONSENT_LEDGER_URL_FILE": str(file)}
    with pytest.raises(SettingsError, match="chmod 600"):
        Settings.from_environment(environment)
    file.chmod(0o600)
    settings = Settings.from_environment(environment)
    assert settings.ledger_url == "postgresql://u:p@h/d"
    assert "u:p" not in repr(settings)
    assert Settings.from_environment(environment, ledger_url="").ledger_url == ""
    (tmp_path / "secrets").mkdir()
    file.rename(tmp_path / "secrets" / "ledger.url")
    assert Settings.from_environment({}, home=tmp_path).ledger_url == "postgresql://u:p@h/d"


def test_without_the_driver_the_package_to_install_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(SettingsError, match=r"pip install consent-app\[postgresql\]"):
        Ledger(tmp_path / "ledger.db", "postgresql://consent@db.example/consent")


def test_a_database_in_another_encoding_is_refused(tmp_path: Path, postgresql: Server) -> None:
    postgresql.execute("CREATE DATABASE latin TEMPLATE template0 ENCODING 'LATIN1'")
    with pytest.raises(LedgerError, match="must be UTF8"):
        Place(tmp_path, postgresql, "latin").open()


# -- a server that goes away ------------------------------------------------------------------------------------------


def test_while_the_server_is_away_nothing_is_taken_and_afterwards_all_goes_on(own: Place) -> None:
    assert own.server
    with own.open() as ledger:
        ledger.archive_notice(TEXT, "2026-11-01")
        ledger.append(GIVEN)
        ledger.sequence()
        own.server.stop()
        for question in (lambda: ledger.append(given(1)), ledger.notices, ledger.takes_entries, ledger.sequence):
            with pytest.raises(UnavailableError):
                question()
        assert set(failed(ledger)) == {"ledger file"}
        own.server.start()
        assert ledger.takes_entries()
        assert ledger.append(given(1)).seq == 1
        assert ledger.sequence() == 2
        assert failed(ledger) == {}


def test_the_server_is_ready_while_its_ledger_is(
    own: Place, settings: Settings, make_app: Callable[[Settings], Flask]
) -> None:
    assert own.server
    client = make_app(replace(settings, ledger_url=own.url)).test_client()
    assert client.get("/readyz").status_code == 200
    own.server.stop()
    answer = client.get("/readyz")
    assert (answer.status_code, answer.get_json()["checks"]["ledger"]) == (503, False)
    own.server.start()
    own.server.execute(f"ALTER DATABASE {own.database} SET default_transaction_read_only = on")
    assert client.get("/readyz").status_code == 503, "the connections of before are gone, and new ones only read"


@pytest.mark.slow
@pytest.mark.parametrize("how", ["fast", "immediate"])
def test_a_restart_under_load_loses_no_acknowledged_decision(own: Place, how: str) -> None:
    """`immediate` is a crash: the server ends without tidying up, and reads its log when it starts."""
    assert own.server
    answered: list[str] = []
    stopping: list[bool] = []
    with own.open() as ledger:
        ledger.archive_notice(TEXT, "2026-11-01")

        def work(number: int) -> None:
            place = 0
            while not stopping:
                place += 1
                record = given(100_000 * number + place)
                try:
                    ledger.append(record)
                except ConsentError:
                    sleep(0.01)
                else:
                    answered.append(record.id)

        threads = [Thread(target=work, args=(number,)) for number in range(1, 5)]
        for thread in threads:
            thread.start()
        for wanted in (200, 400, 600):
            while len(answered) < wanted:
                sleep(0.01)
            own.server.stop(how)
            own.server.start()
        wanted = len(answered) + 100
        while len(answered) < wanted:
            sleep(0.01)
        stopping.append(True)
        for thread in threads:
            thread.join()
        kept = [entry.record["id"] for entry in ledger.entries()]
        assert {*answered} <= {*kept}
        assert len(kept) == len({*kept})
        assert ledger.sequence() == len(kept)
        assert failed(ledger) == {}


# -- several processes and machines -----------------------------------------------------------------------------------


@contextmanager
def load(place: Place, number: int) -> Iterator[subprocess.Popen[str]]:
    """A process that appends and signs; killed at the end."""
    command = [sys.executable, "-m", "tests.web.ledger_load_program", str(place.file), place.url, str(number)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def machine(place: Place, name: str) -> Place:
    """Another machine's data home on the same database, with the same key."""
    home = place.home / name
    home.mkdir(mode=0o700)
    shutil.copytree(place.home / "secrets", home / "secrets")
    return replace(place, home=home)


@pytest.mark.slow
def test_one_of_two_who_sign_is_killed_and_the_other_goes_on(there: Place) -> None:
    """Two machines, each with a folder of its own: no gap, no fork, whoever dies in the midst of it."""
    with there.open() as ledger:
        ledger.archive_notice(TEXT, "2026-11-01")
        ledger.append(GIVEN)
        ledger.sequence()
        homes = [machine(there, "left"), machine(there, "right")]
        answered = []
        with load(homes[0], 9) as staying:
            for number in range(1, 4):
                with load(homes[1], number) as dying:
                    answered += lines(dying, 12)
                answered += lines(staying, 12)
        kept = [entry.record["id"] for entry in ledger.entries()]
        assert {*answered} <= {*kept}
        assert [entry.seq for entry in ledger.entries()] == list(range(len(kept)))
        size = ledger.sequence()
        assert size == len(kept)
        for home in homes:
            with home.open() as other:
                early = other.published.checkpoint()
                assert failed(ledger, early) == {}, "what another machine signed is of the same log"
                assert other.sequence() == size
                assert other.published.checkpoint() == ledger.published.checkpoint()


def lines(process: subprocess.Popen[str], count: int) -> list[str]:
    """The next answered ids."""
    assert process.stdout
    said = [process.stdout.readline().strip() for _ in range(count)]
    assert not [line for line in said if not line or line.startswith("unsigned")]
    return said


def test_a_machine_without_the_key_makes_none_and_signs_nothing(there: Place) -> None:
    with there.open() as ledger:
        ledger.append(GIVEN)
        ledger.sequence()
    stranger = replace(there, home=there.home / "stranger")
    stranger.home.mkdir(mode=0o700)
    with stranger.open() as ledger:
        ledger.append(given(1))
        with pytest.raises(LedgerError, match="restore it from a backup"):
            ledger.sequence()
    assert not (stranger.home / "secrets").exists()


def test_who_waits_for_the_signer_is_let_in_when_he_dies(there: Place) -> None:
    """The lock goes with the connection: it is ended from outside, as a killed process's is."""
    with there.open() as ledger:
        ledger.archive_notice(TEXT, "2026-11-01")
        ledger.append(GIVEN)
        with closing(psycopg.connect(there.url)) as holder, closing(psycopg.connect(there.url)) as watch:
            watch.autocommit = True
            holder.execute("SELECT pg_advisory_xact_lock(%s)", [SIGNING])
            signer = Thread(target=ledger.sequence)
            signer.start()
            while signer.is_alive() and not waiting(watch):
                sleep(0.01)
            assert ledger.published.checkpoint() is None
            watch.execute("SELECT pg_terminate_backend(%s)", [holder.info.backend_pid])
            signer.join()
        assert failed(ledger) == {}


def waiting(connection: psycopg.Connection) -> int:
    """How many wait for an advisory lock."""
    query = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
    return int(connection.execute(query).fetchall()[0][0])


def open_once(file: Path, url: str) -> None:
    with Ledger(file, url) as ledger:
        assert ledger.notices() == []


@pytest.mark.slow
def test_who_opens_an_empty_database_at_once_makes_its_tables_once(tmp_path: Path, postgresql: Server) -> None:
    """Both are seen to wait before either may begin."""
    there = Place(tmp_path, postgresql, postgresql.make("template0"))
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=open_once, args=(there.file, there.url)) for _ in range(2)]
    with closing(psycopg.connect(there.url)) as holder, closing(psycopg.connect(there.url)) as watch:
        watch.autocommit = True
        holder.execute("SELECT pg_advisory_xact_lock(%s)", [SCHEMA])
        for worker in workers:
            worker.start()
        while waiting(watch) < 2 and all(worker.is_alive() for worker in workers):
            sleep(0.01)
        assert waiting(watch) == 2
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
