"""The sequencer: what was appended goes into the tree, the tree onto disk, and only then is it signed.

Any process may sequence; a lock lets one do so at a time. The order is what makes a crash harmless: the entries
and the new head are synced in the database, then tiles, then the checkpoint. Whoever comes next derives the signed head
from the entries again and refuses to sign on top of one that is not theirs.

When the year (UTC) is another than that of the newest log, everything is signed first; then, while nobody can add,
the head of all there is, the first entry of the new log, which names that head, and the new log's beginning are
committed at once. So the log before is finished, or nothing has happened.
"""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from threading import Event, Lock, Thread
from typing import Final

from sqlalchemy import func, insert, select

from consent_app.errors import ConsentError, LedgerError, ProofError
from consent_app.ledger import keys
from consent_app.ledger.appending import Appender, Waiting
from consent_app.ledger.engine import STREAMED, Database
from consent_app.ledger.published import CHECKPOINT, KEY, LINK, Published
from consent_app.ledger.records import YearRecord
from consent_app.ledger.shards import Shard, shards
from consent_app.ledger.tables import body, entry, head, shard
from consent_app.ledger.tlog.checkpoint import Checkpoint, verified
from consent_app.ledger.tlog.note import Signer
from consent_app.ledger.tlog.note import signed as noted
from consent_app.ledger.tlog.tiles import Tile, Tree

# One checkpoint covers at most so many new entries: their tiles wait in memory.
BATCH: Final = 65_536
# How long appended entries wait for company, and how long after a failure the next attempt.
PAUSE_SECONDS: Final = 0.2
AGAIN_SECONDS: Final = 5.0
_SECOND: Final = "%Y-%m-%dT%H:%M:%SZ"

_log = logging.getLogger(__name__)


def utc_now() -> datetime:
    """The clock of the machine."""
    return datetime.now(UTC)


class Sequencer:
    """Signs what a database holds, in a folder that this process, or others of this machine, publish."""

    def __init__(
        self,
        database: Database,
        appender: Appender,
        published: Published,
        key_file: Path,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._database = database
        self._appender = appender
        self._published = published
        self._key_file = key_file
        self._clock = clock
        self._turn = Lock()
        self._finished: set[int] = set()
        self._forget()

    def sequence(self) -> int:
        """Sign every entry there is; returns their number.

        Raises LedgerError where the entries do not fit what was signed before; nothing is signed then.
        """
        with self._turn, self._published.lock(), self._database.sequencing():
            try:
                while self._sign() and self._cross():
                    pass
            except BaseException:
                self._forget()
                raise
            return self._shard.first + self._tree.size

    def _forget(self, begun: Shard | None = None) -> None:
        """Begin the tree of a log anew."""
        self._shard = begun or Shard(-1)
        self._tree = Tree()
        self._full: list[tuple[Tile, bytes]] = []

    def _sign(self) -> bool:
        """Sign every log to its end, oldest first."""
        with self._database.read() as connection:
            found = shards(connection)
        for each in found:
            if each.gone:
                each.of(self._published).forget_tiles()
            if each.gone or each.first in self._finished:
                continue
            if each.first != self._shard.first:
                self._forget(each)
            self._shard = each
            while self._step():
                pass
            if each.past is not None:
                self._require(self._size == each.past)
                self._finished.add(each.first)
        return True

    @property
    def _size(self) -> int:
        return self._shard.first + self._tree.size

    def _step(self) -> bool:
        """Sign up to BATCH further entries of a log; False when there was nothing to do."""
        signed = self._signed()
        self._return_to(signed)
        within = (head.c.size > self._shard.first, head.c.size <= self._shard.end)
        with self._database.read() as connection:
            newest = connection.execute(select(head).where(*within).order_by(head.c.size.desc()).limit(1)).first()
        known = newest is not None and newest.size > self._size
        self._grow(newest.size if newest and known else min(self._size + BATCH, self._shard.end))
        if newest and known:
            self._require(self._size == newest.size and self._tree.root() == newest.root, newest.size)
        if self._tree.size == (signed.size if signed else 0):
            return False
        signers = self._signers(first=self._shard.oldest and signed is None and newest is None)
        if not known:
            with self._database.write_surely() as connection:
                connection.execute(insert(head).values(size=self._size, root=self._tree.root()))
        self._publish(signers)
        return True

    def _publish(self, signers: list[Signer]) -> None:
        there = self._shard.of(self._published)
        there.write([*self._full, *self._tree.partial()])
        if self._shard.name:
            self._published.replace(KEY, _public(keys.signers(self._key_file)))
            if there.link() is None:
                there.replace(LINK, self._link())
        there.replace(KEY, _public(signers))
        text = Checkpoint(signers[0].verifier.name, self._tree.size, self._tree.root()).text
        there.replace(CHECKPOINT, noted(text, signers).encode())
        there.forget_parts(tile for tile, _ in self._full)
        self._full = []

    def _link(self) -> bytes:
        """The first entry of a later year's log, which says on what it goes on; it is about nobody."""
        with self._database.read() as connection:
            row = connection.execute(select(body.c.nonce, body.c.record).where(body.c.seq == self._shard.first)).one()
        said = {"nonce": base64.b64encode(row.nonce).decode("ascii"), "record": bytes(row.record).decode("utf-8")}
        return json.dumps(said).encode() + b"\n"

    def _signed(self) -> Checkpoint | None:
        """What was signed last of this log. Raises LedgerError when it is not by our key."""
        note = self._shard.of(self._published).checkpoint()
        if note is None:
            return None
        return verified(note, [signer.verifier for signer in keys.signers(self._key_file, self._shard.name)])

    def _signers(self, *, first: bool) -> list[Signer]:
        if first and not self._key_file.exists():
            keys.make(self._key_file)
        return keys.signers(self._key_file, self._shard.name)

    def _return_to(self, signed: Checkpoint | None) -> None:
        """Have the tree of what was signed. Raises LedgerError when the entries do not give it."""
        size = signed.size if signed else 0
        if self._tree.size > size:
            self._forget(self._shard)
        if self._tree.size < size:
            self._grow(self._shard.first + size)
        self._full = []
        if signed:
            self._require(self._tree.size == size and self._tree.root() == signed.root)

    def _grow(self, size: int) -> None:
        """Take in entries up to that number, as far as they are there. Raises LedgerError at a gap."""
        self._tree.full = lambda tile, content: self._full.append((tile, content))
        query = select(entry.c.seq, entry.c.leaf).where(entry.c.seq >= self._size, entry.c.seq < size)
        with (
            self._database.read() as connection,
            connection.execute(query.order_by(entry.c.seq), execution_options=STREAMED) as rows,
        ):
            for seq, leaf in rows:
                if seq != self._size or not isinstance(leaf, bytes):
                    raise LedgerError(f"entry {self._size} is missing; nothing is signed until it is restored")
                self._tree.add(leaf)

    def _require(self, fits: bool, size: int | None = None) -> None:
        if not fits:
            raise LedgerError(
                f"the first {size or self._size} entries are not those that were signed; nothing is signed until they "
                "are restored, and `consent ledger verify` says more"
            )

    def _cross(self) -> bool:
        """Begin the log of a new year, if it is time; the one before is signed to its end when this returns.

        A clock that is put back changes nothing. Raises LedgerError where that year was signed already.
        """
        now = self._clock().astimezone(UTC)
        if not self._tree.size or 0 < now.year <= self._shard.year:
            return False
        if not self._shard.year:
            with self._database.write_surely() as connection:
                connection.execute(insert(shard).values(first=self._shard.first, year=now.year))
            return False
        if self._shard.name < max(self._published.years(), default=""):
            raise LedgerError(
                "a later year is signed than this database knows of: it is an older copy; restore the newest"
            )
        signers = self._signers(first=False)
        self._begin(now, signers[0].verifier.name)
        self._publish(signers)
        return True

    def _begin(self, now: datetime, origin: str) -> None:
        signed = self._size
        with self._database.write_surely() as connection:
            self._database.take_numbers(connection)
            past = connection.execute(select(func.max(entry.c.seq) + 1)).scalar_one()
            self._grow(past)
            if past > signed:
                connection.execute(insert(head).values(size=past, root=self._tree.root()))
            root = self._tree.root().hex()
            record = YearRecord(now.year, past, origin, self._tree.size, root, now.strftime(_SECOND))
            self._appender.add(connection, [Waiting(record)])
            connection.execute(insert(shard).values(first=past, year=now.year))


def _public(signers: list[Signer]) -> bytes:
    return keys.public_text([signer.verifier for signer in signers]).encode()


class Background:
    """Sequences in a thread of its own, soon after it is woken; the thread begins with the first waking."""

    def __init__(self, sequence: Callable[[], int]) -> None:
        self._sequence = sequence
        self._woken = Event()
        self._stopping = Event()
        self._starting = Lock()
        self._thread: Thread | None = None

    def wake(self) -> None:
        """Something was appended."""
        if self._thread is None:
            with self._starting:
                if self._thread is None:
                    self._thread = Thread(target=self._run, name="sequencer", daemon=True)
                    self._thread.start()
        self._woken.set()

    def stop(self) -> None:
        """End the thread; what was appended before is signed when this returns, if it can be."""
        if self._thread is None:
            return
        self._stopping.set()
        self._woken.set()
        self._thread.join()
        self._thread = None
        self._stopping.clear()
        self._attempt()

    def _run(self) -> None:
        while self._called():
            while not self._attempt() and not self._stopping.wait(AGAIN_SECONDS):
                pass

    def _called(self) -> bool:
        """Wait for something to do; False on stopping, which is asked for last, or a stop just before would be lost."""
        self._woken.wait()
        self._stopping.wait(PAUSE_SECONDS)
        self._woken.clear()
        return not self._stopping.is_set()

    def _attempt(self) -> bool:
        try:
            self._sequence()
        except (ConsentError, OSError) as error:
            _log.error("the ledger could not be signed: %s", error)
            # What waiting does not mend is not tried again before the next entry.
            return isinstance(error, LedgerError | ProofError)
        return True
