"""Web-server log files -> lines with their numbers, and the SQL that cuts a line of each format into columns.

A format is a small module: how to recognise it, and which statement of `sql/` reads it. Whatever is in a file, each of
its lines comes out exactly once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final, Protocol

import pyarrow as pa

from anonymiser.errors import InputError
from anonymiser.weblogs import cloudfront, combined, elb, iis, json_lines, native
from anonymiser.weblogs.lines import STDIN, Block, blocks, head, opened, size


class Format(Protocol):
    """What a format's module offers: its name, the statement that reads it, and two functions."""

    NAME: str
    SQL: str

    def recognises(self, first: list[str]) -> bool:
        """Whether one of a file's first lines looks like this format."""

    def batches(self, read: Iterable[Block]) -> Iterator[pa.RecordBatch]:
        """Blocks of lines, one row each, with what holds for all their lines."""


FORMATS: Final[dict[str, Format]] = {
    module.NAME: module for module in (cloudfront, iis, combined, native, elb, json_lines)
}
Progress = Callable[[int, int], None]


def detect(path: Path) -> str:
    """The format of a file, from its first lines. Raises InputError naming the known formats."""
    try:
        first = head(path)
    except (OSError, EOFError, ValueError) as error:
        raise InputError(f"{path}: cannot be unpacked ({error})") from error
    for name, module in FORMATS.items():
        if module.recognises(first):
            return name
    if not any(first):
        return combined.NAME
    known = ", ".join(FORMATS)
    raise InputError(f"{path}: the format cannot be told from its first lines; name it with --format ({known})")


def check_files(files: Sequence[Path]) -> None:
    """Refuse what cannot be read before any work begins. Raises InputError naming the file."""
    if not files:
        raise InputError("no log file was named")
    for path in files:
        if path == STDIN:
            continue
        if path.is_dir():
            raise InputError(f"{path} is a folder; name the log files in it")
        try:
            path.open("rb").close()
        except OSError as error:
            raise InputError(f"{path}: {error.strerror or 'cannot be read'}") from error


def batches(format_name: str, read: Iterable[Block]) -> Iterator[pa.RecordBatch]:
    """Blocks as rows: the first line's number, the text and, for formats with a header, its layout."""
    return FORMATS[format_name].batches(read)


__all__ = ["FORMATS", "Progress", "batches", "blocks", "check_files", "detect", "opened", "size"]
