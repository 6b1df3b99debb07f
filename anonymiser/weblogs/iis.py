"""IIS's W3C logs: the extended format, known by its maker's name or by columns that nobody else writes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

import pyarrow as pa

from anonymiser.weblogs import w3c
from anonymiser.weblogs.lines import Block

NAME: Final = "iis"
SQL: Final = w3c.SQL
_MAKER: Final = re.compile(r"#software:\s*microsoft internet information", re.IGNORECASE)
_OTHER_MAKER: Final = re.compile(r"#software:", re.IGNORECASE)
_FIELDS: Final = re.compile(r"#fields:.*\b(?:s-ip|s-sitename|s-computername|cs-uri-stem)\b", re.IGNORECASE)


def recognises(first: list[str]) -> bool:
    """Whether the directives name IIS, or its columns and no other maker."""
    if any(_MAKER.match(line) for line in first):
        return True
    return any(_FIELDS.match(line) for line in first) and not any(_OTHER_MAKER.match(line) for line in first)


def batches(read: Iterable[Block]) -> Iterator[pa.RecordBatch]:
    """As for any W3C log."""
    return w3c.batches(read)
