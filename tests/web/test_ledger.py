"""The ledger on a real SQLite file: what it takes, what it refuses, and that each check can fail."""

from __future__ import annotations

import hashlib
import multiprocessing
import sqlite3
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import delete, insert, select, update

from consent_app.errors import LedgerError, UnavailableError
from consent_app.ledger import Ledger
from consent_app.ledger.records import canonical
from consent_app.ledger.store import TAG
from consent_app.ledger.tables import complaint
from tests.web.ledger_places import Place
from tests.web.ledger_records import GIVEN, REFUSED, REMOVED, SHA, TEXT, verdicts


@pytest.fixture
def ledger(place: Place) -> Iterator[Ledger]:
    with place.open() as opened:
        opened.archive_notice(TEXT, "2026-11-01")
        yield opened


def test_entries_are_dense_and_hash_their_canonical_record(ledger: Ledger, place: Place) -> None:
    entries = [ledger.append(record) for record in (GIVEN, REFUSED, REMOVED, replace(GIVEN, id="6a" * 16))]
    assert [entry.seq for entry in entries] == [0, 1, 2, 3]
    with place.raw() as hand:
        for seq, leaf, nonce, record in hand.execute(
            "SELECT seq, leaf, nonce, record FROM entry JOIN body USING (seq)"
        ):
            assert (len(nonce), record) == (32, canonical(entries[seq].record))
            assert hashlib.sha256(TAG + nonce + record).digest() == leaf == entries[seq].leaf
    assert list(ledger.entries()) == entries
    ledger.sequence()
    assert all(verdicts(ledger).values())


def test_history_follows_one_id(ledger: Ledger) -> None:
    later = replace(GIVEN, event="withdrawn", time="2026-11-24T10:00:00Z")
    ledger.append(GIVEN)
    ledger.append(replace(GIVEN, id="77" * 16))
    ledger.append(later)
    assert [entry.record["event"] for entry in ledger.history(GIVEN.id)] == ["given", "withdrawn"]
    assert ledger.history("00" * 16) == []


def test_the_same_record_twice_is_one_entry(ledger: Ledger) -> None:
    assert ledger.append(GIVEN) == ledger.append(GIVEN)
    first = ledger.append(REMOVED)
    assert ledger.append(replace(REMOVED, time="2026-11-23T09:06:00Z")) == first
    assert ledger.removed() == {REMOVED.segment}
    assert ledger.append(REFUSED).seq + 1 == ledger.append(REFUSED).seq


@pytest.mark.parametrize("statement", ["UPDATE {0} SET {1} = {1}", "DELETE FROM {}"])
@pytest.mark.parametrize(("table", "column"), [("entry", "kind"), ("body", "nonce"), ("notice", "text")])
def test_the_database_refuses_changes(ledger: Ledger, place: Place, statement: str, table: str, column: str) -> None:
    ledger.append(GIVEN)
    with pytest.raises((sqlite3.IntegrityError, psycopg.DatabaseError), match="append-only"), place.raw() as hand:
        hand.execute(statement.format(table, column))


def test_notices_stay_readable(ledger: Ledger) -> None:
    assert ledger.archive_notice(TEXT, "2026-11-01") == SHA
    assert ledger.notice(SHA) == TEXT
    assert ledger.notice("0" * 64) is None
    assert ledger.notices() == [("2026-11-01", SHA)]


@pytest.mark.parametrize("change", ["replace(record, 'preferences', 'no-js-form')", "7", "upper(hex(record))"])
def test_a_record_turned_into_text_or_a_number_is_named(tmp_path: Path, change: str) -> None:
    """SQLite lets any column hold any type; what sqlite3 at a prompt writes is often text."""
    place = Place(tmp_path)
    with place.open() as ledger:
        ledger.append(GIVEN)
        with place.by_hand() as hand:
            hand.execute(f"UPDATE body SET record = {change} WHERE seq = 0")
        found = {check.name: check.sentence for check in ledger.verify() if not check.ok}
    assert found["ledger entries"] == "entry 0 is not what was appended"


def test_a_record_of_another_shape_is_found(ledger: Ledger, place: Place) -> None:
    """Even where the hash is right, because whoever wrote it knew how."""
    nonce, record = b"n" * 32, b'{"email":"a@b.example"}'
    leaf = hashlib.sha256(TAG + nonce + record).digest()
    with place.raw() as hand:
        hand.execute("INSERT INTO entry VALUES (0, 'consent', ?)", (leaf,))
        hand.execute("INSERT INTO body VALUES (0, NULL, ?, ?)", (nonce, record))
    found = verdicts(ledger)
    assert (found["ledger entries"], found["ledger schema"]) == (True, False)


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    file = tmp_path / "ledger.db"
    file.write_bytes(b"not a database, but long enough to look like one" * 100)
    with pytest.raises(LedgerError, match=r"ledger\.db cannot be opened"):
        Ledger(file)


def append_some(file: Path, url: str, number: int) -> None:
    with Ledger(file, url) as ledger:
        for place in range(25):
            ledger.append(replace(GIVEN, id=f"{number:016x}{place:016x}"))


def test_many_processes_append_without_a_gap(place: Place) -> None:
    """They open a database that is empty, all at once."""
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=append_some, args=(place.file, place.url, number)) for number in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
    with place.open() as ledger:
        assert [entry.seq for entry in ledger.entries()] == list(range(100))
        assert ledger.sequence() == 100
        assert verdicts(ledger).pop("ledger tree")


def test_a_full_disk_is_said_and_loses_nothing(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.db")
    ledger.archive_notice(TEXT, "2026-11-01")
    ledger.append(GIVEN)
    with ledger._database.writing.connect() as connection:
        connection.exec_driver_sql("PRAGMA max_page_count = 1")
        connection.commit()
    with pytest.raises(UnavailableError, match="full"):
        for number in range(200):
            ledger.append(replace(GIVEN, id=f"{number:032x}"))
    with ledger._database.writing.connect() as connection:
        connection.exec_driver_sql("PRAGMA max_page_count = 1000000")
        connection.commit()
    ledger.sequence()
    assert all(verdicts(ledger).values())
    ledger.close()


def test_only_the_owner_reads_the_file(ledger: Ledger, tmp_path: Path) -> None:
    ledger.append(GIVEN)
    ledger.sequence()
    assert {file.stat().st_mode & 0o777 for file in tmp_path.rglob("*") if file.is_file()} == {0o600}
    assert {file.stat().st_mode & 0o777 for file in tmp_path.rglob("*") if file.is_dir()} == {0o700}


def test_tables_beside_the_log_have_transactions_of_their_own(ledger: Ledger) -> None:
    row = {"reference": "K-7", "site": "kent", "opened": "2026-11-24T10:00:00Z", "due": "2026-12-24"}
    with ledger.writing() as connection:
        connection.execute(insert(complaint).values(row | {"state": "open", "sealed": b"sealed"}))
    with suppress(RuntimeError), ledger.writing() as connection:
        connection.execute(delete(complaint))
        raise RuntimeError
    with ledger.writing() as connection:
        connection.execute(update(complaint).values(state="closed", closed="2026-11-25"))
    with ledger.reading() as connection:
        (found,) = connection.execute(select(complaint))
    assert (found.state, found.closed, found.sealed) == ("closed", "2026-11-25", b"sealed")
    with ledger.writing() as connection:
        connection.execute(delete(complaint))
    assert verdicts(ledger)["ledger guard"]


def test_a_damaged_file_is_said_to_be_unavailable(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.db")
    ledger.append(GIVEN)
    ledger.close()
    file = tmp_path / "ledger.db"
    for name in ("ledger.db-wal", "ledger.db-shm"):
        (tmp_path / name).unlink(missing_ok=True)
    file.write_bytes(b"no database" + file.read_bytes()[11:])
    for question in (lambda: ledger.history(GIVEN.id), ledger.notices, ledger.removed, lambda: list(ledger.entries())):
        with pytest.raises(UnavailableError, match="cannot be read"):
            question()
