"""Classic ASP for tests: an interpreter in a process of its own, with our include and a page for two sites."""

from __future__ import annotations

import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from time import sleep
from typing import Any

from consent_app.commands.snippets import ADDRESS

INCLUDE = Path(__file__).parents[1] / "deploy" / "iis" / "consent.asp"
PAGE = """<!-- #include virtual="/consent.asp" -->
<!doctype html><html lang="en"><title>Orders</title><h1>Orders</h1>
<p id="allowed"><% If ConsentAllows("{site}", "statistics") Then %>yes<% Else %>no<% End If %></p>
<% ConsentBanner "{site}" %>
<p><a href="/cookies?site={site}" data-consent-open>Cookie settings</a></p>
</html>
"""


@dataclass
class Interpreter:
    """Serves a folder of classic ASP on a port of its own."""

    folder: Path
    service: str

    def __enter__(self) -> int:
        include = INCLUDE.read_text("utf-8").replace(f"http://{ADDRESS}", self.service)
        (self.folder / "consent.asp").write_text(include, "utf-8")
        for site in ("kent", "surrey"):
            (self.folder / f"{site}.asp").write_text(PAGE.replace("{site}", site), "utf-8")
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = int(free.getsockname()[1])
        command = [sys.executable, "-W", "ignore", "-m", "ASPPY", "127.0.0.1", str(port), str(self.folder)]
        quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": self.folder}
        self.process = subprocess.Popen(command, env={"ASP_PY_ALLOW_LOCALHOST": "1"}, **quiet)
        for _ in range(1200):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    return port
            sleep(0.05)
        raise AssertionError("the ASP interpreter did not start")

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
