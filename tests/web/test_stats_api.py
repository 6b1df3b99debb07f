"""The statistics API on the real application: questions in Plausible's shape, answered from released figures only."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from datetime import date, timedelta
from math import sqrt
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from consent_app import create_app
from consent_app.api_keys import ApiKeys
from consent_app.dashboard.stats_api.vocabulary import DIMENSIONS, METRICS, TABLES
from consent_app.rooms import NAME, Rooms
from consent_app.settings import Settings
from tests.web.api_figures import close, standing, write
from tests.web.conftest import Clock

TODAY = date(2026, 11, 24)
WEEKS = ["2026-11-02", "2026-11-22"]
Answer = dict[str, Any]


@pytest.fixture(scope="module")
def figures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Published figures of three sites; `orders` has none."""
    file = tmp_path_factory.mktemp("figures") / "stats.duckdb"
    write(file)
    return file


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, figures: Path) -> Iterator[Flask]:
    """One application for all questions that change nothing."""
    app = create_app(standing(tmp_path_factory.mktemp("house") / "home", Clock(), queries_per_minute=100_000))
    here: Rooms = app.extensions[NAME]
    shutil.copy(figures, here.settings.stats_file)
    yield app
    close(app)


@pytest.fixture
def client(house: Flask) -> FlaskClient:
    """Who asks the shared application."""
    return house.test_client()


@pytest.fixture(scope="module")
def key(house: Flask) -> str:
    """A key for every site of the shared application."""
    here: Rooms = house.extensions[NAME]
    return made(here.settings, ())


@pytest.fixture
def alone(app: Flask, settings: Settings, figures: Path) -> FlaskClient:
    """An application of this test's own."""
    shutil.copy(figures, settings.stats_file)
    return app.test_client()


def made(settings: Settings, sites: tuple[str, ...], days: int = 30) -> str:
    return ApiKeys(settings.api_keys).add("test", sites, TODAY, TODAY + timedelta(days=days))[1]


def asked(client: FlaskClient, key: str, **question: Any) -> Any:
    whole = {"site_id": "kent", "metrics": ["pageviews"], "date_range": WEEKS, **question}
    return client.post("/api/v2/query", json=whole, headers={"Authorization": f"Bearer {key}"})


def answered(client: FlaskClient, key: str, **question: Any) -> Answer:
    answer = asked(client, key, **question)
    assert answer.status_code == 200, answer.text
    found: Answer = answer.json
    return found


def rows(answer: Answer) -> dict[tuple[str, ...], list[float]]:
    return {tuple(row["dimensions"]): row["metrics"] for row in answer["results"]}


def refused(client: FlaskClient, key: str, **question: Any) -> Answer:
    answer = asked(client, key, **question)
    assert answer.status_code == 422, answer.text
    assert answer.mimetype == "application/problem+json"
    found: Answer = answer.json
    assert found["fields"]
    return found


# -- answers ----------------------------------------------------------------------------------------------------------


def test_totals_are_sums_of_released_days_with_their_intervals(client: FlaskClient, key: str) -> None:
    metrics = ["pageviews", "visits", "visitor_days", "bounce_rate", "views_per_visit"]
    answer = answered(client, key, metrics=metrics)
    (row,) = answer["results"]
    assert row["dimensions"] == []
    assert row["metrics"] == [21 * 300, 21 * 120, 21 * 100, 50.0, 2.5]
    views = row["certainty"][0]
    margin = 1.959964 * 5 * sqrt(21)
    assert views["sigma"] == pytest.approx(5 * sqrt(21), abs=0.001)
    assert views["low"] <= 6300 - margin < views["low"] + 1
    assert views["high"] - 1 < 6300 + margin <= views["high"]
    assert views["policy"] == "dp"
    assert row["certainty"][3]["low"] < 50 < row["certainty"][3]["high"]
    assert answer["meta"]["policy"] == {"name": "dp", "epsilon": 2.0, "delta": 1e-6, "k": 10}
    assert answer["meta"]["coverage"]["days_released"] == 21
    assert answer["query"]["date_range"] == WEEKS


def test_different_visitors_of_a_range_are_less_than_their_days(client: FlaskClient, key: str) -> None:
    answer = answered(client, key, metrics=["visitors", "visitor_days"])
    visitors, days = answer["results"][0]["metrics"]
    assert 1000 < visitors < days == 2100


def test_values_are_as_released_also_below_nought(client: FlaskClient, key: str) -> None:
    answer = answered(
        client, key, metrics=["visitor_days"], dimensions=["event:page"], date_range=["2026-11-16", "2026-11-22"]
    )
    assert rows(answer)[("/rare",)] == [-3]
    (rare,) = (row for row in answer["results"] if row["dimensions"] == ["/rare"])
    assert rare["certainty"][0]["low"] == 0
    assert rare["certainty"][0]["high"] == 7
    assert [row["dimensions"][0] for row in answer["results"]] == ["/", "/desks/", "=1+1", "(other)", "/rare"]


def test_a_threshold_has_no_interval_and_says_so(client: FlaskClient, key: str) -> None:
    answer = answered(client, key, site_id="defibrental")
    assert answer["results"][0]["certainty"] == [{"low": None, "high": None, "sigma": None, "policy": "threshold"}]


@pytest.mark.parametrize(
    ("dimensions", "expected"),
    [
        (["visit:source"], {("Google",): [900], ("Bing",): [300], ("Direct",): [750], ("(other)",): [150]}),
        (["visit:channel"], {("Organic search",): [1200], ("Direct",): [750], ("(other)",): [150]}),
        (["visit:os"], {("Windows",): [1500], ("Linux",): [600]}),
        (["visit:browser", "visit:os"], {("Firefox", "Linux"): [600], ("Firefox", "Windows"): [300],
                                         ("Chrome", "Windows"): [1200]}),
        (["visit:country"], {("GB",): [1950], ("IE",): [150]}),
        (["event:goal"], {("enquiry",): [210], ("brochure",): [105]}),
        (["visit:engagement"], {("0-9 s",): [900]}),
    ],
)  # fmt: skip
def test_a_breakdown_adds_up_released_weeks(
    client: FlaskClient, key: str, dimensions: list[str], expected: dict[tuple[str, ...], list[float]]
) -> None:
    answer = answered(client, key, metrics=["visitor_days"], dimensions=dimensions)
    assert rows(answer) == expected
    assert answer["meta"]["coverage"] == {"first_day": WEEKS[0], "last_day": WEEKS[1], "periods": 3}


def test_every_dimension_that_is_known_is_answered_or_refused_with_a_reason(client: FlaskClient, key: str) -> None:
    for table in TABLES:
        answer = asked(client, key, site_id="defibrental", metrics=["visitor_days"], dimensions=[*table.dimensions])
        assert answer.status_code in (200, 422)
        if answer.status_code == 422:
            assert "released" in answer.json["detail"]


def test_rates_are_of_visitor_days(client: FlaskClient, key: str) -> None:
    answer = answered(client, key, metrics=["conversion_rate"], dimensions=["event:goal"])
    assert rows(answer) == {("enquiry",): [10.0], ("brochure",): [5.0]}
    shares = answered(client, key, metrics=["percentage"], dimensions=["visit:device"])
    assert rows(shares) == {("desktop",): [71.43], ("mobile",): [28.57]}
    day = ["2026-11-20", "2026-11-20"]
    group = answered(
        client, key, site_id="defibrental", date_range=day, metrics=["group_conversion_rate", "conversion_rate"],
        dimensions=["visit:source"], filters=[["is", "event:goal", ["enquiry"]]],
    )  # fmt: skip
    assert rows(group) == {("Google",): [10.0, 30.0], ("Direct",): [10.0, 25.0]}


def test_time_is_cut_into_days_weeks_and_months(client: FlaskClient, key: str) -> None:
    days = answered(client, key, dimensions=["time:day"], date_range=["2026-11-20", "2026-11-23"])
    assert [row["dimensions"] for row in days["results"]] == [[f"2026-11-{day}"] for day in (20, 21, 22, 23)]
    weeks = answered(client, key, dimensions=["time:week"], include={"time_labels": True})
    assert rows(weeks) == {("2026-11-02",): [2100], ("2026-11-09",): [2100], ("2026-11-16",): [2100]}
    assert weeks["meta"]["time_labels"] == ["2026-11-02", "2026-11-09", "2026-11-16"]
    months = answered(client, key, dimensions=["time:month"], date_range=["2026-10-01", "2026-11-23"])
    assert rows(months) == {("2026-10-01",): [31 * 300], ("2026-11-01",): [23 * 300]}
    by_source = answered(client, key, metrics=["visitor_days"], dimensions=["time:week", "visit:channel"])
    assert rows(by_source)[("2026-11-09", "Organic search")] == [400]


def test_the_named_ranges_end_yesterday(client: FlaskClient, key: str) -> None:
    ends = {"7d": ["2026-11-17", "2026-11-23"], "28d": ["2026-10-27", "2026-11-23"],
            "month": ["2026-11-01", "2026-11-23"],
            "6mo": ["2026-05-01", "2026-10-31"], "12mo": ["2025-11-01", "2026-10-31"],
            "91d": ["2026-08-25", "2026-11-23"],
            "year": ["2026-01-01", "2026-11-23"], "all": ["2026-10-01", "2026-11-23"]}  # fmt: skip
    for name, days in ends.items():
        assert answered(client, key, date_range=name)["query"]["date_range"] == days


def test_a_page_of_rows(client: FlaskClient, key: str) -> None:
    question: Answer = {"metrics": ["visitor_days"], "dimensions": ["event:page"], "order_by": [["event:page", "asc"]]}
    answer = answered(
        client, key, **question, pagination={"limit": 2, "offset": 1}, include={"total_rows": True, "imports": True}
    )
    assert [row["dimensions"][0] for row in answer["results"]] == ["/", "/desks/"]
    assert answer["meta"]["total_rows"] == 5
    assert answer["meta"]["imports_included"] is False
    ascending = answered(client, key, **question | {"order_by": [["visitor_days", "asc"], ["event:page", "desc"]]})
    assert [row["metrics"][0] for row in ascending["results"]] == [-9, 90, 180, 600, 1200]


# -- filters ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("filters", "pages"),
    [
        ([["contains", "event:page", ["desk"]]], {"/desks/"}),
        ([["contains", "event:page", ["DESK"], {"case_sensitive": False}]], {"/desks/"}),
        ([["contains", "event:page", ["DESK"]]], set()),
        ([["is_not", "event:page", ["/", "(other)"]]], {"/desks/", "=1+1", "/rare"}),
        ([["matches", "event:page", ["^/d", "^=.+1$"]]], {"/desks/", "=1+1"}),
        ([["matches_not", "event:page", ["^/"]]], {"=1+1", "(other)"}),
        ([["or", [["is", "event:page", ["/"]], ["contains", "event:page", ["rare"]]]]], {"/", "/rare"}),
        ([["not", ["is", "event:page", ["/"]]], ["contains_not", "event:page", ["rare", "("]]], {"/desks/", "=1+1"}),
    ],
)
def test_a_filter_picks_rows(client: FlaskClient, key: str, filters: list[Any], pages: set[str]) -> None:
    answer = answered(client, key, metrics=["visitor_days"], dimensions=["event:page"], filters=filters)
    assert {name for (name,) in rows(answer)} == pages


def test_a_filter_on_another_dimension_needs_a_table_of_both(client: FlaskClient, key: str) -> None:
    question: Answer = {"metrics": ["visitor_days"], "dimensions": ["event:page"],
                        "filters": [["is", "visit:source", ["Google"]]]}  # fmt: skip
    day = ["2026-11-20", "2026-11-20"]
    wide = answered(client, key, site_id="defibrental", date_range=day, **question)
    assert rows(wide) == {("/",): [170], ("/desks/",): [90]}
    plain = refused(client, key, **question)
    assert "2,000 visitors a day" in plain["fields"]["filters"]
    assert plain["nearest"]["filters"] == []
    assert asked(client, key, **plain["nearest"]).status_code == 200
    never = refused(client, key, metrics=["visitor_days"], dimensions=["visit:country"],
                    filters=[["is", "event:page", ["/"]]])  # fmt: skip
    assert "no released table holds event:page beside visit:country" in never["fields"]["filters"]
    assert asked(client, key, **never["nearest"]).status_code == 200


def test_one_source_has_its_visitor_days_without_being_shown_by_itself(client: FlaskClient, key: str) -> None:
    answer = answered(client, key, metrics=["visitor_days"], filters=[["is", "visit:source", ["Google", "Bing"]]])
    assert rows(answer) == {(): [1200]}


# -- what is not released ---------------------------------------------------------------------------------------------

NOT_RELEASED: list[tuple[Answer, str, str]] = [
    ({"metrics": ["visitors"], "dimensions": ["event:page"]}, "metrics", "single days"),
    ({"metrics": ["pageviews"], "dimensions": ["event:page"]}, "metrics", "whole site"),
    ({"metrics": ["visit_duration"]}, "metrics", "engaged time"),
    ({"metrics": ["events", "visits"]}, "metrics", "custom events"),
    ({"metrics": ["scroll_depth"], "dimensions": ["event:page"]}, "metrics", "histogram"),
    ({"metrics": ["total_revenue"]}, "metrics", "no revenue"),
    ({"date_range": "day"}, "date_range", "before it is over"),
    ({"date_range": ["2026-11-01T10:00:00+00:00", "2026-11-02T10:00:00+00:00"]}, "date_range", "whole days"),
    ({"date_range": ["2026-01-01", "2026-01-31"]}, "date_range", "nothing has been released"),
    ({"dimensions": ["time:hour"]}, "dimensions", "by hour"),
    ({"metrics": ["visitors"], "site_id": "surrey"}, "metrics", "logs"),
    ({"metrics": ["visitors"], "date_range": ["2026-01-01", "2026-11-23"]}, "metrics", "91 days"),
    ({"metrics": ["visitors"], "date_range": ["2026-09-20", "2026-10-20"]}, "metrics", "all released"),
    ({"metrics": ["visitor_days"], "filters": [["contains", "event:page", ["/"]]]}, "dimensions", "more than once"),
    ({"metrics": ["visitor_days"], "dimensions": ["visit:source"], "date_range": ["2026-11-18", "2026-11-23"]},
     "date_range", "whole week or month"),
    ({"metrics": ["visitor_days"], "dimensions": ["time:day", "visit:source"]}, "dimensions", "longer periods"),
    ({"metrics": ["visitor_days"], "dimensions": ["visit:country", "visit:device"]}, "dimensions", "no released table"),
    ({"metrics": ["visitor_days", "conversion_rate"], "dimensions": ["event:goal", "visit:country"]}, "dimensions",
     "no released table"),
]  # fmt: skip


@pytest.mark.parametrize(("question", "field", "reason"), NOT_RELEASED)
def test_what_is_not_released_is_refused_with_the_nearest_question(
    client: FlaskClient, key: str, question: Answer, field: str, reason: str
) -> None:
    answer = refused(client, key, **question)
    assert reason in answer["fields"][field]
    nearest = asked(client, key, **answer["nearest"])
    while nearest.status_code == 422:  # what else it asks may not be released either
        assert nearest.json["nearest"] != answer["nearest"]
        answer = nearest.json
        nearest = asked(client, key, **answer["nearest"])
    assert nearest.status_code == 200
    changed = answered(client, key, **question, include={"nearest": True})
    assert changed["meta"]["changed"][0]["field"] == field
    assert changed["results"] == nearest.json["results"] != []


def test_a_site_without_figures_says_so(client: FlaskClient, key: str) -> None:
    answer = refused(client, key, site_id="orders")
    assert answer["nearest"] is None
    assert "yet" in answer["detail"]
    never = refused(client, key, metrics=["visitor_days"], dimensions=["visit:language"])
    assert never["nearest"] is None


# -- bad questions ----------------------------------------------------------------------------------------------------

WRONG: list[tuple[Answer, str]] = [
    ({"metrics": []}, "metrics"),
    ({"metrics": ["visitors", "visitors"]}, "metrics"),
    ({"metrics": ["nonsense"]}, "metrics[0]"),
    ({"metrics": "visitors"}, "metrics"),
    ({"metrics": ["percentage"]}, "metrics"),
    ({"metrics": ["conversion_rate"]}, "metrics"),
    ({"date_range": "yesterday"}, "date_range"),
    ({"date_range": ["2026-11-01"]}, "date_range"),
    ({"date_range": ["2026-02-30", "2026-03-01"]}, "date_range"),
    ({"date_range": ["2026-11-02", "2026-11-01"]}, "date_range"),
    ({"date_range": ["2026-11-02", "9999-12-31"]}, "date_range"),
    ({"date_range": 7}, "date_range"),
    ({"dimensions": ["visit:city"]}, "dimensions[0]"),
    ({"dimensions": ["time:day", "time:week"]}, "dimensions"),
    ({"filters": {}}, "filters"),
    ({"filters": [["is", "visit:source"]]}, "filters[0]"),
    ({"filters": [["is", "visit:source", "Google"]]}, "filters[0][2]"),
    ({"filters": [["is", "visit:source", ["\ud800"]]]}, "filters[0][2]"),
    ({"filters": [["is", "time:day", ["2026-11-01"]]]}, "filters[0][1]"),
    ({"filters": [["is", ["visit:source"], ["Google"]]]}, "filters[0][1]"),
    ({"filters": [["equals", "visit:source", ["Google"]]]}, "filters[0][0]"),
    ({"filters": [["has_done", ["is", "event:goal", ["enquiry"]]]]}, "filters[0]"),
    ({"filters": [["matches", "event:page", ["(a"]]]}, "filters[0][2]"),
    ({"filters": [["matches_not", "event:goal", ["a"]]]}, "filters[0][1]"),
    ({"filters": [["is", "visit:source", ["a"], {"case_sensitive": 1}]]}, "filters[0][3].case_sensitive"),
    ({"filters": [["is", "visit:source", ["x"] * 101]]}, "filters"),
    ({"filters": [["not", ["not", ["not", ["not", ["is", "visit:source", ["a"]]]]]]]}, "filters[0][1][1][1]"),
    ({"order_by": [["visits", "asc"]]}, "order_by[0]"),
    ({"order_by": [["pageviews", "up"]]}, "order_by[0]"),
    ({"include": {"weather": True}}, "include.weather"),
    ({"include": {"time_labels": True}}, "include.time_labels"),
    ({"include": []}, "include"),
    ({"pagination": {"limit": 0}}, "pagination.limit"),
    ({"pagination": {"limit": True}}, "pagination.limit"),
    ({"pagination": {"page": 2}}, "pagination"),
    ({"weather": 1}, "weather"),
    ({"limit": 1}, "limit"),
    ({"site_id": 7}, "site_id"),
]  # fmt: skip


@pytest.mark.parametrize(("question", "field"), WRONG)
def test_a_bad_question_is_told_by_its_field(client: FlaskClient, key: str, question: Answer, field: str) -> None:
    assert list(refused(client, key, **question)["fields"]) == [field]


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"nonsense", "application/json", 400),
        (b"[]", "application/json", 400),
        (b"[" * 9000, "application/json", 400),
        (b'{"site_id": ' + b"9" * 5000 + b"}", "application/json", 400),
        (b"\xff", "application/json", 400),
        (b"{}", "text/plain", 415),
        (b" " * 16_385, "application/json", 413),
    ],
)
def test_what_is_no_question_gets_its_status(
    client: FlaskClient, key: str, body: bytes, kind: str, status: int
) -> None:
    answer = client.post("/api/v2/query", data=body, content_type=kind, headers={"Authorization": f"Bearer {key}"})
    assert answer.status_code == status
    assert answer.mimetype == "application/problem+json"


def test_missing_fields_are_told_together(client: FlaskClient, key: str) -> None:
    answer = client.post("/api/v2/query", json={}, headers={"Authorization": f"Bearer {key}"})
    assert answer.json and answer.json["fields"].keys() == {"site_id", "metrics", "date_range"}


# -- who may ask ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("header", [{}, {"Authorization": "Bearer "}, {"Authorization": "Bearer nonsense"},
                                    {"Authorization": "Basic a2VudDprZW50"}, {"Authorization": "Bearer"}])  # fmt: skip
def test_without_a_key_nothing_is_answered(client: FlaskClient, header: dict[str, str]) -> None:
    answer = client.post("/api/v2/query", json={"site_id": "kent"}, headers=header)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")


def test_a_key_of_one_site_finds_no_other_by_any_name(alone: FlaskClient, settings: Settings) -> None:
    own = made(settings, ("kent",))
    assert asked(alone, own).status_code == 200
    unknown = asked(alone, own, site_id="nonsense")
    for name in ("defibrental", "surrey", "orders", "DEFIBRENTAL", "defibrental.localhost", "www.defibrental.example"):
        other = asked(alone, own, site_id=name)
        assert (other.status_code, other.data) == (404, unknown.data)


def test_a_site_is_found_by_its_host_name_too(client: FlaskClient, house: Flask, key: str) -> None:
    sites = house.extensions[NAME].sites
    host = min(sites.get("kent").own_hosts)
    assert answered(client, key, site_id=host)["query"]["site_id"] == "kent"


def test_a_key_asks_so_often_in_a_minute(alone: FlaskClient, settings: Settings, clock: Clock) -> None:
    key, other = made(settings, ()), made(settings, ())
    statuses = [asked(alone, key, metrics=["x"]).status_code for _ in range(settings.queries_per_minute + 1)]
    assert statuses == [422] * settings.queries_per_minute + [429]
    assert asked(alone, other).status_code == 200
    clock.forward(minutes=1)
    assert asked(alone, key).status_code == 200


def test_guessing_keys_is_limited_by_address(alone: FlaskClient, settings: Settings) -> None:
    statuses = [asked(alone, "guess").status_code for _ in range(settings.queries_per_minute + 1)]
    assert statuses[-2:] == [401, 429]


def test_no_other_origin_reads_it(client: FlaskClient, house: Flask, key: str) -> None:
    (origin, *_) = house.extensions[NAME].sites.get("kent").origins
    headers = {"Authorization": f"Bearer {key}", "Origin": origin}
    answer = client.post("/api/v2/query", json={"site_id": "kent", "metrics": ["visits"], "date_range": "7d"},
                         headers=headers)  # fmt: skip
    assert answer.status_code == 200
    asking = {"Origin": origin, "Access-Control-Request-Method": "POST"}
    for each in (answer, client.options("/api/v2/query", headers=asking),
                 client.get("/api/openapi.json", headers={"Origin": origin})):  # fmt: skip
        assert not [name for name, _ in each.headers if name.startswith("Access-Control-Allow")]


def test_answers_are_kept_nowhere(client: FlaskClient, key: str) -> None:
    assert asked(client, key).headers["Cache-Control"] == "no-store"


def test_a_damaged_file_of_figures_is_no_fault_of_the_question(alone: FlaskClient, settings: Settings) -> None:
    key = made(settings, ())
    settings.stats_file.write_bytes(b"nonsense" * 1000)
    assert asked(alone, key).status_code == 503


def test_the_words_are_those_of_the_documents(root: Path) -> None:
    text = (root / "docs" / "api.md").read_text("utf-8")
    assert [name for name in (*METRICS, *DIMENSIONS) if f"`{name}`" not in text] == []


def test_the_request_in_the_documents_is_answered(client: FlaskClient, key: str, root: Path) -> None:
    (example,) = re.findall(r"-d '(\{.*?\})'", (root / "docs" / "api.md").read_text("utf-8"))
    assert answered(client, key, **json.loads(example))["results"]


def test_the_body_says_nothing_that_was_not_released(client: FlaskClient, key: str) -> None:
    """Every count in an answer about one period is a released cell, as it was released."""
    answer = answered(client, key, metrics=["visitor_days"], dimensions=["visit:source", "visit:channel"],
                      date_range=["2026-11-16", "2026-11-22"])  # fmt: skip
    assert sorted(row["metrics"][0] for row in answer["results"]) == [50, 100, 250, 300]
    assert "NaN" not in json.dumps(answer)
