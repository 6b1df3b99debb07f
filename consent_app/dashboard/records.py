"""What accounts of the roles admin and auditor see besides figures: the record of processing activities, complaints."""

from __future__ import annotations

from typing import Final

from flask import Blueprint, g, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_wtf import FlaskForm

from consent_app import ropa
from consent_app.complaints import DAYS, LONGEST, Complaint, Complaints
from consent_app.errors import FieldsError, NotFoundError, RequestError
from consent_app.rooms import rooms
from consent_app.users import Role

READERS: Final[tuple[Role, ...]] = ("admin", "auditor")
ANSWERS: Final[Role] = "admin"

blueprint = Blueprint("records", __name__, url_prefix="/records")


class Answering(FlaskForm):  # type: ignore[misc]
    """Nothing but its CSRF token; the text is read as it is kept."""


@blueprint.before_request
def _require_role() -> None:
    """Raises NotFoundError: for everybody else there is no such page."""
    user = g.get("user")  # None where the dashboard has just sent somebody to sign in
    if user is not None and user.role not in READERS:
        raise NotFoundError("there is no such page for this account")


@blueprint.get("/")
def activities() -> ResponseReturnValue:
    """The record of processing activities of the account's sites."""
    here = rooms()
    return render_template("records/ropa.html", **ropa.shown(here.settings, (s for s in here.sites if _may(s.key))))


@blueprint.get("/complaints")
def complaints() -> ResponseReturnValue:
    """Every complaint about the account's sites, the most urgent first."""
    found = _desk().of_sites(site.key for site in rooms().sites if _may(site.key))
    return render_template("records/complaints.html", found=found, days=DAYS, now=rooms().settings.clock())


@blueprint.get("/complaints/<reference>")
def complaint(reference: str) -> ResponseReturnValue:
    """One complaint, and the form to answer it. Raises NotFoundError."""
    return _page(_found(reference))


@blueprint.post("/complaints/<reference>")
def answer(reference: str) -> ResponseReturnValue:
    """Answer it, and close it unless it is to stay open: 303 back. Raises NotFoundError and RequestError."""
    found = _found(reference)
    if g.user.role != ANSWERS:
        raise NotFoundError("there is no such page for this account")
    if not Answering().validate():
        raise RequestError("this page was open for too long; go back, reload it and answer again")
    text = request.form.get("text", "")
    try:
        _desk().answer(found.reference, text, close=request.form.get("then") != "open")
    except FieldsError as error:
        return _page(found, text, "The answer " + error.fields["text"] + "."), error.status
    return redirect(url_for("dashboard.records.complaint", reference=found.reference), 303)


def _page(found: Complaint, text: str = "", problem: str = "") -> str:
    return render_template(
        "records/complaint.html",
        complaint=found,
        days=DAYS,
        longest=LONGEST,
        now=rooms().settings.clock(),
        form=Answering(),
        may_answer=g.user.role == ANSWERS,
        text=text,
        problem=problem,
    )


def _found(reference: str) -> Complaint:
    """Of another account's site it is not there."""
    found = _desk().find(reference)
    if not _may(found.site):
        raise NotFoundError("there is no complaint of this reference number")
    return found


def _may(site: str) -> bool:
    return bool(g.user.may_see(site))


def _desk() -> Complaints:
    return Complaints.of(rooms().settings, rooms().ledger)
