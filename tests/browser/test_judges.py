"""What outside tools say of the banner and of our pages: axe-core, DuckDuckGo's automatic refusal, Ghostery's blocker.

They are npm packages that only the tests use; `make banner` installs them.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Request, Route, expect

from tests.browser.conftest import AGENT, Stage, asked, stranger
from tests.released import Shop, write

pytestmark = pytest.mark.browser

PASSWORD = "correct horse battery"
KEPT = """async () => [
  ...document.cookie.split("; ").map((pair) => pair.split("=")[0]),
  ...Object.keys(localStorage),
  ...Object.keys(sessionStorage),
  ...(await indexedDB.databases()).map((database) => database.name),
].filter(Boolean)"""


@pytest.fixture(scope="session")
def packages(root: Path) -> Path:
    """Where npm put the judges."""
    folder = root / "static" / "consent-banner" / "node_modules"
    for name in ("axe-core", "@duckduckgo/autoconsent", "@ghostery/adblocker"):
        if not (folder / name).is_dir():
            pytest.skip(f"{name} is not installed; `make banner` does it (needs Node)")
    return folder


@pytest.fixture(scope="session")
def axe(packages: Path) -> str:
    return (packages / "axe-core" / "axe.min.js").read_text("utf-8")


@pytest.fixture(scope="session")
def refuser(packages: Path) -> str:
    return (packages / "@duckduckgo" / "autoconsent" / "dist" / "autoconsent.standalone.js").read_text("utf-8")


# --- axe-core ---------------------------------------------------------------------------------------------------------

# Text of 16 px, so that a text size of 200 % is one of 32 px; every look goes on and off with no reload between.
DRESS = """({ rtl, text }) => {
  for (const part of document.querySelectorAll(":root, #consent-ui")) part.dir = rtl ? "rtl" : "ltr";
  document.documentElement.style.fontSize = text + "%";
}"""
# Chrome tells axe the page's -webkit-text-fill-color even where forced colours draw another, and there the contrast is
# the system's business, so that rule is off then.
JUDGE = """async (contrast) => {
  const rules = { "target-size": { enabled: true }, "color-contrast": { enabled: contrast } };
  const { violations } = await axe.run({ rules, resultTypes: ["violations"] });
  return violations.flatMap(({ id, nodes }) => nodes.map((node) => `${id} ${node.target}: ${node.failureSummary}`));
}"""
# What is cut off at a side, which axe does not look at.
CRAMPED = """() => [...document.querySelectorAll("#consent-ui *, .consent-frame, .consent-frame *")]
  .filter((element) => element.checkVisibility())
  .map((element) => [element, element.getBoundingClientRect()])
  .filter(([, box]) => box.left < 0 || box.right > innerWidth)
  .map(([element]) => `cut off: ${element.tagName} ${element.textContent.slice(0, 30)}`)"""


@dataclass(frozen=True, slots=True)
class Look:
    """A way to see pages."""

    name: str
    scheme: Literal["light", "dark"] = "light"
    forced: Literal["active", "none"] = "none"
    width: int = 1280
    rtl: bool = False
    text: int = 100  # per cent


LOOKS = (
    Look("dark", "dark"),
    Look("narrow", width=320),
    Look("narrow and dark", "dark", width=320),
    Look("forced colours", forced="active"),
    Look("forced colours, dark", "dark", "active"),
    Look("right to left", rtl=True),
    Look("narrow, right to left", width=320, rtl=True),
    Look("text of 200 %", text=200),
    Look("light"),
)


@dataclass
class Doctor:
    """Looks at pages with axe and gathers what is wrong with each, so that one run names all of it."""

    axe: str
    page: Page
    faults: list[str] = field(default_factory=list)

    def sees(self, state: str) -> None:
        """Examine the page as it is now, in every look."""
        self.page.evaluate(self.axe)
        for look in LOOKS:
            self.page.set_viewport_size({"width": look.width, "height": 640})
            self.page.emulate_media(color_scheme=look.scheme, forced_colors=look.forced)
            self.page.evaluate(DRESS, {"rtl": look.rtl, "text": look.text})
            found = self.page.evaluate(JUDGE, look.forced == "none") + self.page.evaluate(CRAMPED)
            self.faults += [f"{state}, {look.name}: {fault}" for fault in found]


@pytest.fixture
def doctor(chromium: Browser, axe: str) -> Iterator[Doctor]:
    """A doctor with a fresh browser; in the end nothing may have been found."""
    with stranger(chromium, reduced_motion="reduce") as context:
        doctor = Doctor(axe, context.new_page())
        yield doctor
        assert doctor.faults == []


@pytest.fixture(scope="module")
def figures(stage: Stage) -> None:
    """Somebody who may see figures, and figures to see."""
    yesterday = date.today() - timedelta(days=1)  # noqa: DTZ011  any day near now will do
    write(stage.rooms.settings.stats_file, [Shop("kent", 240, yesterday - timedelta(days=90), yesterday)])
    stage.rooms.users.add("mary", PASSWORD, "viewer")


@pytest.mark.slow
@pytest.mark.parametrize("site", ["kent", "defibrental"])
def test_axe_finds_nothing_in_the_banner(doctor: Doctor, stage: Stage, site: str) -> None:
    page = doctor.page
    page.goto(getattr(stage, site))
    expect(page.locator("#consent-ui section")).to_be_visible()
    doctor.sees("banner")
    page.locator("#consent-ui").get_by_role("button", name="Choose", exact=True).click()
    expect(page.get_by_role("dialog")).to_be_visible()
    page.get_by_role("switch").first.check()
    doctor.sees("preferences")
    page.get_by_role("dialog").get_by_role("button", name="Save choices").click()
    expect(page.get_by_role("status")).not_to_be_empty()
    doctor.sees("after saving")


def test_axe_finds_nothing_in_the_place_of_a_frame(doctor: Doctor, stage: Stage) -> None:
    doctor.page.goto(stage.kent + "/waiting")
    asked(doctor.page)
    doctor.page.get_by_role("button", name="Reject all").first.click()
    expect(doctor.page.locator(".consent-frame")).to_be_visible()
    doctor.sees("placeholder")


@pytest.mark.slow
def test_axe_finds_nothing_in_the_page_of_cookies(doctor: Doctor, stage: Stage) -> None:
    page = doctor.page
    page.goto(stage.kent + "/cookies?site=kent")
    doctor.sees("undecided")
    page.get_by_role("button", name="Accept all").click()
    expect(page.get_by_role("status")).to_be_visible()
    doctor.sees("saved")
    page.goto(f"http://127.0.0.1:{stage.port}/cookies?site=defibrental")
    doctor.sees("a site that asks elsewhere")


@pytest.mark.slow
@pytest.mark.usefixtures("figures")
def test_axe_finds_nothing_in_our_other_pages(doctor: Doctor, stage: Stage) -> None:
    page, home = doctor.page, f"http://127.0.0.1:{stage.port}"
    page.goto(home)
    doctor.sees("front")
    page.goto(home + "/nothing-here")
    doctor.sees("error")
    page.goto(home + "/dashboard/kent")
    doctor.sees("login")
    page.get_by_label("Name").fill("mary")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url("**/dashboard/kent")
    doctor.sees("figures")
    page.goto(home + "/dashboard/")
    doctor.sees("sites")


def test_axe_would_speak_up(chromium: Browser, axe: str, stage: Stage) -> None:
    with stranger(chromium) as context:
        doctor = Doctor(axe, context.new_page())
        doctor.page.goto(stage.kent)
        doctor.page.evaluate("document.querySelector('#consent-ui section').removeAttribute('aria-label')")
        doctor.page.evaluate("document.querySelector('#consent-ui section p').style = 'opacity: 0.3; left: -9px'")
        doctor.sees("spoilt")
        assert any("light: color-contrast" in fault for fault in doctor.faults)


# --- automatic refusal ------------------------------------------------------------------------------------------------

# Besides English, the languages in which the tool knows a text about cookies when it sees ours. In Portuguese, Swedish
# and Turkish it has no pattern for one, in Italian only “usiamo cookie”, which is not true before a choice; there it
# reads the button alone (static/consent-banner/test/wording.test.ts).
READ = ("de", "es", "fr", "nl", "pl")
SAID = "autoconsentStandalone.messages.map(({ type, cmp, result }) => [type, cmp, result])"


def refuse(context: BrowserContext, refuser: str, address: str) -> Page:
    """A page on which the tool runs as it does in its browser, knowing no rule for this site.

    It begins once the banner's script is in charge: before, its click is that of a form, which leads to another page.
    """
    context.add_init_script(f"document.addEventListener('consent:show', () => {{ {refuser} }}, {{ once: true }})")
    page = context.new_page()
    page.goto(address)
    page.wait_for_function(f"window.autoconsentStandalone && {SAID}.some(([type]) => type === 'optOutResult')")
    assert ["optOutResult", "HEURISTIC-REJECT", True] in page.evaluate(SAID)
    expect(page.get_by_role("status")).not_to_be_empty()
    return page


@pytest.mark.parametrize("site", ["kent", "defibrental", "surrey"])
def test_an_automatic_refusal_is_a_refusal(chromium: Browser, refuser: str, stage: Stage, site: str) -> None:
    before = len(list(stage.rooms.ledger.entries()))
    with stranger(chromium) as context:
        page = refuse(context, refuser, getattr(stage, site))
        assert set(page.evaluate("ConsentBanner.getUserPreferences()")["acceptedCategories"]) == set()
        assert page.evaluate(KEPT) == ["consent"]
        page.reload()
        page.wait_for_function("window.ConsentBanner?.validConsent?.()")
        assert page.locator("#consent-ui section:not([hidden])").count() == 0
    (entry,) = list(stage.rooms.ledger.entries())[before:]
    assert entry.record["site"] == site
    assert {decision["allowed"] for decision in entry.record["decisions"].values()} == {False}


@pytest.mark.slow
@pytest.mark.parametrize("lang", READ)
def test_an_automatic_refusal_reads_the_language(chromium: Browser, refuser: str, stage: Stage, lang: str) -> None:
    with chromium.new_context(locale=lang, user_agent=AGENT) as context:
        page = refuse(context, refuser, stage.kent)
        assert page.locator("#consent-ui").get_attribute("lang") == lang
        assert page.evaluate("ConsentBanner.getUserPreferences()")["acceptedCategories"] == []


# --- ad blockers ------------------------------------------------------------------------------------------------------

# What lists against cookie banners and trackers are made of: words that many such scripts have in common.
TYPICAL = """
/cookie-consent*
/cookieconsent*
/cookie-banner*
/cookie-notice*
/cookie-policy.
/cookies-policy.
/consent-banner-
-consent-banner.
/consent-manager
/consent/message
/consent.min.js
/consentUI/*
/gdpr-consent*
/cmp.js
/privacy-banner.
/analytics.js
/tracker.js
/pageview?
/collect?
/v1/track
###cookie-banner
###cookie-consent
###cookies
###consent
###consent-banner
###consent-bar
###consent-cookies
###consent-manager
###consent-popup
###consent-tracking
##.consent-banner
##.consent-popup
##.consent-overlay
##.cookie-banner
##.cookie-notice
##.cookies
##[id*="cookie-"]
##[class*="cookie"]
##[class*="consent-banner"]
##dialog[id*="consent"]
"""
# The pages' parts as a content script of the blocker would name them.
PARTS = """() => {
  const each = (read) => [...new Set([...document.querySelectorAll("*")].flatMap(read).filter(Boolean))];
  return { url: location.href, hostname: location.hostname, domain: location.hostname,
    ids: each((e) => e.id), classes: each((e) => [...e.classList]), hrefs: each((e) => e.getAttribute("href")) };
}"""


class Blocker:
    """Ghostery's engine with rules of ours, in a page of its own."""

    def __init__(self, page: Page, rules: str) -> None:
        self.page = page
        page.evaluate("(rules) => { window.engine = adblocker.FiltersEngine.parse(rules) }", rules)

    def blocks(self, request: Request) -> bool:
        """What the engine says of a request."""
        about = {"url": request.url, "type": request.resource_type, "sourceUrl": request.frame.url}
        ask = "(about) => engine.match(adblocker.Request.fromRawDetails(about)).match"
        return bool(self.page.evaluate(ask, about))

    def hides(self, page: Page) -> str:
        """The style sheet the engine would put into a page."""
        return str(self.page.evaluate("(parts) => engine.getCosmeticsFilters(parts).styles", page.evaluate(PARTS)))

    def guard(self, context: BrowserContext) -> list[str]:
        """Block in that browser what the engine says; the list of what was blocked grows by the way."""
        blocked: list[str] = []

        def route(route: Route) -> None:
            if self.blocks(route.request):
                blocked.append(route.request.url)
                route.abort("blockedbyclient")
            else:
                route.continue_()

        context.route("**/*", route)
        return blocked


@pytest.fixture(scope="session")
def engine(packages: Path) -> str:
    """The blocker as one script."""
    if not shutil.which("node"):
        pytest.skip("node is needed to bundle @ghostery/adblocker")
    source = packages / "@ghostery" / "adblocker" / "dist" / "esm" / "index.js"
    command = ["node", str(packages / "esbuild" / "bin" / "esbuild"), str(source), "--bundle", "--format=iife"]
    done = subprocess.run([*command, "--global-name=adblocker"], capture_output=True, text=True, check=True)
    return done.stdout


@pytest.fixture
def bench(chromium: Browser, engine: str) -> Iterator[Page]:
    """The page in which the engine lives."""
    with chromium.new_context() as context:
        page = context.new_page()
        page.add_script_tag(content=engine)
        yield page


@pytest.mark.parametrize("site", ["kent", "defibrental"])
def test_lists_against_cookie_banners_do_not_hit_us(
    bench: Page, visitor: BrowserContext, stage: Stage, site: str
) -> None:
    blocker = Blocker(bench, TYPICAL)
    blocked = blocker.guard(visitor)
    page = visitor.new_page()
    page.goto(getattr(stage, site))
    expect(page.locator("#consent-ui section")).to_be_visible()
    page.add_style_tag(content=blocker.hides(page))
    expect(page.locator("#consent-ui section")).to_be_visible()
    asked(page)
    page.get_by_role("button", name="Choose", exact=True).click()
    for row in page.get_by_role("dialog").locator("p, a, button, input").all():
        expect(row).to_be_visible()
    page.get_by_role("dialog").get_by_role("button", name="Accept all").click()
    expect(page.get_by_role("status")).not_to_be_empty()
    page.wait_for_function("indexedDB.databases().then((all) => all.length === 1)")
    assert blocked == []


def test_the_blocker_would_hit_what_its_rules_say(bench: Page, visitor: BrowserContext, stage: Stage) -> None:
    blocker = Blocker(bench, TYPICAL)
    blocked = blocker.guard(visitor)
    page = visitor.new_page()
    page.goto(stage.kent)
    page.evaluate("fetch('/cookie-consent.js').catch(() => 0)")
    page.evaluate("document.querySelector('#consent-ui').id = 'consent-banner'")
    page.add_style_tag(content=blocker.hides(page))
    expect(page.locator("#consent-banner section")).to_be_hidden()
    assert blocked == [stage.kent + "/cookie-consent.js"]


@pytest.mark.slow
@pytest.mark.parametrize("rules", ["/static/consent-banner/*", "/static/consent-banner/*.js", "/*.css", "/taskbar.js"])
@pytest.mark.parametrize("site", ["kent", "defibrental", "surrey"])
def test_what_is_blocked_harms_nobody(
    bench: Page, visitor: BrowserContext, stage: Stage, site: str, rules: str
) -> None:
    faults: list[str] = []
    sent: list[str] = []
    blocked = Blocker(bench, rules).guard(visitor)
    page = visitor.new_page()
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("request", lambda request: sent.append(request.url))
    page.goto(getattr(stage, site), wait_until="networkidle")
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    page.get_by_role("link").first.click()
    page.wait_for_load_state("networkidle")
    expect(page.get_by_role("main")).to_be_visible()
    assert faults == []
    assert bool(blocked) == (rules != "/taskbar.js" or site == "defibrental")
    if site != "surrey":  # whose statistics may run until somebody objects
        assert page.evaluate(KEPT) == []
        assert not [url for url in sent if "/v1/collect" in url or "/v1/consent" in url]


def test_without_scripts_and_style_the_form_still_decides(bench: Page, visitor: BrowserContext, stage: Stage) -> None:
    Blocker(bench, "/static/consent-banner/*").guard(visitor)
    page = visitor.new_page()
    page.goto(stage.kent + "/contact")
    page.get_by_role("button", name="Reject all").first.click()
    expect(page.get_by_role("region", name="Your choice about cookies")).to_have_count(0)
    assert page.url == stage.kent + "/contact"
    assert ".1" not in page.evaluate("document.cookie")


@pytest.mark.parametrize("site", ["kent", "defibrental"])
def test_a_banner_that_is_hidden_holds_nobody_up(bench: Page, visitor: BrowserContext, stage: Stage, site: str) -> None:
    page = visitor.new_page()
    page.goto(getattr(stage, site))
    expect(page.locator("#consent-ui section")).to_be_visible()
    page.add_style_tag(content=Blocker(bench, "###consent-ui").hides(page))
    page.evaluate("document.querySelector('[data-consent-open]').click()")
    if site == "kent":
        page.wait_for_url("**/cookies?site=kent")
    else:
        page.wait_for_timeout(300)
        assert page.evaluate("document.querySelector('dialog').open") is False
        page.get_by_role("link").first.click()
    assert page.evaluate(KEPT) == []
