"""The ledger: an append-only record of decisions, removals, erasures and holds, and the archive of every notice.

Nothing else in the house touches its tables. Each entry keeps the hash of its record, SHA-256(tag ‖ nonce ‖ canonical
JSON): the value that the signed tree logs.
"""

from __future__ import annotations

from consent_app.ledger.appending import Entry
from consent_app.ledger.records import (
    BASES,
    ConsentRecord,
    HoldEndRecord,
    HoldRecord,
    RecordedDecision,
    RemovalRecord,
)
from consent_app.ledger.store import Ledger
from consent_app.ledger.verification import Check

__all__ = [
    "BASES",
    "Check",
    "ConsentRecord",
    "Entry",
    "HoldEndRecord",
    "HoldRecord",
    "Ledger",
    "RecordedDecision",
    "RemovalRecord",
]
