"""Complaints over HTTP: the form, its acknowledgement with a reference number, and where the answer is read."""

from __future__ import annotations

from typing import Final

from flask import Blueprint, Response, request
from flask.typing import ResponseReturnValue

from consent_app.complaints import DAYS, LONGEST, Complaints, normalised
from consent_app.errors import FieldsError
from consent_app.guard import limit_rate
from consent_app.rights.forms import asked_site, form, limit, page, see, speaker
from consent_app.rooms import rooms
from consent_app.sites import Site

PER_MINUTE: Final = 5

blueprint = Blueprint("complaints", __name__, url_prefix="/your-data/complaints")


@blueprint.get("")
def offer() -> ResponseReturnValue:
    """The form for a complaint, and the way to one that was made: `?reference=` leads to it."""
    site = asked_site()
    if site is None:
        return page("choose", speaker(None), sites=rooms().sites, to="complaints.offer")
    asked = request.args.get("reference")
    if asked is None:
        return _form(site)
    if not normalised(asked):
        return _form(site, 422, asked=asked[:64], problem="reference_wrong")
    return see("complaints.show", site, reference=normalised(asked))


@blueprint.post("")
def take() -> ResponseReturnValue:
    """Take a complaint: 303 to its page, which is its acknowledgement."""
    site, fields = form("text")
    limit_rate("complaint", PER_MINUTE)
    text = fields.get("text", "")
    try:
        made = _desk().open(site.key, text)
    except FieldsError:
        return _form(site, 422, text=text, problem="complaint_long" if text.strip() else "complaint_empty")
    return see("complaints.show", site, reference=made.reference)


@blueprint.get("/<reference>")
def show(reference: str) -> ResponseReturnValue:
    """One complaint: its number, its clock, what was written and what was answered. Raises NotFoundError."""
    limit()
    found = _desk().find(reference)
    site = next((site for site in rooms().sites if site.key == found.site), None)
    day = found.day(rooms().settings.clock())
    return page(
        "complaint", speaker(site), complaint=found, days=DAYS, day=min(day, DAYS), late=found.is_open and day > DAYS
    )


def _form(site: Site, status: int = 200, *, text: str = "", asked: str = "", problem: str = "") -> Response:
    shown = {"text": text, "asked": asked, "problem": problem}
    return page("complaints", speaker(site), status, days=DAYS, longest=LONGEST, **shown)


def _desk() -> Complaints:
    return Complaints.of(rooms().settings, rooms().ledger)
