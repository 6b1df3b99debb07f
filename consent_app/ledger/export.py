"""A copy of the logs for an auditor, and its verification, which needs the copy and the public key and nothing else.

A copy of all years lies as the published folder does; that of one year has its log in the folder itself.
"""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, select

from consent_app.errors import LedgerError, ProofError
from consent_app.ledger import keys, links, proofs
from consent_app.ledger.engine import STREAMED
from consent_app.ledger.published import CHECKPOINT, KEY, LINK, Published
from consent_app.ledger.shapes import Facts, Shapes
from consent_app.ledger.shards import Shard, holding, shards
from consent_app.ledger.tables import body, entry, erased
from consent_app.ledger.tlog.checkpoint import Checkpoint, verified
from consent_app.ledger.tlog.note import Verifier
from consent_app.ledger.tlog.proof import Proof
from consent_app.ledger.tlog.tiles import Tile, Tree, bundles_of, tiles_of, unbundle
from consent_app.ledger.verification import TAG, Check

RECORDS: Final = "records.jsonl"
Reading = Callable[[], AbstractContextManager[Connection]]


def write(published: Published, reading: Reading, folder: Path, year: int | None, *, records: bool) -> int:
    """Copy every log, or that of one year, into a new folder; returns how many entries they have.

    Raises LedgerError when the folder is there already or there is no such year, ProofError where what is published is
    not whole.
    """
    if folder.exists():
        raise LedgerError(f"{folder} is there already, and nothing is overwritten; name a new folder")
    notes = {name: published.of(name).checkpoint() for name in ("", *published.years())}
    with reading() as connection:
        wanted = _wanted(shards(connection), year, notes)
        folder.mkdir(mode=0o700, parents=True)
        try:
            return sum(
                _write_log(connection, published, log, notes[log.name] or b"", folder, alone=year is not None,
                           records=records)
                for log in wanted
            )  # fmt: skip
        except BaseException:
            shutil.rmtree(folder)
            raise


def _wanted(found: list[Shard], year: int | None, notes: dict[str, bytes | None]) -> list[Shard]:
    signed = [log for log in found if notes.get(log.name) and year in (None, log.year)]
    if not signed and year is None:
        raise LedgerError("nothing is signed yet, so there is nothing to export; run `consent batch` once")
    if not signed or (year and signed[0].gone):
        have = ", ".join(str(log.year) for log in found if log.year and not log.gone) or "none"
        raise LedgerError(f"there is no log of {year} here; there are those of: {have}")
    return signed


def _write_log(
    connection: Connection, home: Published, log: Shard, note: bytes, folder: Path, *, alone: bool, records: bool
) -> int:
    published = log.of(home)
    checkpoint = verified(note, keys.read_public(home.key()))
    to = folder if alone else folder / log.name
    if not log.gone:
        for tile in (*tiles_of(checkpoint.size), *bundles_of(checkpoint.size)):
            _write(to / tile.path, published.tile(tile))
        if records:
            _write_records(to / RECORDS, connection, home, log, checkpoint.size, alone=alone)
    if link := published.link():
        _write(to / LINK, link)
    own = (published.folder / KEY).read_bytes()
    _write(to / KEY, own + home.key().encode() if alone and log.name else own)
    _write(to / CHECKPOINT, note)
    return 0 if log.gone else checkpoint.size


def _write_records(file: Path, connection: Connection, home: Published, log: Shard, size: int, *, alone: bool) -> None:
    """The records of a log; beside one that is given alone, the later tombstones of what is erased in it, proved."""
    columns = (entry.c.seq, entry.c.kind, body.c.subject, body.c.nonce, body.c.record)
    query = select(*columns).join(body).order_by(entry.c.seq)
    inside = query.where(entry.c.seq >= log.first, entry.c.seq < log.first + size)
    within = (erased.c.seq >= log.first, erased.c.seq < log.end, erased.c.tombstone >= log.end)
    later = query.where(entry.c.seq.in_(select(erased.c.tombstone).where(*within)))
    with file.open("w", encoding="utf-8") as opened:
        with connection.execute(inside, execution_options=STREAMED) as rows:
            opened.writelines(_line(row) for row in rows)
        for row in connection.execute(later).all() if alone else ():
            there = holding(connection, row.seq)
            if proof := proofs.made(there.of(home), row.seq - there.first, row.nonce):
                opened.write(_line(row, proof=proof.text.decode()))


def _line(row: Any, **more: str) -> str:
    said: dict[str, Any] = {"seq": row.seq, "kind": row.kind, "subject": row.subject}
    said |= {"nonce": base64.b64encode(row.nonce).decode("ascii"), "record": row.record.decode("utf-8")}
    return json.dumps(said | more) + "\n"


@dataclass(slots=True)
class _Copied:
    """A log of a copy, as far as it held."""

    published: Published
    known: list[Verifier]
    checkpoint: Checkpoint
    link: links.Link | None = None
    entries: list[bytes] = field(default_factory=list)

    @property
    def first(self) -> int:
        """The number in the ledger of its first entry."""
        return self.link.record.first if self.link else 0


def checks(folder: Path, key: str | None) -> Iterator[Check]:
    """Verify an exported copy under `key` (text of public keys), else under the key that came with it."""
    copy = Published(folder)
    logs: list[_Copied] = []
    for name in ("", *copy.years()):
        yield from _log(copy.of(name), key, logs)
    for before, log in pairwise(logs):
        fault = log.link.fault(before.checkpoint) if log.link else "its first entry does not say on what it goes on"
        yield Check("export years", not fault, fault or f"{log.checkpoint.origin} goes on from the log before it")
    if any((log.published.folder / RECORDS).exists() for log in logs):
        yield _records(logs)


def _log(published: Published, key: str | None, logs: list[_Copied]) -> Iterator[Check]:
    try:
        known = keys.read_public(key or published.key())
        log = _Copied(published, known, verified(published.checkpoint() or b"", known))
    except ProofError as error:
        yield Check("export checkpoint", False, f"the checkpoint does not hold: {error}")
        return
    size, origin = log.checkpoint.size, log.checkpoint.origin
    whence = "the key you gave" if key else "the key that came with the copy: compare it with one you had before"
    yield Check("export checkpoint", True, f"{size} entries of {origin}, signed by {whence}")
    logs.append(log)
    if logs[:-1] or not published.years() or (published.folder / "tile").exists():
        yield _tree(log)
    else:
        yield Check("export tree", True, f"the entries of {origin} were dropped; its last checkpoint is here")


def _tree(log: _Copied) -> Check:
    try:
        log.entries = _entries(log.published, log.checkpoint)
        if content := log.published.link():
            log.link = links.read(content, log.entries[0])
    except (ProofError, LedgerError) as error:
        return Check("export tree", False, str(error))
    said = f"the signed root and every tile are what {len(log.entries)} entries give"
    return Check("export tree", True, f"{said}; it goes on from {log.link.said}" if log.link else said)


def since(folder: Path, old: bytes, key: str | None) -> Check:
    """Whether an exported copy goes on from an older checkpoint, of any year that is in it or was before."""
    copy = Published(folder)
    logs: list[_Copied] = []
    try:
        for name in ("", *copy.years()):
            fault = next((check.sentence for check in _log(copy.of(name), key, logs) if not check.ok), "")
            if fault:
                return Check("export since", False, fault)
        earlier = verified(old, logs[0].known)
        return _since(logs, earlier)
    except ProofError as error:
        return Check("export since", False, str(error))


def _since(logs: list[_Copied], earlier: Checkpoint) -> Check:
    for log in logs:
        if log.checkpoint.origin == earlier.origin and log.entries:
            tree = Tree()
            for each in log.entries[: earlier.size]:
                tree.add(each)
            same = (tree.size, tree.root()) == (earlier.size, earlier.root)
            verdict = "those" if same else "not those"
            return Check("export since", same, f"the first {earlier.size} entries are {verdict} that were signed then")
        if log.link and log.link.record.previous == earlier.origin:
            fault = log.link.fault(earlier)
            return Check("export since", not fault, fault or f"it goes on from {log.link.said}, which you kept")
    raise ProofError(f"the older checkpoint is of {earlier.origin}, which is not in this copy")


def _entries(copy: Published, checkpoint: Checkpoint) -> list[bytes]:
    """Every entry, after root and tiles were found to be theirs. Raises ProofError."""
    entries: list[bytes] = []
    wanted: dict[Tile, bytes] = {}
    tree = Tree(lambda tile, content: wanted.update({tile: content}))
    for place in bundles_of(checkpoint.size):
        found = unbundle(copy.tile(place))
        if len(found) != place.width:
            raise ProofError(f"{place.path} has {len(found)} entries")
        for each in found:
            tree.add(each)
        entries += found
    if tree.root() != checkpoint.root:
        raise ProofError("the entries are not those that were signed")
    for tile, content in (*wanted.items(), *tree.partial()):
        if copy.tile(tile) != content:
            raise ProofError(f"{tile.path} is not what the entries give")
    return entries


def _records(logs: list[_Copied]) -> Check:
    """The records of all logs together: what is erased in one year may have its tombstone in a later one."""
    shapes = Shapes()
    seen: set[int] = set()
    gone: set[int] = set()
    expected: set[int] = set()
    for log in logs:
        expected |= set(range(log.first, log.first + len(log.entries)))
        for number, line in enumerate(_lines(log), start=1):
            try:
                seq, facts = _record(json.loads(line), log, shapes)
            except (LedgerError, ValueError, TypeError, KeyError, IndexError) as error:
                return Check("export records", False, f"{RECORDS}, line {number}: {error}")
            seen.add(seq)
            gone.update(facts.erases)
    if lost := expected - seen - gone:
        said = f"the record of entry {min(lost)} is not here, and no tombstone says why"
        return Check("export records", False, said)
    said = f"{len(seen)} records are those that were logged; {len(gone & expected)} are erased"
    return Check("export records", True, said)


def _lines(log: _Copied) -> list[str]:
    file = log.published.folder / RECORDS
    return file.read_text("utf-8").splitlines() if file.exists() else []


def _record(row: dict[str, Any], log: _Copied, shapes: Shapes) -> tuple[int, Facts]:
    seq, record = row["seq"], row["record"].encode()
    logged = hashlib.sha256(TAG + base64.b64decode(row["nonce"]) + record).digest()
    if "proof" in row:
        Proof.read(row["proof"].encode()).verify(logged, log.known)
    elif seq < log.first or logged != log.entries[seq - log.first]:
        raise LedgerError(f"the record of entry {seq} is not the one that was logged")
    return seq, shapes.read(row["kind"], row["subject"], record)


def _write(file: Path, content: bytes) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
