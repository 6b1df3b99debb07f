"""Tombstones one by one: the entry an erasure left, and the proof that it is in the signed log."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select

from consent_app.errors import NotFoundError
from consent_app.ledger.records import ErasureRecord
from consent_app.ledger.store import Ledger
from consent_app.ledger.tables import body, entry
from consent_app.ledger.tlog.proof import Proof


@dataclass(frozen=True, slots=True)
class Tombstone:
    """Entry `seq` of the log: what it says (which entries were erased, and when), and the nonce it was hashed with."""

    seq: int
    record: dict[str, Any]
    nonce: bytes
    leaf: bytes


def find(ledger: Ledger, seq: int) -> Tombstone:
    """The tombstone with that number. Raises NotFoundError where the entry is none."""
    query = select(body.c.nonce, body.c.record, entry.c.leaf).join(entry)
    with ledger.reading() as connection:
        row = connection.execute(query.where(entry.c.seq == seq, entry.c.kind == ErasureRecord.KIND)).first()
    if row is None:
        raise NotFoundError("there is no erasure of this number")
    return Tombstone(seq, json.loads(bytes(row.record)), bytes(row.nonce), bytes(row.leaf))


def newest(ledger: Ledger) -> str:
    """The UTC second of the newest erasure; "" while there was none."""
    query = select(body.c.record).join(entry).where(entry.c.kind == ErasureRecord.KIND).order_by(entry.c.seq.desc())
    with ledger.reading() as connection:
        record = connection.execute(query.limit(1)).scalar()
    return str(json.loads(bytes(record))["time"]) if record else ""


def proof(ledger: Ledger, tombstone: Tombstone) -> Proof | None:
    """That it is in the signed log, its nonce as extra data; None while it is not signed. Raises ProofError."""
    return ledger.proof_of(tombstone.seq, tombstone.nonce)
