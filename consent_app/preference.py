"""Decisions over HTTP: as JSON for scripts, as a form without them; and the page of what each site stores."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final, cast

from flask import Blueprint, Flask, jsonify, redirect, render_template, request, url_for
from flask.blueprints import BlueprintSetupState
from flask.typing import ResponseReturnValue
from werkzeug.urls import iri_to_uri
from werkzeug.wrappers import Response

from consent_app import door, handover, keepsakes
from consent_app.decisions import (
    Choice,
    Outcome,
    choice_from_form,
    choice_from_json,
    decide,
    heal,
    holds,
    notice_facts,
    read_arrival,
    read_departure,
    read_form,
    read_json,
    signal,
    site_of,
    withdrawal,
)
from consent_app.declared import page
from consent_app.door import Answer, Way, body_of, by_flask, response, ways
from consent_app.errors import FieldsError, StaleNoticeError
from consent_app.guard import LONGEST_DECISION, limit_rate, rates_of, read_body, require_own_page
from consent_app.languages import available, known, texts
from consent_app.receipts import Receipt
from consent_app.rights_texts import Speaker
from consent_app.rooms import NAME as ROOMS
from consent_app.rooms import Rooms, rooms
from consent_app.sites import Site

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

PATH: Final = "/v1/consent"
_JSON: Final = (("Content-Type", "application/json"), ("Cache-Control", "no-store"))
_spelt: Final = json.JSONEncoder(sort_keys=True, separators=(",", ":")).encode
_LOCAL: Final = re.compile(r"/(?![/\\])[^\x00-\x20\x7f\\]{0,1000}")

blueprint = Blueprint("preference", __name__)


@blueprint.record_once
def _open(state: BlueprintSetupState) -> None:
    """A way through the door of each application."""
    ways(cast(Flask, state.app))[PATH] = Way(decided, "preference.decide_by_script", "consent")


@blueprint.post(PATH)
def decide_by_script() -> ResponseReturnValue:
    """Take a decision as JSON: 201 with what the script keeps, once it is in the ledger."""
    return by_flask(decided)


def decided(app: Flask, environ: WSGIEnvironment) -> Answer:
    """Check a decision, the cheapest first, and record it."""
    here: Rooms = app.extensions[ROOMS]
    body = body_of(environ, "application/json", LONGEST_DECISION)
    rates_of(app).take("decision", environ.get("REMOTE_ADDR", ""), here.settings.decisions_per_minute)
    document = read_json(body)
    site = site_of(document, here.sites)
    door.require_own_page(environ, here.sites, site)
    return _answered(here, environ, *choice_from_json(document, site))


@blueprint.post("/v1/consent/handover")
def hand_over() -> ResponseReturnValue:
    """Take a choice to another site of the family: `{site, to, token?}` is answered with the text that carries it,
    `{site, handover, notice, lang}` there with what `decide_by_script` answers.
    """
    body = read_body("application/json", LONGEST_DECISION)
    _limit()
    document = read_json(body)
    site = site_of(document, rooms().sites)
    require_own_page(site)
    if "handover" in document:
        text, lang = read_arrival(document, site)
        choice = Choice(site, handover.redeem(rooms(), site, text), handover.METHOD, lang)
        return response(_answered(rooms(), request.environ, choice, ""))
    to, token = read_departure(document)
    proof = rooms().seal.open(token, site.key) if token else _proof(site)
    answer = jsonify(handover=handover.issue(rooms(), site, to, proof))
    answer.status_code = 201
    return _private(answer)


@blueprint.delete("/v1/consent")
def withdraw() -> ResponseReturnValue:
    """Withdraw everything optional; the body may carry `method`, `lang` and the `token` a script holds."""
    body = read_body("application/json", LONGEST_DECISION) if request.content_length else b"{}"
    _limit()
    site = _asked_site()
    require_own_page(site)
    choice, token = withdrawal(read_json(body), site)
    return response(_answered(rooms(), request.environ, choice, token))


@blueprint.get("/v1/consent")
def state() -> ResponseReturnValue:
    """What this visitor's proof says of a site, or what holds without one."""
    site = _asked_site()
    proof = _proof(site)
    if proof:
        heal(rooms(), site, proof)
    valid = proof if holds(proof, site) else None
    defaults = {key: purpose.by_default and not signal(request.headers, site) for key, purpose in site.asked.items()}
    said: dict[str, Any] = {
        "site": site.key,
        "notice": notice_facts(site),
        "decided": valid is not None,
        "decisions": dict(valid.decisions) if valid else defaults,
    }
    if valid and valid.id:
        said["receipt"] = valid.id
    return _private(jsonify(said))


@blueprint.post("/consent")
def decide_by_form() -> ResponseReturnValue:
    """Take a decision from a form, without script: 303 back to a page of the same site, once it is in the ledger."""
    body = read_body("application/x-www-form-urlencoded", LONGEST_DECISION)
    _limit()
    document = read_form(body)
    site = site_of(document, rooms().sites)
    require_own_page(site)
    if site.embed != "same-host":
        raise FieldsError({"site": "keeps choices in its own pages; use “Cookie settings” there"})
    back = local_path(document.get("return", ""))
    try:
        choice = choice_from_form(document, site)
    except StaleNoticeError as error:
        return _page(site, known(document.get("lang", "")), back=back, stale=True), error.status
    outcome = _record(rooms(), choice, _proof(site))
    there = back or url_for("preference.cookies", site=site.key, lang=choice.lang, saved=1)
    answer = redirect(iri_to_uri(there), 303)
    keepsakes.remember(answer, site, outcome)
    return _private(answer)


@blueprint.get("/cookies")
def cookies() -> ResponseReturnValue:
    """What a site stores and for what, and the form to choose without script."""
    key = request.args.get("site", "")
    site = rooms().sites.get(key) if key else rooms().sites.by_host(request.host)
    if site is None:
        return redirect(url_for("operations.front"))
    back = local_path(request.args.get("return", ""))
    return _page(site, _language(site), back=back, saved="saved" in request.args)


def local_path(address: str) -> str:
    """The address if it is a path on this host, else "": nobody is led to another site by a form."""
    return address if _LOCAL.fullmatch(address) else ""


def _answered(here: Rooms, environ: WSGIEnvironment, choice: Choice, token: str) -> Answer:
    """Record a choice that follows on that token, or on the proof that came with the request."""
    site = choice.site
    token = token or keepsakes.proof(environ)
    outcome = _record(here, choice, here.seal.open(token, site.key) if token else None)
    said = {
        "decisions": outcome.receipt.decisions,
        "permit": outcome.permit,
        "token": outcome.token,
        "receipt": outcome.record_id,
        "value": outcome.value,
    }
    kept = keepsakes.cookies(environ, site, outcome) if site.embed == "same-host" else ()
    return Answer(201, (*_JSON, *(("Set-Cookie", text) for text in kept)), f"{_spelt(said)}\n".encode())


def _record(here: Rooms, choice: Choice, earlier: Receipt | None) -> Outcome:
    if earlier:
        heal(here, choice.site, earlier)
    return decide(here, choice, earlier)


def _page(site: Site, lang: str, *, back: str = "", saved: bool = False, stale: bool = False) -> Response:
    sent = signal(request.headers, site)
    shown = page(site, lang, request.cookies.get(keepsakes.READABLE, ""), rooms().settings.clock(), signal=sent)
    address: dict[str, Any] = {"site": site.key, "lang": lang, "saved": 1, "return": back or None}
    languages = {tag: texts(tag)["endonym"] for tag in available()}
    html = render_template(
        "cookies.html",
        page=shown,
        lang=lang,
        dir=shown.texts["direction"],
        back=back,
        after=url_for("preference.cookies", **address),
        saved=saved and bool(shown.decided),
        stale=stale,
        languages=languages,
        your_data=Speaker(lang, site).frame("your_data"),
    )
    return _private(Response(html, mimetype="text/html"))


def _asked_site() -> Site:
    key = request.args.get("site")
    if not key:
        raise FieldsError({"site": "is missing from the query, as in /v1/consent?site=example"})
    return rooms().sites.get(key)


def _proof(site: Site) -> Receipt | None:
    return rooms().seal.open(request.cookies.get(keepsakes.PROOF, ""), site.key)


def _language(site: Site) -> str:
    """What the address asks for, else the browser, else the site."""
    asked = request.args.get("lang", "")
    if asked.lower().partition("-")[0] in available():
        return known(asked)
    return request.accept_languages.best_match(available()) or known(site.language)


def _limit() -> None:
    limit_rate("decision", rooms().settings.decisions_per_minute)


def _private(answer: Response) -> Response:
    """What is one visitor's stays out of caches."""
    answer.headers["Cache-Control"] = "no-store"
    return answer
