"""Identifiers of every kind go in through the web house; not a byte of its home may hold one of them."""

from __future__ import annotations

import base64
import json
import logging
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from flask import Flask

from anonymiser.hour_keys import HourKeys
from anonymiser.segments import PUBLIC_KEYS
from anonymiser.spool import segments
from anonymiser.unsealing import read
from consent_app import create_app
from consent_app.home import make_hour_keys
from consent_app.receipts import Seal
from consent_app.rooms import NAME, Rooms
from consent_app.settings import Settings
from consent_app.sites import Sites

STARTER = Path(__file__).parents[2] / "consent_app" / "starter"
NOW = datetime(2026, 11, 24, 12, 15, tzinfo=UTC)
KENT = "http://kent.localhost:8000"
ADDRESS = "203.0.113.97"
ADDRESS6 = "2001:db8:c0ff:ee::97"
MARK = "Quizzlew"
AGENT = f"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0.{4711}"
EMAIL = "canary.person@mailbox-canary.org"
CARD = "4111111111111111"
TOKEN = "eyJjYW5hcnkiOiJ0b2tlbiJ9c2VjcmV0Y2FuYXJ5"
CANARIES = (ADDRESS, ADDRESS6, "140.0.4711", EMAIL, "mailbox-canary", CARD, TOKEN, MARK)
FIRST = {"n": 1, "p": 1, "v": 1, "k": 1, "gap": "first", "lang": "en-GB", "zone": "Europe/London"}
PATHS = (
    f"/account/{EMAIL}/orders",
    f"/x?mail={quote(EMAIL)}",
    f"/x/{quote(quote(EMAIL))}",
    f"/reset/{TOKEN}",
    f"/pay/{CARD}",
)


@pytest.fixture
def app(tmp_path: Path) -> Iterator[Flask]:
    home = tmp_path / "home"
    shutil.copytree(STARTER, home)
    keys = ("signing-" * 5,), ("session-" * 5,)
    settings = Settings(home=home, signing_keys=keys[0], session_keys=keys[1], clock=lambda: NOW)
    make_hour_keys(settings, NOW)
    app = create_app(settings)
    yield app
    app.extensions[NAME].ledger.close()


def beacon(here: Rooms, number: int, **changes: Any) -> bytes:
    site = here.sites.get("kent")
    whole = {purpose.key: True for purpose in site.optional}
    permit = here.seal.permit("kent", site.notice.sha256, whole, NOW.date())
    return json.dumps(document(number, permit=permit, day="2026-11-24", **changes)).encode()


def document(number: int, **changes: Any) -> dict[str, Any]:
    start = {"schema": 1, "site": "kent", "nonce": f"{number:016x}", "kind": "pageview", "path": "/furniture"}
    return start | FIRST | changes


def visits() -> Iterator[dict[str, Any]]:
    for path in PATHS:
        yield {"path": path}
        yield {"n": 2, "k": 2, "p": 2, "prev": path}
        yield {"path": path, "entry": path}
        yield {"kind": "goal", "key": "enquiry", "g": 1, "entry": path}
        yield {"kind": "not_found", "path": path, "g": 1}
        yield {"kind": "download", "key": path, "g": 1}
    for text in (EMAIL, quote(EMAIL), CARD, TOKEN, base64.b64encode(EMAIL.encode()).decode()):
        yield {"referrer": f"https://partner.example/{text}"[:128]}
        yield {"utm_source": text}
        yield {"utm_source": text, "entry": "/"}
        yield {"kind": "goal", "key": "enquiry", "g": 1, "entry": "/", "utm_source": text, "utm_medium": text}
        yield {"kind": "goal", "key": text, "g": 1, "entry": "/", "referrer": f"https://{text}.example/"[:128]}
        yield {"utm_medium": text}
        yield {"utm_campaign": text}
        yield {"kind": "search", "key": text, "g": 1}
        yield {"kind": "goal", "key": text, "g": 1}
        yield {"kind": "outbound", "key": f"https://{text}@elsewhere.example/{text}"[:500], "g": 1}


def decide(app: Flask, here: Rooms, address: str) -> None:
    site = here.sites.get("kent")
    headers = {"User-Agent": AGENT, "Origin": KENT, "Referer": f"{KENT}/{EMAIL}", "X-Forwarded-For": address}
    client = app.test_client()
    document = {
        "site": "kent",
        "notice": site.notice.sha256,
        "decisions": {purpose.key: True for purpose in site.optional},
        "method": "api",
        "lang": f"en-{MARK}",
    }
    wrong = document | {MARK: EMAIL}
    for sent in (document, wrong):
        client.post("/v1/consent", json=sent, base_url=KENT, headers=headers, environ_base={"REMOTE_ADDR": address})
    fields = {"site": "kent", "notice": site.notice.sha256, "choice": "reject", "return": f"/{EMAIL}"}
    form = client.post("/consent", data=fields, base_url=KENT, headers=headers, environ_base={"REMOTE_ADDR": address})
    assert form.status_code == 303


def test_no_identifier_reaches_the_disk_or_the_log(app: Flask, caplog: pytest.LogCaptureFixture) -> None:
    here: Rooms = app.extensions[NAME]
    client = app.test_client()
    headers = {"User-Agent": AGENT, "Origin": KENT, "Referer": f"{KENT}/{EMAIL}"}
    statuses = []
    with caplog.at_level(logging.DEBUG):
        for number, changes in enumerate(visits()):
            client.environ_base["REMOTE_ADDR"] = ADDRESS if number % 2 else ADDRESS6
            answer = client.post(
                "/v1/collect",
                data=beacon(here, number, **changes),
                content_type="text/plain",
                base_url=KENT,
                headers=headers,
            )
            statuses.append(answer.status_code)
        for address in (ADDRESS, ADDRESS6):
            decide(app, here, address)
        here.spool.close()
    assert statuses.count(202) > 40
    keys = HourKeys(here.settings.private)
    facts = [fact for segment in segments(here.settings.spool) for fact in read(segment, keys).facts]
    assert len(facts) > 200
    assert [record.name for record in caplog.records if any(canary in record.getMessage() for canary in CANARIES)] == []
    assert leaks(here.settings.home) == []
    assert leaks_in(str(facts).encode()) == []


def leaks(home: Path) -> list[str]:
    files = [file for file in home.rglob("*") if file.is_file()]
    assert any(file.suffix == ".db" for file in files)
    return [f"{file.name}: {canary}" for file in files for canary in leaks_in(file.read_bytes())]


def leaks_in(content: bytes) -> list[str]:
    return [canary for canary in CANARIES for spelling in spellings(canary) if spelling.lower() in content.lower()]


def spellings(canary: str) -> Iterator[bytes]:
    yield canary.encode()
    yield quote(canary, safe="").encode()
    yield base64.b64encode(canary.encode()).rstrip(b"=")[:-1]


def test_the_search_would_find_them(app: Flask) -> None:
    here: Rooms = app.extensions[NAME]
    (here.settings.home / "leak.txt").write_bytes(f"x{quote(EMAIL)}y".encode())
    assert any(EMAIL in found for found in leaks(here.settings.home))
    here.spool.close()


# -- every byte of every disk they may write to, by the real commands -------------------------------------------------

PROGRAM = "import sys; from consent_app.commands import main; main(sys.argv[1:])"
FACTS = (b"/furniture", b"Firefox", b"Europe", b"page", b"visitors")
Consent = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def consent(tmp_path: Path) -> Iterator[Consent]:
    """The `consent` command; what it says, its temporary files and what a crash leaves all lie under one folder."""
    (tmp_path / "tmp").mkdir()
    environment = {**os.environ, "CONSENT_HOME": str(tmp_path / "home"), "TMPDIR": str(tmp_path / "tmp")}
    environment |= {"HOME": str(tmp_path), "CONSENT_TRUSTED_PROXIES": "1", "CONSENT_MIX_BEACONS": "8"}
    environment["PYTHONPATH"] = str(Path(__file__).parents[2])
    begun: list[subprocess.Popen[bytes]] = []

    def start(*arguments: str) -> subprocess.Popen[bytes]:
        with (tmp_path / "said.log").open("ab") as log:
            command = [sys.executable, "-c", PROGRAM, *arguments]
            begun.append(subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=log, stderr=log))
        return begun[-1]

    yield start
    for process in begun:
        process.kill()
        process.wait()


def post(port: int, body: bytes, address: str) -> int:
    headers = {"Host": "kent.localhost:8000", "Origin": KENT, "User-Agent": AGENT, "Content-Type": "text/plain"}
    headers |= {"X-Forwarded-For": address, "Referer": f"{KENT}/{EMAIL}", "Cookie": f"other={TOKEN}"}
    connection = HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("POST", "/v1/collect", body, headers)
        return connection.getresponse().status
    finally:
        connection.close()


def wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    while True:
        assert process.poll() is None
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=60):
            return
        time.sleep(0.05)


def found_on(around: Path) -> list[str]:
    """Canaries in what files hold and in what they are called, and facts that lie readable before they are counted."""
    files = [file for file in around.rglob("*") if file.is_file()]
    found = [f"{file}: {canary}" for file in files for canary in leaks_in(str(file).encode() + file.read_bytes())]
    waiting = [file for file in files if {"spool", "private", "tmp"} & {*file.relative_to(around).parts}]
    return found + [f"{file}: {word!r}" for file in waiting for word in FACTS if word in file.read_bytes()]


def test_no_identifier_on_disk_while_the_real_server_runs_stops_and_is_counted(
    tmp_path: Path, consent: Consent
) -> None:
    home = tmp_path / "home"
    assert consent("init").wait(300) == 0
    settings = Settings.from_environment({}, home=home)
    seal, site = Seal(settings.signing_keys, settings.clock), Sites.load(settings.sites_file).get("kent")
    today = datetime.now(site.zone).date()
    whole = {purpose.key: True for purpose in site.optional}
    fixed = {"permit": seal.permit("kent", site.notice.sha256, whole, today), "day": today.isoformat()}
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    server = consent("serve", "--bind", f"127.0.0.1:{port}")
    wait_for(port, server)
    bodies = [json.dumps(document(number, **fixed, **changes)).encode() for number, changes in enumerate(visits())]
    answers = [post(port, body, (ADDRESS, ADDRESS6)[number % 2]) for number, body in enumerate(bodies)]
    assert answers.count(202) > 40
    assert sum(segment.path.stat().st_size for segment in segments(settings.spool)) > 5000
    assert found_on(tmp_path) == []
    server.terminate()
    assert server.wait(300) == 0
    keys = HourKeys(settings.private)
    assert sum(len(read(segment, keys).facts) for segment in segments(settings.spool)) > 200
    assert found_on(tmp_path) == []
    later = datetime.now(UTC) + timedelta(hours=1)
    assert consent("batch", "--now", later.isoformat()).wait(300) == 0
    assert [file.name for file in settings.spool.iterdir()] == [PUBLIC_KEYS]
    assert (settings.private / "holding" / "kent.counts").stat().st_size > 1000
    assert found_on(tmp_path) == []
