"""The pages of data rights in real Chromium: without script, by keyboard, on a small screen, before axe."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from consent_app.complaints import Complaints
from consent_app.ledger import holds
from tests.browser.conftest import Stage, stranger
from tests.browser.test_judges import PASSWORD, Doctor, axe, doctor, packages  # noqa: F401  fixtures

pytestmark = pytest.mark.browser

WORDS = "The map came before I was asked."
# The longest words, another script, right to left.
LANGUAGES = ("de", "fi", "el", "ar")
WIDE = "document.documentElement.scrollWidth - innerWidth"


@pytest.fixture
def plain(chromium: Browser, tmp_path: Path) -> Iterator[BrowserContext]:
    """A browser without JavaScript."""
    with stranger(chromium, java_script_enabled=False) as context:
        yield context


@pytest.fixture
def page(plain: BrowserContext) -> Iterator[Page]:
    """A page that asks nobody else for anything, and of which no part is refused by its policy."""
    page = plain.new_page()
    hosts: set[str] = set()
    faults: list[str] = []
    page.on("request", lambda request: hosts.add(request.url.split("/")[2].partition(":")[0]))
    page.on("console", lambda message: faults.append(message.text) if "Content Security" in message.text else None)
    yield page
    assert hosts <= {"kent.localhost", "127.0.0.1"}
    assert faults == []


def accept(page: Page, stage: Stage) -> None:
    page.goto(stage.kent + "/cookies?site=kent")
    page.get_by_role("button", name="Accept all").click()
    expect(page.get_by_role("status")).to_be_visible()
    page.goto(stage.kent + "/your-data")
    expect(page.get_by_role("heading", name="What is held")).to_be_visible()


def complain(page: Page, stage: Stage) -> str:
    page.goto(stage.kent + "/your-data/complaints")
    page.get_by_label("What is wrong?").fill(WORDS)
    page.get_by_role("button", name="Send complaint").click()
    expect(page.get_by_text("Day 1 of 30")).to_be_visible()
    return page.url.partition("?")[0].rpartition("/")[2]


def hold(stage: Stage) -> str:
    words: dict[str, Any] = {"reason": "case 7", "by": "legal", "until": date(2099, 3, 31)}
    return holds.add(stage.rooms.ledger, "kent", [], now=stage.rooms.settings.clock(), **words).hold


def downloaded(page: Page, name: str, role: Any = "button") -> dict[str, Any]:
    with page.expect_download() as waiting:
        page.get_by_role(role, name=name, exact=True).click()
    document: dict[str, Any] = json.loads(Path(waiting.value.path()).read_text("utf-8"))
    return document


def test_every_right_works_without_javascript(page: Page, stage: Stage, tmp_path: Path) -> None:
    accept(page, stage)
    copy = downloaded(page, "Download")
    assert copy["records"][0]["record"]["event"] == "given"
    page.get_by_role("button", name="Stop everything optional").click()
    expect(page.get_by_role("status")).to_contain_text("Everything optional is off")
    file = tmp_path / "copy.json"
    file.write_text(json.dumps(copy), "utf-8")
    page.get_by_text("With your receipt").click()
    page.get_by_label("or the receipt file").set_input_files(file)
    page.get_by_role("button", name="Show").click()
    expect(page.get_by_text("you objected")).to_be_visible()
    page.get_by_role("button", name="Erase", exact=True).click()
    page.get_by_role("button", name="Erase for good").click()
    expect(page.get_by_role("heading", name="Receipt of erasure")).to_be_visible()
    assert downloaded(page, "Download", "link")["record"]["entries"] == [held["entry"] for held in copy["records"]] + [
        copy["records"][-1]["entry"] + 1
    ]
    page.goto(stage.kent + "/your-data")
    expect(page.get_by_role("heading", name="We do not know who you are")).to_be_visible()


def test_a_complaint_works_without_javascript(page: Page, stage: Stage) -> None:
    reference = complain(page, stage)
    Complaints.of(stage.rooms.settings, stage.rooms.ledger).answer(reference, "We mended it.", close=True)
    page.goto(stage.kent + "/your-data/complaints")
    page.get_by_label("Reference number").fill(reference.lower())
    page.get_by_role("button", name="Show").click()
    expect(page.get_by_text("We mended it.")).to_be_visible()


def test_the_keyboard_reaches_every_right_in_its_order(visitor: BrowserContext, stage: Stage) -> None:
    page = visitor.new_page()
    accept(page, stage)
    reached: list[str] = []
    for _ in range(11):
        page.keyboard.press("Tab")
        reached.append(str(page.evaluate("document.activeElement.innerText.trim()")))
        assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none", reached[-1]
    rights = ["Download", "Cookie settings", "Stop everything optional", "Erase"]
    assert [name for name in reached if name in rights] == rights
    assert reached[0] == "Skip to content"
    page.get_by_role("button", name="Erase", exact=True).focus()
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Erase for good").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Receipt of erasure")).to_be_visible()


def test_no_page_is_wider_than_a_small_screen(visitor: BrowserContext, stage: Stage) -> None:
    page = visitor.new_page()
    page.set_viewport_size({"width": 320, "height": 640})
    accept(page, stage)
    reference = complain(page, stage)
    addresses = ("/your-data", "/your-data/complaints", f"/your-data/complaints/{reference}", "/your-data/notices")
    for address in addresses:
        for lang in LANGUAGES:
            page.goto(f"{stage.kent}{address}?lang={lang}")
            assert page.evaluate(WIDE) <= 0, (address, lang)


@pytest.mark.slow
def test_axe_finds_nothing_in_the_pages_of_data_rights(doctor: Doctor, stage: Stage) -> None:  # noqa: F811
    page = doctor.page
    page.goto(stage.kent + "/your-data")
    doctor.sees("nobody is known")
    page.get_by_label("Receipt number").fill("nonsense")
    page.get_by_role("button", name="Show").click()
    expect(page.get_by_role("alert")).to_be_visible()
    doctor.sees("wrong receipt")
    accept(page, stage)
    doctor.sees("what is held")
    page.get_by_role("button", name="Erase", exact=True).click()
    expect(page.get_by_role("button", name="Erase for good")).to_be_visible()
    doctor.sees("asked once more")
    standing = hold(stage)
    page.get_by_role("button", name="Erase for good").click()
    expect(page.get_by_role("heading", name="It cannot be erased yet")).to_be_visible()
    doctor.sees("held")
    holds.end(stage.rooms.ledger, standing, "legal", stage.rooms.settings.clock())
    page.goto(stage.kent + "/your-data")
    page.get_by_role("button", name="Erase", exact=True).click()
    page.get_by_role("button", name="Erase for good").click()
    expect(page.get_by_role("heading", name="Receipt of erasure")).to_be_visible()
    doctor.sees("erased")


@pytest.mark.slow
def test_axe_finds_nothing_in_complaints_and_notices(doctor: Doctor, stage: Stage) -> None:  # noqa: F811
    page = doctor.page
    page.goto(stage.kent + "/your-data/complaints?reference=1")
    expect(page.get_by_role("alert")).to_be_visible()
    doctor.sees("complaint, wrong number")
    reference = complain(page, stage)
    Complaints.of(stage.rooms.settings, stage.rooms.ledger).answer(reference, "We mended it.", close=False)
    page.reload()
    doctor.sees("complaint, answered")
    page.goto(stage.kent + "/your-data/notices?lang=ar")
    page.locator("details.text").first.click()
    doctor.sees("notices")
    page.goto(f"http://127.0.0.1:{stage.port}/your-data")
    doctor.sees("which site")


@pytest.mark.slow
def test_axe_finds_nothing_in_the_records_of_the_dashboard(doctor: Doctor, stage: Stage) -> None:  # noqa: F811
    stage.rooms.users.add("adam", PASSWORD, "admin")
    page, home = doctor.page, f"http://127.0.0.1:{stage.port}"
    reference = complain(page, stage)
    page.goto(home + "/dashboard/")
    page.get_by_label("Name").fill("adam")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url("**/dashboard/")
    for address in ("complaints", f"complaints/{reference}", ""):
        page.goto(f"{home}/dashboard/records/{address}")
        doctor.sees(f"records/{address[:10]}")
