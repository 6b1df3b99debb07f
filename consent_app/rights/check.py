"""Checks of a copy of one's data, or of an erasure receipt, by itself: no server, no network, no data home."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from consent_app.errors import ProofError
from consent_app.ledger import Check
from consent_app.ledger.records import canonical
from consent_app.ledger.store import TAG
from consent_app.ledger.tlog.note import Verifier
from consent_app.ledger.tlog.proof import Proof

COPY: Final = "urn:consent-app:data-copy:1"
ERASURE: Final = "urn:consent-app:erasure-receipt:1"


def read(content: bytes) -> Mapping[str, Any]:
    """The document in a file. Raises ProofError where it is neither a copy nor an erasure receipt."""
    try:
        document = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ProofError("is not JSON") from error
    if not isinstance(document, dict) or document.get("schema") not in (COPY, ERASURE):
        raise ProofError("is neither a copy of somebody's data nor the receipt of an erasure")
    return document


def checks(document: Mapping[str, Any], keys: Sequence[Verifier]) -> Iterator[Check]:
    """Every record of it against the signed log under these public keys, and every notice against its hash."""
    if document["schema"] == ERASURE:
        yield _proved("erasure", document, keys)
        return
    for held in document["records"]:
        yield _proved("record", held, keys)
    for notice in document["notices"]:
        same = hashlib.sha256(str(notice["text"]).encode()).hexdigest() == notice["sha256"]
        verdict = "is the text that was shown" if same else "is not the text that was shown"
        yield Check("notice", same, f"the notice {notice['sha256'][:12]} {verdict}")


def _proved(name: str, held: Mapping[str, Any], keys: Sequence[Verifier]) -> Check:
    """Whether a record, with its nonce, is the entry of the log that its proof speaks of."""
    if not held.get("proof"):
        return Check(name, False, f"entry {held['entry']} was not signed yet; ask for the file again")
    try:
        proof = Proof.read(held["proof"].encode())
        entry = hashlib.sha256(TAG + base64.b64decode(held["nonce"]) + canonical(held["record"])).digest()
        checkpoint = proof.verify(entry, keys)
    except (ProofError, ValueError, TypeError) as error:
        return Check(name, False, f"entry {held['entry']} is not proved: {error}")
    if proof.index != held["entry"]:
        return Check(name, False, f"the proof is of entry {proof.index}, not of {held['entry']}")
    said = f"erased {', '.join(map(str, held['record']['entries']))}" if name == "erasure" else "is as it was logged"
    return Check(name, True, f"entry {proof.index} {said}; {checkpoint.origin} signed it among {checkpoint.size}")
