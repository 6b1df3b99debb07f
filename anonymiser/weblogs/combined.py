"""Apache's and nginx's common and combined log format, with or without the virtual host in front."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

import pyarrow as pa

from anonymiser.weblogs.lines import Block, row

NAME: Final = "combined"
SQL: Final = "read_combined"
_LINE: Final = re.compile(r'(?:\S+ )?\S+ \S+ .*?\[\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}\] "')


def recognises(first: list[str]) -> bool:
    """Whether one of the first lines looks like this format."""
    return any(_LINE.match(line) for line in first)


def batches(read: Iterable[Block]) -> Iterator[pa.RecordBatch]:
    """A row for each block."""
    return map(row, read)
