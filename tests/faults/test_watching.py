"""What an operator sees: metrics that a scraper can read, readiness that means it, logs with nothing of a visitor."""

from __future__ import annotations

import json
import logging
import re
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from anonymiser.facts import Fact
from consent_app import batch
from consent_app.logs import Line
from consent_app.rooms import NAME, Rooms
from consent_app.settings import Settings
from tests.faults.servers import AGENT, Served, made
from tests.web.conftest import Clock
from tests.web.ledger_records import given

# -- /metrics ---------------------------------------------------------------------------------------------------------

LABEL = r'[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\["\\n])*"'
SAMPLE = re.compile(
    rf"([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{{({LABEL}(?:,{LABEL})*)?\}})? (-?[0-9.]+(?:e[+-]?[0-9]+)?|NaN|[+-]Inf)"
)
ENDS = {"histogram": ("_bucket", "_sum", "_count"), "counter": ("",), "gauge": ("",)}


def parsed(text: str) -> dict[str, dict[str, float]]:
    """Prometheus' text format 0.0.4, strictly: each family announced once and whole, each sample of the one before."""
    assert text.endswith("\n")
    families: dict[str, dict[str, float]] = {}
    name = kind = ""
    for line in text.splitlines():
        if line.startswith("# HELP "):
            name = line.split(" ", 3)[2]
            assert name not in families, f"{name} is announced twice"
            families[name] = {}
        elif line.startswith("# TYPE "):
            assert line.split(" ")[2] == name, line
            kind = line.split(" ")[3]
        else:
            found = SAMPLE.fullmatch(line)
            assert found, line
            assert found[1].removeprefix(name) in ENDS[kind], line
            labelled = line.rpartition(" ")[0]
            assert labelled not in families[name], line
            families[name][labelled] = float(found[3])
    return families


def test_the_grammar_refuses_what_is_no_exposition() -> None:
    good = '# HELP a b\n# TYPE a counter\na{x="1"} 1\n'
    assert parsed(good) == {"a": {'a{x="1"}': 1.0}}
    for bad in (
        good + 'a{x="1"} 2\n',
        good + "b 1\n",
        good + good,
        good.replace('"1"', "1"),
        good.replace(" 1\n", "\n"),
    ):
        with pytest.raises(AssertionError):
            parsed(bad)


def test_metrics_are_what_a_scraper_reads_and_histograms_add_up(client: FlaskClient, clock: Clock) -> None:
    for body in (b"{}", b"x"):
        client.post("/v1/collect", data=body, content_type="text/plain")
    client.get("/cookies?site=kent")
    answer = client.get("/metrics")
    assert answer.content_type == "text/plain; version=0.0.4; charset=utf-8"
    families = parsed(answer.text)
    assert families["consent_ready"] == {f'consent_ready{{check="{name}"}}': 1.0
                                         for name in ("ledger", "spool", "statistics", "batch")}  # fmt: skip
    seconds = families["consent_answer_seconds"]
    buckets = [
        count for line, count in seconds.items() if line.startswith('consent_answer_seconds_bucket{door="collect"')
    ]
    assert buckets == sorted(buckets) and buckets[-1] == 2 == seconds['consent_answer_seconds_count{door="collect"}']
    assert 0 < seconds['consent_answer_seconds_sum{door="collect"}'] < 60
    assert seconds['consent_answer_seconds_count{door="preference"}'] == 1
    assert families["consent_disk_free_bytes"]["consent_disk_free_bytes"] > 0
    assert "consent_batch_age_seconds" not in families, "it has never run"


def test_metrics_follow_what_waits(app: Flask, client: FlaskClient, settings: Settings, clock: Clock) -> None:
    def now(name: str) -> float:
        return parsed(client.get("/metrics").text)[name][name]

    here: Rooms = app.extensions[NAME]
    assert now("consent_spool_waiting_facts") == now("consent_spool_bytes") == 0
    here.spool.add([Fact("kent", "2026-11-24", "views", "", "", 1)] * 3)
    assert now("consent_spool_waiting_facts") == 3
    here.spool.flush()
    assert (now("consent_spool_waiting_facts"), now("consent_spool_segments")) == (0, 1)
    assert now("consent_spool_bytes") > 100
    here.ledger._background.wake = lambda: None  # type: ignore[method-assign]
    here.ledger.sequence()
    for number in range(3):
        here.ledger.append(given(number))
    assert now("consent_ledger_unsigned_entries") == 3
    here.ledger.sequence()
    assert now("consent_ledger_unsigned_entries") == now("consent_ledger_unsigned_seconds") == 0
    here.spool.close()
    clock.forward(hours=1)
    batch.run(settings, here.sites, here.ledger, clock())
    clock.forward(minutes=30)
    assert now("consent_batch_age_seconds") == 1800


# -- /readyz ----------------------------------------------------------------------------------------------------------


def ready(client: FlaskClient) -> tuple[int, dict[str, bool], dict[str, str]]:
    answer = client.get("/readyz")
    found = answer.get_json()
    return answer.status_code, found["checks"], found.get("faults", {})


def test_a_late_batch_is_not_ready_and_says_so(
    app: Flask, client: FlaskClient, settings: Settings, clock: Clock
) -> None:
    here: Rooms = app.extensions[NAME]
    batch.run(settings, here.sites, here.ledger, clock())
    clock.forward(hours=24)
    assert ready(client)[0] == 200
    clock.forward(minutes=1)
    status, checks, faults = ready(client)
    assert (status, checks["batch"]) == (503, False)
    assert faults == {"batch": "the batch came through last 24 hours ago; run consent batch"}
    batch.run(settings, here.sites, here.ledger, clock())
    assert ready(client)[0] == 200


def test_without_a_key_of_the_hour_it_is_not_ready(client: FlaskClient, clock: Clock) -> None:
    clock.forward(hours=49)
    status, checks, faults = ready(client)
    assert (status, checks["spool"]) == (503, False)
    assert "no key of this hour" in faults["spool"]
    assert "faults" not in client.get("/readyz", headers={"X-Forwarded-For": "127.0.0.1"}).get_json()


# -- logs -------------------------------------------------------------------------------------------------------------

MAIL = "canary.person@mailbox-canary.org"
CANARIES = (MAIL, "canary", "mailbox", "203.0.113.97", "127.0.0.1", "Firefox", "secret-cookie")


def formatted(record: logging.LogRecord, *, as_json: bool = True) -> str:
    line = Line(as_json=as_json).format(record)
    assert "\n" not in line
    return line


def record(name: str, text: object, *args: object, error: BaseException | None = None) -> logging.LogRecord:
    trace = (type(error), error, error.__traceback__) if error else None
    return logging.LogRecord(name, logging.ERROR, __file__, 1, text, args, trace)


def raised(text: str) -> Exception:
    try:
        int(text)
    except ValueError as error:
        return error
    raise AssertionError


@pytest.mark.parametrize("as_json", [True, False])
@pytest.mark.parametrize(
    "event,kept",
    [
        (record("gunicorn.error", f"Invalid request from ip=203.0.113.97: '{MAIL}'"), "Invalid request …"),
        (record("gunicorn.error", "Error handling request %s", f"/x?{MAIL}", error=raised(MAIL)), "request %s"),
        (record("gunicorn.error", raised(MAIL)), "withheld"),
        (record("sqlalchemy.pool", f"lost {MAIL}"), "withheld"),
        (record("sqlalchemy.pool", "lost %(what)s", {"what": MAIL}), "lost %(what)s"),
        (record("py.warnings", "%s", f"Warning: {MAIL}"), "%s"),
        (record("consent_app", "fault %s", "0a1b", error=raised(MAIL)), "fault 0a1b"),
        (record("broken", "%d %d", MAIL), "%d"),
    ],
)
def test_a_line_says_what_and_where_and_nothing_of_a_visitor(
    event: logging.LogRecord, kept: str, as_json: bool
) -> None:
    line = formatted(event, as_json=as_json)
    assert not [canary for canary in CANARIES if canary in line]
    assert kept in line
    if event.exc_info:
        assert "ValueError" in line and "test_watching.py:" in line


def test_an_operator_still_reads_what_a_server_says_of_its_workers() -> None:
    said = record("gunicorn.error", "Worker (pid:%s) was sent %s!", 4711, "SIGKILL")
    assert json.loads(formatted(said))["message"] == "Worker (pid:4711) was sent SIGKILL!"


@pytest.mark.parametrize("which", ["granian", "gunicorn"])
def test_no_line_of_the_real_server_holds_anything_of_a_visitor(tmp_path: Path, which: str) -> None:
    """Requests it cannot read, a fault of ours with the visitor's words in it, a worker that dies."""
    home = made(tmp_path)
    with Served(home, server=which, CONSENT_LOG_FORMAT="json") as server:
        for sent in (
            f"GET /{MAIL} HTTP/9.9",
            f"{MAIL}",
            f"GET / HTTP/1.1\r\n{MAIL}",
            "POST /v1/consent HTTP/1.1\r\nContent-Length: x",
        ):
            with socket.create_connection(("127.0.0.1", server.port), timeout=60) as raw:
                raw.sendall(f"{sent}\r\nUser-Agent: {AGENT}\r\nCookie: secret-cookie\r\n\r\n".encode())
                with suppress(OSError):
                    raw.recv(4096)
        (home / "stats.duckdb").write_bytes(b"no database" * 500)
        assert server.ask("GET", f"/dashboard/login?{MAIL}", Cookie=f"a={MAIL}").status == 200
        (home / "ledger.db").rename(home / "ledger.gone")
        (home / "ledger.db").mkdir()
        assert server.decide().status in (201, 500, 503)
        server.stop()
    said = server.said.splitlines()
    events = [json.loads(line) for line in said if not line.startswith("Serving ")]
    said_so = any(event["logger"] == "gunicorn.error" for event in events)
    assert said_so or which == "granian", "gunicorn has something to say of those requests"
    assert all({"time", "level", "logger", "process", "message"} <= event.keys() for event in events)
    assert [line for line in said if any(canary in line for canary in CANARIES) and "Serving" not in line] == []


def test_what_nobody_catches_is_a_line_too(tmp_path: Path) -> None:
    program = (
        "import threading; from consent_app.logs import install; install('json')\n"
        f"def fail(): raise ValueError('{MAIL}')\n"
        "thread = threading.Thread(target=fail); thread.start(); thread.join(); fail()"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    events = [json.loads(line) for line in done.stderr.splitlines()]
    assert [(event["fault"], event["level"]) for event in events] == [("ValueError", "critical")] * 2
    assert "canary" not in done.stderr
