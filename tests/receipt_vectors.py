"""A real receipt, and every way in which one is broken that the command and the page must find alike."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from consent_app import receipt_check
from consent_app.errors import ProofError
from consent_app.ledger import ConsentRecord, Ledger, RecordedDecision, keys
from consent_app.receipt_document import build, sealed, sealing_keys
from consent_app.sites import Sites

STARTER = Path(receipt_check.__file__).parent / "starter" / "sites.toml"
BASIS = "PECR Schedule A1 paragraph 2"
MADE = datetime(2026, 11, 24, 12, 15, tzinfo=UTC)
SERVER = "https://consent.example"
NAMES = ("records", "facts", "entries", "checkpoint", "seal")
NONE = frozenset({"none"})  # no receipt at all


def decisions(**allowed: bool) -> dict[str, RecordedDecision]:
    return {key: RecordedDecision(one, BASIS) for key, one in allowed.items()}


def given(site: str = "kent", **more: Any) -> ConsentRecord:
    """A decision on everything that a site of the starter asks for."""
    found = Sites.load(STARTER).get(site)
    record = ConsentRecord(
        site=site,
        controller=found.controller,
        notice=found.notice.sha256,
        notice_effective=found.notice.effective.isoformat(),
        bundle="0" * 64,
        language="en",
        method="banner-accept-all",
        event="given",
        decisions=decisions(**dict.fromkeys(found.asked, True)),
        time="2026-11-23T09:30:12Z",
        valid_until="2027-05-22",
        id="5f" * 16,
    )
    return replace(record, **more)


def receipt(ledger: Ledger, record_id: str, site: str = "kent") -> dict[str, Any]:
    """The sealed receipt of an id, as the server makes it."""
    history = ledger.history(record_id)
    pairs = [(entry, ledger.proof(record_id, entry.seq)) for entry in history]
    document = build(Sites.load(STARTER).get(site), pairs, server=SERVER, made=MADE)
    return sealed(document, sealing_keys(ledger.published.key(), ledger_keys(ledger)))


def ledger_keys(ledger: Ledger) -> Path:
    return ledger.published.folder.parent / "secrets" / "ledger.keys"


@dataclass(frozen=True)
class Kept:
    """What somebody keeps: the file of a receipt, and the key of its log."""

    text: str
    key: str

    @property
    def document(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.text)
        return found


def kept(folder: Path) -> Kept:
    """A decision that was given, changed and withdrawn, among those of others."""
    with Ledger(folder / "ledger.db") as ledger:
        for number in range(5):
            ledger.append(given(id=f"{number:032x}"))
        record = given()
        ledger.append(record)
        changed = replace(record, event="changed", method="preferences", time="2026-11-23T10:00:00Z", language="cy")
        ledger.append(replace(changed, decisions=decisions(statistics=True, embeds=False)))
        ledger.append(given(id="7" * 32))
        withdrawn = replace(record, event="withdrawn", method="no-js-form", time="2026-11-24T08:00:00Z")
        ledger.append(replace(withdrawn, decisions=decisions(statistics=False, embeds=False)))
        ledger.sequence()
        text = json.dumps(receipt(ledger, record.id), ensure_ascii=False, indent=1)
        return Kept(text, ledger.published.key())


def verdict(content: bytes, key: str) -> frozenset[str]:
    """The checks that fail, as the command finds them; NONE where it says that this is no receipt."""
    try:
        presented = receipt_check.read(content)
    except ProofError as error:
        assert "\n" not in str(error)
        return NONE
    found = list(receipt_check.checks(presented, keys.read_public(key)))
    assert [check.name for check in found] == [f"receipt {name}" for name in NAMES]
    assert not any("\n" in check.sentence for check in found)
    return frozenset(check.name.removeprefix("receipt ") for check in found if not check.ok)


# -- ways to break one ------------------------------------------------------------------------------------------------

Edit = Callable[[dict[str, Any]], Any]


def at(*path: str | int) -> Callable[[Any], Edit]:
    """Put a value where a path leads, or call one that is a function with what is there."""

    def putting(value: Any) -> Edit:
        def edit(document: dict[str, Any]) -> None:
            place: Any = document
            for name in path[:-1]:
                place = place[name]
            place[path[-1]] = value(place[path[-1]]) if callable(value) else value

        return edit

    return putting


def taken(*path: str | int) -> Edit:
    def edit(document: dict[str, Any]) -> None:
        place: Any = document
        for name in path[:-1]:
            place = place[name]
        del place[path[-1]]

    return edit


RECORD = "dpv:hasRecordOfActivity"
EVENTS = (RECORD, "dpv:hasConsentStatus")
PURPOSE = (RECORD, "dpv:hasProcess", 1)


def other(text: str) -> str:
    """The text with its first letter another one of base64."""
    return ("B" if text[0] != "B" else "C") + text[1:]


def in_proof(line: int) -> Callable[[str], str]:
    """Another letter in one line of a proof, by its number; -1 and up count from the end."""

    def edit(proof: str) -> str:
        lines = proof.split("\n")
        cut = lines[line].rfind(" ") + 1
        lines[line] = lines[line][:cut] + other(lines[line][cut:])
        return "\n".join(lines)

    return edit


def swapped(events: list[Any]) -> list[Any]:
    return events[::-1]


def allowed_after_all(document: dict[str, Any]) -> None:
    """The last record and all that is derived from it say that everything is allowed."""
    at(*EVENTS, 2, "app:record")(lambda text: text.replace("false", "true"))(document)
    for number in (0, 1):
        at(RECORD, "dpv:hasProcess", number, "app:allowed")(True)(document)
        at(RECORD, "dpv:hasProcess", number, "dpv:hasConsentStatus", "@id")("dpv:ConsentGiven")(document)


FORGED: dict[str, tuple[Edit, set[str]]] = {
    "title of a purpose": (at(*PURPOSE, "dpv:hasPurpose", "dct:title", "@value")("Advertising"), {"seal"}),
    "recipient dropped": (at(RECORD, "dpv:hasProcess", 0, "dpv:hasRecipient")(lambda known: known[:1]), {"seal"}),
    "retention": (at(*PURPOSE, "dpv:hasStorageCondition", 1, "dct:title")("other"), {"seal"}),
    "address of rights": (at(RECORD, "dpv:hasRight", 0, "dpv:isExercisedAt")("https://evil.example/"), {"seal"}),
    "address of withdrawal": (at(RECORD, "dpv:hasConsentControl", "dpv:isExercisedAt")("https://x.example/"), {"seal"}),
    "time made": (at("dct:created")("2027-01-01T00:00:00Z"), {"seal"}),
    "decision": (at(*PURPOSE, "app:allowed")(True), {"facts", "seal"}),
    "decision as a number": (at(*PURPOSE, "app:allowed")(0), {"facts", "seal"}),
    "state of a consent": (at(*PURPOSE, "dpv:hasConsentStatus", "@id")("dpv:ConsentGiven"), {"facts", "seal"}),
    "legal basis": (at(*PURPOSE, "dpv:hasLegalBasis", "dct:title")("Contract"), {"facts", "seal"}),
    "purpose added": (at(RECORD, "dpv:hasProcess")(lambda known: [*known, known[0]]), {"facts", "seal"}),
    "controller": (at(RECORD, "dpv:hasDataController", "dpv:hasName")("Another"), {"facts", "seal"}),
    "jurisdiction": (at(RECORD, "dpv:hasJurisdiction")("loc:EU"), {"facts", "seal"}),
    "hash of the notice": (at(RECORD, "dpv:hasNotice", "app:sha256")("0" * 64), {"facts", "seal"}),
    "language of the notice": (at(*EVENTS, 0, "dpv:hasNotice", "dct:language")("fr"), {"facts", "seal"}),
    "event": (at(*EVENTS, 2, "app:event")("given"), {"facts", "seal"}),
    "time of an event": (at(*EVENTS, 0, "dpv:isIndicatedAtTime")("2026-11-23T09:30:13Z"), {"facts", "seal"}),
    "validity": (at(*EVENTS, 2, "dpv:hasDuration", "rdf:value", "@value")("2030-01-01"), {"facts", "seal"}),
    "context": (at("@context", "app")("https://evil.example/#"), {"facts", "seal"}),
    "context by address": (at("@context")("https://evil.example/context"), {"facts", "seal"}),
    "what no record backs": (at(RECORD)(lambda record: {**record, "dct:rights": "all"}), {"facts", "seal"}),
    "something missing": (taken(RECORD, "dpv:hasDataSubject"), {"facts", "seal"}),
    "record": (
        at(*EVENTS, 2, "app:record")(lambda text: text.replace("false", "true", 1)),
        {"facts", "entries", "seal"},
    ),
    "record and decision": (allowed_after_all, {"entries", "seal"}),
    "record spelt otherwise": (
        at(*EVENTS, 1, "app:record")(lambda text: text.replace(":", ": ", 1)),
        {"records", "facts", "entries", "seal"},
    ),
    "record of another schema": (
        at(*EVENTS, 0, "app:record")(lambda text: text.replace('"site":"kent"', '"site":"Kent"')),
        {"records", "facts", "entries", "seal"},
    ),
    "record of an event that makes no receipt": (
        at(*EVENTS, 0, "app:record")(lambda text: text.replace('"event":"given"', '"event":"erased"')),
        {"facts", "entries", "seal"},
    ),
    "record of another id": (
        at(*EVENTS, 0, "app:record")(lambda text: text.replace("5f5f", "6f5f", 1)),
        {"records", "facts", "entries", "seal"},
    ),
    "nonce": (at(*EVENTS, 1, "app:nonce")(other), {"entries", "seal"}),
    "nonce in the proof": (at(*EVENTS, 1, "app:proof")(in_proof(1)), {"entries", "seal"}),
    "number of an entry": (at(*EVENTS, 1, "app:entry")(3), {"entries", "seal"}),
    "hash of a proof": (at(*EVENTS, 1, "app:proof")(in_proof(3)), {"entries", "seal"}),
    "size of a checkpoint": (
        at(*EVENTS, 1, "app:proof")(lambda text: text.replace("\n9\n", "\n8\n")),
        {"entries", "checkpoint", "seal"},
    ),
    "root of a checkpoint": (at(*EVENTS, 1, "app:proof")(in_proof(-4)), {"entries", "checkpoint", "seal"}),
    "signature of a checkpoint": (
        at(*EVENTS, 1, "app:proof")(lambda text: text[:-20] + other(text[-20:])),
        {"checkpoint", "seal"},
    ),
    "events the other way round": (at(*EVENTS)(swapped), {"facts", "entries", "seal"}),
    "newest event left out": (at(*EVENTS)(lambda events: events[:-1]), {"facts", "seal"}),
    "oldest event left out": (at(*EVENTS)(lambda events: events[1:]), {"facts", "seal"}),
    "seal taken off": (taken("app:seal"), {"seal"}),
    "seal of something else": (at("app:seal")(lambda note: note.replace("\n", "\nA", 1)), {"seal"}),
    "seal no text": (at("app:seal")(7), {"seal"}),
    "lone surrogate": (at("dct:source")("\ud800"), {"seal"}),
}
NO_RECEIPTS: dict[str, Callable[[str], bytes]] = {
    "nothing": lambda text: b"",
    "half of it": lambda text: text[: len(text) // 2].encode(),
    "a list": lambda text: f"[{text}]".encode(),
    "another kind of document": lambda text: text.replace("dpv:ConsentReceipt", "dpv:Consent").encode(),
    "not UTF-8": lambda text: text.encode().replace(b"Statistics", b"\xff\xfe"),
    "UTF-16": lambda text: text.encode("utf-16"),
    "a byte order mark": lambda text: b"\xef\xbb\xbf" + text.encode(),
    "a number that is none": lambda text: text.replace('"app:entry": 5', '"app:entry": NaN').encode(),
    "a name twice": lambda text: text.replace('"dct:created"', '"dct:created": "x", "dct:created"').encode(),
    "too long": lambda text: text.encode() + b" " * receipt_check.LONGEST,
    "nested too deeply": lambda text: b"[" * 200_000 + text.encode(),
    "no events": lambda text: text.replace("dpv:hasConsentStatus", "dpv:hasStatus").encode(),
    "not signed yet": lambda text: text.replace('"app:proof"', '"app:later"').encode(),
    "no nonce": lambda text: text.replace('"app:nonce"', '"app:later"').encode(),
    "a proof of another format": lambda text: text.replace("tlog-proof@v1", "tlog-proof@v2").encode(),
    "no record": lambda text: text.replace('"{\\"bundle', '"[{\\"bundle').encode(),
}


def forged(text: str, name: str) -> bytes:
    """The file of a receipt, forged in one way."""
    document = json.loads(text)
    FORGED[name][0](document)
    return json.dumps(document).encode()
