"""The cookies of a decision: what they are called, where they go, and how they are set and taken away."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Final

from flask import request
from werkzeug.http import dump_cookie, http_date, parse_cookie
from werkzeug.wrappers import Response
from werkzeug.wsgi import get_host

from consent_app.decisions import Outcome
from consent_app.receipts import VALIDITY
from consent_app.sites import Site

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

READABLE: Final = "consent"
PROOF: Final = "__Secure-consent_proof"
RIGHTS: Final = "__Secure-consent_rights"
# The proof goes to the two addresses that take decisions, never with a page or a beacon.
PROOF_PATHS: Final = ("/v1/consent", "/consent")
RIGHTS_PATH: Final = "/your-data"
LIFETIME: Final = int(VALIDITY.total_seconds())
_PLACES: Final = (*((PROOF, path) for path in PROOF_PATHS), (RIGHTS, RIGHTS_PATH))


def remember(answer: Response, site: Site, outcome: Outcome) -> None:
    """Set the cookies of a decision (`cookies`) with an answer."""
    for text in cookies(request.environ, site, outcome):
        answer.headers.add("Set-Cookie", text)


def cookies(environ: WSGIEnvironment, site: Site, outcome: Outcome) -> list[str]:
    """Set-Cookie texts of a decision, with lifetimes that are fixed now, and those that take away what is off.

    Nothing in them tells apart two who refuse on one day, not even the second at which they lapse.
    """
    until = f"Expires={http_date(outcome.receipt.expires)}; Max-Age={LIFETIME}; "
    secure = "Secure; " if environ["wsgi.url_scheme"] == "https" else ""
    readable = f"{READABLE}={outcome.value}; {until}{secure}Path=/; SameSite=Lax"
    hidden = [f"{name}={outcome.token}; {until}Secure; HttpOnly; Path={path}; SameSite=Lax" for name, path in _PLACES]
    return [readable, *hidden, *_taken_away(environ, site, outcome.receipt.decisions)]


def proof(environ: WSGIEnvironment) -> str:
    """The token that a request's cookies hold, "" if none."""
    return parse_cookie(environ).get(PROOF, "") if PROOF in environ.get("HTTP_COOKIE", "") else ""


def forget(answer: Response, site: Site) -> None:
    """Take away the cookies of a decision and those of everything optional: as if nobody had ever chosen."""
    answer.delete_cookie(READABLE, secure=request.is_secure, samesite="Lax")
    for name, path in _PLACES:
        answer.delete_cookie(name, path=path, secure=True, httponly=True, samesite="Lax")
    for text in _taken_away(request.environ, site, dict.fromkeys(site.asked, False)):
        answer.headers.add("Set-Cookie", text)


def _taken_away(environ: WSGIEnvironment, site: Site, decisions: Mapping[str, bool]) -> Iterator[str]:
    for name in _left_over(environ, site, decisions):
        for domain in (None, *_domains(get_host(environ))):
            yield dump_cookie(name, domain=domain, expires=0, max_age=0)


def _left_over(environ: WSGIEnvironment, site: Site, decisions: Mapping[str, bool]) -> Iterator[str]:
    """Names of cookies the browser has just sent that are declared only for what is off."""
    if "HTTP_COOKIE" not in environ:
        return
    declared = list(_declared(site))
    for name in parse_cookie(environ):
        verdicts = {decisions.get(key, True) for key, pattern in declared if _matches(pattern, name)}
        if verdicts == {False}:
            yield name


def _declared(site: Site) -> Iterator[tuple[str, str]]:
    """(key of a purpose or service, name) of each declared cookie."""
    for holder in site.holders:
        yield from ((holder.key, cookie.name) for cookie in holder.cookies if cookie.kind == "cookie")


def _matches(pattern: str, name: str) -> bool:
    return name.startswith(pattern[:-1]) if pattern.endswith("*") else name == pattern


def _domains(host: str) -> Iterator[str]:
    """The host and each domain above it that a cookie can have been set for."""
    labels = host.partition(":")[0].split(".")
    for first in range(len(labels) - 1):
        yield ".".join(labels[first:])
