"""`consent scan`, the real command with its own browser, over the demo's sites and one that does as it likes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from flask import Flask, Response, request
from werkzeug.serving import make_server

from consent_app.demo.traffic import Quiet
from tests.browser.conftest import Stage

pytestmark = pytest.mark.browser

# A site that sets cookies by HTTP and by script, asks another host, reads a canvas, and has a banner of nobody's.
GREEDY = """<!doctype html><html lang="en"><title>Greedy</title><h1>Greedy</h1>
<a href="/more">More</a> <a href="/logout">Log out</a> <a href="/more#top">Again</a>
<aside><button id="no">Only necessary</button><button id="yes">Accept cookies</button></aside>
<script src="/greedy.js"></script>"""
SCRIPT = """
document.cookie = "_track=1; max-age=8640000; path=/";
sessionStorage.tab = 1;
indexedDB.open("profile");
document.createElement("canvas").toDataURL();
new Image().src = "http://other.localhost:" + location.port + "/pixel.png";
yes.onclick = () => { localStorage.answer = "yes"; document.cookie = "_ads=1; path=/"; };
no.onclick = () => { localStorage.answer = "no"; };
if (navigator.globalPrivacyControl) document.cookie = "signalled=1; path=/";
"""


@dataclass(frozen=True, slots=True)
class Scan:
    """What one run of the command said and wrote."""

    code: int
    told: str
    warned: str
    folder: Path

    @property
    def report(self) -> dict[str, Any]:
        return dict(json.loads((self.folder / "report.json").read_text("utf-8")))

    def visit(self, name: str) -> dict[str, Any]:
        return next(visit for visit in self.report["visits"] if visit["visit"] == name)

    def names(self, visit: str) -> set[str]:
        return {stored["name"] for stored in self.visit(visit)["stored"]}


def scan(folder: Path, address: str, home: Path, *more: str) -> Scan:
    """Run it as a person would, without a sandbox as tests run as root."""
    command = [
        str(Path(sys.executable).with_name("consent")),
        "scan",
        address,
        "--out",
        str(folder),
        "--no-sandbox",
        *more,
    ]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env={"PATH": "/usr/bin:/bin", "CONSENT_HOME": str(home)},
    )
    return Scan(done.returncode, done.stdout, done.stderr, folder)


@pytest.fixture(scope="module")
def greedy() -> Iterator[str]:
    """The address of the greedy site, which another host beside it serves too."""
    app = Flask(__name__)

    @app.get("/")
    @app.get("/more")
    def page() -> Response:
        answer = Response(GREEDY, headers={"X-Signal": request.headers.get("Sec-GPC", "")})
        answer.set_cookie("session", "1", httponly=True, samesite="Lax")
        return answer

    @app.get("/logout")
    def leave() -> str:
        raise AssertionError("a scan must not log out")

    @app.get("/greedy.js")
    def script() -> Response:
        return Response(SCRIPT, mimetype="text/javascript")

    @app.get("/pixel.png")
    def pixel() -> Response:
        return Response(status=204)

    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=Quiet)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://greedy.localhost:{server.server_port}/"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def greed(greedy: str, tmp_path_factory: pytest.TempPathFactory) -> Scan:
    folder = tmp_path_factory.mktemp("greed")
    return scan(folder / "report", greedy, folder / "no-home", "--settle", "0.5", "--pages", "5")


def test_a_site_that_declares_nothing_is_told_everything(greed: Scan) -> None:
    assert greed.code == 1, greed.warned
    assert greed.names("before") == {"session", "_track", "tab", "profile"}
    cookies = {c["name"]: c for c in greed.visit("before")["stored"] if c["kind"] == "cookie"}
    assert cookies["_track"]["days"] == 100 and cookies["_track"]["by"][0].endswith("/greedy.js")
    assert cookies["session"]["days"] is None and "HttpOnly" in cookies["session"]["flags"]
    assert "cookie _track is not declared; seen before a choice" in greed.told


def test_who_is_asked_and_what_tells_browsers_apart(greed: Scan) -> None:
    before = greed.visit("before")
    assert before["hosts"].keys() == {"greedy.localhost", "other.localhost"}
    assert [(probe["interface"], probe["calls"]) for probe in before["probes"]] == [("canvas", 2)]  # two pages


def test_links_are_followed_but_none_that_does_something(greed: Scan) -> None:
    assert [page.rpartition("/")[2] for page in greed.visit("before")["pages"]] == ["", "more"]


def test_a_banner_of_nobodys_is_answered_by_its_words(greed: Scan) -> None:
    assert greed.visit("refused")["answered"] == "the button “Only necessary”"
    assert greed.visit("accepted")["answered"] == "the button “Accept cookies”"
    assert "_ads" in greed.names("accepted") and "_ads" not in greed.names("refused")
    assert "answer" in greed.names("refused")


def test_the_signal_is_sent_and_seen_by_scripts(greed: Scan) -> None:
    assert "signalled" in greed.names("signal") and "signalled" not in greed.names("before")


def test_what_is_missing_is_proposed(greed: Scan) -> None:
    proposal = greed.report["proposal"]
    assert '[[site.SITE.purpose.PURPOSE.cookies]]\nname = "_track"\ndays = 100' in proposal
    assert 'name = "profile"\nkind = "indexedDB"' in proposal
    page = (greed.folder / "report.html").read_text("utf-8")
    assert "_track" in page and "<script" not in page
    assert {file.name for file in greed.folder.glob("*.png")} == {
        "before.png",
        "refused.png",
        "signal.png",
        "accepted.png",
    }


def test_no_value_is_written_down(greed: Scan) -> None:
    assert "value" not in json.dumps(greed.report["visits"])


@pytest.mark.parametrize("site", ["surrey", "defibrental"])
def test_our_own_sites_do_what_they_declare(stage: Stage, site: str, tmp_path: Path) -> None:
    done = scan(tmp_path / "report", getattr(stage, site), stage.rooms.settings.home, "--settle", "1", "--pages", "2")
    assert (done.code, done.told) == (0, ""), done.warned
    assert done.visit("refused")["answered"] == "its own call, ConsentBanner.rejectAll()"
    assert "consent-banner" in done.names("accepted") and "consent-banner" not in done.names("refused")


def test_a_cookie_that_is_not_declared_any_more_is_a_difference(stage: Stage, tmp_path: Path) -> None:
    """The same site, whose declaration lost its counters: the check is not one that always passes."""
    home = tmp_path / "home"
    home.mkdir()
    text = stage.rooms.settings.sites_file.read_text("utf-8").replace('name = "consent-banner"', 'name = "another"')
    (home / "sites.toml").write_text(text, "utf-8")
    (home / "notices").symlink_to(stage.rooms.settings.sites_file.parent / "notices")
    done = scan(tmp_path / "report", stage.kent, home, "--settle", "1", "--pages", "1")
    assert done.code == 1
    assert done.told == "database consent-banner is not declared; seen after acceptance\n"
    assert "another" in done.report["declared_but_not_seen"]


@pytest.mark.parametrize(
    ("address", "more", "said"),
    [
        ("kent.example", (), "is no address of a page; it begins with https:// or http://"),
        ("http://127.0.0.1:9/", (), "does not answer"),
        ("http://127.0.0.1:9/", ("--browser", "no-such-browser"), "there is no no-such-browser here"),
        ("http://127.0.0.1:9/", ("--autoconsent", __file__), "is not the autoconsent.standalone.js that is known here"),
    ],
)
def test_what_cannot_be_scanned_is_said_in_one_line(
    tmp_path: Path, address: str, more: tuple[str, ...], said: str
) -> None:
    done = scan(tmp_path / "report", address, tmp_path / "no-home", *more)
    assert done.code == 2
    assert said in done.warned and "Traceback" not in done.warned


def test_a_button_that_cannot_be_pressed_is_said_in_one_line(tmp_path: Path) -> None:
    """A page that covers its own banner: the click runs out of time."""
    app = Flask(__name__)
    cover = "<p style='position:fixed;inset:0'>Covered</p>"
    app.add_url_rule("/", view_func=lambda: f"<!doctype html><title>Covered</title><button>Reject all</button>{cover}")
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=Quiet)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    done = scan(tmp_path / "report", f"http://127.0.0.1:{server.server_port}/", tmp_path, "--settle", "0.5")
    server.shutdown()
    thread.join()
    server.server_close()
    assert done.code == 2
    assert "the browser stopped the scan: " in done.warned and "Traceback" not in done.warned


@pytest.mark.skipif(os.geteuid() != 0, reason="only root is refused")
def test_root_is_told_how_to_start_the_browser(tmp_path: Path) -> None:
    command = [str(Path(sys.executable).with_name("consent")), "scan", "http://127.0.0.1:9/", "--out", str(tmp_path)]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
        env={"PATH": "/usr/bin:/bin", "CONSENT_HOME": str(tmp_path)},
    )
    assert (done.returncode, done.stderr.count("\n")) == (2, 1) and "--no-sandbox" in done.stderr


def test_others_banners_are_answered_by_autoconsent(root: Path, tmp_path: Path, greedy: str) -> None:
    file = root / "static/consent-banner/node_modules/@duckduckgo/autoconsent/dist/autoconsent.standalone.js"
    if not file.exists():
        pytest.skip("autoconsent is not installed; `make banner` does it (needs Node)")
    done = scan(tmp_path / "report", greedy, tmp_path, "--autoconsent", str(file), "--settle", "0.5", "--pages", "1")
    assert done.visit("refused")["answered"] and done.visit("accepted")["answered"], done.warned
