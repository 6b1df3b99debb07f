"""Removal: what is counted is gone, its key first; what cannot be counted is gone a day later, and somebody says so."""

from __future__ import annotations

import hashlib
import json
import shutil
import signal
import struct
import subprocess
import sys
import time
import zlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from anonymiser import pipeline, removal, segments, unsealing
from anonymiser.cli import main
from anonymiser.errors import NoHourKey, SegmentError
from anonymiser.facts import Fact
from anonymiser.holding import Holding
from anonymiser.hour_keys import HourKeys
from anonymiser.plain_segments import MAGIC as PLAIN
from anonymiser.removal import Removal
from anonymiser.segments import Writer
from anonymiser.settings import Protection, SiteRules, Workspace
from anonymiser.stats import Statistics

HOUR = timedelta(hours=1)
NINE = datetime(2026, 11, 23, 9, tzinfo=UTC)
KENT = SiteRules("kent", protection=Protection("threshold", k=2))
ROWS = [Fact("kent", "2026-11-23", name, "", "", 1) for name in ("visitors", "views")] * 20


class Place:
    """A home with keys from nine o'clock on, and the batch of it."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.spool = home / "spool"
        self.spool.mkdir()
        self.workspace = Workspace(home / "stats.duckdb", home / "private")
        self.said: list[Removal] = []
        self.keys.provide(self.spool, NINE)

    @property
    def keys(self) -> HourKeys:
        return HourKeys(self.workspace.private)

    def write(self, at: datetime = NINE) -> Path:
        """One orderly segment."""
        writer = Writer(self.spool, at)
        writer.write(ROWS)
        writer.end()
        return writer.path.with_suffix(".seg")

    def run(self, now: datetime) -> pipeline.SpoolReport:
        return pipeline.run_spool(self.workspace, self.spool, [KENT], now, recorded=self.said.append)

    def left(self, now: datetime) -> list[str]:
        recorded = {one.segment for one in self.said}
        return pipeline.leftovers(self.workspace, self.spool, now, recorded)

    def files(self) -> set[str]:
        return {path.name for path in self.spool.iterdir()} - {segments.PUBLIC_KEYS}

    def hours(self, before: datetime) -> list[datetime]:
        """The hours before `before` that have a key."""
        return [hour for hour in self.keys.hours if hour < before]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_key_file_and_mark_are_gone_and_said(place: Place) -> None:
    name = place.write().stem
    assert place.files() == {f"{name}.seg", f"{name}.begun"}
    report = place.run(NINE + HOUR)
    assert (report.facts, report.torn) == (len(ROWS), 0)
    assert place.files() == set()
    assert place.hours(NINE + HOUR) == []
    assert [(one.segment, one.hour, one.time) for one in place.said] == [(name, NINE, NINE + HOUR)]
    assert place.left(NINE + 20 * HOUR) == []


def test_a_copy_from_before_is_unreadable_afterwards(place: Place, tmp_path: Path) -> None:
    """Of the segment, and of the sealed key store: without the key that lay beside it and is overwritten."""
    path = place.write()
    copy = Path(shutil.copytree(place.home, tmp_path / "copy"))
    place.run(NINE + HOUR)
    [stolen] = [segment for segment in segments.segments(copy / "spool") if segment.id == path.stem]
    with pytest.raises(SegmentError, match="is gone, so nobody can read it"):
        unsealing.read(stolen, place.keys)
    shutil.copy(place.workspace.private / "hour-keys.key", copy / "private" / "hour-keys.key")
    with pytest.raises(SegmentError, match="cannot be opened"):
        HourKeys(copy / "private")


def test_the_key_of_an_hour_without_visitors_goes_too(place: Place) -> None:
    place.run(NINE + 5 * HOUR)
    assert place.hours(NINE + 5 * HOUR) == []


KILLED = """
import os, signal, sys
from pathlib import Path
from anonymiser.segments import Writer
from tests.batch.test_removal import NINE, ROWS
writer = Writer(Path(sys.argv[1]), NINE)
writer.write(ROWS)
print(writer.id, flush=True)
signal.pause()
"""


@pytest.mark.parametrize("days", [0, 3])
def test_what_a_killed_process_left_is_counted_before_its_key_goes(place: Place, root: Path, days: int) -> None:
    """Also where the batch was not run for days: it counts first, whatever the limit says."""
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(place.spool)], cwd=root, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout
    name = process.stdout.readline().strip()
    later = NINE + HOUR + timedelta(days=days)
    assert place.run(NINE + HOUR).segments == 0  # it lives
    assert place.hours(NINE + HOUR) == [NINE]
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert bool(place.left(later)) == bool(days)
    report = place.run(later)
    assert (report.segments, report.facts, report.torn, report.damaged) == (1, len(ROWS), 1, ())
    assert [one.segment for one in place.said] == [name]
    assert place.files() == set()
    assert place.hours(later) == []


def test_the_key_of_an_hour_goes_after_a_day_whoever_still_holds_its_segment(place: Place) -> None:
    """A process that hangs with its segment open: its key is destroyed, the file goes when it lets go, unread."""
    writer = Writer(place.spool, NINE)
    writer.write(ROWS)
    assert place.run(NINE + 25 * HOUR).damaged == ()
    assert place.hours(NINE + HOUR) == [NINE]
    place.run(NINE + 26 * HOUR)
    assert place.hours(NINE + HOUR) == []
    assert place.left(NINE + 26 * HOUR) == [f"segment {writer.id} has waited for 26 hours"]
    writer.end()
    report = place.run(NINE + 27 * HOUR)
    assert (report.segments, report.facts) == (0, 0)
    assert f"segment {writer.id} could not be counted in 24 hours, and is removed unread" in report.damaged
    assert place.files() == set()
    assert [one.segment for one in place.said] == [writer.id]
    assert place.left(NINE + 27 * HOUR) == []


def test_the_strictest_site_says_how_long_facts_may_wait(place: Place) -> None:
    """A segment holds the facts of every site: what one may not keep is kept for none."""
    writer = Writer(place.spool, NINE)
    writer.write(ROWS)
    sites = [KENT, replace(KENT, key="surrey", retention_hours=3)]

    def run(now: datetime) -> pipeline.SpoolReport:
        return pipeline.run_spool(place.workspace, place.spool, sites, now, recorded=place.said.append)

    assert run(NINE + 4 * HOUR).damaged == ()
    assert place.hours(before=NINE + HOUR) == [NINE], "its writer lives, and its time is not over"
    late = pipeline.leftovers(place.workspace, place.spool, NINE + 5 * HOUR, set(), sites)
    assert late == [
        "segment " + writer.id + " has waited for 5 hours",
        "the key of the hour 2026-11-23T09Z is still there",
    ]
    assert pipeline.leftovers(place.workspace, place.spool, NINE + 5 * HOUR, set(), [KENT]) == []
    run(NINE + 5 * HOUR)
    assert place.hours(before=NINE + HOUR) == []
    writer.end()
    assert f"segment {writer.id} could not be counted in 3 hours, and is removed unread" in run(NINE + 5 * HOUR).damaged
    assert place.files() == set()


def test_a_damaged_segment_keeps_its_hours_key_for_a_day_and_holds_up_nobody(place: Place) -> None:
    good, bad = place.write(), place.write()
    content = bytearray(bad.read_bytes())
    content[-1] ^= 1
    bad.write_bytes(content)
    report = place.run(NINE + HOUR)
    assert (report.segments, len(report.damaged)) == (1, 1)
    assert str(bad) in report.damaged[0]
    assert place.files() == {bad.name, f"{bad.stem}.begun"}
    assert place.hours(NINE + HOUR) == [NINE]
    bad.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))  # somebody restores it in time
    assert (place.run(NINE + 2 * HOUR).segments, place.hours(NINE + 2 * HOUR)) == (1, [])
    assert {one.segment for one in place.said} == {good.stem, bad.stem}


def test_a_segment_that_is_put_back_while_its_hours_key_is_there_is_not_counted_again(place: Place) -> None:
    """The key stays because another segment of the hour is damaged; somebody has kept a copy of the one counted."""
    good, bad = place.write(), place.write()
    copy = good.read_bytes()
    bad.write_bytes(bad.read_bytes()[:-1])
    place.run(NINE + HOUR)
    assert good.name not in place.files() and place.hours(before=NINE + HOUR) == [NINE]
    before = Holding(place.workspace.private / "holding", "kent").counts
    for hours in (2, 3):
        good.write_bytes(copy)
        place.run(NINE + hours * HOUR)
        assert Holding(place.workspace.private / "holding", "kent").counts == before, hours
        assert good.name not in place.files()
    place.run(NINE + 18 * HOUR)  # its day is released
    good.write_bytes(copy)
    assert place.run(NINE + 19 * HOUR).late == len(ROWS)


def test_a_segment_that_stays_damaged_is_removed_unread_after_a_day(place: Place) -> None:
    bad = place.write()
    bad.write_bytes(bad.read_bytes()[:-5])
    place.run(NINE + HOUR)
    report = place.run(NINE + 26 * HOUR)
    assert any("removed unread" in fault for fault in report.damaged)
    assert place.files() == set()
    assert [one.segment for one in place.said] == [bad.stem]
    assert place.left(NINE + 26 * HOUR) == []
    assert place.run(NINE + 27 * HOUR).damaged == ()


def test_a_segment_that_somebody_removed_is_missed(place: Place) -> None:
    path = place.write()
    path.unlink()
    assert place.left(NINE + 20 * HOUR) == []
    late = place.left(NINE + 26 * HOUR)
    assert f"segment {path.stem} was begun, and is gone without having been counted" in late
    report = place.run(NINE + 26 * HOUR)
    assert report.damaged == (f"segment {path.stem} was begun and is gone; somebody removed it before it was counted",)
    assert [one.segment for one in place.said] == [path.stem]
    assert place.left(NINE + 26 * HOUR) == []


def test_a_key_that_outlived_its_hour_is_found(place: Place) -> None:
    assert place.left(NINE + 25 * HOUR) == []
    assert place.left(NINE + 26 * HOUR) == ["the key of the hour 2026-11-23T09Z is still there"]
    place.run(NINE + 26 * HOUR)
    assert place.left(NINE + 26 * HOUR) == []


def test_a_late_removal_is_found() -> None:
    removals = [Removal("a", NINE, NINE + 25 * HOUR), Removal("b", NINE, NINE + 26 * HOUR)]
    assert removal.late(removals) == ["segment b was removed 26 hours after it was begun"]


def test_no_key_no_batch_to_read_it(place: Place) -> None:
    """A key store that was lost: the batch goes on with new keys and says which segments it cannot read."""
    path = place.write()
    for file in place.workspace.private.glob("hour-keys.*"):
        file.unlink()
    report = place.run(NINE + HOUR)
    assert [str(path) in fault and "is gone, so nobody can read it" in fault for fault in report.damaged] == [True]
    place.write(NINE + HOUR)
    assert place.run(NINE + 2 * HOUR).segments == 1


def test_a_batch_between_a_segments_file_and_its_key(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """The hour ends while a segment is begun: the batch has taken the public key away, so nothing is begun."""
    real = segments.public_key

    def late(directory: Path, hour: datetime) -> bytes | None:
        place.run(NINE + HOUR)
        return real(directory, hour)

    monkeypatch.setattr(segments, "public_key", late)
    with pytest.raises(NoHourKey):
        Writer(place.spool, NINE)
    assert place.files() == set()


def test_a_batch_between_a_segments_key_and_its_first_frame(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """It came a moment later: the file was there when it looked, so the hour's key waits for it."""
    real = segments.public_key

    def early(directory: Path, hour: datetime) -> bytes | None:
        found = real(directory, hour)
        place.run(NINE + HOUR)
        return found

    monkeypatch.setattr(segments, "public_key", early)
    place.write()
    report = place.run(NINE + 2 * HOUR)
    assert (report.facts, report.damaged) == (len(ROWS), ())
    assert place.hours(NINE + 2 * HOUR) == []


HURRIED = """
import sys, time
from datetime import datetime, timedelta
from pathlib import Path
from anonymiser.errors import NoHourKey
from anonymiser.facts import Fact
from anonymiser.spool import Spool

start, base, hour = float(sys.argv[2]), datetime.fromisoformat(sys.argv[3]), float(sys.argv[4])
clock = lambda: base + timedelta(hours=(time.monotonic() - start) / hour)
spool, taken = Spool(Path(sys.argv[1]), clock=clock, mix_beacons=1), 0
end = time.monotonic() + 4 * hour
while time.monotonic() < end:
    try:
        spool.add([Fact("kent", "2026-11-23", "views", "", "", 1)])
        taken += 1
    except NoHourKey:
        pass
    time.sleep(0.3)  # so that a segment is often still open when its hour has ended
spool.close()
print(taken)
"""


@pytest.mark.slow
def test_batches_and_writers_at_the_turn_of_hours_lose_nothing(place: Place, root: Path) -> None:
    """Hours of two seconds; three servers write, the batch runs all the time: no key goes before its last segment."""
    start, base, hour = time.monotonic(), NINE - 7 * HOUR, 2.0
    place.keys.provide(place.spool, base)
    arguments = [sys.executable, "-c", HURRIED, str(place.spool), str(start), base.isoformat(), str(hour)]
    writers = [subprocess.Popen(arguments, cwd=root, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    counted, reports = 0, 0
    while any(writer.poll() is None for writer in writers):
        report = place.run(base + timedelta(hours=(time.monotonic() - start) / hour))
        assert report.damaged == ()
        counted, reports = counted + report.facts, reports + 1
    taken = sum(int(writer.communicate()[0]) for writer in writers)
    last = place.run(base + timedelta(hours=(time.monotonic() - start) / hour + 1))
    assert last.damaged == ()
    assert (counted + last.facts, place.files()) == (taken, set())
    assert (taken > 20, reports > 2) == (True, True)
    assert len(place.said) == len({one.segment for one in place.said}) > 3


# -- what the version before left -------------------------------------------------------------------------------------


def plain(folder: Path, *frames: bytes, name: str = "20261123T09-0123456789abcdef") -> Path:
    """A segment as it was written before segments were sealed."""
    content = PLAIN
    for number, payload in enumerate(frames):
        length = struct.pack(">I", len(payload))
        digest = hashlib.sha256(f"{name}:{number}\n".encode() + payload).digest()
        content += length + struct.pack(">I", zlib.crc32(length)) + digest + payload
    path = folder / f"{name}.seg"
    path.write_bytes(content)
    return path


def test_an_upgrade_counts_and_removes_what_the_old_version_wrote(place: Place) -> None:
    path = plain(place.spool, json.dumps(ROWS).encode(), json.dumps(ROWS).encode(), b"")
    report = place.run(NINE + 24 * HOUR)
    assert (report.segments, report.facts, report.damaged) == (1, 2 * len(ROWS), ())
    with Statistics(place.workspace.stats) as statistics:
        found = {row.metric: round(row.value) for row in statistics.daily("kent", NINE.date(), NINE.date())}
    assert (found["visitors"], found["views"]) == (40, 40)
    assert place.files() == set()
    assert [one.segment for one in place.said] == [path.stem]


def test_what_a_killed_server_of_the_old_version_left_is_counted(place: Place) -> None:
    path = plain(place.spool, json.dumps(ROWS).encode(), json.dumps(ROWS).encode())
    path.write_bytes(path.read_bytes()[:-5])
    path.rename(path.with_suffix(".open"))
    report = place.run(NINE + HOUR)
    assert (report.facts, report.torn, report.damaged) == (len(ROWS), 1, ())


@pytest.mark.parametrize(
    ("start", "end", "said"),
    [(20, 21, "damaged length"), (30, 31, "was altered"), (60, 61, "was altered")],
)
def test_a_damaged_old_segment_is_refused(place: Place, start: int, end: int, said: str) -> None:
    path = plain(place.spool, json.dumps(ROWS).encode(), b"")
    content = path.read_bytes()
    path.write_bytes(content[:start] + bytes([content[start] ^ 1]) + content[end:])
    [fault] = place.run(NINE + HOUR).damaged
    assert said in fault
    assert str(path) in fault


# -- the command ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("named", [False, True])
def test_the_command_finds_the_keys_beside_the_spool_or_where_it_is_told(tmp_path: Path, named: bool) -> None:
    now = segments.hour_of(datetime.now(UTC))
    spool, keys = tmp_path / "spool", tmp_path / ("elsewhere" if named else "private")
    HourKeys(keys).provide(spool, now - 2 * HOUR)
    writer = Writer(spool, now - 2 * HOUR)
    writer.write([fact._replace(day=f"{now - timedelta(days=1):%Y-%m-%d}") for fact in ROWS])
    writer.end()
    arguments = ["spool", str(spool), "--site", "kent", "--out", str(tmp_path / "out.duckdb"), "--json"]
    result = CliRunner().invoke(main, [*arguments, *(["--keys", str(keys)] if named else [])])
    assert result.exit_code == 0, result.output
    assert json.loads(result.output)["facts"] == len(ROWS)
    assert HourKeys(keys).private_key(now - 2 * HOUR) is None
    assert not (tmp_path / "out.duckdb.private" / "hour-keys.key").exists()
