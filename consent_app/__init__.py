"""The web house: everything that answers HTTP. `create_app` is its only wiring."""

from __future__ import annotations

from flask import Flask
from werkzeug.middleware.proxy_fix import ProxyFix

from anonymiser.spool import Spool
from anonymiser.stats import Statistics
from consent_app.archive import Archive
from consent_app.audit import Trail
from consent_app.banner import blueprint as banner_pages
from consent_app.bundle import sha256 as bundle_sha256
from consent_app.collect import blueprint as collect_pages
from consent_app.dashboard import blueprint as dashboard_pages
from consent_app.dashboard.stats_api import blueprint as stats_api_pages
from consent_app.door import Door
from consent_app.errors import SettingsError
from consent_app.guard import LONGEST_BODY, install
from consent_app.ledger import Ledger
from consent_app.operations import blueprint as operations_pages
from consent_app.preference import blueprint as preference_pages
from consent_app.receipts import Seal
from consent_app.rights.complaint_pages import blueprint as complaint_pages
from consent_app.rights.notices import blueprint as notice_pages
from consent_app.rights.pages import blueprint as rights_pages
from consent_app.rooms import NAME, Rooms
from consent_app.settings import Settings
from consent_app.sites import Sites
from consent_app.transparency import blueprint as transparency_pages
from consent_app.users import Users
from consent_app.witness import blueprint as witness_pages

__all__ = ["create_app"]


def create_app(settings: Settings, *, statistics: Statistics | None = None) -> Flask:
    """The whole application under these settings.

    Raises SettingsError, SitesError, LedgerError, UsersError or SegmentError where the data home cannot be used; their
    texts name the place and the remedy. `statistics` stands in for the published file of the data home.
    """
    app = Flask(__name__)
    # Behind what `_configure` puts in front: the door must see visitors' addresses, not the proxy's.
    app.wsgi_app = Door(app, app.wsgi_app)  # type: ignore[method-assign]
    bundle_sha256()  # without the banner's files no decision could be recorded: better to know now
    _configure(app, settings)
    app.extensions[NAME] = _rooms(settings, statistics)
    install(app)
    for blueprint in (
        banner_pages,
        preference_pages,
        collect_pages,
        dashboard_pages,
        stats_api_pages,
        operations_pages,
        transparency_pages,
        rights_pages,
        complaint_pages,
        notice_pages,
        witness_pages,
    ):
        app.register_blueprint(blueprint)
    return app


def _rooms(settings: Settings, statistics: Statistics | None) -> Rooms:
    sites = Sites.load(settings.sites_file)
    statistics = statistics or Statistics(settings.stats_file, sites.longest_ranges)
    seal = Seal(settings.signing_keys, settings.clock)
    ledger = Ledger(settings.ledger_file, settings.ledger_url)
    for site in sites:
        ledger.archive_notice(site.notice.text, site.notice.effective.isoformat())
    Archive.of(settings).keep(sites, ledger, settings.clock().date())
    Trail.of(settings).begin(settings, sites)
    spool = Spool(
        settings.spool, clock=settings.clock, mix_beacons=settings.mix_beacons, mix_seconds=settings.mix_seconds
    )
    return Rooms(settings, sites, seal, ledger, spool, statistics, Users.load(settings.users_file))


def _configure(app: Flask, settings: Settings) -> None:
    """Only the dashboard has a session. Raises SettingsError without session keys."""
    if not settings.session_keys:
        raise SettingsError("there are no session keys; `consent init` makes them")
    *older, newest = settings.session_keys
    encrypted = settings.public_url.startswith("https://")
    app.config.update(
        SECRET_KEY=newest,
        SECRET_KEY_FALLBACKS=older,
        MAX_CONTENT_LENGTH=LONGEST_BODY,
        SESSION_COOKIE_NAME="__Secure-session" if encrypted else "session",
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        SESSION_COOKIE_SECURE=encrypted,
        SESSION_COOKIE_PATH="/dashboard",
        TEMPLATES_AUTO_RELOAD=False,
    )
    if settings.trusted_proxies:
        hops = settings.trusted_proxies
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=hops, x_proto=hops, x_host=hops)  # type: ignore[method-assign]
