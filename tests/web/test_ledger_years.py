"""A log for each year: the crossing at New Year, however it is cut; what holds over it, and what is found out."""

from __future__ import annotations

import json
import multiprocessing
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from consent_app import receipt_check
from consent_app.errors import LedgerError
from consent_app.ledger import Ledger, RemovalRecord, dropping, export, holds, keys
from consent_app.ledger.backlog import backlog
from consent_app.ledger.links import Link
from consent_app.ledger.records import YearRecord
from consent_app.ledger.tlog.checkpoint import Checkpoint, verified
from consent_app.ledger.tlog.note import opened
from consent_app.rooms import Rooms
from tests.web.conftest import Clock
from tests.web.ledger_places import Hand, Place, statements
from tests.web.ledger_records import GIVEN, REMOVED, TEXT, failed, given

ROOT = Path(__file__).parents[2]
IN_2026 = datetime(2026, 12, 31, 23, 59, 59, tzinfo=UTC)
IN_2027 = datetime(2027, 1, 1, 0, 0, 1, tzinfo=UTC)
IN_2028 = datetime(2028, 7, 1, tzinfo=UTC)
AT_ONCE = 12
MOST_STEPS = 120


def head(note: bytes | None) -> Checkpoint:
    text = (note or b"").decode().partition("\n\n")[0]
    return Checkpoint.read(f"{text}\n")


@pytest.fixture
def clock() -> Clock:
    return Clock(IN_2026)


@pytest.fixture
def ledger(place: Place, clock: Clock) -> Any:
    """Six entries of 2026, signed; then New Year, and two more."""
    with place.open(clock) as made:
        made.archive_notice(TEXT, "2026-11-01")
        for number in range(5):
            made.append(given(number))
        made.append(REMOVED)
        made.sequence()
        made.kept = made.published.checkpoint()  # type: ignore[attr-defined]
        made.early = made.proof(given(1).id)  # type: ignore[attr-defined]
        clock.now = IN_2027
        assert made.sequence() == 7
        made.append(given(10))
        made.append(given(11))
        assert made.sequence() == 9
        yield made


def test_a_new_year_begins_a_log_that_goes_on_from_the_one_before(ledger: Any) -> None:
    first, second = ledger.logs()
    assert (first.year, first.first, first.past) == (2026, 0, 6)
    assert (second.year, second.first, second.past) == (2027, 6, None)
    old, new = head(ledger.published.of("").checkpoint()), head(ledger.published.checkpoint())
    assert old == head(ledger.kept), "the log of 2026 is frozen"
    assert (new.origin, new.size) == (f"{old.origin}/2027", 3)
    begun = next(entry for entry in ledger.entries() if entry.kind == "year")
    assert begun.seq == 6
    assert begun.record == {
        "schema": "urn:consent-app:year-record:1", "year": 2027, "first": 6, "previous": old.origin, "size": 6,
        "root": old.root.hex(), "time": "2027-01-01T00:00:01Z",
    }  # fmt: skip
    assert failed(ledger) == {}
    said = {check.name: check.sentence for check in ledger.verify()}
    assert said["ledger years"] == "2 years' logs, each goes on from the last checkpoint of the one before"


def test_what_was_given_before_new_year_holds_after_it(ledger: Any) -> None:
    assert failed(ledger, ledger.kept) == {}
    assert failed(ledger, ledger.published.checkpoint()) == {}
    assert ledger.verify_proof("old", ledger.early.text).ok
    late = ledger.proof(given(1).id)
    assert (late.index, head(late.checkpoint).size) == (1, 6)
    new = ledger.proof(given(11).id)
    assert (new.index, head(new.checkpoint).size) == (2, 3)
    assert ledger.verify_proof("new", new.text).ok
    known = keys.read_public(ledger.published.key())
    entry = next(entry for entry in ledger.entries() if entry.record.get("id") == given(11).id)
    assert new.verify(entry.leaf, known).size == 3, "the key that was kept in 2026 verifies 2027"
    own = keys.read_public((ledger.published.own_key() or b"").decode())
    assert {key.name for key in own} == {head(new.checkpoint).origin}
    assert opened(new.checkpoint, own), "and a program that knows nothing of years has a key under the log's own name"


def test_the_same_record_put_back_after_new_year_is_not_there_twice(ledger: Any) -> None:
    assert ledger.append(given(1)).seq == 1
    assert ledger.sequence() == 9


def test_a_clock_that_goes_back_over_new_year_changes_nothing(ledger: Any, clock: Clock) -> None:
    for now in (datetime(2026, 12, 31, 23, 0, 1, tzinfo=UTC), IN_2027, IN_2026):
        clock.now = now
        ledger.append(given(100 + now.hour))
        ledger.sequence()
    assert [log.year for log in ledger.logs()] == [2026, 2027]
    assert failed(ledger, ledger.kept) == {}


def test_years_without_an_entry_have_no_log(ledger: Any, clock: Clock) -> None:
    clock.now = datetime(2031, 3, 1, tzinfo=UTC)
    assert ledger.sequence() == 10
    assert [log.year for log in ledger.logs()] == [2026, 2027, 2031]
    assert ledger.sequence() == 10
    assert failed(ledger, ledger.kept) == {}


def test_new_year_comes_to_who_only_publishes(ledger: Any, place: Place, clock: Clock) -> None:
    """Another machine on the same database, whose folder ends in the middle of the last year."""
    if not place.server:
        pytest.skip("a file is one machine's")
    other = Place(place.home / "other", place.server, place.database)
    other.home.mkdir(mode=0o700)
    shutil.copytree(place.home / "secrets", other.home / "secrets")
    with other.open(clock) as second:
        assert second.sequence() == 9
        for year in ("", "2027"):
            assert second.published.of(year).checkpoint() == ledger.published.of(year).checkpoint()
        assert failed(second) == {}


def test_what_was_erased_of_an_old_year_has_its_tombstone_in_the_new_one(ledger: Any, tmp_path: Path) -> None:
    tombstone = ledger.erase(given(2).id)
    assert tombstone.seq == 9
    ledger.sequence()
    assert ledger.history(given(2).id) == []
    assert failed(ledger, ledger.kept) == {}
    assert ledger.verify_proof("old", ledger.early.text).ok
    for year in (None, 2026, 2027):
        folder = tmp_path / f"copy-{year}"
        ledger.export(folder, year, records=True)
        found = {check.name: check for check in export.checks(folder, ledger.published.key())}
        assert all(check.ok for check in found.values()), found
    assert "1 are erased" in next(
        c.sentence for c in export.checks(tmp_path / "copy-2026", None) if "records" in c.name
    )
    assert given(2).id not in (tmp_path / "copy-None" / "records.jsonl").read_text()


def test_what_waits_is_counted_over_all_years(ledger: Any) -> None:
    ledger._background.wake = lambda: None
    assert backlog(ledger).entries == 0
    ledger.append(given(12))
    assert backlog(ledger).entries == 1


# -- several at once -------------------------------------------------------------------------------------------------

YEARS = range(2027, 2031)


def cross_together(file: Path, url: str, number: int, start: Barrier) -> None:
    """One of several processes for which it is New Year at the same moment, again and again."""
    clock = Clock(IN_2026)
    with Ledger(file, url, clock=clock) as ledger:
        for year in YEARS:
            ledger.append(given(10_000 * year + number))
            start.wait(60)
            clock.now = IN_2027.replace(year=year)
            ledger.append(given(20_000 * year + number))
            ledger.sequence()
            start.wait(60)


@pytest.mark.slow
def test_of_several_processes_that_come_to_new_year_one_begins_the_log(place: Place) -> None:
    place = place.beside("home")
    with place.open(Clock(IN_2026)) as ledger:
        ledger.archive_notice(TEXT, "2026-11-01")
        ledger.append(REMOVED)
        ledger.sequence()
        kept = ledger.published.checkpoint()
    context = multiprocessing.get_context("spawn")
    start = context.Barrier(4)
    workers = [
        context.Process(target=cross_together, args=(place.file, place.url, number, start)) for number in range(4)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
    with place.open(Clock(IN_2027.replace(year=YEARS[-1]))) as ledger:
        ledger.sequence()
        assert [log.year for log in ledger.logs()] == [2026, *YEARS]
        kinds = Counter(entry.kind for entry in ledger.entries())
        assert kinds == {"removal": 1, "consent": 2 * 4 * len(YEARS), "year": len(YEARS)}
        assert failed(ledger, kept) == {}


# -- killed at New Year -----------------------------------------------------------------------------------------------


def killed(place: Place, steps: range) -> list[tuple[Place, int]]:
    copies = [place.copy(place.home.with_name(f"{place.home.name}.{step}")) for step in steps]
    urls = [copy.url or "-" for copy in copies]
    command = [
        sys.executable,
        "-m",
        "tests.web.ledger_crash_program",
        "--new-year",
        str(place.home),
        f"{steps.start}:{steps.step}",
    ]
    done = subprocess.run([*command, *urls], cwd=ROOT, capture_output=True, text=True, check=True)
    codes = [int(line.split()[1]) for line in done.stdout.splitlines()]
    return list(zip(copies, codes, strict=True))


@pytest.mark.slow
def test_killed_at_any_step_of_new_year_the_chain_is_whole(place: Place) -> None:
    """Each process is to sign what waits, finish 2026, begin 2027 and sign it; the next one finds what it left."""
    stride = 4 if place.server else 1  # each death needs a database of its own
    place = place.beside("home")
    clock = Clock(IN_2026)
    with place.open(clock) as ledger:
        ledger.archive_notice(TEXT, "2026-11-01")
        for number in range(254):
            ledger.append(given(number))
        ledger.sequence()
        kept = ledger.published.checkpoint()
    ends: list[tuple[Place, int]] = []
    while not ends or ends[-1][1] != 0:
        ends += killed(place, range(len(ends) * stride, (len(ends) + AT_ONCE) * stride, stride))
        assert len(ends) <= MOST_STEPS
    deaths = [here for here, code in ends if code == -9]
    assert len(deaths) * stride > 20
    clock.now = IN_2027
    for here in deaths:
        with here.open(clock) as ledger:
            ledger.append(given(254))
            ledger.append(given(255))
            ledger.sequence()
            assert [log.year for log in ledger.logs()] == [2026, 2027]
            assert sorted(e.record["id"] for e in ledger.entries() if e.kind == "consent") == [
                given(number).id for number in range(256)
            ]
            assert failed(ledger, kept) == {}
            assert ledger.published.of("").checkpoint() is not None


# -- what is found out ------------------------------------------------------------------------------------------------

LINK = "SELECT record FROM body WHERE seq = 6"


def relink(hand: Hand) -> None:
    """The first entry of the new log names another root, and hash and nonce are made to fit."""
    from_here = json.loads(bytes(hand.execute(LINK).fetchone()[0])) | {"root": "0" * 64}
    hand.execute("UPDATE body SET record = ? WHERE seq = 6", (json.dumps(from_here, separators=(",", ":")).encode(),))


BROKEN: dict[str, tuple[Callable[[Hand], None], set[str]]] = {
    "the new log names another root": (relink, {"ledger entries", "ledger years", "ledger schema"}),
    "a year's beginning is forgotten": (
        statements("DELETE FROM shard WHERE first = 6"),
        {"ledger years", "ledger tree", "ledger tiles"},
    ),
    "a year begins at another entry": (
        statements("UPDATE shard SET first = 5 WHERE first = 6"),
        {"ledger years", "ledger tree", "ledger tiles", "ledger tail"},
    ),
    "an entry of a finished year is rewritten": (
        statements("UPDATE entry SET leaf = zeroblob(32) WHERE seq = 3"),
        {"ledger entries", "ledger tree", "ledger tiles"},
    ),
    "a finished year is said to be dropped": (
        statements("INSERT INTO dropped VALUES (0, 6)"),
        {"ledger years"},
    ),
}


@pytest.mark.parametrize("what", BROKEN)
def test_what_was_done_to_the_years_is_found(ledger: Any, place: Place, what: str) -> None:
    tamper, expected = BROKEN[what]
    with place.by_hand() as hand:
        tamper(hand)
    assert set(failed(ledger)) >= {"ledger years"} & expected
    assert set(failed(ledger)) <= expected
    assert failed(ledger)


def test_a_lost_last_checkpoint_is_found_and_made_again(ledger: Any, place: Place, clock: Clock) -> None:
    lost = ledger.published.of("").folder / "checkpoint"
    content = lost.read_bytes()
    lost.unlink()
    assert "ledger years" in failed(ledger)
    with place.open(clock) as again:
        again.sequence()
        assert lost.read_bytes() == content
        assert failed(again) == {}


def test_an_older_copy_from_before_new_year_is_refused(place: Place, clock: Clock) -> None:
    """Its database ends exactly where 2026 did: a second 2027 would be another history."""
    place = place.beside("home")
    with place.open(clock) as ledger:
        ledger.append(REMOVED)
        ledger.sequence()
    old = place.copy(place.home.with_name("old"))
    clock.now = IN_2027
    with place.open(clock) as ledger:
        ledger.append(given(1))
        ledger.sequence()
        kept = ledger.published.checkpoint()
    shutil.copytree(place.home / "ledger" / "2027", old.home / "ledger" / "2027")
    with old.open(clock) as ledger:
        with pytest.raises(LedgerError, match="older copy"):
            ledger.sequence()
        assert "ledger years" in failed(ledger)
        assert "older copy" in failed(ledger, kept)["ledger since"]


# -- copies -----------------------------------------------------------------------------------------------------------


def test_a_finished_year_is_verified_alone_and_offline(ledger: Any, tmp_path: Path) -> None:
    assert ledger.export(tmp_path / "all", records=False) == 9
    assert ledger.export(tmp_path / "2026", 2026, records=False) == 6
    assert ledger.export(tmp_path / "2027", 2027, records=True) == 3
    for name in ("all", "2026", "2027"):
        assert [check for check in export.checks(tmp_path / name, None) if not check.ok] == []
    assert "export years" in {check.name for check in export.checks(tmp_path / "all", None)}
    for name in ("all", "2026", "2027"):
        assert export.since(tmp_path / name, ledger.kept, ledger.published.key()).ok
    assert export.since(tmp_path / "all", ledger.published.checkpoint(), None).ok
    assert not export.since(tmp_path / "2026", ledger.published.checkpoint(), None).ok
    with pytest.raises(LedgerError, match="no log of 2025 here; there are those of: 2026, 2027"):
        ledger.export(tmp_path / "2025", 2025, records=False)


def test_a_copy_whose_years_do_not_fit_is_found(ledger: Any, place: Place, clock: Clock, tmp_path: Path) -> None:
    ledger.export(tmp_path / "copy", records=False)
    shorter = Place.new(place.home / "shorter", None)
    shorter.home.mkdir(mode=0o700)
    shutil.copytree(place.home / "secrets", shorter.home / "secrets")
    with shorter.open(Clock(IN_2026)) as other:
        other.append(REMOVED)
        other.sequence()
        other.export(tmp_path / "other", records=False)
    for part in ("checkpoint", "tile"):
        target = tmp_path / "copy" / part
        shutil.rmtree(target) if target.is_dir() else target.unlink()
    shutil.copytree(tmp_path / "other", tmp_path / "copy", dirs_exist_ok=True)
    wrong = [check for check in export.checks(tmp_path / "copy", None) if not check.ok]
    assert [check.name for check in wrong] == ["export years"]
    assert "it goes on from the 6 entries of" in wrong[0].sentence
    link = tmp_path / "copy" / "2027" / "previous.json"
    link.write_text(link.read_text().replace("2027", "2028"))
    wrong = [check for check in export.checks(tmp_path / "copy", None) if not check.ok]
    assert "previous.json is not the first entry of the log" in wrong[0].sentence


# -- dropping a year --------------------------------------------------------------------------------------------------


@pytest.fixture
def emptied(ledger: Any, clock: Clock) -> Any:
    """All consent records of 2026 are erased, and it is 2028."""
    clock.now = IN_2028
    ledger.sequence()
    ledger.erase_entries(range(6))
    ledger.sequence()
    return ledger


def test_a_year_that_need_not_be_kept_is_dropped_and_its_checkpoint_stays(
    emptied: Any, place: Place, tmp_path: Path
) -> None:
    emptied.export(tmp_path / "before", records=True)
    last = dropping.drop(emptied, 2026, IN_2028)
    assert last == head(emptied.kept)
    assert dropping.drop(emptied, 2026, IN_2028) == last, "done twice it changes nothing"
    assert failed(emptied, emptied.kept) == {}
    assert min(entry.seq for entry in emptied.entries()) == 6
    with place.raw() as hand:
        for table in ("entry", "body", "erased"):
            assert hand.execute(f"SELECT count(*) FROM {table} WHERE seq < 6").fetchone()[0] == 0
    folder = emptied.published.of("").folder
    assert (folder / "checkpoint").exists() and not (folder / "tile").exists()
    emptied.append(given(20))
    emptied.sequence()
    emptied.export(tmp_path / "after", records=True)
    for copy in ("before", "after"):
        assert [check for check in export.checks(tmp_path / copy, None) if not check.ok] == []
    assert export.since(tmp_path / "after", emptied.kept, None).ok
    with pytest.raises(LedgerError, match="no log of 2026"):
        emptied.export(tmp_path / "gone", 2026, records=False)


def test_what_must_be_kept_keeps_its_year(ledger: Any, clock: Clock) -> None:
    with pytest.raises(LedgerError, match="no finished log of 2027"):
        dropping.drop(ledger, 2027, IN_2028.replace(year=2030))
    clock.now = IN_2028
    ledger.sequence()
    with pytest.raises(LedgerError, match="5 consent records of 2026 are not erased yet"):
        dropping.drop(ledger, 2026, IN_2028)
    with pytest.raises(LedgerError, match="may be dropped from 2029 on"):
        dropping.drop(ledger, 2027, IN_2028)
    clock.now = IN_2028.replace(year=2029)
    ledger.sequence()
    ledger.erase_entries(range(9))
    with pytest.raises(LedgerError, match="the log of 2026 is older and still there"):
        dropping.drop(ledger, 2027, clock.now)


def test_a_hold_that_stands_keeps_the_year_it_was_ordered_in(place: Place, clock: Clock) -> None:
    with place.open(clock) as ledger:
        until = IN_2028.date()
        made = holds.add(ledger, "kent", [], reason="A claim", by="legal", until=until, now=IN_2026)
        ledger.sequence()
        clock.now = IN_2028
        ledger.sequence()
        with pytest.raises(LedgerError, match="1 legal holds that were ordered in 2026 stand yet"):
            dropping.drop(ledger, 2026, IN_2028)
        holds.end(ledger, made.hold, "legal", IN_2028)
        dropping.drop(ledger, 2026, IN_2028)
        assert failed(ledger) == {}


DROPPED: dict[str, Callable[[Hand], None]] = {
    "more is gone than was said": statements("DELETE FROM body WHERE seq = 7", "DELETE FROM entry WHERE seq = 7"),
    "the list says another end": statements("UPDATE dropped SET past = 7"),
    "the list is empty": statements("DELETE FROM dropped"),
}


@pytest.mark.parametrize("what", DROPPED)
def test_a_year_that_went_otherwise_is_found(emptied: Any, place: Place, what: str) -> None:
    dropping.drop(emptied, 2026, IN_2028)
    with place.by_hand() as hand:
        DROPPED[what](hand)
    assert failed(emptied)


def test_the_database_lets_a_year_go_only_when_it_is_named(ledger: Any, place: Place) -> None:
    for table in ("entry", "body", "shard", "head"):
        with pytest.raises(Exception, match="append-only"), place.raw() as hand:
            hand.execute(f"DELETE FROM {table}")


# -- over HTTP, and receipts ------------------------------------------------------------------------------------------


@pytest.fixture
def crossed(client: FlaskClient, here: Rooms) -> FlaskClient:
    """A server whose ledger went over New Year; its clock is the one of the test's settings."""
    sequencer = here.ledger._sequencer
    sequencer._clock = Clock(IN_2026)
    here.ledger.append(GIVEN)
    here.ledger.sequence()
    sequencer._clock = Clock(IN_2027)
    here.ledger.append(replace(GIVEN, event="changed", time="2027-01-01T08:00:00Z"))
    here.ledger.sequence()
    here.ledger.append(given(3))
    here.ledger.sequence()
    return client


@pytest.fixture
def here(app: Any) -> Rooms:
    found: Rooms = app.extensions["consent"]
    return found


def test_the_newest_year_is_where_the_log_always_was_and_each_has_its_own_address(crossed: FlaskClient) -> None:
    newest = crossed.get("/ledger/checkpoint")
    assert head(newest.data).origin.endswith("/2027")
    assert crossed.get("/ledger/2027/checkpoint").data == newest.data
    known = keys.read_public(crossed.get("/ledger/log.vkey").text)
    old = verified(crossed.get("/ledger/2026/checkpoint").data, known)
    new = verified(newest.data, known)
    assert new.origin == f"{old.origin}/2027"
    for prefix, size in (("/ledger/2026", old.size), ("/ledger/2027", new.size), ("/ledger", new.size)):
        tile = crossed.get(f"{prefix}/tile/0/000.p/{size}")
        assert len(tile.data) == 32 * size
        assert ("immutable" in tile.headers["Cache-Control"]) == (prefix != "/ledger"), "what changes is not kept"
    link = crossed.get("/ledger/2027/previous.json").get_json(force=True)
    assert json.loads(link["record"])["root"] == old.root.hex()
    assert opened(newest.data, keys.read_public(crossed.get("/ledger/2027/log.vkey").text))
    for wrong in ("2025/checkpoint", "2026/previous.json", "2027/secrets", "2027/tile/0/001", "02027/checkpoint"):
        assert crossed.get(f"/ledger/{wrong}").status_code == 404


CHECK = """
import { readFileSync } from "node:fs";
import { check } from "./receipt-check.mjs";
const [file, key] = process.argv.slice(2).map((name) => readFileSync(name));
const { checks } = await check(new Uint8Array(file), key.toString());
console.log(JSON.stringify(checks));
"""


def test_a_receipt_of_both_years_is_checked_with_the_key_kept_in_the_first(
    crossed: FlaskClient, here: Rooms, tmp_path: Path
) -> None:
    document = crossed.get(f"/v1/receipts/{GIVEN.id}").data
    known = keys.read_public(here.ledger.published.key())
    assert len({key.name for key in known}) == 1
    presented = receipt_check.read(document)
    assert [evidence.proof.index for evidence in presented.events] == [0, 1]
    assert [check for check in receipt_check.checks(presented, known) if not check.ok] == []
    swapped = replace(presented, events=presented.events[::-1])
    assert not all(check.ok for check in receipt_check.checks(swapped, known))
    if not (node := shutil.which("node")):
        pytest.skip("node is not here: the browser's half is not run")
    for name in ("receipt-log", "receipt-check"):
        text = (ROOT / "consent_app" / "static" / "receipt" / f"{name}.js").read_text("utf-8")
        (tmp_path / f"{name}.mjs").write_text(text.replace('-log.js"', '-log.mjs"'), "utf-8")
    (tmp_path / "run.mjs").write_text(CHECK, "utf-8")
    (tmp_path / "receipt").write_bytes(document)
    for key, right in ((here.ledger.published.key(), True), (_stranger(tmp_path / "stranger"), False)):
        (tmp_path / "key").write_text(key)
        command = [node, "run.mjs", "receipt", "key"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
        assert all(check["ok"] for check in json.loads(done.stdout)) is right, done.stdout


def _stranger(folder: Path) -> str:
    folder.mkdir(mode=0o700)
    with Ledger(folder / "ledger.db") as other:
        other.append(RemovalRecord("s-1", "2026-11-23T08Z", "2026-11-23T09:05:00Z"))
        other.sequence()
        return other.published.key()


@pytest.mark.parametrize(
    ("before", "said"),
    [
        (Checkpoint("log.example/2026", 5, b"\1" * 32), ""),
        (Checkpoint("log.example/2026", 5, b"\2" * 32), "are not those that this log goes on from"),
        (Checkpoint("log.example/2026", 6, b"\1" * 32), "and not from 6 of"),
        (Checkpoint("log.example/2025", 5, b"\1" * 32), "and not from 5 of log.example/2025"),
    ],
)
def test_a_log_goes_on_from_one_checkpoint_and_no_other(before: Checkpoint, said: str) -> None:
    link = Link(YearRecord(2027, 5, "log.example/2026", 5, "01" * 32, "2027-01-01T00:00:00Z"))
    assert said in link.fault(before) and bool(said) is bool(link.fault(before))
