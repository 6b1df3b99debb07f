"""Six weeks of simulated visitors, sent over HTTP to a real server whose clock is moved day by day."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from operator import itemgetter
from random import Random
from threading import Thread
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

from werkzeug.serving import WSGIRequestHandler, make_server

from consent_app.demo.visitors import AGENTS, Crowd, Visitor, body, walk
from consent_app.errors import ConsentError
from consent_app.sites import Sites

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

ZONE: Final = ZoneInfo("Europe/London")
REFUSED: Final = "refused"
# How visitors decide: (method, purpose allowed), and of how many in a hundred.
CHOICES: Final = (("banner-accept-all", "all"), ("preferences", "statistics"), ("banner-reject-all", "none"))
CHOICE_WEIGHTS: Final = (64, 8, 28)


@dataclass
class Clock:
    """A clock that is set, not read: the demo lives its six weeks in seconds."""

    now: datetime

    def __call__(self) -> datetime:
        """The time of the demo, in UTC."""
        return self.now


class Quiet(WSGIRequestHandler):
    """Keeps no log."""

    def log(self, *_: Any) -> None:
        """Say nothing: a log line would hold an address."""


@contextmanager
def server(app: WSGIApplication) -> Iterator[int]:
    """A real HTTP server for `app` on a free port of 127.0.0.1, which is yielded."""
    http = make_server("127.0.0.1", 0, app, request_handler=Quiet)
    thread = Thread(target=http.serve_forever, daemon=True)
    thread.start()
    try:
        yield http.server_port
    finally:
        http.shutdown()
        thread.join()
        http.server_close()


@dataclass
class Driver:
    """Plays the visitors' browsers against a server on `port`, whose `clock` it moves."""

    port: int
    clock: Clock
    rng: Random
    sites: Sites

    def day(self, crowds: Sequence[Crowd], day: date) -> int:
        """Send one day of all crowds' decisions and page views, in order of time; returns how many views were kept."""
        arrivals = sorted(
            ((self._moment(day), crowd, visitor) for crowd in crowds for visitor in crowd.arrivals(self.rng, day)),
            key=itemgetter(0),
        )
        return sum(self._arrive(crowd, day, moment, visitor) for moment, crowd, visitor in arrivals)

    def _moment(self, day: date) -> datetime:
        hour = self.rng.triangular(7, 22, 11)
        return datetime.combine(day, time(0), ZONE).astimezone(UTC) + timedelta(hours=hour)

    def _arrive(self, crowd: Crowd, day: date, moment: datetime, visitor: Visitor) -> int:
        self.clock.now = moment
        if not visitor.permit:
            visitor.permit = self._decide(crowd, visitor) or REFUSED
        if visitor.permit == REFUSED:
            return 0
        kept = 0
        for beacon in visitor.visit(self.rng, crowd.site, day, walk(self.rng, crowd.pages)):
            kept += self._post("/v1/collect", "text/plain", body(beacon), crowd, visitor)[0] == 202
        return kept

    def _decide(self, crowd: Crowd, visitor: Visitor) -> str:
        """Decide as people do; returns the permit, "" after a refusal."""
        site = self.sites.get(crowd.site)
        method, allowed = self.rng.choices(CHOICES, CHOICE_WEIGHTS)[0]
        decision = {
            "site": site.key,
            "notice": site.notice.sha256,
            "decisions": {p.key: allowed == "all" or p.key == allowed for p in site.optional},
            "method": method,
            "lang": "en",
        }
        status, answer = self._post("/v1/consent", "application/json", json.dumps(decision).encode(), crowd, visitor)
        if status != 201:
            raise ConsentError(f"the demo's decision for {crowd.site} was answered {status}: {answer[:200]!r}")
        return str(json.loads(answer)["permit"])

    def _post(self, path: str, kind: str, content: bytes, crowd: Crowd, visitor: Visitor) -> tuple[int, bytes]:
        """Status and body. By hand, because `http.client` reads headers as if they were e-mail, at thrice the time."""
        head = (
            f"POST {path} HTTP/1.1\r\nHost: {crowd.host}\r\nOrigin: {crowd.origin}\r\nContent-Type: {kind}\r\n"
            f"User-Agent: {AGENTS[visitor.agent]}\r\nX-Forwarded-For: {visitor.address}\r\n"
            f"Content-Length: {len(content)}\r\nConnection: close\r\n\r\n"
        )
        with socket.create_connection(("127.0.0.1", self.port), timeout=30) as connection:
            connection.sendall(head.encode() + content)
            connection.shutdown(socket.SHUT_WR)
            answer = b"".join(iter(lambda: connection.recv(65_536), b""))
        headers, _, text = answer.partition(b"\r\n\r\n")
        return int(headers.split(maxsplit=2)[1]), text
