"""The demo: built through the real endpoints, kept, rebuilt when broken off, stopped cleanly."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from time import sleep
from typing import Any
from urllib.request import Request, urlopen

import pytest
from click.testing import CliRunner

from anonymiser import spool
from anonymiser.hour_keys import HourKeys
from anonymiser.stats import Statistics
from anonymiser.unsealing import read
from consent_app.commands import main
from consent_app.demo import build
from consent_app.demo.hosts import by_host
from consent_app.demo.visitors import AGENTS
from consent_app.errors import SettingsError
from consent_app.ledger import ConsentRecord, Ledger
from consent_app.settings import Settings
from consent_app.sites import Sites
from consent_app.users import Users

SMALL = build.Scale(days=3, kent=16, defibrental=8)
CONSENT = Path(sys.executable).with_name("consent")
READY = "Ctrl-C stops everything"


def settings_of(folder: Path) -> Settings:
    return Settings.from_environment({}, home=folder, public_url="http://127.0.0.1:8000")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small demo; tests that change it take a copy."""
    folder = tmp_path_factory.mktemp("demo") / "demo-home"
    build.build(settings_of(folder), 8000, lambda done, days: None, SMALL)
    return folder


@pytest.fixture
def demo(built: Path, tmp_path: Path) -> Path:
    """A copy of the small demo."""
    return Path(shutil.copytree(built, tmp_path / "demo-home"))


def test_a_built_demo_is_whole(built: Path) -> None:
    assert build.is_ready(built)
    with Statistics(built / "stats.duckdb") as statistics:
        assert statistics.sites() == ["defibrental", "kent", "orders", "surrey"]
        newest = {site: statistics.newest_day(site) for site in statistics.sites()}
        assert len(set(newest.values())) == 1, "all four end on the same day"
    with Ledger(built / "ledger.db") as ledger:
        kinds = [entry.record.get("event", entry.kind) for entry in ledger.entries()]
    assert {"given", "refused", "removal"} <= set(kinds)
    assert Users.load(built / "users.json").verify(build.USER, build.PASSWORD) is not None


def test_a_built_demo_verifies(built: Path) -> None:
    result = CliRunner().invoke(main, ["verify"], env={"CONSENT_HOME": str(built)})
    assert result.exit_code == 0, result.output


def test_the_ledger_tells_the_six_weeks_in_order(built: Path) -> None:
    with Ledger(built / "ledger.db") as ledger:
        days = [entry.record["time"][:10] for entry in ledger.entries() if entry.kind == ConsentRecord.KIND]
    assert days == sorted(days)
    assert len(set(days)) == SMALL.days


def test_facts_are_gone_within_a_day(built: Path) -> None:
    with Ledger(built / "ledger.db") as ledger:
        removals = [entry.record for entry in ledger.entries() if entry.kind == "removal"]
    ages = [moment(r["time"]) - datetime.strptime(r["hour"], "%Y-%m-%dT%HZ").replace(tzinfo=UTC) for r in removals]
    assert removals
    assert max(ages).total_seconds() <= 24 * 3600
    assert spool.segments(built / "spool") == []


def moment(text: str) -> datetime:
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)


CANARIES = (b"192.0.2.", b"198.51.100.", b"2001:db8", b"203.0.113.", b"Mozilla/", b"AppleWebKit", b"someone")


def test_nothing_of_the_visitors_is_in_any_byte(built: Path) -> None:
    found = [
        (path.relative_to(built).as_posix(), canary)
        for path in built.rglob("*")
        if path.is_file()
        for canary in CANARIES
        if canary in path.read_bytes()
    ]
    assert found == []
    assert not (built / "sample-logs").exists(), "logs hold addresses, so the samples are removed"


def test_a_demo_that_was_broken_off_is_made_anew(demo: Path) -> None:
    (demo / build.STATE).write_text(build.BUILDING)
    (demo / "stats.duckdb").write_bytes(b"half a file")
    assert not build.is_ready(demo)
    build.build(settings_of(demo), 8000, lambda done, days: None, build.Scale(days=1, kent=3, defibrental=2))
    assert build.is_ready(demo)
    with Statistics(demo / "stats.duckdb") as statistics:
        assert "kent" in statistics.sites()


def test_a_folder_that_is_no_demo_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "ledger.db").write_text("years of decisions")
    with pytest.raises(SettingsError, match="not a demo's folder"):
        build.build(settings_of(tmp_path), 8000, lambda done, days: None, SMALL)
    result = CliRunner().invoke(
        main, ["demo", "--port", str(free_port()), "--reset"], env={"CONSENT_HOME": str(tmp_path)}
    )
    assert result.exit_code == 2
    assert (tmp_path / "ledger.db").read_text() == "years of decisions"


def test_another_port_changes_the_demo_origins_and_nothing_else(demo: Path) -> None:
    before = (demo / "sites.toml").read_text("utf-8")
    build.use_port(settings_of(demo), 9999)
    assert (demo / "sites.toml").read_text("utf-8") == before.replace(".localhost:8000", ".localhost:9999")
    assert Sites.load(demo / "sites.toml").by_origin("http://kent.localhost:9999") is not None


PLACES = {
    ("kent.localhost:8000", "/stationery"): "kent",
    ("kent.localhost:8000", "/v1/consent"): "service",
    ("kent.localhost:8000", "/cookies"): "service",
    ("KENT.localhost", "/"): "kent",
    ("defibrental.localhost:8000", "/v1/consent"): "defibrental",
    ("127.0.0.1:8000", "/v1/consent"): "service",
    ("127.0.0.1:8000", "/"): "welcome",
    ("elsewhere.example", "/dashboard/"): "service",
}


@pytest.mark.parametrize(("place", "expected"), PLACES.items())
def test_the_host_decides_who_answers(place: tuple[str, str], expected: str) -> None:
    def named(name: str) -> Any:
        return lambda environ, start_response: [name.encode()]

    app = by_host(
        named("service"),
        proxied={"kent.localhost": named("kent")},
        foreign={"defibrental.localhost": named("defibrental")},
        welcome=named("welcome"),
    )
    body: Iterable[bytes] = app({"HTTP_HOST": place[0], "PATH_INFO": place[1]}, lambda *_: lambda _: None)
    assert b"".join(body) == expected.encode()


# -- the running demo -------------------------------------------------------------------------------------------------


@contextmanager
def running(folder: Path, port: int) -> Iterator[subprocess.Popen[str]]:
    """`consent demo` in a process of its own, once it says that it is there."""
    command = [str(CONSENT), "demo", "--port", str(port), "--home", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


def read_until(process: subprocess.Popen[str], text: str) -> str:
    said = ""
    assert process.stdout is not None
    while text not in said:
        line = process.stdout.readline()
        assert line, said
        said += line
    return said


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
def test_the_demo_starts_answers_and_stops(demo: Path, number: signal.Signals) -> None:
    port = free_port()
    before = (demo / "ledger.db").stat().st_ino
    with running(demo, port) as process:
        said = read_until(process, READY)
        for text in (f"http://kent.localhost:{port}", f"http://defibrental.localhost:{port}", build.PASSWORD):
            assert text in said
        assert b"Kent Office" in ask(port, f"kent.localhost:{port}", "/stationery")
        assert b"/taskbar.js" in ask(port, f"defibrental.localhost:{port}", "/")
        assert b"dashboard" in ask(port, f"127.0.0.1:{port}", "/")
        process.send_signal(number)
        rest = process.communicate(timeout=300)[0]
    assert process.returncode == 0
    assert "Traceback" not in rest
    assert "Making the demo" not in said, "its data is kept"
    assert (demo / "ledger.db").stat().st_ino == before


def test_what_waits_to_be_mixed_is_on_disk_after_a_stop(demo: Path) -> None:
    port = free_port()
    with running(demo, port) as process:
        read_until(process, READY)
        notice = Sites.load(demo / "sites.toml").get("kent").notice.sha256
        given = json.loads(post(port, "/v1/consent", decision(notice)))
        post(port, "/v1/collect", beacon(given["permit"]))
        assert spool.segments(demo / "spool") == []
        process.terminate()
        process.wait(timeout=300)
    (segment,) = spool.segments(demo / "spool")
    assert segment.closed
    found = read(segment, HourKeys(demo / "private"))
    assert found.torn == 0
    assert "/contact" in {fact.key1 for fact in found.facts}


def test_a_batch_beside_the_running_demo_works(demo: Path) -> None:
    port = free_port()
    with running(demo, port) as process:
        read_until(process, READY)
        result = CliRunner().invoke(main, ["batch"], env={"CONSENT_HOME": str(demo)})
        assert result.exit_code == 0, result.output
        process.terminate()
        assert process.wait(timeout=300) == 0


def test_a_taken_port_is_one_clear_line(demo: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, running(demo, taken.getsockname()[1]) as process:
        said = process.communicate(timeout=300)[0]
    assert process.returncode == 2
    assert "cannot be used" in said
    assert said.count("\n") == 1


def test_a_stop_while_building_is_clean_and_leaves_no_demo(tmp_path: Path) -> None:
    folder = tmp_path / "demo-home"
    with running(folder, free_port()) as process:
        read_until(process, "Making the demo")
        while not (folder / build.STATE).exists():
            sleep(0.05)
        process.terminate()
        said = process.communicate(timeout=300)[0]
    assert process.returncode == 0
    assert "Traceback" not in said
    assert not build.is_ready(folder)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


def ask(port: int, host: str, path: str) -> bytes:
    with urlopen(Request(f"http://127.0.0.1:{port}{path}", headers={"Host": host}), timeout=30) as answer:
        return bytes(answer.read())


def post(port: int, path: str, content: dict[str, Any]) -> bytes:
    kind = "application/json" if path == "/v1/consent" else "text/plain"
    host = f"kent.localhost:{port}"
    headers = {"Host": host, "Origin": f"http://{host}", "Content-Type": kind, "User-Agent": AGENTS[0]}
    request = Request(f"http://127.0.0.1:{port}{path}", json.dumps(content).encode(), headers)
    with urlopen(request, timeout=30) as answer:
        assert answer.status in (201, 202), dict(answer.headers)
        return bytes(answer.read())


def decision(notice: str) -> dict[str, Any]:
    decisions = {"statistics": True, "embeds": False}
    return {"site": "kent", "notice": notice, "decisions": decisions, "method": "preferences", "lang": "en"}


def beacon(permit: str) -> dict[str, Any]:
    today = datetime.now(UTC).date().isoformat()
    return {
        "schema": 1, "site": "kent", "permit": permit, "nonce": os.urandom(8).hex(), "day": today, "kind": "pageview",
        "path": "/contact", "n": 1, "p": 1, "v": 1, "k": 1, "gap": "first", "screen": "large", "lang": "en",
        "zone": "Europe/London",
    }  # fmt: skip
