"""Blocks of whole lines out of any file, damaged or not: nothing is lost, merged or raised."""

from __future__ import annotations

import gzip
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

import pyarrow as pa

BLOCK: Final = 4 * 1024 * 1024
MAX_LINE: Final = 65_536
MAX_PENDING: Final = 2 * BLOCK
GZIP: Final = b"\x1f\x8b"


@dataclass(frozen=True, slots=True)
class Block:
    """Whole lines without their last newline; `first` is the number of the first one, from 1."""

    first: int
    data: bytes


def opened(path: Path) -> tuple[IO[bytes], IO[bytes]]:
    """The file as text bytes (unpacked), and the raw file whose position tells progress."""
    raw = path.open("rb")
    packed = raw.read(2) == GZIP
    raw.seek(0)
    return (gzip.open(raw) if packed else raw), raw  # type: ignore[return-value]


def head(path: Path, count: int = 20) -> list[str]:
    """The first lines of a file, decoded somehow, for recognising its format."""
    file, raw = opened(path)
    with raw, file:
        return file.read(65_536).decode("utf-8", "replace").split("\n")[:count]


def blocks(file: IO[bytes]) -> Iterator[Block]:
    """Cut a file at newlines into blocks of about 4 MiB.

    A line longer than 8 MiB is cut short (it is refused for its length later), so memory stays flat on any input.
    """
    pending, number = b"", 1
    while data := file.read(BLOCK):
        cut = data.rfind(b"\n")
        if cut < 0:
            pending = (pending + data)[:MAX_PENDING]
            continue
        whole = pending + data[:cut]
        yield Block(number, whole)
        number += whole.count(b"\n") + 1
        pending = data[cut + 1 :]
    if pending:
        yield Block(number, pending)


def table(block: Block) -> tuple[pa.Array, pa.Array]:
    """The block's line numbers and texts as Arrow arrays; bad UTF-8 becomes U+FFFD."""
    texts = pa.array(_text(block.data).split("\n"), pa.string())
    numbers = array("q", range(block.first, block.first + len(texts)))
    return pa.Array.from_buffers(pa.int64(), len(numbers), [None, pa.py_buffer(numbers)]), texts


def _text(data: bytes) -> str:
    return data.decode("ascii") if data.isascii() else data.decode("utf-8", "replace")
