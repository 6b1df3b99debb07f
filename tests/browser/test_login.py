"""The door of the dashboard in real Chromium: second factor from setting up to signing in, the audit trail, and axe."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Thread

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect
from werkzeug.serving import make_server

from consent_app import create_app, totp
from consent_app.audit import Trail
from consent_app.demo.traffic import Quiet
from consent_app.rooms import NAME, Rooms
from consent_app.second_factor import SecondFactors
from tests.web.api_figures import close, standing
from tests.web.conftest import Clock

PASSWORD = "correct horse battery"
LOOKS = [(width, scheme) for width in (320, 768, 1440) for scheme in ("light", "dark")]
JUDGE = """async () => {
  const { violations } = await axe.run({ rules: { "target-size": { enabled: true } }, resultTypes: ["violations"] });
  const over = document.documentElement.scrollWidth - document.documentElement.clientWidth;
  const wide = over > 0 ? [`${over} px too wide`] : [];
  return wide.concat(violations.flatMap(({ id, nodes }) => nodes.map((node) => `${id} ${node.target}`)));
}"""


@pytest.fixture
def clock() -> Clock:
    return Clock(datetime(2026, 11, 24, 12, 15, tzinfo=UTC))


@pytest.fixture
def house(tmp_path: Path, clock: Clock) -> Iterator[tuple[str, Rooms]]:
    """The application on a port of its own, with an auditor and something in the audit trail."""
    app = create_app(standing(tmp_path / "home", clock))
    rooms: Rooms = app.extensions[NAME]
    rooms.users.add("mary", PASSWORD, "auditor")
    trail = Trail.of(rooms.settings)
    for what in ("account changed", "locked out", "export", "settings changed"):
        trail.add(what, "bob", "bob: viewer, kent > admin, all sites; new password", "command")
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=Quiet)
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", rooms
    server.shutdown()
    thread.join()
    server.server_close()
    close(app)


@pytest.fixture
def context(chromium: Browser, house: tuple[str, Rooms], request: pytest.FixtureRequest) -> Iterator[BrowserContext]:
    context = chromium.new_context(base_url=house[0], **getattr(request, "param", {}))
    yield context
    context.close()


@pytest.fixture(scope="session")
def axe(root: Path) -> str:
    file = root / "static" / "consent-banner" / "node_modules" / "axe-core" / "axe.min.js"
    if not file.exists():
        pytest.skip("axe-core is not installed; `make banner` does it (needs Node)")
    return file.read_text("utf-8")


def signs_in(page: Page) -> None:
    page.goto("/dashboard/login")
    page.get_by_label("Name").fill("mary")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()


def offers(page: Page) -> bytes:
    """Ask for a second factor; returns the secret that the page shows."""
    page.goto("/dashboard/account/second-factor")
    page.get_by_label("Your password").fill(PASSWORD)
    page.get_by_role("button", name="Set it up").click()
    expect(page.get_by_role("heading", name="Read this code")).to_be_visible()
    key = re.search(r"secret=([A-Z2-7]+)", page.content())
    assert key
    return base64.b32decode(key[1])


def code(secret: bytes, clock: Clock) -> str:
    return totp.code(secret, int(clock.now.timestamp()))


@pytest.mark.browser
@pytest.mark.parametrize("context", [{"java_script_enabled": False}, {}], indirect=True, ids=["no-javascript", "plain"])
def test_a_person_sets_a_second_factor_up_and_signs_in_with_it(context: BrowserContext, clock: Clock) -> None:
    said: list[str] = []
    page = context.new_page()
    page.on("console", lambda message: said.append(message.text))
    signs_in(page)
    expect(page.get_by_role("link", name="Your account, mary")).to_be_visible()
    secret = offers(page)
    page.get_by_label("Code that the app shows").fill(code(secret, clock))
    page.get_by_role("button", name="Turn it on").click()
    expect(page.locator(".codes li")).to_have_count(10)
    page.get_by_role("link", name="I have kept them").click()
    page.get_by_role("button", name="Sign out").click()
    clock.now += timedelta(seconds=30)
    signs_in(page)
    expect(page.get_by_role("heading", name="One more step")).to_be_visible()
    page.get_by_label("Code").fill(code(secret, clock))
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("link", name="Your account, mary").click()
    expect(page.get_by_text("10 recovery codes are left")).to_be_visible()
    page.goto("/dashboard/records/audit?what=second+factor+on")
    expect(page.locator("tbody tr")).to_have_count(1)
    assert [text for text in said if "Policy" in text] == []


@pytest.mark.browser
@pytest.mark.slow
def test_axe_finds_nothing_at_the_door(context: BrowserContext, house: tuple[str, Rooms], axe: str) -> None:
    page = context.new_page()
    faults: list[str] = []

    def sees(state: str) -> None:
        page.evaluate(axe)
        for width, scheme in LOOKS:
            page.set_viewport_size({"width": width, "height": 800})
            page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
            faults.extend(f"{state}, {width} {scheme}: {fault}" for fault in page.evaluate(JUDGE))

    page.goto("/dashboard/login?ended=idle")
    sees("signed out")
    page.get_by_role("button", name="Sign in").click()
    sees("nothing entered")
    signs_in(page)
    for address in ("", "/second-factor"):
        page.goto(f"/dashboard/account{address}")
        sees(address or "account")
    offers(page)
    page.locator("details").evaluate("details => { details.open = true }")
    sees("enrolment")
    page.get_by_label("Code that the app shows").fill("000000")
    page.get_by_role("button", name="Turn it on").click()
    sees("a wrong first code")
    page.goto("/dashboard/records/audit")
    sees("audit trail")
    page.goto("/dashboard/records/audit?who=nobody")
    sees("audit trail without entries")
    SecondFactors.of(house[1].settings, house[1].users).enrol("mary")
    signs_in(page)
    sees("code")
    page.get_by_label("Code").fill("000000")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_be_visible()
    sees("wrong code")
    assert faults == []
