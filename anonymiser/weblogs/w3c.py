"""W3C extended format, as IIS and many others write it: columns named by `#Fields`, which may come again inside a file.

Directives begin with "#". Columns are apart by spaces or by tabs; a value may stand in quotation marks. Where rows bear
no date, the last `#Date` holds. A file that has lost its `#Fields` line can be read when its columns are named.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import pyarrow as pa

from anonymiser.errors import InputError
from anonymiser.weblogs.lines import Block, row

NAME: Final = "w3c"
SQL: Final = "read_w3c"
# What is needed, and the names it goes by, the best first.
NEEDED: Final[dict[str, tuple[str, ...]]] = {
    "date": ("date",),
    "time": ("time",),
    "ip": ("c-ip", "cs-ip", "c-dns"),
    "method": ("cs-method",),
    "stem": ("cs-uri-stem", "cs-uri-path", "cs-uri"),
    "query": ("cs-uri-query",),
    "status": ("sc-status",),
    "agent": ("cs(user-agent)", "c-agent", "cs-user-agent"),
    "referrer": ("cs(referer)", "cs(referrer)", "cs-referred", "cs-referer"),
}
_DIRECTIVE: Final = re.compile(rb"^#.*$", re.MULTILINE)
_FIELDS: Final = re.compile(r"#fields:\s*(.*)", re.IGNORECASE)
_DATE: Final = re.compile(r"#(?:start-)?date:\s*(\S+)", re.IGNORECASE)
_DATE_FORMATS: Final = ("%Y-%m-%d", "%d-%b-%Y")
_ROW: Final = re.compile(r"\d{4}-\d\d-\d\d[ \t]+\d\d:\d\d:\d\d[ \t]")


@dataclass(frozen=True, slots=True)
class Layout:
    """The columns in force: position of each needed one (from 1, 0 when absent), how many in all, and `#Date`."""

    positions: tuple[int, ...] = (0,) * len(NEEDED)
    width: int = 0
    day: str = ""

    def named(self, names: Sequence[str]) -> Layout:
        """The layout of these columns, on the same day."""
        return Layout(tuple(_position(names, known) for known in NEEDED.values()), len(names), self.day)


def _position(names: Sequence[str], known: Sequence[str]) -> int:
    return next((names.index(name) + 1 for name in known if name in names), 0)


def recognises(first: list[str]) -> bool:
    """Whether one of the first lines names columns."""
    return any(_FIELDS.match(line) for line in first)


def looks_like_rows(line: str) -> bool:
    """Whether a line begins as most rows of such logs do, with date and time."""
    return bool(_ROW.match(line))


def batches(read: Iterable[Block]) -> Iterator[pa.RecordBatch]:
    """A row for each part of a block in which the columns stay the same: with their number, positions and `#Date`."""
    return _batches(read, Layout())


@dataclass(frozen=True, slots=True)
class Headerless:
    """The same format where a file has no `#Fields` of its own; one that comes later in it counts from there.

    Raises InputError when `fields` cannot be the columns of such a file.
    """

    fields: str
    NAME: str = NAME
    SQL: str = SQL

    def __post_init__(self) -> None:
        known = _columns(self.fields)
        if not any(name in known for name in NEEDED["stem"]) or not any(name in known for name in NEEDED["time"]):
            raise InputError(
                f"--fields {self.fields!r} does not name the columns of a log; write them as a #Fields line would, "
                "with at least date, time and cs-uri-stem: --fields 'date time c-ip cs-method cs-uri-stem sc-status'"
            )

    def recognises(self, first: list[str]) -> bool:
        """Whether one of the first lines may be such a row."""
        return any(map(looks_like_rows, first))

    def batches(self, read: Iterable[Block]) -> Iterator[pa.RecordBatch]:
        """As for files with a header."""
        return _batches(read, Layout().named(_columns(self.fields)))


def _columns(text: str) -> list[str]:
    return re.sub(r"^\s*#fields:", "", text.lower()).replace(",", " ").split()


def _batches(read: Iterable[Block], layout: Layout) -> Iterator[pa.RecordBatch]:
    for block in read:
        for part in _parts(block):
            layout = _following(layout, part)
            at = {f"at_{name}": place for name, place in zip(NEEDED, layout.positions, strict=True)}
            yield row(part, day=layout.day, at_width=layout.width, **at)


def _parts(block: Block) -> Iterator[Block]:
    """The block cut before each directive and after it, so that one layout holds for each part."""
    cuts = sorted(
        {0, *(edge for match in _DIRECTIVE.finditer(block.data) for edge in (match.start(), match.end() + 1))}
    )
    first = block.first
    for start, end in zip(cuts, [*cuts[1:], len(block.data) + 1], strict=True):
        if start <= len(block.data) and end > start:
            part = Block(first, block.data[start : end - 1])
            first += part.data.count(b"\n") + 1
            yield part


def _following(layout: Layout, part: Block) -> Layout:
    if not part.data.startswith(b"#"):
        return layout
    line = part.data.decode("utf-8", "replace")
    if match := _FIELDS.match(line):
        return layout.named(match[1].lower().split())
    if match := _DATE.match(line):
        return Layout(layout.positions, layout.width, _day(match[1]) or layout.day)
    return layout


def _day(text: str) -> str:
    """The date as YYYY-MM-DD; the standard's own example writes 12-Jan-1996."""
    for form in _DATE_FORMATS:
        try:
            return datetime.strptime(text, form).date().isoformat()  # noqa: DTZ007 - a date has no zone
        except ValueError:
            continue
    return ""
