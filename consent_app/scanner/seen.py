"""What a visit left on the device and which hosts it asked: names and numbers, never the values that were stored."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

from consent_app.purposes import StorageKind

Visit = Literal["before", "refused", "signal", "accepted"]
Kind = StorageKind | Literal["cacheStorage", "serviceWorker"]

# In the order in which they are made and shown. A signal is Global Privacy Control.
VISITS: Final[dict[Visit, str]] = {
    "before": "Before a choice",
    "refused": "After refusal",
    "signal": "With Global Privacy Control",
    "accepted": "After acceptance",
}
KINDS: Final[dict[Kind, str]] = {
    "cookie": "cookie",
    "localStorage": "local storage",
    "sessionStorage": "session storage",
    "indexedDB": "database",
    "cacheStorage": "cache",
    "serviceWorker": "service worker",
}


@dataclass(frozen=True, slots=True)
class Stored:
    """A cookie or storage entry. `place` is the cookie's domain and path, else the origin.

    `days` is a cookie's lifetime from now; None for the browser's session and for storage that stays. `flags` are the
    cookie's attributes; `by` says who set it: addresses of scripts or answers, in order.
    """

    kind: Kind
    name: str
    place: str
    days: int | None = None
    flags: tuple[str, ...] = ()
    by: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Probe:
    """Calls of an interface by which browsers are told apart (canvas, audio, fonts, graphics), by the script `by`."""

    interface: str
    by: str
    calls: int


@dataclass(frozen=True, slots=True)
class Seen:
    """What one visit saw. `hosts` has the requests to each host; `answered` says how the banner was, "" if none was."""

    visit: Visit
    pages: tuple[str, ...]
    stored: tuple[Stored, ...]
    hosts: dict[str, int]
    probes: tuple[Probe, ...]
    answered: str = ""
    picture: str = ""


def grouped(visits: Iterable[Seen]) -> dict[tuple[Kind, str], list[tuple[Visit, Stored]]]:
    """Everything stored, by kind and name, with the visits it was seen in. Cookies first, then by name."""
    found: dict[tuple[Kind, str], list[tuple[Visit, Stored]]] = {}
    for seen in visits:
        for stored in seen.stored:
            found.setdefault((stored.kind, stored.name), []).append((seen.visit, stored))
    return dict(sorted(found.items(), key=lambda item: (list(KINDS).index(item[0][0]), item[0][1])))
