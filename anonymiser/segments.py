"""The files facts wait in: one segment per process and hour, framed so that every damage is told from a crash.

A segment is a line of magic, then frames: length and its CRC-32, SHA-256 over segment id, frame number and content,
content. An orderly segment ends with an empty frame; one that does not was cut by a kill, and says so when read.
While a process lives it holds a lock on its segment; nobody ever appends to a segment that another process began.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import struct
import sys
import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from io import FileIO
from pathlib import Path
from typing import Any, Final

from anonymiser.errors import SegmentError
from anonymiser.facts import Fact

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

MAGIC: Final = b"consent-spool 1\n"
MAX_FRAME: Final = 64 * 1024 * 1024
OPEN: Final = ".open"
CLOSED: Final = ".seg"
_HEADER: Final = struct.Struct(">II32s")
_to_disk: Final = getattr(os, "fdatasync", os.fsync)
_NAME: Final = re.compile(r"(\d{8}T\d{2})-[0-9a-f]{16}")


@dataclass(frozen=True, slots=True)
class Segment:
    """One segment file. `hour` is the UTC hour it was begun in; `closed` ones are no longer written to."""

    id: str
    path: Path
    hour: datetime
    closed: bool


@dataclass(frozen=True, slots=True)
class SegmentFacts:
    """What a segment holds. `torn` is 1 when its end is missing (a kill, a cut), 0 for an orderly one."""

    facts: list[Fact]
    torn: int


def hour_of(moment: datetime) -> datetime:
    """The UTC hour a moment belongs to."""
    return moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


class Writer:
    """The segment this process is writing; locked until it is ended or the process dies."""

    def __init__(self, directory: Path, hour: datetime) -> None:
        self.hour = hour
        self.id, self.path, self._file = _begin(directory, hour)
        self._frames = 0
        self._length = self._file.tell()

    def write(self, facts: list[Fact]) -> None:
        """Append one frame and wait until it is on disk. On OSError the file is put back as it was."""
        frame = _frame(self.id, self._frames, _packed(facts))
        try:
            self._append(frame)
        except OSError:
            self._file.truncate(self._length)
            self._file.seek(self._length)
            raise
        self._frames += 1
        self._length += len(frame)

    def end(self) -> None:
        """Mark the segment whole and close it; it may be read and removed from now on."""
        try:
            self._append(_frame(self.id, self._frames, b""))
        finally:
            self._file.close()
        # Another process may seal it between closing and renaming; that does no harm.
        with suppress(FileNotFoundError):
            self.path.rename(self.path.with_suffix(CLOSED))
        sync_directory(self.path.parent)

    def disown(self) -> None:
        """Let go of the file without ending it: after a fork it belongs to the parent."""
        self._file.close()

    def _append(self, frame: bytes) -> None:
        left = memoryview(frame)
        while left:
            left = left[self._file.write(left) :]
        _to_disk(self._file.fileno())


def segments(directory: Path) -> list[Segment]:
    """The segments of a spool directory, oldest first; a directory that is not there holds none."""
    found = []
    for path in directory.glob("*") if directory.is_dir() else ():
        name = _NAME.fullmatch(path.stem)
        if name and path.suffix in (OPEN, CLOSED):
            hour = datetime.strptime(name[1], "%Y%m%dT%H").replace(tzinfo=UTC)
            found.append(Segment(path.stem, path, hour, path.suffix == CLOSED))
    return sorted(found, key=lambda segment: segment.id)


def seal_abandoned(directory: Path, now: datetime) -> list[Segment]:
    """Close the open segments of ended hours whose process is gone; return them as they are named now."""
    sealed = [_sealed(s) for s in segments(directory) if not s.closed and s.hour < hour_of(now) and _abandoned(s.path)]
    if sealed:
        sync_directory(directory)
    return sealed


def read(segment: Segment) -> SegmentFacts:
    """The facts of a segment; a torn tail is left out and counted.

    Raises SegmentError naming the file and the place when it was altered or is not a segment.
    """
    content = segment.path.read_bytes()
    facts: list[Fact] = []
    if MAGIC.startswith(content):
        return SegmentFacts(facts, 1)
    if not content.startswith(MAGIC):
        raise _damaged(segment, 0, "is not a spool segment")
    for payload in _payloads(segment, content):
        if payload is None:
            return SegmentFacts(facts, 0)
        facts += payload
    return SegmentFacts(facts, 1)


def destroy(segment: Segment) -> None:
    """Remove a segment for good; doing it twice is no error."""
    segment.path.unlink(missing_ok=True)
    sync_directory(segment.path.parent)


def sync_directory(directory: Path) -> None:
    """Make a rename or removal survive a power cut (Windows does so by itself)."""
    if sys.platform == "win32":
        return
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _begin(directory: Path, hour: datetime) -> tuple[str, Path, FileIO]:
    while True:
        name = f"{hour:%Y%m%dT%H}-{secrets.token_hex(8)}"
        path = directory / f"{name}{OPEN}"
        file = FileIO(path, "xb+", opener=_private)
        # Between creation and lock somebody may have taken the file for abandoned: then begin another.
        if _lock(file) and path.exists():
            return name, path, _headed(file, path)
        file.close()


def _headed(file: FileIO, path: Path) -> FileIO:
    try:
        file.write(MAGIC)
        sync_directory(path.parent)
    except OSError:
        file.close()
        path.unlink(missing_ok=True)
        raise
    return file


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _lock(file: FileIO) -> bool:
    """Take the lock of a segment; False when another process holds it."""
    try:
        if sys.platform == "win32":
            # Locks are mandatory there, so the byte lies far behind the content.
            file.seek(0x7FFF0000)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
            file.seek(0)
        else:
            fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _abandoned(path: Path) -> bool:
    try:
        with FileIO(path, "rb+") as file:
            return _lock(file)
    except FileNotFoundError:
        return False


def _sealed(segment: Segment) -> Segment:
    target = segment.path.with_suffix(CLOSED)
    with suppress(FileNotFoundError):
        segment.path.rename(target)
    return Segment(segment.id, target, segment.hour, closed=True)


def _frame(name: str, number: int, payload: bytes) -> bytes:
    length = len(payload).to_bytes(4, "big")
    return _HEADER.pack(len(payload), zlib.crc32(length), _digest(name, number, payload)) + payload


def _digest(name: str, number: int, payload: bytes) -> bytes:
    """Bound to segment and place, so that a frame moved elsewhere does not pass."""
    return hashlib.sha256(f"{name}:{number}\n".encode() + payload).digest()


def _packed(facts: list[Fact]) -> bytes:
    return json.dumps(facts, ensure_ascii=False, separators=(",", ":")).encode()


def _payloads(segment: Segment, content: bytes) -> Iterator[list[Fact] | None]:
    """The facts of each whole frame; None for the frame that ends an orderly segment. Stops at a torn tail."""
    place, number = len(MAGIC), 0
    while place + _HEADER.size <= len(content):
        length, check, digest = _HEADER.unpack_from(content, place)
        payload = content[place + _HEADER.size : place + _HEADER.size + length]
        last = place + _HEADER.size + length >= len(content)
        if zlib.crc32(content[place : place + 4]) != check or length > MAX_FRAME:
            if any(content[place:]):
                raise _damaged(segment, number, "has a damaged frame header")
            return  # zeros to the end: the file grew, its content did not reach the disk
        if _digest(segment.id, number, payload) != digest:
            if last and length:
                return
            raise _damaged(segment, number, "was altered")
        yield from _unpacked(segment, number, payload, last)
        place, number = place + _HEADER.size + length, number + 1


def _unpacked(segment: Segment, number: int, payload: bytes, last: bool) -> Iterator[list[Fact] | None]:
    if not payload:
        if not last:
            raise _damaged(segment, number, "goes on after its end")
        yield None
        return
    try:
        yield [_fact(row) for row in json.loads(payload)]
    except (ValueError, TypeError) as error:
        raise _damaged(segment, number, "holds what is no fact") from error


def _fact(row: Any) -> Fact:
    fact = Fact(*row)
    if not all(isinstance(part, str) for part in fact[:5]) or type(fact.delta) is not int:
        raise TypeError
    return fact


def _damaged(segment: Segment, number: int, what: str) -> SegmentError:
    return SegmentError(
        f"spool segment {segment.path}, frame {number}: {what}. Its facts were not counted. "
        "Find out what changed the file, then delete it; other segments are not affected."
    )
