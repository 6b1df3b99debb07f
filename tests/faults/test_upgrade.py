"""Homes of earlier releases become homes of today: copied first, whole or not at all, whenever the power goes."""

from __future__ import annotations

import json
import shutil
import signal
import sqlite3
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest
from click.testing import CliRunner

from anonymiser.check import check
from anonymiser.closing import SOFTWARE
from anonymiser.facts import Fact
from anonymiser.hour_keys import HourKeys
from anonymiser.protect.budget import Budget
from anonymiser.spool import Spool
from consent_app import batch, upgrade
from consent_app.commands import main
from consent_app.ledger import Ledger, schema
from consent_app.ledger.migrations import migrate
from consent_app.ledger.postgresql import PostgreSQL
from consent_app.settings import Settings
from consent_app.users import Users
from tests.web.ledger_places import Place, Server
from tests.web.ledger_records import GIVEN, failed

OLD = Path(__file__).parents[1] / "web" / "old_ledgers"
ROOT = Path(__file__).parents[2]
PASSWORD = "correct horse battery"
RELEASED = tuple(sorted(folder.name for folder in OLD.iterdir()))
MOST_STEPS = 80


def run(home: Path, *words: str, code: int = 0) -> str:
    result = CliRunner().invoke(main, words, env={"CONSENT_HOME": str(home)})
    assert result.exit_code == code, result.output
    return result.output


def settings_of(home: Path) -> Settings:
    return Settings.from_environment({}, home=home)


@pytest.fixture(scope="module")
def figures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with a user and figures that an earlier release published: its file lacks a view of today's."""
    home = tmp_path_factory.mktemp("figures") / "home"
    run(home, "init")
    Users.load(home / "users.json").add("mary", PASSWORD, "viewer")
    at = datetime.now(UTC) - timedelta(days=3)
    HourKeys(home / "private").provide(home / "spool", at)
    with Spool(home / "spool", clock=lambda: at) as spool:
        spool.add([Fact("kent", at.date().isoformat(), "views", "", "", 1)] * 5)
    run(home, "batch")
    with closing(sqlite3.connect(home / "private" / "budget.db")) as budget:
        budget.execute("UPDATE release SET software = 'consent-app 0.0.9'")
        budget.commit()
    batch.republish(settings_of(home))
    with closing(duckdb.connect(str(home / "stats.duckdb"))) as file:
        file.execute("DROP VIEW pages")
    for path in (*home.glob("ledger.db*"), home / "secrets" / "ledger.keys"):
        path.unlink()
    shutil.rmtree(home / "ledger")
    return home


def aged(figures: Path, home: Path, ledger: str) -> Path:
    """A copy of it with the ledger, the log and the key that an earlier release left."""
    shutil.copytree(figures, home)
    with closing(sqlite3.connect(home / "ledger.db")) as file:
        file.executescript((OLD / ledger / "ledger.sql").read_text("utf-8") + "PRAGMA journal_mode = WAL;")
    (home / "ledger.db").chmod(0o600)
    if (OLD / ledger / "ledger").exists():
        shutil.copytree(OLD / ledger / "ledger", home / "ledger")
        shutil.copy(OLD / ledger / "ledger.keys", home / "secrets")
        (home / "secrets" / "ledger.keys").chmod(0o600)
    return home


@pytest.fixture(params=RELEASED)
def old(request: pytest.FixtureRequest, figures: Path, tmp_path: Path) -> Path:
    return aged(figures, tmp_path / "home", str(request.param))


def is_of_today(home: Path) -> None:
    """Every store has today's form and lost nothing; the ledger is written on."""
    assert upgrade.due(settings_of(home)) == []
    assert next(check(home / "stats.duckdb")).ok
    with closing(duckdb.connect(str(home / "stats.duckdb"), read_only=True)) as file, Budget(home / "private") as kept:
        assert file.execute("SELECT count(*) FROM release").fetchone() == (len(list(kept.releases())),)
    assert Users.load(home / "users.json").verify("mary", PASSWORD)
    with Ledger(home / "ledger.db") as ledger:
        assert ledger.append(GIVEN).seq == 0, "it was there before"
        assert ledger.sequence() >= 4
        assert failed(ledger) == {}


def copies(home: Path) -> list[str]:
    return sorted(path.name.partition("-")[0] for path in (home / "upgrades").glob("*.tar"))


def test_a_home_of_every_released_schema_becomes_one_of_today(old: Path) -> None:
    ledger = (old / "ledger.db").read_bytes()
    said = run(old, "migrate", "--check", code=1)
    assert "statistics:" in said and f"becomes {schema.NEWEST}" in said and "2 steps are due" in said
    assert (old / "ledger.db").read_bytes() == ledger, "looking changes nothing"
    assert "brought up to date" in run(old, "migrate")
    is_of_today(old)
    assert copies(old) == ["before"]
    assert "nothing to do" in run(old, "migrate")
    assert "othing to do" in run(old, "migrate", "--check")


@pytest.mark.parametrize("words", [("batch",), ("verify",), ("ledger", "show")])
def test_whatever_opens_the_home_brings_it_up_to_date_first(figures: Path, tmp_path: Path, words: tuple[str]) -> None:
    home = aged(figures, tmp_path / "home", "0002")
    result = CliRunner().invoke(main, words, env={"CONSENT_HOME": str(home)})
    assert "brought up to date" in result.output
    is_of_today(home)
    assert copies(home) == ["before"]


def test_the_copy_is_the_home_of_before_and_goes_after_a_week(old: Path, tmp_path: Path) -> None:
    before = (old / "stats.duckdb").read_bytes()
    found = schema.found(old / "ledger.db")
    run(old, "migrate")
    (copy,) = (old / "upgrades").glob("*.tar")
    assert copy.stat().st_mode & 0o777 == 0o600
    with tarfile.open(copy) as archive:
        assert not [name for name in archive.getnames() if name.startswith(("secrets", "spool", "upgrades"))]
    run(old, "restore", str(copy), "--home", str(tmp_path / "back"))
    assert (tmp_path / "back" / "stats.duckdb").read_bytes() == before
    assert schema.found(tmp_path / "back" / "ledger.db") == found
    now = datetime.now(UTC)
    assert upgrade.forget(settings_of(old), now + timedelta(days=6)) == 0
    assert upgrade.forget(settings_of(old), now + timedelta(days=8)) == 1
    assert not list((old / "upgrades").glob("*.tar"))


def test_a_step_that_fails_puts_everything_back(figures: Path, tmp_path: Path) -> None:
    """Somebody's table stands where the ledger's step makes its own; the statistics were written anew by then."""
    home = aged(figures, tmp_path / "home", "0002")
    with closing(sqlite3.connect(home / "ledger.db")) as file:
        file.execute("CREATE TABLE complaint (theirs TEXT)")
    before = {name: (home / name).read_bytes() for name in ("stats.duckdb", "users.json", "sites.toml")}
    said = run(home, "migrate", code=2)
    assert "Everything is as it was" in said and "table complaint already exists" in said
    assert {name: (home / name).read_bytes() for name in before} == before
    assert schema.found(home / "ledger.db") == "0002"
    assert copies(home) == []
    with closing(sqlite3.connect(home / "ledger.db")) as file:
        file.execute("DROP TABLE complaint")
    run(home, "migrate")
    is_of_today(home)


@pytest.mark.parametrize("store", ["ledger", "users"])
def test_a_home_of_a_later_release_is_refused_and_left_alone(figures: Path, tmp_path: Path, store: str) -> None:
    home = aged(figures, tmp_path / "home", "0002")
    run(home, "migrate")
    if store == "ledger":
        with closing(sqlite3.connect(home / "ledger.db")) as file:
            file.execute("UPDATE alembic_version SET version_num = '0999'")
            file.commit()
    else:
        users = json.loads((home / "users.json").read_text())
        (home / "users.json").write_text(json.dumps(users | {"version": 2}))
    content = {path: path.read_bytes() for path in home.glob("*") if path.is_file() and path.suffix != ".db-shm"}
    for words in (("migrate",), ("migrate", "--check"), ("batch",), ("serve",)):
        said = run(home, *words, code=2)
        assert "later release" in said and "install that release" in said
        assert said.count("\n") == 1
    assert all(path.read_bytes() == before for path, before in content.items())


def test_a_statistics_file_that_somebody_changed_is_left_for_verify(figures: Path, tmp_path: Path) -> None:
    """Its releases are of today's software: it cannot be the file of an earlier one."""
    home = aged(figures, tmp_path / "home", "0002")
    with closing(sqlite3.connect(home / "private" / "budget.db")) as budget:
        budget.execute("UPDATE release SET software = ?", (SOFTWARE,))
        budget.commit()
    assert "FAIL statistics objects" in run(home, "verify", code=1)


def test_a_ledger_in_postgresql_is_brought_up_to_date_too(figures: Path, tmp_path: Path, postgresql: Server) -> None:
    place = Place(tmp_path, postgresql, postgresql.make("template0"))
    database = PostgreSQL(place.url, 30)
    with database.write_surely() as connection:
        migrate(connection, "0002")
    database.close()
    home = shutil.copytree(figures, tmp_path / "home")
    (home / "secrets" / "ledger.url").write_text(place.url)
    (home / "secrets" / "ledger.url").chmod(0o600)
    assert "PostgreSQL, and not in it" in run(home, "migrate")
    assert schema.found(home / "ledger.db", place.url) == schema.NEWEST
    assert upgrade.due(settings_of(home)) == []


# -- kill -9 ----------------------------------------------------------------------------------------------------------

KILLED = """
import os, signal, sys
from pathlib import Path
from datetime import UTC, datetime
from sqlalchemy import event
from sqlalchemy.engine import Engine
from consent_app import upgrade
from consent_app.ledger.migrations import migrate
from consent_app.ledger.postgresql import PostgreSQL
from consent_app.settings import Settings

def run(home, left):
    def count(*_):
        nonlocal left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def heard(what, arguments):
        if what in ("os.rename", "os.link", "os.rmdir") and str(home) in str(arguments[0]):
            count()

    sys.addaudithook(heard)
    event.listen(Engine, "commit", count)
    upgrade.run(Settings.from_environment({}, home=home), datetime.now(UTC))

for line in sys.stdin:
    home, step = line.split()
    child = os.fork()
    if child == 0:
        run(Path(home), int(step))
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


@pytest.fixture
def killed() -> Iterator[Callable[[Path, int], int]]:
    """Upgrade in a process that kills itself before its n-th commit, rename, link or removal; its exit code."""
    command = [sys.executable, "-c", KILLED]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdin and parent.stdout
        send, receive = parent.stdin, parent.stdout

        def attempt(home: Path, step: int) -> int:
            send.write(f"{home} {step}\n")
            send.flush()
            return int(receive.readline())

        yield attempt
        send.close()


@pytest.mark.slow
def test_killed_between_any_two_steps_the_next_start_finishes(
    figures: Path, tmp_path: Path, killed: Callable[[Path, int], int]
) -> None:
    step, code = -1, -signal.SIGKILL
    while code != 0:
        step += 2
        assert step < MOST_STEPS
        home = aged(figures, tmp_path / str(step), RELEASED[step // 2 % len(RELEASED)])
        code = killed(home, step)
        assert code in (0, -signal.SIGKILL), step
        upgrade.run(settings_of(home), datetime.now(UTC))
        is_of_today(home)
        assert copies(home) == ["before"], step
        assert not list((home / "upgrades").glob(".*")), step
        (copy,) = (home / "upgrades").glob("*.tar")
        with tarfile.open(copy) as archive:
            content = archive.extractfile("stats.duckdb")
            assert content and content.read() == (figures / "stats.duckdb").read_bytes(), "the copy is of the beginning"
    assert step > 8
