"""What the pages of data rights have together: whose site, which language, forms strictly read, answers kept nowhere.

There is no session and no token against forged forms: a form is taken from a page of the site only, as a browser's
Origin and Sec-Fetch-Site say.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeVar

from flask import Response, jsonify, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from werkzeug.wrappers import Response as Answer

from consent_app.errors import FieldsError, MediaTypeError
from consent_app.guard import limit_rate, require_own_page
from consent_app.languages import available, known
from consent_app.rights_texts import Speaker
from consent_app.rooms import rooms
from consent_app.sites import Site

FORMS: Final = ("application/x-www-form-urlencoded", "multipart/form-data")
ALWAYS: Final = ("site", "lang")
_Kept = TypeVar("_Kept", bound=Answer)


def asked_site() -> Site | None:
    """The site an address names, else the one whose host it is. Raises NotFoundError for a name that is none."""
    key = request.args.get("site", "")
    return rooms().sites.get(key) if key else rooms().sites.by_host(request.host)


def form(*names: str) -> tuple[Site, Mapping[str, str]]:
    """The site and the fields of a form: nothing unknown, nothing twice, from a page of the site, not too often.

    Raises MediaTypeError, FieldsError, CrossSiteError and RateError.
    """
    if request.mimetype not in FORMS:
        raise MediaTypeError(FORMS[0])
    limit()
    sent = _names()
    faults = {name[:64]: "is not a field here" for name in sent if name not in (*ALWAYS, *names)}
    if len(set(sent)) != len(sent):
        faults["(body)"] = "names a field twice"
    site = next((site for site in rooms().sites if site.key == request.form.get("site")), None)
    if site is None:
        raise FieldsError(faults | {"site": "is missing or is not a site of this server"})
    if faults:
        raise FieldsError(faults)
    require_own_page(site)
    return site, request.form


def speaker(site: Site | None) -> Speaker:
    """In the language that the form or the address asks for, else the browser, else the site."""
    asked = request.form.get("lang") or request.args.get("lang", "")
    if asked.lower().partition("-")[0] in available():
        return Speaker(known(asked), site)
    usual = known(site.language) if site else "en"
    return Speaker(request.accept_languages.best_match(available()) or usual, site)


def page(name: str, said: Speaker, status: int = 200, **facts: Any) -> Response:
    """One of the pages in `templates/rights`."""
    about = {"said": said, "site": said.site, "lang": said.lang, "dir": said.direction}
    html = render_template(f"rights/{name}.html", **about, **facts)
    return private(Response(html, status, mimetype="text/html"))


def see(endpoint: str, site: Site, **values: Any) -> Answer:
    """303 to another of these pages, in the same language."""
    return private(redirect(url_for(endpoint, site=site.key, lang=speaker(site).lang, **values), 303))


def file(content: str | bytes, name: str, kind: str = "application/json") -> Response:
    """A file to keep."""
    answer = Response(content, content_type=kind)
    answer.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return private(answer)


def not_yet() -> ResponseReturnValue:
    """What is not signed yet will be in a moment."""
    return jsonify(signed=False), 202, {"Retry-After": "1", "Cache-Control": "no-store"}


def private(answer: _Kept) -> _Kept:
    """What is one visitor's stays out of caches."""
    answer.headers["Cache-Control"] = "no-store"
    return answer


def limit() -> None:
    """As often as decisions are taken from one address. Raises RateError."""
    limit_rate("rights", rooms().settings.decisions_per_minute)


def _names() -> list[str]:
    """The name of every field that was sent, as often as it was."""
    return [name for parts in (request.form, request.files) for name, _ in parts.items(multi=True)]
