"""The ledger: an append-only table of consent records, removals and notices, each with its leaf hash.

`append`, `history`, `verify` are all the rest of the house knows. The leaf hash is
SHA-256(tag ‖ 32-byte nonce ‖ canonical record): record and nonce can be erased later without touching the leaf.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from importlib.resources import files
from typing import Any, Final

import rfc8785
from sqlalchemy import Engine, create_engine, event, insert, select, text
from sqlalchemy.engine import Connection, Row

from consent_app.ledger.schema import TRIGGERS, entries, metadata, notices
from consent_app.receipts import VALIDITY, Decision
from consent_app.sites import Site

TAG: Final = b"consent-ledger/1\n"
SCHEMA_ID: Final = "consent-record/1"
BASES: Final = {
    "necessary": "PECR Schedule A1 paragraph 4",
    "consent": "PECR Schedule A1 paragraph 2",
    "objectable": "PECR Schedule A1 paragraph 5",
}


@dataclass(frozen=True, slots=True)
class Entry:
    """One row: its sequence number (from 0, without gaps), kind (consent or removal), record and leaf hash."""

    seq: int
    kind: str
    record: dict[str, Any]
    leaf: bytes


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was checked, whether it holds, and the sentence that says so."""

    name: str
    ok: bool
    sentence: str


def consent_record(site: Site, decision: Decision, bundle: str) -> dict[str, Any]:
    """The record of a decision as `record.schema.json` publishes it. Nothing in it can hold free text or an address."""
    given = bool(decision.record)
    return {
        "schema": SCHEMA_ID,
        "record": decision.record,
        "site": site.key,
        "controller": site.controller,
        "notice": decision.notice,
        "bundle": bundle,
        "language": decision.lang,
        "method": decision.method,
        "decisions": [
            {
                "purpose": purpose.key,
                "allowed": decision.decisions.get(purpose.key, False),
                "basis": BASES[purpose.mode],
            }
            for purpose in site.optional
        ],
        "event": decision.event,
        "time": decision.at.strftime("%Y-%m-%dT%H:%M:%SZ" if given else "%Y-%m-%d"),
        "valid_until": (decision.day + VALIDITY).isoformat(),
    }


def record_schema() -> dict[str, Any]:
    """The published JSON Schema (2020-12) of a consent record."""
    return dict(json.loads(files("consent_app.ledger").joinpath("record.schema.json").read_text("utf-8")))


def leaf_hash(nonce: bytes, canonical: bytes) -> bytes:
    """SHA-256(tag ‖ nonce ‖ canonical record)."""
    return hashlib.sha256(TAG + nonce + canonical).digest()


class Ledger:
    """One ledger in one database. Many processes may append; sequence numbers stay dense."""

    def __init__(self, url: str) -> None:
        self._engine = _engine(url)
        with self._engine.begin() as connection:
            metadata.create_all(connection)
            for trigger in TRIGGERS:
                connection.execute(text(trigger))

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()

    def append(self, record: dict[str, Any], kind: str = "consent") -> Entry:
        """Append one record; on return it is on disk. A record with an id already there is returned, not repeated."""
        with self._engine.begin() as connection:
            known = self._find(connection, kind, record)
            return known or self._insert(connection, kind, record)

    def history(self, record: str) -> list[Entry]:
        """All entries with that record id, oldest first."""
        statement = select(entries).where(entries.c.record == record).order_by(entries.c.seq)
        with self._engine.connect() as connection:
            return [_entry(row) for row in connection.execute(statement)] if record else []

    def entries(self) -> Iterator[Entry]:
        """Every entry in order."""
        with self._engine.connect() as connection:
            yield from map(_entry, connection.execute(select(entries).order_by(entries.c.seq)))

    def archive_notice(self, text: str, effective: date) -> str:
        """Keep a notice for ever under the SHA-256 of its text, which is returned."""
        digest = hashlib.sha256(text.encode()).hexdigest()
        with self._engine.begin() as connection:
            if connection.execute(select(notices).where(notices.c.sha256 == digest)).first() is None:
                connection.execute(insert(notices).values(sha256=digest, text=text, effective=effective.isoformat()))
        return digest

    def notice(self, sha256: str) -> str | None:
        """The archived text of a notice."""
        with self._engine.connect() as connection:
            row = connection.execute(select(notices.c.text).where(notices.c.sha256 == sha256)).first()
        return None if row is None else str(row.text)

    def notices(self) -> list[tuple[str, str]]:
        """(sha256, effective date) of every archived notice."""
        with self._engine.connect() as connection:
            return [(r.sha256, r.effective) for r in connection.execute(select(notices).order_by(notices.c.effective))]

    def verify(self) -> Iterator[Check]:
        """Check every row: dense sequence, leaf hashes, known notices that still re-hash."""
        with self._engine.connect() as connection:
            rows = connection.execute(select(entries).order_by(entries.c.seq)).all()
            archive = {row.sha256: row.text for row in connection.execute(select(notices))}
        gaps = [row.seq for number, row in enumerate(rows) if row.seq != number]
        yield _check("ledger sequence", not gaps, f"{len(rows)} entries, numbered without a gap", gaps)
        bent = [row.seq for row in rows if leaf_hash(row.nonce, row.canonical) != row.leaf]
        yield _check("ledger leaves", not bent, "each record gives the leaf hash stored with it", bent)
        adrift = [row.seq for row in rows if (row.kind, row.record) != _columns(row)]
        yield _check("ledger columns", not adrift, "each row's columns say what its record says", adrift)
        changed = [sha for sha, body in archive.items() if hashlib.sha256(body.encode()).hexdigest() != sha]
        yield _check("notices", not changed, f"{len(archive)} archived notices re-hash to their names", changed)
        lost = [row.seq for row in rows if row.kind == "consent" and json.loads(row.canonical)["notice"] not in archive]
        yield _check("notices shown", not lost, "the notice of each decision is in the archive", lost)

    def _find(self, connection: Connection, kind: str, record: dict[str, Any]) -> Entry | None:
        """A removal is told by its segment, a given decision by id, event and time; refusals are never the same."""
        if not record.get("record"):
            return None
        rows = connection.execute(select(entries).where(entries.c.record == record["record"], entries.c.kind == kind))
        canonical = rfc8785.dumps(record)
        return next((_entry(row) for row in rows if kind == "removal" or row.canonical == canonical), None)

    def _insert(self, connection: Connection, kind: str, record: dict[str, Any]) -> Entry:
        last = connection.execute(text("SELECT coalesce(max(seq), -1) FROM entries")).scalar_one()
        nonce, canonical = secrets.token_bytes(32), rfc8785.dumps(record)
        leaf = leaf_hash(nonce, canonical)
        connection.execute(
            insert(entries).values(
                seq=last + 1, kind=kind, record=record["record"], nonce=nonce, canonical=canonical, leaf=leaf
            )
        )
        return Entry(last + 1, kind, record, leaf)


def removal_record(segment: str, hour: str, removed_at: str) -> dict[str, Any]:
    """The record that a spool segment was removed. `record` is the segment's random name; no count is in it."""
    return {"schema": "removal/1", "record": segment, "hour": hour, "removed_at": removed_at}


def _engine(url: str) -> Engine:
    engine = create_engine(url, connect_args={"timeout": 30})

    @event.listens_for(engine, "connect")
    def _set_up(connection: Any, _record: Any) -> None:
        # The driver's own transaction control would take the write lock too late for max(seq) + 1.
        connection.isolation_level = None
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "busy_timeout=30000", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}").close()

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql(
            "BEGIN IMMEDIATE" if not connection.get_execution_options().get("reads") else "BEGIN"
        )

    return engine


def _entry(row: Row[Any]) -> Entry:
    return Entry(row.seq, row.kind, json.loads(row.canonical), row.leaf)


def _columns(row: Row[Any]) -> tuple[str, str]:
    record = json.loads(row.canonical)
    return ("consent" if record["schema"] == SCHEMA_ID else "removal"), record["record"]


def _check(name: str, ok: bool, sentence: str, where: list[Any]) -> Check:
    if ok:
        return Check(name, True, sentence)
    return Check(name, False, f"not so: {sentence}; look at {', '.join(str(w) for w in where[:5])}")
