"""Death and trouble at every step: nothing acknowledged is lost, nothing is there twice, the tree is the same."""

from __future__ import annotations

import errno
import multiprocessing
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from threading import Thread
from time import sleep
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import event
from sqlalchemy.exc import OperationalError

from consent_app.errors import UnavailableError
from consent_app.ledger import ConsentRecord, Ledger, RemovalRecord
from consent_app.ledger.sequencer import Background
from consent_app.ledger.tlog.tiles import Tree
from tests.web.conftest import Clock
from tests.web.ledger_crash_program import FIRST, MORE
from tests.web.ledger_places import Place
from tests.web.ledger_records import GIVEN, REMOVED, SHA, TEXT, failed, given

ROOT = Path(__file__).parents[2]
MOST_STEPS = 200
AT_ONCE = 15


def root_of(ledger: Ledger) -> tuple[int, bytes]:
    tree = Tree()
    for entry in ledger.entries():
        tree.add(entry.leaf)
    return tree.size, tree.root()


# -- kill -9 ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def crowded(place: Place) -> Place:
    """A home six entries short of a full tile, all of them signed."""
    place = place.beside("home")
    with place.open() as ledger:
        assert ledger.archive_notice(TEXT, "2026-11-01") == SHA
        for number in range(FIRST):
            ledger.append(given(number))
        ledger.sequence()
    return place


def killed(place: Place, steps: range) -> list[tuple[Place, int]]:
    """For each of these steps a copy of the place, and the exit code of the process that was to be killed there."""
    copies = [place.copy(place.home.with_name(f"{place.home.name}.{step}")) for step in steps]
    urls = [copy.url or "-" for copy in copies]
    command = [sys.executable, "-m", "tests.web.ledger_crash_program", str(place.home), str(steps.start), *urls]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    codes = [int(line.split()[1]) for line in done.stdout.splitlines()]
    return list(zip(copies, codes, strict=True))


@pytest.mark.slow
def test_killed_between_any_two_steps_it_goes_on_as_if_nothing_was(crowded: Place) -> None:
    ends: list[tuple[Place, int]] = []
    while not ends or ends[-1][1] != 0:
        ends += killed(crowded, range(len(ends), len(ends) + AT_ONCE))
        assert len(ends) <= MOST_STEPS
    deaths = [place for place, code in ends if code == -9]
    assert len(deaths) > 30
    for place in deaths:
        said = place.home.with_name(place.home.name.replace("home", "said"))
        _holds_after(place, said.read_text().split() if said.exists() else [])


def _holds_after(place: Place, acknowledged: list[str]) -> None:
    """Nothing acknowledged is lost or twice; the same is appended again; the log goes on from what was signed."""
    with place.open() as ledger:
        before = ledger.published.checkpoint()
        assert {*acknowledged} <= {entry.record.get("id") for entry in ledger.entries()}
        for number in range(FIRST, FIRST + MORE):
            ledger.append(given(number))
        ledger.erase(given(3).id)
        assert ledger.sequence() == FIRST + MORE + 1
        assert failed(ledger, before) == {}
        kept = [entry.record["id"] for entry in ledger.entries() if entry.kind == "consent"]
        assert sorted(kept) == sorted(given(number).id for number in range(FIRST + MORE) if number != 3)
    files = [file for file in place.home.rglob("*") if file.is_file()]
    assert not [file for file in files if given(3).id.encode() in file.read_bytes()]


# -- a disk that refuses ----------------------------------------------------------------------------------------------


@contextmanager
def refused(step: int) -> Iterator[list[int]]:
    """The step-th fsync of this process, and all after it, fail: no space is left."""
    real, left = os.fsync, [step]

    def fsync(fd: Any) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(fd)

    os.fsync = fsync
    try:
        yield left
    finally:
        os.fsync = real


def test_a_disk_that_fills_while_tiles_are_written_loses_nothing(place: Place) -> None:
    with place.open() as ledger:
        ledger.archive_notice(TEXT, "2026-11-01")
        ledger.append(GIVEN)
        signed = ledger.sequence()
        for step in range(40):
            ledger.append(given(step))
            with refused(step) as left, suppress(OSError):
                ledger.sequence()
            if left[0] >= 0:
                break
            # The thread that signs by itself may have been there first; then there was nothing left to refuse.
            assert signed <= ledger.sequence()
            signed = ledger.sequence()
        assert step > 5
        assert ledger.sequence() == step + 2
        assert failed(ledger) == {}


# -- many at once -----------------------------------------------------------------------------------------------------


def write_and_sign(file: Path, url: str, number: int) -> None:
    with Ledger(file, url) as ledger:
        for place in range(40):
            ledger.append(given(1000 * number + place))
            if place % 10 == number:
                ledger.sequence()


@pytest.mark.slow
def test_many_writers_and_sequencers_make_one_log(place: Place) -> None:
    with place.open() as ledger:
        ledger.archive_notice(TEXT, "2026-11-01")
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=write_and_sign, args=(place.file, place.url, number)) for number in range(1, 5)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
    with place.open() as ledger:
        ids = [entry.record["id"] for entry in ledger.entries()]
        assert sorted(ids) == sorted(given(1000 * number + place).id for number in range(1, 5) for place in range(40))
        assert ledger.sequence() == 160
        assert failed(ledger) == {}


def test_threads_share_transactions_and_each_gets_its_own_entry(place: Place) -> None:
    made: dict[int, str] = {}
    with place.open() as ledger:

        def append(number: int) -> None:
            for place in range(20):
                entry = ledger.append(given(100 * number + place))
                assert entry.record["id"] == given(100 * number + place).id
                made[entry.seq] = entry.record["id"]

        threads = [Thread(target=append, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert made == {entry.seq: entry.record["id"] for entry in ledger.entries()}
        assert sorted(made) == list(range(160))


def test_twins_in_one_transaction_are_one_entry(place: Place) -> None:
    with place.open() as ledger:
        with together(ledger, [GIVEN, GIVEN, REMOVED, REMOVED]):
            pass
        assert sorted(entry.kind for entry in ledger.entries()) == ["consent", "removal"]


@contextmanager
def together(ledger: Ledger, records: list[ConsentRecord | RemovalRecord]) -> Iterator[list[str]]:
    """These records, appended by a thread each, wait for one transaction, which begins when the block ends.

    Then the list has the fault of each that was told one.
    """
    faults: list[str] = []

    def append(record: ConsentRecord | RemovalRecord) -> None:
        try:
            ledger.append(record)
        except UnavailableError as error:
            faults.append(str(error))

    appender = ledger._appender
    appender._led = True
    threads = [Thread(target=append, args=(record,)) for record in records]
    for thread in threads:
        thread.start()
    while len(appender._queue) < len(records):
        sleep(0.001)
    yield faults
    appender._queue[0].called.release()
    for thread in threads:
        thread.join()


def refuse_commit(_: Any) -> None:
    raise OperationalError("COMMIT", {}, Exception("disk I/O error"))


def test_nothing_is_acknowledged_of_a_transaction_that_did_not_end_well(place: Place) -> None:
    with place.open() as ledger:
        engine = ledger._database.writing
        with together(ledger, [given(number) for number in range(5)]) as faults:
            event.listen(engine, "commit", refuse_commit)
        assert len(faults) == 5
        assert all("disk I/O error" in fault for fault in faults)
        event.remove(engine, "commit", refuse_commit)
        assert list(ledger.entries()) == []
        with together(ledger, [given(number) for number in range(5)]) as faults:
            pass
        assert faults == []
        assert len(list(ledger.entries())) == 5


def test_who_waited_while_others_were_written_is_written_next(place: Place) -> None:
    """Nobody is left waiting for a leader: whoever comes while one writes is called when he is done."""
    with place.open() as ledger:
        ledger.append(GIVEN)
        with ledger._database.writing.begin() as other:
            ledger._database.take_numbers(other)
            first = Thread(target=ledger.append, args=(given(1),), daemon=True)
            first.start()
            while ledger._appender._queue or not ledger._appender._led:
                sleep(0.001)
            late = [Thread(target=ledger.append, args=(given(number),), daemon=True) for number in range(2, 6)]
            for thread in late:
                thread.start()
            while len(ledger._appender._queue) < len(late):
                sleep(0.001)
        for thread in (first, *late):
            thread.join(60)
            assert not thread.is_alive()
        assert len(list(ledger.entries())) == 6
        assert not ledger._appender._led


# -- any order of events ----------------------------------------------------------------------------------------------


class PowerCut(BaseException):
    """The process is gone: nobody handles this."""


@contextmanager
def cut_before(step: int) -> Iterator[None]:
    """The process ends before its step-th fsync or rename."""
    real = os.fsync, os.replace
    left = [step]

    def counted(call: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*args: Any) -> Any:
            left[0] -= 1
            if left[0] < 0:
                raise PowerCut
            return call(*args)

        return wrapped

    os.fsync, os.replace = counted(real[0]), counted(real[1])
    try:
        yield
    finally:
        os.fsync, os.replace = real


@dataclass(frozen=True)
class Kept:
    """What somebody outside kept: a checkpoint, or the proof of a record."""

    checkpoint: bytes = b""
    proof: bytes = b""


class LedgerLife(RuleBasedStateMachine):
    """Append, sequence, erase, crash and restart, in any order, over New Years; the clock may go back over one."""

    def __init__(self, place: Place) -> None:
        super().__init__()
        self.place = place

    @initialize()
    def begin(self) -> None:
        self.model: dict[str, list[ConsentRecord]] = {}
        self.appended = 0
        self.clock = Clock(datetime(2026, 12, 31, tzinfo=UTC))
        self.kept: list[Kept] = []
        self.open()
        self.ledger.archive_notice(TEXT, "2026-11-01")

    def open(self) -> None:
        self.ledger = self.place.open(self.clock)
        # Here only rules sequence, or the order of events would be the threads' own.
        self.ledger._background.wake = lambda: None  # type: ignore[method-assign]

    @rule(number=st.integers(0, 5), second=st.integers(0, 3))
    def append(self, number: int, second: int) -> None:
        record = replace(given(number), time=f"2026-11-23T09:30:0{second}Z")
        known = record in self.model.get(record.id, [])
        entry = self.ledger.append(record)
        if not known:
            assert entry.seq == self.count
            self.model.setdefault(record.id, []).append(record)
            self.appended += 1

    @rule(many=st.integers(100, 300))
    def append_many(self, many: int) -> None:
        for _ in range(many if self.appended < 600 else 1):
            record = given(10_000 + self.appended)
            self.ledger.append(record)
            self.model[record.id] = [record]
            self.appended += 1

    @rule(years=st.sampled_from((-1, 1, 1, 2)))
    def another_year(self, years: int) -> None:
        self.clock.now = self.clock.now.replace(year=self.clock.now.year + years)

    @property
    def count(self) -> int:
        """What was appended, and the first entry of each log but the first."""
        return self.appended + len(self.ledger.logs()) - 1

    @rule()
    def sequence(self) -> None:
        before = self.ledger.logs()[-1].year
        assert self.ledger.sequence() == self.count
        if self.appended:
            assert self.ledger.logs()[-1].year == max(before, self.clock.now.year)
        self.kept.append(Kept(checkpoint=self.ledger.published.checkpoint() or b""))

    @precondition(lambda self: self.model)
    @rule(data=st.data())
    def erase(self, data: st.DataObject) -> None:
        subject = data.draw(st.sampled_from(sorted(self.model)))
        tombstone = self.ledger.erase(subject)
        assert tombstone is not None
        assert len(tombstone.record["entries"]) == len(self.model.pop(subject))
        self.appended += 1

    @precondition(lambda self: self.model)
    @rule(data=st.data())
    def keep_a_proof(self, data: st.DataObject) -> None:
        proof = self.ledger.proof(data.draw(st.sampled_from(sorted(self.model))))
        if proof:
            self.kept.append(Kept(proof=proof.text))

    @rule(step=st.integers(0, 12))
    def crash_while_sequencing(self, step: int) -> None:
        with cut_before(step), suppress(PowerCut):
            self.ledger.sequence()
        self.restart()

    @rule()
    def restart(self) -> None:
        self.ledger._database.close()
        self.open()

    @invariant()
    def everything_is_there_once(self) -> None:
        found: dict[str, list[dict[str, Any]]] = {}
        for entry in self.ledger.entries():
            if entry.kind == "consent":
                found.setdefault(entry.record["id"], []).append(entry.record)
        assert found == {subject: [record.document() for record in kept] for subject, kept in self.model.items()}

    def teardown(self) -> None:
        assert self.ledger.sequence() == self.count
        for kept in self.kept:
            assert failed(self.ledger, kept.checkpoint or None) == {}
            assert not kept.proof or self.ledger.verify_proof("kept", kept.proof).ok
        assert failed(self.ledger) == {}
        self.ledger.close()


@pytest.mark.slow
def test_events_in_any_order_lose_nothing_and_break_no_promise(place: Place) -> None:
    """Fewer orders in PostgreSQL: each needs a database of its own."""
    numbers = count()

    class Life(LedgerLife):
        def __init__(self) -> None:
            super().__init__(place.beside(f"life-{next(numbers)}"))

    most = 4 if place.server else 15
    run_state_machine_as_test(Life, settings=settings(max_examples=most, stateful_step_count=20, deadline=None))


def test_a_database_that_is_locked_is_said_and_the_next_attempt_signs(place: Place, monkeypatch: Any) -> None:
    monkeypatch.setattr("consent_app.ledger.store.BUSY_SECONDS", 0.05)
    with place.open() as ledger:
        with ledger._database.writing.begin() as other, pytest.raises(UnavailableError, match="try again"):
            ledger._database.take_numbers(other)
            ledger.append(GIVEN)
        assert root_of(ledger)[0] == 0
        ledger.append(GIVEN)
        assert ledger.sequence() == 1


def test_a_stop_is_heard_whenever_it_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("consent_app.ledger.sequencer.PAUSE_SECONDS", 0.0005)
    signed: list[int] = []

    def sign() -> int:
        signed.append(1)
        return len(signed)

    for number in range(200):
        background = Background(sign)
        background.wake()
        sleep(number * 0.00001)
        background.stop()
        assert background._thread is None
    assert len(signed) >= 200
