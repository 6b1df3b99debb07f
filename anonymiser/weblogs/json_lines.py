"""One JSON object a line, as Caddy, Traefik, nginx and Apache are set up to write it; names are tried in turn."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

import pyarrow as pa

from anonymiser.weblogs import combined
from anonymiser.weblogs.lines import Block

NAME: Final = "json"
SQL: Final = "read_json"
_LINE: Final = re.compile(r'\s*\{\s*"[^"]+"\s*:.*(?:status|Status)"\s*:')


def recognises(first: list[str]) -> bool:
    """Whether one of the first lines is a JSON object with a status."""
    return any(_LINE.match(line) for line in first)


def batches(read: Iterable[Block]) -> Iterator[pa.RecordBatch]:
    """A row for each block."""
    return combined.batches(read)
