"""The target of a request -> page key, kind and campaign tags; everything else of the address is dropped here."""

from __future__ import annotations

import re
from dataclasses import astuple, dataclass
from typing import Final
from urllib.parse import parse_qs

from anonymiser import scrub

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
DOWNLOAD: Final = re.compile(
    r"\.(?:pdf|docx?|xlsx?|pptx?|od[tsp]|csv|zip|gz|bz2|xz|7z|rar|tar|tgz|exe|msi|dmg|pkg|deb|rpm|apk|iso|epub)$",
    re.IGNORECASE,
)
HEALTH: Final = re.compile(
    r"/(?:healthz?|readyz|livez|ping|status|server-status|nginx_status|heartbeat)/?", re.IGNORECASE
)
_ABSOLUTE: Final = re.compile(r"^https?://[^/]*", re.IGNORECASE)  # balancers and proxies write whole addresses
MAX_QUERY: Final = 2048


@dataclass(frozen=True, slots=True)
class Target:
    """One distinct request target. `kind` is asset, download, health or "" for a page."""

    target: str
    page: str
    kind: str
    campaign: str
    utm_source: str
    utm_medium: str


def read_target(target: str) -> tuple[str, ...]:
    """The columns of a Target."""
    path, _, query = target.partition("?")
    tags = _tags(query[:MAX_QUERY]) if "utm_" in query else {}
    campaign = tags.get("utm_campaign", "")
    return astuple(
        Target(
            target,
            scrub.path(path),
            _kind(path),
            scrub.text(campaign) if campaign else "",
            tags.get("utm_source", ""),
            tags.get("utm_medium", ""),
        )
    )


def _kind(path: str) -> str:
    path = _ABSOLUTE.sub("", path)
    if path.rpartition(".")[2].lower() in ASSETS:
        return "asset"
    if DOWNLOAD.search(path):
        return "download"
    return "health" if HEALTH.fullmatch(path) else ""


def _tags(query: str) -> dict[str, str]:
    try:
        return {name: values[0] for name, values in parse_qs(query, max_num_fields=64).items()}
    except ValueError:
        return {}
