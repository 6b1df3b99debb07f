"""The API over HTTP: one question at a time, for whoever holds a key; and the description of every JSON route."""

from __future__ import annotations

import json
from functools import cache
from importlib.metadata import version
from importlib.resources import files
from typing import Any, ClassVar

from flask import Blueprint, current_app, jsonify, request
from flask.typing import ResponseReturnValue

from anonymiser.errors import StatisticsError
from consent_app.api_keys import ApiKey, ApiKeys, KeysError
from consent_app.dashboard.standing import local_day
from consent_app.dashboard.stats_api.answer import answer
from consent_app.dashboard.stats_api.question import LONGEST, read
from consent_app.errors import NotFoundError, RequestError, UnavailableError
from consent_app.guard import limit_rate, rates_of, read_body
from consent_app.rooms import rooms
from consent_app.sites import Site

blueprint = Blueprint("stats_api", __name__, url_prefix="/api")


class UnauthorisedError(RequestError):
    """No key, or none that opens anything (RFC 6750 section 3)."""

    status: ClassVar[int] = 401

    def headers(self) -> dict[str, str]:
        """How to present one."""
        return {"WWW-Authenticate": 'Bearer realm="statistics"'}


@blueprint.post("/v2/query")
def query() -> ResponseReturnValue:
    """Answer one question. Raises RequestError with what is wrong, and UnanswerableError with what could be asked."""
    key = _key()
    rates_of(current_app).take("query", key.id, rooms().settings.queries_per_minute)
    question = read(read_body("application/json", LONGEST))
    site = _site(question.site, key)
    here = rooms()
    try:
        found = answer(here.statistics, site, question.about(site.key), local_day(here.settings.clock(), site.zone))
    except StatisticsError as error:
        raise _unreadable("statistics", error) from error
    return jsonify(found.document()), 200, {"Cache-Control": "no-store"}


@blueprint.get("/openapi.json")
def openapi() -> ResponseReturnValue:
    """Every JSON route of this server (OpenAPI 3.1)."""
    document = {**_document(), "servers": [{"url": rooms().settings.public_url.rstrip("/")}]}
    return jsonify(document), 200, {"Cache-Control": "public, max-age=300"}


@cache
def _document() -> dict[str, Any]:
    document: dict[str, Any] = json.loads(files("consent_app").joinpath("openapi.json").read_text("utf-8"))
    document["info"]["version"] = version("consent-app")
    return document


def _key() -> ApiKey:
    """The key this request comes with. Raises UnauthorisedError; trying many is limited by address."""
    given = request.authorization
    today = rooms().settings.clock().date()
    try:
        token = given.token if given is not None and given.type == "bearer" else None
        key = ApiKeys(rooms().settings.api_keys).verify(token or "", today)
    except KeysError as error:
        raise _unreadable("keys", error) from error
    if key is None:
        limit_rate("api-door", rooms().settings.queries_per_minute)
        raise UnauthorisedError("send a valid key as `Authorization: Bearer KEY`; `consent key add` makes one")
    return key


def _site(asked: str, key: ApiKey) -> Site:
    """The site of that key or host name. One that is not there and one the key is not for get the same answer."""
    for site in rooms().sites:
        if (site.key == asked or asked.lower() in site.own_hosts) and key.may_see(site.key):
            return site
    raise NotFoundError("there is no such site among those of this key")


def _unreadable(what: str, error: Exception) -> UnavailableError:
    current_app.logger.error("statistics API: %s", error)
    return UnavailableError(f"the {what} cannot be read; whoever runs this installation finds why in the log")
