"""Append, history, erase, notices: the ledger, shared by any number of processes, on SQLite or PostgreSQL."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Self

from sqlalchemy import ColumnElement, Connection, Select, delete, insert, select, text
from sqlalchemy.exc import SQLAlchemyError

from consent_app.errors import LedgerError, NotFoundError, UnavailableError
from consent_app.ledger import export as exports
from consent_app.ledger import proofs, verification
from consent_app.ledger.appending import Appender, Entry, Waiting, read
from consent_app.ledger.engine import STREAMED, Database, said
from consent_app.ledger.migrations import NEWEST, migrate, version
from consent_app.ledger.postgresql import PostgreSQL
from consent_app.ledger.published import Published
from consent_app.ledger.records import MOST_ERASED, ConsentRecord, ErasureRecord, Record, RemovalRecord
from consent_app.ledger.sequencer import Background, Sequencer, utc_now
from consent_app.ledger.shards import Shard, holding, shards
from consent_app.ledger.sqlite import SQLite
from consent_app.ledger.tables import body, entry, erased, notice
from consent_app.ledger.tlog.proof import Proof

TAG: Final = verification.TAG
BUSY_SECONDS: Final = 30
_KEEP_NOTICE: Final = text(
    "INSERT INTO notice (sha256, effective, text) VALUES (:sha256, :effective, :text) ON CONFLICT DO NOTHING"
)


class Ledger:
    """One ledger: the SQLite file of a data home, or the PostgreSQL database of a URL.

    It is made when it is not there; without `make` that raises LedgerError, as does what is no ledger. The signed log
    is published in the folder `ledger` beside the file, by the key in `secrets/ledger.keys`. An appended consent record
    is safe from the death of any process when `append` returns, and from a power cut once it is sequenced, within a
    second; other records, and all in PostgreSQL, are synced at once. Raises UnavailableError while the disk refuses.
    """

    def __init__(
        self, file: Path, url: str = "", *, make: bool = True, clock: Callable[[], datetime] = utc_now
    ) -> None:
        if not url and not make and not file.exists():
            raise LedgerError(f"there is no ledger at {file}; `consent init` makes one")
        self._database: Database = PostgreSQL(url, BUSY_SECONDS) if url else SQLite(file, BUSY_SECONDS)
        self._appender = Appender(self._database)
        self._published = Published(file.with_name("ledger"))
        key_file = file.parent / "secrets" / "ledger.keys"
        self._sequencer = Sequencer(self._database, self._appender, self._published, key_file, clock)
        self._background = Background(self._sequencer.sequence)
        try:
            self._prepare(make)
        except LedgerError:
            self.close()
            raise

    @property
    def published(self) -> Published:
        """The log of the newest year that is signed; from it, those of the others."""
        return self._published.newest()

    def append(self, record: Record) -> Entry:
        """Add a record. One with a subject that is there already, word for word, is not added again."""
        entry = self._appender.append(record)
        self._background.wake()
        return entry

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
        with self.writing() as connection:
            self._database.take_numbers(connection)
            query = select(body.c.seq).join(entry).where(which, entry.c.kind == ConsentRecord.KIND)
            seqs = [row.seq for row in connection.execute(query.order_by(body.c.seq).limit(MOST_ERASED))]
            if not seqs:
                return None
            record = ErasureRecord(tuple(seqs), f"{utc_now():%Y-%m-%dT%H:%M:%SZ}")
            tombstone = self._appender.add(connection, [Waiting(record)])[0]
            connection.execute(insert(erased), [{"seq": seq, "tombstone": tombstone.seq} for seq in seqs])
            connection.execute(delete(body).where(body.c.seq.in_(seqs)))
        self.forget()
        self._background.wake()
        return tombstone

    def history(self, subject: str) -> list[Entry]:
        """Every entry about one record id (or removed segment), oldest first."""
        with self.reading() as connection:
            return [read(row) for row in connection.execute(_rows().where(body.c.subject == subject))]

    def entries(self) -> Iterator[Entry]:
        """Every entry that was not erased, oldest first."""
        with self.reading() as connection, connection.execute(_rows(), execution_options=STREAMED) as rows:
            yield from map(read, rows)

    def removed(self) -> set[str]:
        """The names of all segments with a removal entry."""
        with self.reading() as connection:
            query = select(body.c.subject).join(entry).where(entry.c.kind == "removal")
            return {row.subject for row in connection.execute(query)}

    def removals(self) -> Iterator[RemovalRecord]:
        """Every removal of a segment, oldest first."""
        query = select(body.c.record).join(entry).where(entry.c.kind == RemovalRecord.KIND).order_by(entry.c.seq)
        with self.reading() as connection, connection.execute(query, execution_options=STREAMED) as rows:
            for row in rows:
                yield RemovalRecord.read(json.loads(row.record))

    def proof(self, subject: str, seq: int | None = None) -> Proof | None:
        """The proof that the newest record of an id (or its record number `seq`) is in the signed log; its extra data
        is the nonce. None while it is not signed yet. Raises NotFoundError when there is no such record.
        """
        with self.reading() as connection:
            query = select(body.c.seq, body.c.nonce).join(entry)
            query = query.where(body.c.subject == subject, entry.c.kind == ConsentRecord.KIND)
            rows = connection.execute(query.order_by(body.c.seq)).all()
        found = [row for row in rows if seq in (None, row.seq)]
        if not found:
            raise NotFoundError("there is no receipt of this id; a refusal has none")
        return self.proof_of(found[-1].seq, found[-1].nonce)

    def proof_of(self, seq: int, nonce: bytes) -> Proof | None:
        """The proof that an entry is in its year's log; None while it is not signed. Raises ProofError."""
        with self.reading() as connection:
            log = holding(connection, seq)
        return proofs.made(log.of(self._published), seq - log.first, nonce)

    def logs(self) -> list[Shard]:
        """Every year's log, oldest first."""
        with self.reading() as connection:
            return shards(connection)

    def archive_notice(self, content: str, effective: str) -> str:
        """Keep a notice's text for ever; returns its SHA-256. Archiving it again changes nothing."""
        sha256 = hashlib.sha256(content.encode()).hexdigest()
        if self.notice(sha256) is None:
            with self.writing() as connection:
                connection.execute(_KEEP_NOTICE, {"sha256": sha256, "effective": effective, "text": content})
        return sha256

    def notice(self, sha256: str) -> str | None:
        """The exact text of an archived notice."""
        with self.reading() as connection:
            return connection.execute(select(notice.c.text).where(notice.c.sha256 == sha256)).scalar()

    def notices(self) -> list[tuple[str, str]]:
        """(effective day, SHA-256) of every archived notice, oldest first."""
        with self.reading() as connection:
            query = select(notice.c.effective, notice.c.sha256).order_by(notice.c.effective, notice.c.sha256)
            return [(row.effective, row.sha256) for row in connection.execute(query)]

    def verify(self, since: bytes | None = None) -> Iterator[verification.Check]:
        """Every check of the ledger by itself, one after the other; `since` is a checkpoint kept from earlier."""
        signed = verification.Signed.read(self._published, since)
        yield from signed.checks
        try:
            with self._database.reading.begin() as connection:
                yield from verification.checks(connection, self._published, signed)
        except (SQLAlchemyError, self._database.reading.dialect.loaded_dbapi.Error) as error:
            yield verification.Check("ledger file", False, f"{self._database.name} cannot be read ({said(error)})")

    def verify_proof(self, name: str, content: bytes) -> verification.Check:
        """Whether a proof that somebody kept is of this ledger, and today's log goes on from it."""
        try:
            kept = Proof.read(content)
            published = proofs.log_of(self._published, kept.checkpoint)
            with self.reading() as connection:
                first = next((log.first for log in shards(connection) if log.name == published.year), 0)
                leaf = connection.execute(select(entry.c.leaf).where(entry.c.seq == first + kept.index)).scalar()
            old = proofs.require_ours(published, kept, leaf)
        except LedgerError as error:
            return verification.Check("ledger proof", False, f"{name} is no proof of this ledger: {error}")
        said = f"{name} proves entry {kept.index}, and the log goes on from the {old.size} entries of that time"
        return verification.Check("ledger proof", True, said)

    def export(self, folder: Path, year: int | None = None, *, records: bool) -> int:
        """Copy the signed logs (or that of one year) into a new folder, with their records if asked; returns how many
        entries they have. Raises LedgerError.
        """
        return exports.write(self._published, self.reading, folder, year, records=records)

    def reading(self) -> AbstractContextManager[Connection]:
        """A transaction that reads, for the tables beside the log too. Raises UnavailableError."""
        return self._database.read()

    def writing(self) -> AbstractContextManager[Connection]:
        """A transaction that writes, for the tables beside the log: on disk once it ended. Raises UnavailableError."""
        return self._database.write_surely()

    @contextmanager
    def numbering(self) -> Iterator[Connection]:
        """A transaction of `writing` in which nobody else can add an entry. Raises UnavailableError."""
        with self.writing() as connection:
            self._database.take_numbers(connection)
            yield connection

    def add(self, connection: Connection, record: Record) -> Entry:
        """Add a record within a transaction of `writing`, in which nobody else can add one then."""
        self._database.take_numbers(connection)
        return self._appender.add(connection, [Waiting(record)])[0]

    def forget(self) -> None:
        """What was deleted is to be found nowhere in the database any more. Raises UnavailableError."""
        try:
            self._database.forget()
        except SQLAlchemyError as error:
            raise UnavailableError(f"the record is erased, but may lie in free space yet ({said(error)})") from error

    def takes_entries(self) -> bool:
        """Whether a decision could be recorded now. Raises UnavailableError."""
        return self._database.is_writable()

    def wake(self) -> None:
        """Have what others left unsigned signed soon, by a thread of this process."""
        self._background.wake()

    def close(self) -> None:
        """Sign what this process appended, as far as that can be done, and close its connections."""
        self._background.stop()
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _prepare(self, make: bool) -> None:
        """Have today's schema; whoever comes first makes it, and the others wait for him."""
        database = self._database
        try:
            with database.reading.begin() as connection:
                found = version(connection)
            if found == NEWEST:
                return
            if not found and not make:
                raise LedgerError(f"there is no ledger at {database.name}; `consent init` makes one")
            with database.syncing.begin() as connection:
                database.take_schema(connection)
                migrate(connection)
        except SQLAlchemyError as error:
            raise LedgerError(f"{database.name} {database.fault(error)}") from error


def _rows() -> Select[Any]:
    return select(entry.c.seq, entry.c.kind, entry.c.leaf, body.c.record).join(body).order_by(entry.c.seq)
