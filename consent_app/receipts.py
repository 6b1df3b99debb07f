"""What was decided, sealed: the signed proof a visitor keeps, and the permit that page-view beacons carry.

A proof says what one browser decided; only a *given* decision has a random id. A permit says what everybody decided who
chose alike on the same day at the same site: it has no randomness and no id, so it tells nobody apart.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from itsdangerous import BadSignature, URLSafeSerializer

from consent_app.errors import SettingsError

VALIDITY: Final = timedelta(days=180)
KEYS_KEPT: Final = 4


@dataclass(frozen=True, slots=True)
class Decision:
    """One decision about one notice.

    `event`: given, refused, withdrawn, changed or objected. `at`: second for a given decision, day (midnight UTC) for a
    refused one, so that refusals of a day are the same for everybody. `record` is the random id, "" unless given.
    """

    site: str
    notice: str
    decisions: dict[str, bool]
    method: str
    lang: str
    event: str
    at: datetime
    record: str = ""

    @property
    def day(self) -> date:
        """The UTC day of the decision, from which its validity runs."""
        return self.at.date()


@dataclass(frozen=True, slots=True)
class Permit:
    """What beacons may claim: these decisions about this notice, made on this day. The same for all who chose alike."""

    site: str
    notice: str
    decisions: dict[str, bool]
    day: date
    by_gpc: bool = field(default=False)

    def allows(self, purpose: str, today: date) -> bool:
        """Whether that purpose is on, and the decision not older than its validity."""
        return self.decisions.get(purpose, False) and today <= self.day + VALIDITY


class Seal:
    """Signs and opens proofs and permits. Keys run from oldest to newest; the newest signs, all verify."""

    def __init__(self, keys: Sequence[str]) -> None:
        self._keys = list(keys)
        self._permits = lru_cache(maxsize=4096)(self._open_permit)

    def proof(self, decision: Decision) -> str:
        """The signed text of a decision."""
        return self._text("proof", decision.site, _packed(decision))

    def open_proof(self, text: str, site: str, now: datetime) -> Decision | None:
        """The decision of a proof; None if it is forged, of another site, expired or of a retired key."""
        raw = self._opened("proof", site, text)
        try:
            decision = _unpacked(site, raw) if raw is not None else None
        except (KeyError, TypeError, ValueError, AttributeError):
            return None
        return decision if decision and now < decision.at + VALIDITY else None

    def permit(self, decision: Decision) -> str:
        """The permit of a decision: nothing in it tells one visitor from another."""
        body = [decision.notice[:16], _bits(decision.decisions), decision.day.isoformat(), decision.method == "gpc"]
        return self._text("permit", decision.site, body)

    def open_permit(self, text: str, site: str) -> Permit | None:
        """The permit, or None if it is not one of ours for that site. Verdicts are kept: many beacons carry each."""
        return self._permits(text, site)

    def _open_permit(self, text: str, site: str) -> Permit | None:
        raw = self._opened("permit", site, text)
        try:
            notice, decisions, day, by_gpc = raw
            return Permit(site, notice, {k: bool(v) for k, v in decisions.items()}, date.fromisoformat(day), by_gpc)
        except (TypeError, ValueError, AttributeError):
            return None

    def _serializer(self, use: str, site: str) -> URLSafeSerializer:
        options = {"key_derivation": "hmac", "digest_method": hashlib.sha256}
        return URLSafeSerializer(self._keys, salt=f"consent.{use}.{site}", signer_kwargs=options)

    def _text(self, use: str, site: str, body: Any) -> str:
        return str(self._serializer(use, site).dumps(body))

    def _opened(self, use: str, site: str, text: str) -> Any:
        try:
            return self._serializer(use, site).loads(text)
        except (BadSignature, UnicodeError):
            return None


def _bits(decisions: dict[str, bool]) -> dict[str, int]:
    return {key: int(decisions[key]) for key in sorted(decisions)}


def _packed(decision: Decision) -> dict[str, Any]:
    return {
        "n": decision.notice,
        "d": _bits(decision.decisions),
        "m": decision.method,
        "l": decision.lang,
        "e": decision.event,
        "t": decision.at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "r": decision.record,
    }


def _unpacked(site: str, raw: dict[str, Any]) -> Decision:
    at = datetime.strptime(raw["t"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    decisions = {str(key): bool(value) for key, value in raw["d"].items()}
    return Decision(site, raw["n"], decisions, raw["m"], raw["l"], raw["e"], at, raw["r"])


def dated(decision: Decision) -> Decision:
    """The decision with its id and time as they may be kept: a random id and seconds if given, else none and the day."""
    if any(decision.decisions.values()):
        return replace(decision, at=decision.at.replace(microsecond=0), record=decision.record or secrets.token_hex(16))
    return replace(decision, at=decision.at.replace(hour=0, minute=0, second=0, microsecond=0), record="")


def load_keys(path: Path) -> list[str]:
    """The keys of a secrets file, oldest first. Raises SettingsError when it is missing or others may read it."""
    try:
        if os.name == "posix" and path.stat().st_mode & 0o077:
            raise SettingsError(f"{path} can be read by others", remedy=f"chmod 600 {path}")
        keys = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise SettingsError(f"{path} cannot be read", remedy="run `consent init`") from error
    except ValueError as error:
        raise SettingsError(f"{path} is not a list of keys", remedy="restore it from a backup") from error
    if not isinstance(keys, list) or not keys or not all(isinstance(key, str) and len(key) >= 32 for key in keys):
        raise SettingsError(f"{path} is not a list of keys", remedy="restore it from a backup")
    return keys


def rotate_keys(path: Path) -> int:
    """Append a new key, drop the oldest beyond four, replace the file atomically. Returns how many there are."""
    keys = load_keys(path) if path.exists() else []
    keys = [*keys, secrets.token_urlsafe(48)][-KEYS_KEPT:]
    write_private(path, json.dumps(keys))
    return len(keys)


def write_private(path: Path, text: str) -> None:
    """Write a file only its owner can read, whole or not at all."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
