"""The dashboard's two pages: all sites of an account, and one site for one period."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

from flask import Blueprint, current_app, g, render_template, request
from flask.typing import ResponseReturnValue
from flask.wrappers import Response

from anonymiser.errors import StatisticsError
from consent_app.dashboard import login
from consent_app.dashboard.certainty import certainty
from consent_app.dashboard.overview import METRICS, Asked, view
from consent_app.dashboard.periods import BEFORE, COMPARISONS, DEFAULT, NAMES, Period, PeriodError, asked, named
from consent_app.dashboard.standing import late, local_day, summary, waiting
from consent_app.errors import NotFoundError
from consent_app.rooms import rooms
from consent_app.sites import Site

blueprint = Blueprint("dashboard", __name__, url_prefix="/dashboard")
blueprint.register_blueprint(login.blueprint)
blueprint.before_request(login.require_user)


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
    """Every site the account may see, with a sparkline and yesterday's figures."""
    here = rooms()
    now = here.settings.clock()
    return render_template("dashboard/sites.html", summaries=[summary(here.statistics, s, now) for s in _visible()])


@blueprint.get("/<key>")
def site(key: str) -> ResponseReturnValue:
    """One site's figures. Raises NotFoundError for a site the account may not see; 400 for dates nobody can read."""
    shown = _site(key)
    here = rooms()
    now = here.settings.clock()
    today = local_day(now, shown.zone)
    releases = here.statistics.releases(key)
    common = {"site": shown, "others": [s for s in _visible() if s.key != key], "today": today}
    if not releases:
        return render_template("dashboard/site.html", **common, waiting=waiting(today))
    first = min(release.period_start for release in releases)
    period, problem = _period(request.args, today, first)
    question = Asked(period, _choice("metric", METRICS, "views"), _choice("compare", COMPARISONS, BEFORE))
    page = render_template(
        "dashboard/site.html",
        **common,
        asked=question,
        kept=_kept(question),
        view=view(here.statistics, key, question, first, today),
        sure=certainty(releases[-1]),
        late=late(here.statistics.newest_day(key), now, shown.zone),
        names=NAMES,
        comparisons=COMPARISONS,
        problem=problem,
        dates=_dates(period, problem),
    )
    return page, 400 if problem else 200


def _visible() -> list[Site]:
    return [s for s in rooms().sites if g.user.may_see(s.key)]


def _site(key: str) -> Site:
    """A site that is not there and one that may not be seen get the same answer."""
    for shown in _visible():
        if shown.key == key:
            return shown
    raise NotFoundError("there is no such site among those of this account")


def _choice(name: str, choices: Mapping[str, str], usual: str) -> str:
    chosen = request.args.get(name, usual)
    return chosen if chosen in choices else usual


def _kept(question: Asked) -> dict[str, str]:
    """What a link to other days keeps in the address."""
    usual = Asked(question.period)
    chosen = {"metric": question.metric, "compare": question.comparison}
    return {name: value for name, value in chosen.items() if value not in (usual.metric, usual.comparison)}


def _period(arguments: Mapping[str, str], today: date, first: date) -> tuple[Period, PeriodError | None]:
    """The period asked for; when it cannot be read, the usual one and what is wrong."""
    try:
        return asked(arguments, today, first), None
    except PeriodError as problem:
        return named(DEFAULT, today, first), problem


def _dates(period: Period, problem: PeriodError | None) -> dict[str, Any]:
    """What stands in the two date fields: what was typed when it was wrong, else the days shown."""
    shown = {"from": period.start.isoformat(), "to": period.end.isoformat()}
    return {name: request.args.get(name, "")[:10] for name in shown} if problem and problem.field else shown
