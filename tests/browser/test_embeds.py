"""Each way to embed the banner, set up as `consent site snippet` prints it and used in real Chromium."""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.request import Request, urlopen

import pytest
from flask import Flask, Response, render_template_string, request
from playwright.sync_api import Browser, BrowserContext, Page, expect
from playwright.sync_api import Response as Answer
from werkzeug.serving import make_server

from consent_app import create_app, home
from consent_app.commands import snippets
from consent_app.commands.snippets import Step
from consent_app.demo.traffic import Quiet
from consent_app.rooms import NAME, Rooms
from consent_app.settings import Settings
from tests.asp import Interpreter
from tests.browser.conftest import LOOK, PATIENCE, asked, stranger, until

NGINX = shutil.which("nginx") or "/usr/sbin/nginx"
PARTNER = """<!doctype html><html lang="en"><meta charset="utf-8"><title>A partner</title>
<h1>A partner</h1><p>Nothing here but a page.</p>
{paste}
</html>"""
VIOLATIONS = "document.addEventListener('securitypolicyviolation', (e) => (window.broken ??= []).push(e.blockedURI))"
STRICT = "default-src 'none'; base-uri 'none'; require-trusted-types-for 'script'; trusted-types 'none'; "


@dataclass(frozen=True)
class Way:
    """A partner's page: where it is, and which site it belongs to."""

    url: str
    site: str
    same_host: bool


@contextmanager
def server(app: Flask, port: int = 0) -> Iterator[int]:
    """A real HTTP server for `app`, which answers several requests at once."""
    http = make_server("127.0.0.1", port, app, threaded=True, request_handler=Quiet)
    thread = Thread(target=http.serve_forever, daemon=True)
    thread.start()
    try:
        yield http.server_port
    finally:
        http.shutdown()
        thread.join()
        http.server_close()


def html_of(steps: list[Step]) -> str:
    """A page with everything the steps say belongs into a page."""
    return PARTNER.format(
        paste="\n".join(step.paste for step in steps if step.paste.startswith(("<script", "<a", "<b")))
    )


def policy_of(steps: list[Step]) -> str:
    return STRICT + next(step.paste for step in steps if step.paste.startswith("script-src"))


class Installation:
    """The service behind one trusted proxy, with a port for every front it is reached by."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder = folder
        self.stack = stack
        # Held until each is needed, or another server of these tests might be given one of them.
        names = ("nginx", "caddy", "asp", "jinja", "echo", "script", "subdomain")
        self.held = {name: stack.enter_context(socket.create_server(("127.0.0.1", 0))) for name in names}
        self.ports = {name: int(held.getsockname()[1]) for name, held in self.held.items()}
        plain = Settings.from_environment({}, home=folder / "home")
        home.create(plain)
        plain.sites_file.write_text(self._own_origins(plain.sites_file.read_text("utf-8")), "utf-8")
        more: dict[str, Any] = {"trusted_proxies": 1, "mix_beacons": 1}
        app = create_app(Settings.from_environment({}, home=plain.home, **more))
        self.rooms: Rooms = app.extensions[NAME]
        for part in (self.rooms.spool, self.rooms.statistics, self.rooms.ledger):
            stack.callback(part.close)
        port = stack.enter_context(server(app))
        self.service = f"http://127.0.0.1:{port}"
        self.settings = Settings.from_environment(
            {}, home=plain.home, public_url=self.service, bind=f"127.0.0.1:{port}", **more
        )

    def _own_origins(self, text: str) -> str:
        def origins(found: re.Match[str]) -> str:
            return ", ".join(f'"http://{found[1]}.localhost:{port}"' for port in self.ports.values())

        return re.sub(r'"http://(\w+)\.localhost:8000"', origins, text)

    def steps(self, site: str, way: str) -> list[Step]:
        return snippets.steps(self.rooms.sites.get(site), self.settings, way)

    def file(self, way: str, name: str) -> Path:
        """The file that a snippet prints, saved."""
        (paste,) = [step.paste for step in self.steps("kent", way) if step.file == name]
        saved = self.folder / name.replace("/", "-")
        saved.write_text(paste, "utf-8")
        return saved

    def serve(self, app: Flask) -> str:
        """An application of a partner's, on a port of its own."""
        return f"http://127.0.0.1:{self.stack.enter_context(server(app))}"

    def free(self, *names: str) -> None:
        """Let somebody listen at these ports."""
        for name in names:
            self.held[name].close()

    def run(self, command: list[str], port: int, **environment: str) -> None:
        """A program that serves on that port until the tests end."""
        process = subprocess.Popen(command, cwd=self.folder, env=environment, stderr=subprocess.PIPE, text=True)

        def stop() -> None:
            process.kill()
            process.communicate()

        self.stack.callback(stop)
        for _ in range(1200):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    return
            try:
                process.wait(0.05)
            except subprocess.TimeoutExpired:
                continue
            break
        raise AssertionError(process.communicate(timeout=5)[1])


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    with ExitStack() as stack:
        yield Installation(tmp_path_factory.mktemp("embeds"), stack)


def partner_app(html: str, headers: dict[str, str]) -> Flask:
    app = Flask("partner")

    @app.get("/")
    @app.get("/prices")
    def page() -> Response:
        return Response(html, mimetype="text/html", headers=headers)

    return app


def echo_app() -> Flask:
    """Says which headers reached it."""
    app = Flask("echo")

    @app.get("/v1/echo")
    def echo() -> dict[str, str]:
        return {name.lower(): value for name, value in request.headers.items()}

    return app


def jinja_app(installation: Installation) -> Flask:
    """A partner's Flask application, made by what the snippet says."""
    code, call = [step.paste for step in installation.steps("kent", "jinja")][:2]
    app = Flask("partner")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CONSENT_HOME", str(installation.settings.home))
        patch.setenv("CONSENT_TRUSTED_PROXIES", "1")
        names: dict[str, Any] = {"app": app, "request": request}
        exec(code, names)
    for part in (names["rooms"].spool, names["rooms"].statistics, names["rooms"].ledger):
        installation.stack.callback(part.close)
    steps = installation.steps("kent", "jinja")[2:]

    @app.get("/")
    @app.get("/prices")
    def page() -> Response:
        html = render_template_string(html_of(steps).replace("</html>", f"{call}</html>"))
        return Response(html, headers={"Content-Security-Policy": policy_of(steps)})

    return app


@pytest.fixture(scope="module")
def nginx(installation: Installation) -> Installation:
    """Debian's nginx in front of a folder of files, a classic-ASP portal, a Flask application and an echo."""
    if not Path(NGINX).exists():
        pytest.skip("no nginx here; `make test` installs Debian's")
    ours, ports = installation, installation.ports
    steps, saved = ours.steps("kent", "nginx"), ours.file("nginx", "nginx/consent.conf")
    pages = ours.folder / "pages"
    pages.mkdir()
    for name in ("index.html", "prices"):
        (pages / name).write_text(html_of(steps), "utf-8")
    echo = ours.folder / "echo.conf"
    echo.write_text(saved.read_text("utf-8").replace(ours.service, ours.serve(echo_app())), "utf-8")
    asp = ours.stack.enter_context(Interpreter(_made(ours.folder / "asp"), ours.service))
    # A site as people have it: its own rule for scripts and styles must not win over ours.
    files = (
        f"root {pages}; default_type text/html; location ~* \\.(js|css)$ {{ return 410; }} "
        f'location / {{ add_header Content-Security-Policy "{policy_of(steps)}"; }}'
    )
    inside = "\n".join(
        f"server {{ listen 127.0.0.1:{ports[name]}; include {include}; {site} }}"
        for name, include, site in (
            ("nginx", saved, files),
            ("asp", saved, f"location / {{ proxy_pass http://127.0.0.1:{asp}; proxy_hide_header Set-Cookie; }}"),
            ("jinja", saved, f"location / {{ proxy_pass {ours.serve(jinja_app(ours))}; }}"),
            ("echo", echo, ""),
        )
    )
    places = "".join(
        f"{kind}_temp_path {ours.folder}; " for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    whole = ours.folder / "nginx.conf"
    whole.write_text(
        f"daemon off; master_process off; pid {ours.folder}/nginx.pid; error_log stderr; events {{}}\n"
        f"http {{ access_log {ours.folder}/access.log; {places}\n{inside}\n}}",
        "utf-8",
    )
    ours.free("nginx", "asp", "jinja", "echo")
    ours.run([NGINX, "-p", str(ours.folder), "-c", str(whole)], ports["nginx"])
    return ours


@pytest.fixture(scope="module")
def caddy(installation: Installation) -> Installation:
    """Caddy in front of a folder of files."""
    found = shutil.which("caddy")
    if not found:
        pytest.skip("no caddy here; Debian's package is called caddy")
    ours, port = installation, installation.ports["caddy"]
    steps, saved = ours.steps("kent", "caddy"), ours.file("caddy", "caddy/consent.caddy")
    pages = _made(ours.folder / "caddy-pages")
    for name in ("index.html", "prices.html"):
        (pages / name).write_text(html_of(steps), "utf-8")
    whole = ours.folder / "Caddyfile"
    whole.write_text(
        f"{{\n\tadmin off\n\tauto_https off\n}}\nhttp://kent.localhost:{port} {{\n\tbind 127.0.0.1\n\timport {saved}\n"
        f'\t@page path / /prices\n\theader @page Content-Security-Policy "{policy_of(steps)}"\n'
        f"\troot * {pages}\n\thandle {{\n\t\ttry_files {{path}} {{path}}.html\n\t\tfile_server\n\t}}\n}}\n",
        "utf-8",
    )
    command = [found, "run", "--config", str(whole), "--adapter", "caddyfile"]
    ours.free("caddy")
    ours.run(command, port, HOME=str(ours.folder))
    return ours


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def proxied(installation: Installation, name: str) -> Way:
    page = "kent.asp" if name == "asp" else ""
    return Way(f"http://kent.localhost:{installation.ports[name]}/{page}", "kent", True)


@contextmanager
def foreign(installation: Installation, name: str) -> Iterator[Way]:
    """A page on a domain of its own, which loads the tag from the service's host, or from one below its own domain."""
    steps = installation.steps("defibrental", name)
    below = "http://consent.defibrental.localhost:" + installation.service.rpartition(":")[2]
    steps = [Step(step.about, step.paste.replace("https://consent.defibrental.example", below)) for step in steps]
    headers = {"Content-Security-Policy": policy_of(steps)}
    installation.free(name)
    with ExitStack() as stack:
        site = partner_app(html_of(steps), headers)
        port = stack.enter_context(server(site, installation.ports[name]))
        yield Way(f"http://defibrental.localhost:{port}/", "defibrental", False)


@pytest.fixture(params=["nginx", "caddy", "asp", "jinja", "script", "subdomain"])
def way(request: pytest.FixtureRequest, installation: Installation) -> Iterator[Way]:
    name = str(request.param)
    if name in ("script", "subdomain"):
        with foreign(installation, name) as found:
            yield found
    else:
        request.getfixturevalue("caddy" if name == "caddy" else "nginx")
        yield proxied(installation, name)


class Views:
    """The answers that page views got."""

    def __init__(self, context: BrowserContext) -> None:
        self.answers: list[int] = []
        context.on("response", self._note)

    def _note(self, got: Answer) -> None:
        if got.url.endswith("/v1/collect") and '"pageview"' in (got.request.post_data or ""):
            self.answers.append(got.status)

    def wait(self, page: Page, number: int) -> None:
        for _ in range(PATIENCE // LOOK):
            if len(self.answers) >= number:
                break
            page.wait_for_timeout(LOOK)
        assert self.answers == [202] * number


KEPT = """() => ({
  cookie: document.cookie, local: Object.keys(localStorage), session: Object.keys(sessionStorage),
})"""


def bar(page: Page) -> Any:
    return page.get_by_role("region", name="Your choice about cookies")


def press(page: Page, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).first.click()


def test_a_visitor_chooses_is_counted_and_thinks_again(visitor: BrowserContext, way: Way) -> None:
    views, faults = Views(visitor), list[str]()
    visitor.add_init_script(VIOLATIONS)
    page = visitor.new_page()
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.goto(way.url)
    asked(page)
    expect(bar(page)).to_be_visible()
    assert page.evaluate(KEPT) == {"cookie": "", "local": [], "session": []} and visitor.cookies() == []
    press(page, "Accept all")
    expect(bar(page)).to_be_hidden()
    views.wait(page, 1)
    _check_kept(visitor, page, way)
    page.reload()
    views.wait(page, 2)
    expect(bar(page)).to_be_hidden()
    page.locator("[data-consent-open]").click()
    page.get_by_role("dialog").get_by_role("button", name="Reject all").click()
    expect(page.get_by_role("dialog")).to_be_hidden()
    page.reload()
    until(page, "!!window.ConsentBanner")
    page.wait_for_timeout(300)
    views.wait(page, 2)
    assert page.evaluate("ConsentBanner.acceptedCategory('statistics')") is False
    assert (faults, page.evaluate("window.broken")) == ([], None)


def _check_kept(visitor: BrowserContext, page: Page, way: Way) -> None:
    """Everything that is kept belongs to the page's own host."""
    host = way.url.split("/")[2].partition(":")[0]
    cookies = {(cookie["name"], cookie["path"]): cookie for cookie in visitor.cookies()}
    assert {cookie["domain"] for cookie in cookies.values()} <= {host}
    kept = page.evaluate(KEPT)
    if way.same_host:
        proofs = [path for name, path in cookies if name == "__Secure-consent_proof"]
        assert ("consent", "/") in cookies and set(proofs) == {"/v1/consent", "/consent"}
        assert "statistics.1" in kept["cookie"] and kept["local"] == []
    else:
        assert cookies == {} and kept["local"] == ["consent"]
        assert json.loads(page.evaluate("localStorage.consent"))["token"]


@pytest.mark.parametrize("name", ["jinja", "asp"])
def test_without_javascript_a_rendered_banner_decides(chromium: Browser, nginx: Installation, name: str) -> None:
    there = proxied(nginx, name)
    with stranger(chromium, java_script_enabled=False) as context:
        page = context.new_page()
        page.goto(there.url + "?from=letter")
        press(page, "Accept all")
        assert page.url == there.url + "?from=letter"
        expect(bar(page)).to_have_count(0)
        assert "statistics.1" in next(cookie["value"] for cookie in context.cookies() if cookie["name"] == "consent")


def test_without_javascript_the_page_of_cookies_decides(chromium: Browser, nginx: Installation) -> None:
    there = proxied(nginx, "nginx")
    with stranger(chromium, java_script_enabled=False) as context:
        page = context.new_page()
        page.goto(there.url)
        page.get_by_role("link", name="Cookie settings").click()
        page.wait_for_load_state()
        assert page.url == there.url + "cookies?site=kent"
        assert page.evaluate("getComputedStyle(document.body).margin") != "8px"  # its style sheets came through
        press(page, "Accept all")
        assert "statistics.1" in next(cookie["value"] for cookie in context.cookies() if cookie["name"] == "consent")


def test_the_links_of_a_fetched_banner_stay_on_the_host(visitor: BrowserContext, nginx: Installation) -> None:
    page = visitor.new_page()
    page.goto(proxied(nginx, "nginx").url)
    asked(page)
    press(page, "Choose")
    link = page.get_by_role("dialog").get_by_role("link")
    assert link.evaluate("link => link.href").startswith(proxied(nginx, "nginx").url + "cookies?site=kent")


def told(url: str, **headers: str) -> dict[str, str]:
    with urlopen(Request(url, headers=headers), timeout=20) as answer:
        document: dict[str, str] = json.loads(answer.read())
    return document


def test_nobody_claims_another_address_or_host(nginx: Installation) -> None:
    forged = {"X-Forwarded-For": "192.0.2.9", "X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "https"}
    got = told(f"http://127.0.0.1:{nginx.ports['echo']}/v1/echo", **forged)
    assert (got["x-forwarded-for"], got["x-forwarded-proto"]) == ("127.0.0.1", "http")
    assert got["host"] == got["x-forwarded-host"] == f"127.0.0.1:{nginx.ports['echo']}"


def test_no_choice_and_no_page_view_is_logged(nginx: Installation) -> None:
    there = proxied(nginx, "nginx").url
    for path in ("", "v1/sites/kent/config", "cookies?site=kent"):
        with urlopen(there.replace("kent.localhost", "127.0.0.1") + path, timeout=20) as answer:
            answer.read()
    log = (nginx.folder / "access.log").read_text("utf-8")
    assert "GET / " in log and "/v1/" not in log and "/cookies" not in log


def test_files_come_compressed(nginx: Installation) -> None:
    there = proxied(nginx, "nginx").url.replace("kent.localhost", "127.0.0.1")
    name = re.findall(r'"(gate\.\w+\.js)"', urlopen(there + "static/consent-banner/manifest.json").read().decode())[0]
    with urlopen(Request(f"{there}static/consent-banner/{name}", headers={"Accept-Encoding": "gzip"})) as answer:
        assert answer.headers["Content-Encoding"] == "gzip"
        assert "Accept-Encoding" in answer.headers["Vary"]
