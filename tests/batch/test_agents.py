"""Browsers are named, robots are told apart, and nothing of the text comes through but closed lists."""

from __future__ import annotations

import hashlib
import json
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anonymiser.agents import BROWSERS, DEVICES, SYSTEMS, Agent, identify

WEBKIT = "AppleWebKit/537.36 (KHTML, like Gecko)"
MAC = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7)"
WIN = "Mozilla/5.0 (Windows NT 10.0; Win64; x64)"
IPHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko)"

PEOPLE = {
    f"{WIN} {WEBKIT} Chrome/141.0.0.0 Safari/537.36": ("Chrome", "Windows", "desktop"),
    f"{WIN} {WEBKIT} Chrome/141.0.0.0 Safari/537.36 Edg/141.0.0.0": ("Edge", "Windows", "desktop"),
    f"{WIN} {WEBKIT} Chrome/141.0.0.0 Safari/537.36 OPR/125.0.0.0 (Edition std-1)": ("Opera", "Windows", "desktop"),
    f"{WIN} {WEBKIT} Chrome/141.0.0.0 Safari/537.36 Vivaldi/7.6.3": ("Vivaldi", "Windows", "desktop"),
    f"{WIN} {WEBKIT} Chrome/120.0.0.0 YaBrowser/24.1.0 Yowser/2.5 Safari/537.36": ("Yandex", "Windows", "desktop"),
    f"{WIN} {WEBKIT} editor/1.11 Chrome/142.0.0.0 Electron/39.5.1 Safari/537.36": ("Chrome", "Windows", "desktop"),
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:143.0) Gecko/20100101 Firefox/143.0": (
        "Firefox",
        "Windows",
        "desktop",
    ),
    "Mozilla/5.0 (Windows NT 6.1; WOW64; Trident/7.0; rv:11.0) like Gecko": ("Internet Explorer", "Windows", "desktop"),
    "Mozilla/4.0 (compatible; MSIE 6.0; Windows NT 5.1; SV1)": ("Internet Explorer", "Windows", "desktop"),
    f"{MAC} AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6 Safari/605.1.15": ("Safari", "macOS", "desktop"),
    f"{MAC} {WEBKIT} Chrome/141.0.0.0 Safari/537.36": ("Chrome", "macOS", "desktop"),
    "Mozilla/5.0 (X11; Ubuntu; Linux x86_64; rv:143.0) Gecko/20100101 Firefox/143.0": ("Firefox", "Linux", "desktop"),
    f"Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) {WEBKIT} Chrome/141.0.0.0 Safari/537.36": (
        "Chrome",
        "ChromeOS",
        "desktop",
    ),
    f"{IPHONE} Version/18.6 Mobile/15E148 Safari/604.1": ("Safari", "iOS", "phone"),
    f"{IPHONE} CriOS/141.0.7390.41 Mobile/15E148 Safari/604.1": ("Chrome", "iOS", "phone"),
    f"{IPHONE} FxiOS/143.0 Mobile/15E148 Safari/605.1.15": ("Firefox", "iOS", "phone"),
    f"{IPHONE} EdgiOS/141.0 Version/18.0 Mobile/15E148 Safari/604.1": ("Edge", "iOS", "phone"),
    f"{IPHONE} GSA/388.0 Mobile/15E148 Safari/604.1": ("App", "iOS", "phone"),
    f"{IPHONE} Mobile/15E148 [FBAN/FBIOS;FBAV/530.0]": ("App", "iOS", "phone"),
    f"{IPHONE} Version/18.4 Mobile/15E148 Safari/605.1.15 (Ecosia ios@11.0.2)": ("Safari", "iOS", "phone"),
    IPHONE.replace("iPhone; CPU iPhone OS", "iPad; CPU OS") + " Version/18.6 Mobile/15E148 Safari/604.1": (
        "Safari",
        "iOS",
        "tablet",
    ),
    f"Mozilla/5.0 (Linux; Android 10; K) {WEBKIT} Chrome/141.0.0.0 Mobile Safari/537.36": (
        "Chrome",
        "Android",
        "phone",
    ),
    f"Mozilla/5.0 (Linux; Android 10; K) {WEBKIT} Chrome/141.0.0.0 Safari/537.36": ("Chrome", "Android", "tablet"),
    f"Mozilla/5.0 (Linux; Android 8.0; CUBOT MAX) {WEBKIT} Chrome/141.0.0.0 Mobile Safari/537.36": (
        "Chrome",
        "Android",
        "phone",
    ),
    f"Mozilla/5.0 (Linux; Android 14; SM-S918B) {WEBKIT} SamsungBrowser/28.0 Chrome/130.0.0.0 Mobile Safari/537.36": (
        "Samsung Internet",
        "Android",
        "phone",
    ),
    f"Mozilla/5.0 (Linux; Android 9; KFMAWI) {WEBKIT} Silk/120.4 like Chrome/120.0.6 Safari/537.36": (
        "Amazon Silk",
        "Android",
        "tablet",
    ),
    "Mozilla/5.0 (Android 14; Mobile; rv:143.0) Gecko/143.0 Firefox/143.0": ("Firefox", "Android", "phone"),
    f"Mozilla/5.0 (Web0S; Linux/SmartTV) {WEBKIT} Chrome/108.0.0.0 Safari/537.36": ("Chrome", "Linux", "television"),
    "Opera/9.80 (Windows NT 6.1; U; en) Presto/2.12.388 Version/12.18": ("Opera", "Windows", "desktop"),
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
    f"{WIN} {WEBKIT} Chrome/141.0.0.0 Safari/537.36 (crawl@post.example)": "crawler",
    "Mozilla/5.0 (compatible; Nosy; no name)": "crawler",
    f"{WIN} {WEBKIT} Chrome/141.0.0.0 Safari/537.36 Nosy/1.0": "odd",
    f"Mozilla/5.0 (X11; Linux x86_64; Nosy) {WEBKIT} Chrome/141.0.0.0 Safari/537.36": "odd",
    "Mozilla/5.0 AppleWebKit/537.36": "odd",
    "Mozilla/5.0": "odd",
    "Nosy": "odd",
}


@pytest.mark.parametrize(("text", "expected"), PEOPLE.items())
def test_browsers_are_named(text: str, expected: tuple[str, str, str]) -> None:
    assert identify(text) == Agent(*expected, "")


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
    assert agent.bot in ("", "crawler", "library", "headless", "empty", "odd")


def test_every_value_of_the_closed_lists_is_reachable_or_the_rest() -> None:
    seen = {identify(text) for text in PEOPLE}
    assert {agent.device for agent in seen} >= {*DEVICES} - {"other"}
    assert {agent.system for agent in seen} >= {*SYSTEMS} - {"Other"}


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


def recall(entries: list[dict[str, Any]]) -> float:
    robots = {agent for entry in entries for agent in entry.get("instances", ())}
    return sum(identify(agent).bot != "" for agent in robots) / len(robots)


def test_published_robots_are_recognised(shared_data: Path) -> None:
    """A list nobody here wrote: 99 in 100, and as many of the half (odd hash) that no rule was made by looking at."""
    entries = json.loads((shared_data / "lists" / "crawler-user-agents.json").read_text("utf-8"))
    unseen = [entry for entry in entries if hashlib.sha256(entry["pattern"].encode()).digest()[0] & 1]
    print(f"recognised {recall(entries):.2%} of all, {recall(unseen):.2%} of the unseen half")
    assert recall(entries) >= 0.99
    assert recall(unseen) >= 0.99
