"""Data rights, for whoever has a visitor's cookie or receipt: what is held, a copy, erasure, objection, correction.

Possession is the identification: nothing else could tell whose a record is, and nothing else is asked (UK GDPR Art
11(2)). Pages and commands call the same functions, so they give the same results.
"""

from __future__ import annotations

import base64
import re
from calendar import monthrange
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any, ClassVar, Final

from consent_app import receipt_document
from consent_app.bundle import sha256 as bundle_sha256
from consent_app.decisions import Choice, Outcome, cookie_text, decide
from consent_app.errors import FieldsError, LedgerError, NotFoundError, RequestError
from consent_app.ledger import BASES, ConsentRecord, Entry, RecordedDecision, keys, tombstones
from consent_app.ledger.holds import Hold
from consent_app.ledger.store import TAG
from consent_app.ledger.tlog.proof import Proof
from consent_app.ledger.tombstones import Tombstone
from consent_app.receipts import SECOND, Receipt, receipt
from consent_app.retention import held
from consent_app.rights.check import COPY, ERASURE
from consent_app.rooms import Rooms
from consent_app.sites import Site

MOST_IDS: Final = 8
_ID: Final = re.compile(r"(?<![0-9A-Fa-f])[0-9a-f]{32}(?![0-9A-Fa-f])")
WHY_NO_STATISTICS: Final = (
    "The statistics hold no identifier of a visitor, a browser or a device. A page view is torn into single additions "
    "before anything is written, these are added up, noise is added to the sums, and the additions are destroyed. So "
    "nothing in the statistics can be linked to you or to this record, by us or by anybody."
)


class HeldError(RequestError):
    """A legal hold keeps these records for now (UK GDPR Art 17(3)(e)); `hold` says until when."""

    status: ClassVar[int] = 409

    def __init__(self, hold: Hold) -> None:
        super().__init__(
            f"these records are needed for a legal claim and stay until {hold.until} (UK GDPR Art 17(3)(e)); "
            "ask again after that day"
        )
        self.hold = hold

    def facts(self) -> Mapping[str, Any]:
        """The last day of the hold."""
        return {"until": self.hold.until.isoformat()}


@dataclass(frozen=True, slots=True)
class Holding:
    """What is held about whoever has this receipt number or cookie, on one site.

    `kept` is what the cookie says (None without one); a refusal has no number, and then there are no entries.
    """

    site: Site
    record_id: str
    entries: tuple[Entry, ...]
    kept: Receipt | None = None

    @property
    def decisions(self) -> dict[str, bool]:
        """What holds now: the newest record's word, else the cookie's."""
        if self.entries:
            return {key: said["allowed"] for key, said in self.entries[-1].record["decisions"].items()}
        return dict(self.kept.decisions) if self.kept else {}


def by_cookie(rooms: Rooms, site: Site, token: str) -> Holding | None:
    """What a cookie's token stands for; None where it is forged, another site's, expired, or there is none."""
    kept = rooms.seal.open(token, site.key)
    return Holding(site, kept.id, _entries(rooms, site, kept.id), kept) if kept else None


def by_receipt(rooms: Rooms, site: Site, text: str) -> Holding:
    """What a receipt stands for: its number, or a text or file that holds the number. Raises NotFoundError."""
    for record_id in numbers(text):
        entries = _entries(rooms, site, record_id)
        if entries:
            return Holding(site, record_id, entries)
    raise NotFoundError(f"{site.name} holds no record of this receipt: it was erased, or is another site's")


def by_number(rooms: Rooms, text: str) -> Holding:
    """As `by_receipt`, whichever site it is of. Raises NotFoundError."""
    for record_id in numbers(text):
        history = [entry for entry in rooms.ledger.history(record_id) if entry.kind == ConsentRecord.KIND]
        if history:
            site = rooms.sites.get(history[0].record["site"])
            return Holding(site, record_id, _entries(rooms, site, record_id))
    raise NotFoundError("there is no record of this receipt; a receipt number has 32 of the digits 0-9 and a-f")


def numbers(text: str) -> list[str]:
    """The receipt numbers in a text, each once, in their order; at most MOST_IDS."""
    return list(dict.fromkeys(_ID.findall(text)))[:MOST_IDS]


def copy(rooms: Rooms, holding: Holding) -> dict[str, Any]:
    """Everything that is held, to keep or to take elsewhere (UK GDPR Art 15 and 20), with what verifies it."""
    site = holding.site
    cookie = holding.kept
    _sign(rooms)
    proved = [(entry, rooms.ledger.proof(holding.record_id, entry.seq)) for entry in holding.entries]
    now = rooms.settings.clock()
    return {
        "schema": COPY,
        "made": now.strftime(SECOND),
        "site": {"key": site.key, "name": site.name, "controller": site.controller},
        "receipt_number": holding.record_id or None,
        "records": [_with_proof(entry, proof) for entry, proof in proved],
        "receipt": _receipt(rooms, site, proved, now),
        "cookie": _cookie(cookie) if cookie else None,
        "notices": list(_notices(rooms, holding)),
        "retention": [_retention(site, entry) for entry in holding.entries],
        "recipients": [],
        "loaded_by_your_browser": {p.key: list(p.parties) for p in site.purposes if p.parties},
        "statistics": {"linked_to_you": [], "why": WHY_NO_STATISTICS},
        "verify": {
            "log_key": rooms.ledger.published.key(),
            "hash": "SHA-256 of tag, nonce (base64) and the record in canonical JSON (RFC 8785), one after the other",
            "tag": TAG.decode("ascii"),
            "formats": ["https://c2sp.org/tlog-proof", "https://c2sp.org/tlog-checkpoint", "RFC 8785"],
        },
    }


def _receipt(
    rooms: Rooms, site: Site, proved: Sequence[tuple[Entry, Proof | None]], now: datetime
) -> dict[str, Any] | None:
    """The sealed receipt of what is signed by now, as /v1/receipts/ID gives it; None where nothing is."""
    signed = [(entry, proof) for entry, proof in proved if proof]
    if not signed:
        return None
    document = receipt_document.build(site, signed, server=rooms.settings.public_url, made=now)
    known = receipt_document.sealing_keys(rooms.ledger.published.key(), rooms.settings.secrets / keys.FILE)
    return receipt_document.sealed(document, known)


def erase(rooms: Rooms, holding: Holding) -> Tombstone | None:
    """Take the records and their nonces away for good; the tombstone, None where there was nothing left.

    Raises HeldError while a legal hold keeps them, UnavailableError.
    """
    if not holding.record_id:
        return None
    hold = held(rooms.ledger, holding.site.key, holding.record_id, rooms.settings.clock())
    if hold:
        raise HeldError(hold)
    made = rooms.ledger.erase(holding.record_id)
    if made is None:
        return None
    _sign(rooms)
    return tombstones.find(rooms.ledger, made.seq)


def erasure_receipt(rooms: Rooms, tombstone: Tombstone) -> dict[str, Any] | None:
    """What whoever asked for an erasure keeps: the tombstone, and the proof of it that needs no server to verify.

    None while it is not signed yet, which takes less than a second.
    """
    proof = tombstones.proof(rooms.ledger, tombstone)
    if proof is None:
        return None
    return {
        "schema": ERASURE,
        "entry": proof.index,
        "number": tombstone.seq,
        "kind": "erasure",
        "record": tombstone.record,
        "nonce": base64.b64encode(tombstone.nonce).decode("ascii"),
        "proof": proof.text.decode("utf-8"),
        "log_key": rooms.ledger.published.key(),
    }


def stop(rooms: Rooms, holding: Holding, *, method: str, lang: str) -> Outcome:
    """Objection and restriction (UK GDPR Art 21 and 18): everything optional is off, recorded as `objected`.

    Raises FieldsError where the site has nothing optional, UnavailableError.
    """
    site, now = holding.site, rooms.settings.clock()
    if not site.optional:
        raise FieldsError({"site": "has nothing optional, so there is nothing to object to"})
    off = dict.fromkeys(site.asked, False)
    made = receipt(site.key, site.notice.sha256, off, now, method=method, lang=lang)
    filed = replace(made, id=holding.record_id, time=now.strftime(SECOND)) if holding.record_id else made
    rooms.ledger.append(_objected(site, filed))
    return Outcome(made, filed.id, "", rooms.seal.token(made), cookie_text(made, ""))


def stopped_at(site: Site) -> str:
    """Where a browser that an objection by receipt cannot reach is stopped, by one click in that browser."""
    return f"{site.origins[0]}/cookies?site={site.key}" if site.embed == "same-host" else site.origins[0]


def correct(rooms: Rooms, holding: Holding, decisions: Mapping[str, bool], *, method: str, lang: str) -> Outcome:
    """Correction (UK GDPR Art 16): a changed decision is added; what was recorded before stays what it was.

    `decisions` are the purposes and services that change. Raises FieldsError and UnavailableError.
    """
    site = holding.site
    if unknown := [key for key in decisions if key not in site.asked]:
        raise FieldsError({key: f"is not asked by {site.key}; it asks {', '.join(site.asked)}" for key in unknown})
    whole = {key: holding.decisions.get(key, False) for key in site.asked} | dict(decisions)
    for key, purpose in site.asked.items():
        if whole[key] and not whole[purpose.key]:
            raise FieldsError({key: f"is allowed, but not its purpose {purpose.key}"})
    earlier = Receipt(site.key, site.notice.sha256, holding.decisions, "", id=holding.record_id)
    return decide(rooms, Choice(site, whole, method, lang), earlier)


def kept_until(site: Site, record: Mapping[str, Any]) -> date:
    """The last day a record is kept: its validity and then the months that its site keeps it."""
    return months_after(date.fromisoformat(record["valid_until"]), site.consent_retention_months)


def months_after(day: date, months: int) -> date:
    """The day so many months later; the last of its month where that is shorter."""
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))


def _sign(rooms: Rooms) -> None:
    """Have what was appended a moment ago signed, so that it can be proved."""
    with suppress(LedgerError):  # it is tried again soon all the same, and `consent verify` says why it fails
        rooms.ledger.sequence()


def _entries(rooms: Rooms, site: Site, record_id: str) -> tuple[Entry, ...]:
    history = rooms.ledger.history(record_id) if record_id else []
    return tuple(entry for entry in history if entry.kind == ConsentRecord.KIND and entry.record["site"] == site.key)


def _with_proof(entry: Entry, proof: Proof | None) -> dict[str, Any]:
    return {
        "entry": proof.index if proof else entry.seq,
        "number": entry.seq,
        "record": entry.record,
        "hash": entry.leaf.hex(),
        "nonce": base64.b64encode(proof.extra).decode("ascii") if proof else None,
        "proof": proof.text.decode("utf-8") if proof else None,
    }


def _cookie(kept: Receipt) -> dict[str, Any]:
    return {"decisions": dict(kept.decisions), "notice": kept.notice, "time": kept.time, "receipt": kept.id or None}


def _notices(rooms: Rooms, holding: Holding) -> Iterator[dict[str, str | None]]:
    """Each notice that the records and the cookie name, once, with its exact text."""
    effective = {sha256: day for day, sha256 in rooms.ledger.notices()}
    named = [entry.record["notice"] for entry in holding.entries] + ([holding.kept.notice] if holding.kept else [])
    for sha256 in dict.fromkeys(named):
        yield {"sha256": sha256, "effective": effective.get(sha256), "text": rooms.ledger.notice(sha256)}


def _retention(site: Site, entry: Entry) -> dict[str, Any]:
    return {
        "entry": entry.seq,
        "valid_until": entry.record["valid_until"],
        "erased_after": kept_until(site, entry.record).isoformat(),
    }


def _objected(site: Site, filed: Receipt) -> ConsentRecord:
    return ConsentRecord(
        site=site.key,
        controller=site.controller,
        notice=filed.notice,
        notice_effective=site.notice.effective.isoformat(),
        bundle=bundle_sha256(),
        language=filed.lang,
        method=filed.method,
        event="objected",
        decisions={key: RecordedDecision(False, BASES[site.regime, p.mode]) for key, p in site.asked.items()},
        time=filed.time,
        valid_until=(filed.expires - timedelta(seconds=1)).date().isoformat(),
        id=filed.id,
    )
