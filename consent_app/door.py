"""The door before the application: two addresses are answered there, in a fraction of the time; all else is Flask's.

Which addresses, the views say themselves (`Door.way`): each has one function from the request's environment to an
`Answer`, which both the door and the view behind it call. So there is one way of taking a request and two ways of
putting its answer on the wire, and a test compares the two, header by header. `bench/endpoint.py` measures both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from http import HTTPStatus
from time import perf_counter
from typing import TYPE_CHECKING, Final

from flask import Flask, Response, current_app, g, request
from werkzeug.wsgi import get_content_length, get_input_stream

from consent_app.errors import CrossSiteError, MediaTypeError, TooLargeError
from consent_app.guard import OTHER_POLICY, is_from, script_headers, tally_of
from consent_app.rooms import NAME as ROOMS
from consent_app.rooms import Rooms
from consent_app.sites import Site, Sites
from consent_app.timings import timings_of

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

NAME: Final = "consent-door"
ABOUT: Final = "consent_app.site"
"""Where a request's environment has the site it is about, once that is known."""
MOST_CALLERS: Final = 1024
LONGEST_CALLER: Final = 512
NO_CONTENT: Final = 204
STATUS: Final = {status.value: f"{status.value} {status.phrase.upper()}" for status in HTTPStatus}
_ORIGIN: Final = ("wsgi.url_scheme", "HTTP_HOST", "SERVER_NAME", "SERVER_PORT", "HTTP_ORIGIN")


@dataclass(frozen=True, slots=True)
class Answer:
    """What a request is answered with; `reason` is the word of why nothing came of it, for the count of answers."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Way:
    """How one address is answered: `take` on POST. `endpoint` counts it, `timed` names its histogram."""

    take: Callable[[Flask, WSGIEnvironment], Answer]
    endpoint: str
    timed: str


class Door:
    """Stands before an application. What no way is for is handed on, and what goes wrong is told as Flask tells it."""

    def __init__(self, app: Flask, inner: WSGIApplication) -> None:
        self._app = app
        self.inner = inner
        self._ways = ways(app)
        self._remembered = lru_cache(maxsize=MOST_CALLERS)(self._worked_out)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer, or hand the request on."""
        way = self._ways.get(environ["PATH_INFO"])
        if way is None or environ["REQUEST_METHOD"] != "POST" or environ.get("QUERY_STRING"):
            return self.inner(environ, start_response)
        begun = perf_counter()
        try:
            answer = way.take(self._app, environ)
        except Exception as error:
            return self._told(error, environ, start_response)
        tally_of(self._app).add(way.endpoint, str(answer.status), answer.reason)
        length = () if answer.status == NO_CONTENT else (("Content-Length", str(len(answer.body))),)
        start_response(STATUS[answer.status], [*answer.headers, *length, *self._headers(environ, answer)])
        timings_of(self._app).add(way.timed, perf_counter() - begun)
        return [answer.body] if answer.body else []

    def _headers(self, environ: WSGIEnvironment, answer: Answer) -> list[tuple[str, str]]:
        """The guard's headers, which depend on a few short texts and are worked out once for each set of them."""
        about: Site | None = environ.get(ABOUT)
        caller = tuple([environ.get(name, "") for name in _ORIGIN])
        work = self._remembered if sum(map(len, caller)) <= LONGEST_CALLER else self._worked_out
        return work(about.key if about else "", answer.status == NO_CONTENT, caller)

    def _worked_out(self, about: str, empty: bool, caller: tuple[str, ...]) -> list[tuple[str, str]]:
        here: Rooms = self._app.extensions[ROOMS]
        environ = {name: text for name, text in zip(_ORIGIN, caller, strict=True) if text}
        policy = [] if empty else [("Content-Security-Policy", OTHER_POLICY)]
        return policy + script_headers(environ, here, here.sites.get(about) if about else None)

    def _told(self, error: Exception, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        with self._app.request_context(environ):
            g.site = environ.get(ABOUT)
            answer = self._app.finalize_request(self._app.handle_user_exception(error), from_error_handler=True)
            return answer(environ, start_response)


def ways(app: Flask) -> dict[str, Way]:
    """The addresses that the door of an application answers; its blueprints add theirs."""
    found: dict[str, Way] = app.extensions.setdefault(NAME, {})
    return found


def by_flask(take: Callable[[Flask, WSGIEnvironment], Answer]) -> Response:
    """Take the request that Flask has at hand, and answer it by way of Flask."""
    try:
        return response(take(current_app, request.environ))
    finally:
        g.site = request.environ.get(ABOUT)


def response(answer: Answer) -> Response:
    """The same answer as Flask has it."""
    made = Response(answer.body, status=answer.status, headers=list(answer.headers))
    if not answer.body:
        del made.headers["Content-Type"]
    return made


def body_of(environ: WSGIEnvironment, kind: str, limit: int) -> bytes:
    """The body, of content type `kind` and at most `limit` bytes. Raises MediaTypeError and TooLargeError."""
    if environ.get("CONTENT_TYPE", "").partition(";")[0].strip().lower() != kind:
        raise MediaTypeError(kind)
    if (get_content_length(environ) or 0) > limit:
        raise TooLargeError(limit)
    body: bytes = get_input_stream(environ).read(limit + 1)
    if len(body) > limit:
        raise TooLargeError(limit)
    return body


def require_own_page(environ: WSGIEnvironment, sites: Sites, site: Site) -> None:
    """Raise CrossSiteError unless a request comes from a page of that site (or from no page); it is about that site."""
    environ[ABOUT] = site
    if not is_from(environ, sites, site):
        raise CrossSiteError(f"this request does not come from a page of {site.name}; make your choice on that site")
