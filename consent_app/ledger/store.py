"""Append, history, erase, notices: the ledger on SQLite, shared by any number of processes."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock
from typing import Any, Final, Self

from sqlalchemy import ColumnElement, Connection, Engine, LargeBinary, Row, bindparam, delete, func, insert, or_, select
from sqlalchemy.exc import DatabaseError

from consent_app.errors import LedgerError, NotFoundError, UnavailableError
from consent_app.ledger import engine as engines
from consent_app.ledger import export as exports
from consent_app.ledger import proofs, verification
from consent_app.ledger.migrations import STEPS, migrate, version
from consent_app.ledger.published import Published
from consent_app.ledger.records import MOST_ERASED, ConsentRecord, ErasureRecord, Record, canonical
from consent_app.ledger.sequencer import Background, Sequencer
from consent_app.ledger.tables import body, entry, erased, notice
from consent_app.ledger.tlog.proof import Proof

TAG: Final = verification.TAG
NONCE_BYTES: Final = 32
BUSY_SECONDS: Final = 30


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry: its number (from 0, dense), kind (`consent`, `removal`, `erasure`), record as JSON, logged hash."""

    seq: int
    kind: str
    record: dict[str, Any]
    leaf: bytes


@dataclass(slots=True)
class _Waiting:
    """A record whose turn to be written comes with those of other threads, and what came of it."""

    record: Record
    content: bytes
    entry: Entry | None = None
    fault: str = ""

    @property
    def sameness(self) -> bytes:
        """Beside its subject, what makes another record the same one: a segment is removed once, whenever it was."""
        return self.content if self.record.KIND == ConsentRecord.KIND else b""


class Ledger:
    """One ledger file; made when it is not there. Raises LedgerError when it is not a ledger.

    The signed log is published in the folder `ledger` beside it, by the key in `secrets/ledger.keys`. An appended
    consent record is safe from the death of any process when `append` returns, and from a power cut once it is
    sequenced, within a second; other records are synced at once. Raises UnavailableError while the disk refuses.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._reading = engines.opened(file, BUSY_SECONDS)
        self._writing = engines.opened(file, BUSY_SECONDS, "IMMEDIATE", engines.SOON)
        self._syncing = engines.opened(file, BUSY_SECONDS, "IMMEDIATE", engines.SURE)
        self._queue: deque[_Waiting] = deque()
        self._turn = Lock()
        self.published = Published(file.with_name("ledger"))
        key_file = file.parent / "secrets" / "ledger.keys"
        self._sequencer = Sequencer(self._read, self._write_surely, self.published, key_file)
        self._background = Background(self._sequencer.sequence)
        try:
            self._create()
        except DatabaseError as error:
            self.close()
            raise LedgerError(
                f"{file} cannot be opened as a ledger ({error.orig}); restore it from a backup"
            ) from error

    def append(self, record: Record) -> Entry:
        """Add a record. One with a subject that is there already, word for word, is not added again.

        Whoever's turn it is writes for all who wait: one transaction for many.
        """
        waiting = _Waiting(record, canonical(record.document()))
        self._queue.append(waiting)
        with self._turn:
            if waiting.entry is None and not waiting.fault:
                self._write_queue()
        if waiting.entry is None:
            raise UnavailableError(waiting.fault)
        self._background.wake()
        return waiting.entry

    def sequence(self) -> int:
        """Sign everything appended so far, by any process; returns the number of entries signed. Raises LedgerError."""
        return self._sequencer.sequence()

    def erase(self, subject: str) -> Entry | None:
        """Take away every consent record of an id, with its nonce; returns the tombstone, None if there was nothing.

        What was signed stays valid: only its hash is left, and nobody can tell any more what of. It is gone from the
        file itself when this returns.
        """
        return self._take_away(body.c.subject == subject)

    def erase_entries(self, seqs: Sequence[int]) -> Entry | None:
        """Take away the consent records of these entries (at most MOST_ERASED), as `erase` does."""
        return self._take_away(body.c.seq.in_(seqs))

    def _take_away(self, which: ColumnElement[bool]) -> Entry | None:
        with self._write_surely() as connection:
            query = select(body.c.seq).join(entry).where(which, entry.c.kind == ConsentRecord.KIND)
            seqs = [row.seq for row in connection.execute(query.order_by(body.c.seq).limit(MOST_ERASED))]
            if not seqs:
                return None
            now = datetime.now(UTC)
            record = ErasureRecord(tuple(seqs), f"{now:%Y-%m-%dT%H:%M:%SZ}")
            tombstone = _add(connection, [_Waiting(record, canonical(record.document()))])[0]
            connection.execute(insert(erased), [{"seq": seq, "tombstone": tombstone.seq} for seq in seqs])
            connection.execute(delete(body).where(body.c.seq.in_(seqs)))
        self._empty_log()
        self._background.wake()
        return tombstone

    def history(self, subject: str) -> list[Entry]:
        """Every entry about one record id (or removed segment), oldest first."""
        with self._read() as connection:
            return [_entry(row) for row in connection.execute(_rows().where(body.c.subject == subject))]

    def entries(self) -> Iterator[Entry]:
        """Every entry that was not erased, oldest first."""
        with self._read() as connection:
            yield from (_entry(row) for row in connection.execute(_rows()))

    def removed(self) -> set[str]:
        """The names of all segments with a removal entry."""
        with self._read() as connection:
            query = select(body.c.subject).join(entry).where(entry.c.kind == "removal")
            return {row.subject for row in connection.execute(query)}

    def proof(self, subject: str, seq: int | None = None) -> Proof | None:
        """The proof that the newest record of an id (or its record number `seq`) is in the signed log; its extra data
        is the nonce. None while it is not signed yet. Raises NotFoundError when there is no such record.
        """
        with self._read() as connection:
            query = select(body.c.seq, body.c.nonce).join(entry)
            query = query.where(body.c.subject == subject, entry.c.kind == ConsentRecord.KIND)
            rows = connection.execute(query.order_by(body.c.seq)).all()
        found = [row for row in rows if seq in (None, row.seq)]
        if not found:
            raise NotFoundError("there is no receipt of this id; a refusal has none")
        return proofs.made(self.published, found[-1].seq, found[-1].nonce)

    def archive_notice(self, content: str, effective: str) -> str:
        """Keep a notice's text for ever; returns its SHA-256. Archiving it again changes nothing."""
        sha256 = hashlib.sha256(content.encode()).hexdigest()
        if self.notice(sha256) is None:
            with self._write_surely() as connection:
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

    def verify(self, since: bytes | None = None) -> Iterator[verification.Check]:
        """Every check of the ledger by itself, one after the other; `since` is a checkpoint kept from earlier."""
        signed = verification.Signed.read(self.published, since)
        yield from signed.checks
        try:
            with self._reading.begin() as connection:
                yield from verification.checks(connection, self.published, signed)
        except DatabaseError as error:
            yield verification.Check("ledger file", False, f"{self._file} cannot be read ({error.orig})")

    def verify_proof(self, name: str, content: bytes) -> verification.Check:
        """Whether a proof that somebody kept is of this ledger, and today's log goes on from it."""
        try:
            kept = Proof.read(content)
            with self._read() as connection:
                leaf = connection.execute(select(entry.c.leaf).where(entry.c.seq == kept.index)).scalar()
            old = proofs.require_ours(self.published, kept, leaf)
        except LedgerError as error:
            return verification.Check("ledger proof", False, f"{name} is no proof of this ledger: {error}")
        said = f"{name} proves entry {kept.index}, and the log goes on from the {old.size} entries of that time"
        return verification.Check("ledger proof", True, said)

    def export(self, folder: Path, *, records: bool) -> int:
        """Copy the signed log into a new folder, with its records if asked; returns its size. Raises LedgerError."""
        with self._read() as connection:
            columns = (entry.c.seq, entry.c.kind, body.c.subject, body.c.nonce, body.c.record)
            rows = connection.execute(select(*columns).join(body).order_by(entry.c.seq)) if records else None
            return exports.write(self.published, folder, (tuple(row) for row in rows) if rows else None).size

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A transaction that reads, for the tables beside the log. Raises UnavailableError."""
        with self._read() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction that writes, for the tables beside the log: on disk once it ended. Raises UnavailableError."""
        with self._write_surely() as connection:
            yield connection

    def wake(self) -> None:
        """Have what others left unsigned signed soon, by a thread of this process."""
        self._background.wake()

    def close(self) -> None:
        """Sign what this process appended, as far as that can be done, and close its connections."""
        self._background.stop()
        for engine in (self._reading, self._writing, self._syncing):
            engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _create(self) -> None:
        with self._reading.begin() as connection:
            if version(connection) == len(STEPS):
                return
        with self._syncing.begin() as connection:
            migrate(connection)

    def _write_queue(self) -> None:
        batch = [self._queue.popleft() for _ in range(len(self._queue))]
        lasting = any(waiting.record.KIND != ConsentRecord.KIND for waiting in batch)
        try:
            with self._write(self._syncing if lasting else self._writing) as connection:
                entries = _add(connection, batch)
        except UnavailableError as error:
            for waiting in batch:
                waiting.fault = str(error)
            return
        for waiting, made in zip(batch, entries, strict=True):
            waiting.entry = made

    def _empty_log(self) -> None:
        """SQLite keeps old pages in its write-ahead log until that is emptied; a reader puts that off to the next."""
        with closing(self._reading.raw_connection()) as connection:
            connection.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)")

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
    def _write(self, engine: Engine) -> Iterator[Connection]:
        try:
            with engine.begin() as connection:
                yield connection
        except DatabaseError as error:
            raise UnavailableError(f"the ledger cannot be written right now ({error.orig}); try again") from error

    def _write_surely(self) -> Any:
        return self._write(self._syncing)


def _rows() -> Any:
    return select(entry.c.seq, entry.c.kind, entry.c.leaf, body.c.record).join(body).order_by(entry.c.seq)


# Made once: what every decision runs is not put together for each.
_NEXT: Final = select(func.coalesce(func.max(entry.c.seq), -1) + 1)
_SAME: Final = _rows().where(
    body.c.subject == bindparam("subject"),
    entry.c.kind == bindparam("kind"),
    or_(func.length(bindparam("content", type_=LargeBinary)) == 0, body.c.record == bindparam("content")),
)
_ADD_ENTRY: Final = insert(entry)
_ADD_BODY: Final = insert(body)


def _known(connection: Connection, waiting: _Waiting) -> Row[Any] | None:
    """A segment is removed once; a consent record may be re-inserted from its token after a power cut."""
    record = waiting.record
    if record.subject is None:
        return None
    asked = {"subject": record.subject, "kind": record.KIND, "content": waiting.sameness}
    return connection.execute(_SAME, asked).first()


def _add(connection: Connection, batch: Sequence[_Waiting]) -> list[Entry]:
    """Write what is not there yet, numbered on from the last; returns the entry of each."""
    seq = connection.execute(_NEXT).scalar_one()
    made: list[Entry] = []
    new: dict[tuple[str, bytes], Entry] = {}
    bodies: list[dict[str, Any]] = []
    for waiting in batch:
        known = _known(connection, waiting)
        twin = new.get((waiting.record.subject, waiting.sameness)) if waiting.record.subject else None
        found = _entry(known) if known else twin
        if found is None:
            nonce = secrets.token_bytes(NONCE_BYTES)
            leaf = leaf_hash(nonce, waiting.content)
            found = Entry(seq + len(bodies), waiting.record.KIND, waiting.record.document(), leaf)
            new[waiting.record.subject or "", waiting.sameness] = found
            bodies.append(
                {"seq": found.seq, "subject": waiting.record.subject, "nonce": nonce, "record": waiting.content}
            )
        made.append(found)
    if bodies:
        fresh = made if len(bodies) == len(made) else list(new.values())
        connection.execute(_ADD_ENTRY, [{"seq": e.seq, "kind": e.kind, "leaf": e.leaf} for e in fresh])
        connection.execute(_ADD_BODY, bodies)
    return made


def leaf_hash(nonce: bytes, record: bytes) -> bytes:
    """SHA-256(tag ‖ 32-byte nonce ‖ canonical record). Without the nonce the hash says nothing about the record."""
    return hashlib.sha256(TAG + nonce + record).digest()


def _entry(row: Row[Any]) -> Entry:
    return Entry(row.seq, row.kind, json.loads(row.record), row.leaf)
