"""Checks of a receipt file by itself: no server, no network, no data home.

`read` takes a file apart and refuses what is no receipt; `checks` then says of each fact whether it holds. The page at
/ledger/verify does the same in a browser (`static/receipt/receipt-check.js`); tests give both the same files.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Self

from consent_app.errors import LedgerError, ProofError
from consent_app.ledger import Check, ConsentRecord
from consent_app.ledger.records import canonical
from consent_app.ledger.tlog import base64text
from consent_app.ledger.tlog.checkpoint import Checkpoint, covering, verified
from consent_app.ledger.tlog.merkle import leaf_hash, verify_inclusion
from consent_app.ledger.tlog.note import Verifier, opened, parse
from consent_app.ledger.tlog.proof import Proof
from consent_app.ledger.verification import TAG
from consent_app.receipt_document import MOST_EVENTS, STATES, seal_text, stated

LONGEST: Final = 1_000_000
# What a document may say beside what its records state: the site's own words, and what proves the records.
DECLARED: Final = frozenset({
    "app:entry", "app:nonce", "app:proof", "app:seal", "dct:created", "dct:source", "dpv:hasConsentControl",
    "dpv:hasContact", "dpv:hasPersonalData", "dpv:hasPurpose", "dpv:hasRecipient", "dpv:hasRight", "dpv:hasService",
    "dpv:hasStorageCondition",
})  # fmt: skip
NO_KEY: Final = "not checked: bring the key of the log (log.vkey, kept from when you first met it) with --key"


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a receipt brings for one event: the record as it was logged, and that it is in the log."""

    text: bytes
    record: Mapping[str, Any]
    nonce: bytes
    proof: Proof

    @property
    def entry(self) -> bytes:
        """What was logged of it."""
        return hashlib.sha256(TAG + self.nonce + self.text).digest()

    @property
    def checkpoint(self) -> Checkpoint:
        """The checkpoint in the proof, whoever signed it. Raises ProofError."""
        return Checkpoint.read(parse(self.proof.checkpoint)[0])


@dataclass(frozen=True, slots=True)
class Presented:
    """A receipt as it was handed over; nothing of it is verified yet."""

    document: Mapping[str, Any]
    events: tuple[Evidence, ...]

    def with_proof(self, content: bytes) -> Self:
        """The same with another proof of its newest record. Raises ProofError for a file that is none."""
        *older, newest = self.events
        proof = Proof.read(content)
        return replace(self, events=(*older, replace(newest, nonce=proof.extra, proof=proof)))


def read(content: bytes) -> Presented:
    """A receipt from its file. Raises ProofError saying in one line why it is none."""
    if len(content) > LONGEST:
        raise ProofError(f"a receipt has at most {LONGEST} bytes")
    document = _object(content, "it")
    if document.get("@type") != "dpv:ConsentReceipt":
        raise ProofError("it is not a consent receipt (@type dpv:ConsentReceipt)")
    record = document.get("dpv:hasRecordOfActivity")
    events = record.get("dpv:hasConsentStatus") if isinstance(record, dict) else None
    if not isinstance(events, list) or not 0 < len(events) <= MOST_EVENTS:
        raise ProofError(f"it must tell of 1 to {MOST_EVENTS} events (dpv:hasConsentStatus)")
    return Presented(document, tuple(map(_evidence, events)))


def checks(receipt: Presented, known: Sequence[Verifier]) -> Iterator[Check]:
    """Every check of a receipt under the keys of the log that somebody brought; without keys it cannot hold."""
    yield _check("receipt records", _records, receipt)
    yield _check("receipt facts", _facts, receipt)
    yield _check("receipt entries", _entries, receipt)
    yield _check("receipt checkpoint", _checkpoints, receipt, known)
    yield _check("receipt seal", _seal, receipt, known)


def _check(name: str, holds: Any, *more: Any) -> Check:
    """A check that raises ProofError where its fact does not hold, as a line."""
    try:
        return Check(name, True, holds(*more))
    except (LedgerError, ValueError, RecursionError) as error:
        return Check(name, False, " ".join(str(error).split())[:300])


def _records(receipt: Presented) -> str:
    for evidence in receipt.events:
        ConsentRecord.read(evidence.record)
        if canonical(evidence.record) != evidence.text:
            raise ProofError(f"the record of entry {evidence.proof.index} is not in canonical JSON")
    newest = receipt.events[-1].record
    if any(evidence.record.get("id") != newest.get("id") for evidence in receipt.events):
        raise ProofError("its records are not all of one id")
    return f"{len(receipt.events)} fit the published schema; the newest says “{newest['event']}” at {newest['time']}"


def _facts(receipt: Presented) -> str:
    records = [ConsentRecord.read(evidence.record).document() for evidence in receipt.events]
    if "id" not in records[-1]:
        raise ProofError("its record has no id: a refusal has no receipt")
    if any(record["event"] not in STATES for record in records):
        raise ProofError("a record's event is none that a receipt tells of")
    said = stated(records, receipt.events[-1].proof.index)
    if fault := _difference(said, receipt.document, ""):
        raise ProofError(fault)
    return "the document says what its records say, and adds only what the site declares"


def _difference(said: Any, found: Any, place: str) -> str:
    """Where a document departs from what its records say; "" if nowhere."""
    if isinstance(said, dict) and isinstance(found, dict):
        for name in sorted(found.keys() - said.keys() - DECLARED):
            return f"no record backs {place}{name[:60]}"
        for name, value in said.items():
            if name not in found:
                return f"{place}{name} is missing"
            if fault := _difference(value, found[name], f"{place}{name} > "):
                return fault
        return ""
    if isinstance(said, list) and isinstance(found, list) and len(said) == len(found):
        each = (
            _difference(*pair, f"{place}{number} > ") for number, pair in enumerate(zip(said, found, strict=True), 1)
        )
        return next(filter(None, each), "")
    same = type(said) is type(found) and said == found
    return "" if same else f"{place.removesuffix(' > ')} is not what the record says"


def _entries(receipt: Presented) -> str:
    """Each record is under the root that its checkpoint names. What that root is worth, the key says."""
    places = [evidence.proof.index for evidence in receipt.events]
    logs = [(evidence.checkpoint.origin, evidence.proof.index) for evidence in receipt.events]
    if logs != sorted(set(logs)):  # a later year's log is called like the first one and then its year
        raise ProofError("its entries are not in the order of the log")
    for evidence, event in zip(receipt.events, _told(receipt), strict=True):
        if isinstance(event.get("app:entry"), bool) or event.get("app:entry") != evidence.proof.index:
            raise ProofError(f"the proof is of entry {evidence.proof.index}, and the event names another one")
        if evidence.nonce != evidence.proof.extra:
            raise ProofError(f"the nonce of entry {evidence.proof.index} is not that of its proof")
        _require_included(evidence)
    size = receipt.events[-1].checkpoint.size
    return f"record and nonce give what is logged as {', '.join(map(str, places))}, under the root of {size} entries"


def _require_included(evidence: Evidence) -> None:
    proof, root = evidence.proof, evidence.checkpoint
    try:
        verify_inclusion(leaf_hash(evidence.entry), proof.index, root.size, root.root, proof.hashes)
    except ProofError as error:
        raise ProofError(f"entry {proof.index} is not proved: {error}") from error


def _checkpoints(receipt: Presented, known: Sequence[Verifier]) -> str:
    """Under the keys of one log; a proof keeps the checkpoint of its time, which any of them may have signed."""
    _require_key(known)
    for evidence in receipt.events:
        _require_log(evidence.checkpoint.origin, known)
        newest = verified(evidence.proof.checkpoint, known)
    return f"signed by {newest.origin}, over {newest.size} entries"


def _seal(receipt: Presented, known: Sequence[Verifier]) -> str:
    """What no record backs is at least what the holder of the key said when the receipt was made."""
    note = receipt.document.get("app:seal")
    if not isinstance(note, str):
        raise ProofError("the document has no seal")
    if parse(note.encode())[0] != seal_text(receipt.document):
        raise ProofError("the document was changed after it was sealed")
    _require_key(known)
    opened(note.encode(), known)
    return f"the whole document is as it was made at {str(receipt.document.get('dct:created'))[:40]}"


def _require_key(known: Sequence[Verifier]) -> None:
    if not known:
        raise ProofError(NO_KEY)


def _require_log(origin: str, known: Sequence[Verifier]) -> None:
    if origin not in {key.name for key in covering(origin, known)}:
        raise ProofError(f"it is of another ledger: the receipt is of {origin[:80]}, your key of {known[0].name[:80]}")


def _told(receipt: Presented) -> list[Mapping[str, Any]]:
    events: list[Mapping[str, Any]] = receipt.document["dpv:hasRecordOfActivity"]["dpv:hasConsentStatus"]
    return events


def _evidence(event: Any) -> Evidence:
    """What one event brings. Raises ProofError for an event that is not signed yet, or is none."""
    if not isinstance(event, dict):
        raise ProofError("an event (dpv:hasConsentStatus) is not an object")
    if "app:proof" not in event and "app:record" in event:
        raise ProofError("it is not signed yet; fetch it again")
    text, nonce, proof = (_text(event, name) for name in ("app:record", "app:nonce", "app:proof"))
    record = _object(text.encode(), "the record in it")
    return Evidence(text.encode(), record, base64text.decode(nonce, "the nonce"), Proof.read(proof.encode()))


def _text(event: Mapping[str, Any], name: str) -> str:
    value = event.get(name)
    if not isinstance(value, str):
        raise ProofError(f"an event has no {name}")
    if any("\ud800" <= letter <= "\udfff" for letter in value):
        raise ProofError(f"the {name} of an event is not Unicode text")
    return value


def _object(content: bytes, what: str) -> dict[str, Any]:
    """A JSON object that names nothing twice: whoever reads it must read the same. Raises ProofError."""
    try:
        document = json.loads(content.decode("utf-8"), object_pairs_hook=_once, parse_constant=_never)
    except RecursionError as error:
        raise ProofError(f"{what} is nested too deeply") from error
    except UnicodeDecodeError as error:
        raise ProofError(f"{what} is not UTF-8 text") from error
    except ValueError as error:
        raise ProofError(f"{what} is not JSON that can be read ({str(error)[:80]})") from error
    if not isinstance(document, dict):
        raise ProofError(f"{what} is not a JSON object")
    return document


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice in one object")
    return found


def _never(constant: str) -> Any:
    raise ValueError(f"{constant} is no JSON")
