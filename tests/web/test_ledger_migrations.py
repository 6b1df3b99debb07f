"""Ledgers of every earlier schema open, keep every entry and proof, and are written on; nothing opens a later one.

`old_ledgers` holds what the program of that time wrote: the SQLite file as SQL, and the log as far as it was signed.
"""

from __future__ import annotations

import multiprocessing
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import inspect

from consent_app.ledger import Ledger, migrations
from consent_app.ledger.migrations import NEWEST, migrate, version
from consent_app.ledger.postgresql import PostgreSQL
from consent_app.ledger.tables import metadata
from tests.web.ledger_places import Place
from tests.web.ledger_records import GIVEN, REMOVED, SHA, TEXT, failed, given

OLD = Path(__file__).parent / "old_ledgers"
TABLES = {"0001": ("entry", "body", "notice"), "0002": ("entry", "body", "notice", "erased", "head")}


@pytest.fixture(params=sorted(TABLES))
def old(request: pytest.FixtureRequest, place: Place) -> tuple[str, Place]:
    """A home with a ledger of an earlier schema. For PostgreSQL its rows are put into that schema's tables there."""
    schema = str(request.param)
    with closing(sqlite3.connect(place.home / "ledger.db")) as file:
        file.executescript((OLD / schema / "ledger.sql").read_text("utf-8"))
        if place.server:
            place = Place(place.home, place.server, place.server.make("template0"))
            _fill(place, schema, file)
    if (OLD / schema / "ledger").exists():
        shutil.copytree(OLD / schema / "ledger", place.home / "ledger")
        (place.home / "secrets").mkdir(mode=0o700)
        shutil.copy(OLD / schema / "ledger.keys", place.home / "secrets" / "ledger.keys")
        (place.home / "secrets" / "ledger.keys").chmod(0o600)
    return schema, place


def _fill(place: Place, schema: str, file: sqlite3.Connection) -> None:
    database = PostgreSQL(place.url, 30)
    with database.write_surely() as connection:
        migrate(connection, schema)
    database.close()
    with place.raw() as hand:
        for table in TABLES[schema]:
            rows = file.execute(f"SELECT * FROM {table}").fetchall()
            hand.executemany(f"INSERT INTO {table} VALUES ({', '.join('?' * len(rows[0]))})", rows)


def test_an_old_ledger_holds_after_its_migration_and_is_written_on(old: tuple[str, Place]) -> None:
    schema, place = old
    unsigned = schema == "0001"
    with place.open() as ledger:
        assert set(failed(ledger)) == ({"ledger tail"} if unsigned else set())
        before = ledger.published.checkpoint()
        count = 4 if unsigned else 5
        assert ledger.append(GIVEN).seq == 0
        assert ledger.append(REMOVED).seq == 2
        assert ledger.append(given(7)).seq == count
        assert ledger.notice(SHA) == TEXT
        assert ledger.sequence() == count + 1
        assert failed(ledger, before) == {}
        assert ledger.erase(GIVEN.id) is not None
        ledger.sequence()
        assert failed(ledger, before) == {}
    with place.open() as ledger:
        assert failed(ledger, before) == {}


def test_an_old_ledger_becomes_what_a_new_one_is(old: tuple[str, Place]) -> None:
    """The same columns, whichever way they came about, and those that the program believes in."""
    _, place = old
    found = []
    for here in (place, place.beside("new")):
        with here.open() as ledger, ledger.reading() as connection:
            assert version(connection) == NEWEST
            schema = inspect(connection)
            found.append(
                {
                    (table, column["name"], column["nullable"], str(column["type"]))
                    for table in schema.get_table_names()
                    for column in schema.get_columns(table)
                    if table != "alembic_version"
                }
            )
    assert found[0] == found[1]
    declared = {(table.name, column.name) for table in metadata.tables.values() for column in table.columns}
    assert {(table, name) for table, name, _, _ in found[0]} == declared


def test_the_newest_schema_is_alembics_head() -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    assert ScriptDirectory.from_config(config).get_current_head() == NEWEST


def test_the_program_of_that_time_leaves_a_migrated_file_alone(tmp_path: Path) -> None:
    """It looks at `user_version`, and refuses what is above its own."""
    with Ledger(tmp_path / "ledger.db"), closing(sqlite3.connect(tmp_path / "ledger.db")) as raw:
        assert raw.execute("PRAGMA user_version").fetchone() == (int(NEWEST),)


def open_once(file: Path, url: str) -> None:
    with Ledger(file, url) as ledger:
        assert ledger.notices()


@pytest.mark.slow
def test_who_opens_an_old_ledger_at_once_migrates_it_once(old: tuple[str, Place]) -> None:
    _, place = old
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=open_once, args=(place.file, place.url)) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
