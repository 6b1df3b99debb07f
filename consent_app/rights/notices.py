"""The archive of notices over HTTP: every notice a site ever showed, word for word, and the banner that showed it.

The pages are at two addresses: under `/your-data`, which every proxy of a site hands on, and under `/notices`.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from itertools import groupby
from typing import Final

from flask import Blueprint, Response, jsonify, redirect, url_for
from flask.typing import ResponseReturnValue

from consent_app.archive import Archive, Shown
from consent_app.errors import NotFoundError
from consent_app.rights.forms import asked_site, page, speaker
from consent_app.rooms import rooms
from consent_app.sites import Site

# What is found by its hash is that for ever.
_FOR_EVER: Final = {"Cache-Control": "public, max-age=31536000, immutable"}
_TEXT: Final = "text/plain; charset=utf-8"

blueprint = Blueprint("notices", __name__)


@dataclass(frozen=True, slots=True)
class Kept:
    """One notice of a site: its text, from when it held, and with which banners it was shown, the newest first."""

    sha256: str
    effective: str
    text: str
    shown: tuple[Shown, ...]
    current: bool


@blueprint.get("/your-data/notices")
@blueprint.get("/notices")
def archive() -> ResponseReturnValue:
    """Every notice of a site, the newest first."""
    site = asked_site()
    if site is None:
        return page("choose", speaker(None), sites=rooms().sites, to="notices.archive")
    return page("notices", speaker(site), notices=_of(site))


@blueprint.get("/your-data/notices/<sha256>")
@blueprint.get("/notices/<sha256>")
def notice(sha256: str) -> ResponseReturnValue:
    """Where it was once; the text lies at its address in the ledger, which receipts name."""
    return redirect(url_for("transparency.notice", sha256=sha256), 308)


@blueprint.get("/your-data/notices/banners/<sha256>")
@blueprint.get("/notices/banners/<sha256>")
def banner(sha256: str) -> ResponseReturnValue:
    """The files of a banner by the hash that records name, each with its size and own hash. Raises NotFoundError."""
    files = _archive().bundle(sha256)
    parts = [
        {"name": name, "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        for name, content in files.items()
    ]
    return jsonify(banner=sha256, files=parts), 200, _FOR_EVER


@blueprint.get("/your-data/notices/banners/<sha256>/<name>")
@blueprint.get("/notices/banners/<sha256>/<name>")
def banner_file(sha256: str, name: str) -> ResponseReturnValue:
    """One file of a banner, as text: it is to be read, not to run. Raises NotFoundError."""
    content = _archive().bundle(sha256).get(name)
    if content is None:
        raise NotFoundError("this banner has no file of that name")
    return Response(content, content_type=_TEXT, headers=_FOR_EVER)


def _of(site: Site) -> list[Kept]:
    shown = [one for one in _archive().shown() if one.site == site.key]
    return [
        Kept(sha256, effective, rooms().ledger.notice(sha256) or "", tuple(group), sha256 == site.notice.sha256)
        for (effective, sha256), group in groupby(shown, key=lambda one: (one.effective, one.notice))
    ]


def _archive() -> Archive:
    return Archive.of(rooms().settings)
