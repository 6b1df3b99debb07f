"""Consent receipts: one JSON-LD document that says what was decided, and carries all that it takes to check it.

ISO/IEC TS 27560:2023 in the terms of the W3C's Data Privacy Vocabulary 2, as its guide lays them out
(https://w3id.org/dpv/guides/consent-27560). Three kinds of facts are in it. What the *records* say stands there twice:
readable, and word for word as it was logged, with nonce and proof; `stated` derives the first from the second. What the
*site declares* (titles, services, recipients, retention, addresses) is in no record. The *seal*, a note signed by the
log's key over the rest, covers all of it.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from consent_app.ledger import Entry
from consent_app.ledger.keys import signers
from consent_app.ledger.records import BASES, ConsentRecord, canonical
from consent_app.ledger.tlog import base64text
from consent_app.ledger.tlog.note import Signer, signed
from consent_app.ledger.tlog.proof import Proof
from consent_app.purposes import STATISTICS, DeclaredCookie, Purpose, Service, Words, spoken
from consent_app.receipts import SECOND
from consent_app.sites import Site

Node = dict[str, Any]

PROFILE: Final = "https://w3id.org/dpv/schema/dpv-27560#receipt"
RECORD_PROFILE: Final = "https://w3id.org/dpv/schema/dpv-27560#record"
SEAL_HEADER: Final = "consent-app/receipt/v1"
MOST_EVENTS: Final = 50
KEPT_CHOICE: Final = "The choice itself"
KEPT_FACTS: Final = "Facts of page views, until they are counted"
SESSION_ENDS: Final = "The browser is closed"
_IRI: Final = {"@type": "@id"}
# Embedded, so that nothing is fetched to understand it; a verifier wants exactly this one.
CONTEXT: Final[Node] = {
    "@version": 1.1,
    "app": "urn:consent-app:receipt#",
    "dct": "http://purl.org/dc/terms/",
    "dpv": "https://w3id.org/dpv#",
    "loc": "https://w3id.org/dpv/loc#",
    "pd": "https://w3id.org/dpv/pd#",
    "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
    "skos": "http://www.w3.org/2004/02/skos/core#",
    "xsd": "http://www.w3.org/2001/XMLSchema#",
    "dct:conformsTo": _IRI,
    "dct:created": {"@type": "xsd:dateTime"},
    "dct:date": {"@type": "xsd:date"},
    "dct:publisher": _IRI,
    "dct:source": _IRI,
    "dpv:hasAddress": _IRI,
    "dpv:hasContact": _IRI,
    "dpv:hasJurisdiction": _IRI,
    "dpv:hasLocation": _IRI,
    "dpv:isExercisedAt": _IRI,
    "dpv:isIndicatedAtTime": {"@type": "xsd:dateTime"},
    "dpv:isIndicatedBy": _IRI,
    "skos:broader": _IRI,
}
_CONSENTS: Final = {basis for (_, mode), basis in BASES.items() if mode == "consent"}
STATES: Final = {
    "given": "dpv:ConsentGiven",
    "changed": "dpv:ConsentGiven",
    "withdrawn": "dpv:ConsentWithdrawn",
    "refused": "dpv:ConsentRefused",
    # What ran without consent until objected to never had one: it must not go on, and more is not said.
    "objected": "dpv:ConsentStatusInvalidForProcessing",
}
_RIGHTS: Final = (
    ("Access and copy", "15"),
    ("Correction", "16"),
    ("Erasure", "17"),
    ("Restriction", "18"),
    ("Portability", "20"),
    ("Objection", "21"),
    ("Complaint", "77"),
)


def build(
    site: Site | None, history: Sequence[tuple[Entry, Proof | None]], *, server: str, made: datetime
) -> dict[str, Any]:
    """The receipt of one record id, not sealed yet: its consent entries, oldest first, each with its proof (None while
    it is not signed). Only the newest MOST_EVENTS are told of.

    `site` is the site as it is declared now, None if it is no longer; `server` is the public origin; `made` is UTC.
    """
    kept = history[-MOST_EVENTS:]
    document = stated([entry.record for entry, _ in kept], _place(*kept[-1]))
    record = document["dpv:hasRecordOfActivity"]
    for event, (entry, proof) in zip(record["dpv:hasConsentStatus"], kept, strict=True):
        event |= _evidence(entry, proof)
    newest = kept[-1][0].record
    document |= {
        "dct:created": made.strftime(SECOND),
        "dct:source": f"{server.rstrip('/')}/v1/receipts/{newest['id']}",
    }
    _declare(record, newest, site, server.rstrip("/"))
    return document


def stated(records: Sequence[Mapping[str, Any]], seq: int) -> dict[str, Any]:
    """What these records of one id, oldest first, say by themselves, in the places where a receipt says it; `seq` is
    the number of the newest entry in the log of its year. Raises KeyError where one has no id, as a refusal has none.
    """
    newest = records[-1]
    name = f"{newest['id']}-{seq}"
    return {
        "@context": CONTEXT,
        "@id": f"urn:consent-app:receipt:{name}",
        "@type": "dpv:ConsentReceipt",
        "dct:identifier": name,
        "dct:conformsTo": PROFILE,
        "dct:publisher": _controller(newest),
        "dpv:hasRecordOfActivity": _record(records),
    }


def sealed(document: Mapping[str, Any], known: Sequence[Signer]) -> dict[str, Any]:
    """The document with a note over everything else in it that each of these keys signs, as they sign checkpoints."""
    return {**document, "app:seal": signed(seal_text(document), known)}


def sealing_keys(published: str, key_file: Path) -> list[Signer]:
    """The log's keys in `secrets/ledger.keys` that are published (the text of log.vkey): whoever has one of those can
    check what they sign. Raises SettingsError or LedgerError where they cannot be used.
    """
    lines = published.splitlines()
    return [signer for signer in signers(key_file) if str(signer.verifier) in lines]


def seal_text(document: Mapping[str, Any]) -> str:
    """What a seal signs: a line that says what it is, and the SHA-256 of the canonical document without its seal."""
    content = canonical({name: value for name, value in document.items() if name != "app:seal"})
    return f"{SEAL_HEADER}\n{base64text.encode(hashlib.sha256(content).digest())}\n"


def _record(records: Sequence[Mapping[str, Any]]) -> Node:
    newest = records[-1]
    return {
        "@id": f"urn:consent-app:record:{newest['id']}",
        "@type": "dpv:ConsentRecord",
        "dct:identifier": newest["id"],
        "dct:conformsTo": [RECORD_PROFILE, ConsentRecord.SCHEMA],
        "dpv:hasDataSubject": {
            "@id": _holder(newest),
            "@type": "dpv:DataSubject",
            "dct:identifier": newest["id"],
        },
        "dpv:hasDataController": {
            "@id": _controller(newest),
            "@type": "dpv:DataController",
            "dct:identifier": newest["site"],
            "dpv:hasName": newest["controller"],
            "dpv:hasAddress": _notice_name(newest["notice"]),
        },
        "dpv:hasNotice": _notice(newest),
        "dpv:hasJurisdiction": _jurisdiction(newest),
        "dpv:hasProcess": [_process(key, records) for key in sorted(newest["decisions"])],
        "dpv:hasConsentStatus": [_event(record) for record in records],
    }


def _process(key: str, records: Sequence[Mapping[str, Any]]) -> Node:
    """One purpose or service that was decided on. Only a consent has a state that says so in DPV's words."""
    decision = records[-1]["decisions"][key]
    process: Node = {
        "@type": "dpv:Process",
        "dct:identifier": key,
        "app:allowed": decision["allowed"],
        "dpv:hasLegalBasis": {
            "@type": "dpv:ExpressedConsent" if decision["basis"] in _CONSENTS else "dpv:LegalBasis",
            "dct:title": decision["basis"],
        },
    }
    if decision["basis"] in _CONSENTS:
        earlier = any(record["decisions"].get(key, {}).get("allowed") for record in records[:-1])
        state = "given" if decision["allowed"] else "withdrawn" if earlier else "refused"
        process["dpv:hasConsentStatus"] = {"@id": STATES[state]}
    return process


def _event(record: Mapping[str, Any]) -> Node:
    return {
        "@type": STATES[record["event"]],
        "app:event": record["event"],
        "app:record": canonical(record).decode(),
        "dpv:isIndicatedAtTime": record["time"],
        "dpv:isIndicatedBy": _holder(record),
        "dpv:hasIndicationMethod": record["method"],
        "dpv:hasDuration": _until(record["valid_until"]),
        "dpv:hasNotice": _notice(record),
    }


def _evidence(entry: Entry, proof: Proof | None) -> Node:
    """What proves an event: its number in the log of its year, and once it is signed the nonce and the proof."""
    if proof is None:
        return {"app:entry": entry.seq}
    return {"app:entry": proof.index, "app:nonce": base64text.encode(proof.extra), "app:proof": proof.text.decode()}


def _place(entry: Entry, proof: Proof | None) -> int:
    return proof.index if proof else entry.seq


def _notice(record: Mapping[str, Any]) -> Node:
    return {
        "@id": _notice_name(record["notice"]),
        "@type": "dpv:ConsentNotice",
        "app:sha256": record["notice"],
        "dct:language": record["language"],
        "dct:date": record["notice_effective"],
    }


def _notice_name(sha256: str) -> str:
    """The name of a text by its hash (RFC 6920): it is the same wherever the text is kept."""
    return f"ni:///sha-256;{base64.urlsafe_b64encode(bytes.fromhex(sha256)).decode().rstrip('=')}"


def _holder(record: Mapping[str, Any]) -> str:
    """Who holds the receipt is all that is known of a visitor: the name is that of the record."""
    return f"urn:consent-app:holder:{record['id']}"


def _controller(record: Mapping[str, Any]) -> str:
    return f"urn:consent-app:controller:{record['site']}"


def _jurisdiction(record: Mapping[str, Any]) -> str:
    bases = {decision["basis"] for decision in record["decisions"].values()}
    return "loc:GB" if any(basis.startswith("PECR") for basis in bases) else "loc:EU"


def _until(day: str) -> Node:
    return {"@type": "dpv:UntilTimeDuration", "rdf:value": {"@value": day, "@type": "xsd:date"}}


# -- what the site declares --------------------------------------------------------------------------------------------


def _declare(record: Node, newest: Mapping[str, Any], site: Site | None, server: str) -> None:
    """Put what the site declares beside what the records state."""
    host = site.origins[0] if site and site.embed == "same-host" else server
    rights = f"{host}/your-data?site={newest['site']}"
    change = site.origins[0] if site and site.embed == "script" else f"{host}/cookies?site={newest['site']}"
    record["dpv:hasDataController"]["dpv:hasContact"] = rights
    for notice in (record["dpv:hasNotice"], *(event["dpv:hasNotice"] for event in record["dpv:hasConsentStatus"])):
        notice["dct:source"] = f"{server}/ledger/notices/{notice['app:sha256']}"
    record["dpv:hasConsentControl"] = {
        "@type": ["dpv:ProvideConsent", "dpv:WithdrawConsent"],
        "dpv:isExercisedAt": change,
    }
    law = "UK GDPR" if record["dpv:hasJurisdiction"] == "loc:GB" else "GDPR"
    record["dpv:hasRight"] = [_right(title, f"{law} Article {number}", rights) for title, number in _RIGHTS]
    for process in record["dpv:hasProcess"]:
        process |= _declared(process["dct:identifier"], newest, site)


def _right(title: str, law: str, address: str) -> Node:
    return {
        "@type": "dpv:DataSubjectRight",
        "dct:title": {"@value": title, "@language": "en"},
        "dct:description": law,
        "dpv:isExercisedAt": address,
    }


def _declared(key: str, newest: Mapping[str, Any], site: Site | None) -> Node:
    """What the site says of one purpose or service; of one that it no longer has, that it was asked for by that key."""
    purpose = site.asked.get(key) if site else None
    if site is None or purpose is None:
        return {
            "dpv:hasPurpose": {"@type": "dpv:Purpose", "dct:title": key},
            "dpv:hasPersonalData": [_CHOICE],
            "dpv:hasStorageCondition": [_kept_choice(newest)],
            "dpv:hasRecipient": [{"@id": _controller(newest)}],
        }
    service = next((service for service in purpose.services if service.key == key), None)
    parties = (service.provider,) if service else purpose.parties
    cookies = (service or purpose).cookies
    said: Node = {
        "dpv:hasPurpose": {"@type": "dpv:Purpose", **_titled(purpose, newest, site)},
        "dpv:hasPersonalData": _data(cookies, parties, newest, site),
        "dpv:hasStorageCondition": [*map(_kept, cookies), *_kept_facts(key, site)] or [_kept_choice(newest)],
        "dpv:hasRecipient": [{"@id": _controller(newest)}, *map(_party, parties)],
    }
    if service:
        said["dpv:hasService"] = {"@type": "dpv:Service", **_titled(service, newest, site)}
    return said


def _titled(what: Purpose | Service, newest: Mapping[str, Any], site: Site) -> Node:
    """Its title and description, in the language in which the choice was offered."""
    return {
        "dct:title": _text(what.title, newest, site),
        "dct:description": _text(what.description, newest, site),
    }


def _text(words: Words, newest: Mapping[str, Any], site: Site) -> Node:
    said, tag = spoken(words, newest["language"])
    return {"@value": said, "@language": tag or site.language}


def _party(name: str) -> Node:
    return {"@type": "dpv:ThirdParty", "dpv:hasName": name}


_CHOICE: Final[Node] = {"@type": "dpv:PersonalData", "dct:title": {"@value": KEPT_CHOICE, "@language": "en"}}


def _data(
    cookies: Sequence[DeclaredCookie], parties: Sequence[str], newest: Mapping[str, Any], site: Site
) -> list[Node]:
    """What data it takes: everything it stores, and what whoever delivers something sees of who asks for it."""
    data = [
        {
            "@type": "dpv:PersonalData",
            "dct:title": cookie.name,
            "dct:description": _text(cookie.description, newest, site),
            "dct:type": cookie.kind,
        }
        for cookie in cookies
    ]
    if parties:
        seen = {"@value": "The network address that a request to a recipient comes from", "@language": "en"}
        data.append({"@type": "dpv:PersonalData", "skos:broader": "pd:IPAddress", "dct:title": seen})
    return data or [_CHOICE]


def _kept(cookie: DeclaredCookie) -> Node:
    if cookie.days:
        lasting: Node = {
            "@type": "dpv:TemporalDuration",
            "rdf:value": {"@value": f"P{cookie.days}D", "@type": "xsd:duration"},
        }
    else:
        session = cookie.kind in ("cookie", "sessionStorage")
        end = SESSION_ENDS if session else "It is cleared, or the choice is withdrawn"
        lasting = {"@type": "dpv:UntilEventDuration", "rdf:value": {"@value": end, "@language": "en"}}
    return {
        "@type": ["dpv:StorageDuration", "dpv:StorageLocation"],
        "dct:title": cookie.name,
        "dpv:hasLocation": "dpv:WithinDevice",
        "dpv:hasDuration": lasting,
    }


def _kept_facts(key: str, site: Site) -> list[Node]:
    """How long what is counted of page views lies on the server before it is removed."""
    if key != STATISTICS:
        return []
    hours = {"@value": f"PT{site.retention_hours}H", "@type": "xsd:duration"}
    return [
        {
            "@type": "dpv:StorageDuration",
            "dct:title": {"@value": KEPT_FACTS, "@language": "en"},
            "dpv:hasDuration": {"@type": "dpv:TemporalDuration", "rdf:value": hours},
        }
    ]


def _kept_choice(newest: Mapping[str, Any]) -> Node:
    return {
        "@type": ["dpv:StorageDuration", "dpv:StorageLocation"],
        "dct:title": {"@value": KEPT_CHOICE, "@language": "en"},
        "dpv:hasLocation": "dpv:WithinDevice",
        "dpv:hasDuration": _until(newest["valid_until"]),
    }
