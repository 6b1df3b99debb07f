"""Mixed before they are written, whole or counted as torn when read, gone when destroyed; killed for real."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anonymiser.errors import SegmentError
from anonymiser.facts import Fact
from anonymiser.segments import MAGIC, Writer
from anonymiser.spool import Segment, Spool, destroy, read, seal_abandoned, segments

NINE = datetime(2026, 11, 23, 9, 30, tzinfo=UTC)
HOUR = timedelta(hours=1)
STATISTICS = ("views", "pages", "entries", "exits", "sources", "devices", "browsers")


@dataclass
class Clock:
    now: datetime = NINE

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def spool(tmp_path: Path, clock: Clock) -> Iterator[Spool]:
    with Spool(tmp_path, clock=clock) as spool:
        yield spool


def facts_of(number: int, site: str = "kent") -> list[Fact]:
    """The seven facts of one beacon; its number is in each, as no real fact would have it."""
    return [Fact(site, "2026-11-23", statistic, f"/{number}", "", 1) for statistic in STATISTICS]


def add(spool: Spool, numbers: range, site: str = "kent") -> None:
    for number in numbers:
        spool.add(facts_of(number, site))


def written(directory: Path) -> list[Fact]:
    return [fact for segment in segments(directory) for fact in read(segment).facts]


def only(directory: Path) -> Segment:
    (segment,) = segments(directory)
    return segment


def test_an_orderly_stop_loses_nothing(tmp_path: Path, clock: Clock) -> None:
    with Spool(tmp_path, clock=clock) as spool:
        add(spool, range(100))
    segment = only(tmp_path)
    assert (segment.closed, segment.hour, read(segment).torn) == (True, NINE.replace(minute=0), 0)
    expected = Counter(fact for number in range(100) for fact in facts_of(number))
    assert Counter(read(segment).facts) == expected


def test_nothing_is_written_before_it_is_mixed(tmp_path: Path, spool: Spool) -> None:
    add(spool, range(63))
    assert segments(tmp_path) == []
    add(spool, range(63, 64))
    assert len(written(tmp_path)) == 64 * 7


def test_facts_of_one_beacon_are_not_side_by_side_nor_in_order(tmp_path: Path, spool: Spool) -> None:
    add(spool, range(64))
    order = [int(fact.key1[1:]) for fact in written(tmp_path)]
    beside = sum(a == b for a, b in pairwise(order))
    # By chance 6 of the other 447 facts are of the same beacon: 6 neighbours in a frame; unmixed there were 384.
    assert beside < 25
    rising = sum(a < b for a, b in pairwise(order))
    assert 170 < rising < 275


def test_two_frames_of_the_same_facts_lie_in_different_orders(tmp_path: Path, spool: Spool) -> None:
    add(spool, range(64))
    add(spool, range(64))
    both = written(tmp_path)
    first, second = both[: 64 * 7], both[64 * 7 :]
    assert first != second
    assert Counter(first) == Counter(second)


def test_sites_are_mixed_each_for_itself(tmp_path: Path, spool: Spool) -> None:
    for number in range(63):
        spool.add(facts_of(number, "kent"))
        spool.add(facts_of(number, "surrey"))
    assert segments(tmp_path) == []
    add(spool, range(63, 64), "surrey")
    assert {fact.site for fact in written(tmp_path)} == {"surrey"}


def test_five_minutes_are_enough(tmp_path: Path, spool: Spool, clock: Clock) -> None:
    add(spool, range(3))
    clock.now += timedelta(seconds=299)
    add(spool, range(3, 4))
    assert segments(tmp_path) == []
    clock.now += timedelta(seconds=1)
    spool.tick()
    assert len(written(tmp_path)) == 4 * 7


def test_what_is_due_is_written_without_another_beacon(tmp_path: Path) -> None:
    with Spool(tmp_path, clock=lambda: datetime.now(UTC), mix_seconds=0.2) as spool:
        add(spool, range(2))
        deadline = time.monotonic() + 60
        while len(written(tmp_path)) < 2 * 7 and time.monotonic() < deadline:
            time.sleep(0.02)
        assert len(written(tmp_path)) == 2 * 7


def test_the_segment_closes_when_its_hour_ends(tmp_path: Path, spool: Spool, clock: Clock) -> None:
    clock.now += timedelta(minutes=28)
    add(spool, range(70))
    clock.now += timedelta(minutes=3)
    spool.tick()
    assert only(tmp_path).closed
    assert len(written(tmp_path)) == 64 * 7
    add(spool, range(70, 128))
    first, second = segments(tmp_path)
    assert (first.hour, second.hour) == (NINE.replace(minute=0), NINE.replace(minute=0) + HOUR)
    assert len(written(tmp_path)) == 128 * 7


def test_a_clock_that_goes_back_begins_another_segment(tmp_path: Path, spool: Spool, clock: Clock) -> None:
    add(spool, range(64))
    clock.now -= HOUR
    add(spool, range(64))
    assert sorted(segment.closed for segment in segments(tmp_path)) == [False, True]
    assert len(written(tmp_path)) == 128 * 7


def test_flush_writes_what_waits(tmp_path: Path, spool: Spool) -> None:
    add(spool, range(5))
    spool.flush()
    assert len(written(tmp_path)) == 5 * 7


def test_a_closed_spool_takes_nothing(tmp_path: Path, clock: Clock) -> None:
    spool = Spool(tmp_path, clock=clock)
    spool.close()
    spool.close()
    with pytest.raises(SegmentError, match="is closed"):
        spool.add(facts_of(1))
    assert segments(tmp_path) == []


def test_files_are_for_their_owner_only(tmp_path: Path, clock: Clock) -> None:
    directory = tmp_path / "home" / "spool"
    with Spool(directory, clock=clock) as spool:
        add(spool, range(64))
        assert directory.stat().st_mode & 0o777 == 0o700
        assert only(directory).path.stat().st_mode & 0o777 == 0o600


def test_many_threads_lose_nothing(tmp_path: Path, clock: Clock) -> None:
    with Spool(tmp_path, clock=clock) as spool:
        threads = [
            threading.Thread(target=add, args=(spool, range(start, start + 200), f"site-{start % 3}"))
            for start in range(0, 1600, 200)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert Counter(int(fact.key1[1:]) for fact in written(tmp_path)) == dict.fromkeys(range(1600), 7)
    assert only(tmp_path).closed


KILLED = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from anonymiser.facts import Fact
from anonymiser.spool import Spool

spool = Spool(Path(sys.argv[1]), clock=lambda: datetime(2026, 11, 23, 9, 30, tzinfo=UTC))
for number in range(int(sys.argv[2])):
    spool.add([Fact("kent", "2026-11-23", name, f"/{number}", "", 1) for name in ("views", "pages", "exits")])
print("ready", flush=True)
sys.stdin.read()
"""


def process(directory: Path, beacons: int) -> subprocess.Popen[str]:
    child = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(directory), str(beacons)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout
    assert child.stdout.readline() == "ready\n"
    return child


def kill(child: subprocess.Popen[str]) -> None:
    child.send_signal(signal.SIGKILL)
    child.communicate()


def test_a_killed_process_loses_only_what_waited(tmp_path: Path) -> None:
    kill(process(tmp_path, 64 * 5 + 63))
    segment = only(tmp_path)
    assert not segment.closed
    found = read(segment)
    assert found.torn == 1
    assert Counter(fact.key1 for fact in found.facts) == {f"/{number}": 3 for number in range(64 * 5)}


@pytest.mark.parametrize("seconds", [0.05, 0.1, 0.15, 0.2])
def test_a_kill_in_the_midst_of_writing_corrupts_nothing(tmp_path: Path, seconds: float) -> None:
    endless = KILLED.replace("range(int(sys.argv[2]))", "itertools.count()").replace(
        "import sys", "import itertools, sys"
    )
    begun = endless.replace("spool.add(", 'number or print("ready", flush=True); spool.add(')
    child = subprocess.Popen([sys.executable, "-c", begun, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    try:
        assert child.stdout
        child.stdout.readline()
        time.sleep(seconds)
    finally:
        kill(child)
    numbers = Counter(int(fact.key1[1:]) for fact in written(tmp_path))
    assert numbers == dict.fromkeys(range(len(numbers)), 3)
    assert len(numbers) % 64 == 0


def test_the_next_process_leaves_the_killed_ones_segment_alone(tmp_path: Path, spool: Spool) -> None:
    kill(process(tmp_path, 64))
    before = only(tmp_path).path.read_bytes()
    add(spool, range(64))
    assert len(segments(tmp_path)) == 2
    assert before in [segment.path.read_bytes() for segment in segments(tmp_path)]


def test_an_abandoned_segment_is_sealed_when_its_hour_has_ended(tmp_path: Path) -> None:
    kill(process(tmp_path, 64))
    assert seal_abandoned(tmp_path, NINE) == []
    (sealed,) = seal_abandoned(tmp_path, NINE + HOUR)
    assert sealed == only(tmp_path)
    assert sealed.closed
    assert len(read(sealed).facts) == 64 * 3
    assert seal_abandoned(tmp_path, NINE + HOUR) == []


def test_the_segment_of_a_living_process_is_not_sealed(tmp_path: Path) -> None:
    child = process(tmp_path, 64)
    try:
        assert seal_abandoned(tmp_path, NINE + 5 * HOUR) == []
        assert not only(tmp_path).closed
    finally:
        kill(child)
    assert len(seal_abandoned(tmp_path, NINE + 5 * HOUR)) == 1


def test_two_processes_write_two_segments(tmp_path: Path) -> None:
    children = [process(tmp_path, 64), process(tmp_path, 128)]
    for child in children:
        kill(child)
    assert sorted(len(read(segment).facts) for segment in segments(tmp_path)) == [64 * 3, 128 * 3]


def _child(spool: Spool) -> None:
    add(spool, range(1000, 1010))
    spool.close()


@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")  # which is what is tried here
def test_a_fork_inherits_neither_what_waits_nor_the_segment(tmp_path: Path, spool: Spool) -> None:
    add(spool, range(70))
    child = get_context("fork").Process(target=_child, args=(spool,))
    child.start()
    child.join()
    assert child.exitcode == 0
    add(spool, range(70, 128))
    numbers = Counter(int(fact.key1[1:]) for fact in written(tmp_path))
    assert numbers == dict.fromkeys([*range(128), *range(1000, 1010)], 7)
    assert sorted(segment.closed for segment in segments(tmp_path)) == [False, True]


def test_an_ending_interpreter_closes_what_nobody_closed(tmp_path: Path) -> None:
    program = KILLED.replace("sys.stdin.read()", "")
    subprocess.run([sys.executable, "-c", program, str(tmp_path), "10"], check=True, capture_output=True)
    assert only(tmp_path).closed
    assert len(read(only(tmp_path)).facts) == 10 * 3


@pytest.fixture
def whole(tmp_path: Path, clock: Clock) -> Segment:
    """An orderly segment of three small frames."""
    with Spool(tmp_path, clock=clock, mix_beacons=2) as spool:
        add(spool, range(6))
    return only(tmp_path)


def test_a_segment_cut_anywhere_says_so_and_keeps_whole_frames(whole: Segment) -> None:
    content = whole.path.read_bytes()
    for length in range(0, len(content), 3):
        whole.path.write_bytes(content[:length])
        found = read(whole)
        assert found.torn == 1
        assert len(found.facts) in (0, 14, 28, 42)
        assert len(found.facts) <= 42 * length // len(content) + 14


def test_a_flipped_bit_anywhere_is_noticed(whole: Segment) -> None:
    content = whole.path.read_bytes()
    for place in range(0, len(content) * 8, 7):
        altered = bytearray(content)
        altered[place // 8] ^= 1 << place % 8
        whole.path.write_bytes(altered)
        with pytest.raises(SegmentError, match="not counted"):
            read(whole)


@settings(deadline=None)
@given(place=st.integers(0, 10**6), removed=st.integers(0, 80), inserted=st.binary(max_size=80))
def test_any_damage_is_read_refused_or_counted(place: int, removed: int, inserted: bytes) -> None:
    with TemporaryDirectory() as folder:
        directory = Path(folder)
        with Spool(directory, clock=Clock(), mix_beacons=2) as spool:
            add(spool, range(4))
        segment = only(directory)
        content = segment.path.read_bytes()
        place %= len(content) + 1
        damaged = content[:place] + inserted + content[place + removed :]
        segment.path.write_bytes(damaged)
        try:
            found = read(segment)
        except SegmentError:
            return
        assert found.torn == int(damaged != content)
        assert not Counter(found.facts) - Counter(fact for number in range(4) for fact in facts_of(number))


def test_a_tail_of_zeros_is_a_torn_tail(whole: Segment) -> None:
    """What a power cut leaves: the file has grown, its last blocks never came."""
    content = whole.path.read_bytes()
    whole.path.write_bytes(content[:-40] + bytes(4096))
    found = read(whole)
    assert (len(found.facts), found.torn) == (42, 1)


def test_frames_cannot_change_places_or_segments(whole: Segment, tmp_path: Path, clock: Clock) -> None:
    other = tmp_path / "other"
    with Spool(other, clock=clock, mix_beacons=2) as spool:
        add(spool, range(6))
    foreign = only(other)
    foreign.path.write_bytes(whole.path.read_bytes())
    with pytest.raises(SegmentError, match="frame 0: was altered"):
        read(foreign)


def test_a_segment_that_goes_on_after_its_end_is_refused(whole: Segment) -> None:
    whole.path.write_bytes(whole.path.read_bytes() + b"x")
    with pytest.raises(SegmentError, match="after its end"):
        read(whole)


@pytest.mark.parametrize("content", [b"", MAGIC[:5], MAGIC])
def test_a_segment_that_had_just_begun_is_torn_and_empty(whole: Segment, content: bytes) -> None:
    whole.path.write_bytes(content)
    found = read(whole)
    assert (found.facts, found.torn) == ([], 1)


def test_what_is_no_segment_is_refused_by_name(whole: Segment) -> None:
    whole.path.write_bytes(b"something else entirely")
    with pytest.raises(SegmentError, match=str(whole.path)):
        read(whole)


def test_other_files_are_not_segments(tmp_path: Path) -> None:
    for name in ("notes.txt", "20261123T09-0123456789abcdef.tmp", "x.seg", "20261123T09-xyz.open"):
        (tmp_path / name).touch()
    assert segments(tmp_path) == []
    assert segments(tmp_path / "absent") == []


def test_destroying_removes_the_file_and_may_be_repeated(whole: Segment, tmp_path: Path) -> None:
    destroy(whole)
    destroy(whole)
    assert list(tmp_path.iterdir()) == []


def test_a_directory_that_cannot_be_used_is_named(tmp_path: Path, clock: Clock) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SegmentError, match="file/spool"):
        Spool(tmp_path / "file" / "spool", clock=clock)


@pytest.fixture
def full_disk() -> Iterator[None]:
    """A real refusal by the kernel: no file of this process may grow beyond 2,000 bytes."""
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, limit[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    signal.signal(signal.SIGXFSZ, handler)


def test_a_full_disk_delays_facts_and_loses_none(tmp_path: Path, clock: Clock, full_disk: None) -> None:
    spool = Spool(tmp_path, clock=clock)
    add(spool, range(100))
    with pytest.raises(SegmentError, match=f"{tmp_path}.*make room"):
        spool.flush()
    assert written(tmp_path) == []
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    clock.now += timedelta(seconds=5)
    add(spool, range(100, 101))
    spool.close()
    assert read(only(tmp_path)).torn == 0
    assert Counter(int(fact.key1[1:]) for fact in written(tmp_path)) == dict.fromkeys(range(101), 7)


def test_a_disk_that_stays_full_makes_the_door_refuse(tmp_path: Path, clock: Clock, full_disk: None) -> None:
    spool = Spool(tmp_path, clock=clock)
    with pytest.raises(SegmentError, match="make room"):
        for number in range(20_000):
            spool.add(facts_of(number) * 10)
    assert spool._count < 66_000
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    spool.close()


def test_a_segment_taken_between_creation_and_lock_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two batches and a starting server at the turn of the hour: the file just created is sealed by another."""
    real = os.open
    calls: list[str] = []

    def sealed_at_once(path: str, flags: int, mode: int = 0o777) -> int:
        handle = real(path, flags, mode)
        if str(path).endswith(".open") and not calls:
            calls.append(path)
            Path(path).rename(Path(path).with_suffix(".seg"))
        return handle

    monkeypatch.setattr(os, "open", sealed_at_once)
    writer = Writer(tmp_path, NINE)
    writer.write(facts_of(1))
    writer.end()
    assert [len(read(segment).facts) for segment in segments(tmp_path)].count(7) == 1
