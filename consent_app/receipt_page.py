"""The printable page of a receipt, as values: the same facts as the document, in words, and a code that leads to it."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import cache
from importlib.resources import files
from typing import Any, Final

import segno
from markupsafe import Markup, escape

from consent_app.languages import available, known, texts
from consent_app.ledger.tlog.checkpoint import Checkpoint
from consent_app.ledger.tlog.note import parse
from consent_app.ledger.tlog.proof import Proof
from consent_app.receipt_document import KEPT_CHOICE, KEPT_FACTS, SESSION_ENDS

OWN: Final = ("en", "cy")
SCRIPTS: Final = ("receipt-log.js", "receipt-check.js", "receipt-verify.js")
# What the document says of its own accord, and in English, has a text in each of our languages.
_OURS: Final = {KEPT_CHOICE: "choice_itself", KEPT_FACTS: "page_facts"}


class Wording:
    """Says our own texts in English or Welsh. Who wants another language of the banner's reads English under a heading
    in that language, which is marked as such (WCAG 2.2, 3.1.2).
    """

    def __init__(self, lang: str) -> None:
        self.lang = lang if lang in OWN else OWN[0]
        self.catalogue = texts(self.lang)
        self.own = words(self.lang)
        self.title = texts(lang)["receipt"]
        self.heading = self.text({"@value": self.title, "@language": known(lang)})

    def __call__(self, key: str, **facts: str) -> Markup:
        """A text, its places filled."""
        return escape(self.own[key]).format(**facts)

    def day(self, day: str) -> str:
        """A day of the calendar."""
        found = date.fromisoformat(day[:10])
        month = self.catalogue["months"].split()[found.month - 1]
        return self.catalogue["date"].format(day=found.day, month=month, year=found.year)

    def moment(self, time: str) -> str:
        """A UTC moment, to the second."""
        return f"{self.day(time)}, {time[11:19]} UTC"

    def text(self, value: Any) -> Markup:
        """A text of the document, marked where it is in another language than the page."""
        if not isinstance(value, Mapping):
            return escape(value)
        said, tag = value["@value"], value.get("@language", self.lang)
        primary = tag.partition("-")[0]
        if primary == self.lang:
            return escape(said)
        direction = texts(primary)["direction"] if primary in available() else "auto"
        return Markup('<span lang="{}" dir="{}">{}</span>').format(tag, direction, said)


@dataclass(frozen=True, slots=True)
class Decided:
    """One purpose or service: what it is, whether it is allowed, on which basis, who else receives something."""

    title: Markup
    description: Markup
    allowed: bool
    basis: str
    recipients: str
    kept: tuple[Markup, ...]


@dataclass(frozen=True, slots=True)
class Happened:
    """One event: what was done, when, how, and until when it holds."""

    what: Markup
    when: str
    how: Markup
    until: str
    entry: int


@dataclass(frozen=True, slots=True)
class Page:
    """Everything the page says; `link` is where the code leads."""

    say: Wording
    id: str
    site: str
    controller: str
    made: str
    decided: tuple[Decided, ...]
    events: tuple[Happened, ...]
    notice_day: str
    notice_sha256: str
    notice_address: str
    notice_language: str
    change: str
    rights: str
    proof: tuple[tuple[str, str], ...]
    link: str
    code: Markup


def page(document: Mapping[str, Any], say: Wording, server: str) -> Page:
    """The page of a sealed receipt; `server` is the public origin, where the code leads."""
    record = document["dpv:hasRecordOfActivity"]
    events, notice = record["dpv:hasConsentStatus"], record["dpv:hasNotice"]
    link = fragment_link(server, record["dct:identifier"])
    return Page(
        say=say,
        id=record["dct:identifier"],
        site=record["dpv:hasDataController"]["dct:identifier"],
        controller=record["dpv:hasDataController"]["dpv:hasName"],
        made=say.moment(document["dct:created"]),
        decided=tuple(_decided(process, say) for process in record["dpv:hasProcess"]),
        events=tuple(_happened(event, say) for event in reversed(events)),
        notice_day=say.day(notice["dct:date"]),
        notice_sha256=notice["app:sha256"],
        notice_address=notice["dct:source"],
        notice_language=texts(notice["dct:language"])["endonym"],
        change=record["dpv:hasConsentControl"]["dpv:isExercisedAt"],
        rights=record["dpv:hasDataController"]["dpv:hasContact"],
        proof=tuple(_proof(events[-1]["app:proof"])),
        link=link,
        code=_code(link),
    )


def fragment_link(server: str, record_id: str) -> str:
    """Where a receipt is fetched and checked in a browser. What stands after # is not sent to any server."""
    short = base64.urlsafe_b64encode(bytes.fromhex(record_id)).decode().rstrip("=")
    return f"{server.rstrip('/')}/ledger/verify#receipt={short}"


@cache
def words(lang: str) -> Mapping[str, str]:
    """Our own texts in English or Welsh, by name."""
    file = f"{lang if lang in OWN else OWN[0]}.json"
    found: dict[str, str] = json.loads(files("consent_app").joinpath("receipt_texts", file).read_text("utf-8"))
    return found


@cache
def content(name: str) -> str:
    """The text of one of our static files."""
    return files("consent_app").joinpath("static", name).read_text("utf-8")


@cache
def script_alone() -> str:
    """The scripts of the page that checks receipts as one, for the page that is kept as one file."""
    whole = "\n".join(content(f"receipt/{name}") for name in SCRIPTS)
    return re.sub(r"^export |^import .*$", "", whole, flags=re.MULTILINE)


def source_hash(text: str) -> str:
    """What a Content Security Policy allows an inline script or style by."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _decided(process: Mapping[str, Any], say: Wording) -> Decided:
    what = process.get("dpv:hasService") or process["dpv:hasPurpose"]
    names = [party["dpv:hasName"] for party in process["dpv:hasRecipient"] if "dpv:hasName" in party]
    listed = ", ".join(names)
    return Decided(
        title=say.text(what["dct:title"]),
        description=say.text(what.get("dct:description", "")),
        allowed=process["app:allowed"],
        basis=process["dpv:hasLegalBasis"]["dct:title"],
        recipients=say.catalogue["shared"].format(parties=listed) if names else "",
        kept=tuple(_kept(condition, say) for condition in process["dpv:hasStorageCondition"]),
    )


def _kept(condition: Mapping[str, Any], say: Wording) -> Markup:
    """A stored thing and how long it is kept."""
    lasting = condition["dpv:hasDuration"]["rdf:value"]
    value = lasting["@value"]
    if lasting.get("@type") == "xsd:date":
        span = say("until", day=say.day(value))
    elif value.startswith("P") and value.endswith("D"):
        span = escape(say.catalogue["cookies_days"].format(days=value[1:-1]))
    elif value.startswith("PT"):
        span = say("hours", hours=value[2:-1])
    else:
        session = value == SESSION_ENDS
        span = escape(say.catalogue["cookies_session" if session else "cookies_cleared"])
    title = condition["dct:title"]
    ours = _OURS.get(title["@value"]) if isinstance(title, Mapping) else None
    return Markup("{}: {}").format(say(ours) if ours else say.text(title), span)


def _happened(event: Mapping[str, Any], say: Wording) -> Happened:
    return Happened(
        what=say(f"event_{event['app:event']}"),
        when=say.moment(event["dpv:isIndicatedAtTime"]),
        how=say(f"method_{event['dpv:hasIndicationMethod']}"),
        until=say.day(event["dpv:hasDuration"]["rdf:value"]["@value"]),
        entry=event["app:entry"],
    )


def _proof(text: str) -> list[tuple[str, str]]:
    """What somebody needs who checks the newest event by hand from paper: (name of a text, value)."""
    proof = Proof.read(text.encode())
    checkpoint = Checkpoint.read(parse(proof.checkpoint)[0])
    return [
        ("log", checkpoint.origin),
        ("entry", f"{proof.index} / {checkpoint.size}"),
        ("root", checkpoint.root.hex()),
        ("nonce", proof.extra.hex()),
    ]


def _code(link: str) -> Markup:
    """A QR code (ISO/IEC 18004) as inline SVG, always dark on light: readers want it so."""
    drawn = segno.make(link, error="m").svg_inline(
        border=4, omitsize=True, dark="#000", light="#fff", svgclass=None, lineclass=None
    )
    return Markup(drawn)  # noqa: S704 - segno draws it from our own link; there is no text in it
