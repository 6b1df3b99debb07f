"""The public log over HTTP (C2SP tlog-tiles), what anybody needs to check it, and receipts for who holds their id.

Nothing under /ledger/ is personal. A receipt is shown to whoever has its random id, which was given with the decision.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any, Final

from flask import Blueprint, Response, jsonify, render_template, request
from flask.typing import ResponseReturnValue

from consent_app.errors import FieldsError, NotFoundError, ProofError
from consent_app.languages import available, known
from consent_app.ledger import Entry
from consent_app.ledger.published import Published
from consent_app.ledger.tlog.tiles import Tile
from consent_app.receipt_document import MOST_EVENTS, build, sealed, sealing_keys
from consent_app.receipt_page import OWN, Wording, content, page, script_alone, source_hash
from consent_app.rooms import rooms
from consent_app.sites import Site

_ID: Final = re.compile(r"[0-9a-f]{32}")
_HASH: Final = re.compile(r"[0-9a-f]{64}")
_NUMBER: Final = re.compile(r"0|[1-9][0-9]{0,15}")
_TEXT: Final = "text/plain; charset=utf-8"
_BYTES: Final = "application/octet-stream"
_JSON_LD: Final = "application/ld+json"
_HTML: Final = "text/html; charset=utf-8"
_FRESH: Final = "public, max-age=2"
_MINUTE: Final = "public, max-age=60"
_FOR_EVER: Final = "public, max-age=31536000, immutable"
_PRIVATE: Final = "no-store"
_ASSETS: Final = {
    "receipt.css": "text/css; charset=utf-8",
    "receipt-log.js": "text/javascript; charset=utf-8",
    "receipt-check.js": "text/javascript; charset=utf-8",
    "receipt-verify.js": "text/javascript; charset=utf-8",
    "receipt.shapes.ttl": "text/turtle; charset=utf-8",
    "receipt.schema.json": "application/schema+json",
}

blueprint = Blueprint("transparency", __name__)


@blueprint.get("/ledger/checkpoint")
def checkpoint() -> ResponseReturnValue:
    """The newest signed checkpoint."""
    note = rooms().ledger.published.checkpoint()
    if note is None:
        raise NotFoundError("nothing is signed yet")
    return _answer(note, _TEXT, _FRESH)


@blueprint.get("/ledger/log.vkey")
def key() -> ResponseReturnValue:
    """The keys that sign it, one a line. Whoever verifies should have them from elsewhere too."""
    text = rooms().ledger.published.key()
    if not text:
        raise NotFoundError("nothing is signed yet")
    return _answer(text.encode(), _TEXT, _FRESH)


@blueprint.get("/ledger/notices/<sha256>")
def notice(sha256: str) -> ResponseReturnValue:
    """The exact text of a notice that was ever in force: its SHA-256 is its address."""
    text = rooms().ledger.notice(sha256) if _HASH.fullmatch(sha256) else None
    if text is None or hashlib.sha256(text.encode()).hexdigest() != sha256:
        raise NotFoundError("no notice with this SHA-256 was ever shown here")
    return _answer(text.encode(), _TEXT, _FOR_EVER)


@blueprint.get("/ledger/<path:path>")
def tile(path: str) -> ResponseReturnValue:
    """A tile of hashes, or a bundle of entries (which are hashes too), of the newest year's log.

    At this address lies the log of another year after New Year, so that nobody may keep it for long.
    """
    return _answer(_tile(rooms().ledger.published, path), _BYTES, _FRESH)


@blueprint.get("/ledger/<int(fixed_digits=4):year>/<path:path>")
def year_file(year: int, path: str) -> ResponseReturnValue:
    """What is published of one year's log, at an address that stays: checkpoint, key, tiles, and how it goes on."""
    ledger = rooms().ledger
    log = next((log for log in ledger.logs() if log.year == year), None)
    if log is None:
        raise NotFoundError("there is no log of that year here")
    published = log.of(ledger.published)
    texts = {"checkpoint": published.checkpoint, "log.vkey": published.own_key, "previous.json": published.link}
    if path not in texts:
        return _answer(_tile(published, path), _BYTES, _FOR_EVER)
    found = texts[path]()
    if found is None:
        raise NotFoundError("this log has no such file, or not yet")
    return _answer(found, _TEXT, _FRESH)


def _tile(published: Published, path: str) -> bytes:
    try:
        return published.tile(Tile.read(path))
    except ProofError as error:
        raise NotFoundError(str(error)) from error


@blueprint.get("/ledger/verify")
def verify() -> ResponseReturnValue:
    """The page that checks a receipt in the browser. A link may name one after the #, which is sent to nobody."""
    say = Wording(_language(""))
    html = render_template("verify.html", say=say.own, lang=say.lang, alone=None)
    answer = _answer(html.encode(), _HTML, _MINUTE)
    answer.vary.add("Accept-Language")
    return answer


@blueprint.get("/ledger/verify.html")
def verify_alone() -> ResponseReturnValue:
    """The same page as one file, to be kept and opened from disk: it asks no server for anything."""
    say = Wording(_language(""))
    style = "".join(content(name) for name in ("tokens.css", "page.css", "receipt/receipt.css"))
    parts = {"style": style, "script": script_alone()}
    hashes = {name: source_hash(part) for name, part in parts.items()}
    html = render_template("verify.html", say=say.own, lang=say.lang, alone=parts, hashes=hashes)
    answer = _answer(html.encode(), _HTML, _MINUTE)
    answer.headers["Content-Disposition"] = 'attachment; filename="verify.html"'
    return answer


@blueprint.get(f"/ledger/<any({', '.join(map(repr, _ASSETS))}):name>")
def asset(name: str) -> ResponseReturnValue:
    """What the pages of receipts need, here and through the host of a site; and what machines need to check one."""
    return _answer(content(f"receipt/{name}").encode(), _ASSETS[name], _MINUTE)


@blueprint.get("/v1/receipts/<record_id>.tlog-proof")
def proof(record_id: str) -> ResponseReturnValue:
    """The proof (C2SP tlog-proof) of the newest record of an id, or of entry `?entry=`; 202 until it is signed."""
    entry = request.args.get("entry")
    if entry is not None and not _NUMBER.fullmatch(entry):
        raise FieldsError({"entry": "must be the number of an entry"})
    _history(record_id)
    found = rooms().ledger.proof(record_id, None if entry is None else int(entry))
    return _answer(found.text, _TEXT, _PRIVATE) if found else _unsigned(record_id)


@blueprint.get("/v1/receipts/<record_id>")
def receipt(record_id: str) -> ResponseReturnValue:
    """The receipt of an id: JSON-LD, or for a browser the page to print; 202 until it is signed."""
    kinds = [_JSON_LD, "application/json", "text/html"]
    wanted = request.accept_mimetypes.best_match(kinds, _JSON_LD)
    answer = _page(record_id) if wanted == "text/html" else _json_ld(record_id)
    answer.vary.add("Accept")
    return answer


@blueprint.get("/v1/receipts/<record_id>.html")
def receipt_page(record_id: str) -> ResponseReturnValue:
    """The page to print."""
    return _page(record_id)


@blueprint.get("/v1/receipts/<record_id>.jsonld")
def receipt_file(record_id: str) -> ResponseReturnValue:
    """The receipt as a file to keep."""
    answer = _json_ld(record_id)
    answer.headers["Content-Disposition"] = f'attachment; filename="receipt-{record_id[:8]}.jsonld"'
    return answer


def _json_ld(record_id: str) -> Response:
    document = _document(_history(record_id))
    if document is None:
        return _unsigned(record_id)
    return _answer(json.dumps(document, ensure_ascii=False, indent=1).encode(), _JSON_LD, _PRIVATE)


def _page(record_id: str) -> Response:
    history = _history(record_id)
    newest = history[-1].record
    say = Wording(_language(newest["language"]))
    document = _document(history)
    shared: dict[str, Any] = {"lang": say.lang, "say": say, "site": _site(newest), "id": record_id}
    if document is None:
        html = render_template("receipt_waiting.html", **shared)
        return Response(html, 202, {"Retry-After": "1", "Cache-Control": _PRIVATE}, content_type=_HTML)
    html = render_template("receipt.html", page=page(document, say, rooms().settings.public_url), **shared)
    return _answer(html.encode(), _HTML, _PRIVATE)


def _history(record_id: str) -> list[Entry]:
    """Every consent entry of an id, oldest first. Raises NotFoundError."""
    history = rooms().ledger.history(record_id) if _ID.fullmatch(record_id) else []
    decisions = [entry for entry in history if entry.kind == "consent"]
    if not decisions:
        raise NotFoundError("there is no receipt of this id; a refusal has none")
    return decisions


def _document(history: list[Entry]) -> Mapping[str, Any] | None:
    """The sealed receipt; None while one of its entries is not signed."""
    here = rooms()
    kept = history[-MOST_EVENTS:]
    pairs = [(entry, here.ledger.proof(entry.record["id"], entry.seq)) for entry in kept]
    if not all(proof for _, proof in pairs):
        return None
    server, now = here.settings.public_url, here.settings.clock()
    known_keys = sealing_keys(here.ledger.published.key(), here.settings.secrets / "ledger.keys")
    return sealed(build(_site(kept[-1].record), pairs, server=server, made=now), known_keys)


def _site(record: Mapping[str, Any]) -> Site | None:
    """The site of a record, unless it is no longer declared."""
    return next((site for site in rooms().sites if site.key == record["site"]), None)


def _unsigned(record_id: str) -> Response:
    answer = jsonify(receipt=record_id, signed=False)
    answer.status_code = 202
    answer.headers.update({"Retry-After": "1", "Cache-Control": _PRIVATE})
    return answer


def _language(otherwise: str) -> str:
    """What the address asks for, else `otherwise`, else what the browser prefers of English and Welsh."""
    asked = request.args.get("lang", "").lower().partition("-")[0] or otherwise
    if asked in available():
        return known(asked)
    return request.accept_languages.best_match(OWN) or OWN[0]


def _answer(body: bytes, kind: str, kept: str) -> Response:
    return Response(body, content_type=kind, headers={"Cache-Control": kept})
