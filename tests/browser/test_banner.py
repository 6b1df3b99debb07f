"""The banner in real Chromium: nothing before a choice, equal answers, withdrawal, counters, strict pages."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Locator, Page, Request, Response, expect

from anonymiser import facts
from tests.browser.conftest import LOOK, PATIENCE, Stage, asked, stranger, until

pytestmark = pytest.mark.browser

SNOOP = """
window.order = [];
window.violations = [];
window.events = [];
document.addEventListener("securitypolicyviolation", (e) => violations.push(e.effectiveDirective + " " + e.blockedURI));
for (const name of ["ready", "show", "first", "change", "gpc", "embed", "error"])
  document.addEventListener("consent:" + name, () => events.push(name));
"""
KEPT = """async () => ({
  cookies: document.cookie,
  local: Object.keys(localStorage),
  session: Object.keys(sessionStorage),
  databases: (await indexedDB.databases()).map((database) => database.name),
})"""
READ_VIEWS = """await new Promise((read) => {
  const opening = indexedDB.open("consent-banner");
  opening.onsuccess = () => {
    const store = opening.result.transaction("consent-banner").objectStore("consent-banner");
    store.get(0).onsuccess = (event) => read(event.target.result.n);
    opening.result.close();
  };
})"""
NOTHING = {"cookies": "", "local": [], "session": [], "databases": []}


class Beacons:
    """What a page sends to /v1/collect, parsed as the server parses it, with the server's answers."""

    def __init__(self, context: BrowserContext) -> None:
        self.sent: list[dict[str, Any]] = []
        self.answers: list[int] = []
        context.on("response", self._answered)

    def _answered(self, response: Response) -> None:
        if response.url.endswith("/v1/collect"):
            body = response.request.post_data or ""
            if facts.parse(body.encode()).kind != "engagement":  # comes when it likes; test_views.py looks at it
                self.sent.append(json.loads(body))
                self.answers.append(response.status)

    def wait(self, page: Page, number: int) -> list[dict[str, Any]]:
        """So many beacons, once they are answered: views in the visitor's order, then events (answers overtake)."""
        for _ in range(PATIENCE // LOOK):
            if len(self.sent) >= number:
                break
            page.wait_for_timeout(LOOK)
        assert len(self.sent) == number
        return sorted(self.sent, key=lambda sent: (sent.get("n", 999), sent.get("key", ""), -sent.get("g", 0)))


@pytest.fixture
def page(visitor: BrowserContext) -> Iterator[Page]:
    """A page that notes violations, events and errors; none of the last may be left."""
    faults: list[str] = []
    visitor.add_init_script(SNOOP)
    page = visitor.new_page()
    page.on("pageerror", lambda error: faults.append(str(error)))
    yield page
    assert faults == []


@pytest.fixture
def beacons(visitor: BrowserContext) -> Beacons:
    return Beacons(visitor)


def button(page: Page, name: str) -> Locator:
    return page.get_by_role("button", name=name, exact=True)


def bar(page: Page) -> Locator:
    return page.get_by_role("region", name="Your choice about cookies")


def choose(page: Page, name: str) -> None:
    asked(page)
    button(page, name).first.click()
    expect(page.get_by_role("status")).not_to_be_empty()
    expect(bar(page)).to_be_hidden()


@pytest.fixture(params=["kent", "defibrental"])
def site(request: pytest.FixtureRequest, stage: Stage) -> str:
    """The address of a site that renders the banner, then of one that embeds it."""
    return str(getattr(stage, request.param))


def test_before_a_choice_nothing_is_kept_or_sent(page: Page, visitor: BrowserContext, site: str) -> None:
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.goto(site + "/?utm_source=letter")
    asked(page)
    expect(bar(page)).to_be_visible()
    page.mouse.wheel(0, 400)
    page.keyboard.press("Escape")
    button(page, "Choose").click()
    expect(page.get_by_role("dialog")).to_be_visible()
    assert page.get_by_role("switch", checked=True).count() == 0
    page.keyboard.press("Escape")
    page.locator("nav a").first.click()
    expect(bar(page)).to_be_visible()
    assert page.evaluate(KEPT) == NOTHING
    assert visitor.cookies() == []
    assert not [url for url in requests if "/v1/collect" in url or "/v1/consent" in url]
    assert {url.split("/")[2] for url in requests} <= {site.split("/")[2], f"127.0.0.1:{site.rpartition(':')[2]}"}


def test_both_answers_are_one_click_and_look_the_same(page: Page, site: str) -> None:
    page.goto(site)
    asked(page)
    looks = [
        button(page, name).evaluate(
            "b => { const s = getComputedStyle(b), r = b.getBoundingClientRect();"
            " return [b.tagName, r.width, r.height, r.y, s.color, s.backgroundColor, s.border, s.font, s.opacity] }"
        )
        for name in ("Accept all", "Reject all")
    ]
    assert looks[0] == looks[1]


def test_acceptance_is_one_click_and_is_counted(page: Page, beacons: Beacons, site: str) -> None:
    page.goto(site + "/?utm_source=letter&utm_campaign=autumn&email=someone@example.com")
    choose(page, "Accept all")
    (sent,) = beacons.wait(page, 1)
    assert beacons.answers == [202]
    assert (
        sent.items()
        >= {
            "site": site[7:].partition(".")[0],
            "path": "/",
            **dict.fromkeys("npvk", 1),
            "gap": "first",
            "utm_source": "letter",
            "utm_campaign": "autumn",
            "zone": "Europe/London",
            "lang": "en-GB",
        }.items()
    )
    assert "someone" not in json.dumps(beacons.sent)
    assert page.evaluate("ConsentBanner.validConsent() && ConsentBanner.acceptedCategory('statistics')")
    assert page.evaluate("events.filter((name) => name !== 'ready')") == ["show", "first"]
    page.goto(site + "/contact")
    expect(page.get_by_role("main")).to_be_visible()
    assert beacons.wait(page, 2)[1]["prev"] == "/"
    assert bar(page).count() == 0


def test_refusal_is_one_click_and_leaves_no_number(
    page: Page, visitor: BrowserContext, beacons: Beacons, site: str
) -> None:
    page.goto(site)
    choose(page, "Reject all")
    page.goto(site + "/contact")
    until(page, "!!window.ConsentBanner")
    assert bar(page).count() == 0
    kept = page.evaluate(KEPT)
    assert kept["databases"] == []
    assert beacons.sent == []
    value = kept["cookies"].removeprefix("consent=") or page.evaluate("JSON.parse(localStorage.consent).value")
    assert value.endswith("~") and ".1" not in value


def test_refusers_of_a_day_keep_the_same_bytes(chromium: Browser, stage: Stage) -> None:
    kept = []
    for _ in range(2):
        with stranger(chromium) as context:
            page = context.new_page()
            page.goto(stage.kent)
            choose(page, "Reject all")
            kept.append([(cookie["name"], cookie["value"], cookie["path"]) for cookie in context.cookies()])
    assert kept[0] == kept[1] != []


def test_counters_hold_over_reload_and_tabs(page: Page, visitor: BrowserContext, beacons: Beacons, site: str) -> None:
    page.goto(site)
    choose(page, "Accept all")
    beacons.wait(page, 1)
    page.reload()
    beacons.wait(page, 2)
    tabs = [visitor.new_page() for _ in range(3)]
    for tab in tabs:
        tab.goto(site + "/contact", wait_until="commit")
    sent = beacons.wait(page, 5)
    assert sorted(beacon["n"] for beacon in sent) == [1, 2, 3, 4, 5]
    assert sorted(beacon["k"] for beacon in sent) == [1, 2, 3, 4, 5]
    assert sorted(beacon["p"] for beacon in sent) == [0, 0, 0, 1, 2]
    assert [beacon["v"] for beacon in sent] == [1] * 5
    assert len({beacon["nonce"] for beacon in sent}) == 5
    assert set(beacons.answers) == {202}


def test_two_tabs_never_say_the_same_number(page: Page, visitor: BrowserContext, stage: Stage) -> None:
    """Each change is one readwrite transaction; here two tabs make a hundred each at the same time."""
    page.goto(stage.kent)
    choose(page, "Accept all")
    other = visitor.new_page()
    other.goto(stage.kent)
    numbers: list[int] = []

    def note(request: Request) -> None:
        if request.url.endswith("/v1/collect") and "n" in (said := json.loads(request.post_data or "")):
            numbers.append(said["n"])

    visitor.on("request", note)
    for tab in (page, other):
        tab.evaluate("setTimeout(() => { for (let i = 0; i < 100; i++) history.pushState(0, '', '/page-' + (i % 7)) })")
    for _ in range(PATIENCE // LOOK):
        if len(numbers) >= 200:
            break
        page.wait_for_timeout(LOOK)
    assert len(numbers) >= 200
    assert len(set(numbers)) == len(numbers)


def test_history_navigation_is_counted_once_for_each_path(page: Page, beacons: Beacons, stage: Stage) -> None:
    page.goto(stage.kent)
    choose(page, "Accept all")
    beacons.wait(page, 1)
    page.evaluate(
        "history.pushState(0, '', '/a'); history.replaceState(0, '', '/a?x=1#y'); history.replaceState(0, '', '/b')"
    )
    assert [beacon["path"] for beacon in beacons.wait(page, 3)] == ["/", "/a", "/b"]
    page.go_back()
    last = beacons.wait(page, 4)[-1]
    assert (last["path"], last["prev"], last["n"], last["p"]) == ("/", "/b", 4, 0)


def test_goals_of_the_list_are_counted_and_no_others(page: Page, beacons: Beacons, stage: Stage) -> None:
    page.goto(stage.kent)
    choose(page, "Accept all")
    beacons.wait(page, 1)
    page.evaluate("for (const goal of ['enquiry', 'anything', 'enquiry', 'quote']) ConsentBanner.track(goal)")
    sent = beacons.wait(page, 4)[1:]
    assert sorted((beacon["kind"], beacon["key"], beacon["g"]) for beacon in sent) == [
        ("goal", "enquiry", 0), ("goal", "enquiry", 1), ("goal", "quote", 2),
    ]  # fmt: skip


def test_the_search_term_of_the_sites_own_search_is_counted(page: Page, beacons: Beacons, stage: Stage) -> None:
    page.goto(stage.kent + "/stationery?q=red+stapler")
    choose(page, "Accept all")
    assert [(beacon["kind"], beacon.get("key")) for beacon in beacons.wait(page, 2)] == [
        ("pageview", None),
        ("search", "red stapler"),
    ]


def test_preferences_allow_one_purpose_and_return_the_focus(page: Page, beacons: Beacons, stage: Stage) -> None:
    page.goto(stage.kent)
    choose(page, "Reject all")
    opener = page.locator('footer [data-consent-open=""]')
    opener.focus()
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog", name="Cookie settings")
    expect(dialog).to_be_visible()
    page.keyboard.press("Escape")
    expect(opener).to_be_focused()
    page.keyboard.press("Enter")
    page.get_by_role("switch", name="Statistics").press("Space")
    button(page, "Save choices").press("Enter")
    expect(dialog).to_be_hidden()
    expect(page.get_by_role("status")).to_have_text("Saved. You can change this at any time.")
    expect(opener).to_be_focused()
    beacons.wait(page, 1)
    assert page.evaluate(
        "[ConsentBanner.acceptedCategory('statistics'), ConsentBanner.acceptedCategory('embeds')]"
    ) == [True, False]
    assert page.evaluate("events").count("change") == 1


def test_enter_in_a_switch_decides_nothing(page: Page, stage: Stage) -> None:
    page.goto(stage.kent)
    asked(page)
    button(page, "Choose").click()
    page.get_by_role("switch", name="Statistics").press("Enter")
    expect(page.get_by_role("dialog")).to_be_hidden()
    expect(bar(page)).to_be_visible()
    assert page.evaluate(KEPT) == NOTHING


def test_the_focus_is_never_lost(page: Page, stage: Stage) -> None:
    page.goto(stage.kent)
    assert page.evaluate("document.activeElement.tagName") == "BODY"
    choose(page, "Accept all")
    assert page.evaluate("document.activeElement.role || document.activeElement.getAttribute('role')") == "status"


def test_no_focused_element_lies_under_the_bar(page: Page, stage: Stage) -> None:
    page.set_viewport_size({"width": 320, "height": 640})
    page.goto(stage.kent)
    until(page, "window.events.includes('show')")
    links = page.locator(":is(header, main, footer) a")
    for at in range(links.count()):
        links.nth(at).evaluate("link => link.focus()")
        box, above = links.nth(at).bounding_box(), page.locator("#consent-ui section").bounding_box()
        assert box is not None and above is not None
        assert box["y"] + box["height"] <= above["y"]


@pytest.mark.parametrize("way", ["preferences", "api"])
def test_withdrawal_clears_and_stops_at_once(
    page: Page, visitor: BrowserContext, beacons: Beacons, site: str, way: str
) -> None:
    page.goto(site)
    choose(page, "Accept all")
    beacons.wait(page, 1)
    other = visitor.new_page()
    other.goto(site)
    beacons.wait(other, 2)
    if way == "api":
        page.evaluate("ConsentBanner.withdraw()")
    else:
        page.locator('footer [data-consent-open=""]').click()
        page.get_by_role("dialog").get_by_role("button", name="Reject all").click()
    expect(page.get_by_role("status")).to_have_text("Saved. You can change this at any time.")
    until(page, "indexedDB.databases().then((all) => all.length === 0)")
    other.evaluate("history.pushState(0, '', '/elsewhere'); ConsentBanner.track('enquiry')")
    page.goto(site + "/contact")
    until(page, "!!window.ConsentBanner")
    page.wait_for_timeout(200)
    assert len(beacons.sent) == 2
    assert page.evaluate(KEPT)["databases"] == []
    assert page.evaluate("ConsentBanner.acceptedCategory('statistics')") is False


def test_a_view_that_is_being_written_is_not_sent_after_a_withdrawal(
    page: Page, beacons: Beacons, stage: Stage
) -> None:
    page.goto(stage.kent)
    choose(page, "Accept all")
    beacons.wait(page, 1)
    page.evaluate(
        """() => new Promise((busy) => {
          const opening = indexedDB.open("consent-banner");
          opening.onsuccess = () => {
            const store = opening.result.transaction("consent-banner", "readwrite").objectStore("consent-banner");
            const hold = () => { if (!window.release) store.get(0).onsuccess = hold; };
            hold();
            opening.result.close();
            busy();
          };
        })"""
    )
    page.evaluate("history.pushState(0, '', '/elsewhere')")
    page.evaluate("document.cookie = document.cookie.replace('statistics.1', 'statistics.0') + ';path=/'")
    page.evaluate("window.release = true")
    until(page, f"(async () => ({READ_VIEWS}) === 2)()")
    page.wait_for_timeout(200)
    assert len(beacons.sent) == 1


def test_withdrawal_without_script_clears_at_the_next_page(page: Page, beacons: Beacons, stage: Stage) -> None:
    page.goto(stage.kent)
    choose(page, "Accept all")
    beacons.wait(page, 1)
    page.evaluate("document.cookie = document.cookie.replace('statistics.1', 'statistics.0') + ';path=/'")
    page.goto(stage.kent + "/contact")
    until(page, "indexedDB.databases().then((all) => all.length === 0)")
    assert len(beacons.sent) == 1


def test_without_javascript_the_banner_is_a_form(chromium: Browser, stage: Stage) -> None:
    for name, allowed in (("Accept all", True), ("Reject all", False)):
        with stranger(chromium, java_script_enabled=False) as context:
            page = context.new_page()
            page.goto(stage.kent + "/contact?from=letter")
            button(page, name).click()
            assert page.url == stage.kent + "/contact?from=letter"
            assert bar(page).count() == 0
            (value,) = (cookie["value"] for cookie in context.cookies() if cookie["name"] == "consent")
            assert ("statistics.1" in value) is allowed


def test_without_javascript_choose_leads_to_the_page_of_cookies(chromium: Browser, stage: Stage) -> None:
    with stranger(chromium, java_script_enabled=False) as context:
        page = context.new_page()
        page.goto(stage.kent + "/contact")
        button(page, "Choose").click()
        assert page.url.startswith(stage.kent + "/cookies?")
        page.get_by_role("checkbox", name="Statistics").check()
        button(page, "Save choices").click()
        expect(page.get_by_role("status")).to_be_visible()
        (value,) = (cookie["value"] for cookie in context.cookies() if cookie["name"] == "consent")
        assert "statistics.1" in value and "embeds.0" in value


def test_a_strict_page_sees_no_violation_and_keeps_the_order(page: Page, stage: Stage) -> None:
    page.goto(stage.kent + "/waiting")
    expect(bar(page)).to_be_visible()
    assert page.evaluate("order") == []
    choose(page, "Accept all")
    until(page, "order.length === 5")
    assert page.evaluate("order") == ["first", "inline after first", "given", "module", "embeds"]
    assert page.evaluate("violations") == []
    assert page.evaluate("events").count("error") == 1  # missing.js, and only that
    assert page.frame_locator("iframe").locator("p").inner_text() == "A map."


def test_the_policy_would_be_heard_if_it_were_broken(page: Page, stage: Stage) -> None:
    page.goto(stage.kent + "/waiting")
    page.evaluate("try { document.body.innerHTML = '<p>' } catch {}")
    page.evaluate("const s = document.createElement('style'); s.textContent = 'p{}'; document.head.append(s)")
    until(page, "violations.length > 0")


def test_a_blocked_frame_is_shown_by_a_click_of_its_own(page: Page, beacons: Beacons, stage: Stage) -> None:
    page.goto(stage.kent + "/waiting")
    choose(page, "Reject all")
    box = "document.querySelector('.consent-frame')"
    until(page, f"{box}?.offsetWidth >= 300 && {box}.offsetHeight >= 200")
    page.get_by_role("button", name="Show content from kent.localhost").click()
    expect(page.frame_locator("iframe").locator("p")).to_have_text("A map.")
    assert page.evaluate("ConsentBanner.acceptedCategory('embeds')") is False
    assert "embed" in page.evaluate("events")
    page.reload()
    expect(page.get_by_role("button", name="Show content from kent.localhost")).to_be_visible()
    assert page.evaluate("violations") == []


def test_withdrawal_says_when_a_reload_is_needed(page: Page, stage: Stage) -> None:
    page.goto(stage.kent + "/waiting")
    choose(page, "Accept all")
    until(page, "order.length === 5")
    page.evaluate("ConsentBanner.withdraw()")
    expect(page.get_by_role("status")).to_have_text("Saved. Reload the page to stop what was still running.")
    expect(page.get_by_role("button", name="Show content from kent.localhost")).to_be_visible()


def signalling(chromium: Browser) -> BrowserContext:
    """A visitor whose browser sends Global Privacy Control, by header and by property."""
    context = stranger(chromium, extra_http_headers={"Sec-GPC": "1"})
    context.add_init_script("Object.defineProperty(Navigator.prototype, 'globalPrivacyControl', { get: () => true })")
    context.add_init_script(SNOOP)
    return context


def test_an_objectable_purpose_runs_until_objected_to(page: Page, beacons: Beacons, stage: Stage) -> None:
    page.goto(stage.surrey)
    beacons.wait(page, 1)
    assert beacons.answers == [202]
    asked(page)
    button(page, "Choose").click()
    expect(page.get_by_role("switch", name="Statistics")).to_be_checked()
    page.keyboard.press("Escape")
    choose(page, "Reject all")
    until(page, "indexedDB.databases().then((all) => all.length === 0)")
    page.reload()
    until(page, "!!window.ConsentBanner")
    page.wait_for_timeout(200)
    assert len(beacons.sent) == 1


def test_global_privacy_control_is_an_objection(chromium: Browser, stage: Stage) -> None:
    with signalling(chromium) as context:
        beacons = Beacons(context)
        page = context.new_page()
        page.goto(stage.surrey)
        expect(bar(page)).to_contain_text("Global Privacy Control")
        until(page, "events.includes('gpc')")
        until(page, "events.includes('first')")
        expect(bar(page)).to_be_visible()
        assert page.evaluate(KEPT)["databases"] == []
        assert beacons.sent == []
        choose(page, "Accept all")
        assert beacons.wait(page, 1)[0]["n"] == 1


def test_a_choice_made_offline_is_kept_and_sent_later(
    page: Page, visitor: BrowserContext, beacons: Beacons, site: str, stage: Stage
) -> None:
    page.goto(site)
    expect(bar(page)).to_be_visible()
    until(page, "events.includes('show')")
    visitor.set_offline(True)
    choose(page, "Accept all")
    expect(page.get_by_role("status")).to_have_text("Saved in this browser; sent when you are online again.")
    assert page.evaluate("ConsentBanner.acceptedCategory('statistics')")
    visitor.set_offline(False)
    beacons.wait(page, 1)
    assert beacons.answers == [202]
    page.reload()
    until(page, "!!window.ConsentBanner")
    assert bar(page).count() == 0


def test_without_storage_the_page_works_and_is_not_nagged(page: Page, beacons: Beacons, stage: Stage) -> None:
    page.add_init_script(
        "Object.defineProperty(Navigator.prototype, 'cookieEnabled', { get: () => false });"
        "for (const name of ['localStorage', 'indexedDB'])"
        "  Object.defineProperty(window, name, { get() { throw new DOMException('denied', 'SecurityError') } });"
    )
    for site in (stage.kent, stage.defibrental):
        page.goto(site)
        until(page, "!!window.ConsentBanner")
        expect(bar(page)).to_be_hidden()
    assert beacons.sent == []


def test_a_blocked_script_leaves_the_page_alone(page: Page, stage: Stage) -> None:
    page.route("**/static/consent-banner/**", lambda route: route.abort())
    page.goto(stage.kent)
    button(page, "Accept all").click()
    page.wait_for_url(stage.kent + "/")
    page.goto(stage.defibrental)
    until(page, "events.includes('error')")
    assert page.get_by_role("main").is_visible()
    assert page.evaluate("localStorage.length") == 0


def test_the_bar_is_small_moves_nothing_and_is_not_printed(page: Page, site: str) -> None:
    page.set_viewport_size({"width": 320, "height": 640})
    page.add_init_script(
        "window.shift = 0; new PerformanceObserver((list) => list.getEntries().forEach((e) => (shift += e.value)))"
        ".observe({ type: 'layout-shift', buffered: true })"
    )
    page.goto(site)
    until(page, "events.includes('show')")
    assert page.locator("#consent-ui section").evaluate("bar => bar.offsetHeight / innerHeight") <= 0.45
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
    assert page.evaluate("shift") == 0
    page.emulate_media(media="print")
    expect(bar(page)).to_be_hidden()


def test_the_queue_before_the_script_is_honoured(page: Page, beacons: Beacons, stage: Stage) -> None:
    page.goto(stage.kent)
    choose(page, "Accept all")
    beacons.wait(page, 1)
    page.add_init_script("window.ConsentBanner = [['track', 'enquiry']]")
    page.reload()
    assert [beacon["kind"] for beacon in beacons.wait(page, 3)] == ["pageview", "pageview", "goal"]


def test_the_api_has_the_names_of_the_field(page: Page, stage: Stage) -> None:
    page.goto(stage.kent)
    until(page, "events.includes('show')")
    page.evaluate("ConsentBanner.acceptCategory(['embeds'])")
    until(page, "events.includes('first')")
    assert page.evaluate("ConsentBanner.getUserPreferences()") == {
        "acceptType": "custom",
        "acceptedCategories": ["embeds"],
        "rejectedCategories": ["statistics"],
        "acceptedServices": {"statistics": [], "embeds": []},
        "rejectedServices": {"statistics": [], "embeds": []},
    }
    assert len(page.evaluate("ConsentBanner.getReceipt()")["receipt"]) == 32
    page.evaluate("ConsentBanner.acceptService('map', 'statistics')")
    until(page, "ConsentBanner.acceptedService('map', 'statistics')")
    page.evaluate("ConsentBanner.object('statistics')")
    until(page, "!ConsentBanner.acceptedCategory('statistics')")
    page.evaluate("ConsentBanner.rejectAll()")
    until(page, "!ConsentBanner.acceptedCategory('embeds')")
    page.evaluate("document.cookie = 'stray=1'; ConsentBanner.eraseCookies('str*')")
    until(page, "!document.cookie.includes('stray')")
    page.evaluate("ConsentBanner.reset()")
    expect(bar(page)).to_be_visible()
    page.evaluate("ConsentBanner.hide()")
    expect(bar(page)).to_be_hidden()
    page.evaluate("ConsentBanner.showPreferences()")
    expect(page.get_by_role("dialog")).to_be_visible()
