"""What deploy/ holds: each proxy hands on our paths and no others, and the classic-ASP include runs."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen
from xml.etree import ElementTree as ET

import pytest
from flask import Flask
from flask.testing import FlaskClient

from consent_app import create_app
from consent_app import home as data_home
from consent_app.commands import snippets
from consent_app.demo.traffic import server
from consent_app.rooms import NAME, Rooms
from consent_app.settings import Settings
from consent_app.sites import Sites
from tests.asp import Interpreter

DEPLOY = Path(__file__).parents[2] / "deploy"
SERVICE = f"http://{snippets.ADDRESS}"
# What else a visitor's pages of ours may ask for, and what stays the site's own.
OURS = ("/your-data", "/your-data/erase", "/ledger/checkpoint", "/ledger/tile/0/000", "/v1/receipts/0")
THEIRS = ("/", "/v1", "/v2/x", "/consent/x", "/consents", "/cookies.html", "/cookies/", "/static/site.css", "/static/x",
          "/static/consent-banner", "/x/v1/consent", "/taskbar.jsx", "/taskbarxjs", "/Consent", "/.well-known/acme",
          "/dashboard/", "/dashboard/kent", "/api/v2/query", "/metrics", "/healthz", "/readyz", "/static/iconxsvg",
          "/static/dashboard.css", "/x/static/page.css")  # fmt: skip

Matches = Callable[[str], bool]


def nginx_hands_on(path: str) -> bool:
    """nginx: an exact location, else one that begins so."""
    text = (DEPLOY / "nginx" / "consent.conf").read_text("utf-8")
    found = re.findall(r"^location\s+(=|\^~)\s+(\S+)\s+\{ try_files /\.none @consent; \}$", text, re.MULTILINE)
    assert len(found) == text.count("try_files")
    return any(path == place if kind == "=" else path.startswith(place) for kind, place in found)


def caddy_hands_on(path: str) -> bool:
    """Caddy: a path, which may end in a star; letters of either case are the same to it."""
    text = (DEPLOY / "caddy" / "consent.caddy").read_text("utf-8")
    places = " ".join(re.findall(r"^\tpath (.+)$", text, re.MULTILINE)).split()
    return any(path.startswith(place[:-1]) if place.endswith("*") else path == place for place in places)


def iis_rules() -> list[ET.Element]:
    return ET.parse(DEPLOY / "iis" / "web.config").findall("system.webServer/rewrite/rules/rule")


def iis_target(path: str) -> str:
    """URL Rewrite: the first rule whose pattern is found in the path without its first slash says where it goes."""
    for rule in iis_rules():
        match, action = rule.find("match"), rule.find("action")
        assert match is not None and action is not None
        assert (match.get("ignoreCase"), rule.get("stopProcessing"), action.get("type")) == ("false", "true", "Rewrite")
        found = re.search(str(match.get("url")), path[1:])
        if found:
            return str(action.get("url")).replace("{R:0}", found[0])
    return ""


PROXIES: dict[str, Matches] = {
    "nginx": nginx_hands_on,
    "caddy": caddy_hands_on,
    "iis": lambda path: bool(iis_target(path)),
}


@pytest.fixture(params=PROXIES)
def hands_on(request: pytest.FixtureRequest) -> Matches:
    return PROXIES[str(request.param)]


def visitor_paths(app: Flask) -> list[str]:
    """An address for every rule that answers a visitor's browser."""
    houses = ("banner", "preference", "collect", "handover", "rights", "log")
    rules = [rule.rule for rule in app.url_map.iter_rules() if str(rule.endpoint).partition(".")[0] in houses]
    assert len(rules) > 8
    return sorted(re.sub(r"<[^>]+>", "x", rule) for rule in rules)


def test_every_address_for_visitors_is_handed_on(app: Flask, hands_on: Matches) -> None:
    assert [path for path in (*visitor_paths(app), *OURS) if not hands_on(path)] == []


def test_nothing_else_is_taken_from_the_site(hands_on: Matches) -> None:
    assert [path for path in THEIRS if hands_on(path)] == []


@pytest.mark.parametrize("page", ["/cookies?site=kent", "/your-data?site=kent"])
def test_what_those_pages_are_made_of_is_handed_on(client: FlaskClient, hands_on: Matches, page: str) -> None:
    html = client.get(page, headers={"Host": "kent.localhost:8000"}).text
    parts = re.findall(r'<(?:link|script|img)[^>]*(?:href|src)="(/[^"?]*)', html)
    assert parts
    assert [part for part in parts if not hands_on(part)] == []


def test_iis_hands_on_the_whole_path_and_says_who_asked_how() -> None:
    assert iis_target("/v1/sites/kent/config") == f"{SERVICE}/v1/sites/kent/config"
    assert iis_target("/cookies") == f"{SERVICE}/cookies"
    text = (DEPLOY / "iis" / "web.config").read_text("utf-8")
    for rule in iis_rules():
        told = {entry.get("name"): entry.get("value") for entry in rule.findall("serverVariables/set")}
        assert told == {"HTTP_X_FORWARDED_PROTO": "{consent-scheme:{HTTPS}}", "HTTP_X_FORWARDED_HOST": "{HTTP_HOST}"}
        assert all(f"allowedServerVariables /+[name='{name}']" in text for name in told)


def test_iis_is_not_asked_for_what_only_an_administrator_may_set() -> None:
    """A locked section in a site's web.config makes every page of it fail with 500.19."""
    names = {part.tag for part in ET.parse(DEPLOY / "iis" / "web.config").iter()}
    assert names & {"proxy", "allowedServerVariables", "httpLogging"} == set()


@pytest.mark.parametrize("way", ["nginx", "caddy", "iis", "asp"])
def test_a_printed_file_leads_to_this_installation(settings: Settings, way: str) -> None:
    there = replace(settings, bind="127.0.0.1:9001")
    printed = [step.paste for step in snippets.steps(Sites.load(there.sites_file).get("kent"), there, way) if step.file]
    assert len(printed) == 1 + (way == "asp")
    for text in printed:
        assert "127.0.0.1:9001" in text and snippets.ADDRESS not in text


def test_nginx_takes_the_file(tmp_path: Path) -> None:
    nginx = shutil.which("nginx") or "/usr/sbin/nginx"
    if not Path(nginx).exists():
        pytest.skip("no nginx here; `make test` installs Debian's")
    whole = tmp_path / "nginx.conf"
    inside = f"server {{ listen 127.0.0.1:1; include {DEPLOY / 'nginx' / 'consent.conf'}; }}"
    whole.write_text(f"pid {tmp_path}/pid; error_log stderr; events {{}} http {{ access_log off; {inside} }}", "utf-8")
    done = subprocess.run(
        [nginx, "-t", "-p", str(tmp_path), "-c", str(whole)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_caddy_takes_the_file(tmp_path: Path) -> None:
    if not shutil.which("caddy"):
        pytest.skip("no caddy here; Debian's package is called caddy")
    whole = tmp_path / "Caddyfile"
    whole.write_text(f"http://kent.example {{\n\timport {DEPLOY / 'caddy' / 'consent.caddy'}\n}}\n", "utf-8")
    command = ["caddy", "validate", "--config", str(whole), "--adapter", "caddyfile"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={"HOME": str(tmp_path)})
    assert done.returncode == 0, done.stderr


# --- classic ASP ------------------------------------------------------------------------------------------------------

ONLY_SCRIPT = '<script async src="/taskbar.js" data-site="{site}"></script>'


@dataclass(frozen=True)
class Portal:
    """A classic-ASP site with a page for kent and one for surrey, and the service it asks."""

    port: int
    rooms: Rooms

    def page(self, site: str, query: str = "", **headers: str) -> str:
        """The page's HTML as bytes would have it: anything beyond ASCII fails here."""
        request = Request(f"http://127.0.0.1:{self.port}/{site}.asp{query}", headers=headers)
        with urlopen(request, timeout=20) as answer:
            content: bytes = answer.read()
        return content.decode("ascii")

    def cookie(self, days_ago: int = 0, notice: str = "", bits: str = "embeds.0+statistics.1") -> dict[str, str]:
        day = (datetime.now(UTC) - timedelta(days=days_ago)).date()
        known = notice or self.rooms.sites.get("kent").notice.short
        return {"Cookie": f"a=b; consent={known}~{day}~{bits}~permit.text-1; z=consent"}


@pytest.fixture(scope="module")
def portal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Portal]:
    plain = Settings.from_environment({}, home=tmp_path_factory.mktemp("portal") / "home")
    data_home.create(plain)
    app = create_app(Settings.from_environment({}, home=plain.home))
    rooms: Rooms = app.extensions[NAME]
    with server(app) as service, Interpreter(tmp_path_factory.mktemp("asp"), f"http://127.0.0.1:{service}") as port:
        yield Portal(port, rooms)
    rooms.spool.close()
    rooms.statistics.close()
    rooms.ledger.close()


def allowed(html: str) -> str:
    (said,) = re.findall(r'<p id="allowed">(\w+)</p>', html)
    return str(said)


def test_an_asp_page_asks_whoever_has_not_chosen(portal: Portal) -> None:
    html = portal.page("kent", "?order=7&size=a4")
    assert '<form method="post" action="/consent">' in html
    assert '<input type="hidden" name="return" value="/kent.asp?order=7&amp;size=a4">' in html
    assert allowed(html) == "no"


@pytest.mark.parametrize("bits,said", [("embeds.0+statistics.1", "yes"), ("embeds.1+statistics.0", "no")])
def test_an_asp_page_knows_a_choice(portal: Portal, bits: str, said: str) -> None:
    html = portal.page("kent", **portal.cookie(bits=bits))
    assert allowed(html) == said
    assert ONLY_SCRIPT.format(site="kent") in html and "<form" not in html


@pytest.mark.parametrize(
    "change",
    [
        {"days_ago": 181},
        {"days_ago": -3},
        {"notice": "00000000"},
        {"bits": ""},
        {"bits": "statistics.1"},
        {"bits": "embeds.0+maps.1+statistics.1"},
    ],
)
def test_an_asp_page_asks_again_when_a_choice_no_longer_holds(portal: Portal, change: dict[str, Any]) -> None:
    html = portal.page("kent", **portal.cookie(**change))
    assert allowed(html) == "no" and "<form" in html
    assert "<form" not in portal.page("kent", **portal.cookie(days_ago=179))


def test_an_asp_page_follows_the_law_of_an_objectable_purpose(portal: Portal) -> None:
    assert allowed(portal.page("surrey")) == "yes"
    html = portal.page("surrey", **{"Sec-GPC": "1"})
    assert allowed(html) == "no" and "Global Privacy Control" in html
    assert allowed(portal.page("surrey")) == "yes"


@pytest.mark.parametrize("lang,word", [("cy", "Derbyn"), ("ar", "&#1602;&#1576;&#1608;&#1604;")])
def test_an_asp_page_speaks_the_visitors_language_in_any_code_page(portal: Portal, lang: str, word: str) -> None:
    html = portal.page("kent", **{"Accept-Language": lang})
    assert f'<div id="consent-ui" lang="{lang}"' in html and word in html


def test_an_asp_page_goes_on_without_the_service(tmp_path: Path, portal: Portal) -> None:
    with Interpreter(tmp_path, "http://127.0.0.1:1") as port:  # where nobody listens
        html = Portal(port, portal.rooms).page("kent")
    assert ONLY_SCRIPT.format(site="kent") in html and "</html>" in html
    assert allowed(html) == "no"


def test_an_answer_that_is_inserted_is_kept_by_no_cache(portal: Portal, client: FlaskClient) -> None:
    answer = client.get("/v1/sites/kent/insert?page=/x")
    assert answer.headers["Cache-Control"] == "no-store"
    assert 'name="return" value="/x"' in answer.text
    with pytest.raises(HTTPError):
        portal.page("nowhere")


def test_a_proxied_fragment_leads_to_its_own_host(client: FlaskClient) -> None:
    own = client.get("/v1/sites/kent/preferences", headers={"Host": "kent.localhost:8000"}).text
    other = client.get("/v1/sites/defibrental/preferences", headers={"Host": "consent.example"}).text
    assert 'href="/cookies?site=kent' in own
    assert 'href="http://127.0.0.1:8000/cookies?site=defibrental' in other
