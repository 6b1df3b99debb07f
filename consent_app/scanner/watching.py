"""One browser context under watch: requests, cookies and who set them, storage of every frame, probing calls."""

from __future__ import annotations

import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from consent_app.scanner.seen import Probe, Stored

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Page, Request, Response

SCRIPT: Final = Path(__file__).with_name("watch.js")
BINDING: Final = "consentScanSaw"
DAY: Final = 86_400  # seconds
# What a frame keeps, by kind. A frame that may keep nothing answers nothing.
KEPT: Final = """async () => {
  const kept = { localStorage: [], sessionStorage: [], indexedDB: [], cacheStorage: [], serviceWorker: [] };
  const look = async (kind, names) => { try { kept[kind] = await names(); } catch { /* denied here */ } };
  await look("localStorage", () => Object.keys(localStorage));
  await look("sessionStorage", () => Object.keys(sessionStorage));
  await look("indexedDB", async () => (await indexedDB.databases()).map(({ name }) => name));
  await look("cacheStorage", () => caches.keys());
  await look("serviceWorker", async () => (await navigator.serviceWorker.getRegistrations()).map(({ scope }) => scope));
  return kept;
}"""


@dataclass
class Watch:
    """Watches a context from its making. `restart` forgets what was seen so far; what is stored is looked at anew."""

    context: BrowserContext
    hosts: Counter[str] = field(default_factory=Counter)
    _setters: dict[str, list[str]] = field(default_factory=dict)
    _probes: Counter[tuple[str, str]] = field(default_factory=Counter)
    _stored: dict[tuple[str, str, str], Stored] = field(default_factory=dict)
    _answers: list[Response] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Begin; before the context's first page."""
        self.context.expose_binding(BINDING, self._told)
        self.context.add_init_script(path=SCRIPT)
        self.context.on("request", self._asked)
        self.context.on("response", self._answered)

    def restart(self) -> None:
        """Forget requests, calls and what was stored: what is seen from now on counts."""
        for forgotten in (self.hosts, self._probes, self._stored, self._answers):
            forgotten.clear()

    def look(self, page: Page) -> None:
        """Note what is stored now, on the device and in each frame of the page."""
        self._read_answers()
        for cookie in self.context.cookies():
            self._note(self._cookie(dict(cookie)))
        for frame in page.frames:
            place = "{0.scheme}://{0.netloc}".format(urlsplit(frame.url))
            with suppress(Exception):  # a frame may go away, or be of a kind that keeps nothing
                for kind, kept in frame.evaluate(KEPT).items():
                    for name in kept:
                        self._note(Stored(kind, name, place))

    @property
    def stored(self) -> tuple[Stored, ...]:
        """Everything that was stored when somebody looked, by kind, name and place."""
        return tuple(self._stored[key] for key in sorted(self._stored))

    @property
    def probes(self) -> tuple[Probe, ...]:
        """The probing calls, most first."""
        return tuple(Probe(name, by, calls) for (name, by), calls in self._probes.most_common())

    def _note(self, stored: Stored) -> None:
        self._stored[stored.kind, stored.name, stored.place] = stored

    def _told(self, _: Any, kind: str, name: str, by: str) -> None:
        """A frame's word. Pages may lie to it, which harms the report alone."""
        if kind == "cookie":
            self._set(name, by)
        elif kind in ("canvas", "fonts", "audio", "graphics"):
            self._probes[kind, by.split("?")[0]] += 1

    def _asked(self, request: Request) -> None:
        host = urlsplit(request.url).hostname
        if host and not request.url.startswith(("data:", "blob:")):
            self.hosts[host] += 1

    def _answered(self, answer: Response) -> None:
        self._answers.append(answer)

    def _read_answers(self) -> None:
        """Who set cookies by HTTP. The headers of an answer can be asked for outside its event only."""
        while self._answers:
            answer = self._answers.pop()
            with suppress(Exception):  # the page it belonged to may be gone
                for line in answer.header_values("set-cookie"):
                    self._set(line.split("=")[0].strip(), answer.url)

    def _set(self, name: str, by: str) -> None:
        setters = self._setters.setdefault(name, [])
        address = by.split("?")[0].split("#")[0]
        if address not in setters:
            setters.append(address)

    def _cookie(self, cookie: dict[str, Any]) -> Stored:
        flags = [word for word, on in (("HttpOnly", cookie["httpOnly"]), ("Secure", cookie["secure"])) if on]
        ends = cookie["expires"]
        return Stored(
            "cookie",
            cookie["name"],
            cookie["domain"] + cookie["path"],
            None if ends < 0 else max(0, round((ends - time.time()) / DAY)),
            (*flags, f"SameSite={cookie.get('sameSite', 'None')}"),
            tuple(self._setters.get(cookie["name"], ())),
        )
