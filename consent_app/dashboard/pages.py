"""The dashboard's pages: all sites of an account, one site for one period, one card of it in full."""

from __future__ import annotations

from flask import Blueprint, current_app, g, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask.wrappers import Response

from anonymiser.errors import StatisticsError
from consent_app.dashboard import login, notebook_pages, shares
from consent_app.dashboard.notebook import Notebook, SavedView
from consent_app.dashboard.sight import visible, visible_site
from consent_app.dashboard.site_page import Place, site_page, table_page
from consent_app.dashboard.standing import overview
from consent_app.errors import NotFoundError
from consent_app.rooms import rooms

blueprint = Blueprint("dashboard", __name__, url_prefix="/dashboard")
blueprint.register_blueprint(login.blueprint)
blueprint.register_blueprint(notebook_pages.blueprint)
blueprint.register_blueprint(shares.blueprint)


@blueprint.before_request
def _require_user() -> ResponseReturnValue | None:
    """A shared page asks for its own link, every other one for an account."""
    return None if request.blueprint == "dashboard.shares" else login.require_user()


@blueprint.after_request
def _not_kept(response: Response) -> Response:
    """Pages of an account stay out of caches, so that nothing is left behind after signing out."""
    response.headers["Cache-Control"] = "no-store"
    return response


@blueprint.errorhandler(StatisticsError)
def _unreadable(error: StatisticsError) -> ResponseReturnValue:
    """The statistics file is damaged: the log says why, the page what to do."""
    current_app.logger.error("dashboard: %s", error)
    return render_template("dashboard/unreadable.html"), 503, {"Retry-After": "300"}


@blueprint.errorhandler(NotFoundError)
def _missing(error: NotFoundError) -> ResponseReturnValue:
    """A site that is not there, or not this account's to see."""
    return render_template("dashboard/missing.html"), error.status


@blueprint.get("/")
def sites() -> ResponseReturnValue:
    """Every site the account may see, with a sparkline and yesterday's figures, and the sum of all of them."""
    here = rooms()
    found = overview(here.statistics, visible(), here.settings.clock())
    return render_template("dashboard/sites.html", overview=found)


@blueprint.get("/<key>")
def site(key: str) -> ResponseReturnValue:
    """One site's figures. Raises NotFoundError for a site the account may not see; 400 for dates nobody can read."""
    shown = visible_site(key)
    return site_page(shown, _place(key), others=[s for s in visible() if s.key != key], saved_views=_saved(key))


@blueprint.get("/<key>/table/<name>")
def table(key: str, name: str) -> ResponseReturnValue:
    """One card in full. Raises NotFoundError for a site the account may not see, and for a card that is not there."""
    return table_page(visible_site(key), _place(key), name, saved_views=_saved(key))


def _saved(key: str) -> list[SavedView]:
    """The account's own views of the site."""
    return [view for view in Notebook.of(rooms().settings, key).pages().views if view.by == g.user.name]


def _place(key: str) -> Place:
    return Place(
        to=lambda query: url_for("dashboard.site", key=key, **query),
        table=lambda name, query: url_for("dashboard.table", key=key, name=name, **query),
    )
