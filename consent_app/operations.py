"""What an operator's tools ask: alive, ready, how many answers of which kind; and the page that says what this is."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Final

from flask import Blueprint, Response, abort, jsonify, render_template, request
from flask.typing import ResponseReturnValue

from consent_app.guard import tally
from consent_app.rooms import Rooms, rooms

LEAST_SPACE: Final = 16 * 1024 * 1024
SECURITY_VALID: Final = timedelta(days=180)

blueprint = Blueprint("operations", __name__)


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
    """Whether decisions, beacons and the dashboard would work now: 200, or 503 naming what would not."""
    checks = {name: _holds(check) for name, check in _CHECKS.items()}
    ready = all(checks.values())
    return jsonify(ready=ready, checks=checks), 200 if ready else 503, {"Cache-Control": "no-store"}


@blueprint.get("/metrics")
def metrics() -> ResponseReturnValue:
    """Counts since this process started, as Prometheus text; none of one site, and only for the own network."""
    if not _is_near():
        abort(404)
    lines = ["# HELP consent_responses_total Answers since the start.", "# TYPE consent_responses_total counter"]
    for (endpoint, status, reason), count in sorted(tally().counts().items()):
        more = f',reason="{reason}"' if reason else ""
        lines.append(f'consent_responses_total{{endpoint="{endpoint}",status="{status}"{more}}} {count}')
    return Response("\n".join(lines) + "\n", mimetype="text/plain", headers={"Cache-Control": "no-store"})


@blueprint.get("/.well-known/security.txt")
def security() -> ResponseReturnValue:
    """Where to report a weakness (RFC 9116)."""
    settings = rooms().settings
    expires = (settings.clock() + SECURITY_VALID).strftime("%Y-%m-%dT00:00:00Z")
    origin = settings.public_url.rstrip("/")
    text = f"Contact: {origin}/\nExpires: {expires}\nCanonical: {origin}/.well-known/security.txt\n"
    return Response(text, mimetype="text/plain")


def _holds(check: Callable[[Rooms], bool]) -> bool:
    try:
        return check(rooms())
    except Exception:  # whatever is the matter: it is not ready
        return False


def _ledger(here: Rooms) -> bool:
    here.ledger.notices()
    return here.ledger.takes_entries() and _has_space(here.settings.home)


def _spool(here: Rooms) -> bool:
    """Facts can be sealed and written; without the batch's key of this hour they are not taken."""
    return (
        here.spool.has_key()
        and os.access(here.settings.spool, os.R_OK | os.W_OK | os.X_OK)
        and _has_space(here.settings.spool)
    )


def _statistics(here: Rooms) -> bool:
    for site in here.sites:
        here.statistics.newest_day(site.key)
    return True


_CHECKS: Final[dict[str, Callable[[Rooms], bool]]] = {"ledger": _ledger, "spool": _spool, "statistics": _statistics}


def _has_space(folder: Path) -> bool:
    system = os.statvfs(folder)
    return system.f_bavail * system.f_frsize >= LEAST_SPACE and os.access(folder, os.W_OK | os.X_OK)


def _is_near() -> bool:
    """Exact counts are no business of the public: a request that came through a proxy is not from the own network."""
    if "X-Forwarded-For" in request.headers or "Forwarded" in request.headers:
        return False
    try:
        return ipaddress.ip_address(request.remote_addr or "").is_private
    except ValueError:
        return False
