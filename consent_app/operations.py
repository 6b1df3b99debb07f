"""What an operator's tools ask: alive, ready, how many answers of which kind; and the page that says what this is."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from time import perf_counter
from typing import Final

from flask import Blueprint, Response, abort, current_app, g, jsonify, render_template, request
from flask.blueprints import BlueprintSetupState
from flask.typing import ResponseReturnValue

from consent_app import metrics as sheet
from consent_app.rooms import Rooms, rooms
from consent_app.timings import NAME as TIMINGS
from consent_app.timings import Timings, timings_of

LEAST_SPACE: Final = 16 * 1024 * 1024
SECURITY_VALID: Final = timedelta(days=180)

blueprint = Blueprint("operations", __name__)


class _NotReadyError(Exception):
    """What would not work now; its text says what to do."""


@blueprint.record_once
def _begin(state: BlueprintSetupState) -> None:
    state.app.extensions[TIMINGS] = Timings()


@blueprint.before_app_request
def _start() -> None:
    g.begun = perf_counter()


@blueprint.after_app_request
def _stop(answer: Response) -> Response:
    """Answers of the door before the application are timed there."""
    begun = g.pop("begun", None)
    if begun is not None:
        timings_of(current_app).add(
            _DOORS.get(request.endpoint or "", request.blueprint or "none"), perf_counter() - begun
        )
    return answer


@blueprint.get("/")
def front() -> ResponseReturnValue:
    """What this server is, and where its pages are."""
    return render_template("front.html", sites=rooms().sites)


@blueprint.get("/healthz")
def healthz() -> ResponseReturnValue:
    """The process answers."""
    return jsonify(alive=True), {"Cache-Control": "no-store"}


@blueprint.get("/readyz")
def readyz() -> ResponseReturnValue:
    """Whether decisions, beacons and the dashboard would work now: 200, or 503 naming what would not. Why not, and what
    helps, is said to the own network only.
    """
    found = {name: _fault(check) for name, check in _CHECKS.items()}
    ready = not any(found.values())
    faults = {name: fault for name, fault in found.items() if fault}
    told = {"faults": faults} if faults and _is_near() else {}
    checks = {name: not fault for name, fault in found.items()}
    return jsonify(ready=ready, checks=checks, **told), 200 if ready else 503, {"Cache-Control": "no-store"}


@blueprint.get("/metrics")
def metrics() -> ResponseReturnValue:
    """Counts since this process started and what is waiting now, as Prometheus text; only for the own network."""
    if not _is_near():
        abort(404)
    ready = {name: not _fault(check) for name, check in _CHECKS.items()}
    text = sheet.text(current_app, rooms(), ready)
    return Response(text, content_type=sheet.CONTENT_TYPE, headers={"Cache-Control": "no-store"})


@blueprint.get("/.well-known/security.txt")
def security() -> ResponseReturnValue:
    """Where to report a weakness (RFC 9116)."""
    settings = rooms().settings
    expires = (settings.clock() + SECURITY_VALID).strftime("%Y-%m-%dT00:00:00Z")
    origin = settings.public_url.rstrip("/")
    contact = settings.security_contact or f"{origin}/your-data/complaints"
    text = f"Contact: {contact}\nExpires: {expires}\nCanonical: {origin}/.well-known/security.txt\n"
    return Response(text, mimetype="text/plain")


def _fault(check: Callable[[Rooms], None]) -> str:
    """What would not work, "" if all would."""
    try:
        check(rooms())
    except Exception as error:  # whatever is the matter: it is not ready
        return str(error) or type(error).__name__
    return ""


def _ledger(here: Rooms) -> None:
    here.ledger.notices()
    if not here.ledger.takes_entries():
        raise _NotReadyError("the ledger cannot be written; give rights to it, or mount its disk for writing")
    _require_space(here.settings.home)


def _spool(here: Rooms) -> None:
    """Facts can be sealed and written; without the batch's key of this hour they are not taken."""
    if not here.spool.has_key():
        raise _NotReadyError("there is no key of this hour, so nothing is counted; run consent batch")
    if not os.access(here.settings.spool, os.R_OK | os.W_OK | os.X_OK):
        raise _NotReadyError(f"{here.settings.spool} cannot be used; give rights to it")
    _require_space(here.settings.spool)


def _statistics(here: Rooms) -> None:
    for site in here.sites:
        here.statistics.newest_day(site.key)


def _batch(here: Rooms) -> None:
    """Facts that wait longer than their site allows are lost with their keys."""
    age, hours = sheet.batch_age(here.settings), min((site.retention_hours for site in here.sites), default=24)
    if age is not None and age > hours * 3600:
        raise _NotReadyError(f"the batch came through last {age // 3600:.0f} hours ago; run consent batch")


_CHECKS: Final[dict[str, Callable[[Rooms], None]]] = {
    "ledger": _ledger, "spool": _spool, "statistics": _statistics, "batch": _batch,
}  # fmt: skip
# What has a histogram of its own; all else has that of its blueprint.
_DOORS: Final = {
    "collect.collect": "collect", "preference.decide_by_script": "consent", "preference.decide_by_form": "consent",
}  # fmt: skip


def _require_space(folder: Path) -> None:
    system = os.statvfs(folder)
    if system.f_bavail * system.f_frsize < LEAST_SPACE:
        raise _NotReadyError(f"the disk of {folder} is full; make room")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise _NotReadyError(f"{folder} cannot be written; give rights to it, or mount its disk for writing")


def _is_near() -> bool:
    """Exact counts are no business of the public: a request that came through a proxy is not from the own network."""
    if "X-Forwarded-For" in request.headers or "Forwarded" in request.headers:
        return False
    try:
        return ipaddress.ip_address(request.remote_addr or "").is_private
    except ValueError:
        return False
