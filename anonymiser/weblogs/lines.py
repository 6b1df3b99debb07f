"""Blocks of whole lines out of any file, damaged or not: nothing is lost, merged or raised."""

from __future__ import annotations

import bz2
import codecs
import gzip
import io
import struct
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, partial
from io import FileIO
from itertools import chain
from pathlib import Path
from typing import IO, Final, cast

import pyarrow as pa

BLOCK: Final = 4 * 1024 * 1024
MAX_LINE: Final = 65_536
MAX_PENDING: Final = 8 * 1024 * 1024
HEAD: Final = 65_536
STDIN: Final = Path("-")


@dataclass(frozen=True, slots=True)
class Block:
    """Whole lines without their last newline; `first` is the number of the first one, from 1."""

    first: int
    data: bytes


def opened(path: Path) -> tuple[IO[bytes], IO[bytes]]:
    """The file as text bytes (unpacked), and the raw file whose position tells progress. `-` is standard input."""
    raw = _standard_input() if path == STDIN else io.BufferedReader(FileIO(path), HEAD)
    start = raw.peek(8)
    unpack = next((unpack for magic, unpack in PACKED.items() if start.startswith(magic)), None)
    plain = cast(IO[bytes], raw)
    return (unpack(plain) if unpack else plain), plain


def size(path: Path) -> int:
    """Bytes of the file; 0 where nobody can know before (standard input)."""
    return 0 if path == STDIN else path.stat().st_size


def head(path: Path, count: int = 20) -> list[str]:
    """The first lines of a file, decoded somehow, for recognising its format."""
    if path == STDIN:
        return _lines_of(_standard_input().peek(HEAD))[:count]
    file, raw = opened(path)
    with raw, file:
        return file.read(HEAD).decode("utf-8", "replace").split("\n")[:count]


def _lines_of(start: bytes) -> list[str]:
    """The lines at the beginning of a stream of which only so much may be looked at; packed, fewer of them."""
    unpack = next((unpack for magic, unpack in PACKED.items() if start.startswith(magic)), None)
    data = start
    if unpack:
        with suppress(EOFError):
            data = unpack(io.BytesIO(start)).read1(HEAD)  # type: ignore[attr-defined]
    return data.decode("utf-8", "replace").split("\n")


@cache
def _standard_input() -> io.BufferedReader:
    """Standard input with room to look ahead; what is looked at is read again."""
    return io.BufferedReader(FileIO(0, closefd=False), HEAD)


def _zstandard(raw: IO[bytes]) -> IO[bytes]:
    stream: IO[bytes] = pa.CompressedInputStream(pa.PythonFile(raw, "r"), "zstd")
    return stream


def _gzip(raw: IO[bytes]) -> IO[bytes]:
    return cast(IO[bytes], gzip.open(raw))


def _bzip2(raw: IO[bytes]) -> IO[bytes]:
    return cast(IO[bytes], bz2.open(raw))


PACKED: Final[dict[bytes, Callable[[IO[bytes]], IO[bytes]]]] = {
    b"\x1f\x8b": _gzip,
    b"BZh": _bzip2,
    b"\x28\xb5\x2f\xfd": _zstandard,
}


def blocks(file: IO[bytes]) -> Iterator[Block]:
    """The pieces of a file, with the number of their first line."""
    number = 1
    for data in pieces(file):
        yield Block(number, data)
        number += data.count(b"\n") + 1


def pieces(file: IO[bytes]) -> Iterator[bytes]:
    """Cut a file at newlines into pieces of about 4 MiB, each without its last newline.

    A line longer than 8 MiB is cut short (it is refused for its length later), so memory stays flat on any input.
    """
    pending = b""
    start = file.read(BLOCK).removeprefix(codecs.BOM_UTF8)
    for data in chain([start] if start else [], iter(partial(file.read, BLOCK), b"")):
        cut = data.rfind(b"\n")
        if cut < 0:
            pending = (pending + data)[:MAX_PENDING]
            continue
        yield b"".join((pending, memoryview(data)[:cut]))
        pending = data[cut + 1 :]
    if pending:
        yield pending


def row(block: Block, **constants: int | str) -> pa.RecordBatch:
    """The block as one row: the number of its first line, its text (bad UTF-8 becomes U+FFFD), and what holds for each
    of its lines. The engine cuts it; so no line is ever an object of its own.
    """
    names = ["first", "block", *constants]
    values = [pa.array([value], pa.int32() if isinstance(value, int) else pa.string()) for value in constants.values()]
    return pa.RecordBatch.from_arrays([pa.array([block.first], pa.int64()), _text(block.data), *values], names)


def decoded(data: bytes) -> bytes:
    """Valid UTF-8: what is none becomes U+FFFD. ASCII is not copied."""
    return data if data.isascii() else data.decode("utf-8", "replace").encode()


def _text(data: bytes) -> pa.Array:
    text = decoded(data)
    edges = pa.py_buffer(struct.pack("=ii", 0, len(text)))
    return pa.Array.from_buffers(pa.string(), 1, [None, edges, pa.py_buffer(text)])
