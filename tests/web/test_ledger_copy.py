"""`consent ledger copy`: from a file to PostgreSQL, the same entry by entry, or nothing."""

from __future__ import annotations

import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from consent_app.commands import main
from consent_app.errors import LedgerError, UnavailableError
from consent_app.ledger import Ledger, RemovalRecord, complaints, moving
from consent_app.ledger.tables import metadata
from tests.web.conftest import Clock
from tests.web.ledger_places import Place, Server, statements
from tests.web.ledger_records import GIVEN, REMOVED, TEXT, failed, given

ROOT = Path(__file__).parents[2]
KILLED = """
import os, signal, sys
from pathlib import Path
from sqlalchemy import event
from sqlalchemy.engine import Engine
from consent_app.ledger import Ledger, moving

file, url, left = Path(sys.argv[1]), sys.argv[2], [int(sys.argv[3])]
source, target = Ledger(file), Ledger(file, url)

def count(*_):
    left[0] -= 1
    if left[0] < 0:
        os.kill(os.getpid(), signal.SIGKILL)

@event.listens_for(Engine, "before_cursor_execute")
def executed(connection, cursor, statement, *_):
    if statement.startswith("INSERT"):
        count()

event.listen(Engine, "commit", count)
moving.copy(source, target)
"""


@pytest.fixture
def home(tmp_path: Path) -> Place:
    """A home with a ledger of two years, an erasure, a complaint and an entry that is not signed yet."""
    place = Place.new(tmp_path / "home", None)
    assert CliRunner().invoke(main, ["init"], env={"CONSENT_HOME": str(place.home)}).exit_code == 0
    clock = Clock(datetime(2026, 12, 31, tzinfo=UTC))
    with place.open(clock) as ledger:
        ledger.archive_notice(TEXT, "2026-11-01")
        for number in range(300):
            ledger.append(given(number))
        ledger.append(REMOVED)
        ledger.sequence()
        clock.now = datetime(2027, 1, 1, 9, tzinfo=UTC)
        ledger.sequence()
        ledger.erase(given(3).id)
        ledger.append(GIVEN)
        ledger.sequence()
        row = complaints.SealedComplaint("R-1", "kent", "2027-01-01T00:00:00Z", "2027-01-31", "open", "", b"sealed")
        complaints.add(ledger, row)
    return place


def rows(ledger: Ledger) -> dict[str, list[Any]]:
    with ledger.reading() as connection:
        return {table.name: sorted(map(tuple, connection.execute(table.select()))) for table in metadata.sorted_tables}


def run(place: Place, url: str) -> Result:
    return CliRunner().invoke(main, ["ledger", "copy", "--to", url], env={"CONSENT_HOME": str(place.home)})


def test_the_copy_is_the_same_ledger_and_goes_on(home: Place, postgresql: Server) -> None:
    there = Place.new(home.home, postgresql)
    done = run(home, there.url)
    assert done.exit_code == 0, done.output
    assert "Copied 304 entries; every check of the copy holds" in done.output
    with home.open() as old, there.open(Clock(datetime(2027, 1, 2, tzinfo=UTC))) as new:
        assert rows(old) == rows(new)
        kept, proof = old.published.checkpoint(), old.proof(GIVEN.id)
        assert failed(new, kept) == {}
        new.append(given(900))
        assert new.sequence() == 305
        assert failed(new, kept) == {}
        assert proof is not None and new.verify_proof("kept", proof.text).ok


def test_the_url_may_be_in_a_private_file(home: Place, postgresql: Server) -> None:
    there = Place.new(home.home, postgresql)
    file = home.home / "target.url"
    file.write_text(there.url)
    file.chmod(0o644)
    assert "chmod 600" in run(home, str(file)).output
    file.chmod(0o600)
    assert run(home, str(file)).exit_code == 0


def test_a_target_that_is_not_empty_is_refused(home: Place, postgresql: Server) -> None:
    there = Place.new(home.home, postgresql)
    with there.open() as other:
        other.archive_notice(TEXT, "2026-11-01")
        before = rows(other)
        done = run(home, there.url)
        assert done.exit_code == 2
        assert "the target is not empty (table notice)" in done.output
        assert rows(other) == before


def test_a_ledger_that_does_not_hold_is_not_copied(home: Place, postgresql: Server) -> None:
    there = Place.new(home.home, postgresql)
    with home.by_hand() as hand:
        statements("UPDATE body SET nonce = zeroblob(32) WHERE seq = 7")(hand)
    with home.open() as old, there.open() as new:
        with pytest.raises(LedgerError, match="nothing was copied, because of ledger entries: entry 7"):
            moving.copy(old, new)
        assert not any(rows(new).values())


def test_nobody_adds_to_the_source_meanwhile(home: Place, postgresql: Server, monkeypatch: Any) -> None:
    """An entry that came in between would be lost: whoever tries is told to try again."""
    monkeypatch.setattr("consent_app.ledger.store.BUSY_SECONDS", 0.05)
    with home.open() as old, home.open() as other, Place.new(home.home, postgresql).open() as new:
        real = moving._copy
        tried: list[int] = []

        def meanwhile(*parts: Any) -> None:
            if not tried:
                tried.append(1)
                with pytest.raises(UnavailableError, match="try again"):
                    other.append(RemovalRecord("late-1", "2027-01-01T08Z", "2027-01-01T09:05:00Z"))
            real(*parts)

        monkeypatch.setattr(moving, "_copy", meanwhile)
        assert moving.copy(old, new) == 304
        assert tried


def test_killed_anywhere_it_leaves_an_empty_target_and_is_done_again(home: Place, postgresql: Server) -> None:
    there = Place.new(home.home, postgresql)
    there.open().close()
    for step in (3, 7):
        command = [sys.executable, "-c", KILLED, str(home.file), there.url, str(step)]
        assert subprocess.run(command, cwd=ROOT, check=False).returncode == -signal.SIGKILL
        with there.open() as new:
            assert not any(rows(new).values())
    with home.open() as old, there.open() as new:
        assert moving.copy(old, new) == 304
        assert failed(old) == {}
