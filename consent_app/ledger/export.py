"""A copy of the log for an auditor, and its verification, which needs the copy and the public key and nothing else."""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

from consent_app.errors import LedgerError, ProofError
from consent_app.ledger import keys
from consent_app.ledger.published import CHECKPOINT, KEY, Published
from consent_app.ledger.shapes import Facts, Shapes
from consent_app.ledger.tlog.checkpoint import Checkpoint, verified
from consent_app.ledger.tlog.note import Verifier
from consent_app.ledger.tlog.tiles import Tile, Tree, bundles_of, tiles_of, unbundle
from consent_app.ledger.verification import TAG, Check

RECORDS: Final = "records.jsonl"
Body = tuple[int, str, str | None, bytes, bytes]


def write(published: Published, folder: Path, bodies: Iterable[Body] | None) -> Checkpoint:
    """Copy checkpoint, key, tiles and bundles into a new folder, and the records if `bodies` are given.

    Raises LedgerError when the folder is there already, ProofError where what is published is not whole.
    """
    if folder.exists():
        raise LedgerError(f"{folder} is there already, and nothing is overwritten; name a new folder")
    note = published.checkpoint()
    if note is None:
        raise LedgerError("nothing is signed yet, so there is nothing to export; run `consent batch` once")
    checkpoint = verified(note, keys.read_public(published.key()))
    folder.mkdir(mode=0o700, parents=True)
    try:
        for tile in (*tiles_of(checkpoint.size), *bundles_of(checkpoint.size)):
            _write(folder / tile.path, published.tile(tile))
        if bodies is not None:
            _write_records(folder / RECORDS, checkpoint.size, bodies)
        _write(folder / KEY, published.key().encode())
        _write(folder / CHECKPOINT, note)
    except BaseException:
        shutil.rmtree(folder)
        raise
    return checkpoint


def checks(folder: Path, key: str | None) -> Iterator[Check]:
    """Verify an exported copy under `key` (text of public keys), else under the key that came with it."""
    copy = Published(folder)
    try:
        known = keys.read_public(key or copy.key())
        checkpoint = verified(copy.checkpoint() or b"", known)
    except ProofError as error:
        yield Check("export checkpoint", False, f"the checkpoint does not hold: {error}")
        return
    whence = "the key you gave" if key else "the key that came with the copy: compare it with one you had before"
    yield Check("export checkpoint", True, f"{checkpoint.size} entries of {checkpoint.origin}, signed by {whence}")
    try:
        entries = _entries(copy, checkpoint)
    except ProofError as error:
        yield Check("export tree", False, str(error))
        return
    yield Check("export tree", True, f"the signed root and every tile are what {len(entries)} entries give")
    if (folder / RECORDS).exists():
        yield _records(folder / RECORDS, entries)


def since(folder: Path, old: bytes, key: str | None) -> Check:
    """Whether an exported copy goes on from an older checkpoint."""
    copy = Published(folder)
    try:
        known: list[Verifier] = keys.read_public(key or copy.key())
        earlier = verified(old, known)
        tree = Tree()
        for entry in _entries(copy, verified(copy.checkpoint() or b"", known))[: earlier.size]:
            tree.add(entry)
    except ProofError as error:
        return Check("export since", False, str(error))
    same = (tree.size, tree.root()) == (earlier.size, earlier.root)
    verdict = "those" if same else "not those"
    return Check("export since", same, f"the first {earlier.size} entries are {verdict} that were signed then")


def _entries(copy: Published, checkpoint: Checkpoint) -> list[bytes]:
    """Every entry, after root and tiles were found to be theirs. Raises ProofError."""
    entries: list[bytes] = []
    wanted: dict[Tile, bytes] = {}
    tree = Tree(lambda tile, content: wanted.update({tile: content}))
    for place in bundles_of(checkpoint.size):
        found = unbundle(copy.tile(place))
        if len(found) != place.width:
            raise ProofError(f"{place.path} has {len(found)} entries")
        for entry in found:
            tree.add(entry)
        entries += found
    if tree.root() != checkpoint.root:
        raise ProofError("the entries are not those that were signed")
    for tile, content in (*wanted.items(), *tree.partial()):
        if copy.tile(tile) != content:
            raise ProofError(f"{tile.path} is not what the entries give")
    return entries


def _records(file: Path, entries: list[bytes]) -> Check:
    shapes = Shapes()
    seen: set[int] = set()
    erased: set[int] = set()
    for number, line in enumerate(file.read_text("utf-8").splitlines(), start=1):
        try:
            seq, facts = _record(json.loads(line), entries, shapes)
        except (LedgerError, ValueError, TypeError, KeyError, IndexError) as error:
            return Check("export records", False, f"{file.name}, line {number}: {error}")
        seen.add(seq)
        erased.update(facts.erases)
    if lost := set(range(len(entries))) - seen - erased:
        said = f"the record of entry {min(lost)} is not here, and no tombstone says why"
        return Check("export records", False, said)
    return Check("export records", True, f"{len(seen)} records are those that were logged; {len(erased)} are erased")


def _record(row: dict[str, Any], entries: list[bytes], shapes: Shapes) -> tuple[int, Facts]:
    seq, record = row["seq"], row["record"].encode()
    if hashlib.sha256(TAG + base64.b64decode(row["nonce"]) + record).digest() != entries[seq]:
        raise LedgerError(f"the record of entry {seq} is not the one that was logged")
    return seq, shapes.read(row["kind"], row["subject"], record)


def _write_records(file: Path, size: int, bodies: Iterable[Body]) -> None:
    with file.open("w", encoding="utf-8") as opened:
        for seq, kind, subject, nonce, record in bodies:
            if seq < size:
                row: dict[str, Any] = {"seq": seq, "kind": kind, "subject": subject}
                row |= {"nonce": base64.b64encode(nonce).decode("ascii"), "record": record.decode("utf-8")}
                opened.write(json.dumps(row) + "\n")


def _write(file: Path, content: bytes) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
