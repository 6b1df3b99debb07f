"""How much a beacon costs, by server, door and application, and nginx for scale. Checked before a figure is printed.

    python bench/endpoint.py                  5 seconds for each
    python bench/endpoint.py 2                shorter

Each run is one worker on a home of its own, over kept-alive connections that each wait for their answer. "door" is the
application as it is served, "application" has the door taken away, so that Flask answers; "nothing" answers 202 at once
and is what the server itself costs. Client and server share the machine, so what is compared is the processor time of
the server and its children for a beacon (the client's is not in it); beacons a second depend on the client too. After
each run the server is stopped in good order, and every beacon it acknowledged must be in its sealed segments, once.
nginx answers 204 and writes a log line: no check, no permit, no fact. A port that somebody listens on is refused.

"without a server" calls both in this process.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from time import perf_counter, process_time, sleep
from typing import TYPE_CHECKING, Any

from werkzeug.test import create_environ

from anonymiser.hour_keys import HourKeys
from anonymiser.spool import segments
from anonymiser.unsealing import read
from consent_app import create_app
from consent_app import home as data_home
from consent_app.door import Door
from consent_app.listening import bound
from consent_app.receipts import Seal
from consent_app.rooms import NAME, Rooms
from consent_app.settings import Settings
from consent_app.sites import Sites

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

PORT = 18_471
CONNECTIONS = 32
WARM_UP = 1.0
AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
PAGES = 400
CALLS = 5000
SERVE = """
import signal, sys
from consent_app.commands import main, workers
from consent_app.settings import Settings
server, kind = sys.argv[1:]
made = workers.create_app
def nothing(environ, start_response):
    environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
    start_response("202 ACCEPTED", [("Content-Length", "0")])
    return []
def create_app(settings):
    app = made(settings)
    if kind == "application":
        app.wsgi_app.app = app.wsgi_app.app.inner
    elif kind == "nothing":
        app.wsgi_app = nothing
    return app
workers.create_app = create_app
if server == "waitress":
    import logging, waitress
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)
    settings = Settings.from_environment()
    app = workers.made(settings)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    waitress.serve(app, listen=settings.bind, threads=settings.threads)
    workers.leave(app)
else:
    main(["serve", "--workers", "1", "--server", server])
"""
RUNS = (
    *(("granian", kind) for kind in ("door", "application", "nothing")),
    *(("gunicorn", kind) for kind in ("door", "application", "nothing")),
    *(("waitress", kind) for kind in ("door", "nothing")),
)
NGINX = """
daemon off; worker_processes 1; pid {folder}/pid; error_log stderr crit;
events {{ worker_connections 256; }}
http {{
  access_log {folder}/access.log; client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder};
  uwsgi_temp_path {folder}; scgi_temp_path {folder}; keepalive_requests 1000000;
  server {{ listen 127.0.0.1:{port}; location / {{ return 204; }} }}
}}
"""

Beacon = Callable[[int], bytes]


def main() -> None:
    """Measure and print."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 5.0
    bound("127.0.0.1", PORT).close()  # refuses a busy port, and says so
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} before the start")
    costs: dict[tuple[str, str], float] = {}
    with tempfile.TemporaryDirectory() as folder:
        within(Path(folder) / "within")
        for server, kind in RUNS:
            if find_spec(server):
                costs[server, kind] = collected(Path(folder) / f"{server}-{kind}", server, kind, seconds)
        nginx = compared(Path(folder), seconds) if shutil.which("nginx") else 0.0
    summary(costs, nginx)


def summary(costs: dict[tuple[str, str], float], nginx: float) -> None:
    """What follows from the runs."""
    door = costs["granian", "door"]
    tell("gunicorn's processor time over granian's, door", f"{costs['gunicorn', 'door'] / door:.1f}")
    tell("granian: the application's over the door's", f"{costs['granian', 'application'] / door:.1f}")
    tell("gunicorn's application over granian's door", f"{costs['gunicorn', 'application'] / door:.1f}")
    tell("granian: the server's own part of the door's", f"{costs['granian', 'nothing'] / door:.0%}")
    if nginx:
        tell("granian's door over nginx", f"{door / nginx:.1f}")
        tell("granian answering nothing over nginx", f"{costs['granian', 'nothing'] / nginx:.1f}")


def tell(what: str, value: str) -> None:
    """One figure."""
    print(f"  {what:<58} {value}", flush=True)


def collected(home: Path, name: str, kind: str, seconds: float) -> float:
    """Processor time of a beacon in seconds, when each that was acknowledged is found in the segments."""
    data_home.create(Settings.from_environment({}, home=home))
    settings = Settings.from_environment({}, home=home)
    environment = {
        "CONSENT_HOME": str(home),
        "CONSENT_BIND": f"127.0.0.1:{PORT}",
        "CONSENT_BEACONS_PER_MINUTE": "100000",
    }
    environment |= {"PATH": os.environ["PATH"], "CONSENT_TRUSTED_PROXIES": "1"}
    with running([sys.executable, "-c", SERVE, name, kind], environment) as server:
        count, kept, spent, took = driven(server.pid, beacons(settings), seconds, 202)
    keys = HourKeys(settings.private)
    found = [fact for segment in segments(settings.spool) for fact in read(segment, keys).facts]
    views = sum(fact.delta for fact in found if fact.statistic == "views")
    assert kind == "nothing" or views == kept, f"{kept} beacons were acknowledged, {views} are in the segments"
    found_all = "" if kind == "nothing" else f"; {kept:,} acknowledged and found"
    tell(f"{name}, {kind}: processor time", f"{spent / count * 1e6:,.0f} µs, {count / took:,.0f}/s{found_all}")
    return spent / count


def within(home: Path) -> None:
    """Processor time of a beacon, taken by the door and by the application behind it."""
    data_home.create(Settings.from_environment({}, home=home))
    settings = Settings.from_environment({}, home=home, beacons_per_minute=100_000)
    app = create_app(settings)
    rooms: Rooms = app.extensions[NAME]
    door, request, costs = app.wsgi_app, beacons(settings), []
    assert isinstance(door, Door)
    for first, way in ((1, door), (CALLS + 1, door.inner)):
        environs = [environ(request(number)) for number in range(first, first + CALLS)]
        start = process_time()
        heard = [answer(way, one) for one in environs]
        costs.append((process_time() - start) / CALLS)
        assert set(heard) == {"202"}
    rooms.spool.close()
    rooms.ledger.close()
    keys = HourKeys(settings.private)
    found = [fact for segment in segments(settings.spool) for fact in read(segment, keys).facts]
    assert sum(fact.delta for fact in found if fact.statistic == "views") == 2 * CALLS
    tell("without a server, door: processor time of a beacon", f"{costs[0] * 1e6:,.0f} µs")
    tell("without a server, application: processor time of a beacon", f"{costs[1] * 1e6:,.0f} µs")
    tell("the application's over the door's", f"{costs[1] / costs[0]:.1f}")


def answer(way: WSGIApplication, asked: dict[str, Any]) -> str:
    """The status of one answer."""
    heard: list[str] = []
    way(asked, lambda status, *_: heard.append(status[:3]) or bytes)  # type: ignore[func-returns-value]
    return heard[0]


def environ(request: bytes) -> dict[str, Any]:
    """A request as a WSGI server hands it on."""
    head, _, body = request.partition(b"\r\n\r\n")
    lines = [line.split(": ", 1) for line in head.decode().split("\r\n")[1:]]
    names = {name.upper().replace("-", "_"): value for name, value in lines}
    made = create_environ("/v1/collect", "http://kent.localhost:8000", method="POST", data=body)
    headers = {f"HTTP_{name}": value for name, value in names.items() if not name.startswith("CONTENT")}
    return made | headers | {"CONTENT_TYPE": names["CONTENT_TYPE"], "REMOTE_ADDR": names["X_FORWARDED_FOR"]}


def compared(folder: Path, seconds: float) -> float:
    """The same requests to nginx, which only answers and logs."""
    conf = folder / "nginx.conf"
    conf.write_text(NGINX.format(folder=folder, port=PORT))
    with running(["nginx", "-c", str(conf), "-p", str(folder)], dict(os.environ)) as server:
        count, _, spent, took = driven(
            server.pid, beacons(Settings.from_environment({}, home=folder / "granian-door")), seconds, 204
        )
    assert len((folder / "access.log").read_text().splitlines()) >= count
    tell("nginx, 204 and a log line: processor time", f"{spent / count * 1e6:,.0f} µs, {count / took:,.0f}/s")
    return spent / count


def beacons(settings: Settings) -> Beacon:
    """The n-th beacon as a whole HTTP request: a second view, so that it tears into the usual number of facts."""
    site = Sites.load(settings.sites_file).get("kent")
    day = settings.clock().astimezone(site.zone).date()
    whole = {purpose.key: True for purpose in site.optional}
    permit = Seal(settings.signing_keys, settings.clock).permit("kent", site.notice.sha256, whole, day)
    fixed = {"schema": 1, "site": "kent", "permit": permit, "day": day.isoformat(), "kind": "pageview", "prev": "/"}
    fixed |= {"n": 2, "p": 2, "v": 1, "k": 2}

    def request(number: int) -> bytes:
        body = json.dumps(fixed | {"nonce": f"{number:016x}", "path": f"/page/{number % PAGES}"}).encode()
        head = (
            f"POST /v1/collect HTTP/1.1\r\nHost: kent.localhost:8000\r\nOrigin: http://kent.localhost:8000\r\n"
            f"User-Agent: {AGENT}\r\nContent-Type: text/plain;charset=UTF-8\r\nContent-Length: {len(body)}\r\n"
            f"X-Forwarded-For: 10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}\r\n\r\n"
        )
        return head.encode() + body

    return request


@contextlib.contextmanager
def running(command: list[str], environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """A server that listens; told to stop at the end, and waited for."""
    server = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    try:
        while True:
            if server.poll() is not None:
                raise SystemExit(f"the server ended with {server.returncode}: {' '.join(command[:4])}")
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", PORT), timeout=60):
                break
            sleep(0.05)
        yield server
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait()


def driven(server: int, request: Beacon, seconds: float, status: int) -> tuple[int, int, float, float]:
    """Send beacons over kept-alive connections. Returns (answered in the measured time, acknowledged in all, processor
    time of the server in that time, seconds).
    """
    numbers = iter(range(1, 100_000_000))
    with selectors.DefaultSelector() as ready, contextlib.ExitStack() as open_ones:
        for _ in range(CONNECTIONS):
            connection = open_ones.enter_context(socket.create_connection(("127.0.0.1", PORT)))
            connection.sendall(request(next(numbers)))
            ready.register(connection, selectors.EVENT_READ)
        before = answered(ready, request, numbers, WARM_UP, status)
        spent, start = processor_time(server), perf_counter()
        measured = answered(ready, request, numbers, seconds, status)
        spent, took = processor_time(server) - spent, perf_counter() - start
        last = sum(acknowledged(connection.fileobj, status) for connection in list(ready.get_map().values()))
    return measured, before + measured + last, spent, took


def answered(
    ready: selectors.BaseSelector, request: Beacon, numbers: Iterator[int], seconds: float, status: int
) -> int:
    """Go on for so long: whatever is answered sends the next."""
    count, end = 0, perf_counter() + seconds
    while perf_counter() < end:
        for key, _ in ready.select(timeout=1):
            count += acknowledged(key.fileobj, status)
            key.fileobj.sendall(request(next(numbers)))  # type: ignore[union-attr]
    return count


def acknowledged(connection: object, status: int) -> int:
    """Read one answer without content; 1, or the end of the run."""
    assert isinstance(connection, socket.socket)
    text = b""
    while b"\r\n\r\n" not in text:
        more = connection.recv(65_536)
        assert more, "the server closed a connection"
        text += more
    assert text.startswith(f"HTTP/1.1 {status}".encode()), text[:200]
    return 1


def processor_time(server: int) -> float:
    """User and system seconds of a process and its children."""
    total = 0
    for process in [server, *children(server)]:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        total += int(fields[11]) + int(fields[12])
    return total / os.sysconf("SC_CLK_TCK")


def children(process: int) -> list[int]:
    """The processes it started."""
    return [int(number) for number in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


if __name__ == "__main__":
    main()
