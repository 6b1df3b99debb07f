"""What can be checked of a ledger by itself: each check is one name, one verdict, one sentence."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, select, text

from consent_app.errors import LedgerError
from consent_app.ledger.records import KINDS, canonical
from consent_app.ledger.tables import TRIGGERS, body, entry, notice

LeafHash = Callable[[bytes, bytes], bytes]


@dataclass(frozen=True, slots=True)
class Check:
    """One checked fact: what was checked, whether it holds, and a sentence that says so or names the place."""

    name: str
    ok: bool
    sentence: str


@dataclass(slots=True)
class _Findings:
    """The first fault of each kind, and what was seen on the way."""

    sequence: str = ""
    leaves: str = ""
    records: str = ""
    count: int = 0

    def look(self, row: Row[Any], leaf_hash: LeafHash) -> str | None:
        """Check one row; returns the notice its record names."""
        if row.seq != self.count and not self.sequence:
            self.sequence = f"entry {self.count} is missing; the next is {row.seq}"
        self.count = row.seq + 1
        if not _is_whole(row, leaf_hash):
            self.leaves = self.leaves or f"entry {row.seq} is not what was appended"
        try:
            record = _read(row)
        except (LedgerError, ValueError, TypeError) as error:
            self.records = self.records or f"entry {row.seq}: {error}"
            return None
        return getattr(record, "notice", None)


def _is_whole(row: Row[Any], leaf_hash: LeafHash) -> bool:
    """Whether the row's own hash is that of its record. SQLite keeps what it is given: a text in place of bytes too."""
    kept = isinstance(row.nonce, bytes) and isinstance(row.record, bytes)
    return kept and leaf_hash(row.nonce, row.record) == row.leaf


def checks(connection: Connection, leaf_hash: LeafHash) -> Iterator[Check]:
    """Walk every row once. Raises sqlalchemy's DatabaseError when the file itself is damaged."""
    yield _triggers(connection)
    findings = _Findings()
    named: dict[str, int] = {}
    query = select(entry, body.c.subject, body.c.nonce, body.c.record).outerjoin(body).order_by(entry.c.seq)
    for row in connection.execute(query):
        sha256 = findings.look(row, leaf_hash)
        if sha256:
            named.setdefault(sha256, row.seq)
    yield _check("ledger sequence", findings.sequence, f"{findings.count} entries, numbered without a gap")
    yield _check("ledger entries", findings.leaves, f"{findings.count} records match the hash stored when appended")
    yield _check("ledger schema", findings.records, f"{findings.count} records fit the published schema")
    archived = {row.sha256: row.text for row in connection.execute(select(notice))}
    yield from _notices(archived, named)


def _triggers(connection: Connection) -> Check:
    query = text("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'")
    found = {row.name: row.sql for row in connection.execute(query)}
    missing = [name for name, statement in TRIGGERS.items() if found.get(name) != statement]
    return _check(
        "ledger guard", f"trigger {missing[0]} is gone or changed" if missing else "", "the database refuses changes"
    )


def _read(row: Row[Any]) -> Any:
    document = json.loads(row.record or "null")
    if not isinstance(document, dict) or row.kind not in KINDS:
        raise LedgerError(f"is no record of the kind {row.kind!r}")
    if canonical(document) != row.record:
        raise LedgerError("is not canonical JSON (RFC 8785)")
    record = KINDS[row.kind].read(document)
    if record.subject != row.subject:
        raise LedgerError("is filed under another id than its own")
    return record


def _notices(archived: dict[str, str], named: dict[str, int]) -> Iterator[Check]:
    changed = [sha for sha, content in archived.items() if hashlib.sha256(content.encode()).hexdigest() != sha]
    fault = f"notice {changed[0][:12]} is not the text it was" if changed else ""
    yield _check("notice texts", fault, f"{len(archived)} archived notices have the hash they are kept under")
    lost = sorted(named.keys() - archived.keys(), key=lambda sha: named[sha])
    fault = f"entry {named[lost[0]]} names notice {lost[0][:12]}, which is not archived" if lost else ""
    yield _check("notice archive", fault, f"the text of each of the {len(named)} notices named can be read")


def _check(name: str, fault: str, sentence: str) -> Check:
    return Check(name, not fault, fault or sentence)
