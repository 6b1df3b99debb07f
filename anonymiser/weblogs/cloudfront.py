"""CloudFront's standard log: W3C directives as in IIS, columns separated by tabs, user agents percent-encoded."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

import pyarrow as pa

from anonymiser.weblogs import iis
from anonymiser.weblogs.lines import Block

NAME: Final = "cloudfront"
SQL: Final = "read_iis"
_FIELDS: Final = re.compile(r"#fields:.*\bx-edge-location\b", re.IGNORECASE)


def recognises(first: list[str]) -> bool:
    """Whether the directives name CloudFront's own column."""
    return any(_FIELDS.match(line) for line in first)


def batches(read: Iterable[Block]) -> Iterator[pa.RecordBatch]:
    """As for IIS, once tabs are spaces: CloudFront encodes the spaces inside a column."""
    return iis.batches(Block(block.first, block.data.replace(b"\t", b" ")) for block in read)
