"""The other formats, packed files and standard input: the same views in any clothes give the same counts."""

from __future__ import annotations

import bz2
import gzip
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote

import pyarrow as pa
import pytest

from anonymiser import weblogs
from anonymiser.engines import LogCounts
from anonymiser.engines.duckdb import DuckDBEngine
from anonymiser.errors import InputError
from anonymiser.settings import SiteRules

RULES = SiteRules("demo", own_hosts=frozenset({"kent.example"}))
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:143.0) Gecko/20100101 Firefox/143.0"
CHROME = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36"
)


@dataclass(frozen=True)
class View:
    at: datetime
    ip: str
    method: str
    target: str
    status: int
    referrer: str
    agent: str

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    @property
    def query(self) -> str:
        return self.target.partition("?")[2]


def views(referrers: bool = True) -> list[View]:
    """Two days of views, assets, robots, errors and a download; nothing that only one format could say."""
    targets = (
        "/",
        "/desks?utm_source=letter&utm_medium=email",
        "/chairs/",
        "/site.css",
        "/list.pdf",
        "/gone",
        "/caf%C3%A9",
    )
    agents = (FIREFOX, CHROME, "curl/8.5.0")
    found = []
    for number in range(400):
        target = targets[number * 7 % len(targets)]
        found.append(
            View(
                datetime(2026, 5, 17, 8, tzinfo=UTC) + timedelta(minutes=4 * number),
                f"192.0.2.{number % 17}" if number % 5 else "2001:db8::7",
                "POST" if number % 29 == 3 else "GET",
                target,
                404 if target == "/gone" else 301 if number % 31 == 5 else 200,
                "https://www.google.com/" if referrers and number % 3 == 0 else "-",
                agents[number % 3],
            )
        )
    return found


def combined(view: View) -> str:
    stamp = view.at.strftime("%d/%b/%Y:%H:%M:%S +0000")
    asked = f'"{view.method} {view.target} HTTP/1.1" {view.status} 5'
    return f'{view.ip} - - [{stamp}] {asked} "{view.referrer}" "{view.agent}"'


def caddy(view: View) -> str:
    headers = {"User-Agent": [view.agent]} | ({"Referer": [view.referrer]} if view.referrer != "-" else {})
    request = {
        "remote_ip": view.ip,
        "method": view.method,
        "host": "kent.example",
        "uri": view.target,
        "headers": headers,
    }
    return json.dumps({"level": "info", "ts": view.at.timestamp() + 0.25, "request": request, "status": view.status})


def traefik(view: View) -> str:
    return json.dumps(
        {"ClientHost": view.ip, "RequestMethod": view.method, "RequestPath": view.target,
         "DownstreamStatus": view.status, "StartUTC": view.at.strftime("%Y-%m-%dT%H:%M:%S.123456789Z"),
         "request_User-Agent": view.agent,
         "request_Referer": view.referrer, "time": "2001-01-01T00:00:00Z"}
    )  # fmt: skip


def nginx(view: View) -> str:
    return json.dumps(
        {"time_iso8601": (view.at + timedelta(0)).isoformat(), "remote_addr": view.ip,
         "request": f"{view.method} {view.target} HTTP/1.1", "status": str(view.status), "http_referer": view.referrer,
         "http_user_agent": view.agent}
    )  # fmt: skip


def apache(view: View) -> str:
    return json.dumps(
        {"time": view.at.strftime("%d/%b/%Y:%H:%M:%S +0000"), "remoteIP": view.ip, "request": view.path,
         "query": f"?{view.query}" if view.query else "", "method": view.method, "status": str(view.status),
         "userAgent": view.agent, "referer": view.referrer}
    )  # fmt: skip


def old_caddy(view: View) -> str:
    return caddy(view).replace(f'"remote_ip": "{view.ip}"', f'"remote_addr": "{view.ip}:41342"')


def local_time(view: View) -> str:
    """A clock an hour ahead, its offset without a colon, the whole in brackets."""
    said = (view.at + timedelta(hours=1)).strftime("[%Y-%m-%dT%H:%M:%S+0100]")
    return json.dumps(json.loads(apache(view)) | {"time": said})


def cloudfront(view: View) -> str:
    columns = (
        *(
            f"{view.at:%Y-%m-%d}",
            f"{view.at:%H:%M:%S}",
            "LHR61-P1",
            "512",
            view.ip,
            view.method,
            "d1.example",
            view.path,
        ),
        *(str(view.status), view.referrer, quote(view.agent, safe="/();,.:_-"), view.query or "-", "-", "Hit"),
    )
    return "\t".join(columns)


CLOUDFRONT = (
    "#Version: 1.0\n#Fields: date time x-edge-location sc-bytes c-ip cs-method cs(Host) cs-uri-stem sc-status "
    "cs(Referer) cs(User-Agent) cs-uri-query cs(Cookie) x-edge-result-type\n"
)


def classic_balancer(view: View) -> str:
    return (
        f"{view.at:%Y-%m-%dT%H:%M:%S}.945958Z my-balancer {view.ip}:2817 10.0.0.1:80 0.000073 0.001048 0.000057 "
        f'{view.status} 200 0 29 "{view.method} http://kent.example:80{view.target} HTTP/1.1" "{view.agent}" - -'
    )


def application_balancer(view: View) -> str:
    return (
        f"https {view.at:%Y-%m-%dT%H:%M:%S}.186641Z app/my/50dc6c495c0c9188 {view.ip}:2817 10.0.0.1:80 "
        f'0.000 0.001 0.000 {view.status} - 34 366 "{view.method} https://kent.example:443{view.target} HTTP/2.0" '
        f'"{view.agent}" ECDHE-RSA TLSv1.2 arn:x "Root=1-58337281" "kent.example" "-" 0 - "forward" "-" "-"'
    )


@dataclass(frozen=True)
class Case:
    format: str
    line: Callable[[View], str]
    header: str = ""
    referrers: bool = True


CASES = {
    "caddy": Case("json", caddy),
    "traefik": Case("json", traefik),
    "nginx": Case("json", nginx),
    "apache": Case("json", apache),
    "old caddy": Case("json", old_caddy),
    "local time": Case("json", local_time),
    "cloudfront": Case("cloudfront", cloudfront, CLOUDFRONT),
    "classic balancer": Case("elb", classic_balancer, referrers=False),
    "application balancer": Case("elb", application_balancer, referrers=False),
}


def count(path: Path, format_name: str = "auto") -> LogCounts:
    return DuckDBEngine().count_logs([path], RULES, format=format_name)


def reference(folder: Path, referrers: bool = True) -> LogCounts:
    path = folder / "reference.log"
    path.write_text("".join(combined(view) + "\n" for view in views(referrers)))
    return count(path)


@pytest.mark.parametrize("name", CASES)
def test_a_format_counts_what_the_combined_format_counts(tmp_path: Path, name: str) -> None:
    case = CASES[name]
    path = tmp_path / "a.log"
    path.write_text(case.header + "".join(case.line(view) + "\n" for view in views(case.referrers)))
    assert weblogs.detect(path) == case.format
    found, expected = count(path), reference(tmp_path, case.referrers)
    assert expected.counted > 100
    assert found.counts == expected.counts
    assert found.counted == expected.counted
    directives = case.header.count("\n")
    assert found.read == expected.read + directives
    assert {name: n for name, n in found.dropped.items() if name != "directive"} == expected.dropped


JUNK = [
    "",
    "{",
    '{"status": 200}',
    "null",
    "[1]",
    "\x01\x02",
    '{"a": "\\ud800"}',
    "x" * 70_000,
    '"quoted',
    "#Date: never",
]


@pytest.mark.parametrize("name", CASES)
def test_junk_among_the_lines_is_counted_and_stops_nothing(tmp_path: Path, name: str) -> None:
    case = CASES[name]
    path = tmp_path / "a.log"
    good = views(case.referrers)[:50]
    lines = [text for view, junk in zip(good, JUNK * 5, strict=True) for text in (case.line(view), junk)]
    path.write_text(case.header + "\n".join(lines) + "\n")
    found = count(path, case.format)
    assert found.read == case.header.count("\n") + len(lines)
    assert found.read == found.counted + sum(found.dropped.values()) + found.rejected_total
    assert found.rejected_total >= 5 * 6
    assert found.counted > 10


def packed_zstd(data: bytes) -> bytes:
    return bytes(pa.compress(data, codec="zstd", asbytes=True))


PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "log": bytes,
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "zst": packed_zstd,
    "two gz in one": lambda data: gzip.compress(data[:5000]) + gzip.compress(data[5000:]),
}


def text() -> bytes:
    return "".join(combined(view) + "\n" for view in views()).encode()


@pytest.mark.parametrize("name", PACKERS)
def test_packed_files_are_read_by_their_content(tmp_path: Path, name: str) -> None:
    path = tmp_path / "access"
    path.write_bytes(PACKERS[name](text()))
    assert count(path) == reference(tmp_path)


@pytest.mark.parametrize("name", ["gz", "bz2", "zst"])
def test_a_cut_archive_is_refused_by_name(tmp_path: Path, name: str) -> None:
    path = tmp_path / f"access.{name}"
    path.write_bytes(PACKERS[name](text() * 20)[:-30])
    with pytest.raises(InputError, match=rf"access\.{name}: cannot be unpacked"):
        count(path)


@pytest.mark.parametrize("name", ["log", "gz", "bz2", "zst"])
def test_standard_input(tmp_path: Path, name: str) -> None:
    command = [
        sys.executable,
        "-m",
        "anonymiser",
        "logs",
        "-",
        "--site",
        "demo",
        "--out",
        str(tmp_path / "s"),
        "--json",
    ]
    environment = os.environ | {"PYTHONPATH": str(Path.cwd())}
    result = subprocess.run(
        command, input=PACKERS[name](text() * 30), capture_output=True, check=False, cwd=tmp_path, env=environment
    )
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["read"] == 400 * 30
