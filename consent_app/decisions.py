"""A visitor's decision: read strictly, put into the ledger, and turned into what the visitor keeps.

A decision is parsed to a Choice; `decide` has its record on disk before it returns the Outcome. Whoever refuses keeps
nothing that differs from what everybody else keeps who refuses on that day.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any, Final
from urllib.parse import parse_qsl

from werkzeug.datastructures import Headers

from consent_app.bundle import sha256 as bundle_sha256
from consent_app.errors import FieldsError, StaleNoticeError
from consent_app.languages import known
from consent_app.ledger import BASES, ConsentRecord, RecordedDecision, tombstones
from consent_app.ledger.records import METHODS
from consent_app.purposes import Mode, Purpose
from consent_app.receipts import LONGEST_TOKEN, SECOND, VALIDITY, Receipt, receipt
from consent_app.rooms import Rooms
from consent_app.sites import Site, Sites

FORM: Final = "no-js-form"
GPC: Final = "Global Privacy Control"  # https://www.w3.org/TR/gpc/
DNT: Final = "Do Not Track"
CHOICES: Final = ("accept", "reject", "save")
_SCRIPT_METHODS: Final = tuple(method for method in METHODS if method not in (FORM, "handover"))
_JSON_FIELDS: Final = ("site", "notice", "decisions", "method", "lang")
_FORM_FIELDS: Final = ("site", "notice", "choice")
_HASH: Final = re.compile(r"[0-9a-f]{64}")
_TAG: Final = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{1,8}){0,4}")
_ALL: Final = {"banner-accept-all": True, "banner-reject-all": False, "gpc": False}


@dataclass(frozen=True, slots=True)
class Choice:
    """What a visitor decided: each optional purpose of the site and each service of one, how (`method` of the record)
    and in which language.
    """

    site: Site
    decisions: Mapping[str, bool]
    method: str
    lang: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """A recorded decision: its receipt, the id of its record ("" if it has none), and the texts the visitor keeps.

    `permit` is "" unless something is allowed; `value` is the text of the readable cookie `consent`.
    """

    receipt: Receipt
    record_id: str
    permit: str
    token: str
    value: str


def read_json(body: bytes) -> dict[str, Any]:
    """The object in a JSON body. Raises FieldsError."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise FieldsError({"(body)": "is not JSON"}) from error
    if not isinstance(document, dict):
        raise FieldsError({"(body)": "must be a JSON object"})
    return document


def read_form(body: bytes) -> dict[str, Any]:
    """The fields of a URL-encoded form. Raises FieldsError where one is there twice."""
    pairs = parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True)
    document: dict[str, Any] = dict(pairs)
    if len(document) != len(pairs):
        raise FieldsError({"(body)": "names a field twice"})
    return document


def site_of(document: Mapping[str, Any], sites: Sites) -> Site:
    """The site a decision is about. Raises FieldsError."""
    key = document.get("site")
    site = next((site for site in sites if site.key == key), None)
    if site is None:
        raise FieldsError({"site": "is missing" if key is None else "is not a site of this server"})
    return site


def choice_from_json(document: Mapping[str, Any], site: Site) -> tuple[Choice, str]:
    """A script's decision and the earlier token it holds ("" if none).

    Raises FieldsError naming every field that does not fit, StaleNoticeError under a notice that is shown no longer.
    """
    faults = _strangers(document, (*_JSON_FIELDS, "token"))
    for name in _JSON_FIELDS[1:]:
        faults |= _fault(name, document, site)
    if not _is_text(document.get("token", ""), LONGEST_TOKEN):
        faults["token"] = f"must be text of at most {LONGEST_TOKEN} characters"
    if faults:
        raise FieldsError(faults)
    _require_current(document["notice"], site)
    said = document["decisions"]
    decisions = {key: said.get(key, said[purpose.key]) for key, purpose in site.asked.items()}
    everything = _ALL.get(document["method"])
    if everything is not None and set(decisions.values()) != {everything}:
        raise FieldsError({"method": "does not fit the decisions"})
    return Choice(site, decisions, document["method"], known(document["lang"])), document.get("token", "")


def choice_from_form(document: Mapping[str, Any], site: Site) -> Choice:
    """A decision made without script: `choice`, and for `save` one field `purpose.<key>` for each that is allowed.

    A service's key allows it and its purpose, a purpose's key all of its services. Raises FieldsError and
    StaleNoticeError as `choice_from_json` does.
    """
    boxes = {f"purpose.{key}": key for key in site.asked}
    faults = _strangers(document, (*_FORM_FIELDS, "lang", "return", *boxes))
    faults |= _fault("notice", document, site)
    choice = document.get("choice")
    if choice not in CHOICES:
        faults["choice"] = f"must be one of {', '.join(CHOICES)}"
    if faults:
        raise FieldsError(faults)
    _require_current(document["notice"], site)
    ticked = {key for box, key in boxes.items() if choice == "accept" or (choice == "save" and box in document)}
    decisions = {key: bool(ticked & _with(key, purpose)) for key, purpose in site.asked.items()}
    return Choice(site, decisions, FORM, known(str(document.get("lang") or site.language)))


def _with(key: str, purpose: Purpose) -> set[str]:
    """The keys of which each allows this one, in a form."""
    return {key, purpose.key} if key != purpose.key else {key, *(service.key for service in purpose.services)}


def read_departure(document: Mapping[str, Any]) -> tuple[str, str]:
    """Where a choice is to be taken, and the token that a script holds ("" if none). Raises FieldsError."""
    faults = _strangers(document, ("site", "to", "token")) | _text_faults(document, "to", "token")
    if "to" not in document:
        faults["to"] = "is missing"
    if faults:
        raise FieldsError(faults)
    return document["to"], document.get("token", "")


def read_arrival(document: Mapping[str, Any], site: Site) -> tuple[str, str]:
    """The text that carries a choice, and the language. Raises FieldsError, and StaleNoticeError under a notice that
    is shown no longer.
    """
    faults = _strangers(document, ("site", "handover", "notice", "lang")) | _text_faults(document, "handover")
    for name in ("notice", "lang"):
        faults |= _fault(name, document, site)
    if faults:
        raise FieldsError(faults)
    _require_current(document["notice"], site)
    return document["handover"], known(document["lang"])


def _text_faults(document: Mapping[str, Any], *names: str) -> dict[str, str]:
    texts = {name: document[name] for name in names if name in document}
    fault = f"must be text of at most {LONGEST_TOKEN} characters"
    return {name: fault for name, text in texts.items() if not _is_text(text, LONGEST_TOKEN)}


def withdrawal(document: Mapping[str, Any], site: Site) -> tuple[Choice, str]:
    """Everything optional off, and the earlier token if a script holds one. Raises FieldsError."""
    whole: dict[str, Any] = {
        "site": site.key,
        "notice": site.notice.sha256,
        "decisions": dict.fromkeys(site.asked, False),
        "method": "api",
        "lang": site.language,
    }
    return choice_from_json({**whole, **document}, site)


def signal(headers: Headers, site: Site) -> str:
    """The name of the privacy signal that a request carries and this site heeds, or "". It objects to everything that
    would run without a choice; a choice made on the site is worth more.
    """
    if headers.get("Sec-GPC") == "1":
        return GPC
    return DNT if site.do_not_track and headers.get("DNT") == "1" else ""


def decide(rooms: Rooms, choice: Choice, earlier: Receipt | None) -> Outcome:
    """Record a decision that follows on `earlier`. Raises UnavailableError, and then nothing has happened."""
    site, now = choice.site, rooms.settings.clock()
    before = earlier or Receipt(site.key, "", {}, "")
    more = {"method": choice.method, "lang": choice.lang, "id": before.id}
    made = receipt(site.key, site.notice.sha256, choice.decisions, now, **more)
    filed = made if made.id or not before.id else replace(made, id=before.id, time=now.strftime(SECOND))
    word = event(site, choice.decisions, before.decisions)
    rooms.ledger.append(_record(site, filed, word, site.notice.effective.isoformat(), _last_day(made)))
    purposes = {purpose.key: made.decisions[purpose.key] for purpose in site.optional}
    permit = rooms.seal.permit(site.key, made.notice, purposes, made.day) if made.given else ""
    return Outcome(made, filed.id, permit, rooms.seal.token(made), cookie_text(made, permit))


def heal(rooms: Rooms, site: Site, proof: Receipt) -> None:
    """Put a given decision back that a power cut took out of the ledger; the signed proof carries all of it.

    Not where anything was erased since: it may have been this, and of what was erased nothing is left that says so.
    """
    history = rooms.ledger.history(proof.id) if proof.id else []
    if not proof.id or any(proof.time == entry.record["time"] for entry in history):
        return
    if tombstones.newest(rooms.ledger) >= proof.time:
        return
    effective = {sha256: day for day, sha256 in rooms.ledger.notices()}.get(proof.notice)
    if effective is None or not proof.decisions.keys() <= _modes(site).keys():
        return
    rooms.ledger.append(_record(site, proof, "changed" if history else "given", effective, _last_day(proof)))


def event(site: Site, decisions: Mapping[str, bool], earlier: Mapping[str, bool]) -> str:
    """The record's word for a decision that follows on `earlier` ({} where there was none).

    What ran only by consent is withdrawn; what ran until objected to is objected to.
    """
    allowed, before = _allowed(decisions), _allowed(earlier)
    if allowed:
        return "changed" if before and allowed != before else "given"
    by_consent = {key for key, purpose in site.asked.items() if purpose.mode == "consent"}
    if before & by_consent:
        return "withdrawn"
    return "refused" if by_consent and not before else "objected"


def cookie_text(receipt: Receipt, permit: str) -> str:
    """The readable cookie: which notice, which day, each purpose, and the permit; nothing that tells visitors apart."""
    purposes = "+".join(f"{key}.{int(receipt.decisions[key])}" for key in sorted(receipt.decisions))
    return f"{receipt.notice[:8]}~{receipt.day}~{purposes}~{permit}"


def read_cookie_text(text: str, site: Site, now: datetime) -> tuple[date, dict[str, bool]] | None:
    """The day and decisions in a readable cookie while they hold for this site, else None. It is not signed."""
    parts = text.split("~")
    if not 4 <= len(parts) <= 5 or parts[0] != site.notice.short:  # the fifth: a script has yet to send it
        return None
    pairs = [pair.partition(".") for pair in parts[2].split("+")]
    decisions = {key: bit == "1" for key, _, bit in pairs}
    try:
        day = date.fromisoformat(parts[1])
    except ValueError:
        return None
    fits = decisions.keys() == site.asked.keys()
    return (day, decisions) if fits and day <= now.date() + timedelta(days=1) and now.date() < day + VALIDITY else None


def holds(proof: Receipt | None, site: Site) -> bool:
    """Whether that decision still answers what the site asks: the same notice, the same purposes and services."""
    return proof is not None and proof.notice == site.notice.sha256 and proof.decisions.keys() == site.asked.keys()


def _record(site: Site, made: Receipt, word: str, effective: str, last_day: str) -> ConsentRecord:
    return ConsentRecord(
        site=site.key,
        controller=site.controller,
        notice=made.notice,
        notice_effective=effective,
        bundle=bundle_sha256(),
        language=made.lang,
        method=made.method,
        event=word,
        decisions=_with_bases(site, made.decisions),
        time=made.time,
        valid_until=last_day,
        id=made.id,
    )


def _with_bases(site: Site, decisions: Mapping[str, bool]) -> dict[str, RecordedDecision]:
    modes = _modes(site)
    return {key: RecordedDecision(allowed, BASES[site.regime, modes[key]]) for key, allowed in decisions.items()}


def _modes(site: Site) -> dict[str, Mode]:
    """The mode of each purpose, and of each service that of its purpose."""
    of_services = {key: purpose.mode for key, purpose in site.asked.items()}
    return {purpose.key: purpose.mode for purpose in site.purposes} | of_services


def _last_day(made: Receipt) -> str:
    return (made.expires - timedelta(seconds=1)).date().isoformat()


def _allowed(decisions: Mapping[str, bool]) -> set[str]:
    return {purpose for purpose, allowed in decisions.items() if allowed}


def _strangers(document: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, str]:
    return {name[:64]: "is not a field here" for name in document if name not in names}


def _fault(name: str, document: Mapping[str, Any], site: Site) -> dict[str, str]:
    """What is the matter with one field, by its name; {} if nothing."""
    if name not in document:
        return {name: "is missing"}
    value = document[name]
    if name == "notice" and not (_is_text(value, 64) and _HASH.fullmatch(value)):
        return {name: "must be the SHA-256 of the notice, 64 hexadecimal digits"}
    if name == "method" and value not in _SCRIPT_METHODS:
        return {name: f"must be one of {', '.join(_SCRIPT_METHODS)}"}
    if name == "lang" and not (_is_text(value, 35) and _TAG.fullmatch(value)):
        return {name: "must be a language tag such as en or cy"}
    return _purpose_faults(value, site) if name == "decisions" else {}


def _purpose_faults(value: Any, site: Site) -> dict[str, str]:
    if not isinstance(value, dict):
        return {"decisions": "must be an object of purposes"}
    faults = {f"decisions.{key[:64]}": "is not asked by this site" for key in value if key not in site.asked}
    faults |= {f"decisions.{purpose.key}": "is missing" for purpose in site.optional if purpose.key not in value}
    for key, purpose in site.asked.items():
        if key in value and not isinstance(value[key], bool):
            faults[f"decisions.{key}"] = "must be true or false"
        elif value.get(key) is True and value.get(purpose.key) is False:
            faults[f"decisions.{key}"] = f"is allowed, but not its purpose {purpose.key}"
    return faults


def _is_text(value: Any, longest: int) -> bool:
    return isinstance(value, str) and len(value) <= longest


def _require_current(notice: str, site: Site) -> None:
    if not site.optional:
        raise FieldsError({"site": "has no optional purpose, so there is nothing to decide"})
    if notice != site.notice.sha256:
        raise StaleNoticeError(notice_facts(site))


def notice_facts(site: Site) -> dict[str, str]:
    """What is told of the current notice: its SHA-256 and from when it holds."""
    return {"sha256": site.notice.sha256, "effective": site.notice.effective.isoformat()}
