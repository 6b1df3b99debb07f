"""Far more than it can take, and kill -9 in the middle of it: what was acknowledged is there, once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from http.client import HTTPException
from pathlib import Path
from threading import Lock, Thread
from time import monotonic, sleep

import pytest

from anonymiser.hour_keys import HourKeys
from anonymiser.spool import segments
from anonymiser.unsealing import read
from consent_app.ledger import Ledger
from tests.faults.servers import Answer, Served, made
from tests.web.ledger_places import Place, Server
from tests.web.ledger_records import failed

CLIENTS = 24
MIXED = 8
MEBIBYTE = 1 << 20
MOST_GROWTH = 24 * MEBIBYTE


class Crowd:
    """Clients that send decisions and page views as fast as they are answered, from ever new addresses; one of them
    from a single one.
    """

    def __init__(self, server: Served) -> None:
        self._server = server
        self._lock = Lock()
        self._over = False
        self.answers: list[tuple[str, Answer]] = []
        self.threads = [Thread(target=self._work, args=(number,)) for number in range(CLIENTS)]
        for thread in self.threads:
            thread.start()

    def stop(self) -> None:
        self._over = True
        for thread in self.threads:
            thread.join()

    def wait(self, answers: int, seconds: float = 60) -> None:
        end = monotonic() + seconds
        while len(self.answers) < answers and monotonic() < end:
            sleep(0.01)

    def statuses(self, kind: str) -> Counter[int]:
        return Counter(answer.status for what, answer in self.answers if what == kind)

    def acknowledged(self) -> set[str]:
        return {answer.json["receipt"] for kind, answer in self.answers if kind == "decide" and answer.status == 201}

    def _work(self, number: int) -> None:
        ways: tuple[tuple[str, Callable[..., Answer]], ...] = (
            ("decide", self._server.decide), ("view", self._server.view),
        )  # fmt: skip
        place = 0
        while not self._over:
            place += 1
            address = f"10.{number}.{place // 250}.{place % 250}" if number else "10.0.0.1"
            kind, send = ways[place % 2]
            with suppress(OSError, HTTPException):
                answer = send(**{"X-Forwarded-For": address})
                with self._lock:
                    self.answers.append((kind, answer))


def views_in(home: Path) -> int:
    keys = HourKeys(home / "private")
    return sum(fact.statistic == "views" for segment in segments(home / "spool") for fact in read(segment, keys).facts)


def holds(home: Path, acknowledged: set[str], url: str = "") -> None:
    with Ledger(home / "ledger.db", url) as ledger:
        kept = [entry.record["id"] for entry in ledger.entries() if entry.record.get("id")]
        assert len(kept) == len({*kept}) and acknowledged <= {*kept}
        ledger.sequence()
        assert failed(ledger) == {}


@pytest.mark.slow
def test_under_far_too_much_it_refuses_politely_stays_small_and_loses_nothing(tmp_path: Path) -> None:
    home = made(tmp_path)
    limits = {"CONSENT_DECISIONS_PER_MINUTE": "5", "CONSENT_BEACONS_PER_MINUTE": "5", "CONSENT_TRUSTED_PROXIES": "1"}
    limits |= {"CONSENT_THREADS": "2", "CONSENT_MIX_BEACONS": str(MIXED)}
    with Served(home, 1, **limits) as server:
        crowd = Crowd(server)
        crowd.wait(400)
        before = server.memory()
        crowd.wait(1200)
        grown = server.memory() - before
        assert server.ask("GET", "/healthz").status == 200
        crowd.stop()
        assert server.ready()["ready"] is True
        assert server.stop() == 0
    assert grown < MOST_GROWTH
    decided, viewed = crowd.statuses("decide"), crowd.statuses("view")
    assert {*decided} <= {201, 429, 503} and {*viewed} <= {202, 429, 503}
    assert decided[429] and viewed[429] and decided[201] > 100 and viewed[202] > 100
    told = [answer.headers.get("Retry-After") for _, answer in crowd.answers if answer.status in (429, 503)]
    assert all(seconds and 1 <= int(seconds) <= 60 for seconds in told)
    holds(home, crowd.acknowledged())
    assert views_in(home) == viewed[202], "an orderly stop loses nothing"


@pytest.mark.slow
def test_killed_under_load_it_loses_nothing_it_acknowledged_but_what_was_being_mixed(
    tmp_path: Path,
) -> None:
    home = made(tmp_path)
    more = {"CONSENT_TRUSTED_PROXIES": "1", "CONSENT_MIX_BEACONS": str(MIXED)}
    with Served(home, 2, **more) as server:
        crowd = Crowd(server)
        crowd.wait(300)
        server.kill()
        crowd.stop()
    holds(home, crowd.acknowledged())
    seen, counted = crowd.statuses("view")[202], views_in(home)
    # A worker holds fewer than MIXED beacons when it is at rest, and one more in each of its threads while it writes.
    assert seen - 2 * (MIXED + 8) < counted <= seen + CLIENTS
    with Served(home) as server:
        assert server.decide().status == 201
        assert server.ready()["ready"] is True


@pytest.mark.slow
def test_a_database_that_is_restarted_under_load_refuses_politely_and_all_goes_on(
    tmp_path: Path, postgresql: Server
) -> None:
    """`immediate` is a crash. Other tests have the server to themselves while this one runs."""
    place = Place.new(tmp_path, postgresql)
    home = made(tmp_path)
    with Served(home, CONSENT_TRUSTED_PROXIES="1", CONSENT_LEDGER_URL=place.url) as server:
        crowd = Crowd(server)
        for answers in (60, 120):
            crowd.wait(answers)
            postgresql.stop("immediate")
            crowd.wait(answers + 30)
            postgresql.start()
        after = len(crowd.acknowledged()) + 20
        end = monotonic() + 60
        while len(crowd.acknowledged()) < after and monotonic() < end:
            sleep(0.05)
        crowd.stop()
        assert server.ready()["ready"] is True
        assert server.stop() == 0
    decided = crowd.statuses("decide")
    assert {*decided} <= {201, 503} and decided[503]
    refused = [answer for kind, answer in crowd.answers if kind == "decide" and answer.status == 503]
    assert all(answer.headers["Retry-After"] for answer in refused)
    assert len(crowd.acknowledged()) >= after
    holds(home, crowd.acknowledged(), place.url)
