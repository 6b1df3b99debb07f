"""What the server says of the banner: fragment, macro, config, files, and the budgets its bytes keep."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.datastructures import Headers
from werkzeug.test import EnvironBuilder
from werkzeug.wrappers import Request

from consent_app import banner, bundle, languages
from consent_app.errors import SettingsError
from consent_app.rooms import NAME, Rooms
from consent_app.settings import Settings

KENT = "http://kent.localhost:8000"
DEFIBRENTAL = "http://defibrental.localhost:8000"
FIRST_VISIT = 5000
RETURNING = 2000


class Buttons(HTMLParser):
    """Every button of a page: its attributes and text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.all: list[tuple[dict[str, str | None], str]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "button":
            self.all.append((dict(attrs), ""))

    def handle_data(self, data: str) -> None:
        if self.all and not self.all[-1][1]:
            self.all[-1] = (self.all[-1][0], data.strip())


@pytest.fixture
def rooms(app: Flask) -> Rooms:
    return app.extensions[NAME]  # type: ignore[no-any-return]


def shown(rooms: Rooms, cookie: str = "", site: str = "kent", **headers: str) -> str:
    """What the macro puts into a page of that site."""
    sent = Headers({**headers, "Cookie": f"consent={cookie}"})
    builder = EnvironBuilder("/chairs", query_string="q=desk", headers=sent)
    return str(banner.macro(rooms, site, Request(builder.get_environ())))


def cookie(rooms: Rooms, day: str = "2026-11-24", notice: str = "", bits: str = "embeds.0+statistics.1") -> str:
    return f"{notice or rooms.sites.get('kent').notice.short}~{day}~{bits}~permit"


def test_both_answers_are_the_same_element_of_the_first_layer(client: FlaskClient) -> None:
    html = client.get("/v1/sites/kent/banner?lang=en").text.partition("<dialog")[0]
    assert Buttons(html).all[:2] == [
        ({"name": "choice", "value": "accept"}, "Accept all"),
        ({"name": "choice", "value": "reject"}, "Reject all"),
    ]


@pytest.mark.parametrize("site", ["kent", "surrey", "defibrental", "orders"])
@pytest.mark.parametrize("lang", languages.available())
def test_nothing_is_ticked_and_nothing_stands_in_a_line(client: FlaskClient, site: str, lang: str) -> None:
    html = client.get(f"/v1/sites/{site}/banner?lang={lang}").text
    assert f'lang="{lang}"' in html
    assert not re.search(r"\schecked|\sstyle=|<style|<script|\son[a-z]+=|\{", html)


def test_the_first_button_of_the_preferences_decides_nothing(client: FlaskClient) -> None:
    """Enter in a switch presses it."""
    dialog = client.get("/v1/sites/kent/preferences").text.partition("<dialog")[2]
    assert Buttons(dialog).all[0][0]["value"] == "close"


def test_each_look_is_a_style_sheet_of_its_own(home: Path, make_app: Any, settings: Settings) -> None:
    file = home / "sites.toml"
    file.write_text(file.read_text("utf-8").replace("[site.kent]", '[site.kent]\nlook = "corner"', 1), "utf-8")
    app = make_app(settings)
    rooms: Rooms = app.extensions[NAME]
    names = bundle.manifest()
    looks = {key: app.test_client().get(f"/v1/sites/{key}/config").get_json()["css"] for key in ("kent", "surrey")}
    assert looks == {key: f"/v1/sites/{key}/look.css" for key in ("kent", "surrey")}
    sheets = {key: app.test_client().get(address).data for key, address in looks.items()}
    assert sheets == {"kent": bundle.content(names["corner.css"]), "surrey": bundle.content(names["banner.css"])}
    assert f'href="/static/consent-banner/{names["corner.css"]}"' in shown(rooms)


def test_a_site_that_asks_nothing_shows_nothing(home: Path, make_app: Any, settings: Settings) -> None:
    file = home / "sites.toml"
    text = file.read_text("utf-8")
    begin, end = text.index("[site.orders.purpose.statistics]"), len(text)
    file.write_text(text[:begin] + text[end:], "utf-8")
    app = make_app(settings)
    html = shown(app.extensions[NAME], site="orders")
    assert "<form" not in html and html.startswith("<script")
    page = app.test_client().get("/cookies?site=orders", base_url="http://orders.localhost:8000")
    assert page.status_code == 200 and "ASPSESSIONID*" in page.text and "<form" not in page.text


def test_the_stub_is_told_what_each_purpose_stands_for(client: FlaskClient, rooms: Rooms) -> None:
    answer = client.get("/v1/sites/defibrental/mode.js", headers={"Origin": DEFIBRENTAL})
    first, _, rest = answer.text.partition("\n")
    told = json.loads(json.loads(first.removeprefix("document.currentScript.dataset.mode=").removesuffix(";")))
    assert told["google"]["personalization_storage"] == ["embeds"] and told["google"]["ad_storage"] == []
    assert told["wordpress"] == {"preferences": ["embeds"], "statistics-anonymous": ["statistics"]}
    assert rest.encode() == bundle.content(bundle.manifest()["mode.js"])
    assert answer.mimetype == "text/javascript" and answer.cache_control.max_age == 300
    tag = str(banner.mode_macro(rooms, "defibrental", Request(EnvironBuilder("/").get_environ())))
    assert tag.startswith(f'<script src="/static/consent-banner/{bundle.manifest()["mode.js"]}" data-mode="')


def test_an_objectable_purpose_is_told_as_what_it_is(client: FlaskClient) -> None:
    surrey, kent = (client.get(f"/v1/sites/{site}/banner?lang=en").text for site in ("surrey", "kent"))
    assert "Nobody else receives it" in surrey and "With your permission" not in surrey
    assert "With your permission" in kent and "Nobody else receives it" not in kent


def test_the_privacy_signal_is_answered_in_words(client: FlaskClient, rooms: Rooms) -> None:
    for html in (client.get("/v1/sites/kent/banner", headers={"Sec-GPC": "1"}).text, shown(rooms, **{"Sec-GPC": "1"})):
        assert "Global Privacy Control" in html
    assert "Global Privacy Control" not in shown(rooms)


@pytest.mark.parametrize("tags,lang", [("cy, en;q=0.5", "cy"), ("cy-GB", "cy"), ("tlh", "en"), ("", "en")])
def test_the_visitors_language_is_spoken(rooms: Rooms, tags: str, lang: str) -> None:
    assert f'<div id="consent-ui" lang="{lang}"' in shown(rooms, **{"Accept-Language": tags})


@pytest.mark.parametrize("lang", languages.available())
def test_every_language_says_everything(lang: str) -> None:
    english, other = languages.texts("en"), languages.texts(lang)
    assert english.keys() == other.keys()
    assert all(other.values())
    for name in english:
        assert set(re.findall(r"\{\w+\}", english[name])) == set(re.findall(r"\{\w+\}", other[name])), name


def test_the_macro_stops_asking_once_there_is_a_choice(rooms: Rooms) -> None:
    assert "<form" in shown(rooms)
    assert 'value="/chairs?q=desk"' in shown(rooms)
    for html in (shown(rooms), shown(rooms, cookie(rooms))):
        assert html.count('<script type="module"') == 1
    assert shown(rooms).startswith('<link rel="stylesheet"')  # the banner is drawn once its look is there
    assert "<form" not in shown(rooms, cookie(rooms))


@pytest.mark.parametrize(
    "change",
    [{"day": "2026-05-27"}, {"day": "x"}, {"notice": "0" * 8}, {"bits": "statistics.1"}, {"bits": "a.1+statistics.1"}],
)
def test_the_macro_asks_again_when_a_choice_no_longer_holds(rooms: Rooms, change: dict[str, str]) -> None:
    assert "<form" in shown(rooms, cookie(rooms, **change))
    assert "<form" not in shown(rooms, cookie(rooms, day="2026-05-29"))


def test_the_config_of_macro_and_address_is_one(client: FlaskClient, rooms: Rooms) -> None:
    told = client.get("/v1/sites/kent/config").get_json()
    attribute = re.search(r'data-consent="([^"]*)"', shown(rooms))
    assert attribute
    shipped = json.loads(unescape(attribute[1]))
    assert {**shipped, "css": "/v1/sites/kent/look.css"} == told
    assert told["purposes"] == {"statistics": False, "embeds": False}
    assert told["notice"] == rooms.sites.get("kent").notice.sha256
    assert (told["goals"], told["search"], "local" in told, "permit" in told) == (
        ["enquiry", "quote"],
        "q",
        False,
        False,
    )


def test_only_an_objectable_purpose_has_a_permit_without_a_choice(client: FlaskClient, rooms: Rooms) -> None:
    permit = rooms.seal.check_permit(client.get("/v1/sites/surrey/config").get_json()["permit"], "surrey")
    assert permit is not None
    assert permit.allows("statistics") and not permit.explicit
    assert permit.day == datetime(2026, 11, 24, tzinfo=UTC).date()
    assert "permit" not in client.get("/v1/sites/defibrental/config").get_json()


@pytest.mark.parametrize("path", ["/v1/sites/defibrental/banner", "/v1/sites/defibrental/config"])
def test_a_sites_answers_are_for_its_own_origins(client: FlaskClient, path: str) -> None:
    own = client.get(path, headers={"Origin": DEFIBRENTAL})
    assert own.headers["Access-Control-Allow-Origin"] == DEFIBRENTAL
    for stranger in (KENT, "https://stranger.example", "null"):
        answer = client.get(path, headers={"Origin": stranger})
        assert "Access-Control-Allow-Origin" not in answer.headers
        assert "Origin" in answer.vary
    assert own.cache_control.max_age == 300
    assert "Access-Control-Allow-Credentials" not in own.headers
    assert "Set-Cookie" not in own.headers


def test_an_unknown_site_or_file_is_told_so(client: FlaskClient) -> None:
    for path in ("/v1/sites/nobody/banner", "/v1/sites/nobody/config", "/static/consent-banner/../manifest.json",
                 "/static/consent-banner/gate.0000000000.js"):  # fmt: skip
        assert client.get(path).status_code == 404


def test_hashed_files_never_change_and_the_loader_may(client: FlaskClient) -> None:
    names = client.get("/static/consent-banner/manifest.json").get_json()
    for part in names.keys() - {"taskbar.js"}:
        answer = client.get(f"/static/consent-banner/{names[part]}", headers={"Origin": DEFIBRENTAL})
        assert answer.cache_control.immutable and answer.cache_control.max_age == 31_536_000
        assert answer.headers["Access-Control-Allow-Origin"] == DEFIBRENTAL
        assert hashlib.sha256(answer.data).hexdigest().startswith(names[part].split(".")[1])
    loader = client.get("/taskbar.js")
    assert loader.mimetype == "text/javascript"
    assert loader.cache_control.max_age == 300 and not loader.cache_control.immutable
    assert names["gate.js"] in loader.text
    assert loader.headers["Cross-Origin-Resource-Policy"] == "cross-origin"


def test_published_integrity_fits_the_files(client: FlaskClient) -> None:
    published = client.get("/static/consent-banner/integrity.json").get_json()
    assert len(published) == 11
    for name, integrity in published.items():
        digest = hashlib.sha384(client.get(f"/static/consent-banner/{name}").data).digest()
        assert integrity == "sha384-" + base64.b64encode(digest).decode()


@pytest.fixture
def copied_bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of the built files, which `bundle` takes for its own; changes are seen after `forget`."""
    copy = tmp_path / "dist"
    shutil.copytree(bundle.folder(), copy)
    monkeypatch.setattr(bundle, "PLACES", (copy, copy))
    forget()
    yield copy
    forget()


def forget() -> None:
    for cached in (bundle.folder, bundle.files, bundle.content, bundle.manifest, bundle.sha256):
        cached.cache_clear()


def test_the_bundle_hash_covers_names_and_contents(copied_bundle: Path) -> None:
    loader = copied_bundle / "taskbar.js"
    seen = [bundle.sha256()]
    loader.write_bytes(loader.read_bytes() + b" ")
    forget()
    seen.append(bundle.sha256())
    loader.rename(copied_bundle / "other.js")
    forget()
    seen.append(bundle.sha256())
    assert len(set(seen)) == 3


def test_missing_files_stop_the_start_and_say_what_to_do(copied_bundle: Path) -> None:
    (copied_bundle / "manifest.json").unlink()
    forget()
    with pytest.raises(SettingsError, match="make banner"):
        bundle.sha256()


def test_the_server_says_that_it_honours_the_privacy_signal(client: FlaskClient) -> None:
    assert client.get("/.well-known/gpc.json").get_json() == {"gpc": True, "lastUpdate": "2026-11-24"}


def brotli(content: bytes) -> int:
    """Bytes at brotli quality 11."""
    program = "process.stdout.write(`${require('zlib').brotliCompressSync(require('fs').readFileSync(0)).length}`)"
    answer = subprocess.run(["node", "-e", program], input=content, capture_output=True, check=True)
    return int(answer.stdout)


@pytest.mark.skipif(not shutil.which("node"), reason="needs Node's brotli")
def test_the_budgets_hold(client: FlaskClient, rooms: Rooms) -> None:
    names, recorded = bundle.manifest(), json.loads((bundle.folder() / "sizes.json").read_text("utf-8"))
    sizes = {name: brotli((bundle.folder() / name).read_bytes()) for name in names.values()}
    assert {name: size["brotli"] for name, size in recorded.items()} == sizes
    assert sizes[names["gate.js"]] <= RETURNING
    look = max(sizes[names[look]] for look in ("banner.css", "corner.css", "footer.css"))
    parts = sizes[names["gate.js"]] + sizes[names["ui.js"]] + look
    for site in rooms.sites:
        fetched = client.get(f"/v1/sites/{site.key}/banner?lang=en").data
        for html in (fetched, banner.fragment(site, "en", back="/furniture/chairs").encode()):
            assert parts + brotli(html) <= FIRST_VISIT


def test_addresses_avoid_what_ad_blockers_look_for(client: FlaskClient) -> None:
    addresses = " ".join(bundle.files()) + client.get("/v1/sites/kent/banner").text + client.get("/taskbar.js").text
    for word in (
        "/consent-banner-",
        "-consent-banner.",
        "/consent-manager",
        "/consent/message",
        "cookieconsent",
        "cmp.",
    ):
        assert word not in addresses
