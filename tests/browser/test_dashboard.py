"""The dashboard in a real Chromium: without JavaScript, at every width, by keyboard, in the dark, on paper."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from threading import Thread

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect
from werkzeug.serving import make_server

from consent_app import create_app
from consent_app.rooms import NAME, Rooms
from consent_app.settings import Settings
from tests.released import Shop, write

pytestmark = pytest.mark.browser

PASSWORD = "correct horse battery"
AXE = """async () => {
  const { violations } = await axe.run({ rules: { "target-size": { enabled: true } }, resultTypes: ["violations"] });
  return violations.flatMap(({ id, nodes }) => nodes.map((node) => `${id} ${node.target}: ${node.failureSummary}`));
}"""
YESTERDAY = date(2026, 11, 23)
PAGES = (
    "/dashboard/", "/dashboard/kent", "/dashboard/kent?period=12m&compare=year", "/dashboard/kent?from=x&to=y",
    "/dashboard/kent?period=last-month&page=/desks/", "/dashboard/kent/table/pages?period=12m",
    "/dashboard/kent/notebook", "/dashboard/surrey", "/dashboard/orders", "/dashboard/defibrental?period=yesterday",
    "/dashboard/unknown",
)  # fmt: skip


@pytest.fixture(scope="module")
def server(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The whole application on a port of its own: one site with much data, one with little, one late, one without."""
    home = tmp_path_factory.mktemp("home") / "home"
    shutil.copytree(root / "consent_app" / "starter", home)
    keys = ("key of the browser tests, long enough",)
    now = datetime(2026, 11, 24, 12, 15, tzinfo=UTC)
    settings = Settings(home=home, signing_keys=keys, session_keys=keys, clock=lambda: now)
    write(settings.stats_file, [
        Shop("kent", 240, date(2025, 9, 1), YESTERDAY),
        Shop("surrey", 8, date(2026, 10, 20), YESTERDAY, grain="month"),
        Shop("defibrental", 1400, date(2026, 1, 1), date(2026, 11, 19), policy="threshold"),
    ])  # fmt: skip
    app = create_app(settings)
    rooms: Rooms = app.extensions[NAME]
    rooms.users.add("mary", PASSWORD, "viewer")
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()
    for part in (rooms.spool, rooms.ledger, rooms.statistics):
        part.close()


@pytest.fixture
def context(request: pytest.FixtureRequest, chromium: Browser, server: str) -> Iterator[BrowserContext]:
    """A fresh browser profile; what it is like comes from the test's parameter."""
    context = chromium.new_context(base_url=server, **getattr(request, "param", {}))
    yield context
    context.close()


def sign_in(context: BrowserContext) -> Page:
    page = context.new_page()
    page.goto("/dashboard/kent")
    page.get_by_label("Name").fill("mary")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url("**/dashboard/kent")
    return page


@pytest.mark.parametrize("context", [{"java_script_enabled": False}], indirect=True, ids=["no-javascript"])
def test_without_javascript_a_person_signs_in_reads_figures_and_signs_out(context: BrowserContext) -> None:
    page = sign_in(context)
    assert re.search(r"Views\s+[\d,]+\s+± [\d,]+", page.locator(".figures").inner_text())
    page.get_by_text("Show as a table").click()
    assert page.get_by_role("row").filter(has_text="Mon 23 Nov 2026").first.is_visible()
    page.locator("#periods > summary").click()
    page.get_by_label("First day").fill("2026-11-02")
    page.get_by_label("Last day").fill("2026-11-08")
    page.get_by_role("button", name="Show", exact=True).click()
    expect(page.locator(".days")).to_have_text("2 to 8 Nov 2026")
    page.get_by_role("link", name=re.compile("^Visits")).click()
    expect(page.get_by_role("heading", name="Visits per day")).to_be_visible()
    expect(page.locator(".days")).to_have_text("2 to 8 Nov 2026")
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_text("You are signed out.")).to_be_visible()
    page.goto("/dashboard/kent")
    assert page.get_by_role("heading", name="Sign in").is_visible()


def test_nothing_breaks_the_policy_and_nothing_leaves_the_host(context: BrowserContext, server: str) -> None:
    complaints: list[str] = []
    requests: list[str] = []
    context.on("console", lambda message: complaints.append(message.text) if "Policy" in message.text else None)
    context.on("weberror", lambda error: complaints.append(str(error.error)))
    context.on("request", lambda request: requests.append(request.url))
    page = sign_in(context)
    for address in PAGES:
        page.goto(address)
    assert complaints == []
    assert {url for url in requests if not url.startswith(server + "/")} == set()
    assert any("/static/" in url for url in requests)


def test_the_policy_would_be_heard_if_it_were_broken(context: BrowserContext) -> None:
    page = sign_in(context)
    with page.expect_console_message(lambda message: "Content Security Policy" in message.text):
        page.evaluate("document.head.appendChild(document.createElement('style')).textContent = 'p{color:red}'")


@pytest.mark.parametrize(
    "context",
    [{"viewport": {"width": width, "height": 800}} for width in (320, 375, 768, 1024, 1440)],
    indirect=True,
    ids=lambda value: str(value["viewport"]["width"]),
)
def test_nothing_is_wider_than_the_screen(context: BrowserContext) -> None:
    page = sign_in(context)
    for address in (*PAGES, "/dashboard/login"):
        page.goto(address)
        page.evaluate("document.querySelectorAll('details').forEach(details => { details.open = true })")
        over = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert over <= 0, f"{address} is {over} px too wide"


def test_every_picture_has_words_and_every_chart_a_table(context: BrowserContext) -> None:
    page = sign_in(context)
    for address in PAGES:
        page.goto(address)
        for picture in page.locator("svg[role=img]").all():
            assert picture.evaluate("svg => svg.querySelector('title').textContent.length") > 5
            assert picture.evaluate("svg => svg.querySelector('desc').textContent.length") > 5
        for chart in page.locator("svg.chart").all():
            marks = chart.locator(".mark").count()
            rows = page.locator(".graph table.numbers tbody tr").count()
            assert 0 < marks <= rows <= marks + 1


def test_the_page_can_be_used_by_keyboard(context: BrowserContext) -> None:
    page = sign_in(context)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to content"
    page.keyboard.press("Enter")
    reached = []
    for _ in range(60):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.innerText || document.activeElement.tagName"))
        assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none", reached[-1]
        if "What is ±?" in reached:
            break
    names = " ".join(reached)
    assert all(name in names for name in ("Other sites", "28 days", "Compared with", "More", "Visitors", "What is ±?"))


def test_the_pointer_finds_each_point_of_the_line(context: BrowserContext) -> None:
    page = sign_in(context)
    mark = page.locator(".mark").nth(5)
    assert mark.locator("text").evaluate("text => getComputedStyle(text).opacity") == "0"
    mark.locator("rect").hover()
    assert mark.locator("text").evaluate("text => getComputedStyle(text).opacity") == "1"
    assert re.fullmatch(r"Sun 1 Nov 2026: [\d,]+ ± [\d,]+", mark.locator("text").evaluate("text => text.textContent"))


def test_labels_of_the_line_stay_inside_the_picture(context: BrowserContext) -> None:
    page = sign_in(context)
    page.set_viewport_size({"width": 320, "height": 800})
    for text in page.locator("svg.chart text").all():
        box = text.bounding_box()
        assert box is None or (box["x"] >= 0 and box["x"] + box["width"] <= 320), text.text_content()


@pytest.mark.parametrize("context", [{"color_scheme": "dark"}], indirect=True, ids=["dark"])
def test_the_dark_page_is_dark(context: BrowserContext) -> None:
    page = sign_in(context)
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert sum(int(part) for part in re.findall(r"\d+", paper)) < 150


def test_paper_shows_figures_and_no_controls(context: BrowserContext) -> None:
    page = sign_in(context)
    page.emulate_media(media="print")
    assert page.locator(".figures").is_visible()
    assert page.locator("svg.chart").is_visible()
    assert page.locator("#periods .days").is_visible()
    for control in ("#periods .panel", "#more", ".account", ".title .menu", ".all"):
        assert not page.locator(control).first.is_visible()


def test_keys_choose_days_comparison_and_filters(context: BrowserContext) -> None:
    page = sign_in(context)
    page.keyboard.press("w")
    page.wait_for_url("**period=7d**")
    page.keyboard.press("x")
    page.wait_for_url("**compare=off**")
    page.keyboard.press("x")
    page.wait_for_url(lambda url: "compare=off" not in url)
    page.keyboard.press("c")
    expect(page.get_by_label("First day")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.get_by_label("First day")).to_be_hidden()
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keys")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog", name="Keys")).to_be_hidden()
    page.keyboard.press("p")
    page.wait_for_url("**period=last-month**")
    page.locator("#card-pages").get_by_role("link", name="/desks/", exact=True).click()
    expect(page.locator(".chip")).to_contain_text("/desks/")
    page.keyboard.press("Escape")
    expect(page.locator(".chip")).to_have_count(0)


def test_a_tab_changes_its_card_in_place(context: BrowserContext) -> None:
    page = sign_in(context)
    page.evaluate("document.body.dataset.same = 'page'")
    page.locator("#card-sources").get_by_role("link", name="Sources", exact=True).click()
    expect(page.locator("#card-sources")).to_contain_text("Google")
    assert "tab=sources" in page.url
    assert page.evaluate("document.body.dataset.same") == "page"
    expect(page.locator("#card-sources .tabs [aria-current]")).to_be_focused()
    assert "tab=sources" in (page.locator("#card-pages .tabs a").nth(1).get_attribute("href") or "")


def test_a_table_in_full_is_searched_while_typing(context: BrowserContext) -> None:
    page = sign_in(context)
    page.goto("/dashboard/kent/table/pages?period=12m")
    page.keyboard.press("/")
    page.keyboard.type("desk")
    expect(page.locator(".full tbody tr:visible").first).to_contain_text("desk")
    expect(page.locator(".full tbody tr:visible").filter(has_text="/chairs/")).to_have_count(0)


@pytest.mark.slow
@pytest.mark.parametrize("context", [{"color_scheme": "light"}, {"color_scheme": "dark"}], indirect=True, ids=str)
def test_axe_finds_nothing_in_any_state(context: BrowserContext, root: Path) -> None:
    file = root / "static" / "consent-banner" / "node_modules" / "axe-core" / "axe.min.js"
    if not file.exists():
        pytest.skip("axe-core is not installed; `make banner` does it (needs Node)")
    page = sign_in(context)
    for address in PAGES:
        page.goto(address)
        page.evaluate("document.querySelectorAll('details:not(.menu)').forEach(details => { details.open = true })")
        page.evaluate(file.read_text("utf-8"))
        found = page.evaluate(AXE)
        assert found == [], address
