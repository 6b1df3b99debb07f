"""The dashboard's two pages: all sites of an account, and one site for one period."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

from flask import Blueprint, abort, g, render_template, request
from flask.typing import ResponseReturnValue
from flask.wrappers import Response

from consent_app.dashboard import login
from consent_app.dashboard.certainty import certainty
from consent_app.dashboard.overview import METRICS, late, local_day, summary, view, waiting
from consent_app.dashboard.periods import DEFAULT, NAMES, Period, PeriodError, asked, named
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


@blueprint.get("/")
def sites() -> ResponseReturnValue:
    """Every site the account may see, with a sparkline and yesterday's figures."""
    here = rooms()
    now = here.settings.clock()
    summaries = [summary(here.statistics, s.key, s.name, s.zone, now) for s in _visible()]
    return render_template("dashboard/sites.html", summaries=summaries)


@blueprint.get("/<key>")
def site(key: str) -> ResponseReturnValue:
    """One site's figures. Answers 404 for a site the account may not see, 400 for dates that cannot be read."""
    shown = next((s for s in _visible() if s.key == key), None) or abort(404)
    here = rooms()
    now = here.settings.clock()
    today = local_day(now, shown.zone)
    releases = here.statistics.releases(key)
    common = {"site": shown, "others": [s for s in _visible() if s.key != key]}
    if not releases:
        return render_template("dashboard/site.html", **common, waiting=waiting(today))
    period, problem = _period(request.args, today, min(r.period_start for r in releases))
    metric = request.args.get("metric", "")
    metric = metric if metric in METRICS else "views"
    page = render_template(
        "dashboard/site.html",
        **common,
        view=view(here.statistics, key, period, metric, today),
        sure=certainty(releases[-1]),
        late=late(here.statistics.newest_day(key), now, shown.zone),
        period=period,
        metric=metric,
        metric_query={} if metric == "views" else {"metric": metric},
        names=NAMES,
        problem=problem,
        dates=_dates(period, problem),
        today=today,
    )
    return page, 400 if problem else 200


def _visible() -> list[Site]:
    return [s for s in rooms().sites if g.user.may_see(s.key)]


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
