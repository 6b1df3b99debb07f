"""Mixed before they are written, whole or counted as torn when read, gone when destroyed; killed for real."""

from __future__ import annotations

import gc
import hmac
import json
import os
import resource
import signal
import struct
import subprocess
import sys
import threading
import time
import weakref
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.bindings._rust import openssl as rust
from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand
from hypothesis import given, settings
from hypothesis import strategies as st

from anonymiser import unsealing
from anonymiser.errors import NoHourKey, SegmentError
from anonymiser.facts import Fact
from anonymiser.hour_keys import HourKeys
from anonymiser.segments import FRAME, HEADER_BYTES, MAGIC, PUBLIC_KEYS, Writer, nonce_of, place_of
from anonymiser.spool import Segment, Spool, destroy, seal_abandoned, segments
from anonymiser.unsealing import PREAMBLE, SegmentFacts

NINE = datetime(2026, 11, 23, 9, 30, tzinfo=UTC)
HOUR = timedelta(hours=1)
STATISTICS = ("views", "pages", "entries", "exits", "sources", "devices", "browsers")


@dataclass
class Clock:
    now: datetime = NINE

    def __call__(self) -> datetime:
        return self.now


def keyed(directory: Path) -> HourKeys:
    """Keys of the hour before nine and of seven more, as the batch makes them; the private ones lie beside."""
    keys = HourKeys(directory / "private")
    keys.provide(directory, NINE - HOUR, 7 * HOUR)
    return keys


def read(segment: Segment) -> SegmentFacts:
    return unsealing.read(segment, HourKeys(segment.path.parent / "private"))


@pytest.fixture(autouse=True)
def keys(tmp_path: Path) -> HourKeys:
    return keyed(tmp_path)


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
    HourKeys(tmp_path / "private").provide(tmp_path, datetime.now(UTC))
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
        keyed(directory)
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


def cut(segment: Segment) -> Segment:
    """The same file as its process would have left it by dying; the batch calls it so."""
    target = segment.path.with_suffix(".cut")
    if segment.path.exists():
        segment.path.rename(target)
    return Segment(segment.id, target, segment.hour, closed=True)


def test_a_segment_cut_by_a_kill_says_so_and_keeps_whole_frames(whole: Segment, keys: HourKeys) -> None:
    content = whole.path.read_bytes()
    segment = cut(whole)
    for length in range(0, len(content), 3):
        segment.path.write_bytes(content[:length])
        found = unsealing.read(segment, keys)
        assert found.torn == 1
        assert len(found.facts) in (0, 14, 28, 42)
        assert len(found.facts) <= 42 * length // len(content) + 14


def test_an_orderly_segment_that_is_cut_anywhere_is_refused(whole: Segment, keys: HourKeys) -> None:
    content = whole.path.read_bytes()
    for length in range(0, len(content), 3):
        whole.path.write_bytes(content[:length])
        with pytest.raises(SegmentError, match=f"{whole.path}.*(its end was cut off|damaged length|was altered)"):
            unsealing.read(whole, keys)


def test_a_flipped_bit_anywhere_is_noticed(whole: Segment, keys: HourKeys) -> None:
    content = whole.path.read_bytes()
    for place in range(0, len(content) * 8, 7):
        altered = bytearray(content)
        altered[place // 8] ^= 1 << place % 8
        whole.path.write_bytes(altered)
        with pytest.raises(SegmentError, match=f"{whole.path}.*not counted"):
            unsealing.read(whole, keys)


@settings(deadline=None)
@given(place=st.integers(0, 10**6), removed=st.integers(0, 80), inserted=st.binary(max_size=80), killed=st.booleans())
def test_any_damage_is_read_refused_or_counted(place: int, removed: int, inserted: bytes, killed: bool) -> None:
    with TemporaryDirectory() as folder:
        directory = Path(folder)
        keyed(directory)
        with Spool(directory, clock=Clock(), mix_beacons=2) as spool:
            add(spool, range(4))
        segment = cut(only(directory)) if killed else only(directory)
        content = segment.path.read_bytes()
        place %= len(content) + 1
        damaged = content[:place] + inserted + content[place + removed :]
        segment.path.write_bytes(damaged)
        try:
            found = read(segment)
        except SegmentError as error:
            assert str(segment.path) in str(error)
            return
        assert found.torn == int(damaged != content)
        assert killed or damaged == content
        assert not Counter(found.facts) - Counter(fact for number in range(4) for fact in facts_of(number))


def test_a_tail_of_zeros_is_a_torn_tail(whole: Segment) -> None:
    """What a power cut leaves: the file has grown, its last blocks never came."""
    content = whole.path.read_bytes()
    segment = cut(whole)
    segment.path.write_bytes(content[:-30] + bytes(4096))
    found = read(segment)
    assert (len(found.facts), found.torn) == (42, 1)
    segment.path.write_bytes(bytes(4096))
    assert read(segment) == SegmentFacts([], 1)


def pieces(content: bytes) -> list[bytes]:
    """Header, sealed key, and each frame of a segment."""
    parts = [content[:HEADER_BYTES], content[HEADER_BYTES:PREAMBLE]]
    place = PREAMBLE
    while place < len(content):
        length, _, _ = FRAME.unpack_from(content, place)
        parts.append(content[place : place + FRAME.size + length])
        place += FRAME.size + length
    return parts


def renumbered(frame: bytes, nonce: int) -> bytes:
    """The frame under another nonce, its check made to fit: what somebody who knows the format could write."""
    start = struct.pack(">IQ", len(frame) - FRAME.size, nonce)
    return start + struct.pack(">I", zlib.crc32(start)) + frame[FRAME.size :]


# How the pieces (header, key, three frames, end) of a segment, and those of another of the same hour, are put together.
FAULTS: dict[str, tuple[Callable[[list[bytes], list[bytes]], list[bytes]], str]] = {
    "two frames change places": (lambda a, b: [*a[:2], a[3], a[2], *a[4:]], "frame 0 was altered"),
    "two frames change places and nonces": (
        lambda a, b: [*a[:2], renumbered(a[3], 0), renumbered(a[2], 1), *a[4:]],
        "frame 0 was altered",
    ),
    "a frame comes twice": (lambda a, b: [*a[:3], a[2], *a[3:]], "frame 1 was altered"),
    "the first frame is taken out": (lambda a, b: [*a[:2], *a[3:]], "frame 0 was altered"),
    "a frame in the middle is taken out": (lambda a, b: [*a[:3], *a[4:]], "frame 1 was altered"),
    "the last frame before the end is taken out": (lambda a, b: [*a[:4], a[5]], "its end was cut off"),
    "the end is taken off": (lambda a, b: a[:5], "its end was cut off"),
    "everything but the head is taken off": (lambda a, b: a[:2], "its end was cut off"),
    "the end comes early": (lambda a, b: [*a[:3], a[5]], "its end was cut off"),
    "it goes on after the end": (lambda a, b: [*a, a[2]], "goes on after its end"),
    "one byte follows the end": (lambda a, b: [*a, b"x"], "goes on after its end"),
    "a frame of another segment": (lambda a, b: [*a[:2], b[2], *a[3:]], "frame 0 was altered"),
    "the end of another segment": (lambda a, b: [*a[:5], b[5]], "its end was cut off"),
    "the key of another segment": (lambda a, b: [a[0], b[1], *a[2:]], "its header was altered"),
    "the whole of another segment": (lambda a, b: b, "its header was altered"),
    "the frames of another segment": (lambda a, b: [*a[:2], *b[2:]], "frame 0 was altered"),
    "no frame has the last tag byte": (lambda a, b: [*a[:4], a[4][:-1], a[5]], "frame 2 was altered"),
    "a frame too short for a tag": (
        lambda a, b: [*a[:2], renumbered(a[2][: FRAME.size + 15], 0), *a[3:]],
        "damaged length",
    ),
    "a length of four gigabytes": (lambda a, b: [*a[:2], b"\xff" * FRAME.size, *a[2:]], "damaged length"),
    "another magic": (lambda a, b: [b"consent-spool 3\n" + a[0][16:], *a[1:]], "is not a spool segment"),
    "another public key": (lambda a, b: [a[0][:16] + bytes(32), *a[1:]], "public key that is not the one of its hour"),
    "a sealed key of zeros": (lambda a, b: [a[0], bytes(80), *a[2:]], "its header was altered"),
    "no header": (lambda a, b: a[2:], "is not a spool segment"),
    "text": (lambda a, b: [b"something else entirely"], "is not a spool segment"),
    "nothing": (lambda a, b: [], "its end was cut off"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_refused_and_named(whole: Segment, clock: Clock, fault: str) -> None:
    with Spool(whole.path.parent, clock=clock, mix_beacons=2) as spool:
        add(spool, range(6))
    [other] = [segment for segment in segments(whole.path.parent) if segment != whole]
    change, said = FAULTS[fault]
    whole.path.write_bytes(b"".join(change(pieces(whole.path.read_bytes()), pieces(other.path.read_bytes()))))
    with pytest.raises(SegmentError, match=f"{whole.path}.*{said}.*not counted"):
        read(whole)
    assert read(other).torn == 0


def test_a_renamed_segment_is_refused(whole: Segment) -> None:
    """Neither under another random name nor in another hour does it open."""
    for name in ("20261123T09-0123456789abcdef", "20261123T10-" + whole.id.partition("-")[2]):
        renamed = whole.path.rename(whole.path.with_name(f"{name}.seg"))
        [moved] = segments(renamed.parent)
        with pytest.raises(SegmentError, match=r"header was altered|not the one of its hour"):
            read(moved)
        whole = moved


@pytest.mark.parametrize("content", [b"", MAGIC[:5], MAGIC, MAGIC + bytes(20)])
def test_a_segment_that_had_just_begun_is_torn_and_empty(whole: Segment, content: bytes) -> None:
    segment = cut(whole)
    segment.path.write_bytes(content)
    assert read(segment) == SegmentFacts([], 1)


# -- who can read it --------------------------------------------------------------------------------------------------


def test_no_byte_of_a_fact_is_on_disk(whole: Segment) -> None:
    for path in whole.path.parent.glob("*"):
        content = path.read_bytes() if path.is_file() else b""
        for word in (b"kent", b"2026-11-23", b"views", b"entries"):
            assert word not in content, path


def test_two_segments_of_the_same_facts_have_nothing_in_common(whole: Segment, clock: Clock) -> None:
    with Spool(whole.path.parent, clock=clock, mix_beacons=2) as spool:
        add(spool, range(6))
    one, other = (pieces(segment.path.read_bytes())[1:] for segment in segments(whole.path.parent))
    for mine, yours in zip(one, other, strict=True):
        same = sum(a == b for a, b in zip(mine[FRAME.size :], yours[FRAME.size :], strict=False))
        assert same < len(mine) / 4


def test_without_the_hours_key_nobody_reads_it(whole: Segment, keys: HourKeys) -> None:
    keys.destroy([whole.hour])
    with pytest.raises(SegmentError, match=f"{whole.path}.*key of its hour, 2026-11-23T09Z, is gone"):
        read(whole)


def test_the_writer_holds_nothing_that_reads_an_earlier_segment(tmp_path: Path, spool: Spool, clock: Clock) -> None:
    """The writer of the hour before is gone with its key; that of the one being written is another."""
    add(spool, range(64))
    before = weakref.ref(spool._writer)
    clock.now += HOUR
    add(spool, range(64))
    gc.collect()
    assert before() is None
    assert spool._writer
    for segment, opens in zip(segments(tmp_path), (False, True), strict=True):
        content = pieces(segment.path.read_bytes())
        frame = (nonce_of(0), content[2][FRAME.size :], place_of(content[0] + segment.id.encode(), 0))
        with nullcontext() if opens else pytest.raises(InvalidTag):
            spool._writer._cipher.decrypt(*frame)


@pytest.mark.parametrize("house", ["anonymiser.spool", "consent_app"])
def test_what_writes_segments_needs_nothing_that_opens_them(house: str) -> None:
    program = f"import sys, {house}; print(*sys.modules)"
    result = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    loaded = {name for name in result.stdout.split() if name.startswith("anonymiser")}
    assert "anonymiser.segments" in loaded
    assert not loaded & {"anonymiser.hour_keys", "anonymiser.unsealing", "anonymiser.removal"}


# -- the hours' keys --------------------------------------------------------------------------------------------------


def test_without_a_key_nothing_is_taken_and_nothing_written(tmp_path: Path, spool: Spool, clock: Clock) -> None:
    assert spool.has_key()
    clock.now += 7 * HOUR
    assert not spool.has_key()
    with pytest.raises(NoHourKey, match=r"2026-11-23T16Z.*run the batch"):
        add(spool, range(1))
    assert segments(tmp_path) == []
    HourKeys(tmp_path / "private").provide(tmp_path, clock.now)
    add(spool, range(64))
    assert len(read(only(tmp_path)).facts) == 64 * 7


def test_what_waits_when_the_keys_run_out_is_kept_for_the_next_key(tmp_path: Path, clock: Clock) -> None:
    spool = Spool(tmp_path, clock=clock)
    clock.now += 6 * HOUR
    add(spool, range(5))
    clock.now += HOUR
    with pytest.raises(SegmentError, match="no public key"):
        spool.flush()
    assert segments(tmp_path) == []
    HourKeys(tmp_path / "private").provide(tmp_path, clock.now)
    spool.close()
    assert len(read(only(tmp_path)).facts) == 5 * 7


def test_a_key_taken_away_while_a_segment_is_begun_leaves_no_file(tmp_path: Path) -> None:
    (tmp_path / PUBLIC_KEYS).unlink()
    with pytest.raises(NoHourKey):
        Writer(tmp_path, NINE.replace(minute=0))
    assert [path.name for path in tmp_path.iterdir()] == ["private"]


@pytest.mark.parametrize("text", ["", "20261123T09", "20261123T09 zz", "20261123T10 " + "00" * 32, "\xff"])
def test_public_keys_that_are_none(tmp_path: Path, spool: Spool, text: str) -> None:
    (tmp_path / PUBLIC_KEYS).write_text(text, "latin-1")
    with pytest.raises(NoHourKey):
        add(spool, range(1))


def test_keys_are_made_once_and_public_ones_only_ahead(tmp_path: Path) -> None:
    keys = HourKeys(tmp_path / "home")
    keys.provide(tmp_path, NINE)
    nine = NINE.replace(minute=0)
    assert (keys.hours[0], len(keys.hours)) == (nine, 49)
    before = {line[:11]: line for line in (tmp_path / PUBLIC_KEYS).read_text().splitlines()}
    again = HourKeys(tmp_path / "home")
    again.provide(tmp_path, NINE + 2 * HOUR)
    after = {line[:11]: line for line in (tmp_path / PUBLIC_KEYS).read_text().splitlines()}
    assert min(after) == "20261123T11"
    assert all(after[hour] == before[hour] for hour in after.keys() & before.keys())
    assert again.private_key(nine) is not None
    again.destroy([nine])
    assert HourKeys(tmp_path / "home").private_key(nine) is None


def test_public_keys_somebody_put_there_are_replaced(tmp_path: Path, keys: HourKeys) -> None:
    file = tmp_path / PUBLIC_KEYS
    before = file.read_text()
    file.write_text(f"20261123T09 {'11' * 32}\n")
    keys.provide(tmp_path, NINE - HOUR, 7 * HOUR)
    assert file.read_text() == before


def test_the_key_store_is_sealed_private_and_refuses_looser_permissions(tmp_path: Path, keys: HourKeys) -> None:
    folder = tmp_path / "private"
    key = keys.private_key(NINE.replace(minute=0))
    assert key is not None
    for path in folder.iterdir():
        assert path.stat().st_mode & 0o777 == 0o600
        assert key.private_bytes_raw() not in path.read_bytes()
        assert key.private_bytes_raw().hex().encode() not in path.read_bytes()
    for path in folder.iterdir():
        path.chmod(0o640)
        with pytest.raises(SegmentError, match=f"chmod 600 {path}"):
            HourKeys(folder)
        path.chmod(0o600)


def test_a_destroyed_key_cannot_be_had_from_an_old_copy_of_the_store(tmp_path: Path, keys: HourKeys) -> None:
    file = tmp_path / "private" / "hour-keys.sealed"
    old = file.read_bytes()
    keys.destroy([NINE.replace(minute=0)])
    file.write_bytes(old)
    with pytest.raises(SegmentError, match="move both away"):
        HourKeys(tmp_path / "private")


def test_a_half_written_frame_is_never_sealed_again_with_its_nonce(tmp_path: Path, clock: Clock) -> None:
    """The same nonce for two contents would give both away."""
    writer = Writer(tmp_path, NINE.replace(minute=0))
    nonces = [FRAME.unpack_from(writer._frame(b"facts"))[1] for _ in range(3)]
    assert len(set(nonces)) == 3
    writer.write(facts_of(1))
    writer.end()
    assert len(read(only(tmp_path)).facts) == 7


# RFC 9180 prints no vector of X25519, HKDF-SHA256 and AES-256-GCM together. A.1.1.1 (sequence number 0) differs in the
# cipher alone; `opened_by_hand` is the RFC's text in its own words, tried on that vector and on a segment of ours.
RFC_9180 = {
    "info": "4f6465206f6e2061204772656369616e2055726e",
    "skRm": "4612c550263fc8ad58375df3f557aac531d26850903e55a9f23f21d8534e8ac8",
    "pkRm": "3948cfe0ad1ddb695d780e59077195da6c56506b027329794ab02bca80815c4d",
    "enc": "37fda3567bdbd628e88668c3c8d7e97d1d1253b6d4ea6d44c150f741f1bf4431",
    "pt": "4265617574792069732074727574682c20747275746820626561757479",
    "aad": "436f756e742d30",
    "ct": "f938558b5d72f1a23810b4be2ab4f84331acc02fc97babc53a52ae8218a355a96d8770ac83d07bea87e13c512a",
}


def opened_by_hand(sealed: bytes, private: X25519PrivateKey, info: bytes, aead: int, aad: bytes = b"") -> bytes:
    """RFC 9180 sections 4 and 5 for base mode: DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-GCM 1 (128) or 2 (256)."""
    enc, kem = sealed[:32], b"KEM\x00\x20"
    suite = b"HPKE\x00\x20\x00\x01" + aead.to_bytes(2, "big")

    def extract(suite: bytes, salt: bytes, label: bytes, secret: bytes) -> bytes:
        return hmac.digest(salt or bytes(32), b"HPKE-v1" + suite + label + secret, "sha256")

    def expand(suite: bytes, key: bytes, label: bytes, context: bytes, length: int) -> bytes:
        text = length.to_bytes(2, "big") + b"HPKE-v1" + suite + label + context
        return HKDFExpand(SHA256(), length, text).derive(key)

    agreed = private.exchange(X25519PublicKey.from_public_bytes(enc))
    both = enc + private.public_key().public_bytes_raw()
    shared = expand(kem, extract(kem, b"", b"eae_prk", agreed), b"shared_secret", both, 32)
    context = b"\x00" + extract(suite, b"", b"psk_id_hash", b"") + extract(suite, b"", b"info_hash", info)
    secret = extract(suite, shared, b"secret", b"")
    key, nonce = (
        expand(suite, secret, name, context, length) for name, length in ((b"key", 16 * aead), (b"base_nonce", 12))
    )
    return AESGCM(key).decrypt(nonce, sealed[32:], aad)


def test_hpke_is_that_of_rfc_9180() -> None:
    vector = {name: bytes.fromhex(text) for name, text in RFC_9180.items()}
    private = X25519PrivateKey.from_private_bytes(vector["skRm"])
    assert private.public_key().public_bytes_raw() == vector["pkRm"]
    sealed = vector["enc"] + vector["ct"]
    assert opened_by_hand(sealed, private, vector["info"], 1, vector["aad"]) == vector["pt"]
    suite = hpke.Suite(hpke.KEM.X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_128_GCM)
    assert rust.hpke._decrypt_with_aad(suite, sealed, private, vector["info"], vector["aad"]) == vector["pt"]


def test_a_segment_opens_by_the_text_of_rfc_9180(whole: Segment, keys: HourKeys) -> None:
    content = pieces(whole.path.read_bytes())
    private = keys.private_key(whole.hour)
    assert private is not None
    segment = content[0] + whole.id.encode()
    key = opened_by_hand(content[1], private, segment, 2)
    facts = AESGCM(key).decrypt(nonce_of(0), content[2][FRAME.size :], place_of(segment, 0))
    assert len(json.loads(facts)) == 14


def test_other_files_are_not_segments(tmp_path: Path) -> None:
    for name in ("notes.txt", "20261123T09-0123456789abcdef.tmp", "x.seg", "20261123T09-xyz.open"):
        (tmp_path / name).touch()
    assert segments(tmp_path) == []
    assert segments(tmp_path / "absent") == []


def test_destroying_removes_the_file_and_may_be_repeated(whole: Segment, tmp_path: Path) -> None:
    destroy(whole)
    destroy(whole)
    assert segments(tmp_path) == []


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
            Path(path).rename(Path(path).with_suffix(".cut"))
        return handle

    monkeypatch.setattr(os, "open", sealed_at_once)
    writer = Writer(tmp_path, NINE.replace(minute=0))
    writer.write(facts_of(1))
    writer.end()
    assert [len(read(segment).facts) for segment in segments(tmp_path)].count(7) == 1
