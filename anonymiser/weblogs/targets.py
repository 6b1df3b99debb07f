"""The target of a request -> page key, kind and campaign tags; everything else of the address is dropped here."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from anonymiser import scrub, sources

ASSETS: Final = frozenset(
    {
        *("css", "js", "mjs", "map", "json", "xml", "txt", "png", "jpg", "jpeg", "gif", "svg", "webp", "avif", "ico"),
        *(
            "bmp",
            "woff",
            "woff2",
            "ttf",
            "otf",
            "eot",
            "mp4",
            "webm",
            "mp3",
            "ogg",
            "wasm",
            "axd",
            "swf",
            "rss",
            "atom",
        ),
    }
)
# The same as a pattern that Python's and SQL's engines read alike.
ASSET_TARGET: Final = rf"(?i)^[^?]*\.(?:{'|'.join(sorted(ASSETS))})(?:\?|$)"
DOWNLOAD: Final = re.compile(
    r"\.(?:pdf|docx?|xlsx?|pptx?|od[tsp]|csv|zip|gz|bz2|xz|7z|rar|tar|tgz|exe|msi|dmg|pkg|deb|rpm|apk|iso|epub)$",
    re.IGNORECASE,
)
HEALTH: Final = re.compile(
    r"/(?:healthz?|readyz|livez|ping|status|server-status|nginx_status|heartbeat)/?", re.IGNORECASE
)
_ABSOLUTE: Final = re.compile(r"^https?://[^/]*", re.IGNORECASE)  # balancers and proxies write whole addresses
MAX_QUERY: Final = 2048


class Target(NamedTuple):
    """One distinct request target. `kind` is asset, download, health or "" for a page."""

    target: str
    page: str
    kind: str
    campaign: str
    utm_source: str
    utm_medium: str


def read_target(target: str) -> Target:
    """What is kept of one request target."""
    path, _, query = target.partition("?")
    source, medium, campaign = sources.tags(query[:MAX_QUERY]) if query else ("", "", "")
    return Target(target, scrub.path(path), _kind(path), scrub.text(campaign) if campaign else "", source, medium)


def _kind(path: str) -> str:
    path = _ABSOLUTE.sub("", path)
    if path.rpartition(".")[2].lower() in ASSETS:
        return "asset"
    if DOWNLOAD.search(path):
        return "download"
    return "health" if HEALTH.fullmatch(path) else ""
