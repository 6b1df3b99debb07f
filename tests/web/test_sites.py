"""sites.toml: what is refused, and that the message names the line."""

from __future__ import annotations

import hashlib
import re
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consent_app.errors import NotFoundError, SitesError
from consent_app.purposes import words
from consent_app.sites import Sites
from consent_app.strict_toml import line_of

STARTER = Path(__file__).parents[2] / "consent_app" / "starter"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    shutil.copytree(STARTER, tmp_path, dirs_exist_ok=True)
    return tmp_path / "sites.toml"


def test_the_starter_declares_the_four_sites() -> None:
    sites = Sites.load(STARTER / "sites.toml")
    assert [site.key for site in sites] == ["kent", "surrey", "defibrental", "orders"]
    assert [site.embed for site in sites] == ["same-host", "same-host", "script", "script"]
    statistics = sites.get("surrey").purpose("statistics")
    assert statistics is not None
    assert (statistics.mode, statistics.by_default) == ("objectable", True)
    assert words(statistics.title, "cy-GB") == "Ystadegau"
    assert words(statistics.title, "fr") == "Statistics"


def test_visitors_of_sites_without_a_server_of_their_own_are_told_apart_for_a_week() -> None:
    assert Sites.load(STARTER / "sites.toml").longest_ranges == {"defibrental": 7, "orders": 7}


def test_a_notice_is_known_by_the_hash_of_its_file() -> None:
    notice = Sites.load(STARTER / "sites.toml").get("kent").notice
    assert notice.sha256 == hashlib.sha256((STARTER / "notices" / "kent.txt").read_bytes()).hexdigest()
    assert notice.short == notice.sha256[:8]


def test_sites_are_found_by_host_and_by_exact_origin() -> None:
    sites = Sites.load(STARTER / "sites.toml")
    kent = sites.get("kent")
    assert sites.by_host("Kent.localhost:9999") is kent
    assert sites.by_origin("http://kent.localhost:8000") is kent
    assert sites.by_origin("http://kent.localhost:9999") is None
    assert sites.by_host("stranger.example") is None
    with pytest.raises(NotFoundError):
        sites.get("stranger")


def test_a_funnel_goes_by_paths_and_goals(file: Path) -> None:
    text = file.read_text("utf-8")
    goals = 'goals = ["enquiry", "quote"]'
    file.write_text(text.replace(goals, f'{goals}\nfunnels = {{ order = ["/chairs", "quote"] }}', 1), "utf-8")
    assert Sites.load(file).get("kent").funnels == {"order": ("/chairs", "quote")}


# What is changed in the starter, the text on the line that must be named, and a part of the reason.
FAULTS = {
    "unknown key": ('goals = ["enquiry", "quote"]', 'goal = ["x"]', "goal = ", "not a setting here"),
    "unknown purpose key": ("days = 180", "hours = 3", "hours = 3", "not a setting here"),
    "key of the dashboard": ("[site.kent]", "[site.login]", "[site.login]", "address of the dashboard"),
    "regime": ('regime = "uk"', 'regime = "us"', 'regime = "us"', "one of uk, eu"),
    "zone": ("Europe/London", "Europe/Londres", "Londres", "time zone such as"),
    "origin with a path": ("https://kent.example", "https://kent.example/", "kent.example/", "origins such as"),
    "origin twice": ("https://surrey.example", "https://kent.example", "surrey.localhost", "belongs to site 'kent'"),
    "notice missing": ("notices/kent.txt", "notices/gone.txt", "gone.txt", "cannot be read"),
    "date as text": ("effective = 2026-11-01", 'effective = "1 May"', '"1 May"', "a date such as"),
    "no such mode": ('mode = "consent"', 'mode = "maybe"', '"maybe"', "one of necessary, objectable"),
    "necessary may not ask": ('mode = "necessary"', 'mode = "consent"', 'mode = "consent"', "'necessary'"),
    "statistics are not necessary": ('mode = "objectable"', 'mode = "necessary"', "", "never strictly necessary"),
    "days": ("days = 180", "days = -1", "days = -1", "whole number from 0"),
    "lower-case tag": ('en = "Necessary"', 'EN = "Necessary"', "EN = ", "not a language tag"),
    "key twice": ('regime = "uk"', 'regime = "uk"\nregime = "uk"', "", "is not TOML"),
    "open string": ('regime = "uk"', 'regime = "uk', 'regime = "uk', "is not TOML"),
    "step that is no goal": (
        'goals = ["enquiry", "quote"]',
        'goals = ["enquiry"]\nfunnels = { order = ["/chairs", "quote"] }',
        "funnels = ",
        "goals of this site",
    ),
    "missing": ('controller = "Kent Office Solutions"\n', "", "[site.kent]", "controller is missing"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_refused_by_line_and_reason(file: Path, name: str) -> None:
    old, new, where, reason = FAULTS[name]
    text = file.read_text("utf-8").replace(old, new, 1)
    file.write_text(text, "utf-8")
    with pytest.raises(SitesError) as caught:
        Sites.load(file)
    assert reason in caught.value.reason
    assert where in text.splitlines()[caught.value.line - 1]
    assert str(caught.value).startswith(f"{file}, line {caught.value.line}: ")


OBJECTABLE = {
    "third party": ('mode = "objectable"', 'mode = "objectable"\nthird_parties = ["X"]', "third_parties"),
    "not statistics": ("[site.kent.purpose.embeds]", "[site.kent.purpose.maps]", "'objectable' is for"),
    "European site": ('regime = "uk"', 'regime = "eu"', "UK exemption"),
}


@pytest.mark.parametrize("name", OBJECTABLE)
def test_objectable_is_refused_where_the_exemption_ends(file: Path, name: str) -> None:
    old, new, reason = OBJECTABLE[name]
    text = file.read_text("utf-8").replace(old, new)
    if name == "not statistics":
        text = text.replace('mode = "consent"\nthird_parties = ["OpenStreetMap Foundation"]', 'mode = "objectable"')
    file.write_text(text, "utf-8")
    with pytest.raises(SitesError, match=reason):
        Sites.load(file)


SERVICE = '\n[site.{site}.purpose.{purpose}.service.{key}]\ntitle = "T"\nprovider = "P"\ndescription = "D"\n'
PLANTED = {
    "key twice": ("kent", "embeds", "statistics", "the key 'statistics' names two"),
    "without consent": ("surrey", "statistics", "tracker", "has no services of others"),
    "upper case": ("kent", "embeds", "Map", "a service's key has at most"),
}


@pytest.mark.parametrize("name", PLANTED)
def test_a_service_is_refused_that_could_not_be_decided_on(file: Path, name: str) -> None:
    site, purpose, key, reason = PLANTED[name]
    with file.open("a", encoding="utf-8") as more:
        more.write(SERVICE.format(site=site, purpose=purpose, key=key))
    with pytest.raises(SitesError, match=reason):
        Sites.load(file)


def test_more_than_a_record_holds_is_refused(file: Path) -> None:
    with file.open("a", encoding="utf-8") as more:
        more.writelines(SERVICE.format(site="kent", purpose="embeds", key=f"s{number}") for number in range(6))
    with pytest.raises(SitesError, match="has 9 purposes and services"):
        Sites.load(file)


@pytest.mark.parametrize(
    ("mode", "google", "reason"),
    [
        ("consent", "tracking", "consent types: ad_storage"),
        ("necessary", "ad_storage", "lets Google receive it"),
        ("objectable", "analytics_storage", "lets Google receive it"),
    ],
)
def test_google_hears_of_nothing_that_runs_without_consent(file: Path, mode: str, google: str, reason: str) -> None:
    text = file.read_text("utf-8")
    text = text.replace(f'mode = "{mode}"', f'mode = "{mode}"\ngoogle = ["{google}"]', 1)
    file.write_text(text, "utf-8")
    with pytest.raises(SitesError, match=reason):
        Sites.load(file)


def test_a_service_is_asked_for_beside_its_purpose() -> None:
    site = Sites.load(STARTER / "sites.toml").get("defibrental")
    assert {key: purpose.key for key, purpose in site.asked.items()} == {
        "statistics": "statistics", "embeds": "embeds", "map": "embeds", "film": "embeds",
    }  # fmt: skip
    embeds = site.purpose("embeds")
    assert embeds is not None and embeds.parties == ("OpenStreetMap Foundation", "Medway Films")


def test_files_that_cannot_be_read_are_named(file: Path, tmp_path: Path) -> None:
    with pytest.raises(SitesError, match="cannot be read"):
        Sites.load(tmp_path / "none.toml")
    file.write_bytes(b'name = "\xff"')
    with pytest.raises(SitesError, match="UTF-8"):
        Sites.load(file)
    (tmp_path / "notices" / "kent.txt").write_bytes(b"\xff")
    shutil.copy(STARTER / "sites.toml", file)
    with pytest.raises(SitesError, match=r"kent\.txt is not UTF-8"):
        Sites.load(file)


TRICKY = '''\
# a = 1
[a]
text = """
[b]
c = 2
"""
list = [
  1, # c = 3
  2,
]
b.c = 4
[[a.rows]]
x = 1

[[a.rows]]
y = { z = 5 }
[a.rows.deep]
w = 6
'''


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("a",), 2),
        (("a", "text"), 3),
        (("a", "list"), 7),
        (("a", "b", "c"), 11),
        (("a", "rows", 0, "x"), 13),
        (("a", "rows", 1, "y", "z"), 16),
        (("a", "rows", 1, "deep", "w"), 18),
        (("a", "rows", 1, "gone"), 15),
        (("gone",), 1),
    ],
)
def test_the_line_of_a_key_is_found(path: tuple[str | int, ...], line: int) -> None:
    assert line_of(TRICKY, path) == line


@given(st.text(alphabet='[]{}=".#\n ab1,', max_size=80))
def test_no_text_makes_the_reader_fail_otherwise(text: str) -> None:
    with TemporaryDirectory() as folder:
        file = Path(folder) / "sites.toml"
        file.write_text(text, "utf-8")
        with pytest.raises(SitesError, match=re.escape(str(file))):
            Sites.load(file)
