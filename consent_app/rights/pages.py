"""`/your-data`: what is held, a copy, correction, objection, erasure. Everything works without JavaScript.

Who has the cookie or the receipt is who may ask; nobody is asked for a name. A receipt number never stands in an
address: it goes from page to page in the forms.
"""

from __future__ import annotations

import json
from datetime import date
from typing import Final

from flask import Blueprint, Response, current_app, request, send_from_directory
from flask.typing import ResponseReturnValue

from consent_app import keepsakes
from consent_app.decisions import FORM
from consent_app.errors import NotFoundError
from consent_app.ledger import tombstones
from consent_app.rights import exercise
from consent_app.rights.exercise import HeldError, Holding
from consent_app.rights.forms import asked_site, file, form, not_yet, page, see, speaker
from consent_app.rooms import rooms
from consent_app.sites import Site

DONE: Final = ("stopped", "stopped_elsewhere", "cleared")
_SEQ: Final = f"int(max={2**63 - 1})"  # what a database can look for

blueprint = Blueprint("rights", __name__, url_prefix="/your-data")


@blueprint.get("")
def overview() -> ResponseReturnValue:
    """What is held about whoever sends this cookie, and what they can do about it."""
    site = asked_site()
    if site is None:
        return page("choose", speaker(None), sites=rooms().sites, to="rights.overview")
    done = request.args.get("done", "")
    return _overview(site, _by_cookie(site), done=done if done in DONE else "")


@blueprint.post("")
def overview_by_receipt() -> ResponseReturnValue:
    """The same for whoever has a receipt: its number, or its file."""
    site, fields = form("receipt", "file")
    sent = request.files.get("file")
    text = f"{fields.get('receipt', '')} {sent.read().decode('utf-8', 'replace') if sent else ''}"
    if not exercise.numbers(text):
        return _overview(site, None, 422, problem="receipt_none")
    try:
        return _overview(site, exercise.by_receipt(rooms(), site, text))
    except NotFoundError:
        return _overview(site, None, 404, problem="receipt_unknown")


@blueprint.post("/copy")
def copy() -> ResponseReturnValue:
    """Everything held, as one JSON file."""
    site, _ = form("receipt")
    document = exercise.copy(rooms(), _holding(site))
    return file(json.dumps(document, indent=2, ensure_ascii=False), f"your-data-{site.key}.json")


@blueprint.post("/erase")
def erase() -> ResponseReturnValue:
    """Ask once more, then erase: 303 to the receipt of the erasure."""
    site, fields = form("receipt", "confirm")
    holding = _holding(site)
    if fields.get("confirm") != "yes":
        return page("erase", speaker(site), holding=holding)
    try:
        tombstone = exercise.erase(rooms(), holding)
    except HeldError as error:
        return page("held", speaker(site), error.status, until=error.hold.until)
    if tombstone:
        answer = see("rights.erased", site, seq=tombstone.seq)
    else:
        answer = see("rights.overview", site, done="cleared")
    keepsakes.forget(answer, site)
    return answer


@blueprint.get(f"/erasures/<{_SEQ}:seq>")
def erased(seq: int) -> ResponseReturnValue:
    """The receipt of an erasure, to read and to keep. It says nothing of what was erased."""
    tombstone = tombstones.find(rooms().ledger, seq)
    signed = tombstones.proof(rooms().ledger, tombstone) is not None
    return page("erased", speaker(asked_site()), tombstone=tombstone, signed=signed)


@blueprint.get(f"/erasures/<{_SEQ}:seq>.json")
def erasure_receipt(seq: int) -> ResponseReturnValue:
    """The same as JSON, with the proof in it; 202 until it is signed."""
    document = exercise.erasure_receipt(rooms(), tombstones.find(rooms().ledger, seq))
    return file(json.dumps(document, indent=2), f"erasure-{seq}.json") if document else not_yet()


@blueprint.get(f"/erasures/<{_SEQ}:seq>.tlog-proof")
def erasure_proof(seq: int) -> ResponseReturnValue:
    """Its proof alone (C2SP tlog-proof), for `consent ledger verify --proof`; 202 until it is signed."""
    proof = tombstones.proof(rooms().ledger, tombstones.find(rooms().ledger, seq))
    return file(proof.text, f"erasure-{seq}.tlog-proof", "text/plain; charset=utf-8") if proof else not_yet()


@blueprint.post("/object")
def stop() -> ResponseReturnValue:
    """Objection and restriction: everything optional goes off, at once; 303 back.

    The browser of a receipt that this one does not hold cannot be reached, and the page says what stops it there.
    """
    site, _ = form("receipt")
    holding, here = _holding(site), _by_cookie(site)
    outcome = exercise.stop(rooms(), holding, method=FORM, lang=speaker(site).lang)
    reached = here is not None and here.record_id == holding.record_id
    answer = see("rights.overview", site, done="stopped" if reached else "stopped_elsewhere")
    if here:
        keepsakes.remember(answer, site, outcome)
    return answer


@blueprint.get("/style.css")
def style() -> ResponseReturnValue:
    """What these pages look like; here, so that every proxy that hands on the pages hands it on too."""
    return send_from_directory(str(current_app.static_folder), "rights.css", max_age=3600)


def _overview(site: Site, holding: Holding | None, status: int = 200, *, done: str = "", problem: str = "") -> Response:
    kept_until = _kept_until(holding) if holding else None
    more = {"done": done, "problem": problem, "kept_until": kept_until, "stop_at": exercise.stopped_at(site)}
    return page("overview", speaker(site), status, holding=holding, **more)


def _kept_until(holding: Holding) -> date | None:
    return max((exercise.kept_until(holding.site, entry.record) for entry in holding.entries), default=None)


def _holding(site: Site) -> Holding:
    """By the receipt that the form carries, else by cookie. Raises NotFoundError where there is neither."""
    receipt = request.form.get("receipt", "")
    holding = exercise.by_receipt(rooms(), site, receipt) if receipt else _by_cookie(site)
    if holding is None:
        raise NotFoundError("without the cookie of a choice or a receipt nobody can tell which record is yours")
    return holding


def _by_cookie(site: Site) -> Holding | None:
    return exercise.by_cookie(rooms(), site, request.cookies.get(keepsakes.RIGHTS, ""))
