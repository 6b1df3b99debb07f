"""IIS's own comma-separated format: a fixed order of columns, dates as month/day/year."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

import pyarrow as pa

from anonymiser.weblogs import combined
from anonymiser.weblogs.lines import Block

NAME: Final = "iis-native"
SQL: Final = "read_iis_native"
_LINE: Final = re.compile(r"[^,]+, [^,]*, \d{1,2}/\d{1,2}/\d{2,4}, \d{1,2}:\d\d:\d\d, ")


def recognises(first: list[str]) -> bool:
    """Whether one of the first lines looks like this format."""
    return any(_LINE.match(line) for line in first)


def batches(read: Iterable[Block]) -> Iterator[pa.RecordBatch]:
    """A row for each block."""
    return combined.batches(read)
