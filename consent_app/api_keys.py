"""Keys of the statistics API: shown once, kept as their SHA-256 only, one small file for each, in api-keys/ (0700).

A key has 256 random bits, so nobody can guess one from its hash, however fast they try. A slow hash such as Argon2 is
for passwords, which people choose; here it would only make every question slow.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import secrets
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any, Final

from consent_app.errors import ConsentError
from consent_app.private_files import make_private_folder, replace_private, require_private

PREFIX: Final = "consent"  # scanners of source code look for a fixed beginning
SECRET_BYTES: Final = 32
LONGEST_NAME: Final = 64
_NAME: Final = re.compile(rf"[\w][\w .@/-]{{0,{LONGEST_NAME - 1}}}")
_ID: Final = re.compile(r"[0-9a-f]{8}")
_KEY: Final = re.compile(rf"{PREFIX}_([0-9a-f]{{8}})_([A-Za-z0-9_-]{{43}})")


class KeysError(ConsentError):
    """An API key that cannot be made, found or read from its file."""


@dataclass(frozen=True, slots=True)
class ApiKey:
    """Who may ask what: `sites` are site keys, empty means every site. Days are UTC; it is valid through `expires`."""

    id: str
    name: str
    sites: tuple[str, ...]
    created: date
    expires: date
    sha256: str
    revoked: date | None = None

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise KeysError(f"{self.name!r} cannot name a key: letters, digits, spaces and . _ @ / - (at most 64)")
        if self.expires < self.created:
            raise KeysError(f"a key cannot expire on {self.expires}, before it is made")

    def may_see(self, site: str) -> bool:
        """Whether the figures of that site may be asked for with it."""
        return not self.sites or site in self.sites

    def is_valid(self, today: date) -> bool:
        """Whether it opens anything on that day."""
        return self.revoked is None and today <= self.expires


class ApiKeys:
    """The keys of one installation. What another process changes holds from the next question on."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def add(self, name: str, sites: tuple[str, ...], today: date, expires: date) -> tuple[ApiKey, str]:
        """Make a key; returns it with the text that opens it, which nobody can show again. Raises KeysError."""
        number, secret = secrets.token_hex(4), secrets.token_urlsafe(SECRET_BYTES)
        text = f"{PREFIX}_{number}_{secret}"
        key = ApiKey(number, name, sites, today, expires, _digest(text))
        make_private_folder(self._folder)
        self._keep(key)
        return key, text

    def all(self) -> list[ApiKey]:
        """Every key that was ever made, the newest first. Raises KeysError where a file is broken."""
        found = [self._read(file) for file in self._folder.glob("*.json")]
        return sorted(found, key=lambda key: (key.created, key.name, key.id), reverse=True)

    def revoke(self, number: str, today: date) -> ApiKey:
        """Let a key open nothing any more, at once. Raises KeysError when there is none of that id."""
        if not _ID.fullmatch(number) or not self._file(number).exists():
            raise KeysError(f"there is no key {number!r}; `consent key list` shows them")
        key = self._read(self._file(number))
        if key.revoked is None:
            key = replace(key, revoked=today)
            self._keep(key)
        return key

    def verify(self, text: str, today: date) -> ApiKey | None:
        """The key that this text opens, if it is valid; its day of use is noted. Raises KeysError for a broken file."""
        match = _KEY.fullmatch(text)
        if match is None or not self._file(match[1]).exists():
            return None
        key = self._read(self._file(match[1]))
        if not hmac.compare_digest(key.sha256, _digest(text)) or not key.is_valid(today):
            return None
        self._note_use(key, today)
        return key

    def last_used(self, key: ApiKey) -> date | None:
        """The last day on which it was used; nothing finer is kept."""
        try:
            return date.fromisoformat(self._used(key.id).read_text("ascii").strip())
        except (OSError, ValueError):
            return None

    def _note_use(self, key: ApiKey, today: date) -> None:
        """A file of its own, so that no use can undo what `revoke` writes. A full disk stops no question."""
        if self.last_used(key) != today:
            with suppress(OSError):
                replace_private(self._used(key.id), f"{today.isoformat()}\n")

    def _keep(self, key: ApiKey) -> None:
        replace_private(self._file(key.id), json.dumps(asdict(key), default=date.isoformat, indent=1) + "\n")

    def _file(self, number: str) -> Path:
        return self._folder / f"{number}.json"

    def _used(self, number: str) -> Path:
        return self._folder / f"{number}.used"

    def _read(self, file: Path) -> ApiKey:
        require_private(file)
        try:
            return _of(json.loads(file.read_text("utf-8")))
        except (ValueError, KeyError, TypeError) as error:
            raise KeysError(f"{file} is no API key; revoke it by removing the file, and make a new key") from error


def _of(entry: dict[str, Any]) -> ApiKey:
    created, expires = date.fromisoformat(entry["created"]), date.fromisoformat(entry["expires"])
    revoked = date.fromisoformat(entry["revoked"]) if entry["revoked"] else None
    sites = tuple(str(site) for site in entry["sites"])
    return ApiKey(entry["id"], entry["name"], sites, created, expires, str(entry["sha256"]), revoked)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
