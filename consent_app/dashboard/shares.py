"""A site's figures for whoever has the link: opt-in, one site, public or with a password, taken back at any time."""

from __future__ import annotations

from typing import Final

from flask import Blueprint, redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue
from flask.wrappers import Response
from flask_wtf import FlaskForm

from consent_app.dashboard.notebook import Notebook, Share, opens
from consent_app.dashboard.site_page import Place, site_page, table_page
from consent_app.errors import NotFoundError, RequestError
from consent_app.guard import limit_rate
from consent_app.rooms import rooms
from consent_app.sites import Site

PAGES_A_MINUTE: Final = 60
GUESSES_A_MINUTE: Final = 5
OPENED: Final = "shares"
MOST_OPENED: Final = 16

blueprint = Blueprint("shares", __name__, url_prefix="/shared/<key>/<token>")


class Opening(FlaskForm):  # type: ignore[misc]
    """Nothing but its CSRF token; a password is looked at and kept nowhere."""


@blueprint.before_request
def _not_too_often() -> None:
    """Raises RateError: tokens cannot be guessed, and nobody shall try."""
    limit_rate("shared page", PAGES_A_MINUTE)


@blueprint.after_request
def _not_found_by_search(response: Response) -> Response:
    response.headers["X-Robots-Tag"] = "noindex, nofollow"
    response.headers["Referrer-Policy"] = "no-referrer"
    return response


@blueprint.get("")
def shared(key: str, token: str) -> ResponseReturnValue:
    """The site's page. Raises NotFoundError for a link that is not there, or not any more."""
    site, share = _found(key, token)
    if not _is_open(share):
        return _door(site, key, token)
    return site_page(site, _place(key, token))


@blueprint.get("/table/<name>")
def table(key: str, token: str, name: str) -> ResponseReturnValue:
    """One card in full. Raises NotFoundError."""
    site, share = _found(key, token)
    if not _is_open(share):
        return redirect(url_for("dashboard.shares.shared", key=key, token=token), 303)
    return table_page(site, _place(key, token), name)


@blueprint.post("")
def enter(key: str, token: str) -> ResponseReturnValue:
    """Open a link by its password: 303 to its page. Raises NotFoundError, RequestError and RateError."""
    site, share = _found(key, token)
    limit_rate("shared password", GUESSES_A_MINUTE)
    if not Opening().validate():
        raise RequestError("this page was open for too long; go back, reload it and try again")
    if not (share.password and opens(share, request.form.get("password", "")[:256])):
        return _door(site, key, token, "That is not the password of this link.", 401)
    session[OPENED] = [*session.get(OPENED, []), share.id][-MOST_OPENED:]
    return redirect(url_for("dashboard.shares.shared", key=key, token=token), 303)


def _found(key: str, token: str) -> tuple[Site, Share]:
    site = next((site for site in rooms().sites if site.key == key), None)
    share = Notebook.of(rooms().settings, key).share(token) if site else None
    if site is None or share is None:
        raise NotFoundError("there is no such link, or it was taken back")
    return site, share


def _is_open(share: Share) -> bool:
    return not share.password or share.id in session.get(OPENED, [])


def _door(site: Site, key: str, token: str, problem: str = "", status: int = 200) -> ResponseReturnValue:
    """The question for the password; it says nothing of the figures."""
    place = _place(key, token)
    page = render_template("dashboard/door.html", site=site, place=place, form=Opening(), problem=problem)
    return page, status


def _place(key: str, token: str) -> Place:
    return Place(
        to=lambda query: url_for("dashboard.shares.shared", key=key, token=token, **query),
        table=lambda name, query: url_for("dashboard.shares.table", key=key, token=token, name=name, **query),
        shared=True,
    )
