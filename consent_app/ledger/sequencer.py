"""The sequencer: what was appended goes into the tree, the tree onto disk, and only then is it signed.

Any process may sequence; a lock lets one do so at a time. The order is what makes a crash harmless: the entries
and the new head are synced in the database, then tiles, then the checkpoint. Whoever comes next derives the signed head
from the entries again and refuses to sign on top of one that is not theirs.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from threading import Event, Lock, Thread
from typing import Final

from sqlalchemy import insert, select

from consent_app.errors import ConsentError, LedgerError, ProofError
from consent_app.ledger import keys
from consent_app.ledger.engine import STREAMED, Database
from consent_app.ledger.published import CHECKPOINT, KEY, Published
from consent_app.ledger.tables import entry, head
from consent_app.ledger.tlog.checkpoint import Checkpoint, verified
from consent_app.ledger.tlog.note import Signer
from consent_app.ledger.tlog.note import signed as noted
from consent_app.ledger.tlog.tiles import Tile, Tree

# One checkpoint covers at most so many new entries: their tiles wait in memory.
BATCH: Final = 65_536
# How long appended entries wait for company, and how long after a failure the next attempt.
PAUSE_SECONDS: Final = 0.2
AGAIN_SECONDS: Final = 5.0

_log = logging.getLogger(__name__)


class Sequencer:
    """Signs what a database holds, in a folder that this process, or others of this machine, publish."""

    def __init__(self, database: Database, published: Published, key_file: Path) -> None:
        self._database = database
        self._published = published
        self._key_file = key_file
        self._tree = Tree()
        self._turn = Lock()

    def sequence(self) -> int:
        """Sign every entry there is; returns their number.

        Raises LedgerError where the entries do not fit what was signed before; nothing is signed then.
        """
        with self._turn, self._published.lock(), self._database.sequencing():
            try:
                while self._step():
                    pass
            except BaseException:
                self._tree = Tree()
                raise
            return self._tree.size

    def _step(self) -> bool:
        """Sign up to BATCH further entries; False when there was nothing to do."""
        signed = self._signed()
        self._return_to(signed)
        with self._database.read() as connection:
            newest = connection.execute(select(head).order_by(head.c.size.desc()).limit(1)).first()
        known = newest is not None and newest.size > self._tree.size
        full: list[tuple[Tile, bytes]] = []
        self._tree.full = lambda tile, content: full.append((tile, content))
        self._grow(newest.size if newest and known else self._tree.size + BATCH)
        if newest and known:
            _require(self._tree.size == newest.size and self._tree.root() == newest.root, newest.size)
        if self._tree.size == (signed.size if signed else 0):
            return False
        signers = self._signers(first=signed is None and newest is None)
        if not known:
            with self._database.write_surely() as connection:
                connection.execute(insert(head).values(size=self._tree.size, root=self._tree.root()))
        self._publish(full, signers)
        return True

    def _publish(self, full: list[tuple[Tile, bytes]], signers: list[Signer]) -> None:
        self._published.write([*full, *self._tree.partial()])
        self._published.replace(KEY, keys.public_text([signer.verifier for signer in signers]).encode())
        text = Checkpoint(signers[0].verifier.name, self._tree.size, self._tree.root()).text
        self._published.replace(CHECKPOINT, noted(text, signers).encode())
        self._published.forget_parts(tile for tile, _ in full)

    def _signed(self) -> Checkpoint | None:
        """What was signed last. Raises LedgerError when it is not by our key."""
        note = self._published.checkpoint()
        if note is None:
            return None
        return verified(note, [signer.verifier for signer in keys.signers(self._key_file)])

    def _signers(self, *, first: bool) -> list[Signer]:
        if first and not self._key_file.exists():
            keys.make(self._key_file)
        return keys.signers(self._key_file)

    def _return_to(self, signed: Checkpoint | None) -> None:
        """Have the tree of what was signed. Raises LedgerError when the entries do not give it."""
        size = signed.size if signed else 0
        if self._tree.size > size:
            self._tree = Tree()
        if self._tree.size < size:
            self._tree.full = None
            self._grow(size)
        if signed:
            _require(self._tree.size == size and self._tree.root() == signed.root, size)

    def _grow(self, size: int) -> None:
        """Take in entries up to that size, as far as they are there. Raises LedgerError at a gap."""
        query = select(entry.c.seq, entry.c.leaf).where(entry.c.seq >= self._tree.size, entry.c.seq < size)
        with (
            self._database.read() as connection,
            connection.execute(query.order_by(entry.c.seq), execution_options=STREAMED) as rows,
        ):
            for seq, leaf in rows:
                if seq != self._tree.size or not isinstance(leaf, bytes):
                    raise LedgerError(f"entry {self._tree.size} is missing; nothing is signed until it is restored")
                self._tree.add(leaf)


def _require(fits: bool, size: int) -> None:
    if not fits:
        raise LedgerError(
            f"the first {size} entries are not those that were signed; nothing is signed until they are restored, and "
            "`consent ledger verify` says more"
        )


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
