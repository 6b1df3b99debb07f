"""One port, several hosts: the demo sites and the consent service, told apart by the Host header."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

# What a same-host proxy rule hands to the consent service (see docs/settings.md).
SERVICE_PATHS: Final = (
    "/v1/",
    "/consent",
    "/cookies",
    "/taskbar.js",
    "/static/",
    "/your-data",
    "/ledger/",
    "/.well-known/",
)

STATIC: Final = "/site/"


def by_host(
    service: WSGIApplication,
    *,
    proxied: Mapping[str, WSGIApplication],
    foreign: Mapping[str, WSGIApplication],
    welcome: WSGIApplication,
) -> WSGIApplication:
    """Dispatch by host. `proxied` sites hand the service's paths to it, as behind a reverse proxy; `foreign` do not.

    `welcome` answers for the front page of every other host, and for its style.
    """

    def dispatch(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        host = environ.get("HTTP_HOST", "").partition(":")[0].lower()
        path = environ.get("PATH_INFO", "/")
        if host in foreign:
            return foreign[host](environ, start_response)
        if host in proxied and not path.startswith(SERVICE_PATHS):
            return proxied[host](environ, start_response)
        if path == "/" or path.startswith(STATIC):
            return welcome(environ, start_response)
        return service(environ, start_response)

    return dispatch
