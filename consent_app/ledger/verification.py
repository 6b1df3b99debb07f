"""What can be checked of a ledger by itself: each check is one name, one verdict, one sentence.

Every row is walked once; on the way the tree grows again from the entries, and what was signed and published is held
against it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final, Self

from sqlalchemy import Connection, select

from consent_app.errors import LedgerError, ProofError
from consent_app.ledger import guards, keys
from consent_app.ledger.engine import STREAMED
from consent_app.ledger.published import Published
from consent_app.ledger.shapes import Shapes
from consent_app.ledger.tables import erased, head, notice
from consent_app.ledger.tlog.checkpoint import Checkpoint, verified
from consent_app.ledger.tlog.note import Verifier
from consent_app.ledger.tlog.tiles import Tile, Tree

TAG: Final = b"consent-app/ledger-entry/v1\n"
_ROWS: Final = (
    "SELECT entry.seq, entry.kind, entry.leaf, body.subject, body.nonce, body.record "
    "FROM entry LEFT JOIN body ON body.seq = entry.seq ORDER BY entry.seq"
)


@dataclass(frozen=True, slots=True)
class Check:
    """One checked fact: what was checked, whether it holds, and a sentence that says so or names the place."""

    name: str
    ok: bool
    sentence: str


@dataclass(frozen=True, slots=True)
class Signed:
    """What was signed, read before the entries are: the newest checkpoint, an earlier one, how reading them went."""

    newest: Checkpoint | None = None
    since: Checkpoint | None = None
    checks: tuple[Check, ...] = ()

    @classmethod
    def read(cls, published: Published, since: bytes | None) -> Self:
        """Read and verify the checkpoints under the published key."""
        newest = old = None
        checks = []
        try:
            known = keys.read_public(published.key())
            newest = _opened(published.checkpoint(), known)
            what = f"{newest.size} entries are signed by {newest.origin}" if newest else "nothing was signed yet"
            checks.append(Check("ledger checkpoint", True, what))
        except (ProofError, LedgerError) as error:
            known = []
            checks.append(Check("ledger checkpoint", False, f"the checkpoint does not hold: {error}"))
        if since is not None:
            try:
                old = verified(since, known)
            except ProofError as error:
                checks.append(Check("ledger since", False, f"the older checkpoint is none of this ledger: {error}"))
        return cls(newest, old, tuple(checks))


def _opened(note: bytes | None, known: list[Verifier]) -> Checkpoint | None:
    return verified(note, known) if note is not None else None


@dataclass(slots=True)
class _Walk:
    """The first fault of each kind, and what was seen on the way."""

    published: Published
    signed: int
    tree: Tree = field(default_factory=Tree)
    roots: dict[int, bytes] = field(default_factory=dict)
    partial: list[tuple[Tile, bytes]] = field(default_factory=list)
    tombstones: set[int] = field(default_factory=set)
    bare: set[int] = field(default_factory=set)
    named: dict[str, int] = field(default_factory=dict)
    sequence: str = ""
    leaves: str = ""
    records: str = ""
    tiles: str = ""
    count: int = 0
    last: int = -1

    def compare(self, tile: Tile, content: bytes) -> None:
        """Hold what is published of a tile against what it should be, as far as it was signed."""
        if self.tiles or self.tree.size > self.signed:
            return
        try:
            same = self.published.tile(tile) == content
        except ProofError as error:
            self.tiles = str(error)
            return
        self.tiles = "" if same else f"{tile.path} is not what the entries give"

    def over(self, rows: Iterable[Any], sizes: set[int]) -> None:
        """Walk every row once, and note the root at each of these sizes."""
        self.tree.full = self.compare
        shapes, sha256 = Shapes(), hashlib.sha256
        for seq, kind, leaf, subject, nonce, record in rows:
            if seq != self.last + 1 and not self.sequence:
                self.sequence = f"entry {self.last + 1} is missing; the next is {seq}"
            self.last, self.count = seq, self.count + 1
            self.tree.add(leaf if isinstance(leaf, bytes) else b"")
            if self.tree.size in sizes:
                self._pause()
            if record is None and nonce is None:
                self.bare.add(seq)
                continue
            # SQLite keeps what it is given: a text in place of bytes too.
            whole = isinstance(nonce, bytes) and isinstance(record, bytes)
            if not self.leaves and not (whole and sha256(TAG + nonce + record).digest() == leaf):
                self.leaves = f"entry {seq} is not what was appended"
            self._read(shapes, seq, kind, subject, record)

    def _pause(self) -> None:
        self.roots[self.tree.size] = self.tree.root()
        if self.tree.size == self.signed:
            for tile, content in self.tree.partial():
                self.compare(tile, content)

    def _read(self, shapes: Shapes, seq: int, kind: str, subject: str | None, record: bytes) -> None:
        try:
            facts = shapes.read(kind, subject, record)
        except (LedgerError, ValueError, TypeError) as error:
            self.records = self.records or f"entry {seq}: {error}"
            return
        if facts.notice and facts.notice not in self.named:
            self.named[facts.notice] = seq
        self.tombstones.update(facts.erases)


def checks(connection: Connection, published: Published, signed: Signed) -> Iterator[Check]:
    """Walk every row once. Raises sqlalchemy's SQLAlchemyError when the file itself is damaged."""
    yield _check("ledger guard", guards.fault(connection), "the database refuses changes")
    heads = {row.size: row.root for row in connection.execute(select(head))}
    sizes = {old.size for old in (signed.newest, signed.since) if old}
    walk = _Walk(published, signed.newest.size if signed.newest else 0)
    with connection.exec_driver_sql(_ROWS, execution_options=STREAMED) as rows:
        walk.over(rows, sizes | heads.keys())
    yield _check("ledger sequence", walk.sequence, f"{walk.count} entries, numbered without a gap")
    yield _check("ledger entries", walk.leaves, f"{walk.count} records match the hash stored when appended")
    yield _check("ledger schema", walk.records, f"{walk.count} records fit the published schema")
    yield _erasure(walk, {row.seq for row in connection.execute(select(erased.c.seq))})
    yield from _tree(walk, heads, signed)
    archived = {row.sha256: row.text for row in connection.execute(select(notice))}
    yield from _notices(archived, walk.named)


def _erasure(walk: _Walk, named: set[int]) -> Check:
    fault = ""
    if lost := walk.bare - walk.tombstones:
        fault = f"the record of entry {min(lost)} is gone, and no tombstone says why"
    elif kept := walk.tombstones - walk.bare:
        fault = f"a tombstone says that entry {min(kept)} is erased, and it is not"
    elif named != walk.tombstones:
        fault = f"entry {min(named ^ walk.tombstones)} is erased in the list or by a tombstone, but not in both"
    return _check("ledger erasure", fault, f"{len(walk.bare)} erased records, each with its tombstone")


def _tree(walk: _Walk, heads: dict[int, Any], signed: Signed) -> Iterator[Check]:
    """What was signed, and what was about to be, against the tree of the entries that are there."""
    size = signed.newest.size if signed.newest else 0
    unsigned = "nothing is signed; start the server or run `consent batch` once" if walk.count and not size else ""
    known = max(size, *heads) if heads else size
    cut = f"{known} entries were signed or about to be, and {walk.count} are here: the tail is cut"
    waiting = f"; {walk.count - size} more wait for the next" if walk.count > size else ""
    yield _check("ledger tail", unsigned or (cut if known > walk.count else ""), f"{size} entries are signed{waiting}")
    wrong = sorted(at for at, root in heads.items() if at in walk.roots and walk.roots[at] != root)
    fault = f"the first {wrong[0]} entries are not those of that time" if wrong else ""
    if signed.newest and not fault and walk.roots.get(size, signed.newest.root) != signed.newest.root:
        fault = f"the first {size} entries are not those that were signed"
    yield _check("ledger tree", fault, f"the signed root and {len(heads)} older ones are those of the entries")
    yield _check("ledger tiles", walk.tiles, "every published tile is what the entries give")
    if signed.since:
        yield _since(walk, signed.since)


def _since(walk: _Walk, old: Checkpoint) -> Check:
    fault = ""
    if old.size > walk.count:
        fault = f"{old.size} entries were signed then, and {walk.count} are here: this is an older copy, or cut"
    elif old.size and walk.roots[old.size] != old.root:
        fault = f"the first {old.size} entries are not those that were signed then"
    return _check("ledger since", fault, f"the first {old.size} entries are those that were signed then")


def _notices(archived: dict[str, str], named: dict[str, int]) -> Iterator[Check]:
    changed = [sha for sha, content in archived.items() if hashlib.sha256(content.encode()).hexdigest() != sha]
    fault = f"notice {changed[0][:12]} is not the text it was" if changed else ""
    yield _check("notice texts", fault, f"{len(archived)} archived notices have the hash they are kept under")
    lost = sorted(named.keys() - archived.keys(), key=lambda sha: named[sha])
    fault = f"entry {named[lost[0]]} names notice {lost[0][:12]}, which is not archived" if lost else ""
    yield _check("notice archive", fault, f"the text of each of the {len(named)} notices named can be read")


def _check(name: str, fault: str, sentence: str) -> Check:
    return Check(name, not fault, fault or sentence)
