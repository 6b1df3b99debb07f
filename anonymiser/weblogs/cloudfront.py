"""CloudFront's standard log: the W3C format with tabs between the columns and percent-encoded user agents."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

import pyarrow as pa

from anonymiser.weblogs import w3c
from anonymiser.weblogs.lines import Block

NAME: Final = "cloudfront"
SQL: Final = w3c.SQL
_FIELDS: Final = re.compile(r"#fields:.*\bx-edge-location\b", re.IGNORECASE)


def recognises(first: list[str]) -> bool:
    """Whether the directives name CloudFront's own column."""
    return any(_FIELDS.match(line) for line in first)


def batches(read: Iterable[Block]) -> Iterator[pa.RecordBatch]:
    """As for any W3C log."""
    return w3c.batches(read)
