"""`consent serve` under each server: what an orderly stop keeps, whom a killed parent leaves, what a start says.

The servers are real, on a home and a port of their own.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPConnection
from pathlib import Path
from time import sleep

import pytest
from click.testing import CliRunner

from anonymiser.hour_keys import HourKeys
from anonymiser.spool import segments
from anonymiser.unsealing import read
from bench.endpoint import beacons
from consent_app import home as data_home
from consent_app.commands import main
from consent_app.commands.serve import SERVERS
from consent_app.settings import Settings

CONSENT = Path(sys.executable).with_name("consent")
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="it does not run there")


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """A data home as `consent init` makes it, with this hour's key."""
    home = tmp_path / "home"
    data_home.create(Settings.from_environment({}, home=home))
    return home


@contextmanager
def served(home: Path, server: str) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    """Port and process of `consent serve`; killed with its workers at the end, if it still runs."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        port = found.getsockname()[1]
    command = [str(CONSENT), "serve", "--server", server, "--bind", f"127.0.0.1:{port}"]
    environment = {**os.environ, "CONSENT_HOME": str(home)}
    out = subprocess.PIPE
    with subprocess.Popen(command, env=environment, start_new_session=True, stdout=out, stderr=out) as process:
        try:
            wait(lambda: is_open(port))
            yield port, process
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def wait(until: Callable[[], bool]) -> None:
    for _ in range(1200):
        if until():
            return
        sleep(0.1)
    raise AssertionError("it never came to that")


def is_open(port: int) -> bool:
    with socket.socket() as tried:
        return tried.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.parametrize("server", SERVERS)
def test_an_orderly_stop_keeps_what_waited(made: Path, server: str) -> None:
    request = beacons(Settings.from_environment({}, home=made))
    with (
        served(made, server) as (port, process),
        socket.create_connection(("127.0.0.1", port), timeout=120) as connection,
    ):
        for number in (1, 2):
            connection.sendall(request(number))
            assert connection.recv(65_536).startswith(b"HTTP/1.1 202")
        process.send_signal(signal.SIGTERM)  # while a kept-alive connection is idle
        said = process.communicate(timeout=120)
    assert (process.returncode, said[0].count(b"\n"), said[1]) == (0, 1, b"")
    settings = Settings.from_environment({}, home=made)
    keys = HourKeys(settings.private)
    found = [fact for segment in segments(settings.spool) for fact in read(segment, keys).facts]
    assert sum(fact.delta for fact in found if fact.statistic == "views") == 2


@pytest.mark.parametrize("server", SERVERS)
def test_workers_do_not_outlive_a_killed_parent(made: Path, server: str) -> None:
    with served(made, server) as (port, process):
        connection = HTTPConnection("127.0.0.1", port, timeout=120)
        connection.request("GET", "/healthz")
        assert connection.getresponse().status == 200
        connection.close()
        process.kill()
        process.wait()
        wait(lambda: not is_open(port))


def test_who_signs_in_by_a_header_is_served_by_gunicorn(made: Path) -> None:
    environment = {
        "CONSENT_HOME": str(made),
        "CONSENT_LOGIN_HEADER": "X-Forwarded-User",
        "CONSENT_LOGIN_NETWORKS": "10.0.0.5/32",
    }
    refused = CliRunner().invoke(main, ["serve", "--server", "granian"], env=environment)
    assert (refused.exit_code, "needs gunicorn" in refused.stderr) == (2, True)


def test_that_nothing_is_counted_is_said(made: Path) -> None:
    (made / "spool" / "public.keys").unlink()
    with socket.create_server(("127.0.0.1", 0)) as taken:  # so that it stops after the rehearsal
        bind = f"127.0.0.1:{taken.getsockname()[1]}"
        said = CliRunner().invoke(main, ["serve", "--bind", bind], env={"CONSENT_HOME": str(made)}).stderr
    assert "statistics are on for kent" in said
    assert "no page view is counted" in said
