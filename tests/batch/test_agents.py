"""Browsers are named, robots are told apart, and nothing of the text comes through but closed lists."""

from __future__ import annotations

import hashlib
import json
import re
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anonymiser.agents import BROWSERS, DEVICES, SYSTEMS, Agent, identify
from anonymiser.robots import REASONS

WEBKIT = "AppleWebKit/537.36 (KHTML, like Gecko)"
WIN = "Mozilla/5.0 (Windows NT 10.0; Win64; x64)"
IPHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko)"

TABLE = Path(__file__).with_name("browsers.tsv")
PEOPLE = {
    text: Agent(browser, system, device, "")
    for browser, system, device, text in (line.split("\t") for line in TABLE.read_text("utf-8").splitlines())
}

ROBOTS = {
    "": "empty",
    "-": "empty",
    "  ": "empty",
    "curl/8.5.0": "library",
    "python-requests/2.32": "library",
    "Go-http-client/2.0": "library",
    "okhttp/4.12.0": "library",
    "Mozilla/5.0 (Macintosh) Wget/1.21": "library",
    "Dalvik/2.1.0 (Linux; U; Android 12)": "library",
    f"Mozilla/5.0 (X11; Linux x86_64) {WEBKIT} HeadlessChrome/141.0.0.0 Safari/537.36": "headless",
    "Mozilla/5.0 (compatible; ExampleBot/2.0; +https://bot.example/)": "crawler",
    f"{IPHONE} Version/18.6 Mobile/15E148 Safari/604.1 (compatible; ExampleBot/1.0)": "crawler",
    f"Mozilla/5.0 (Linux; Android 14; Pixel 8; compatible; ExampleBot/1.0) {WEBKIT} Chrome/141.0.0.0": "crawler",
    f"{WIN} {WEBKIT} Chrome/141.0.0.0 Safari/537.36 DareBoost": "crawler",
    f"Mozilla/5.0 (X11; Linux x86_64) {WEBKIT[:-1]}; Google Page Speed Insights) Chrome/27.0 Safari/537.36": "crawler",
    f"Mozilla/5.0 (Linux; Android 10; K) {WEBKIT} Chrome/141.0.0.0 Mobile Safari/537.36 MyCrawler": "crawler",
    f"{WIN} {WEBKIT} Chrome/141.0.0.0 Safari/537.36 jane at post dot example": "crawler",
    "ExampleApp/120 CFNetwork/1498 Darwin/23.6.0": "library",
    f"{WIN} {WEBKIT} Chrome/141.0.0.0 Safari/537.36 java/21": "library",
    "Mozilla/4.0 (compatible; MSIE 7.0; Windows NT 6.1; Trident/7.0; ms-office; MSOffice 14)": "library",
    "User-Agent: Mozilla/5.0 (Windows NT 6.1; rv:40.0) Gecko/20100101 Firefox/40.0": "crawler",
    f"{WIN} {WEBKIT} Chrome/141.0.0.0 Safari/537.36 (crawl@post.example)": "crawler",
    "Mozilla/5.0 (compatible; Nosy; no name)": "crawler",
    f"{WIN} {WEBKIT} Chrome/141.0.0.0 Safari/537.36 Nosy/1.0": "odd",
    f"Mozilla/5.0 (X11; Linux x86_64; Nosy) {WEBKIT} Chrome/141.0.0.0 Safari/537.36": "odd",
    "Mozilla/5.0 AppleWebKit/537.36": "odd",
    "Mozilla/5.0": "odd",
    "Nosy": "odd",
}


def test_browsers_are_named() -> None:
    assert len(PEOPLE) >= 170
    found = {text: identify(text) for text in PEOPLE}
    assert {text: agent for text, agent in found.items() if agent != PEOPLE[text]} == {}


@pytest.mark.parametrize(("text", "reason"), ROBOTS.items())
def test_robots_are_told_apart(text: str, reason: str) -> None:
    assert identify(text).bot == reason


@settings(deadline=None)
@given(st.text(max_size=80) | st.sampled_from([*PEOPLE, *ROBOTS]).flatmap(lambda t: st.text().map(lambda s: t + s)))
def test_only_closed_lists_come_out(text: str) -> None:
    agent = identify(text)
    assert agent.browser in BROWSERS
    assert agent.system in SYSTEMS
    assert agent.device in DEVICES
    assert agent.bot in ("", *REASONS)


def test_every_value_of_the_closed_lists_is_reachable_or_the_rest() -> None:
    seen = {identify(text) for text in PEOPLE}
    assert {agent.device for agent in seen} == {*DEVICES}
    assert {agent.system for agent in seen} == {*SYSTEMS}
    assert {agent.browser for agent in seen} == {*BROWSERS}
    assert {*ROBOTS.values()} == {*REASONS}


def everyday() -> list[str]:
    """What the usual browsers send on the usual systems, over some versions."""
    platforms = (
        "Windows NT 10.0; Win64; x64",
        "Windows NT 6.1; WOW64",
        "Macintosh; Intel Mac OS X 10_15_7",
        "X11; Linux x86_64",
        "X11; Linux aarch64",
        "X11; CrOS x86_64 14541.0.0",
        "Linux; Android 10; K",
        "Linux; Android 14; Pixel 8 Build/UD1A.231105.004",
    )
    suffixes = ("", " Edg/{v}.0.0.0", " OPR/{v}.0.0.0", " Vivaldi/7.{v}", " Brave/{v}", " Whale/4.{v}")
    chromes = [
        f"Mozilla/5.0 ({platform}) {WEBKIT} Chrome/{v}.0.0.0 {mobile}Safari/537.36{suffix.format(v=v)}"
        for platform, suffix, v, mobile in product(platforms, suffixes, range(49, 150, 10), ("", "Mobile "))
    ]
    foxes = [
        f"Mozilla/5.0 ({platform}; rv:{v}.0) Gecko/20100101 Firefox/{v}.0"
        for platform, v in product(platforms[:6], range(60, 150, 10))
    ]
    safaris = [
        f"Mozilla/5.0 ({device} OS {v}_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/{v}.1 "
        "Mobile/15E148 Safari/604.1"
        for device, v in product(("iPhone; CPU iPhone", "iPad; CPU"), range(10, 27))
    ]
    return chromes + foxes + safaris


def test_everyday_browsers_are_people() -> None:
    agents = everyday()
    wrong = [agent for agent in agents if identify(agent).bot]
    assert len(agents) > 1000
    assert wrong == []


def crawlers(shared_data: Path) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = json.loads((shared_data / "lists" / "crawler-user-agents.json").read_text("utf-8"))
    return entries


def held_out(pattern: str) -> bool:
    """The half of the list (first hash bit of the pattern) that no rule was made by looking at."""
    return bool(hashlib.sha256(pattern.encode()).digest()[0] & 1)


@pytest.mark.parametrize("half", [False, True])
def test_published_robots_are_recognised(shared_data: Path, half: bool) -> None:
    """99 in 100 of a list nobody here wrote; an instance is one distinct agent, and none is left out."""
    found = {a for e in crawlers(shared_data) if held_out(e["pattern"]) is half for a in e.get("instances", ())}
    missed = [agent for agent in found if not identify(agent).bot]
    print(f"missed {len(missed)} of {len(found)}")
    assert len(found) > 1000
    assert len(missed) <= len(found) * 0.01


READ_AND_FOUND_TO_BE_ROBOTS = ("Spinn3r", "Google favicon", " slurp", "docs.google.com/viewer", "DTS Agent")


def test_the_agents_of_a_real_log(shared_data: Path) -> None:
    """Robots are those the list's patterns name; people are the rest that name a browser and its version."""
    lines = (shared_data / "weblogs" / "apache-10k" / "access.log").read_text("utf-8").splitlines()
    logged = {line.split('"')[5] for line in lines if line.count('"') == 6}
    patterns = [re.compile(entry["pattern"]) for entry in crawlers(shared_data)]
    robots = {agent for agent in logged if any(pattern.search(agent) for pattern in patterns)}
    browser = re.compile(r"(?:Mozilla/\d|Opera/\d).*(?:Chrome|Firefox|Version|MSIE|Opera|Trident)[/ ]\d")
    people = {a for a in logged - robots if browser.match(a) and not any(r in a for r in READ_AND_FOUND_TO_BE_ROBOTS)}
    assert len(robots) > 70
    assert [agent for agent in robots if not identify(agent).bot] == []
    wrong = [agent for agent in people if identify(agent).bot]
    print(f"turned away {len(wrong)} of {len(people)} people")
    assert len(people) > 380
    assert len(wrong) <= len(people) * 0.015
