"""What every request and answer goes through: who may ask, how much, how often, and how an error is told.

Addresses are looked at in memory only: a request is counted under an HMAC of its address with a key that is drawn anew
each day and never leaves the process.
"""

from __future__ import annotations

import hmac
import ipaddress
import logging
import secrets
import traceback
from collections import Counter
from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, Final, cast

from flask import Flask, Response, current_app, g, jsonify, render_template, request
from werkzeug.exceptions import HTTPException
from werkzeug.http import HTTP_STATUS_CODES
from werkzeug.wsgi import get_host

from consent_app.errors import CrossSiteError, MediaTypeError, RateError, RequestError, TooLargeError
from consent_app.rooms import Rooms, rooms
from consent_app.sites import Site, Sites

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

NAME: Final = "consent-guard"
LONGEST_BODY: Final = 65_536
LONGEST_DECISION: Final = 4096
MOST_ADDRESSES: Final = 100_000
SCRIPT_PATHS: Final = ("/v1/", "/api/", "/static/consent-banner/", "/taskbar.js", "/.well-known/")
# The statistics API is for servers: a key has no place in a page.
SHARED_PATHS: Final = tuple(path for path in SCRIPT_PATHS if path != "/api/")
CONTENT_POLICY: Final = (
    "default-src 'none'; "
    "script-src 'self'; "
    "style-src 'self'; "
    "img-src 'self'; "
    "connect-src 'self'; "
    "form-action 'self'; "
    "base-uri 'none'; "
    "frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; "
    "trusted-types 'none'"
)
# For what is no page: nothing in it may run, load or be framed, should a browser ever take it for one.
OTHER_POLICY: Final = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
PAGE_HEADERS: Final = {
    "Content-Security-Policy": CONTENT_POLICY,
    "Referrer-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), browsing-topics=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_LOG: Final = logging.getLogger("consent_app")


class Rates:
    """How many requests of a kind came from one address in this minute of the clock. Thread-safe; per process."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._lock = Lock()
        self._minute = (-1, -1)
        self._day: date | None = None
        self._key = b""
        self._counts: Counter[bytes] = Counter()

    def take(self, kind: str, address: str, per_minute: int) -> None:
        """Count one request. Raises RateError past `per_minute`, with the seconds left of the minute."""
        now = self._clock()
        with self._lock:
            self._turn(now)
            place = self._place(kind, address)
            self._counts[place] += 1
            if self._counts[place] > per_minute:
                raise RateError(60 - now.second)

    def _turn(self, now: datetime) -> None:
        if self._day != now.date():
            self._day, self._key, self._minute = now.date(), secrets.token_bytes(32), (-1, -1)
        minute = (now.hour, now.minute)
        if self._minute != minute:
            self._minute = minute
            self._counts.clear()

    def _place(self, kind: str, address: str) -> bytes:
        """Addresses past what memory is set aside for share one place."""
        text = f"{kind} {_network(address)}".encode()
        place = hmac.digest(self._key, text, "sha256")[:16]
        return place if place in self._counts or len(self._counts) < MOST_ADDRESSES else kind.encode()


class Tally:
    """How many answers of each kind this process gave since it started; what /metrics prints."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._counts: Counter[tuple[str, ...]] = Counter()

    def add(self, *labels: str) -> None:
        """Count one answer."""
        with self._lock:
            self._counts[labels] += 1

    def counts(self) -> dict[tuple[str, ...], int]:
        """Labels -> number of answers."""
        with self._lock:
            return dict(self._counts)


def install(app: Flask) -> None:
    """Put the guard in front of every view of `app`, once. The rooms must be in place."""
    app.extensions[NAME] = (Rates(app.extensions["consent"].settings.clock), Tally())
    app.before_request(_preflight)
    app.after_request(_headers)
    app.after_request(_cross_origin)
    app.after_request(_count)
    app.register_error_handler(RequestError, _refused)
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(Exception, _unexpected)


def limit_rate(kind: str, per_minute: int) -> None:
    """Count this request against its address. Raises RateError."""
    rates, _ = _parts()
    rates.take(kind, request.remote_addr or "", per_minute)


def tally() -> Tally:
    """The answers this process gave."""
    return _parts()[1]


def rates_of(app: Flask) -> Rates:
    """How often each address came to an application."""
    return cast(Rates, app.extensions[NAME][0])


def tally_of(app: Flask) -> Tally:
    """The answers an application gave."""
    return cast(Tally, app.extensions[NAME][1])


def script_headers(environ: WSGIEnvironment, here: Rooms, about: Site | None) -> list[tuple[str, str]]:
    """What `_headers` and `_cross_origin` give an answer without content to a script, about that site or about none."""
    headers = [("X-Content-Type-Options", "nosniff"), ("Vary", "Origin")]
    own = own_origin(environ) == here.settings.public_url.rstrip("/")
    if own and environ["wsgi.url_scheme"] == "https":
        headers.append(("Strict-Transport-Security", "max-age=31536000"))
    origin = environ.get("HTTP_ORIGIN", "")
    owner = here.sites.by_origin(origin)
    if owner is not None and (about is None or about.key == owner.key):
        headers += [("Access-Control-Allow-Origin", origin), ("Cross-Origin-Resource-Policy", "cross-origin")]
    return headers


def read_body(kind: str, limit: int) -> bytes:
    """The body, of content type `kind` and at most `limit` bytes. Raises MediaTypeError and TooLargeError."""
    if request.mimetype != kind:
        raise MediaTypeError(kind)
    if (request.content_length or 0) > limit:
        raise TooLargeError(limit)
    body: bytes = request.stream.read(limit + 1)
    if len(body) > limit:
        raise TooLargeError(limit)
    return body


def comes_from(site: Site) -> bool:
    """Whether this request comes from a page of that site (`is_from`); the answer's CORS headers speak of it."""
    g.site = site
    return is_from(request.environ, rooms().sites, site)


def is_from(environ: WSGIEnvironment, sites: Sites, site: Site) -> bool:
    """Whether a request comes from a page of that site, or from no page at all.

    A page is known by its Origin; where the browser sends none (or `null`: the page hides it), by Sec-Fetch-Site.
    Pages of ours count as the site's, unless the host they are on is another site's.
    """
    origin, fetched = environ.get("HTTP_ORIGIN"), environ.get("HTTP_SEC_FETCH_SITE", "none")
    if origin is None:
        return fetched in ("same-origin", "none")
    if origin == "null":
        return bool(fetched == "same-origin")
    if origin in site.origins:
        return True
    return origin == own_origin(environ) and sites.by_host(get_host(environ)) in (None, site)


def require_own_page(site: Site) -> None:
    """Raise CrossSiteError unless the request comes from a page of that site (or from no page)."""
    if not comes_from(site):
        raise CrossSiteError(f"this request does not come from a page of {site.name}; make your choice on that site")


def is_known_origin(environ: WSGIEnvironment, sites: Sites, origin: str) -> bool:
    """Whether any site has this origin, or we have it ourselves."""
    return sites.by_origin(origin) is not None or origin == own_origin(environ)


def own_origin(environ: WSGIEnvironment) -> str:
    """The origin by which a request reached us."""
    return f"{environ['wsgi.url_scheme']}://{get_host(environ)}"


def _parts() -> tuple[Rates, Tally]:
    return cast(tuple[Rates, Tally], current_app.extensions[NAME])


def _network(address: str) -> str:
    """An IPv6 address counts as its /64, which is what one connection gets. Not remembered: no list of addresses."""
    try:
        return (
            str(ipaddress.ip_network((ipaddress.IPv6Address(address), 64), strict=False)) if ":" in address else address
        )
    except ValueError:
        return address[:64]


def _is_for_scripts() -> bool:
    accepts = request.accept_mimetypes
    return request.path.startswith(SCRIPT_PATHS) or accepts["application/json"] > accepts["text/html"]


def _preflight() -> Response | None:
    """Answer a browser that asks whether another origin may call; `_cross_origin` says for whom."""
    if request.method != "OPTIONS" or "Access-Control-Request-Method" not in request.headers:
        return None
    answer = Response(status=204)
    if request.path.startswith("/v1/"):
        answer.headers["Access-Control-Allow-Methods"] = "GET, POST, DELETE"
        answer.headers["Access-Control-Allow-Headers"] = "Content-Type"
        answer.headers["Access-Control-Max-Age"] = "7200"
    return answer


def _headers(answer: Response) -> Response:
    """Whether a site's own host is reached by HTTPS only is for that site to say; ours is, once it is public by it."""
    answer.headers["X-Content-Type-Options"] = "nosniff"
    if answer.mimetype == "text/html":
        for name, value in PAGE_HEADERS.items():
            answer.headers.setdefault(name, value)
    elif answer.status_code not in (204, 304):
        answer.headers.setdefault("Content-Security-Policy", OTHER_POLICY)
    if own_origin(request.environ) == rooms().settings.public_url.rstrip("/") and request.is_secure:
        answer.headers.setdefault("Strict-Transport-Security", "max-age=31536000")
    return answer


def _cross_origin(answer: Response) -> Response:
    """CORS without credentials, for the exact origins of the site that is spoken of."""
    if not request.path.startswith(SHARED_PATHS):
        return answer
    answer.vary.add("Origin")
    origin = request.headers.get("Origin", "")
    owner = rooms().sites.by_origin(origin)
    if owner is not None and owner.key == _asked_site(owner.key):
        answer.headers["Access-Control-Allow-Origin"] = origin
        answer.headers["Cross-Origin-Resource-Policy"] = "cross-origin"
    return answer


def _asked_site(otherwise: str) -> str:
    """The key of the site this request is about; `otherwise` where it is about none (a file of the banner)."""
    site: Site | None = g.get("site")
    named = (request.view_args or {}).get("site") or request.args.get("site")
    return site.key if site else named or otherwise


def _count(answer: Response) -> Response:
    reason = answer.headers.get("X-Collect", "").rpartition("=")[2]
    tally().add(request.endpoint or "none", str(answer.status_code), reason)
    return answer


def _refused(error: RequestError) -> tuple[Response, int]:
    answer = _told(error.status, str(error), heading=error.title, **error.facts())
    answer.headers.update(error.headers())
    return answer, error.status


def _http_error(error: HTTPException) -> Response | HTTPException:
    """What Flask and Werkzeug refuse by themselves: no such page, a method a page does not take, a body too large."""
    status = error.code or 500
    if status < 400:
        return error
    answer = _told(status, _WORDS.get(status, str(error.description)))
    answer.status_code = status
    for name, value in error.get_headers(request.environ):
        if name in ("Allow", "Retry-After"):
            answer.headers[name] = value
    return answer


def _unexpected(error: Exception) -> tuple[Response, int]:
    """A fault of ours. The log gets where it happened, not the message: that may hold what a visitor sent."""
    reference = secrets.token_hex(4)
    frames = traceback.extract_tb(error.__traceback__)
    places = " > ".join(f"{Path(frame.filename).name}:{frame.lineno}" for frame in frames[-8:])
    _LOG.error("fault %s: %s at %s", reference, type(error).__name__, places)
    return _told(500, f"The fault is ours. It is noted under the reference {reference}."), 500


def _told(status: int, detail: str, heading: str = "", **facts: Any) -> Response:
    """An error as problem details (RFC 9457) for scripts, as a page for people."""
    title = HTTP_STATUS_CODES.get(status, "Error")
    if _is_for_scripts():
        answer = jsonify({"type": "about:blank", "title": title, "status": status, "detail": detail, **facts})
        answer.mimetype = "application/problem+json"
    else:
        heading = heading or _TITLES.get(status, title)
        page = render_template("error.html", status=status, title=heading, detail=_sentence(detail))
        answer = Response(page, mimetype="text/html")
    answer.headers["Cache-Control"] = "no-store"
    return answer


def _sentence(text: str) -> str:
    """With a capital and a full stop; the name of a field, with its colon, stays as it is spelt."""
    first = text if text.partition(" ")[0].endswith(":") else text[:1].upper() + text[1:]
    return first if first.endswith((".", "!", "?")) else f"{first}."


# What people are told instead of the standard's reason phrase.
_TITLES: Final = {
    403: "This came from another site",
    404: "Not found",
    413: "Too large",
    422: "That could not be understood",
    429: "Too many requests",
    500: "Something went wrong",
    503: "Not possible right now",
}
_WORDS: Final = {
    404: "There is no such page here. The address may be mistyped, or the page was moved.",
    405: "This address does not take that kind of request.",
    413: f"The body may have at most {LONGEST_BODY} bytes.",
}
