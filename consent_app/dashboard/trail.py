"""Who of the staff did what, when: the audit trail, for accounts of every site with the role auditor or admin."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date
from itertools import islice
from typing import Final

from flask import Blueprint, Response, current_app, g, render_template, request
from flask.typing import ResponseReturnValue

from consent_app.audit import WHATS, Entry, Trail, What
from consent_app.errors import AuditError, NotFoundError
from consent_app.rooms import rooms
from consent_app.users import Role

READERS: Final[tuple[Role, ...]] = ("admin", "auditor")
PAGE: Final = 100
KINDS: Final = ("note", "view", "share", "remove")

# What else of the dashboard leaves an entry once it was done: endpoint -> what it is.
WATCHED: Final[Mapping[str, What]] = {
    "dashboard.records.answer": "complaint answered",
    "dashboard.exports.export": "export",
    "dashboard.notebook.write": "notebook changed",
}

blueprint = Blueprint("trail", __name__, url_prefix="/records/audit")


@blueprint.before_request
def _require_role() -> None:
    """Raises NotFoundError: for everybody else, and for an account of some sites only, there is no such page."""
    user = g.get("user")  # None where the dashboard has just sent somebody to sign in
    if user is not None and (user.role not in READERS or user.sites):
        raise NotFoundError("there is no such page for this account")


@blueprint.get("")
def entries() -> ResponseReturnValue:
    """The newest entries first, a hundred a page; filtered by account, kind and days."""
    trail = Trail.of(rooms().settings)
    asked = {name: request.args.get(name, "")[:64].strip() for name in ("who", "what", "from", "to")}
    page = max(request.args.get("page", 1, int), 1)
    found = list(islice(_filtered(trail.entries(), asked), (page - 1) * PAGE, page * PAGE + 1))
    return render_template(
        "records/audit.html",
        found=found[:PAGE],
        more=len(found) > PAGE,
        page=page,
        asked=asked,
        kept={name: value for name, value in asked.items() if value},
        whats=sorted(WHATS),
        fault=trail.fault(),
        months=rooms().settings.audit_months,
    )


def watch(answer: Response) -> Response:
    """After every answer of the dashboard: what was done, and what an account was refused."""
    user, endpoint = g.get("user"), request.endpoint or ""
    what = WATCHED.get(endpoint) if answer.status_code < 400 else None
    if user is not None and answer.status_code in (403, 404):
        what = "refused"
    if user is None or what is None:
        return answer
    try:
        Trail.of(rooms().settings).add(what, user.name, _about(what))
    except AuditError as error:
        return current_app.make_response(current_app.handle_user_exception(error))
    return answer


def _about(what: What) -> str:
    """Which part of the dashboard, of which site where there is such a site, and what was done to its notebook."""
    part = (request.endpoint or "").removeprefix("dashboard.")
    if what == "refused":
        return part
    kind = request.form.get("what", "")
    known = (part, (request.view_args or {}).get("key", ""), kind if kind in KINDS else "")
    return " ".join(filter(None, known))


def _filtered(found: Iterator[Entry], asked: dict[str, str]) -> Iterator[Entry]:
    """Days that nobody can read hold nothing back."""
    first, last = _day(asked["from"]), _day(asked["to"])
    for entry in found:
        if first and entry.time[:10] < first:
            return
        if not last or entry.time[:10] <= last:
            who, what = asked["who"].lower(), asked["what"]
            if who in ("", entry.who) and what in ("", entry.what):
                yield entry


def _day(text: str) -> str:
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError:
        return ""
