"""What can be checked of a ledger by itself: each check is one name, one verdict, one sentence.

Every row is walked once; on the way the tree of each year grows again from the entries, and what was signed and
published is held against it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Final, Self

from sqlalchemy import Connection, select

from consent_app.errors import LedgerError, ProofError
from consent_app.ledger import guards, keys
from consent_app.ledger.published import Published
from consent_app.ledger.records import DropRecord, YearRecord
from consent_app.ledger.shapes import Shapes
from consent_app.ledger.shards import Shard, shards
from consent_app.ledger.tables import body, dropped, entry, erased, head, notice
from consent_app.ledger.tlog.checkpoint import Checkpoint, verified
from consent_app.ledger.tlog.tiles import Tile, Tree

TAG: Final = b"consent-app/ledger-entry/v1\n"
_ROWS: Final = (
    "SELECT entry.seq, entry.kind, entry.leaf, body.subject, body.nonce, body.record "
    "FROM entry LEFT JOIN body ON body.seq = entry.seq WHERE entry.seq >= {first} AND entry.seq < {end} "
    "ORDER BY entry.seq LIMIT {batch}"
)
BATCH: Final = 5_000


@dataclass(frozen=True, slots=True)
class Check:
    """One checked fact: what was checked, whether it holds, and a sentence that says so or names the place."""

    name: str
    ok: bool
    sentence: str


@dataclass(frozen=True, slots=True)
class Signed:
    """What was signed, read before the entries are: the newest checkpoint of each year's log (by the name of its
    folder), an earlier one of any of them, how reading them went.
    """

    newest: Mapping[str, Checkpoint] = field(default_factory=dict)
    since: Checkpoint | None = None
    checks: tuple[Check, ...] = ()

    @classmethod
    def read(cls, published: Published, since: bytes | None) -> Self:
        """Read and verify the checkpoints under the published keys."""
        newest: dict[str, Checkpoint] = {}
        old, fault = None, ""
        checks = []
        try:
            known = keys.read_public(published.key())
            for name in ("", *published.years()):
                note = published.of(name).checkpoint()
                if note is not None:
                    newest[name] = verified(note, known)
                    fault = fault or _misplaced(newest[name], newest, name)
        except (ProofError, LedgerError) as error:
            known = []
            fault = f"the checkpoint does not hold: {error}"
        said = [f"{one.size} entries are signed by {one.origin}" for one in newest.values()]
        checks.append(_check("ledger checkpoint", fault, "; ".join(said) or "nothing was signed yet"))
        if since is not None:
            try:
                old = verified(since, known)
            except ProofError as error:
                checks.append(Check("ledger since", False, f"the older checkpoint is none of this ledger: {error}"))
        return cls({} if fault else newest, old, tuple(checks))


def _misplaced(found: Checkpoint, newest: Mapping[str, Checkpoint], name: str) -> str:
    first = next(iter(newest.values())).origin
    wanted = f"{first}/{name}" if name else first
    return "" if found.origin == wanted else f"the checkpoint of {name or 'the first log'} is of {found.origin}"


@dataclass(slots=True)
class _Log:
    """A year's log as its entries give it again, held against what is published and signed of it."""

    shard: Shard
    published: Published
    signed: Checkpoint | None
    heads: dict[int, Any]
    tree: Tree = field(default_factory=Tree)
    roots: dict[int, bytes] = field(default_factory=dict)
    tiles: str = ""

    @property
    def size(self) -> int:
        """How many entries are signed."""
        return self.signed.size if self.signed else 0

    def grow(self, leaves: list[bytes], sizes: list[int]) -> None:
        """Take in further entries, and note the root at each of these sizes, ascending and within."""
        start = self.tree.size
        for size in sizes:
            place = self.tree.size - start
            self.tree.extend(leaves[place : size - start])
            self._pause()
        self.tree.extend(leaves[self.tree.size - start :])

    def compare(self, tile: Tile, content: bytes) -> None:
        """Hold what is published of a tile against what it should be, as far as it was signed."""
        if self.tiles or self.tree.size > self.size:
            return
        try:
            same = self.published.tile(tile) == content
        except ProofError as error:
            self.tiles = str(error)
            return
        self.tiles = "" if same else f"{tile.path} is not what the entries give"

    def _pause(self) -> None:
        self.roots[self.tree.size] = self.tree.root()
        if self.tree.size == self.size:
            for tile, content in self.tree.partial():
                self.compare(tile, content)


@dataclass(slots=True)
class _Walk:
    """The first fault of each kind, and what was seen on the way."""

    tombstones: set[int] = field(default_factory=set)
    bare: set[int] = field(default_factory=set)
    named: dict[str, int] = field(default_factory=dict)
    shapes: Shapes = field(default_factory=Shapes)
    sequence: str = ""
    leaves: str = ""
    records: str = ""
    count: int = 0
    next: int = 0

    def over(self, cursor: Any, log: _Log, sizes: set[int]) -> None:
        """Walk every row of a log once, and note its root at each of these sizes. By the driver's own cursor, which is
        quicker by a tenth.
        """
        log.tree.full = log.compare
        self.next = first = log.shard.first
        ahead = sorted(sizes, reverse=True)
        while batch := cursor.execute(_ROWS.format(first=first, end=log.shard.end, batch=BATCH)).fetchall():
            first = batch[-1][0] + 1
            self._look(batch)
            leaves = [row[2] if isinstance(row[2], bytes) else b"" for row in batch]
            within: list[int] = []
            while ahead and ahead[-1] <= log.tree.size + len(leaves):
                within.append(ahead.pop())
            log.grow(leaves, [size for size in within if size > log.tree.size])

    def _look(self, batch: list[Any]) -> None:
        """At each row by itself. What differs from row to row is looked at here, in one pass."""
        sha256, read, named, expected = hashlib.sha256, self.shapes.read, self.named, self.next
        for seq, kind, leaf, subject, nonce, record in batch:
            if seq != expected and not self.sequence:
                self.sequence = f"entry {expected} is missing; the next is {seq}"
            expected = seq + 1
            if record is None and nonce is None:
                self.bare.add(seq)
                continue
            try:
                same = sha256(TAG + nonce + record).digest() == leaf
            except TypeError:  # SQLite keeps what it is given: a text in place of bytes too
                same = False
            if not same and not self.leaves:
                self.leaves = f"entry {seq} is not what was appended"
            try:
                facts = read(kind, subject, record)
            except (LedgerError, ValueError, TypeError) as error:
                self.records = self.records or f"entry {seq}: {error}"
                continue
            if facts.notice and facts.notice not in named:
                named[facts.notice] = seq
            if facts.erases:
                self.tombstones.update(facts.erases)
        self.next = expected
        self.count += len(batch)


def checks(connection: Connection, published: Published, signed: Signed) -> Iterator[Check]:
    """Walk every row once. Raises sqlalchemy's SQLAlchemyError, or the driver's, when the file itself is damaged."""
    yield _check("ledger guard", guards.fault(connection), "the database refuses changes")
    walk = _Walk()
    logs = _logs(connection, published, signed)
    for log in logs:
        if not log.shard.gone:
            sizes = log.heads.keys() | {one.size for one in (log.signed, _since_of(log, signed)) if one}
            with closing(connection.connection.cursor()) as cursor:
                walk.over(cursor, log, sizes)
    yield _check("ledger sequence", walk.sequence, f"{walk.count} entries, numbered without a gap")
    yield _check("ledger entries", walk.leaves, f"{walk.count} records match the hash stored when appended")
    yield _check("ledger schema", walk.records, f"{walk.count} records fit the published schema")
    yield _erasure(walk, {row.seq for row in connection.execute(select(erased.c.seq))}, logs)
    yield from _trees(logs, signed)
    yield _years(connection, logs, signed)
    archived = {row.sha256: row.text for row in connection.execute(select(notice))}
    yield from _notices(archived, walk.named)


def _logs(connection: Connection, published: Published, signed: Signed) -> list[_Log]:
    heads = [(row.size, row.root) for row in connection.execute(select(head))]
    found = []
    for shard in shards(connection):
        own = {size - shard.first: root for size, root in heads if shard.first < size <= shard.end}
        found.append(_Log(shard, shard.of(published), signed.newest.get(shard.name), own))
    return found


def _since_of(log: _Log, signed: Signed) -> Checkpoint | None:
    same = log.signed and signed.since and log.signed.origin == signed.since.origin
    return signed.since if same else None


def _erasure(walk: _Walk, named: set[int], logs: list[_Log]) -> Check:
    from_here = next((log.shard.first for log in logs if not log.shard.gone), 0)
    tombstones = {seq for seq in walk.tombstones if seq >= from_here}
    fault = ""
    if lost := walk.bare - tombstones:
        fault = f"the record of entry {min(lost)} is gone, and no tombstone says why"
    elif kept := tombstones - walk.bare:
        fault = f"a tombstone says that entry {min(kept)} is erased, and it is not"
    elif named != tombstones:
        fault = f"entry {min(named ^ tombstones)} is erased in the list or by a tombstone, but not in both"
    return _check("ledger erasure", fault, f"{len(walk.bare)} erased records, each with its tombstone")


def _trees(logs: list[_Log], signed: Signed) -> Iterator[Check]:
    """What was signed, and what was about to be, against the tree of the entries that are there."""
    here = [log for log in logs if not log.shard.gone]
    size, count = sum(log.size for log in here), sum(log.tree.size for log in here)
    waiting = f"; {count - size} more wait for the next" if count > size else ""
    tail = next(filter(None, map(_tail, here)), "")
    yield _check("ledger tail", tail, f"{size} entries are signed{waiting}")
    heads = sum(len(log.heads) for log in here)
    tree = next(filter(None, map(_tree, here)), "")
    yield _check("ledger tree", tree, f"the signed root and {heads} older ones are those of the entries")
    tiles = next((log.tiles for log in here if log.tiles), "")
    yield _check("ledger tiles", tiles, "every published tile is what the entries give")
    if signed.since:
        yield _since(logs, signed.since)


def _tail(log: _Log) -> str:
    count = log.tree.size
    if count and not log.size:
        return "nothing is signed; start the server or run `consent batch` once"
    known = max(log.size, *log.heads) if log.heads else log.size
    return f"{known} entries were signed or about to be, and {count} are here: the tail is cut" if known > count else ""


def _tree(log: _Log) -> str:
    wrong = sorted(at for at, root in log.heads.items() if at in log.roots and log.roots[at] != root)
    if wrong:
        return f"the first {wrong[0]} entries are not those of that time"
    if log.signed and log.roots.get(log.size, log.signed.root) != log.signed.root:
        return f"the first {log.size} entries are not those that were signed"
    return ""


def _since(logs: list[_Log], old: Checkpoint) -> Check:
    log = next((log for log in logs if log.signed and log.signed.origin == old.origin), None)
    fault = ""
    if log is None:
        fault = f"{old.size} entries of {old.origin} were signed then, and there is no such log: this is an older copy"
    elif log.shard.gone:
        said = f"{old.origin} was dropped; its last checkpoint has {log.size} entries"
        same = log.signed is not None and (old.size, old.root) == (log.size, log.signed.root)
        fault = "" if same else f"{said}, and only that one can be compared: see an export from before"
    elif old.size > log.tree.size:
        fault = f"{old.size} entries were signed then, and {log.tree.size} are here: this is an older copy, or cut"
    elif old.size and log.roots[old.size] != old.root:
        fault = f"the first {old.size} entries are not those that were signed then"
    return _check("ledger since", fault, f"the first {old.size} entries are those that were signed then")


def _years(connection: Connection, logs: list[_Log], signed: Signed) -> Check:
    """Each year's log goes on from the one before; nothing is published that is not here; what is gone is said so."""
    named = select(entry.c.seq, body.c.record).join(body).order_by(entry.c.seq)
    begun = {row.seq: row.record for row in connection.execute(named.where(entry.c.kind == YearRecord.KIND))}
    fault = ""
    for before, log in pairwise(logs):
        if not (log.shard.gone or fault):
            fault = _unlinked(before, log, begun.pop(log.shard.first, None))
    if begun and not fault:
        fault = f"entry {min(begun)} says that a year's log begins, and it does not"
    if (strange := signed.newest.keys() - {log.shard.name for log in logs}) and not fault:
        fault = f"the log of {min(strange)} was signed, and is not in this database: it is an older copy, or cut"
    records = connection.execute(named.where(entry.c.kind == DropRecord.KIND))
    rows = dict(connection.execute(select(dropped.c.first, dropped.c.past)).all())
    fault = fault or _undropped(logs, rows, [json.loads(row.record) for row in records])
    count = f"{len(logs)} years' logs, each goes on from the last checkpoint of the one before"
    return _check("ledger years", fault, count if len(logs) > 1 else "one log so far")


def _unlinked(before: _Log, log: _Log, record: bytes | None) -> str:
    said = json.loads(record) if record else {}
    if (said.get("year"), said.get("first")) != (log.shard.year, log.shard.first):
        return f"entry {log.shard.first} does not say that the log of {log.shard.year} begins"
    past = log.shard.first - before.shard.first
    if said["size"] != past or (before.signed and (before.size, before.signed.root.hex()) != (past, said["root"])):
        return f"the log of {log.shard.year} does not go on from the last checkpoint of the one before"
    if before.signed and said["previous"] != before.signed.origin:
        return f"the log of {log.shard.year} goes on from {said['previous']}, which is another one"
    if not before.signed:
        return f"the last checkpoint of {before.shard.said} is gone"
    return ""


def _undropped(logs: list[_Log], rows: Mapping[int, int], records: list[Mapping[str, Any]]) -> str:
    ends = {log.shard.first: log for log in logs}
    said = {record["first"]: record["first"] + record["size"] for record in records if record["first"] in ends}
    still = {first: past for first, past in rows.items() if first in ends}
    if odd := sorted(first for first in still.keys() | said.keys() if still.get(first) != said.get(first)):
        return f"the log that begins with entry {odd[0]} is dropped in the list or by a record, but not in both"
    for record in records:
        log = ends[record["first"]]
        if not log.signed or (log.signed.origin, log.signed.root.hex()) != (record["log"], record["root"]):
            return f"the last checkpoint of {log.shard.said}, which was dropped, is not the one that its record names"
    return ""


def _notices(archived: dict[str, str], named: dict[str, int]) -> Iterator[Check]:
    changed = [sha for sha, content in archived.items() if hashlib.sha256(content.encode()).hexdigest() != sha]
    fault = f"notice {changed[0][:12]} is not the text it was" if changed else ""
    yield _check("notice texts", fault, f"{len(archived)} archived notices have the hash they are kept under")
    lost = sorted(named.keys() - archived.keys(), key=lambda sha: named[sha])
    fault = f"entry {named[lost[0]]} names notice {lost[0][:12]}, which is not archived" if lost else ""
    yield _check("notice archive", fault, f"the text of each of the {len(named)} notices named can be read")


def _check(name: str, fault: str, sentence: str) -> Check:
    return Check(name, not fault, fault or sentence)
