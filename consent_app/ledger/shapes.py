"""Reading a million records: what differs from record to record is looked at each time, the rest once for each shape.

A shape is a record whose id and time of day are cut out. Both can only stand behind their own names, as canonical JSON
writes them, and how many were cut belongs to the shape: two records of one shape differ in nothing else.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Final

from consent_app.errors import LedgerError
from consent_app.ledger.records import KINDS, ConsentRecord, ErasureRecord, canonical

MOST: Final = 50_000
_VARIES: Final = re.compile(
    rb'(?<=,"id":")[0-9a-f]{32}(?=",)'
    rb'|(?<=,"time":"[0-9]{4}-[0-9]{2}-[0-9]{2})T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]Z(?=",)'
)


@dataclass(frozen=True, slots=True)
class Facts:
    """What a record says that other checks ask for; `id_at` is where its id begins, -1 without one."""

    notice: str = ""
    erases: tuple[int, ...] = ()
    id_at: int = -1


class Shapes:
    """Reads records, and remembers which shapes were found good."""

    def __init__(self) -> None:
        self._good: dict[tuple[str, bytes, int], Facts] = {}

    def read(self, kind: str, subject: str | None, record: bytes) -> Facts:
        """The facts of a record filed under that kind and subject. Raises LedgerError, ValueError or TypeError."""
        if kind != ConsentRecord.KIND or not isinstance(record, bytes):
            return _read(kind, subject, record)
        shape, count = _VARIES.subn(b"", record)
        facts = self._good.get((kind, shape, count))
        if facts is None:
            facts = _read(kind, subject, record)
            if len(self._good) >= MOST:
                self._good.clear()
            self._good[kind, shape, count] = facts
        elif subject != (record[facts.id_at : facts.id_at + 32].decode("ascii") if facts.id_at >= 0 else None):
            raise LedgerError("is filed under another id than its own")
        return facts


def _read(kind: str, subject: str | None, content: bytes) -> Facts:
    document = json.loads(content or "null")
    if not isinstance(document, dict) or kind not in KINDS:
        raise LedgerError(f"is no record of the kind {kind!r}")
    if canonical(document) != content:
        raise LedgerError("is not canonical JSON (RFC 8785)")
    record = KINDS[kind].read(document)
    if record.subject != subject:
        raise LedgerError("is filed under another id than its own")
    if isinstance(record, ConsentRecord):
        return Facts(record.notice, id_at=content.index(b',"id":"') + 7 if record.id else -1)
    return Facts(erases=record.entries if isinstance(record, ErasureRecord) else ())
