"""A page-view beacon becomes unlinkable facts in memory, or nothing. What it came with is dropped either way.

Address and user agent are looked at here and nowhere kept. The answer is 202 (kept) or 204 with one word of why not.
"""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from dataclasses import replace
from datetime import date, datetime, timedelta
from functools import lru_cache
from threading import Lock
from typing import TYPE_CHECKING, Final, cast

from flask import Blueprint, Flask, Response
from flask.blueprints import BlueprintSetupState
from werkzeug.http import dump_cookie, parse_cookie

from anonymiser import agents, facts
from anonymiser.bounds import GAP_BUCKETS
from anonymiser.errors import BeaconError, NoHourKey, SegmentError
from anonymiser.facts import Beacon
from consent_app.door import ABOUT, Answer, Way, body_of, by_flask, ways
from consent_app.errors import MediaTypeError, NotFoundError, TooLargeError, UnavailableError
from consent_app.guard import is_from, is_known_origin, rates_of
from consent_app.purposes import STATISTICS, DeclaredCookie
from consent_app.receipts import Permit
from consent_app.rooms import NAME as ROOMS
from consent_app.rooms import Rooms
from consent_app.sites import LAST_DAY, Site

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

NAME: Final = "consent-nonces"
MOST_NONCES: Final = 100_000
LONGEST_KEPT: Final = 395  # days: thirteen months

PATH: Final = "/v1/collect"

blueprint = Blueprint("collect", __name__)


class _DroppedError(Exception):
    """This beacon is not counted; its text is the one word that is told."""


class Nonces:
    """The last beacons' random numbers, by which a retry is known. In memory only, and only so many. Thread-safe."""

    def __init__(self, most: int = MOST_NONCES) -> None:
        self._most = most
        self._lock = Lock()
        self._seen: OrderedDict[tuple[str, str], None] = OrderedDict()

    def is_new(self, site: str, nonce: str) -> bool:
        """Remember a number; False when it was there."""
        with self._lock:
            if (site, nonce) in self._seen:
                return False
            self._seen[site, nonce] = None
            if len(self._seen) > self._most:
                self._seen.popitem(last=False)
            return True

    def forget(self, site: str, nonce: str) -> None:
        """Let a beacon that could not be kept come again."""
        with self._lock:
            self._seen.pop((site, nonce), None)


@blueprint.record_once
def _remember(state: BlueprintSetupState) -> None:
    """One memory of numbers for each application, and a way through its door."""
    app = cast(Flask, state.app)
    app.extensions[NAME] = Nonces()
    ways(app)[PATH] = Way(taken, "collect.collect", "collect")


@blueprint.post(PATH)
def collect() -> Response:
    """Keep the facts of a beacon. Raises RateError, and UnavailableError while the disk takes nothing."""
    return by_flask(taken)


def taken(app: Flask, environ: WSGIEnvironment) -> Answer:
    """Check a beacon, the cheapest first, and keep its facts: 202 kept, 204 not kept and one word of why."""
    here: Rooms = app.extensions[ROOMS]
    try:
        body = _body(here, environ)
        rates_of(app).take("beacon", environ.get("REMOTE_ADDR", ""), here.settings.beacons_per_minute)
        beacon = _parsed(body)
        site = environ[ABOUT] = _site(here, beacon)
        _check_page(here, site, environ)
        _keep(here, site, beacon, environ, app.extensions[NAME])
    except _DroppedError as dropped:
        reason = str(dropped)
        return Answer(204, (("X-Collect", f"dropped; reason={reason}"),), reason=reason)
    cookie = _day_to_remember(site, beacon, environ)
    return Answer(202, (("Set-Cookie", cookie),) if cookie else ())


def _body(here: Rooms, environ: WSGIEnvironment) -> bytes:
    """The beacon's text, if its kind, size and origin are those of a beacon."""
    try:
        body = body_of(environ, "text/plain", facts.MAX_BYTES)
    except MediaTypeError as error:
        raise _DroppedError("type") from error
    except TooLargeError as error:
        raise _DroppedError("size") from error
    origin = environ.get("HTTP_ORIGIN", "null")
    if origin != "null" and not is_known_origin(environ, here.sites, origin):
        raise _DroppedError("origin")
    return body


def _parsed(body: bytes) -> Beacon:
    try:
        return facts.parse(body)
    except BeaconError as error:
        raise _DroppedError("schema") from error


def _keep(here: Rooms, site: Site, beacon: Beacon, environ: WSGIEnvironment, nonces: Nonces) -> None:
    now = here.settings.clock().astimezone(site.zone)
    permit = here.seal.check_permit(beacon.permit, site.key)
    _check_permit(permit, site, signalled=environ.get("HTTP_SEC_GPC") == "1")
    _check_visit(beacon, site, now, environ.get("REMOTE_ADDR", ""))
    agent = agents.identify(environ.get("HTTP_USER_AGENT", ""))
    if agent.bot:
        raise _DroppedError("bot")
    if not nonces.is_new(site.key, beacon.nonce):
        raise _DroppedError("repeat")
    try:
        here.spool.add(facts.shred(_with_gap(beacon, site, environ), agent, now.hour, site.own_hosts))
    except NoHourKey as error:
        nonces.forget(site.key, beacon.nonce)
        raise _DroppedError("no-key") from error
    except SegmentError as error:
        nonces.forget(site.key, beacon.nonce)
        raise UnavailableError("statistics cannot be taken right now; try again") from error


def _site(here: Rooms, beacon: Beacon) -> Site:
    try:
        return here.sites.get(beacon.site)
    except NotFoundError as error:
        raise _DroppedError("site") from error


def _check_page(here: Rooms, site: Site, environ: WSGIEnvironment) -> None:
    if not is_from(environ, here.sites, site):
        raise _DroppedError("origin")


def _check_permit(permit: Permit | None, site: Site, *, signalled: bool) -> None:
    """A visitor's own choice wins over Global Privacy Control; what merely runs by default gives way to it."""
    purpose = site.purpose(STATISTICS)
    if permit is None or purpose is None or not permit.allows(STATISTICS):
        raise _DroppedError("permit")
    if permit.notice != site.notice.short:
        raise _DroppedError("notice")
    if not permit.explicit and not purpose.by_default:
        raise _DroppedError("permit")
    if not permit.explicit and signalled:
        raise _DroppedError("gpc")


def _check_visit(beacon: Beacon, site: Site, now: datetime, address: str) -> None:
    if abs((date.fromisoformat(beacon.day) - now.date()).days) > 1:
        raise _DroppedError("day")
    if site.excluded_networks and _is_within(address, site.excluded_networks):
        raise _DroppedError("network")


def _last_day(site: Site) -> DeclaredCookie | None:
    """The cookie that holds the day a browser was last counted on, where a site on this host declares it.

    A browser may forget after seven days what a script has stored, and then takes each visitor for a new one; it keeps
    what a server has set. The cookie holds a date and nothing else, and is cleared with what its purpose declares.
    """
    purpose = site.purpose(STATISTICS)
    if purpose is None or site.embed != "same-host":
        return None
    return next((cookie for cookie in purpose.cookies if (cookie.name, cookie.kind) == (LAST_DAY, "cookie")), None)


def _day_to_remember(site: Site, beacon: Beacon, environ: WSGIEnvironment) -> str:
    """On the first view of a day, which is the only beacon that browsers send cookies with."""
    cookie = _last_day(site) if beacon.n == 1 and beacon.kind == "pageview" else None
    if cookie is None:
        return ""
    age = None if cookie.days is None else timedelta(days=min(cookie.days, LONGEST_KEPT))
    secure = environ["wsgi.url_scheme"] == "https"
    return dump_cookie(cookie.name, beacon.day, max_age=age, secure=secure, samesite="Lax")


def _with_gap(beacon: Beacon, site: Site, environ: WSGIEnvironment) -> Beacon:
    """A browser whose counters are gone calls its day the first; the cookie knows better."""
    if beacon.gap != "first" or _last_day(site) is None:
        return beacon
    try:
        last = date.fromisoformat(parse_cookie(environ).get(LAST_DAY, ""))
    except ValueError:
        return beacon
    days = (date.fromisoformat(beacon.day) - last).days
    return replace(beacon, gap=_bucket(days)) if days > 0 else beacon


def _bucket(days: int) -> str:
    """The name of a gap of so many days (`GAP_BUCKETS`)."""
    ends = ((name, int(name.partition("-")[2] or name)) for name in GAP_BUCKETS[:-2])
    return next((name for name, end in ends if days <= end), "more")


def _is_within(address: str, networks: tuple[str, ...]) -> bool:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    parsed = getattr(parsed, "ipv4_mapped", None) or parsed
    return any(parsed in network for network in _networks(networks))


@lru_cache(maxsize=64)
def _networks(networks: tuple[str, ...]) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
    return tuple(ipaddress.ip_network(network) for network in networks)
