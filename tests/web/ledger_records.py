"""Records for the tests of the ledger, and the ways in which a stored one is tampered with."""

from __future__ import annotations

import hashlib
from dataclasses import replace

from consent_app.ledger import ConsentRecord, Ledger, RecordedDecision, RemovalRecord

TEXT = "What we store, and why.\n"
SHA = hashlib.sha256(TEXT.encode()).hexdigest()
BASIS = "PECR Schedule A1 paragraph 2"
GIVEN = ConsentRecord(
    site="kent",
    controller="Kent Office Solutions",
    notice=SHA,
    notice_effective="2026-11-01",
    bundle="0" * 64,
    language="en",
    method="preferences",
    event="given",
    decisions={"statistics": RecordedDecision(True, BASIS)},
    time="2026-11-23T09:30:12Z",
    valid_until="2027-05-22",
    id="5f" * 16,
)
REFUSED = replace(
    GIVEN, id="", time="2026-11-23", event="refused", decisions={"statistics": RecordedDecision(False, BASIS)}
)
REMOVED = RemovalRecord("2026-11-23T08Z-k3v9", "2026-11-23T08Z", "2026-11-23T09:05:00Z")


def given(number: int) -> ConsentRecord:
    """A given decision with an id of its own."""
    return replace(GIVEN, id=f"{number:032x}")


def verdicts(ledger: Ledger, since: bytes | None = None) -> dict[str, bool]:
    """Every check of a ledger and whether it holds."""
    return {check.name: check.ok for check in ledger.verify(since)}


def failed(ledger: Ledger, since: bytes | None = None) -> dict[str, str]:
    """The checks that do not hold, with what they say."""
    return {check.name: check.sentence for check in ledger.verify(since) if not check.ok}
