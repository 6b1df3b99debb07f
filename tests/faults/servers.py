"""The real commands on a real home, each a process of its own: `consent serve` with what browsers send, and others."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from email.message import Message
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from secrets import token_hex
from time import monotonic, sleep
from types import TracebackType
from typing import Any, Self

from click.testing import CliRunner

from consent_app.commands import main
from consent_app.receipts import Seal
from consent_app.settings import Settings
from consent_app.sites import Sites

ROOT = Path(__file__).parents[2]
PROGRAM = "import sys; from consent_app.commands import main; main(sys.argv[1:])"
KENT = "http://kent.localhost:8000"
AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
PATIENCE = 60


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    headers: Message
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def environment(home: Path, **more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CONSENT_")}
    return kept | {"CONSENT_HOME": str(home), "PYTHONPATH": str(ROOT)} | more


def consent(home: Path, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    command = [sys.executable, "-c", PROGRAM, *words]
    return subprocess.run(
        command, cwd=ROOT, env=environment(home, **more), capture_output=True, text=True, check=False, timeout=300
    )


class Served:
    """`consent serve` on a free port; killed at the end if it was not stopped before. `said` is what it printed."""

    def __init__(self, home: Path, workers: int = 1, server: str = "", **more: str) -> None:
        self.settings = Settings.from_environment({}, home=home)
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.log = home.parent / f"{home.name}.{self.port}.log"
        bind = (
            "--bind",
            f"127.0.0.1:{self.port}",
            "--workers",
            str(workers),
            *(["--server", server] if server else []),
        )
        limits = {"CONSENT_DECISIONS_PER_MINUTE": "100000", "CONSENT_BEACONS_PER_MINUTE": "100000"}
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", PROGRAM, "serve", *bind],
                cwd=ROOT, env=environment(home, **limits | more), stdout=log, stderr=log,
            )  # fmt: skip
        self.site = Sites.load(self.settings.sites_file).get("kent")

    def __enter__(self) -> Self:
        self.wait()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.kill()
        self.process.wait()

    @property
    def said(self) -> str:
        return self.log.read_text("utf-8", "replace")

    def wait(self) -> None:
        end = monotonic() + PATIENCE
        while monotonic() < end and self.process.poll() is None:
            with suppress(OSError, HTTPException):
                if self.ask("GET", "/healthz").status == 200:
                    return
            sleep(0.02)
        raise AssertionError(f"nobody serves: {self.said}")

    def workers(self) -> list[int]:
        """The processes that answer."""
        found = []
        for status in Path("/proc").glob("[0-9]*/stat"):
            with suppress(OSError):
                if int(status.read_text().rpartition(")")[2].split()[1]) == self.process.pid:
                    found.append(int(status.parent.name))
        return found

    def memory(self) -> int:
        """Resident bytes of all workers."""
        pages = sum(int(Path(f"/proc/{worker}/statm").read_text().split()[1]) for worker in self.workers())
        return pages * os.sysconf("SC_PAGE_SIZE")

    def kill(self) -> None:
        """kill -9, the workers too: nobody has time to tidy up."""
        workers = self.workers()
        self.process.kill()
        for worker in workers:
            os.kill(worker, signal.SIGKILL)
        self.process.wait()

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE)

    def ask(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Answer:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            connection.request(method, path, body, {"Host": "kent.localhost:8000", **headers})
            answer = connection.getresponse()
            return Answer(answer.status, answer.msg, answer.read())
        finally:
            connection.close()

    def ready(self) -> dict[str, Any]:
        found: dict[str, Any] = self.ask("GET", "/readyz").json
        return found

    def decide(self, *, given: bool = True, **headers: str) -> Answer:
        """A visitor decides; a 201 to a consent names its record as `receipt`."""
        document = {
            "site": "kent", "notice": self.site.notice.sha256, "method": "api", "lang": "en",
            "decisions": {purpose.key: given for purpose in self.site.optional},
        }  # fmt: skip
        headers |= {"Origin": KENT, "Content-Type": "application/json", "User-Agent": AGENT}
        return self.ask("POST", "/v1/consent", json.dumps(document).encode(), **headers)

    def view(self, path: str = "/furniture", **headers: str) -> Answer:
        """A page view, the first of its browser today."""
        today = datetime.now(self.site.zone).date()
        whole = {purpose.key: True for purpose in self.site.optional}
        permit = Seal(self.settings.signing_keys, self.settings.clock).permit(
            "kent", self.site.notice.sha256, whole, today
        )
        document = {
            "schema": 1, "site": "kent", "nonce": token_hex(8), "kind": "pageview", "path": path,
            "permit": permit, "day": today.isoformat(), "n": 1, "p": 1, "v": 1, "k": 1, "gap": "first",
            "lang": "en-GB", "zone": "Europe/London",
        }  # fmt: skip
        headers |= {"Origin": KENT, "Content-Type": "text/plain", "User-Agent": AGENT}
        return self.ask("POST", "/v1/collect", json.dumps(document).encode(), **headers)


def made(folder: Path) -> Path:
    """A new home."""
    home = folder / "home"
    done = CliRunner().invoke(main, ["init"], env={"CONSENT_HOME": str(home)})
    assert done.exit_code == 0, done.output
    return home
