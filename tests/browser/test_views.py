"""What is counted on a page, in real Chromium on both demo sites: views, attention, links, funnels, tabs, midnight."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from io import BytesIO
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import pytest
from flask import Flask, request
from playwright.sync_api import Browser, BrowserContext, Page, Route

from anonymiser import facts
from anonymiser.facts import Fact
from anonymiser.hour_keys import HourKeys
from anonymiser.spool import segments
from anonymiser.unsealing import read
from consent_app.sites import LAST_DAY, Sites
from tests.browser.conftest import AGENT, LOOK, PATIENCE, Stage, until
from tests.conftest import ARGUMENTS, CHROMIUM

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

pytestmark = pytest.mark.browser

FUNNELS = {
    "kent": {"order": ("/furniture", "/contact", "enquiry"), "desk": ("/furniture", "/print")},
    "defibrental": {"order": ("/devices", "/contact", "enquiry"), "desk": ("/devices", "/prices")},
}
COUNTERS = """() => new Promise((read) => {
  const opening = indexedDB.open("consent-banner");
  opening.onupgradeneeded = () => opening.transaction.abort();
  opening.onerror = () => read(null);
  opening.onsuccess = () => {
    const reading = opening.result.transaction("consent-banner").objectStore("consent-banner").get(0);
    reading.onsuccess = () => read(reading.result ?? null);
    opening.result.close();
  };
})"""
FORGET = """() => new Promise((done) => (indexedDB.deleteDatabase("consent-banner").onsuccess = () => done()))"""
HIDE = """(hidden) => {
  Object.defineProperty(document, "hidden", { get: () => hidden, configurable: true });
  document.dispatchEvent(new Event("visibilitychange", { bubbles: true }));
}"""
LINK = """(href) => {
  const link = document.createElement("a");
  link.href = href;
  link.id = "planted";
  link.textContent = "A link";
  document.querySelector("main").prepend(link);
}"""
ACTIVITY = """() => {
  const file = performance.getEntriesByType("resource").find(({ name }) => name.includes("/activity."));
  return file && import(file.name).then(() => new Promise((done) => setTimeout(done, 0, true)));
}"""


class Told:
    """The beacons that arrive, each as the server parses it. (A driver misses what a page sends when it is left.)"""

    def __init__(self, arrived: list[bytes]) -> None:
        self._arrived, self._skipped = arrived, len(arrived)

    @property
    def all(self) -> list[dict[str, Any]]:
        """All of them, in the order of arrival."""
        bodies = self._arrived[self._skipped :]
        for body in bodies:
            facts.parse(body)
        return [json.loads(body) for body in bodies]

    def forget(self) -> None:
        """What has arrived is seen."""
        self._skipped = len(self._arrived)

    def of(self, kind: str) -> list[dict[str, Any]]:
        """Those of a kind so far, but for goals' beacons that say only a funnel's step."""
        return [beacon for beacon in self.all if beacon["kind"] == kind and (kind != "goal" or "g" in beacon)]

    def steps(self, page: Page, number: int) -> list[dict[str, Any]]:
        """At least so many steps of funnels."""
        for _ in range(PATIENCE // LOOK):
            found = [beacon for beacon in self.all if "step" in beacon]
            if len(found) >= number:
                return found
            page.wait_for_timeout(LOOK)
        raise AssertionError(self.all)

    def wait(self, page: Page, kind: str, number: int) -> list[dict[str, Any]]:
        """Exactly so many of a kind."""
        for _ in range(PATIENCE // LOOK):
            if len(self.of(kind)) >= number:
                break
            page.wait_for_timeout(LOOK)
        assert len(self.of(kind)) == number, self.all
        return self.of(kind)


@dataclass
class Street:
    """The demo's sites with funnels, and every beacon that arrived."""

    stage: Stage
    arrived: list[bytes]

    def note(self, service: WSGIApplication) -> WSGIApplication:
        """The same service, with a note of each beacon."""

        def noting(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
            if environ["PATH_INFO"] == "/v1/collect":
                body = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"] or 0))
                environ["wsgi.input"] = BytesIO(body)
                if environ["REQUEST_METHOD"] == "POST":
                    self.arrived.append(body)
            return service(environ, start_response)

        return noting

    @contextmanager
    def enter(self, browser: Browser, *keys: str, **more: Any) -> Iterator[tuple[Room, ...]]:
        """Somebody new, who has accepted everything at those sites."""
        with browser.new_context(**{"locale": "en-GB", "timezone_id": "Europe/London", **more}) as context:
            context.set_default_timeout(PATIENCE)
            yield tuple(Room(self, key, context) for key in keys)


class Room:
    """One site and one visitor who has accepted everything there."""

    def __init__(self, street: Street, key: str, context: BrowserContext) -> None:
        self.stage, self.key, self.context = street.stage, key, context
        self.url: str = getattr(street.stage, key)
        self.told = Told(street.arrived)
        self._accept()

    def _accept(self) -> None:
        site = self.stage.rooms.sites.get(self.key)
        decision = {
            "site": self.key,
            "notice": site.notice.sha256,
            "decisions": {purpose.key: True for purpose in site.optional},
            "method": "banner-accept-all",
            "lang": "en",
        }
        client = self.stage.service.test_client()
        answer = client.post("/v1/consent", json=decision, base_url=self.url, headers={"Origin": self.url})
        kept = {key: answer.get_json()[key] for key in ("value", "token")}
        if site.embed == "same-host":
            self.context.add_cookies([{"name": "consent", "value": kept["value"], "url": self.url}])
        else:
            text = json.dumps(json.dumps(kept))
            self.context.add_init_script(f"if (location.origin === {self.url!r}) localStorage.consent ??= {text}")

    def open(self, path: str = "/", page: Page | None = None) -> Page:
        """A page that has been counted and is being watched."""
        page = page or self.context.new_page()
        page.goto(self.url + path)
        self.watched(page)
        return page

    def stop_the_clock(self, time: datetime | None = None) -> None:
        """In this browser it goes on only when a test moves it, however slow the machine is."""
        time = time or at_site(12, 0)  # far from midnight, whenever the tests are run
        self.context.clock.install(time=time)
        self.context.clock.pause_at(time + timedelta(seconds=1))

    def watched(self, page: Page) -> None:
        """Wait until what watches the page is there and has written something."""
        until(page, "!!window.ConsentBanner?.track")
        until(page, f"({COUNTERS})().then((counters) => counters?.engaged > 0)")

    def counters(self, page: Page) -> dict[str, Any]:
        found: dict[str, Any] = page.evaluate(COUNTERS)
        return found

    def facts(self) -> Counter[tuple[str, str, str]]:
        """What the server keeps of this site."""
        self.stage.rooms.spool.flush()
        keys = HourKeys(self.stage.rooms.settings.private)
        every: Iterator[Fact] = (
            fact for file in segments(self.stage.rooms.settings.spool) for fact in read(file, keys).facts
        )
        return Counter(
            {key: sum(delta for _, delta in rows) for key, rows in _grouped(every, self.key).items()},
        )


def _grouped(every: Iterator[Fact], site: str) -> dict[tuple[str, str, str], list[tuple[str, int]]]:
    rows: dict[tuple[str, str, str], list[tuple[str, int]]] = {}
    for fact in every:
        if fact.site == site:
            rows.setdefault((fact.statistic, fact.key1, fact.key2), []).append((fact.day, fact.delta))
    return rows


@pytest.fixture(scope="module")
def street(stage: Stage) -> Street:
    sites = Sites(
        tuple(
            replace(site, funnels=FUNNELS.get(site.key, {}), crossed=site.key == "defibrental")
            for site in stage.rooms.sites
        )
    )
    object.__setattr__(stage.rooms, "sites", sites)
    street = Street(stage, [])
    stage.service.wsgi_app = street.note(stage.service.wsgi_app)  # type: ignore[method-assign, assignment]
    return street


@pytest.fixture(scope="module")
def browser(chromium: Browser) -> Iterator[Browser]:
    """A browser as visitors have it: with a back/forward cache, which drivers forbid, and a name of its own (one that
    is put on by a driver is lost by what a page sends when it is left).
    """
    browser = chromium.browser_type.launch(
        executable_path=CHROMIUM,
        args=[*ARGUMENTS, f"--user-agent={AGENT}"],
        ignore_default_args=["--disable-back-forward-cache"],
    )
    yield browser
    browser.close()


@pytest.fixture(params=["kent", "defibrental"])
def room(request: pytest.FixtureRequest, browser: Browser, street: Street) -> Iterator[Room]:
    with street.enter(browser, request.param) as (room,):
        yield room


@pytest.fixture
def kent(browser: Browser, street: Street) -> Iterator[Room]:
    with street.enter(browser, "kent") as (room,):
        yield room


def active(page: Page, seconds: float) -> None:
    """So many seconds pass, in each of which the visitor does something."""
    page.mouse.move(2, 2)
    while seconds > 0:
        page.clock.fast_forward(int(1000 * min(seconds, 20)))
        page.mouse.move(3 + seconds % 7, 3)
        seconds -= 20


def reading(page: Page) -> None:
    """A visitor reads until what counts links has found one: a press would load it too late."""
    for step in range(PATIENCE // LOOK):
        page.mouse.move(300 + step % 7, 500)
        if page.evaluate(ACTIVITY):
            return
        page.wait_for_timeout(LOOK)
    raise AssertionError("what counts links was not loaded")


def settled(page: Page, seconds: float) -> None:
    """Wait until the counters hold so many seconds of attention."""
    until(page, f"({COUNTERS})().then((counters) => Math.round(counters.seconds) === {seconds})")


def chain(told: Told, name: str) -> list[list[int]]:
    """The steps of `engaged` or `scroll` in their order; they must meet without a gap, from 0 on."""
    links = sorted(beacon[name] for beacon in told.of("engagement") if name in beacon)
    assert [old for old, _ in links] == [0, *(new for _, new in links)][:-1] if links else True
    return links


def reaches(told: Told, page: Page, **ends: int) -> None:
    """Wait until the chains have come as far as that."""
    for _ in range(PATIENCE // LOOK):
        if all(chain(told, name)[-1:] and chain(told, name)[-1][1] == end for name, end in ends.items()):
            return
        page.wait_for_timeout(LOOK)
    raise AssertionError(told.all)


def test_attention_and_depth_are_one_chain_over_the_pages_of_a_day(room: Room) -> None:
    room.stop_the_clock()
    page = room.open()
    active(page, 15)
    settled(page, 15)
    page.evaluate("scrollTo(0, document.documentElement.scrollHeight)")
    active(page, 2)
    reaches(room.told, page, engaged=2, scroll=8)
    page.click("nav a")
    room.told.wait(page, "pageview", 2)
    room.watched(page)
    active(page, 50)
    settled(page, 67)
    reaches(room.told, page, engaged=4, scroll=8)
    page.goto("about:blank")
    page.wait_for_timeout(100)
    reaches(room.told, page, engaged=4, scroll=8)
    assert chain(room.told, "engaged") == [[0, 1], [1, 2], [2, 3], [3, 4]]
    assert {beacon["day"] for beacon in room.told.all} == {room.told.of("pageview")[0]["day"]}


def test_attention_survives_the_closing_of_a_tab(room: Room) -> None:
    room.stop_the_clock()
    page = room.open()
    before = room.facts()
    active(page, 40)
    settled(page, 40)
    page.close()
    other = room.context.new_page()
    for _ in range(PATIENCE // LOOK):
        if room.facts()["engagement", "3", ""] == before["engagement", "3", ""] + 1:
            break
        other.wait_for_timeout(LOOK)
    gained = room.facts() - before
    assert gained["engagement", "3", ""] == 1
    assert gained["engagement", "1", ""] == gained["engagement", "2", ""] == 0


def test_only_attention_counts(room: Room) -> None:
    """Neither a page that lies open for minutes nor one in the background adds to it."""
    room.stop_the_clock()
    page = room.open()
    page.mouse.move(10, 10)
    page.clock.fast_forward(500_000)
    page.mouse.move(20, 20)
    settled(page, 30)
    reaches(room.told, page, engaged=3)
    page.evaluate(HIDE, True)
    page.clock.fast_forward(500_000)
    page.mouse.move(30, 30)
    page.evaluate(HIDE, False)
    active(page, 5)
    settled(page, 35)


def test_what_is_read_while_hiding_is_told(room: Room) -> None:
    """A tab that goes to the background lives on, so that even its last seconds are written and told."""
    room.stop_the_clock()
    page = room.open()
    page.clock.fast_forward(12_000)
    page.evaluate(HIDE, True)
    page.clock.run_for(10)  # what a hidden page writes it writes a moment later
    reaches(room.told, page, engaged=2)


@pytest.mark.slow
def test_two_tabs_are_one_chain(room: Room) -> None:
    """What two tabs say in turn meets without a gap, so that the facts of the day add up to one bucket."""
    room.stop_the_clock()
    before = room.facts()
    one, two = room.open(), room.open("/contact")
    for seconds in (5, 15, 70):
        for page in (one, two):
            active(page, seconds)
    until(one, f"({COUNTERS})().then(({{ seconds }}) => seconds >= 90)")
    for page in (one, two):
        page.evaluate(HIDE, True)
        page.clock.run_for(10)
    reached = room.counters(one)["engaged"]
    reaches(room.told, one, engaged=reached)
    assert len(chain(room.told, "engaged")) > 2
    gained = room.facts()
    gained.subtract(before)
    total = sum(room.counters(one)["seconds"] >= edge for edge in (0, 10, 30, 60, 120, 300, 600, 1800))
    counts = {bucket: gained["engagement", str(bucket), ""] for bucket in range(1, 9)}
    assert counts == {bucket: int(bucket == total) for bucket in range(1, 9)}


def test_links_that_lead_away_are_counted_by_their_host(room: Room) -> None:
    def answer(route: Route) -> None:
        route.fulfill(body="<!doctype html><title>Elsewhere</title>", content_type="text/html")

    room.context.route("https://elsewhere.example/**", answer)
    page = room.open()
    page.evaluate(LINK, "https://elsewhere.example/order/1234?email=someone@example.com")
    reading(page)
    page.click("#planted", button="right")
    with room.context.expect_page():
        page.click("#planted", button="middle")
    (first,) = room.told.wait(page, "outbound", 1)
    assert (first["key"], first["g"]) == ("elsewhere.example", 1)
    page.evaluate("document.addEventListener('click', (event) => event.preventDefault())")
    page.click("#planted")
    assert [beacon["g"] for beacon in room.told.wait(page, "outbound", 2)] == [1, 0]
    assert "someone" not in json.dumps(room.told.all) and "1234" not in json.dumps(room.told.all)


def test_a_link_is_counted_although_its_page_is_left_at_once(room: Room) -> None:
    """As a hand presses and lets go: written when pressed, told by a page that is going."""
    page = room.open()
    for host in ("one.example", "two.example"):
        room.context.route(f"https://{host}/**", lambda route: route.fulfill(body="There.", content_type="text/plain"))
        page.evaluate(LINK, f"https://{host}/")
        reading(page)
        page.click("#planted", delay=80)
        page.wait_for_url(f"https://{host}/")
        told = room.told.wait(page, "outbound", 1 + (host == "two.example"))[-1]
        assert (told["key"], told["g"]) == (host, 1 + (host == "two.example"))
        room.open("/", page)


def test_a_link_is_counted_that_is_followed_by_the_keyboard(room: Room) -> None:
    """Nothing is pressed beforehand then; the page lives until the other host has answered."""

    def answer(route: Route) -> None:
        time.sleep(0.2)
        route.fulfill(body="There.", content_type="text/plain")

    room.context.route("https://elsewhere.example/**", answer)
    page = room.open()
    page.evaluate(LINK, "https://elsewhere.example/")
    reading(page)
    page.locator("#planted").focus()
    page.keyboard.press("Enter")
    page.wait_for_url("https://elsewhere.example/")
    (told,) = room.told.wait(page, "outbound", 1)
    assert (told["key"], told["g"]) == ("elsewhere.example", 1)


def test_downloads_are_counted_and_other_links_are_not(room: Room) -> None:
    page = room.open()
    page.evaluate("document.addEventListener('click', (event) => event.preventDefault())")
    for href in ("/lists/Chairs.PDF?v=2", "/contact", "mailto:someone@example.com", "#top", "/pdf"):
        page.evaluate(LINK, href)
        if href.startswith("/lists"):
            reading(page)
        page.click("#planted")
        page.evaluate("document.getElementById('planted').remove()")
    (told,) = room.told.wait(page, "download", 1)
    assert (told["key"], told["g"]) == ("/lists/Chairs.PDF", 1)
    page.wait_for_timeout(100)
    assert room.told.of("outbound") == [] and len(room.told.of("download")) == 1


def add_pages(app: Flask, key: str, origin: str) -> None:
    """A page that is not there, on either site: said by its status, or by a mark."""

    @app.get("/gone/<way>")
    def gone(way: str) -> tuple[str, int]:
        html = app.test_client().get("/contact", headers={"Host": request.host}).text
        return (html, 404) if way == "status" else (html.replace("<html", "<html data-not-found", 1), 200)


@pytest.mark.parametrize("way", ["status", "mark"])
def test_pages_that_are_not_there_are_counted(room: Room, way: str) -> None:
    """By the answer's status, or by a mark where an older browser (or a page made by script) does not know it."""
    page = room.open(f"/gone/{way}")
    (told,) = room.told.wait(page, "not_found", 1)
    assert (told["path"], told["g"]) == (f"/gone/{way}", 1)
    room.open("/contact", page)
    assert len(room.told.of("not_found")) == 1


def test_funnels_go_on_by_pages_and_goals_in_their_order(room: Room) -> None:
    first = FUNNELS[room.key]["order"][0]
    page = room.open("/contact")
    page.evaluate("ConsentBanner.track('enquiry')")
    room.told.wait(page, "goal", 1)  # a page that is left at once may not write it
    for reached, path in ((2, first), (2, first), (3, "/contact")):
        room.open(path, page)
        room.told.steps(page, reached)
    page.evaluate("ConsentBanner.track('enquiry')")
    room.told.wait(page, "goal", 2)
    steps = sorted((beacon["f"], beacon["step"]) for beacon in room.told.steps(page, 4))
    assert {steps[0][1], steps[1][1]} == {"order:1", "desk:1"}
    assert steps[2:] == [(3, "order:2"), (4, "order:3")]
    assert [f for f, _ in steps] == [1, 2, 3, 4]


def test_what_is_told_before_its_script_is_there_is_counted_in_its_order(kent: Room) -> None:
    """Imports of one file that is on its way may end in any order; steps of a funnel have one."""

    def late(route: Route) -> None:
        time.sleep(0.3)
        route.continue_()

    kent.context.route("**/activity.*", late)
    page = kent.open("/contact")
    page.evaluate("for (const goal of ['quote', 'enquiry', 'quote', 'enquiry']) ConsentBanner.track(goal)")
    told = kent.told.wait(page, "goal", 4)
    numbers = sorted((beacon["key"], beacon["g"]) for beacon in told)
    assert numbers == [("enquiry", 0), ("enquiry", 2), ("quote", 0), ("quote", 1)]


@pytest.mark.parametrize("modern", [True, False])
def test_an_application_of_one_page_is_counted_by_its_paths(room: Room, modern: bool) -> None:
    """With the Navigation API, and without it as in browsers before 2026. Hashes and queries are no pages."""
    if not modern:
        room.context.add_init_script("delete window.navigation")
    page = room.open()
    assert page.evaluate("'navigation' in window") is modern
    page.evaluate(
        """history.pushState({ kept: 1 }, "", "/a"); location.hash = "#/b"; history.pushState(0, "", "/a?c=d");
        history.replaceState(0, "", "/e"); history.pushState(0, "", "/f#/g")"""
    )
    seen = sorted(room.told.wait(page, "pageview", 4), key=lambda beacon: beacon["n"])  # they overtake each other
    assert [beacon["path"] for beacon in seen] == ["/", "/a", "/e", "/f"]
    page.go_back()
    assert room.told.wait(page, "pageview", 5)[-1]["path"] == "/e"
    page.go_back()
    page.go_back()
    assert room.told.wait(page, "pageview", 6)[-1]["path"] == "/a"
    assert page.evaluate("history.state") == {"kept": 1}


def test_a_page_prepared_before_it_is_wanted_is_counted_when_it_is_shown(room: Room) -> None:
    """Prerendering as a browser does it: the page learns by an event that it is being looked at."""
    room.context.add_init_script(
        "window.shown = false;"
        "Object.defineProperty(Document.prototype, 'prerendering', { get: () => !window.shown, configurable: true })"
    )
    page = room.context.new_page()
    page.goto(room.url)
    until(page, "!!document.onprerenderingchange")
    page.wait_for_timeout(100)
    assert room.told.all == []
    page.evaluate("shown = true; document.dispatchEvent(new Event('prerenderingchange'))")
    assert room.told.wait(page, "pageview", 1)[0]["n"] == 1


def test_a_page_from_the_back_forward_cache_is_viewed_again(room: Room) -> None:
    page = room.open()
    page.evaluate("addEventListener('pageshow', (event) => (window.restored = event.persisted))")
    page.goto(room.url + "/contact")
    room.told.wait(page, "pageview", 2)
    page.go_back(wait_until="commit")
    again = room.told.wait(page, "pageview", 3)[-1]
    assert page.evaluate("restored") is True
    assert (again["path"], again["prev"], again["n"], again["p"]) == ("/", "/contact", 3, 0)


@pytest.mark.slow
def test_six_tabs_at_once_never_say_the_same_number(room: Room) -> None:
    tabs = [room.context.new_page() for _ in range(6)]
    for tab in tabs:
        tab.goto(room.url, wait_until="commit")
    room.told.wait(tabs[0], "pageview", 6)
    for tab in tabs:
        tab.evaluate(
            "setTimeout(() => { for (let i = 0; i < 30; i++) history.pushState(0, '', '/page-' + (i % 7));"
            " for (let i = 0; i < 5; i++) ConsentBanner.track('enquiry') })"
        )
    views = room.told.wait(tabs[0], "pageview", 186)
    assert sorted(beacon["n"] for beacon in views) == list(range(1, 187))
    assert sorted(beacon["k"] for beacon in views) == list(range(1, 187))
    assert sorted(beacon["p"] for beacon in views if beacon["p"]) == list(range(1, 9))
    assert [beacon["gap"] for beacon in views if "gap" in beacon] == ["first"]
    assert sum(beacon["g"] for beacon in room.told.wait(tabs[0], "goal", 30)) == 1
    assert len({beacon["nonce"] for beacon in room.told.all}) == len(room.told.all)


DENIED = {
    "throws": """Object.defineProperty(window, "indexedDB", {
      get() { throw new DOMException("denied", "SecurityError") },
    })""",
    "fails": """IDBFactory.prototype.open = () => {
      const request = {};
      setTimeout(() => request.onerror?.(new Event("error")));
      return request;
    }""",
    "full": "IDBObjectStore.prototype.put = function () { this.transaction.abort() }",
}


@pytest.mark.parametrize("how", DENIED)
def test_without_storage_nothing_is_counted_and_the_page_works(room: Room, how: str) -> None:
    room.context.add_init_script(DENIED[how])
    faults: list[str] = []
    page = room.context.new_page()
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.goto(room.url)
    until(page, "!!window.ConsentBanner?.track")
    page.evaluate("history.pushState(0, '', '/a'); ConsentBanner.track('enquiry')")
    page.mouse.move(30, 30)
    page.click("nav a")
    page.wait_for_timeout(200)
    assert room.told.all == [] and faults == []
    assert page.get_by_role("main").is_visible()


def test_cleared_counters_begin_anew(room: Room) -> None:
    """As after seven days in a browser that forgets what scripts store, or by the visitor's own hand."""
    page = room.open()
    page.evaluate(FORGET)
    active(page, 0)
    page.evaluate("ConsentBanner.track('enquiry')")
    room.told.wait(page, "goal", 1)
    page.evaluate("history.pushState(0, '', '/a')")
    again = room.told.wait(page, "pageview", 2)[-1]
    assert [again.get(name) for name in ("n", "p", "v", "k", "gap", "prev")] == [1, 1, 1, 1, "first", None]


ORIGIN = ("entry", "referrer", "utm_source", "utm_medium")


def test_where_statistics_are_crossed_views_and_goals_say_where_their_visit_came_from(
    browser: Browser, street: Street
) -> None:
    with street.enter(browser, "defibrental") as (room,):
        before = room.facts()
        page = room.open("/devices?utm_source=letter&utm_medium=post&utm_campaign=autumn")
        room.open("/contact", page)
        page.evaluate("ConsentBanner.track('enquiry')")
        (goal,) = room.told.wait(page, "goal", 1)
        said = [*room.told.wait(page, "pageview", 2), goal]
        assert [[one.get(name) for name in ORIGIN] for one in said] == [["/devices", None, "letter", "post"]] * 3
        assert ["utm_campaign" in one for one in said] == [True, False, False]
        assert not [one for one in room.told.of("engagement") if one.keys() & set(ORIGIN)]
        page.wait_for_timeout(200)
        gained = room.facts() - before
        crossed = {statistic for statistic, _, _ in gained}
        assert {"page_sources", "page_devices", "source_goals", "entry_goals"} <= crossed
        page.evaluate("ConsentBanner.withdraw()")
        until(page, "indexedDB.databases().then((all) => all.length === 0)")


def test_elsewhere_nothing_of_it_is_kept_or_said(kent: Room) -> None:
    page = kent.open("/furniture?utm_source=letter")
    kent.open("/contact", page)
    first, second = kent.told.wait(page, "pageview", 2)
    assert (first["utm_source"], "entry" in first) == ("letter", False)
    assert not second.keys() & set(ORIGIN)
    assert "visit" not in kent.counters(page) or kent.counters(page)["visit"] in (None, False)


def test_a_lean_site_counts_views_and_attention_with_the_gate_alone(browser: Browser, street: Street) -> None:
    stage, asked = street.stage, list[str]()
    every = stage.rooms.sites
    bare = (replace(site, links=False, goals=(), funnels={}, search_parameter="") for site in every)
    object.__setattr__(stage.rooms, "sites", Sites(tuple(bare)))
    try:
        with browser.new_context(locale="en-GB", timezone_id="Europe/London") as context:
            context.on("request", lambda request: asked.append(urlsplit(request.url).path))
            room = Room(street, "kent", context)
            page = context.new_page()
            page.goto(room.url)
            room.told.wait(page, "pageview", 1)
            until(page, f"({COUNTERS})().then((counters) => counters?.engaged > 0)")
            page.evaluate("history.pushState(0, '', '/a')")
            room.told.wait(page, "pageview", 2)
    finally:
        object.__setattr__(stage.rooms, "sites", every)
    assert [path.rpartition("/")[2].partition(".")[0] for path in asked if path.endswith(".js")] == ["gate"]


def test_the_gap_survives_where_the_server_keeps_the_day(kent: Room) -> None:
    """The one beacon a browser sends its cookies with is the first of a day."""
    page = kent.open()
    today = kent.told.wait(page, "pageview", 1)[0]["day"]
    for _ in range(PATIENCE // LOOK):
        if any(cookie["name"] == LAST_DAY for cookie in kent.context.cookies()):
            break
        page.wait_for_timeout(LOOK)  # the beacon has arrived, its answer is on its way
    assert [cookie["value"] for cookie in kent.context.cookies() if cookie["name"] == LAST_DAY] == [today]
    before = kent.facts()
    eight_days_ago = (datetime.fromisoformat(today) - timedelta(days=8)).date().isoformat()
    kent.context.add_cookies([{"name": LAST_DAY, "value": eight_days_ago, "url": kent.url}])
    page = kent.context.new_page()
    page.goto(kent.url + "/cookies?site=kent")
    page.evaluate(FORGET)
    page.goto(kent.url)
    assert kent.told.wait(page, "pageview", 2)[-1]["gap"] == "first"
    page.wait_for_timeout(100)
    assert (kent.facts() - before)["returning", "8", ""] == 1


def test_a_site_elsewhere_gets_no_cookie(browser: Browser, street: Street) -> None:
    with street.enter(browser, "defibrental") as (room,):
        page = room.open()
        room.open("/contact", page)
        assert room.context.cookies() == []


def at_site(hour: int, minute: int) -> datetime:
    """That time of today in the sites' zone."""
    return datetime.now(ZoneInfo("Europe/London")).replace(hour=hour, minute=minute, second=0, microsecond=0)


def test_a_visit_ends_at_the_sites_midnight(room: Room) -> None:
    evening = at_site(23, 58)
    room.stop_the_clock(evening)
    page = room.open()
    page.clock.fast_forward(240_000)
    page.evaluate("ConsentBanner.track('enquiry')")
    (goal,) = room.told.wait(page, "goal", 1)
    page.evaluate("history.pushState(0, '', '/a')")
    late, early = room.told.wait(page, "pageview", 2)
    assert late["day"] == goal["day"] == evening.date().isoformat()
    assert early["day"] == (evening + timedelta(days=1)).date().isoformat()
    assert [early.get(name) for name in ("n", "p", "v", "k", "gap", "prev")] == [1, 1, 1, 1, "1", None]


@pytest.mark.parametrize("zone", ["Pacific/Auckland", "America/Los_Angeles"])
@pytest.mark.parametrize("hour", [0, 23])
def test_the_day_is_the_sites_wherever_the_visitor_is(browser: Browser, street: Street, zone: str, hour: int) -> None:
    with street.enter(browser, "defibrental", timezone_id=zone) as (room,):
        time = at_site(hour, 30)
        room.stop_the_clock(time)
        (view,) = room.told.wait(room.open(), "pageview", 1)
        assert (view["day"], view["zone"]) == (time.date().isoformat(), zone)


def test_a_browser_can_be_left_out(room: Room) -> None:
    page = room.open()
    room.told.wait(page, "pageview", 1)
    page.evaluate("localStorage.uncounted = 1")
    room.told.forget()
    page.evaluate("history.pushState(0, '', '/a'); ConsentBanner.track('enquiry')")
    page.goto(room.url + "/contact")
    page.wait_for_timeout(300)
    assert [beacon for beacon in room.told.all if beacon["kind"] != "engagement"] == []
    page.evaluate("delete localStorage.uncounted")
    page.goto(room.url)
    room.told.wait(page, "pageview", 1)


def test_after_a_withdrawal_nothing_is_counted_or_told(room: Room) -> None:
    room.stop_the_clock()
    page = room.open()
    active(page, 30)
    settled(page, 30)
    page.evaluate("ConsentBanner.withdraw()")
    until(page, "!ConsentBanner.acceptedCategory('statistics')")
    until(page, "indexedDB.databases().then((all) => all.length === 0)")
    room.told.forget()
    active(page, 30)
    page.evaluate(HIDE, True)
    page.clock.run_for(10)
    page.wait_for_timeout(300)
    assert room.told.of("engagement") == []
    assert page.evaluate("indexedDB.databases()") == []
    assert LAST_DAY not in [cookie["name"] for cookie in room.context.cookies()]


def test_before_a_choice_nothing_of_it_is_loaded(street: Street, visitor: BrowserContext) -> None:
    asked: list[str] = []
    visitor.on("request", lambda request: asked.append(urlsplit(request.url).path))
    page = visitor.new_page()
    for url in (street.stage.kent, street.stage.defibrental):
        page.goto(url)
        until(page, "!!window.ConsentBanner?.track")
        page.evaluate("ConsentBanner.track('enquiry')")
        page.mouse.move(40, 40)
        page.wait_for_timeout(200)
    assert not [path for path in asked if "/activity." in path or path == "/v1/collect"]
    assert any("/gate." in path for path in asked)


def test_a_strict_page_sees_no_violation(kent: Room) -> None:
    kent.context.add_init_script(
        "window.order = []; window.violations = [];"
        "document.addEventListener('securitypolicyviolation', (event) => violations.push(event.effectiveDirective))"
    )
    kent.stop_the_clock()
    page = kent.open("/waiting")
    active(page, 12)
    settled(page, 12)
    page.evaluate(HIDE, True)
    reaches(kent.told, page, engaged=2)
    assert page.evaluate("violations") == []
