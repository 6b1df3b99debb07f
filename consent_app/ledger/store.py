"""Append, history, notices: the ledger on SQLite, shared by any number of processes."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from sqlalchemy import URL, Connection, Engine, Row, create_engine, event, func, insert, inspect, select, text
from sqlalchemy.exc import DatabaseError, OperationalError

from consent_app.errors import LedgerError, UnavailableError
from consent_app.ledger import verification
from consent_app.ledger.records import Record, canonical
from consent_app.ledger.tables import TRIGGERS, body, entry, metadata, notice

TAG: Final = b"consent-app/ledger-entry/v1\n"
NONCE_BYTES: Final = 32
BUSY_SECONDS: Final = 30


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry: its number (from 0, dense), kind (`consent` or `removal`), record as JSON, and leaf hash."""

    seq: int
    kind: str
    record: dict[str, Any]
    leaf: bytes


def leaf_hash(nonce: bytes, record: bytes) -> bytes:
    """SHA-256(tag ‖ 32-byte nonce ‖ canonical record). Without the nonce the hash says nothing about the record."""
    return hashlib.sha256(TAG + nonce + record).digest()


class Ledger:
    """One ledger file; made when it is not there. Raises LedgerError when it is not a ledger.

    `append` has the entry on disk when it returns. Raises UnavailableError while the disk refuses reads or writes.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._reading = _engine(file)
        self._writing = self._reading.execution_options(begin="IMMEDIATE")
        try:
            self._create()
        except DatabaseError as error:
            self.close()
            raise LedgerError(
                f"{file} cannot be opened as a ledger ({error.orig}); restore it from a backup"
            ) from error

    def append(self, record: Record) -> Entry:
        """Add a record. One with a subject that is there already, word for word, is not added again."""
        content = canonical(record.document())
        with self._write() as connection:
            known = _known(connection, record, content)
            return _entry(known) if known else _add(connection, record, content)

    def history(self, subject: str) -> list[Entry]:
        """Every entry about one record id (or removed segment), oldest first."""
        with self._read() as connection:
            return [_entry(row) for row in connection.execute(_rows().where(body.c.subject == subject))]

    def entries(self) -> Iterator[Entry]:
        """Every entry, oldest first."""
        with self._read() as connection:
            yield from (_entry(row) for row in connection.execute(_rows()))

    def removed(self) -> set[str]:
        """The names of all segments with a removal entry."""
        with self._read() as connection:
            query = select(body.c.subject).join(entry).where(entry.c.kind == "removal")
            return {row.subject for row in connection.execute(query)}

    def archive_notice(self, content: str, effective: str) -> str:
        """Keep a notice's text for ever; returns its SHA-256. Archiving it again changes nothing."""
        sha256 = hashlib.sha256(content.encode()).hexdigest()
        if self.notice(sha256) is None:
            with self._write() as connection:
                row = {"sha256": sha256, "effective": effective, "text": content}
                connection.execute(insert(notice).prefix_with("OR IGNORE").values(row))
        return sha256

    def notice(self, sha256: str) -> str | None:
        """The exact text of an archived notice."""
        with self._read() as connection:
            return connection.execute(select(notice.c.text).where(notice.c.sha256 == sha256)).scalar()

    def notices(self) -> list[tuple[str, str]]:
        """(effective day, SHA-256) of every archived notice, oldest first."""
        with self._read() as connection:
            query = select(notice.c.effective, notice.c.sha256).order_by(notice.c.effective, notice.c.sha256)
            return [(row.effective, row.sha256) for row in connection.execute(query)]

    def verify(self) -> Iterator[verification.Check]:
        """Every check of the ledger by itself, one after the other."""
        try:
            with self._reading.begin() as connection:
                yield from verification.checks(connection, leaf_hash)
        except DatabaseError as error:
            yield verification.Check("ledger file", False, f"{self._file} cannot be read ({error.orig})")

    def close(self) -> None:
        """Close its connections."""
        self._reading.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _create(self) -> None:
        with self._reading.begin() as connection:
            if {table.name for table in metadata.sorted_tables} <= set(inspect(connection).get_table_names()):
                return
        with self._writing.begin() as connection:
            metadata.create_all(connection)
            for trigger in TRIGGERS.values():
                connection.execute(text(trigger.replace("TRIGGER", "TRIGGER IF NOT EXISTS", 1)))

    @contextmanager
    def _read(self) -> Iterator[Connection]:
        try:
            with self._reading.begin() as connection:
                yield connection
        except DatabaseError as error:
            raise UnavailableError(
                f"the ledger cannot be read ({error.orig}); `consent ledger verify` says more"
            ) from error

    @contextmanager
    def _write(self) -> Iterator[Connection]:
        try:
            with self._writing.begin() as connection:
                yield connection
        except OperationalError as error:
            raise UnavailableError(f"the ledger cannot be written right now ({error.orig}); try again") from error


def _engine(file: Path) -> Engine:
    if not file.exists():
        file.touch(mode=0o600)
    url = URL.create("sqlite", database=os.fspath(file))
    engine = create_engine(url, hide_parameters=True, connect_args={"timeout": BUSY_SECONDS})
    event.listen(engine, "connect", _prepare)
    event.listen(engine, "begin", _begin)
    return engine


def _prepare(connection: Any, _: Any) -> None:
    """Transactions are begun by `_begin`; a commit returns when the write-ahead log is on disk."""
    connection.isolation_level = None
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}").close()


def _begin(connection: Connection) -> None:
    """A writer takes the lock before it reads the last number, or two would take the same."""
    connection.exec_driver_sql(f"BEGIN {connection.get_execution_options().get('begin', 'DEFERRED')}")


def _rows() -> Any:
    return select(entry.c.seq, entry.c.kind, entry.c.leaf, body.c.record).join(body).order_by(entry.c.seq)


def _known(connection: Connection, record: Record, content: bytes) -> Row[Any] | None:
    """A segment is removed once; a consent record may be re-inserted from its token after a power cut."""
    if record.subject is None:
        return None
    query = _rows().where(body.c.subject == record.subject, entry.c.kind == record.KIND)
    if record.KIND == "consent":
        query = query.where(body.c.record == content)
    return connection.execute(query).first()


def _add(connection: Connection, record: Record, content: bytes) -> Entry:
    seq = connection.execute(select(func.coalesce(func.max(entry.c.seq), -1) + 1)).scalar_one()
    nonce = secrets.token_bytes(NONCE_BYTES)
    leaf = leaf_hash(nonce, content)
    connection.execute(insert(entry).values(seq=seq, kind=record.KIND, leaf=leaf))
    connection.execute(insert(body).values(seq=seq, subject=record.subject, nonce=nonce, record=content))
    return Entry(seq, record.KIND, record.document(), leaf)


def _entry(row: Row[Any]) -> Entry:
    return Entry(row.seq, row.kind, json.loads(row.record), row.leaf)
