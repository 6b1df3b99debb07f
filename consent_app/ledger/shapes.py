"""Reading a million records: what differs from record to record is looked at each time, the rest once for each shape.

A shape is a record whose id and time of day are cut out. They stand behind their own names, which no text inside a
record can imitate, since quotes are escaped there: two records of one shape differ in nothing else.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Final

from consent_app.errors import LedgerError
from consent_app.ledger.records import KINDS, ConsentRecord, ErasureRecord, canonical

MOST: Final = 50_000
_ID: Final = b',"id":"'
_TIME: Final = b',"time":"'
_TIME_TO_DAY: Final = len(_TIME) + len("2026-11-24")
_OF_DAY: Final = len("T09:30:12Z")
_ID_AFTER: Final = len(_ID)
_ID_LONG: Final = 32
_DIGITS: Final = b"0123456789abcdef"
_is_of_day: Final = re.compile(rb"T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]Z").fullmatch


@dataclass(frozen=True, slots=True)
class Facts:
    """What a record says that other checks ask for."""

    notice: str = ""
    erases: tuple[int, ...] = ()


class Shapes:
    """Reads records, and remembers which shapes of decisions were found good."""

    def __init__(self) -> None:
        self._good: dict[bytes, Facts] = {}

    def read(self, kind: str, subject: str | None, record: bytes) -> Facts:
        """The facts of a record filed under that kind and subject. Raises LedgerError, ValueError or TypeError."""
        if kind != ConsentRecord.KIND or not isinstance(record, bytes):
            return _read(kind, subject, record)
        # A record without an id is its own shape, with a mark that no record begins with.
        record_id = None
        shape = b"-" + record
        id_at, day_at = record.find(_ID) + _ID_AFTER, record.rfind(_TIME) + _TIME_TO_DAY
        found, of_day = record[id_at : id_at + _ID_LONG], record[day_at : day_at + _OF_DAY]
        if id_at < day_at and _is_of_day(of_day) and len(found) == _ID_LONG and not found.translate(None, _DIGITS):
            shape = record[:id_at] + record[id_at + _ID_LONG : day_at] + record[day_at + _OF_DAY :]
            record_id = found.decode("ascii")
        facts = self._good.get(shape)
        if facts is None:
            facts = _read(kind, subject, record)
            if len(self._good) >= MOST:
                self._good.clear()
            self._good[shape] = facts
        elif subject != record_id:
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
        return Facts(record.notice)
    return Facts(erases=record.entries if isinstance(record, ErasureRecord) else ())
