"""The description of every JSON route: complete, valid, and kept to by the real application when schemathesis asks."""

from __future__ import annotations

import copy
import json
import re
from collections import Counter
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

import pytest
import schemathesis
from flask import Flask
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from openapi_spec_validator import validate
from openapi_spec_validator.validation.exceptions import OpenAPIValidationError
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.schemas import BaseSchema
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from consent_app import create_app
from consent_app.api_keys import ApiKeys
from consent_app.dashboard.stats_api.filters import OPERATORS
from consent_app.dashboard.stats_api.question import KNOWN, RANGES
from consent_app.dashboard.stats_api.vocabulary import DIMENSIONS, METRICS, TIMES
from consent_app.rooms import NAME, Rooms
from tests.conftest import ROOT
from tests.web.api_figures import close, standing, write
from tests.web.conftest import Clock

TODAY = date(2026, 11, 24)
OFTEN = 100_000
# Pages for people, files for browsers, and protocols that are described elsewhere. None of them ever answers JSON.
PAGES = (
    "/", "/consent", "/cookies", "/metrics", "/taskbar.js", "/.well-known/security.txt",
    "/v1/receipts/{record_id}.html",
    "/your-data", "/your-data/complaints", "/your-data/complaints/{reference}", "/your-data/erase",
    "/your-data/erasures/{seq}", "/your-data/object", "/your-data/style.css",
)  # fmt: skip
FOLDERS = ("/dashboard/", "/static/", "/ledger/", "/notices", "/your-data/notices", "/witness/", "/share/")
SCRIPTS = "/v1/sites/"  # what the banner's script of the same version reads, some of it JSON: no contract with others
ASSET = ("/ledger/receipt.schema.json", "get")  # one file of a route that has others too


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flask]:
    """One application with figures for all tests, which lets everybody ask as often as they like."""
    often = {f"{name}_per_minute": OFTEN for name in ("queries", "decisions", "beacons")}
    home = standing(tmp_path_factory.mktemp("house") / "home", Clock(), **often)
    write(home.stats_file)
    app = create_app(home)
    yield app
    close(app)


@pytest.fixture(scope="module")
def document(house: Flask) -> dict[str, Any]:
    answer = house.test_client().get("/api/openapi.json")
    assert answer.mimetype == "application/json"
    found: dict[str, Any] = json.loads(answer.data)
    return found


def rules(app: Flask) -> Iterator[tuple[str, str]]:
    """Path and method of every route, as OpenAPI writes them."""
    for rule in app.url_map.iter_rules():
        path = re.sub(r"<(?:[^:<>]+:)?(\w+)>", r"{\1}", re.sub(r"<any\([^)]*\):", "<", rule.rule))
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}:
            yield path, method.lower()


def described(document: dict[str, Any]) -> set[tuple[str, str]]:
    return {
        (path, method) for path, methods in document["paths"].items() for method in methods if method != "parameters"
    }


def is_page(path: str) -> bool:
    return path in PAGES or path.startswith((*FOLDERS, SCRIPTS))


def test_every_route_is_described_or_is_a_page(house: Flask, document: dict[str, Any]) -> None:
    told, there = described(document), {*rules(house)}
    assert {(path, method) for path, method in there if not is_page(path)} - told == set()
    assert told - there == {ASSET}
    assert {*PAGES} <= {path for path, _ in there}


def test_a_route_that_nobody_described_is_found(document: dict[str, Any]) -> None:
    app = Flask("another")
    app.add_url_rule("/v1/new/<int:number>", view_func=lambda number: {}, endpoint="new")
    assert {(path, method) for path, method in rules(app) if not is_page(path)} - described(document) == {
        ("/v1/new/{number}", "get")
    }


def test_what_counts_as_a_page_never_answers_json(house: Flask) -> None:
    client = house.test_client()
    asked = 0
    for path, method in rules(house):
        if is_page(path) and method == "get" and path != "/static/{filename}" and not path.startswith(SCRIPTS):
            address = path.format_map(Anything())
            with client.get(address) as answer:
                told = answer.mimetype or "", answer.status_code
            assert "json" not in told[0] or told[0] == "application/schema+json" or told[1] >= 400, path
            asked += 1
    assert asked > len(FOLDERS)


class Anything(dict[str, str]):
    """A value for every parameter of a path."""

    def __missing__(self, name: str) -> str:
        return {"site": "kent", "key": "kent", "name": "receipt.css", "seq": "0", "year": "2026"}.get(name, "0" * 32)


def test_the_document_is_valid(document: dict[str, Any]) -> None:
    validate(document)
    broken = copy.deepcopy(document)
    broken["paths"]["/healthz"]["get"]["responses"] = []
    with pytest.raises(OpenAPIValidationError):
        validate(broken)


def test_its_words_are_those_of_the_code(document: dict[str, Any], house: Flask) -> None:
    schemas = document["components"]["schemas"]
    assert schemas["Metric"]["enum"] == [*METRICS]
    assert schemas["Dimension"]["enum"] == [*DIMENSIONS]
    assert schemas["Time"]["enum"] == [*TIMES]
    assert schemas["Condition"]["prefixItems"][0]["enum"] == [*OPERATORS]
    assert schemas["Range"]["oneOf"][0]["enum"] == [name for name in RANGES if name != "day"]
    assert {*schemas["Question"]["properties"]} == {*KNOWN}
    rooms: Rooms = house.extensions[NAME]
    assert document["servers"] == [{"url": rooms.settings.public_url}]


# -- schemathesis -----------------------------------------------------------------------------------------------------

DOCUMENT = json.loads((ROOT / "consent_app" / "openapi.json").read_text("utf-8"))
OPERATIONS = [(path, method) for path, methods in DOCUMENT["paths"].items() for method in methods]
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance,
          response_headers_conformance, unsupported_method]  # fmt: skip
# A beacon that is not kept is no error; and a form of texts cannot be wrong by its schema alone.
TAKES_ANYTHING = ("/v1/collect", "/your-data/copy")
FEW = settings(
    max_examples=10, phases=[Phase.explicit, Phase.generate], deadline=None, database=None, derandomize=True,
    suppress_health_check=[*HealthCheck],
)  # fmt: skip


@pytest.fixture(scope="module")
def api(house: Flask, document: dict[str, Any]) -> BaseSchema:
    """The document as schemathesis reads it, asking about the sites there are."""
    known = copy.deepcopy(document)
    sites = {"type": "string", "enum": ["kent", "defibrental", "surrey", "orders"]}
    known["components"]["schemas"]["Site"] = sites
    known["components"]["schemas"]["Question"]["properties"]["site_id"] = sites
    schema = schemathesis.openapi.from_dict(known)
    schema.app = house
    return schema


@pytest.fixture(scope="module")
def bearer(house: Flask) -> dict[str, str]:
    """A key for every site, as a header."""
    rooms: Rooms = house.extensions[NAME]
    _, text = ApiKeys(rooms.settings.api_keys).add("test", (), TODAY, TODAY + timedelta(days=9))
    return {"Authorization": f"Bearer {text}"}


@pytest.mark.parametrize("mode", GenerationMode)
@pytest.mark.parametrize(("path", "method"), OPERATIONS)
def test_the_application_keeps_to_its_document(
    api: BaseSchema, bearer: dict[str, str], path: str, method: str, mode: GenerationMode
) -> None:
    """No fault of ours, and only answers that are described, for good and bad requests."""
    operation = api[path][method]
    checks: list[Any] = [*CHECKS]
    if mode is GenerationMode.NEGATIVE and path not in TAKES_ANYTHING:
        checks.append(negative_data_rejection)

    @FEW
    @given(case=operation.as_strategy(generation_mode=mode))
    def ask(case: Case[Any]) -> None:
        headers = bearer if path == "/api/v2/query" else {}
        case.validate_response(case.call(headers=headers), checks=checks)

    try:
        ask()
    except Unsatisfiable:
        assert mode is GenerationMode.NEGATIVE  # nothing about this request can be wrong


def test_a_question_without_a_key_is_never_answered(api: BaseSchema) -> None:
    @FEW
    @given(case=api["/api/v2/query"]["post"].as_strategy())
    def ask(case: Case[Any]) -> None:
        assert case.call(headers={"Authorization": "Bearer wrong"}).status_code == 401

    ask()


def test_good_questions_are_answered_or_refused_with_the_nearest(api: BaseSchema, bearer: dict[str, str]) -> None:
    """What the document calls a question is understood: no field of it is called wrong."""
    seen: Counter[int] = Counter()

    @settings(FEW, max_examples=40)
    @given(case=api["/api/v2/query"]["post"].as_strategy())
    def ask(case: Case[Any]) -> None:
        answer = case.call(headers=bearer)
        seen[answer.status_code] += 1
        assert answer.status_code in (200, 422)

    ask()
    assert seen[200] > 0
    assert seen[422] > 0


def test_a_planted_fault_is_found(api: BaseSchema, document: dict[str, Any]) -> None:
    """An answer that says more than is described fails the check."""
    told = copy.deepcopy(document)
    told["paths"]["/healthz"]["get"]["responses"]["200"]["content"]["application/json"]["schema"] = {"type": "array"}
    schema = schemathesis.openapi.from_dict(told)
    schema.app = api.app
    case = schema["/healthz"]["get"].Case()
    with pytest.raises(FailureGroup):
        case.validate_response(case.call(), checks=CHECKS)


def good(api: BaseSchema, path: str, method: str, status: int, **request: Any) -> Any:
    """Ask rightly: the status that is hoped for, in the form that is described."""
    case = api[path][method].Case(**request)
    answer = case.call()
    assert answer.status_code == status, answer.text
    case.validate_response(answer, checks=CHECKS)
    return answer


def test_a_decision_and_what_follows_from_it_are_as_described(api: BaseSchema, house: Flask) -> None:
    """What schemathesis cannot guess: the hash of a notice, the number of a receipt."""
    rooms: Rooms = house.extensions[NAME]
    state = good(api, "/v1/consent", "get", 200, query={"site": "kent"}).json()
    decision = {"site": "kent", "notice": state["notice"]["sha256"], "lang": "en", "method": "banner-accept-all",
                "decisions": dict.fromkeys(state["decisions"], True)}  # fmt: skip
    as_json = {"media_type": "application/json"}
    made = good(api, "/v1/consent", "post", 201, body=decision, **as_json).json()
    stale = {**decision, "notice": "0" * 64}
    assert good(api, "/v1/consent", "post", 409, body=stale, **as_json).json()["notice"] == state["notice"]
    number = {"path_parameters": {"record_id": made["receipt"]}}
    good(api, "/v1/receipts/{record_id}", "get", 202, **number)
    rooms.ledger.sequence()
    for path in ("/v1/receipts/{record_id}", "/v1/receipts/{record_id}.jsonld", "/v1/receipts/{record_id}.tlog-proof"):
        good(api, path, "get", 200, **number)
    good(api, "/v1/consent", "delete", 201, query={"site": "kent"}, body={"token": made["token"]}, **as_json)
    for path in ("/ledger/checkpoint", "/ledger/log.vkey", "/healthz", "/readyz"):
        good(api, path, "get", 200)
    good(api, "/ledger/notices/{sha256}", "get", 200, path_parameters={"sha256": state["notice"]["sha256"]})
    form = {"site": "kent", "receipt": made["receipt"]}
    good(api, "/your-data/copy", "post", 200, body=form, media_type="application/x-www-form-urlencoded")
