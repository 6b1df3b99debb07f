"""Where notes, views and shared links are written and taken away; everything is an ordinary form."""

from __future__ import annotations

from typing import Final

from flask import Blueprint, g, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_wtf import FlaskForm

from consent_app.dashboard.notebook import Notebook
from consent_app.dashboard.sight import visible_site
from consent_app.errors import FieldsError, NotFoundError, RequestError
from consent_app.rooms import rooms
from consent_app.users import Role

WRITES: Final[Role] = "admin"

blueprint = Blueprint("notebook", __name__)


class Writing(FlaskForm):  # type: ignore[misc]
    """Nothing but its CSRF token; what is written is read as it is kept."""


@blueprint.get("/<key>/notebook")
def notebook(key: str) -> ResponseReturnValue:
    """The notes, the account's views and, for an admin, the shared links of a site. Raises NotFoundError."""
    return _page(key)


@blueprint.post("/<key>/notebook")
def write(key: str) -> ResponseReturnValue:
    """Add or take away: 303 back, or the page with what was wrong. Raises NotFoundError and RequestError."""
    site = visible_site(key)
    if not Writing().validate():
        raise RequestError("this page was open for too long; go back, reload it and try again")
    book, what = Notebook.of(rooms().settings, site.key), request.form.get("what", "")
    if what not in ("view", "remove") and g.user.role != WRITES:
        raise NotFoundError("there is no such page for this account")
    try:
        token = _written(book, what)
    except FieldsError as error:
        field, wrong = next(iter(error.fields.items()))
        return _page(key, problem=f"The {field} {wrong}."), error.status
    if token:
        return _page(key, link=url_for("dashboard.shares.shared", key=key, token=token, _external=True))
    return redirect(url_for("dashboard.notebook.notebook", key=key), 303)


def _written(book: Notebook, what: str) -> str:
    """Do it; returns the token of a new link."""
    form, name = request.form, g.user.name
    if what == "note":
        book.add_note(form.get("day", ""), form.get("text", ""), name)
    elif what == "view":
        book.add_view(form.get("name", ""), form.get("query", ""), name)
    elif what == "share":
        today = rooms().settings.clock().date()
        return book.add_share(form.get("name", ""), form.get("password", ""), today, name)
    elif what == "remove":
        book.remove(form.get("id", ""), name, all_of_it=g.user.role == WRITES)
    return ""


def _page(key: str, *, link: str = "", problem: str = "") -> str:
    site = visible_site(key)
    pages = Notebook.of(rooms().settings, site.key).pages()
    own = [view for view in pages.views if view.by == g.user.name]
    return render_template(
        "dashboard/notebook.html",
        site=site,
        pages=pages,
        own=own,
        form=Writing(),
        link=link,
        problem=problem,
        may_write=g.user.role == WRITES,
        today=rooms().settings.clock().astimezone(site.zone).date(),
        query=request.args.get("query", "")[:2000],
        text=request.form.get("text", ""),
    )
