"""Canaries: identifiers of every kind go into logs of every format, and no byte that is written holds one.

The command runs as a process of its own, with its temporary folder inside the place that is searched.
"""

from __future__ import annotations

import os
import subprocess
import sys
from base64 import b64encode
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

import duckdb
import pytest

MAIL = "mary.canary@canaries.example"
CANARIES = {
    "mail address": MAIL,
    "half of a mail address": "mary.canary",
    "telephone": "07700900461",
    "postcode": "TN4 8QZ",
    "card": "4539578763621486",
    "token": "d41d8cd98f00b204e9800998ecf8427e",
    "account": "canary-account",
    "address": "203.0.113.77",
    "address of the sixth version": "2001:db8:77::ca9a",
    "version of a browser": "143.0.77012",
    "user name": "canary.user",
    "cookie": "canarycookie77",
    "text of a broken line": "canary-broken",
}
AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:143.0) Gecko/20100101 Firefox/143.0.77012"
TARGETS = (
    f"/search?q={quote(MAIL)}",
    f"/reset/{MAIL}",
    f"/reset/{quote(quote(MAIL, safe=''), safe='')}",
    f"/mail/{b64encode(MAIL.encode()).decode()}",
    "/call/07700900461",
    "/call/07700%20900%20461",
    "/find/TN4%208QZ",
    "/pay/4539578763621486",
    "/session/d41d8cd98f00b204e9800998ecf8427e",
    "/user/canary-account/orders",
    f"/?utm_source={quote(MAIL)}&utm_campaign={quote(MAIL)}",
    f"/files/{MAIL}.pdf",
    f"/gone/{MAIL}",
)
VIEWS = TARGETS * 300
REFERRERS = ("-", f"https://203.0.113.77/{MAIL}", f"https://mary.canary@webmail.example/?u={MAIL}")


def address(number: int) -> str:
    """Of many browsers, some have the addresses that are searched for."""
    return {0: "203.0.113.77", 1: "2001:db8:77::ca9a"}.get(number % 20, f"198.51.100.{number % 251}")


def combined() -> Iterator[str]:
    for number, target in enumerate(VIEWS):
        status = 404 if target.startswith("/gone") else 200
        stamp = f"17/May/2026:10:{number % 60:02}:00 +0000"
        referrer = REFERRERS[number % 3]
        yield f'{address(number)} - canary.user [{stamp}] "GET {target} HTTP/1.1" {status} 5 "{referrer}" "{AGENT}"\n'
    yield '203.0.113.77 - - [17/May/2026:10:00:00 +0000] "GET /canary-broken\n'


def w3c() -> Iterator[str]:
    yield (
        "#Fields: date time cs-method cs-uri-stem cs-uri-query cs-username c-ip cs(User-Agent) cs(Cookie) cs(Referer) "
        "sc-status\r\n"
    )
    for number, target in enumerate(VIEWS):
        stem, _, query = target.partition("?")
        agent = AGENT.replace(" ", "+")
        yield (
            f"2026-05-17 10:{number % 60:02}:00 GET {stem} {query or '-'} canary.user {address(number)} {agent} "
            f"id=canarycookie77 {REFERRERS[number % 3]} 200\r\n"
        )
    yield "2026-05-17 canary-broken\r\n"


def native() -> Iterator[str]:
    for number, target in enumerate(VIEWS):
        stem, _, query = target.partition("?")
        yield (
            f"{address(number)}, canary.user, 05/17/26, 10:{number % 60:02}:00, W3SVC1, SRV, 192.0.2.1, 15, 300, 5, "
            f"200, 0, GET, {stem}, {query or '-'},\r\n"
        )


def written(home: Path) -> Iterator[tuple[Path, bytes]]:
    for path in sorted(home.rglob("*")):
        if path.is_file():
            yield path, path.read_bytes()


def published(stats: Path) -> str:
    """Every text of the published file, uncompressed."""
    with closing(duckdb.connect(str(stats), read_only=True)) as connection:
        rows = connection.execute("FROM cell").fetchall() + connection.execute("FROM release").fetchall()
    return "\n".join(str(row) for row in rows)


FORMATS = {"combined": combined, "iis": w3c, "iis-native": native}


@pytest.mark.parametrize("policy", ["dp", "threshold"])
@pytest.mark.parametrize("name", FORMATS)
def test_no_byte_of_an_identifier_is_written(tmp_path: Path, name: str, policy: str) -> None:
    log, home = tmp_path / "input.log", tmp_path / "home"
    (home / "tmp").mkdir(parents=True)
    log.write_text("".join(FORMATS[name]()), newline="")
    command = [
        *(sys.executable, "-m", "anonymiser", "logs", str(log), "--site", "demo", "--out", str(home / "stats.duckdb")),
        *("--policy", policy, "--k", "2", "--epsilon", "20"),
    ]
    result = subprocess.run(
        command, cwd=home, env=os.environ | {"TMPDIR": str(home / "tmp")}, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    (home / "said").write_text(result.stdout + result.stderr)
    texts = [(path, content.lower()) for path, content in written(home)]
    texts.append((home / "stats.duckdb", published(home / "stats.duckdb").lower().encode()))
    assert any(b"/search" in content for _, content in texts), "nothing was counted, so nothing was tried"
    found = [
        f"{kind} in {path.name}"
        for kind, canary in CANARIES.items()
        for path, content in texts
        if canary.lower().encode() in content
    ]
    assert found == []


def test_the_search_finds_a_canary_that_is_there(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "file").write_bytes(b"\x00xx" + MAIL.encode() + b"\xff")
    assert [path.name for path, content in written(tmp_path) if MAIL.encode() in content] == ["file"]
