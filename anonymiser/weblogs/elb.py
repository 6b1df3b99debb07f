"""AWS load balancers: the classic one's lines, and the application one's with the connection's type in front."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

import pyarrow as pa

from anonymiser.weblogs import combined
from anonymiser.weblogs.lines import Block

NAME: Final = "elb"
SQL: Final = "read_elb"
_LINE: Final = re.compile(r'(?:[a-z0-9]+ )?\d{4}-\d\d-\d\dT\S+Z \S+ \S+ \S+ (?:[\d.-]+ ){3}[\d-]+ [\d-]+ \d+ \d+ "')


def recognises(first: list[str]) -> bool:
    """Whether one of the first lines looks like this format."""
    return any(_LINE.match(line) for line in first)


def batches(read: Iterable[Block]) -> Iterator[pa.RecordBatch]:
    """A row for each block."""
    return combined.batches(read)
