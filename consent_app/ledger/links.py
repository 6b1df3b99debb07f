"""From a year's log to the one before: its first entry is a record of that one's last checkpoint."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass

from consent_app.errors import LedgerError, ProofError
from consent_app.ledger.records import YearRecord, canonical
from consent_app.ledger.tlog.checkpoint import Checkpoint
from consent_app.ledger.verification import TAG


@dataclass(frozen=True, slots=True)
class Link:
    """What the first entry of a log says of the one before."""

    record: YearRecord

    @property
    def said(self) -> str:
        """What it goes on from."""
        return f"the {self.record.size} entries of {self.record.previous}"

    def fault(self, before: Checkpoint) -> str:
        """How a checkpoint of the log before is not the one named; "" where it is."""
        said = self.record
        if (said.previous, said.size) != (before.origin, before.size):
            return f"it goes on from {self.said}, and not from {before.size} of {before.origin}"
        return "" if said.root == before.root.hex() else f"{self.said} are not those that this log goes on from"


def read(content: bytes, entry: bytes) -> Link:
    """The link in a published `previous.json`, if it is that first entry. Raises ProofError."""
    try:
        said = json.loads(content)
        nonce, record = base64.b64decode(said["nonce"], validate=True), said["record"].encode()
        if hashlib.sha256(TAG + nonce + record).digest() != entry:
            raise ProofError("previous.json is not the first entry of the log")
        found = YearRecord.read(json.loads(record))
        if canonical(found.document()) != record:
            raise ProofError("the first entry of the log is not canonical JSON")
    except (ValueError, TypeError, KeyError, AttributeError, LedgerError) as error:
        raise ProofError(f"previous.json does not say on what the log goes on ({error})") from error
    return Link(found)
