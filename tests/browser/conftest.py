"""Real Chromium against the real application and the demo's sites, each on a host of its own."""

from __future__ import annotations

import socket
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from flask import Flask, Response, render_template_string
from playwright.sync_api import Browser, BrowserContext, expect
from playwright.sync_api import Page as Tab
from werkzeug.serving import make_server

from consent_app import create_app, home
from consent_app.demo.hosts import by_host
from consent_app.demo.pages import DEFIBRENTAL, KENT, DemoSite, Page, site_app
from consent_app.demo.traffic import Quiet
from consent_app.rooms import NAME, Rooms
from consent_app.settings import Settings

# A machine with two cores that does other things as well: what is waited for may take this long (milliseconds).
PATIENCE, LOOK = 30_000, 50
expect.set_options(timeout=PATIENCE)

SURREY = DemoSite("surrey", "surrey.localhost", "Surrey Office Solutions", "macro", (Page("/", "Surrey", "Desks.", 1),))


# Headless Chromium calls itself a robot, and robots are not counted.
AGENT = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36"
# A page of kent as strict as pages get, with everything that waits for a choice. `order` shows what ran, and when.
STRICT = (
    "default-src 'self'; script-src 'self' 'nonce-n1'; base-uri 'none'; object-src 'none'; "
    "require-trusted-types-for 'script'; trusted-types consent-banner"
)
WAITING = """<!doctype html><html lang="en"><title>Waiting</title><main><h1 tabindex="-1">Waiting</h1>
<script type="text/plain" data-category="statistics" src="/waiting/first.js"></script>
<script type="text/plain" data-category="statistics" nonce="n1">order.push("inline after " + order.at(-1))</script>
<script type="text/plain" data-category="statistics" src="/waiting/missing.js"></script>
<script type="text/plain" data-category="statistics" data-src="/waiting/given.js"></script>
<script type="text/plain" data-category="statistics" data-type="module" src="/waiting/module.js"></script>
<script type="text/plain" data-category="embeds" src="/waiting/embeds.js"></script>
<iframe title="Our office" width="300" height="200" data-category="embeds" data-src="/waiting/map"></iframe>
</main>{{ consent_banner("kent") }}</html>"""


@dataclass(frozen=True)
class Stage:
    """A running installation: where its sites are, and what it is made of."""

    port: int
    service: Flask
    rooms: Rooms
    kent_app: Flask

    @property
    def kent(self) -> str:
        return f"http://kent.localhost:{self.port}"

    @property
    def surrey(self) -> str:
        return f"http://surrey.localhost:{self.port}"

    @property
    def defibrental(self) -> str:
        return f"http://defibrental.localhost:{self.port}"


@pytest.fixture(scope="module")
def stage(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """The demo's installation on a free port, with an empty ledger; its third site has an objectable purpose.

    A module's EDITS are pairs of what is replaced in sites.toml, and by what; its `add_pages` adds to both sites.
    """
    edits = getattr(request.module, "EDITS", ())
    add_pages = getattr(request.module, "add_pages", None)
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port = sock.getsockname()[1]
        service = create_app(_settings(tmp_path_factory.mktemp("stage") / "home", port, edits))
        rooms: Rooms = service.extensions[NAME]
        kent = site_app(KENT, rooms)
        _add_waiting_page(kent)
        foreign = site_app(DEFIBRENTAL, rooms)
        if add_pages:
            add_pages(kent, "kent", "")
            add_pages(foreign, "defibrental", rooms.settings.public_url)
        http = make_server(
            "127.0.0.1",
            port,
            by_host(
                service,
                proxied={KENT.host: kent, SURREY.host: site_app(SURREY, rooms)},
                foreign={DEFIBRENTAL.host: foreign},
                welcome=service,
            ),
            threaded=True,
            request_handler=Quiet,
            fd=sock.fileno(),
        )
        thread = Thread(target=http.serve_forever, daemon=True)
        thread.start()
        yield Stage(port, service, rooms, kent)
        http.shutdown()
        thread.join()
        http.server_close()
        rooms.spool.close()
        rooms.ledger.close()


def _add_waiting_page(site: Flask) -> None:
    @site.get("/waiting")
    def waiting() -> Response:
        return Response(render_template_string(WAITING), headers={"Content-Security-Policy": STRICT})

    @site.get("/waiting/<name>.js")
    def script(name: str) -> Response:
        if name == "missing":
            return Response(status=404)
        return Response(f"order.push({name!r})", mimetype="text/javascript")

    @site.get("/waiting/map")
    def map_page() -> str:
        return "<!doctype html><title>Map</title><p>A map.</p>"


def _settings(folder: Path, port: int, edits: Iterable[tuple[str, str]]) -> Settings:
    address = f"127.0.0.1:{port}"
    plain = Settings.from_environment({}, home=folder)
    home.create(plain)
    sites = plain.sites_file
    text = sites.read_text("utf-8").replace(".localhost:8000", f".localhost:{port}")
    for old, new in edits:
        assert old in text, old
        text = text.replace(old, new)
    sites.write_text(text, "utf-8")
    return Settings.from_environment(
        {}, home=folder, public_url=f"http://{address}", bind=address, mix_beacons=1, decisions_per_minute=1000,
        beacons_per_minute=10_000,
    )  # fmt: skip


def stranger(chromium: Browser, **more: Any) -> BrowserContext:
    """The browser of somebody who was never here."""
    context = chromium.new_context(locale="en-GB", timezone_id="Europe/London", user_agent=AGENT, **more)
    context.set_default_timeout(PATIENCE)
    context.add_init_script("document.addEventListener('consent:show', () => { window.asked = true })")
    return context


def until(page: Tab, expression: str) -> None:
    """Wait until a JavaScript expression holds (page.wait_for_function needs eval, which strict pages forbid)."""
    for _ in range(PATIENCE // LOOK):
        if page.evaluate(expression):
            return
        page.wait_for_timeout(LOOK)
    raise AssertionError(f"never came true: {expression}")


def asked(page: Tab) -> None:
    """Wait until the banner's script is in charge. It comes after the page's load event, and until then the banner is
    an ordinary form, which leads away from the page.
    """
    until(page, "!!window.asked")


@pytest.fixture
def visitor(chromium: Browser) -> Iterator[BrowserContext]:
    """A visitor who was never here."""
    with stranger(chromium) as context:
        yield context
