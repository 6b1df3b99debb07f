"""Reading segments back, which only the batch can: every damage is told from a crash, and by the file's name.

A `.seg` was ended by its process: it must have its last frame. A `.cut` was left by a process that died: its tail may
be torn, is left out then, and counted. Segments of the version before (`plain_segments`), which called both `.seg`, are
read too.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from anonymiser import plain_segments
from anonymiser.errors import SegmentError
from anonymiser.facts import Fact
from anonymiser.hour_keys import HourKeys
from anonymiser.segments import (
    CLOSED,
    FRAME,
    HEADER_BYTES,
    MAGIC,
    SEALED_BYTES,
    SUITE,
    TAG_BYTES,
    Segment,
    bound,
    nonce_of,
    place_of,
)

PREAMBLE: Final = HEADER_BYTES + SEALED_BYTES
MAX_FRAME: Final = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class SegmentFacts:
    """What a segment holds. `torn` is 1 when its end is missing (a kill, a cut), 0 for an orderly one."""

    facts: list[Fact]
    torn: int


def read(segment: Segment, keys: HourKeys) -> SegmentFacts:
    """The facts of a segment; the torn tail of one that its process did not end is left out and counted.

    Raises SegmentError naming the file and the place when it was altered, is not a segment, or its key is gone.
    """
    content = segment.path.read_bytes()
    facts: list[Fact] = []
    try:
        for payload in _payloads(segment, content, keys):
            if not payload:
                return SegmentFacts(facts, 0)
            facts += _facts(payload)
    except _DamagedError as damage:
        raise _told(segment, damage) from damage
    if segment.path.suffix == CLOSED and not content.startswith(plain_segments.MAGIC):
        raise _told(segment, _DamagedError("its end was cut off"))
    return SegmentFacts(facts, 1)


class _DamagedError(Exception):
    """What is wrong with a segment."""


def _told(segment: Segment, damage: _DamagedError) -> SegmentError:
    return SegmentError(
        f"spool segment {segment.path}: {damage}. Its facts were not counted; other segments are not affected. "
        "Find out what changed the file; it is removed when its time is over, a day after its hour at the latest"
    )


def _payloads(segment: Segment, content: bytes, keys: HourKeys) -> Iterator[bytes]:
    """What each whole frame holds, b"" for the one that ends an orderly segment. Stops at a torn tail."""
    if content.startswith(plain_segments.MAGIC):
        yield from _plain(segment, content)
    elif content.startswith(MAGIC) and len(content) >= PREAMBLE:
        cipher, header = _opened(segment, content, keys)
        yield from _frames(content, cipher, bound(header, segment.id))
    elif not MAGIC.startswith(content[: len(MAGIC)]) and any(content):
        raise _DamagedError("is not a spool segment")


def _plain(segment: Segment, content: bytes) -> Iterator[bytes]:
    try:
        yield from plain_segments.payloads(segment.id, content)
    except ValueError as error:
        raise _DamagedError(str(error)) from error


def _opened(segment: Segment, content: bytes, keys: HourKeys) -> tuple[AESGCM, bytes]:
    header, sealed = content[:HEADER_BYTES], content[HEADER_BYTES:PREAMBLE]
    private = keys.private_key(segment.hour)
    if private is None:
        raise _DamagedError(f"the key of its hour, {segment.hour:%Y-%m-%dT%H}Z, is gone, so nobody can read it")
    if private.public_key().public_bytes_raw() != header[len(MAGIC) :]:
        raise _DamagedError("is sealed to a public key that is not the one of its hour")
    try:
        return AESGCM(SUITE.decrypt(sealed, private, info=bound(header, segment.id))), header
    except (InvalidTag, ValueError) as error:
        raise _DamagedError("its header was altered, or is another segment's") from error


def _frames(content: bytes, cipher: AESGCM, segment: bytes) -> Iterator[bytes]:
    place, number = PREAMBLE, 0
    while place + FRAME.size <= len(content):
        length, nonce, check = FRAME.unpack_from(content, place)
        if zlib.crc32(content[place : place + FRAME.size - 4]) != check or not TAG_BYTES <= length <= MAX_FRAME:
            if any(content[place:]):
                raise _DamagedError(f"frame {number} has a damaged length")
            return  # zeros to the end: the file grew, its content did not reach the disk
        end = place + FRAME.size + length
        sealed = content[place + FRAME.size : end]
        try:
            payload = cipher.decrypt(nonce_of(nonce), sealed, place_of(segment, number))
        except InvalidTag as error:
            if not any(content[end:]):
                return  # the last thing there is, but for zeros: its process died, or the power went
            raise _DamagedError(f"frame {number} was altered, or is another place's") from error
        if not payload and end < len(content):
            raise _DamagedError(f"it goes on after its end, frame {number}")
        yield payload
        place, number = end, number + 1


def _facts(payload: bytes) -> list[Fact]:
    try:
        return [_fact(row) for row in json.loads(payload)]
    except (ValueError, TypeError) as error:
        raise _DamagedError("a frame holds what is no fact") from error


def _fact(row: Any) -> Fact:
    fact = Fact(*row)
    if not all(isinstance(part, str) for part in fact[:5]) or type(fact.delta) is not int:
        raise TypeError
    return fact
