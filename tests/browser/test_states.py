"""How the banner looks and behaves in every state: three looks, strict pages, privacy signal, large text, keyboard."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import pytest
from flask import Flask, Response
from playwright.sync_api import Browser, BrowserContext, Page, expect

from consent_app import languages
from tests.browser.conftest import AGENT, Stage, asked, stranger, until
from tests.browser.test_judges import Doctor, axe, doctor, packages  # noqa: F401  fixtures

pytestmark = pytest.mark.browser

EDITS: Final = (
    ("[site.kent]\n", '[site.kent]\nlook = "corner"\n'),
    ("[site.surrey]\n", '[site.surrey]\nlook = "footer"\n'),
)
STRICT: Final = "default-src 'self'{origin}; require-trusted-types-for 'script'"
LARGEST: Final = 0.45  # of a screen of 320 by 640
WATCH: Final = """
window.violations = [];
window.shift = 0;
document.addEventListener("securitypolicyviolation", (e) => violations.push(e.effectiveDirective + " " + e.blockedURI));
new PerformanceObserver((list) => list.getEntries().forEach((e) => { shift += e.value }))
  .observe({ type: "layout-shift", buffered: true });
"""


def add_pages(app: Flask, key: str, origin: str) -> None:
    """Every page of both sites is strict: its own host, the service's where that is another, Trusted Types."""

    @app.after_request
    def strict(response: Response) -> Response:
        response.headers.setdefault("Content-Security-Policy", STRICT.format(origin=f" {origin}" if origin else ""))
        return response


@pytest.fixture
def page(visitor: BrowserContext) -> Iterator[Page]:
    """A page on which nothing moves, nothing breaks a policy and nothing fails."""
    faults: list[str] = []
    visitor.add_init_script(WATCH)
    page = visitor.new_page()
    page.on("pageerror", lambda error: faults.append(str(error)))
    yield page
    assert faults == []
    assert page.evaluate("[violations, shift]") == [[], 0]


@pytest.fixture(params=["kent", "surrey", "defibrental"])
def site(request: pytest.FixtureRequest, stage: Stage) -> str:
    """A card in the corner, a strip over the whole width, a bar."""
    return str(getattr(stage, request.param))


def open_preferences(page: Page) -> None:
    asked(page)
    page.locator("#consent-ui > section").get_by_role("button", name="Choose", exact=True).click()
    expect(page.get_by_role("dialog")).to_be_visible()


# --- looks ------------------------------------------------------------------------------------------------------------

PLACE: Final = """() => {
  const box = document.querySelector("#consent-ui > section").getBoundingClientRect();
  return { left: box.left, right: innerWidth - box.right, bottom: innerHeight - box.bottom, width: box.width };
}"""
BUTTONS: Final = """() => [...document.querySelectorAll("#consent-ui > section button")].slice(0, 2).map((button) => {
  const style = getComputedStyle(button), box = button.getBoundingClientRect();
  return [...[box.width, box.height, box.y].map(Math.round),
    style.color, style.backgroundColor, style.border, style.font, style.opacity];
})"""


LOOKS: Final = {
    "kent": {"right": 12, "bottom": 12, "width": 400},
    "surrey": {"left": 0, "right": 0, "bottom": 0, "width": 1280},
    "defibrental": {"left": 128, "right": 128, "bottom": 12, "width": 1024},
}


@pytest.mark.parametrize("key", LOOKS)
def test_each_look_is_what_it_is_called(page: Page, stage: Stage, key: str) -> None:
    page.set_viewport_size({"width": 1280, "height": 720})
    page.goto(getattr(stage, key))
    asked(page)
    assert page.evaluate(PLACE).items() >= LOOKS[key].items()


@pytest.mark.parametrize("width", [320, 768, 1280])
def test_both_answers_are_equal_in_each_look(page: Page, site: str, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 640})
    page.goto(site)
    asked(page)
    accept, reject = page.evaluate(BUTTONS)
    assert accept == reject
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_a_page_may_theme_the_banner_but_not_one_answer(page: Page, stage: Stage) -> None:
    page.goto(stage.kent)
    asked(page)
    page.evaluate(
        """() => {
          const sheet = new CSSStyleSheet();
          sheet.replaceSync(`#consent-ui { --accent: rgb(120, 0, 60); --round: 0px }
            #consent-ui [value="reject"] { background: none !important; color: #ddd !important; font-size: 9px }`);
          document.adoptedStyleSheets = [sheet];
        }"""
    )
    accept, reject = page.evaluate(BUTTONS)
    assert accept == reject
    assert accept[4] == "rgb(120, 0, 60)"


# --- size -------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("key", ["kent", "surrey", "defibrental"])
def test_the_banner_leaves_room_in_every_language_with_the_signal_too(
    chromium: Browser, stage: Stage, key: str
) -> None:
    too_large = []
    with chromium.new_context(viewport={"width": 320, "height": 640}, user_agent=AGENT) as context:
        page = context.new_page()
        for lang in languages.available():
            page.set_extra_http_headers({"Sec-GPC": "1", "Accept-Language": lang})
            page.goto(getattr(stage, key))
            page.locator(f"#consent-ui[lang={lang}] > section").wait_for()
            share = page.evaluate("document.querySelector('#consent-ui > section').offsetHeight / innerHeight")
            if share > LARGEST:
                too_large.append((lang, round(share, 3)))
    assert too_large == []


# --- keyboard ---------------------------------------------------------------------------------------------------------


def test_the_keyboard_goes_through_the_banner_and_on(page: Page, site: str) -> None:
    page.goto(site)
    asked(page)
    assert page.evaluate("document.activeElement === document.body")  # nothing takes the focus
    page.locator("#consent-ui > section button").first.focus()
    order = []
    for _ in range(4):
        order.append(page.evaluate("document.activeElement.value || document.activeElement.tagName"))
        page.keyboard.press("Tab")
    assert order[:3] == ["accept", "reject", "choose"]
    assert order[3] in ("A", "BODY")  # and out of it, to the page or the browser: a bar is no trap
    assert page.evaluate("getComputedStyle(document.documentElement).overflow") == "visible"
    page.mouse.wheel(0, 200)


def test_the_preferences_keep_the_focus_and_give_it_back(page: Page, site: str) -> None:
    page.goto(site)
    open_preferences(page)
    for _ in range(25):
        page.keyboard.press("Tab")
        where = page.evaluate(
            "[document.activeElement.closest('dialog') !== null, document.activeElement === document.body]"
        )
        assert where in ([True, False], [False, True])  # the browser's own controls count as the body
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
    assert page.evaluate("document.activeElement.value") == "choose"
    open_preferences(page)
    page.get_by_role("dialog").get_by_role("button", name="Save choices").click()
    expect(page.get_by_role("status")).not_to_be_empty()
    assert page.evaluate("document.activeElement !== document.body")


TARGETS: Final = """() => [...document.querySelectorAll("#consent-ui :is(button, input, a, summary)")]
  .filter((element) => element.checkVisibility()).map((element) => [element, element.getBoundingClientRect()])
  .filter(([, box]) => box.width < 24 || box.height < 24).map(([element, box]) => element.outerHTML + box.height)"""


def test_targets_are_large_enough(page: Page, site: str) -> None:
    page.set_viewport_size({"width": 320, "height": 640})
    page.goto(site)
    open_preferences(page)
    assert page.evaluate(TARGETS) == []


def test_nothing_moves_for_those_who_want_less_motion(page: Page, site: str) -> None:
    page.emulate_media(reduced_motion="reduce")
    page.goto(site)
    open_preferences(page)
    assert page.evaluate("document.getAnimations().length") == 0


# --- axe, under Trusted Types -----------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("key", ["kent", "surrey", "defibrental"])
def test_axe_finds_nothing_in_any_look(doctor: Doctor, stage: Stage, key: str) -> None:  # noqa: F811
    page = doctor.page
    page.context.add_init_script(WATCH)
    page.goto(getattr(stage, key))
    asked(page)
    doctor.sees("banner")
    open_preferences(page)
    for summary in page.get_by_role("dialog").locator("summary").all():
        summary.click()
    doctor.sees("preferences")
    page.get_by_role("dialog").get_by_role("button", name="Save choices").click()
    expect(page.get_by_role("status")).not_to_be_empty()
    doctor.sees("after saving")


def test_the_signal_is_told_in_reach(chromium: Browser, stage: Stage) -> None:
    with stranger(chromium, extra_http_headers={"Sec-GPC": "1"}) as context:
        page = context.new_page()
        page.goto(stage.surrey + "/")
        until(page, "document.querySelector('#consent-ui > section').textContent.includes('Global Privacy Control')")
