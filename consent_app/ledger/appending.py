"""How records become entries: one thread leads and writes for all who wait, numbered on from the last."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from threading import Lock
from time import sleep
from typing import Any, Final

from sqlalchemy import Connection, Dialect, bindparam, insert, select

from consent_app.errors import UnavailableError
from consent_app.ledger.engine import Database
from consent_app.ledger.records import ConsentRecord, Record
from consent_app.ledger.tables import body, entry
from consent_app.ledger.verification import TAG

NONCE_BYTES: Final = 32
# Where others write too, who leads waits so long for company: a transaction costs ten times what a row in it does.
COMPANY_SECONDS: Final = 0.001
_canonical: Final = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode
_NEXT: Final = "SELECT coalesce(max(seq), -1) + 1 FROM entry"
Key = tuple[str, str, bytes]


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry: its number (from 0, dense), kind (as `records.KINDS`), record as JSON, logged hash."""

    seq: int
    kind: str
    record: dict[str, Any]
    leaf: bytes


@dataclass(slots=True)
class Waiting:
    """A record that is written together with those of other threads, and what came of it.

    `called` is let go once: when that is known, or when it is for the record's own thread to write.
    """

    record: Record
    document: dict[str, Any] = field(init=False)
    content: bytes = field(init=False)
    called: Lock = field(default_factory=Lock)
    entry: Entry | None = None
    fault: str = ""

    def __post_init__(self) -> None:
        self.document = self.record.document()
        self.content = spelt(self.document)

    @property
    def key(self) -> Key | None:
        """What makes another record the same one; None where each counts."""
        return _key(self.record.KIND, self.record.subject, self.content) if self.record.subject else None


class _Statements:
    """What is run for every decision, put together once."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._about: dict[int, str] = {}
        self.add_entry = self._text(insert(entry))
        self.add_body = self._text(insert(body))

    def about(self, count: int) -> str:
        """The entries about so many subjects; of several that are the same, the oldest comes last and counts."""
        if count not in self._about:
            columns = (entry.c.seq, entry.c.kind, entry.c.leaf, body.c.subject, body.c.record)
            subjects: list[Any] = [bindparam(f"s{place}") for place in range(count)]
            query = select(*columns).join(body).where(body.c.subject.in_(subjects)).order_by(entry.c.seq.desc())
            self._about[count] = self._text(query)
        return self._about[count]

    def _text(self, statement: Any) -> str:
        return str(statement.compile(dialect=self._dialect))


class Appender:
    """Appends for the threads of one process, and takes turns with those of others."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._queue: list[Waiting] = []
        self._lock = Lock()
        self._led = False
        self._company = False
        self._sql = _Statements(database.writing.dialect)

    def append(self, record: Record) -> Entry:
        """Add a record, if it is not there yet. Raises UnavailableError."""
        waiting = Waiting(record)
        waiting.called.acquire()
        with self._lock:
            self._queue.append(waiting)
            follows, self._led = self._led, True
        if follows:
            waiting.called.acquire()
        if waiting.entry is None and not waiting.fault:
            self._lead(waiting)
        if waiting.entry is None:
            raise UnavailableError(waiting.fault)
        return waiting.entry

    def _lead(self, own: Waiting) -> None:
        """Write for all who wait by now, tell them, and hand on to the first of those who came meanwhile."""
        if self._company:
            sleep(COMPANY_SECONDS)
        with self._lock:
            batch, self._queue = self._queue, []
        self._company = len(batch) > 1
        try:
            self._write(batch)
        finally:
            with self._lock:
                told = [waiting for waiting in batch if waiting is not own] + self._queue[:1]
                self._led = bool(self._queue)
            for waiting in told:
                waiting.called.release()

    def add(self, connection: Connection, batch: Sequence[Waiting]) -> list[Entry]:
        """Write what is not there yet within this transaction; returns the entry of each."""
        self._database.take_numbers(connection)
        with closing(connection.connection.cursor()) as cursor:
            return self._add(cursor, batch)

    def _add(self, cursor: Any, batch: Sequence[Waiting]) -> list[Entry]:
        """By the driver's own cursor, since this is what every decision waits for."""
        seq = cursor.execute(_NEXT).fetchone()[0]
        known = self._known(cursor, batch)
        made: list[Entry] = []
        rows: list[dict[str, Any]] = []
        for waiting in batch:
            found = known.get(waiting.key) if waiting.key else None
            if found is None:
                found, row = _new(seq + len(rows), waiting)
                rows.append(row)
                if waiting.key:
                    known[waiting.key] = found
            made.append(found)
        for statement in (self._sql.add_entry, self._sql.add_body):
            if len(rows) == 1:
                cursor.execute(statement, rows[0])
            elif rows:
                cursor.executemany(statement, rows)
        return made

    def _known(self, cursor: Any, batch: Sequence[Waiting]) -> dict[Key, Entry]:
        subjects = {waiting.record.subject for waiting in batch if waiting.record.subject}
        if not subjects:
            return {}
        values = {f"s{place}": subject for place, subject in enumerate(subjects)}
        rows = cursor.execute(self._sql.about(len(subjects)), values).fetchall()
        return {
            _key(kind, subject, record): Entry(seq, kind, json.loads(record), leaf)
            for seq, kind, leaf, subject, record in rows
        }

    def _write(self, batch: Sequence[Waiting]) -> None:
        """Each has its entry only when the transaction has ended well; whatever else happens is a fault of all."""
        lasting = any(waiting.record.KIND != ConsentRecord.KIND for waiting in batch)
        database = self._database
        for waiting in batch:
            waiting.fault = "the ledger could not be written; try again"
        try:
            with database.write(database.syncing if lasting else database.writing) as connection:
                entries = self.add(connection, batch)
        except UnavailableError as error:
            for waiting in batch:
                waiting.fault = str(error)
            return
        for waiting, made in zip(batch, entries, strict=True):
            waiting.entry = made


def spelt(document: Mapping[str, Any]) -> bytes:
    """A record as `records.canonical` spells it (RFC 8785), in a tenth of the time.

    That is so while its names are ASCII and its numbers whole and below 2**53, as the schemas have it; a test holds the
    two together. What cannot be spelt raises ValueError, as there.
    """
    return _canonical(document).encode()


def leaf_hash(nonce: bytes, record: bytes) -> bytes:
    """SHA-256(tag ‖ 32-byte nonce ‖ canonical record). Without the nonce the hash says nothing about the record."""
    return hashlib.sha256(TAG + nonce + record).digest()


def read(row: Any) -> Entry:
    """An entry out of the database."""
    return Entry(row.seq, row.kind, json.loads(row.record), row.leaf)


def _key(kind: str, subject: str, content: bytes) -> Key:
    """A segment is removed once, whenever it was; a consent record may be put back from its token after a power cut."""
    return kind, subject, content if kind == ConsentRecord.KIND else b""


def _new(seq: int, waiting: Waiting) -> tuple[Entry, dict[str, Any]]:
    nonce = secrets.token_bytes(NONCE_BYTES)
    made = Entry(seq, waiting.record.KIND, waiting.document, leaf_hash(nonce, waiting.content))
    row = {"seq": seq, "kind": made.kind, "leaf": made.leaf, "nonce": nonce, "record": waiting.content}
    return made, row | {"subject": waiting.record.subject}
