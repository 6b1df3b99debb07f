"""`GET /dashboard/<site>/export`: what the page shows, or one card of it, as a data package."""

from __future__ import annotations

from flask import Blueprint, Response, g, request
from flask.typing import ResponseReturnValue

from consent_app.dashboard.exports.package import FORMATS, About, package
from consent_app.dashboard.exports.tables import FILTERS, TITLES, releases, tables
from consent_app.dashboard.periods import Period, PeriodError, asked
from consent_app.dashboard.standing import local_day
from consent_app.errors import FieldsError, NotFoundError, RequestError
from consent_app.rooms import rooms
from consent_app.sites import Site

blueprint = Blueprint("exports", __name__)


@blueprint.get("/<key>/export")
def export(key: str) -> ResponseReturnValue:
    """A ZIP of released figures: `format`, `card` (a statistic; without it all), and the arguments of the page.

    Raises NotFoundError for a site this account may not see, FieldsError and RequestError for arguments.
    """
    site = _site(key)
    chosen, names = _choice()
    here, filters = rooms(), _filters()
    found = here.statistics.releases(key)
    first = min((release.period_start for release in found), default=None)
    today = local_day(here.settings.clock(), site.zone)
    try:
        period = asked(request.args, today, first)
    except PeriodError as problem:
        raise RequestError(str(problem)) from problem
    cells = here.statistics.released(key, names, period.start, period.end)
    parts = [each for each in tables(cells, names, filters) if each.rows or len(names) == 1]
    spoken_of = {row["release_id"] for part in parts for row in part.rows}
    parts.append(releases(release for release in found if release.release_id in spoken_of))
    content = package(parts, chosen, _about(site, period, filters))
    return Response(content, mimetype="application/zip", headers=_saved_as(site, period, names, chosen))


def _site(key: str) -> Site:
    """A site that is not there and one that may not be seen get the same answer."""
    for site in rooms().sites:
        if site.key == key and g.user.may_see(key):
            return site
    raise NotFoundError("there is no such site among those of this account")


def _choice() -> tuple[str, list[str]]:
    """The format, and the statistics that are wanted."""
    chosen, card = request.args.get("format", "csv"), request.args.get("card", "")
    if chosen not in FORMATS:
        raise FieldsError({"format": f"must be one of {', '.join(FORMATS)}"})
    if card and card not in TITLES:
        raise FieldsError({"card": f"must be one of {', '.join(TITLES)}"})
    return chosen, [card] if card else [*TITLES]


def _filters() -> dict[str, str]:
    """What rows must be: the filters of the page, such as `page=/contact`."""
    return {name: request.args[name] for name in FILTERS if request.args.get(name)}


def _about(site: Site, period: Period, filters: dict[str, str]) -> About:
    name = f"{site.key}-{period.start}-{period.end}"
    title = f"{site.name}: released figures, {period.label}"
    created = rooms().settings.clock().replace(microsecond=0)
    return About(name, title, site.controller, created, period.start, period.end, filters)


def _saved_as(site: Site, period: Period, names: list[str], chosen: str) -> dict[str, str]:
    what = f"-{names[0]}" if len(names) == 1 else ""
    name = f"{site.key}{what}-{period.start}-to-{period.end}-{chosen}.zip"
    return {"Content-Disposition": f'attachment; filename="{name}"'}
