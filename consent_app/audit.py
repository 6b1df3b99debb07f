"""Who did what, when: the staff's side of the house, in files that are only ever added to (`audit/2026-11.jsonl`).

An entry holds an account's name, never an address, and never what somebody typed: what is typed as a name may be a
password in the wrong field, so a name that is no account's is left out. Each line holds the hash of the line before it,
so a line that was changed, taken out or put in is seen.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, Final, Literal, get_args

from consent_app.errors import AuditError
from consent_app.private_files import exclusive, make_private_folder, replace_private, require_private
from consent_app.settings import Settings
from consent_app.sites import Site

FOLDER: Final = "audit"
KNOWN: Final = "settings.json"
What = Literal[
    "signed in", "sign-in failed", "locked out", "signed out", "signed out everywhere",
    "account added", "account changed", "account disabled", "password changed",
    "second factor on", "second factor off", "recovery code used", "recovery codes made",
    "keys rotated", "key added", "key revoked", "export", "backup", "erasure", "correction", "objection",
    "complaint answered", "notebook changed", "hold added", "hold ended", "retention run", "settings changed",
    "refused",
]  # fmt: skip
WHATS: Final[tuple[What, ...]] = get_args(What)
NOBODY: Final = ""
LONGEST: Final = 200
LONGEST_LINE: Final = 8192  # more than four fields of the longest kind, each letter of it escaped
_LOG: Final = logging.getLogger("consent_app")
_FIRST: Final = "0" * 64
_MONTH: Final = re.compile(r"\d{4}-\d{2}\.jsonl")
# What of the settings changes how visitors or staff are protected.
_OWN_SETTINGS: Final = (
    "public_url", "trusted_proxies", "mix_beacons", "mix_seconds", "second_factor", "login_header", "login_networks",
    "audit_months",
)  # fmt: skip
_SITE_SETTINGS: Final = (
    "controller", "origins", "domains", "timezone", "regime", "do_not_track", "covers", "excluded_networks",
    "retention_hours", "retention_months", "consent_retention_months", "complaint_retention_months", "crossed", "grain",
    "protection", "purposes",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that was done: when (UTC, to the second), by whom ("" for nobody known), what, to what, by what way."""

    time: str
    who: str
    what: str
    about: str
    how: str


class Trail:
    """The entries of one home. Many processes may add at once; whole months go when they are past their time."""

    def __init__(self, folder: Path, clock: Callable[[], datetime], months: int) -> None:
        self._folder = folder
        self._clock = clock
        self._months = months

    @classmethod
    def of(cls, settings: Settings) -> Trail:
        """That of a data home."""
        return cls(settings.home / FOLDER, settings.clock, settings.audit_months)

    def add(self, what: What, who: str, about: str = "", how: str = "dashboard") -> None:
        """Add one entry; it is on disk when this returns. Raises AuditError where it cannot be written."""
        now = self._clock().astimezone(UTC)
        entry = Entry(f"{now:%Y-%m-%dT%H:%M:%SZ}", _plain(who), what, _plain(about), _plain(how))
        try:
            make_private_folder(self._folder)
            with exclusive(self._folder):
                self._append(self._folder / f"{now:%Y-%m}.jsonl", entry)
        except OSError as error:
            raise AuditError(f"{self._folder} cannot be written ({error.strerror}), so nothing was done") from error

    def entries(self) -> Iterator[Entry]:
        """Every entry, the newest first. A line that is none is passed over; `fault` tells of it."""
        for file in reversed(self._files()):
            for line in reversed(_lines(file)):
                entry = _read(line)
                if entry:
                    yield entry

    def fault(self) -> str:
        """Where a line does not follow from the one before it; "" where all do.

        Lines cut from the very end leave no trace here: a copy kept elsewhere shows them.
        """
        before = ""
        for file in self._files():
            for number, line in enumerate(_lines(file), start=1):
                if _read(line) is None or (before and json.loads(line)["before"] != before):
                    return f"{file.name}, line {number}: does not follow from the line before it"
                before = _hash(line)
        return ""

    def forget(self) -> int:
        """Remove the months that are past their time; returns how many."""
        now = self._clock().astimezone(UTC)
        first = now.year * 12 + now.month - 1 - self._months
        old = [file for file in self._files() if int(file.name[:4]) * 12 + int(file.name[5:7]) - 1 < first]
        for file in old:
            file.unlink(missing_ok=True)
        return len(old)

    def begin(self, settings: Settings, sites: Iterable[Site]) -> None:
        """At the start of a server: note what settings changed since the last, and let go what is past its time.

        A disk that takes nothing does not keep the server from starting; the log says so.
        """
        try:
            self.forget()
            self.note_settings(settings, sites)
        except (AuditError, OSError) as error:
            _LOG.error("audit trail: %s", error)

    def note_settings(self, settings: Settings, sites: Iterable[Site]) -> None:
        """Add an entry for each place whose settings are not what they were when this was last asked."""
        known = self._folder / KNOWN
        now = _fingerprints(settings, sites)
        try:
            make_private_folder(self._folder)
            with exclusive(self._folder):
                earlier = json.loads(known.read_text("utf-8")) if known.exists() else {}
                if earlier != now:
                    replace_private(known, json.dumps(now, indent=1, sort_keys=True) + "\n")
        except (OSError, ValueError) as error:
            raise AuditError(f"{known} cannot be used ({error}); remove it if it is damaged") from error
        for about in _changes(earlier, now):
            self.add("settings changed", NOBODY, about, "start of a server")

    def _append(self, file: Path, entry: Entry) -> None:
        if not file.exists():
            self.forget()
        last = next((line for f in reversed(self._files()) if (line := _last_line(f))), b"")
        whole = {**asdict(entry), "before": _hash(last) if last else _FIRST}
        with open(os.open(file, os.O_RDWR | os.O_CREAT, 0o600), "r+b") as opened:  # noqa: PTH123 - it is open already
            opened.truncate(_whole(opened))
            opened.seek(0, os.SEEK_END)
            opened.write(json.dumps(whole, ensure_ascii=False).encode() + b"\n")
            opened.flush()
            os.fsync(opened.fileno())

    def _files(self) -> list[Path]:
        found = self._folder.iterdir() if self._folder.is_dir() else ()
        files = sorted(file for file in found if _MONTH.fullmatch(file.name))
        for file in files:
            require_private(file)
        return files


def _lines(file: Path) -> list[bytes]:
    """Whole lines: what a crash left half written at the end is none."""
    return file.read_bytes().split(b"\n")[:-1]


def _last_line(file: Path) -> bytes:
    with file.open("rb") as opened:
        size = _whole(opened)
        opened.seek(max(size - LONGEST_LINE, 0))
        return opened.read(size - opened.tell())[:-1].rpartition(b"\n")[2]


def _whole(opened: BinaryIO) -> int:
    """How many bytes are whole lines; what a crash left half written after them was never acknowledged."""
    size = opened.seek(0, os.SEEK_END)
    opened.seek(max(size - LONGEST_LINE, 0))
    return size - len(opened.read().rpartition(b"\n")[2])


def _read(line: bytes) -> Entry | None:
    try:
        found = json.loads(line)
        return Entry(*(str(found[name]) for name in Entry.__dataclass_fields__)) if "before" in found else None
    except (ValueError, KeyError, TypeError):
        return None


def _hash(line: bytes) -> str:
    return hashlib.sha256(line).hexdigest()


def _plain(text: str) -> str:
    return "".join(letter if letter.isprintable() else " " for letter in text)[:LONGEST]


def _fingerprints(settings: Settings, sites: Iterable[Site]) -> dict[str, dict[str, str]]:
    """Place -> setting -> a hash of its value: that it changed is told, not to what."""
    found = {"installation": {name: _value(getattr(settings, name)) for name in _OWN_SETTINGS}}
    for site in sites:
        values = {name: _value(getattr(site, name)) for name in _SITE_SETTINGS}
        found[site.key] = {**values, "notice": site.notice.sha256}
    return found


def _value(value: Any) -> str:
    return _hash(repr(value).encode())[:16]


def _changes(earlier: Mapping[str, Mapping[str, str]], now: Mapping[str, Mapping[str, str]]) -> Iterator[str]:
    """Each place with what changed in it, as `kent: notice, regime`; a home that was never seen changed nothing."""
    for place in sorted(earlier.keys() | now.keys() if earlier else ()):
        if place not in now or place not in earlier:
            yield f"{place}: {'removed' if place not in now else 'added'}"
        elif names := [name for name, value in now[place].items() if earlier[place].get(name) != value]:
            yield f"{place}: {', '.join(names)}"
