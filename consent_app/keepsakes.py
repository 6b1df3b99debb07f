"""The cookies of a decision: what they are called, where they go, and how they are set and taken away."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from flask import request
from werkzeug.wrappers import Response

from consent_app.decisions import Outcome
from consent_app.receipts import VALIDITY
from consent_app.sites import Site

READABLE: Final = "consent"
PROOF: Final = "__Secure-consent_proof"
RIGHTS: Final = "__Secure-consent_rights"
# The proof goes to the two addresses that take decisions, never with a page or a beacon.
PROOF_PATHS: Final = ("/v1/consent", "/consent")
RIGHTS_PATH: Final = "/your-data"
_PLACES: Final = (*((PROOF, path) for path in PROOF_PATHS), (RIGHTS, RIGHTS_PATH))


def remember(answer: Response, site: Site, outcome: Outcome) -> None:
    """Set the cookies of a decision, with lifetimes that are fixed now, and take away those of what is off.

    Nothing in them tells apart two who refuse on one day, not even the second at which they lapse.
    """
    lasting: dict[str, Any] = {"max_age": VALIDITY, "expires": outcome.receipt.expires, "samesite": "Lax"}
    answer.set_cookie(READABLE, outcome.value, secure=request.is_secure, **lasting)
    for name, path in _PLACES:
        answer.set_cookie(name, outcome.token, path=path, secure=True, httponly=True, **lasting)
    _take_away(answer, site, outcome.receipt.decisions)


def forget(answer: Response, site: Site) -> None:
    """Take away the cookies of a decision and those of everything optional: as if nobody had ever chosen."""
    answer.delete_cookie(READABLE, secure=request.is_secure, samesite="Lax")
    for name, path in _PLACES:
        answer.delete_cookie(name, path=path, secure=True, httponly=True, samesite="Lax")
    _take_away(answer, site, dict.fromkeys(site.asked, False))


def _take_away(answer: Response, site: Site, decisions: Mapping[str, bool]) -> None:
    for name in _left_over(site, decisions):
        for domain in (None, *_domains(request.host)):
            answer.delete_cookie(name, domain=domain)


def _left_over(site: Site, decisions: Mapping[str, bool]) -> Iterator[str]:
    """Names of cookies the browser has just sent that are declared only for what is off."""
    declared = list(_declared(site))
    for name in request.cookies:
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
