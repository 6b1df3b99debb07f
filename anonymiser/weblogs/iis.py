"""IIS W3C extended format: columns named by `#Fields`, which may come again inside a file with other columns."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

import pyarrow as pa

from anonymiser.weblogs.lines import Block, row

NAME: Final = "iis"
SQL: Final = "read_iis"
NEEDED: Final = {
    "date": "date",
    "time": "time",
    "ip": "c-ip",
    "method": "cs-method",
    "stem": "cs-uri-stem",
    "query": "cs-uri-query",
    "status": "sc-status",
    "agent": "cs(user-agent)",
    "referrer": "cs(referer)",
}
_DIRECTIVE: Final = re.compile(rb"^#.*$", re.MULTILINE)
_FIELDS: Final = re.compile(r"#fields:\s*(.*)", re.IGNORECASE)
_DATE: Final = re.compile(r"#date:\s*(\d{4}-\d\d-\d\d)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Layout:
    """The columns in force: position of each needed one (from 1, 0 when absent), how many in all, and `#Date`."""

    positions: tuple[int, ...] = (0,) * len(NEEDED)
    width: int = 0
    day: str = ""


def recognises(first: list[str]) -> bool:
    """Whether the file begins with W3C directives."""
    return any(_FIELDS.match(line) or line.lower().startswith("#software: microsoft internet") for line in first)


def batches(read: Iterable[Block]) -> Iterator[pa.RecordBatch]:
    """A row for each part of a block in which the columns stay the same: with their number, positions and `#Date`."""
    layout = Layout()
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
        names = match[1].lower().split()
        positions = tuple(names.index(name) + 1 if name in names else 0 for name in NEEDED.values())
        return Layout(positions, len(names), layout.day)
    if match := _DATE.match(line):
        return Layout(layout.positions, layout.width, match[1])
    return layout
