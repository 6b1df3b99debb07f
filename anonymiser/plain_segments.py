"""Segments of the version before 0.2, which were not sealed: read once more, so that an upgrade loses and leaves none.

A line of magic, then frames: length and its CRC-32, SHA-256 over segment name, frame number and content, content. The
last frame of an orderly segment is empty. Nothing writes them any more; in a later version this file goes.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Iterator
from typing import Final

MAGIC: Final = b"consent-spool 1\n"
MAX_FRAME: Final = 64 * 1024 * 1024
_HEADER: Final = struct.Struct(">II32s")


def payloads(name: str, content: bytes) -> Iterator[bytes]:
    """The content of each whole frame, b"" for the last of an orderly segment; stops at a torn tail.

    Raises ValueError saying what was altered.
    """
    place, number = len(MAGIC), 0
    while place + _HEADER.size <= len(content):
        length, check, digest = _HEADER.unpack_from(content, place)
        payload = content[place + _HEADER.size : place + _HEADER.size + length]
        last = place + _HEADER.size + length >= len(content)
        if zlib.crc32(content[place : place + 4]) != check or length > MAX_FRAME:
            if any(content[place:]):
                raise ValueError(f"frame {number} has a damaged length")
            return
        if hashlib.sha256(f"{name}:{number}\n".encode() + payload).digest() != digest:
            if last and length:
                return
            raise ValueError(f"frame {number} was altered")
        if not payload and not last:
            raise ValueError(f"it goes on after its end, frame {number}")
        yield payload
        place, number = place + _HEADER.size + length, number + 1
