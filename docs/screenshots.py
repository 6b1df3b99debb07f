"""Takes the pictures in docs/images from a running demo: `make screenshots`."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from shutil import which
from typing import Final, Literal

from playwright.sync_api import Page, sync_playwright

from consent_app import bundle
from consent_app.demo.build import PASSWORD, USER

PORT: Final = 8765
IMAGES: Final = Path(__file__).parent / "images"
LOOKS: Final[Mapping[str, Literal["light", "dark"]]] = {"bar": "light", "corner": "dark", "footer": "light"}
READY: Final = "Ctrl-C stops everything"


@contextmanager
def demo() -> Iterator[None]:
    """The demo of this folder, made when it is not there yet."""
    command = [str(Path(sys.executable).with_name("consent")), "demo", "--port", str(PORT)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:  # noqa: S603 - our own command
        try:
            while READY not in (line := server.stdout.readline() if server.stdout else ""):
                if not line:
                    raise SystemExit("the demo did not start")
            yield
        finally:
            server.terminate()


def banner(page: Page) -> None:
    """The first visit to a demo site."""
    page.set_viewport_size({"width": 1200, "height": 720})
    page.goto(f"http://kent.localhost:{PORT}/")
    page.get_by_role("button", name="Accept all").wait_for()
    page.screenshot(path=IMAGES / "banner.png", animations="disabled")


def look(page: Page, name: str) -> None:
    """The first visit to a demo site as it is with that `look` in sites.toml: the same page, another style sheet."""
    sheet = bundle.content(bundle.manifest()["banner.css" if name == "bar" else f"{name}.css"])
    page.route("**/banner.*.css", lambda route: route.fulfill(body=sheet, content_type="text/css"))
    page.set_viewport_size({"width": 960, "height": 540})
    page.goto(f"http://kent.localhost:{PORT}/")
    page.get_by_role("button", name="Accept all").wait_for()
    page.screenshot(path=IMAGES / f"look-{name}.png", animations="disabled")


def preferences(page: Page) -> None:
    """Purposes, services and what they store."""
    page.set_viewport_size({"width": 960, "height": 800})
    page.goto(f"http://defibrental.localhost:{PORT}/")
    page.get_by_role("button", name="Choose").click()
    page.get_by_role("dialog").wait_for()
    page.get_by_role("dialog").locator("summary").last.click()
    page.screenshot(path=IMAGES / "preferences.png", animations="disabled")


def dashboard(page: Page) -> None:
    """One site's figures, as marketing sees them."""
    page.set_viewport_size({"width": 1200, "height": 1100})
    page.goto(f"http://127.0.0.1:{PORT}/dashboard/")
    page.get_by_label("Name").fill(USER)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.goto(f"http://127.0.0.1:{PORT}/dashboard/kent")
    page.screenshot(path=IMAGES / "dashboard.png", animations="disabled")


def main() -> None:
    """All pictures: the looks in light and dark by turns."""
    IMAGES.mkdir(exist_ok=True)
    with demo(), sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=which("chromium"), args=["--no-sandbox"])
        for picture in (banner, preferences, dashboard):
            picture(browser.new_page(color_scheme="light", device_scale_factor=1.5))
        for name, scheme in LOOKS.items():
            look(browser.new_page(color_scheme=scheme), name)
        browser.close()


if __name__ == "__main__":
    main()
