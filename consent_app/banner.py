"""The banner: its fragment, its script's config, its files, and what Global Privacy Control asks a site to publish.

Nothing here sets a cookie or reads an identifier. The fragment is the same for everybody who sends the same language
and privacy signal; what a visitor chose is put into it in the browser.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, cast
from urllib.parse import urlsplit

from flask import Blueprint, Response, jsonify, make_response, request
from jinja2 import Environment, FileSystemLoader
from markupsafe import Markup, escape
from werkzeug.wrappers import Request

from anonymiser.errors import StatisticsError
from consent_app import bundle, languages
from consent_app.decisions import GPC, read_cookie_text, signal
from consent_app.declared import Speaker, clearing
from consent_app.errors import NotFoundError
from consent_app.purposes import CONSENT_TYPES, WP_CATEGORIES
from consent_app.rooms import Rooms, rooms
from consent_app.sites import Site

FILES: Final = "/static/consent-banner/"
COOKIE: Final = "consent"
A_WHILE: Final = 300  # seconds: how long a browser may keep the loader, a config, a fragment
FOR_EVER: Final = 31_536_000
TYPES: Final = {"js": "text/javascript", "css": "text/css", "json": "application/json"}
GPC_SINCE: Final = "2026-11-24"
NEVER: Final = "(?!)"  # a pattern that fits nothing

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
    html = fragment(found, lang, origin=_origin(found), sent=signal(request.headers, found), hidden=True)
    return _shared(make_response(html), "Sec-GPC", "DNT", "Accept-Language")


@blueprint.get("/v1/sites/<site>/preferences")
def show_preferences(site: str) -> Response:
    """The same with the preferences in it, for when somebody opens them."""
    found = rooms().sites.get(site)
    lang = _language(request.args.get("lang", ""), found, request)
    html = fragment(found, lang, origin=_origin(found), hidden=True, preferences=True)
    return _shared(make_response(html), "Accept-Language")


@blueprint.get("/v1/sites/<site>/insert")
def show_insert(site: str) -> Response:
    """`macro` for servers that run no Python, to be put into their page `?page=`.

    They hand on the visitor's Cookie, Accept-Language, Sec-GPC and DNT.
    """
    answer = make_response(macro(rooms(), site, request, request.args.get("page", "/")))
    answer.headers["Cache-Control"] = "no-store"
    return answer


@blueprint.get("/v1/sites/<site>/config")
def show_config(site: str) -> Response:
    """What the script must know of a site before it does anything."""
    found = rooms().sites.get(site)
    told = config(rooms(), found, _language("", found, request), sent=signal(request.headers, found))
    return _shared(jsonify({**told, "css": f"/v1/sites/{site}/look.css"}), "Accept-Language", "Sec-GPC", "DNT")


@blueprint.get("/v1/sites/<site>/details")
def show_details(site: str) -> Response:
    """What the script must know when something is taken back, or a frame waits."""
    found = rooms().sites.get(site)
    words = texts(_language("", found, request))
    told = {
        "services": {key: purpose.key for key, purpose in found.asked.items() if key != purpose.key},
        "clear": {holder.key: clearing(holder) for holder in found.holders if holder.cookies},
        "placeholder": [words["placeholder"], words["placeholder_note"]],
    }
    return _shared(jsonify(told), "Accept-Language")


@blueprint.get("/v1/sites/<site>/look.css")
def show_look(site: str) -> Response:
    """The banner's style sheet of a site, at an address that the loader knows before it knows the site's look."""
    return _file(_look(rooms().sites.get(site)), A_WHILE)


@blueprint.get("/v1/sites/<site>/mode.js")
def show_mode(site: str) -> Response:
    """The stub for Google Consent Mode and the WP Consent API, with what it must know of this site before it."""
    found = rooms().sites.get(site)
    told = _compact(mode(rooms(), found, sent=signal(request.headers, found)))
    begin = f"document.currentScript.dataset.mode={json.dumps(told)};\n"
    answer = Response(begin + bundle.content(bundle.manifest()["mode.js"]).decode(), mimetype=TYPES["js"])
    answer.headers["Cross-Origin-Resource-Policy"] = "cross-origin"
    return _shared(answer, "Sec-GPC", "DNT")


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


@blueprint.app_template_global()
def consent_mode(site_key: str) -> Markup:
    """`mode_macro` for the pages this application renders."""
    return mode_macro(rooms(), site_key, request)


def mode_macro(rooms: Rooms, site_key: str, request: Request) -> Markup:
    """What a server-rendered page shows in its head before every tag, if it has tags of Google's or WordPress plugins.

    Raises NotFoundError for a site nobody declared.
    """
    site = rooms.sites.get(site_key)
    told = _compact(mode(rooms, site, sent=signal(request.headers, site)))
    return Markup('<script src="{}{}" data-mode="{}"></script>').format(FILES, bundle.manifest()["mode.js"], told)


def macro(rooms: Rooms, site_key: str, request: Request, back: str = "") -> Markup:
    """What a server-rendered page shows: the gate, and the banner unless `request` carries a valid choice.

    `request` is any WSGI request to a page of that site, `back` its address where that is not the request's own.
    Raises NotFoundError for a site nobody declared.
    """
    site = rooms.sites.get(site_key)
    lang = _language("", site, request)
    sent = signal(request.headers, site)
    silent = not site.optional or read_cookie_text(request.cookies.get(COOKIE, ""), site, rooms.settings.clock())
    shown = "" if silent else fragment(site, lang, back=back or _address(request), sent=sent)
    template = _environment.get_template("macro.html")
    told = config(rooms, site, lang, sent=sent)
    html = template.render(files=FILES, names=bundle.manifest(), told=told, config=_compact(told), banner=shown)
    return Markup(html)  # noqa: S704


def fragment(
    site: Site,
    lang: str,
    *,
    origin: str = "",
    back: str = "/",
    sent: str = "",
    hidden: bool = False,
    preferences: bool = False,
) -> Markup:
    """The banner's HTML in `lang`. `origin` goes before its addresses; `back` is where the form leads afterwards.

    `sent` is the name of the privacy signal that is honoured and told of; `hidden` leaves it to the script to show the
    banner; `preferences` are seldom opened, so they come with it only when asked for.
    """
    template = _environment.get_template("fragment.html")
    speaker = Speaker(site, lang)
    html = template.render(
        site=site,
        lang=languages.known(lang),
        texts=texts(lang),
        sentences=tuple(_sentences(speaker, sent)),
        groups=speaker.groups({}) if preferences else (),
        action=f"{origin}/consent",
        cookies=f"{origin}/cookies",
        back=back,
        hidden=hidden,
    )
    return Markup(html)  # noqa: S704  rendered with autoescape just above


def config(rooms: Rooms, site: Site, lang: str, *, sent: str = "") -> dict[str, Any]:
    """What the script is told, in the macro's attribute as at /v1/sites/<site>/config."""
    names = bundle.manifest()
    told: dict[str, Any] = {
        "site": site.key,
        "notice": site.notice.sha256,
        "timeZone": site.timezone,
        "lang": languages.known(lang),
        "local": site.embed == "script",
        "purposes": {key: site.asked[key].by_default and not sent for key in sorted(site.asked)},
        "asked": ",".join((site.notice.short, *sorted(site.asked))),
        "always": {purpose.key: True for purpose in site.purposes if purpose.mode == "necessary"},
        "permit": "" if sent else _default_permit(rooms, site),
        "links": site.links,
        "goals": list(site.goals),
        "search": site.search_parameter,
        "crossed": _crossed(rooms, site),
        "funnels": {name: list(steps) for name, steps in site.funnels.items()},
        "pages": _pages(site),
        "activity": f"./{names['activity.js']}",
        "ui": f"./{names['ui.js']}",
        "css": f"./{_look(site)}",
    }
    return {name: value for name, value in told.items() if value}


def _look(site: Site) -> str:
    """The style sheet's file."""
    return bundle.manifest()["banner.css" if site.look == "bar" else f"{site.look}.css"]


def _pages(site: Site) -> str:
    """The pattern (JavaScript's) of addresses for which the script loads what counts more than views and attention."""
    steps = sorted({re.escape(step) for steps in site.funnels.values() for step in steps if step.startswith("/")})
    patterns = []
    if site.search_parameter:
        patterns.append(rf"[?&]{re.escape(site.search_parameter)}=.")
    if steps:
        patterns.append(f"^[^/]+//[^/]+({'|'.join(steps)})([?#]|$)")
    if site.links:
        own = "|".join(re.escape(urlsplit(origin).netloc) for origin in site.origins)
        patterns += [rf"^https?://(?!({own})/)", r"\.(?!html?|php|aspx?|jsp)\w+([?#]|$)"]
    return "|".join(patterns) or NEVER


def _crossed(rooms: Rooms, site: Site) -> bool:
    """Whether beacons are to say where their visit came from. Statistics that cannot be read stop no banner."""
    try:
        return rooms.statistics.is_wide(site.key, site.crossed)
    except StatisticsError:
        return site.crossed


def mode(rooms: Rooms, site: Site, *, sent: str = "") -> dict[str, Any]:
    """What the stub is told: where the choice is kept, and the purposes that each type and category stands for."""
    told = config(rooms, site, site.language, sent=sent)
    wordpress = {name: [p.key for p in site.purposes if name in p.wordpress] for name in WP_CATEGORIES}
    return {
        **{name: told[name] for name in ("local", "purposes", "asked", "permit") if name in told},
        "google": {name: [p.key for p in site.purposes if name in p.google] for name in CONSENT_TYPES},
        "wordpress": {name: keys for name, keys in wordpress.items() if keys},
    }


def _compact(told: dict[str, Any]) -> str:
    return json.dumps(told, separators=(",", ":"), ensure_ascii=False)


def _sentences(speaker: Speaker, sent: str) -> Iterator[Markup]:
    """What is asked, or under a privacy signal what it has turned off: then that is all there is to say."""
    if sent:
        yield speaker.listed(speaker.say(purpose.title) for purpose in speaker.site.optional)
        yield escape(speaker.texts["gpc"].replace(GPC, sent))
        return
    for name, mode in (("tell", "objectable"), ("ask", "consent")):
        titles = [speaker.say(purpose.title) for purpose in speaker.site.optional if purpose.mode == mode]
        if titles:
            said = escape(speaker.texts[name]).format(
                controller=speaker.site.controller, purposes=speaker.listed(titles)
            )
            yield Markup("{} {}").format(said, _covered(speaker)) if speaker.site.covers else said


def _covered(speaker: Speaker) -> Markup:
    """Which other sites the choice may be taken along to."""
    return escape(speaker.texts["covers"]).format(sites=speaker.listed(speaker.site.covers.values()))


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
