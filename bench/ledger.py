"""How fast decisions are recorded, signed and verified. Everything is checked before a figure is printed.

    python bench/ledger.py                    everything, a million entries
    python bench/ledger.py 100000             a smaller ledger to verify
    python bench/ledger.py 0 http             the server only
    python bench/ledger.py 0 append           the ledger only

CONSENT_LEDGER_URL may name an empty database of PostgreSQL for the last one; the others use files.

Decisions over HTTP: `consent serve --workers 2` and the client share the machine; the server is killed at the end, and
what it had answered must be in the ledger. First as many as it takes, then four fifths of that at a steady pace, where
a decision's time runs from when it was due.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import selectors
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from threading import Thread
from time import perf_counter, process_time, sleep

from consent_app import home as data_home
from consent_app.ledger import ConsentRecord, Ledger, RecordedDecision
from consent_app.ledger.records import canonical
from consent_app.ledger.store import TAG
from consent_app.settings import Settings
from consent_app.sites import Sites

TEXT = "A notice.\n"
RECORD = ConsentRecord(
    site="kent",
    controller="Kent Office Solutions",
    notice=hashlib.sha256(TEXT.encode()).hexdigest(),
    notice_effective="2026-11-01",
    bundle="0" * 64,
    language="en",
    method="preferences",
    event="given",
    decisions={"statistics": RecordedDecision(True, "PECR Schedule A1 paragraph 2")},
    time="2026-11-23T09:30:12Z",
    valid_until="2027-05-22",
    id="5f" * 16,
)
THREADS = 8
APPENDS = 16_000
CONNECTIONS = 48
WARM_UP, SECONDS = 2.0, 8.0


def main() -> None:
    """Run what was asked for and print one line a figure."""
    size = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    only = sys.argv[2] if len(sys.argv) > 2 else ""
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} before the start")
    with tempfile.TemporaryDirectory() as folder:
        if not only or only == "append":
            append(Path(folder) / "append")
        if size:
            verify(Path(folder) / "verify", size)
        if not only or only == "http":
            http(Path(folder) / "http")


def tell(what: str, value: str) -> None:
    """One figure."""
    print(f"  {what:<58} {value}", flush=True)


def new(folder: Path, url: str = "") -> Ledger:
    """An empty ledger with one notice."""
    folder.mkdir(mode=0o700)
    ledger = Ledger(folder / "ledger.db", url)
    ledger.archive_notice(TEXT, "2026-11-01")
    return ledger


def append(folder: Path) -> None:
    """Decisions a second, appended by threads of one process, signed meanwhile."""
    url = Settings.from_environment().ledger_url
    with new(folder, url) as ledger:

        def work(number: int) -> None:
            for place in range(APPENDS // THREADS):
                ledger.append(replace(RECORD, id=f"{number:016x}{place:016x}"))

        threads = [Thread(target=work, args=(number,)) for number in range(THREADS)]
        start, spent = perf_counter(), process_time()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        appended = perf_counter() - start
        assert ledger.sequence() == APPENDS
        everything, spent = perf_counter() - start, process_time() - spent
        assert all(check.ok for check in ledger.verify())
    tell(f"ledger alone, in {'PostgreSQL' if url else 'SQLite'}, decisions/s", f"{APPENDS / appended:,.0f}")
    tell("processor time for each, signed", f"{spent / APPENDS * 1000:.2f} ms")
    tell("the same until signed and on disk", f"{APPENDS / everything:,.0f}")


def verify(folder: Path, size: int) -> None:
    """Seconds to sign a ledger from nothing, and to verify all of it."""
    with new(folder) as ledger:
        with closing(sqlite3.connect(folder / "ledger.db")) as raw:
            for first in range(0, size, 50_000):
                rows = [row(number) for number in range(first, min(first + 50_000, size))]
                raw.executemany("INSERT INTO entry VALUES (?, 'consent', ?)", [(r[0], r[1]) for r in rows])
                raw.executemany("INSERT INTO body VALUES (?, ?, ?, ?)", [(r[0], *r[2:]) for r in rows])
            raw.commit()
        start = perf_counter()
        assert ledger.sequence() == size
        signing = perf_counter() - start
        start, spent = perf_counter(), process_time()
        faults = [check for check in ledger.verify() if not check.ok]
        verifying, spent = perf_counter() - start, process_time() - spent
        assert faults == [], faults
        with closing(sqlite3.connect(folder / "ledger.db")) as raw:
            raw.execute("DROP TRIGGER body_keeps_on_update")
            raw.execute("UPDATE body SET nonce = zeroblob(32) WHERE seq = ?", [size // 2])
            raw.commit()
        assert [check.name for check in ledger.verify() if not check.ok] == ["ledger guard", "ledger entries"]
    tell(f"sign a ledger of {size:,} entries from nothing", f"{signing:.1f} s")
    tell("verify it: entries, schema, erasure, tree, tiles, notices", f"{verifying:.1f} s, {size / verifying:,.0f}/s")
    tell("processor time of that", f"{spent:.1f} s")


def row(number: int) -> tuple[int, bytes, str, bytes, bytes]:
    """An entry and its body, as `append` would write them."""
    day, second = number // 3000 % 28 + 1, number % 60
    record = replace(RECORD, id=f"{number:032x}", time=f"2026-11-{day:02}T09:30:{second:02}Z")
    content, nonce = canonical(record.document()), secrets.token_bytes(32)
    return number, hashlib.sha256(TAG + nonce + content).digest(), record.id, nonce, content


# -- over HTTP --------------------------------------------------------------------------------------------------------


def http(folder: Path) -> None:
    """Decisions a second over HTTP, their latency, and how soon the last is signed."""
    settings = Settings.from_environment({}, home=folder)
    data_home.create(settings)
    site = Sites.load(settings.sites_file).get("kent")
    decision = {
        "site": site.key,
        "notice": site.notice.sha256,
        "decisions": {purpose.key: True for purpose in site.optional},
        "method": "banner-accept-all",
        "lang": "en",
    }
    with server(folder) as (port, group):
        client = Client(port, site.origins[0], json.dumps(decision))
        client.run(WARM_UP)
        before, start = cpu_seconds(group), len(client.answers)
        client.run(SECONDS)
        spent, count = cpu_seconds(group) - before, len(client.answers) - start
        full = sorted(client.times[start:])
        client.run(SECONDS, rate := 0.8 * count / SECONDS)
        paced = sorted(client.times[start + count :])
        ids = [json.loads(answer)["receipt"] for answer in client.answers]
        began = perf_counter()
        while b" 200 " not in asked(port, f"GET /v1/receipts/{ids[-1]}.tlog-proof HTTP/1.1"):
            sleep(0.02)
        signed = perf_counter() - began
    with Ledger(settings.ledger_file) as ledger:
        kept = [entry.record.get("id") for entry in ledger.entries()]
        assert set(ids) <= set(kept), "an acknowledged decision is not in the ledger"
        assert len(kept) == len(set(kept)), "a decision is there twice"
        ledger.sequence()
        assert all(check.ok for check in ledger.verify())
    tell("POST /v1/consent, two workers, decisions/s", f"{count / SECONDS:,.0f}")
    tell("processor time of the server for each", f"{spent / count * 1000:.2f} ms")
    tell(f"its latency at full load ({CONNECTIONS} connections), median and p99", milliseconds(full))
    tell(f"its latency at {rate:,.0f} decisions/s (80 %), median and p99", milliseconds(paced))
    tell("from the last answer until it is signed", f"{signed:.2f} s")


def milliseconds(times: list[float]) -> str:
    """Median and 99th percentile of sorted times."""
    return f"{times[len(times) // 2] * 1000:.0f} ms, {times[len(times) * 99 // 100] * 1000:.0f} ms"


@contextmanager
def server(folder: Path) -> Iterator[tuple[int, int]]:
    """`consent serve`: its port and process group; killed, not stopped."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        port = found.getsockname()[1]
    environment = {**os.environ, "CONSENT_HOME": str(folder), "CONSENT_TRUSTED_PROXIES": "1"}
    command = [Path(sys.executable).with_name("consent"), "serve", "--bind", f"127.0.0.1:{port}", "--workers", "2"]
    with subprocess.Popen(command, env=environment, start_new_session=True, stdout=subprocess.DEVNULL) as process:
        try:
            while True:
                try:
                    asked(port, "GET /healthz HTTP/1.1")
                    break
                except ConnectionError:
                    sleep(0.1)
            yield port, process.pid
        finally:
            os.killpg(process.pid, signal.SIGKILL)


def cpu_seconds(group: int) -> float:
    """Processor time that the processes of a group have had so far; Linux only."""
    spent = 0
    for file in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            fields = file.read_text().rpartition(")")[2].split()
            spent += int(fields[11]) + int(fields[12]) if int(fields[2]) == group else 0
    return spent / os.sysconf("SC_CLK_TCK")


def asked(port: int, line: str) -> bytes:
    """The answer to one request without a body."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(f"{line}\r\nHost: kent.localhost\r\nConnection: close\r\n\r\n".encode())
        return b"".join(iter(lambda: connection.recv(65_536), b""))


class Client:
    """Keeps its connections busy, or sends at a steady pace; collects the body of each answer and how long it took."""

    def __init__(self, port: int, origin: str, body: str) -> None:
        self._port, self._origin, self._body = port, origin, body
        self._count = 0
        self.answers: list[bytes] = []
        self.times: list[float] = []

    def run(self, seconds: float, rate: float = 0) -> None:
        """Send for that long: whenever a connection is free, or `rate` decisions a second, each due at its moment."""
        selector = selectors.DefaultSelector()
        connections = [socket.create_connection(("127.0.0.1", self._port), timeout=30) for _ in range(CONNECTIONS)]
        idle = deque(connections)
        start, sent = perf_counter(), 0

        def due() -> float:
            return start + sent / rate if rate else perf_counter()

        while selector.get_map() or due() < start + seconds:
            while idle and (moment := due()) <= perf_counter() and moment < start + seconds:
                self._send(idle.popleft(), selector, moment)
                sent += 1
            idle += self._received(selector, 0.001 if rate else 0.05)
        for connection in connections:
            connection.close()

    def _send(self, connection: socket.socket, selector: selectors.BaseSelector, due: float) -> None:
        self._count += 1
        count = self._count
        address = f"10.{count >> 16 & 255}.{count >> 8 & 255}.{count & 255}"
        head = (
            f"POST /v1/consent HTTP/1.1\r\nHost: kent.localhost\r\nOrigin: {self._origin}\r\n"
            f"X-Forwarded-For: {address}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(self._body)}\r\n\r\n"
        )
        connection.sendall((head + self._body).encode())
        selector.register(connection, selectors.EVENT_READ, [due, b""])

    def _received(self, selector: selectors.BaseSelector, wait: float) -> list[socket.socket]:
        free = []
        for key, _ in selector.select(wait):
            connection = key.fileobj
            assert isinstance(connection, socket.socket)
            content = connection.recv(65_536)
            assert content, "the server has closed a connection that waited"
            key.data[1] += content
            answer = whole(key.data[1])
            if answer is not None:
                self.times.append(perf_counter() - key.data[0])
                self.answers.append(answer)
                selector.unregister(connection)
                free.append(connection)
        return free


def whole(content: bytes) -> bytes | None:
    """The body of an answer once all of it is there. Raises AssertionError unless the decision was taken."""
    head, blank, body = content.partition(b"\r\n\r\n")
    if not blank:
        return None
    assert b" 201 " in head[:20], content
    length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
    return body if len(body) >= length else None


if __name__ == "__main__":
    main()
