"""Countries come from the time-zone database itself, languages from a closed list; nothing is passed through."""

from __future__ import annotations

import re
from importlib import resources

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anonymiser import places


@pytest.mark.parametrize(
    ("zone", "country"),
    [
        ("Europe/London", "GB"),
        ("Europe/Belfast", "GB"),
        ("Europe/Jersey", "JE"),
        ("GB", "GB"),
        ("GB-Eire", "GB"),
        ("Eire", "IE"),
        ("Asia/Calcutta", "IN"),
        ("Asia/Kolkata", "IN"),
        ("Asia/Saigon", "VN"),
        ("US/Pacific", "US"),
        ("America/Buenos_Aires", "AR"),
        ("Europe/Kiev", "UA"),
        ("Europe/Oslo", "NO"),
        ("Atlantic/Reykjavik", "IS"),
        ("Iceland", "IS"),
        ("Africa/Asmera", "ER"),
        ("Pacific/Truk", "FM"),
        ("Atlantic/Faeroe", "FO"),
        ("europe/paris", "FR"),
        ("UTC", "unknown"),
        ("Etc/GMT+3", "unknown"),
        ("CET", "unknown"),
        ("EST5EDT", "unknown"),
        ("ROK", "KR"),
        ("Mars/Olympus", "unknown"),
        ("", "unknown"),
    ],
)
def test_zones_tell_countries(zone: str, country: str) -> None:
    assert places.country(zone) == country


def test_every_zone_of_the_database_with_a_place_has_its_country() -> None:
    """zone.tab is the oracle: each of its rows, read here anew."""
    table = (resources.files("tzdata") / "zoneinfo" / "zone.tab").read_text("utf-8")
    rows = re.findall(r"^([A-Z]{2})\t\S+\t(\S+)", table, re.MULTILINE)
    assert len(rows) > 400
    assert [zone for country, zone in rows if places.country(zone) != country] == []


def test_old_names_of_places_are_known() -> None:
    placeless = re.compile(r"Etc/|UTC|GMT|UCT|Zulu|Universal|Greenwich|[A-Z]{2}T(\d[A-Z]{2}T)?$|Factory|localtime")
    unknown = {
        zone
        for zone in (resources.files("tzdata") / "zones").read_text("utf-8").split()
        if not placeless.match(zone) and places.country(zone) == "unknown"
    }
    assert unknown == set()


def test_there_are_as_many_countries_as_the_database_has() -> None:
    assert len(places.COUNTRIES) == len({*places.COUNTRIES}) > 240
    assert "GB" in places.COUNTRIES
    assert "unknown" in places.COUNTRIES


@pytest.mark.parametrize(
    ("tag", "language"),
    [
        ("en-GB", "en"),
        ("EN", "en"),
        ("cy", "cy"),
        ("zh-Hant-TW", "zh"),
        ("pt_BR", "pt"),
        ("iw-IL", "he"),
        ("fil-PH", "tl"),
        ("nb", "nb"),
        ("tlh", "unknown"),
        ("x-jane", "unknown"),
        ("xx", "unknown"),
        ("jane@post.example", "unknown"),
        ("", "unknown"),
    ],
)
def test_tags_tell_languages(tag: str, language: str) -> None:
    assert places.language(tag) == language


def test_the_language_list_is_that_of_iso_639_1() -> None:
    assert len(places.LANGUAGES) == len({*places.LANGUAGES}) == 183 + 1
    assert all(re.fullmatch(r"[a-z]{2}|unknown", language) for language in places.LANGUAGES)


@settings(deadline=None)
@given(st.text(max_size=40))
def test_only_closed_lists_come_out(text: str) -> None:
    assert places.country(text) in places.COUNTRIES
    assert places.language(text) in places.LANGUAGES
