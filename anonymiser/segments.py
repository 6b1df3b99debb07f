"""The files facts wait in: one segment per process and hour, which whoever writes it cannot read again.

A segment is a header (a line of magic, the public key of its hour), a random key sealed to that public key (HPKE,
RFC 9180: X25519, HKDF-SHA256, AES-256-GCM; header and name bound in `info`), then frames: length, nonce and the CRC-32
of both, and the facts under AES-256-GCM, with header, name and place of the frame authenticated. An orderly segment
ends with a frame of no facts and is called `.seg`; one that a killed process left is called `.cut` by the batch.

The random key is in the memory of the process that writes, and nowhere else in clear. While a process lives it holds a
lock on its segment; nobody ever appends to a segment that another process began. `unsealing` reads segments, with the
private keys that `hour_keys` keeps; nothing here can.
"""

from __future__ import annotations

import errno
import json
import os
import re
import secrets
import struct
import sys
import zlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from io import BytesIO, FileIO
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from anonymiser.errors import NoHourKey
from anonymiser.facts import Fact
from anonymiser.sealed import replace_private, sync_directory

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

MAGIC: Final = b"consent-spool 2\n"
SUITE: Final = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
HEADER_BYTES: Final = len(MAGIC) + 32
SEALED_BYTES: Final = 32 + 32 + 16  # what HPKE sends along, the random key, the tag
TAG_BYTES: Final = 16
KEY_BYTES: Final = 32
FRAME: Final = struct.Struct(">IQI")
"""Length of the sealed facts, nonce, CRC-32 of both."""
OPEN: Final = ".open"
CLOSED: Final = ".seg"
CUT: Final = ".cut"
BEGUN: Final = ".begun"
PUBLIC_KEYS: Final = "public.keys"
HOUR: Final = "%Y%m%dT%H"
_to_disk: Final = getattr(os, "fdatasync", os.fsync)
_NAME: Final = re.compile(r"(\d{8}T\d{2})-[0-9a-f]{16}")


@dataclass(frozen=True, slots=True)
class Segment:
    """One segment file. `hour` is the UTC hour it was begun in; `closed` ones are no longer written to."""

    id: str
    path: Path
    hour: datetime
    closed: bool


def hour_of(moment: datetime) -> datetime:
    """The UTC hour a moment belongs to."""
    return moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def publish(directory: Path, keys: Mapping[datetime, bytes]) -> None:
    """Say which public keys segments of which hours are sealed to, instead of all that were said before."""
    content = "".join(f"{hour:{HOUR}} {key.hex()}\n" for hour, key in sorted(keys.items())).encode()
    file = directory / PUBLIC_KEYS
    if not file.exists() or file.read_bytes() != content or list(directory.glob(f".{PUBLIC_KEYS}.*")):
        replace_private(file, content)


def public_key(directory: Path, hour: datetime) -> bytes | None:
    """The public key of an hour; None when the batch has not made one, or its file cannot be read."""
    try:
        lines = (directory / PUBLIC_KEYS).read_text("ascii").splitlines()
        return next((bytes.fromhex(line[12:]) for line in lines if line.startswith(f"{hour:{HOUR}} ")), None)
    except (OSError, ValueError):
        return None


class Writer:
    """The segment this process is writing; locked until it is ended or the process dies.

    Raises NoHourKey when its hour has no public key (any more): nothing is written then.
    """

    def __init__(self, directory: Path, hour: datetime) -> None:
        self.hour = hour
        self.id, self.path, self._file = _begin(directory, hour)
        try:
            header, self._cipher = self._head(directory)
            sync_directory(directory)
        except BaseException:
            self._file.close()
            for path in (self.path, self.path.with_suffix(BEGUN)):
                path.unlink(missing_ok=True)
            raise
        self._bound = header
        self._frames = self._nonce = 0
        self._length = self._file.tell()

    def write(self, facts: list[Fact]) -> None:
        """Append one frame and wait until it is on disk. On OSError the file is put back as it was."""
        frame = self._frame(_packed(facts))
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
            self._append(self._frame(b""))
        finally:
            self._file.close()
        # Another process may seal it between closing and renaming; that does no harm.
        with suppress(FileNotFoundError):
            self.path.rename(self.path.with_suffix(CLOSED))
        sync_directory(self.path.parent)

    def disown(self) -> None:
        """Let go of the file without ending it: after a fork it belongs to the parent."""
        self._file.close()

    def _head(self, directory: Path) -> tuple[bytes, AESGCM]:
        """Write header and sealed key. The batch takes a key away before it looks for the hour's files, so a key that
        is found after the file was made will be kept for it. The mark says that there was such a segment.
        """
        public = public_key(directory, self.hour)
        if public is None:
            raise NoHourKey(directory, self.hour)
        self.path.with_suffix(BEGUN).touch(mode=0o600)
        header = MAGIC + public
        key = _random_key()
        try:
            sealed = SUITE.encrypt(key, X25519PublicKey.from_public_bytes(public), info=bound(header, self.id))
            self._write(header + sealed)
            return bound(header, self.id), AESGCM(key)
        finally:
            key[:] = bytes(len(key))  # the cipher has a copy of its own, which goes with it

    def _frame(self, payload: bytes) -> bytes:
        """The nonce is a new one for every attempt: a frame that was half written is never sealed again with its."""
        nonce, self._nonce = self._nonce, self._nonce + 1
        sealed = self._cipher.encrypt(nonce_of(nonce), payload, place_of(self._bound, self._frames))
        start = struct.pack(">IQ", len(sealed), nonce)
        return start + struct.pack(">I", zlib.crc32(start)) + sealed

    def _append(self, frame: bytes) -> None:
        self._write(frame)
        _to_disk(self._file.fileno())

    def _write(self, content: bytes) -> None:
        left = memoryview(content)
        while left:
            left = left[self._file.write(left) :]


def bound(header: bytes, name: str) -> bytes:
    """What the sealed key is bound to: a segment under another header or name does not open."""
    return header + name.encode()


def place_of(segment: bytes, number: int) -> bytes:
    """What a frame is bound to: its segment and its place there."""
    return segment + struct.pack(">I", number)


def nonce_of(number: int) -> bytes:
    """A counter as AES-GCM takes it."""
    return number.to_bytes(12, "big")


def segments(directory: Path) -> list[Segment]:
    """The segments of a spool directory, oldest first; a directory that is not there holds none."""
    found = [
        Segment(path.stem, path, hour, path.suffix != OPEN)
        for path, hour in _named(directory)
        if path.suffix in (OPEN, CLOSED, CUT)
    ]
    return sorted(found, key=lambda segment: segment.id)


def begun(directory: Path) -> dict[str, datetime]:
    """The segments (name -> hour) that were begun and whose removal is not recorded, whether their files are there."""
    return {path.stem: hour for path, hour in _named(directory) if path.suffix == BEGUN}


def is_there(directory: Path, name: str) -> bool:
    """Whether a segment's file is there. Asked in the order in which a file changes its name, to miss none."""
    return any((directory / f"{name}{suffix}").exists() for suffix in (OPEN, CLOSED, CUT))


def seal_abandoned(directory: Path, now: datetime) -> list[Segment]:
    """Close the open segments of ended hours whose process is gone; return them as they are named now."""
    sealed = [_sealed(s) for s in segments(directory) if not s.closed and s.hour < hour_of(now) and _abandoned(s.path)]
    if sealed:
        sync_directory(directory)
    return sealed


def destroy(segment: Segment) -> None:
    """Remove a segment for good; doing it twice is no error."""
    segment.path.unlink(missing_ok=True)
    sync_directory(segment.path.parent)


def _named(directory: Path) -> list[tuple[Path, datetime]]:
    found = []
    for path in directory.glob("*") if directory.is_dir() else ():
        name = _NAME.fullmatch(path.stem)
        if name:
            found.append((path, datetime.strptime(name[1], HOUR).replace(tzinfo=UTC)))
    return found


def _begin(directory: Path, hour: datetime) -> tuple[str, Path, FileIO]:
    while True:
        name = f"{hour:{HOUR}}-{secrets.token_hex(8)}"
        path = directory / f"{name}{OPEN}"
        file = FileIO(path, "xb+", opener=_private)
        # Between creation and lock somebody may have taken the file for abandoned: then begin another.
        if _lock(file) and path.exists():
            return name, path, file
        file.close()


def _random_key() -> bytearray:
    """A key that can be overwritten: immutable bytes would stay in freed memory, for whoever reads that later."""
    key = bytearray(KEY_BYTES)
    with FileIO("/dev/urandom") if Path("/dev/urandom").exists() else BytesIO(secrets.token_bytes(KEY_BYTES)) as source:
        if source.readinto(key) != KEY_BYTES:
            raise OSError(errno.EIO, "the system's randomness could not be read")
    return key


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
    target = segment.path.with_suffix(CUT)
    with suppress(FileNotFoundError):
        segment.path.rename(target)
    return Segment(segment.id, target, segment.hour, closed=True)


def _packed(facts: list[Fact]) -> bytes:
    return json.dumps(facts, ensure_ascii=False, separators=(",", ":")).encode()
