"""Web-server log files -> lines with their numbers, and the SQL that cuts a line of each format into columns.

A format is a small module: how to recognise it, and which statement of `sql/` reads it. Whatever is in a file, each of
its lines comes out exactly once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, Protocol

import pyarrow as pa

from anonymiser.errors import InputError
from anonymiser.weblogs import cloudfront, combined, elb, iis, json_lines, native, w3c
from anonymiser.weblogs.lines import STDIN, Block, blocks, head, opened, size

AUTO: Final = "auto"
LOOKED_AT: Final = 1_000
PACKED_AS: Final = {".gz", ".bz2", ".zst"}
HEADERLESS: Final = f"{w3c.NAME}:"


class Format(Protocol):
    """What a format's module offers: its name, the statement that reads it, and two functions."""

    @property
    def NAME(self) -> str:  # noqa: N802 - a constant of a module
        """How it is called on the command line."""

    @property
    def SQL(self) -> str:  # noqa: N802
        """The statement that reads it."""

    def recognises(self, first: list[str]) -> bool:
        """Whether one of a file's first lines looks like this format."""

    def batches(self, read: Iterable[Block]) -> Iterator[pa.RecordBatch]:
        """Blocks of lines, one row each, with what holds for all their lines."""


class Formats(Mapping[str, Format]):
    """Formats by name. `w3c:date time …` is the W3C format of files that have lost their `#Fields` line."""

    def __init__(self, modules: Iterable[Format]) -> None:
        self._modules = {module.NAME: module for module in modules}

    def __getitem__(self, name: str) -> Format:
        return w3c.Headerless(name.removeprefix(HEADERLESS)) if name.startswith(HEADERLESS) else self._modules[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._modules)

    def __len__(self) -> int:
        return len(self._modules)


FORMATS: Final = Formats((cloudfront, iis, combined, native, elb, json_lines, w3c))


def detect(path: Path) -> str:
    """The format of a file, from its first lines. Raises InputError naming the known formats."""
    first = _head(path)
    found = _recognised(first)
    if found or not any(line.strip() for line in first):
        return found or combined.NAME
    raise InputError(f"{path}: {_unknown(first)}")


def _head(path: Path) -> list[str]:
    try:
        return head(path, LOOKED_AT)
    except (OSError, EOFError, ValueError) as error:
        raise InputError(f"{path}: cannot be unpacked ({error}); copy it again from where it came") from error


def _recognised(first: list[str]) -> str | None:
    return next((name for name, module in FORMATS.items() if module.recognises(first)), None)


# What people name by mistake, by its first characters, and what to do with it.
_STRANGERS: Final = {
    "PK\x03\x04": "is a zip archive; unpack it first",
    "\ufffd7zXZ": "is packed with xz; unpack it: xz -dc FILE | anonymise logs - …",
    "7z\ufffd\ufffd": "is a 7z archive; unpack it first",
    "\ufffd\ufffd": "is UTF-16 text, as PowerShell writes it; save it again as UTF-8",
}


def _unknown(first: list[str]) -> str:
    """Why no format fits, and the remedy; without a word of what stands there."""
    for start, remedy in _STRANGERS.items():
        if first[0].startswith(start):
            return remedy
    if any(w3c.looks_like_rows(line) for line in first):
        return (
            "looks like a W3C log without its #Fields line; name its columns: "
            "--fields 'date time c-ip cs-method cs-uri-stem sc-status'"
        )
    return f"the format cannot be told from its first lines; name it with --format ({', '.join(FORMATS)})"


def check_files(files: Sequence[Path]) -> None:
    """Refuse what cannot be read before any work begins. Raises InputError naming the file."""
    if not files:
        raise InputError("no log file was named")
    for path in files:
        if path != STDIN:
            _check_file(path)
    seen: dict[Path, Path] = {}
    for path in files:
        other = seen.setdefault(_unpacked(path), path)
        if other is not path and other == path:
            raise InputError(f"{path} is named twice; its lines would be counted twice")
        if other is not path:
            raise InputError(f"{path} and {other} look like one log, packed and not; name one of them, or rename one")


def _unpacked(path: Path) -> Path:
    """Where the file lies, without the ending that says how it is packed."""
    place = path if path == STDIN else path.resolve()
    return place.with_suffix("") if place.suffix in PACKED_AS else place


def _check_file(path: Path) -> None:
    if path.is_dir():
        raise InputError(f"{path} is a folder; name the log files in it")
    if path.exists() and not path.is_file():
        raise InputError(f"{path} is a pipe or a device; send it to standard input and name that: … | anonymise logs -")
    try:
        path.open("rb").close()
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or 'cannot be read'}") from error


def check_format(path: Path, asked: str) -> None:
    """Refuse a format that was asked for by name where the file plainly has another. Raises InputError naming both."""
    if asked == AUTO:
        return
    if asked not in FORMATS:
        raise InputError(f"unknown format {asked!r}; known are {AUTO}, {', '.join(FORMATS)}")
    first, module = _head(path), FORMATS[asked]
    found = _recognised(first)
    if found and not module.recognises(first) and FORMATS[found].SQL != module.SQL:
        raise InputError(f"{path}: looks like {found}, not like {module.NAME}; leave --format and --fields out for it")


def batches(format_name: str, read: Iterable[Block]) -> Iterator[pa.RecordBatch]:
    """Blocks as rows: the first line's number, the text and, for formats with a header, its layout."""
    return FORMATS[format_name].batches(read)


__all__ = [
    "AUTO",
    "FORMATS",
    "HEADERLESS",
    "batches",
    "blocks",
    "check_files",
    "check_format",
    "detect",
    "opened",
    "size",
]
