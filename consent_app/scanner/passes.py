"""The four visits: nothing clicked, all refused, a privacy signal sent, all accepted. Each in a browser of its own.

The first visit finds the pages; the others see the same ones, so that visits can be compared.
"""

from __future__ import annotations

import importlib
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast
from urllib.parse import urldefrag, urlsplit

from consent_app.errors import ScanError
from consent_app.scanner.answering import Answerer
from consent_app.scanner.seen import VISITS, Seen, Visit
from consent_app.scanner.watching import Watch

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

BROWSERS: Final = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# Links that may do something, and are therefore not followed.
DOING: Final = re.compile(
    r"log-?(in|out|off)|sign-?out|delete|remove|unsubscribe|basket|cart|checkout|/api/", re.IGNORECASE
)
SIGNAL: Final = "Object.defineProperty(Navigator.prototype, 'globalPrivacyControl', { get: () => true })"
LINKS: Final = "(links) => links.filter((link) => !link.hasAttribute('download')).map((link) => link.href)"
# Nothing of Chromium's own goes out beside the site's requests.
QUIET: Final = ("--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run")


@dataclass(frozen=True)
class Plan:
    """What is scanned. `settle` is how long a page may stay busy, milliseconds; `folder` is where pictures go."""

    address: str
    folder: Path
    most_pages: int = 10
    settle: int = 3000
    browser: str = ""
    sandbox: bool = True
    answerer: Answerer = field(default_factory=Answerer)
    tell: Callable[[str], None] = lambda _: None


def scan(plan: Plan) -> tuple[Seen, ...]:
    """Make the four visits. Raises ScanError without a browser, or where the address does not answer."""
    with _browser(plan) as browser:
        pages: list[str] = []
        return tuple(_visited(browser, plan, visit, pages) for visit in VISITS)


@contextmanager
def _browser(plan: Plan) -> Iterator[Browser]:
    program = plan.browser or next(filter(None, map(shutil.which, BROWSERS)), "")
    if not program or not shutil.which(program):
        raise ScanError(
            f"there is no {plan.browser or 'Chromium'} here; install Debian's chromium, or name one by --browser"
        )
    try:
        playwright = importlib.import_module("playwright.sync_api")
    except ImportError as error:
        raise ScanError("scanning needs Playwright: pip install 'consent-app[scan]'") from error
    try:
        with playwright.sync_playwright() as started:
            yield _started(started, program, plan)
    except playwright.Error as error:
        raise ScanError(f"the browser stopped the scan: {str(error).splitlines()[0]}") from error


def _started(playwright: Any, program: str, plan: Plan) -> Browser:
    """Chromium, which goes when Playwright does. Root may not start it with a sandbox."""
    if plan.sandbox and os.geteuid() == 0:
        raise ScanError("Chromium starts as root without its sandbox only: scan as another user, or say --no-sandbox")
    arguments = [*QUIET, *([] if plan.sandbox else ["--no-sandbox"])]
    return cast("Browser", playwright.chromium.launch(executable_path=program, args=arguments))


def _visited(browser: Browser, plan: Plan, visit: Visit, pages: list[str]) -> Seen:
    """One visit in a new context, over the pages known, or found on the way where none is."""
    plan.tell(VISITS[visit])
    context = _context(browser, signal=visit == "signal")
    try:
        watch = Watch(context)
        page = context.new_page()
        _open(page, plan.address, plan)
        answered = _answered(page, watch, visit, plan)
        picture = _pictured(page, plan.folder, visit)
        if pages:
            _follow(page, watch, pages[1:], plan)
        else:
            pages += _found(page, watch, plan)
        return Seen(visit, tuple(pages), watch.stored, dict(watch.hosts.most_common()), watch.probes, answered, picture)
    finally:
        context.close()


def _context(browser: Browser, *, signal: bool) -> BrowserContext:
    headers = {"Sec-GPC": "1"} if signal else {}
    context = browser.new_context(viewport={"width": 1280, "height": 800}, extra_http_headers=headers)
    if signal:
        context.add_init_script(SIGNAL)
    return context


def _answered(page: Page, watch: Watch, visit: Visit, plan: Plan) -> str:
    """Answer the banner where this visit does, and begin anew: what was before a refusal is not after it."""
    if visit not in ("refused", "accepted"):
        watch.look(page)
        return ""
    how = plan.answerer.answer(page, "reject" if visit == "refused" else "accept")
    _settle(page, plan)
    if visit == "refused":
        watch.restart()
    _open(page, plan.address, plan)
    watch.look(page)
    return how


def _open(page: Page, address: str, plan: Plan) -> None:
    """Raises ScanError where the address does not answer, or not with a page."""
    try:
        answer = page.goto(address, wait_until="load", timeout=30_000)
    except Exception as error:
        raise ScanError(f"{address} does not answer: {str(error).splitlines()[0]}") from error
    if answer is not None and answer.status >= 400:
        raise ScanError(f"{address} answers {answer.status}; scan an address that shows a page")
    _settle(page, plan)


def _settle(page: Page, plan: Plan) -> None:
    """To the end of the page and back, so that what loads late is seen; then until the network is quiet."""
    page.evaluate("scrollTo(0, document.documentElement.scrollHeight)")
    try:
        page.wait_for_load_state("networkidle", timeout=plan.settle)
    except Exception as error:
        if type(error).__name__ != "TimeoutError":
            raise
    page.evaluate("scrollTo(0, 0)")


def _pictured(page: Page, folder: Path, visit: Visit) -> str:
    name = f"{visit}.png"
    page.screenshot(path=folder / name)
    return name


def _found(page: Page, watch: Watch, plan: Plan) -> list[str]:
    """The site's pages, breadth first, as far as the plan allows; each is looked at."""
    pages, waiting = [page.url], _links(page)
    seen = {urldefrag(page.url).url, plan.address}
    while waiting and len(pages) < plan.most_pages:
        address = waiting.pop(0)
        if address in seen:
            continue
        seen.add(address)
        if _looked(page, watch, address, plan):
            pages.append(address)
            waiting += _links(page)
    return pages


def _follow(page: Page, watch: Watch, pages: list[str], plan: Plan) -> None:
    for address in pages:
        _looked(page, watch, address, plan)


def _looked(page: Page, watch: Watch, address: str, plan: Plan) -> bool:
    """Whether there was a page at that address. A broken link stops nothing."""
    try:
        _open(page, address, plan)
    except ScanError:
        return False
    watch.look(page)
    return True


def _links(page: Page) -> list[str]:
    """Addresses on this page's host that a visitor may open and that do nothing, each once, in order."""
    here = urlsplit(page.url)
    found = (urldefrag(str(link)).url for link in page.eval_on_selector_all("a[href]", LINKS))
    same = (link for link in found if urlsplit(link)[:2] == here[:2] and not DOING.search(urlsplit(link).path))
    return list(dict.fromkeys(same))
