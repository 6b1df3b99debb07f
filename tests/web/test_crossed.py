"""Two dimensions on the web's side: a site asks for them or has the visitors, its pages are told, its beacons count."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, date, datetime
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from anonymiser import facts
from anonymiser.agents import Agent
from anonymiser.bounds import CROSSED
from anonymiser.errors import BeaconError
from anonymiser.publish import publish
from anonymiser.stats import Cell, Release
from consent_app.batch import rules
from consent_app.errors import ConsentError
from consent_app.rooms import NAME, Rooms
from consent_app.settings import Settings
from consent_app.sites import Sites

DAY = date(2026, 11, 23)
MakeApp = Callable[[Settings], Flask]


def ask(home: Path, value: str) -> None:
    """Let the starter's first site say `crossed`."""
    file = home / "sites.toml"
    file.write_text(file.read_text("utf-8").replace("[site.kent]\n", f"[site.kent]\ncrossed = {value}\n", 1), "utf-8")


def told(client: FlaskClient) -> Any:
    return client.get("/v1/sites/kent/config").get_json().get("crossed", False)


def test_a_site_is_plain_until_it_asks(home: Path) -> None:
    assert not rules(Sites.load(home / "sites.toml").get("kent")).crossed
    ask(home, "true")
    sites = Sites.load(home / "sites.toml")
    assert [site.key for site in sites if rules(site).crossed] == ["kent"]


def test_anything_but_true_or_false_is_refused_with_its_line(home: Path) -> None:
    ask(home, '"yes"')
    with pytest.raises(ConsentError, match=r"line 5: site.kent.crossed: must be true or false"):
        Sites.load(home / "sites.toml")


def test_pages_are_told_when_the_site_asks(home: Path, make_app: MakeApp, settings: Settings) -> None:
    assert told(make_app(settings).test_client()) is False
    ask(home, "true")
    app = make_app(settings)
    assert told(app.test_client()) is True
    insert = (
        app.test_client().get("/v1/sites/kent/insert", base_url="http://kent.localhost:8000").get_data(as_text=True)
    )
    (attribute,) = re.findall(r'data-consent="([^"]*)"', insert)
    assert json.loads(unescape(attribute))["crossed"] is True


@pytest.mark.parametrize(("visitors", "expected"), [(2_000, True), (1_999, False)])
def test_pages_are_told_when_the_released_figures_say_so(
    make_app: MakeApp, settings: Settings, visitors: int, expected: bool
) -> None:
    app = make_app(settings)
    assert told(app.test_client()) is False
    release = Release("0" * 16, "kent", DAY, DAY, "dp", 2.0, 1e-6, 10, {}, {}, "0" * 64, "test", datetime.now(UTC))
    publish(
        settings.stats_file, [release], [Cell("0" * 16, "kent", DAY, 1, "totals", "", "", "visitors", visitors, 12.0)]
    )
    assert told(app.test_client()) is expected


def test_a_damaged_statistics_file_stops_no_banner(make_app: MakeApp, settings: Settings) -> None:
    settings.stats_file.write_bytes(b"no database")
    app = make_app(settings)
    assert told(app.test_client()) is False
    rooms: Rooms = app.extensions[NAME]
    assert rooms.statistics


# -- what a beacon becomes ---------------------------------------------------------------------------------------------

VIEW = {"kind": "pageview", "path": "/chairs/", "prev": "/", "n": 2, "p": 2, "v": 1, "k": 2}
GOAL = {"kind": "goal", "path": "/contact", "key": "enquiry", "g": 1}
CAME = {"entry": "/offers/", "referrer": "www.google.co.uk"}
LONG = "/" + "x" * 511


def shredded(**said: Any) -> set[tuple[str, str, str]]:
    document = {"schema": 1, "site": "kent", "permit": "p", "nonce": "0" * 16, "day": "2026-11-24", **said}
    beacon = facts.parse(json.dumps(document).encode())
    found = facts.shred(beacon, Agent("Safari", "iOS", "phone", ""), 9, frozenset())
    return {(fact.statistic, fact.key1, fact.key2) for fact in found}


def test_without_a_landing_page_no_fact_has_two_dimensions() -> None:
    for said in (VIEW, GOAL, VIEW | {"referrer": "www.google.co.uk"}):
        assert {name for name, _, _ in shredded(**said)}.isdisjoint(CROSSED)


def test_a_landing_page_and_source_make_pairs_of_new_pages_and_goals() -> None:
    assert {fact for fact in shredded(**VIEW, **CAME) if fact[0] in CROSSED} == {
        ("page_sources", "/chairs/", "Google"),
        ("page_devices", "/chairs/", "phone"),
    }
    assert {fact for fact in shredded(**GOAL, **CAME) if fact[0] in CROSSED} == {
        ("source_goals", "Google", "enquiry"),
        ("entry_goals", "/offers/", "enquiry"),
    }
    for seen_before in (VIEW | {"p": 0}, GOAL | {"g": 0}, VIEW | {"n": 9, "p": 7}, GOAL | {"g": 4}):
        assert not {fact for fact in shredded(**seen_before, **CAME) if fact[0] in CROSSED}


def test_a_source_is_counted_once_however_many_views_bring_it_along() -> None:
    assert not {fact for fact in shredded(**VIEW, **CAME) if fact[0] == "sources"}


@pytest.mark.parametrize(("referrer", "group"), [("rare-blog.example", "Referral"), ("ecosia.org", "Other search")])
def test_rare_sources_are_not_named_beside_a_page(referrer: str, group: str) -> None:
    assert ("page_sources", "/chairs/", group) in shredded(**VIEW, entry="/", referrer=referrer)


@pytest.mark.parametrize("entry", ["offers", LONG + "x", 7, "/\ud800"])
def test_a_landing_page_that_is_no_path_is_refused(entry: object) -> None:
    with pytest.raises(BeaconError, match="'entry'"):
        shredded(**VIEW, entry=entry)


def test_the_longest_beacon_fits() -> None:
    long = dict.fromkeys(("referrer", "utm_source", "utm_medium", "utm_campaign"), "x" * 128)
    assert shredded(**VIEW | {"path": LONG, "prev": LONG}, entry=LONG, **long, permit="p" * 512)
