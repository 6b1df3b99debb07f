"""The banner: its fragment, its script's config, its files, and what Global Privacy Control asks a site to publish.

Nothing here sets a cookie or reads an identifier. The fragment is the same for everybody who sends the same language
and privacy signal; what a visitor chose is put into it in the browser.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

from flask import Blueprint, Response, jsonify, make_response, request
from jinja2 import Environment, FileSystemLoader
from markupsafe import Markup
from werkzeug.wrappers import Request

from consent_app import bundle, languages
from consent_app.decisions import read_cookie_text
from consent_app.errors import NotFoundError
from consent_app.rooms import Rooms, rooms
from consent_app.sites import Purpose, Site, words

FILES: Final = "/static/consent-banner/"
COOKIE: Final = "consent"
A_WHILE: Final = 300  # seconds: how long a browser may keep the loader, a config, a fragment
FOR_EVER: Final = 31_536_000
TYPES: Final = {"js": "text/javascript", "css": "text/css", "json": "application/json"}
GPC_SINCE: Final = "2026-11-24"

blueprint = Blueprint("banner", __name__)
texts = languages.texts
bundle_sha256 = bundle.sha256

_HASHED = re.compile(r"[a-z]+\.[0-9a-f]{10}\.(js|css)")
_environment = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates" / "banner"),
    autoescape=True,
    trim_blocks=True,
    lstrip_blocks=True,
)


@blueprint.get("/v1/sites/<site>/banner")
def show_fragment(site: str) -> Response:
    """The banner for the embedding script, its addresses absolute where the page is on another host."""
    found = rooms().sites.get(site)
    lang = _language(request.args.get("lang", ""), found, request)
    html = fragment(found, lang, origin=_origin(found), gpc=_gpc(request), hidden=True)
    return _shared(make_response(html), "Sec-GPC", "Accept-Language")


@blueprint.get("/v1/sites/<site>/insert")
def show_insert(site: str) -> Response:
    """`macro` for servers that run no Python, to be put into their page `?page=`.

    They hand on the visitor's Cookie, Accept-Language and Sec-GPC.
    """
    answer = make_response(macro(rooms(), site, request, request.args.get("page", "/")))
    answer.headers["Cache-Control"] = "no-store"
    return answer


@blueprint.get("/v1/sites/<site>/config")
def show_config(site: str) -> Response:
    """What the script must know of a site before it does anything."""
    found = rooms().sites.get(site)
    return _shared(jsonify(config(rooms(), found, _language("", found, request))), "Accept-Language")


@blueprint.get("/taskbar.js")
def show_loader() -> Response:
    """The embed. Its address never changes, so its content may."""
    return _file(bundle.manifest()["taskbar.js"], A_WHILE)


@blueprint.get(FILES + "<name>")
def show_file(name: str) -> Response:
    """A built file; one with a hash in its name never changes."""
    return _file(name, FOR_EVER if _HASHED.fullmatch(name) else A_WHILE)


@blueprint.get("/.well-known/gpc.json")
def show_gpc() -> Response:
    """This server abides by Global Privacy Control (https://www.w3.org/TR/gpc/#exposing-support)."""
    return jsonify({"gpc": True, "lastUpdate": GPC_SINCE})


@blueprint.app_template_global()
def consent_banner(site_key: str) -> Markup:
    """`macro` for the pages this application renders."""
    return macro(rooms(), site_key, request)


def macro(rooms: Rooms, site_key: str, request: Request, back: str = "") -> Markup:
    """What a server-rendered page shows: the gate, and the banner unless `request` carries a valid choice.

    `request` is any WSGI request to a page of that site, `back` its address where that is not the request's own.
    Raises NotFoundError for a site nobody declared.
    """
    site = rooms.sites.get(site_key)
    lang = _language("", site, request)
    chosen = read_cookie_text(request.cookies.get(COOKIE, ""), site, rooms.settings.clock())
    shown = "" if chosen else fragment(site, lang, back=back or _address(request), gpc=_gpc(request))
    template = _environment.get_template("macro.html")
    about = json.dumps(config(rooms, site, lang), separators=(",", ":"), ensure_ascii=False)
    return Markup(template.render(files=FILES, names=bundle.manifest(), config=about, banner=shown))  # noqa: S704


def fragment(
    site: Site,
    lang: str,
    *,
    origin: str = "",
    action: str = "/consent",
    back: str = "/",
    gpc: bool = False,
    hidden: bool = False,
) -> Markup:
    """The banner's HTML in `lang`. `origin` goes before its addresses; `back` is where the form leads afterwards.

    `gpc` adds the sentence that the visitor's privacy signal is honoured; `hidden` leaves it to the script to show it.
    """
    template = _environment.get_template("fragment.html")
    html = template.render(
        site=site,
        lang=languages.known(lang),
        texts=texts(lang),
        sentences=tuple(_sentences(site, lang, gpc)),
        purposes=[_row(purpose, lang) for purpose in site.purposes],
        action=origin + action,
        cookies=f"{origin}/cookies",
        back=back,
        hidden=hidden,
    )
    return Markup(html)  # noqa: S704  rendered with autoescape just above


def config(rooms: Rooms, site: Site, lang: str) -> dict[str, Any]:
    """What the script is told, in the macro's attribute as at /v1/sites/<site>/config."""
    names = bundle.manifest()
    return {
        "site": site.key,
        "notice": site.notice.sha256,
        "timezone": site.timezone,
        "lang": languages.known(lang),
        "embed": site.embed,
        "purposes": {purpose.key: purpose.mode for purpose in site.optional},
        "permit": _default_permit(rooms, site),
        "goals": list(site.goals),
        "search": site.search_parameter,
        "ui": names["ui.js"],
        "css": names["banner.css"],
        "placeholder": [texts(lang)["placeholder"], texts(lang)["placeholder_note"]],
    }


@dataclass(frozen=True, slots=True)
class _Row:
    """One purpose as the preferences show it. `clear`: what withdrawal removes, as `kind:name` and spaces between."""

    key: str
    optional: bool
    title: str
    description: str
    shared: str
    clear: str


def _row(purpose: Purpose, lang: str) -> _Row:
    shared = texts(lang)["shared"].format(parties=", ".join(purpose.third_parties)) if purpose.third_parties else ""
    clear = " ".join(f"{cookie.kind}:{cookie.name}" for cookie in purpose.cookies)
    title, description = words(purpose.title, lang), words(purpose.description, lang)
    return _Row(purpose.key, purpose.mode != "necessary", title, description, shared, clear)


def _sentences(site: Site, lang: str, gpc: bool) -> Iterator[str]:
    for name, mode in (("tell", "objectable"), ("ask", "consent")):
        titles = [words(purpose.title, lang) for purpose in site.optional if purpose.mode == mode]
        if titles:
            yield texts(lang)[name].format(controller=site.controller, purposes=", ".join(titles))
    if gpc:
        yield texts(lang)["gpc"]


def _default_permit(rooms: Rooms, site: Site) -> str:
    """What beacons carry while nobody has chosen: today's permit of whatever runs until objected to, or nothing."""
    decisions = {purpose.key: purpose.by_default for purpose in site.optional}
    if not any(decisions.values()):
        return ""
    today = rooms.settings.clock().date()
    return rooms.seal.permit(site.key, site.notice.sha256, decisions, today, explicit=False)


def _language(asked: str, site: Site, request: Request) -> str:
    """The visitor's language if we have it, else the site's."""
    if asked and languages.known(asked) == asked.lower().partition("-")[0]:
        return languages.known(asked)
    return request.accept_languages.best_match(languages.available()) or languages.known(site.language)


def _origin(site: Site) -> str:
    """What goes before the fragment's addresses: nothing where a proxy of that site handed this request on to us."""
    if site.embed == "same-host" and rooms().sites.by_host(request.host) == site:
        return ""
    return rooms().settings.public_url.rstrip("/")


def _gpc(request: Request) -> bool:
    return request.headers.get("Sec-GPC") == "1"


def _address(request: Request) -> str:
    """Path and query of this page, for the way back."""
    query = request.query_string.decode("latin-1")
    return f"{request.path}?{query}" if query else request.path


def _shared(response: Response, *depends: str) -> Response:
    """Kept by browsers for a while, apart for each value of those request headers (`guard` says who may read it)."""
    response.headers["Cache-Control"] = f"public, max-age={A_WHILE}"
    response.vary.update(depends)
    return response


def _file(name: str, seconds: int) -> Response:
    """A built file, which any page may load as script or style sheet."""
    if name not in bundle.files():
        raise NotFoundError("there is no such file; manifest.json has the names of this version")
    response = Response(bundle.content(name), mimetype=TYPES[name.rpartition(".")[2]])
    response.headers["Cache-Control"] = f"public, max-age={seconds}" + (", immutable" if seconds == FOR_EVER else "")
    response.headers["Cross-Origin-Resource-Policy"] = "cross-origin"
    response.add_etag()
    return cast(Response, response.make_conditional(request))
