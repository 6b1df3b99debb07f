"""Check on your own server what a visitor allowed: reads the consent service's tokens and permits. No other package.

    verify("permit", cookie.split("~")[3], "kent", keys, datetime.now(UTC))

`keys` are the keys of the service's secrets/signing.keys, the second word of each line. docs/clients.md says the rest.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

VALIDITY = timedelta(days=180)
LONGEST = 2048  # characters
SHAPE = re.compile(r"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)")


def verify(use: str, text: str, site: str, keys: Iterable[str], now: datetime) -> dict[str, Any] | None:
    """What a text of that use ("token" or "permit") says, while it holds at `now` (with a time zone); else None.

    None is no consent: forged, of another site or use, signed by a retired key, or lapsed.
    """
    shape = SHAPE.fullmatch(text) if len(text) <= LONGEST else None
    if shape is None or not any(hmac.compare_digest(_signed(use, shape[1], site, key), shape[2]) for key in keys):
        return None
    said = _named(use, json.loads(urlsafe_b64decode(shape[1] + "=" * (-len(shape[1]) % 4))))
    return said if _holds(use, said["time"], now) else None


def _named(use: str, body: list[Any]) -> dict[str, Any]:
    notice, bits, time, *more = body
    said = {"notice": notice, "decisions": {purpose: bool(bit) for purpose, bit in bits.items()}, "time": time}
    if use == "permit":
        return said | {"explicit": bool(more[0])}
    return said | dict(zip(("method", "lang", "id"), more or ("", "", ""), strict=True))


def _signed(use: str, payload: str, site: str, key: str) -> str:
    derived = hmac.digest(key.encode(), f"consent.{use}.{site}".encode(), hashlib.sha256)
    return urlsafe_b64encode(hmac.digest(derived, payload.encode(), hashlib.sha256)).rstrip(b"=").decode()


def _holds(use: str, time: str, now: datetime) -> bool:
    """A token to the second; a permit to the end of its last day."""
    lapses = datetime.fromisoformat(time.removesuffix("Z")).replace(tzinfo=UTC) + VALIDITY
    return now < lapses + timedelta(days=1 if use == "permit" else 0)
