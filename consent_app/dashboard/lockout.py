"""Guessing passwords made slow: failures are counted in memory, and each beyond the free ones doubles the wait."""

from __future__ import annotations

import hashlib
import secrets
import threading
from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

FREE_TOGETHER: Final = 5
FREE_APART: Final = 30
FIRST_WAIT: Final = timedelta(seconds=30)
LONGEST_WAIT: Final = timedelta(minutes=15)
FORGOTTEN_AFTER: Final = timedelta(hours=1)
KEPT: Final = 10_000


@dataclass(slots=True)
class _Failures:
    number: int
    last: datetime
    told: bool = False


class Lockout:
    """Counts failures per name and address together, and more patiently per name and per address alone.

    A stranger can so delay a colleague's sign-in only after many failures, and by at most 15 minutes. Names and
    addresses are kept as keyed hashes only, at most 10,000 of them, and for an hour. Thread-safe.
    """

    def __init__(self) -> None:
        self._secret = secrets.token_bytes(32)
        self._failures: OrderedDict[bytes, _Failures] = OrderedDict()
        self._lock = threading.Lock()

    def begin(self, name: str, address: str, now: datetime) -> timedelta:
        """Count an attempt as failed until `succeeded` is called; returns how long to wait, nought when it may go on.

        Counting first keeps a burst of simultaneous attempts from passing together.
        """
        with self._lock:
            keys = self._keys(name, address)
            wait = max(self._wait(key, free, now) for key, free in keys)
            if wait <= timedelta(0):
                for key, _ in keys:
                    self._count(key, now)
            return max(wait, timedelta(0))

    def is_news(self, name: str, address: str) -> bool:
        """Whether somebody has to wait who was not told so since the last failure that counted."""
        with self._lock:
            found = [self._failures[key] for key, free in self._keys(name, address) if self._is_past(key, free)]
            news = not any(failures.told for failures in found)
            for failures in found:
                failures.told = True
            return news

    def succeeded(self, name: str, address: str) -> None:
        """Forget the failures of this name and address together; each alone keeps its count."""
        with self._lock:
            (together, _), *apart = self._keys(name, address)
            self._failures.pop(together, None)
            for key, _ in apart:
                if key in self._failures:
                    self._failures[key].number -= 1

    def _keys(self, name: str, address: str) -> list[tuple[bytes, int]]:
        name = name.strip().casefold()
        return [
            (self._hash("both", name, address), FREE_TOGETHER),
            (self._hash("name", name), FREE_APART),
            (self._hash("address", address), FREE_APART),
        ]

    def _hash(self, *parts: str) -> bytes:
        return hashlib.blake2b("\0".join(parts).encode(), key=self._secret, digest_size=16).digest()

    def _is_past(self, key: bytes, free: int) -> bool:
        return key in self._failures and self._failures[key].number >= free

    def _wait(self, key: bytes, free: int, now: datetime) -> timedelta:
        failures = self._failures.get(key)
        if failures is None or failures.number < free:
            return timedelta(0)
        doubled = FIRST_WAIT * (1 << min(failures.number - free, 16))
        return failures.last + min(doubled, LONGEST_WAIT) - now

    def _count(self, key: bytes, now: datetime) -> None:
        failures = self._failures.pop(key, None)
        if failures is None or now - failures.last > FORGOTTEN_AFTER:
            failures = _Failures(0, now)
        self._failures[key] = _Failures(failures.number + 1, now)
        while len(self._failures) > KEPT:
            self._failures.popitem(last=False)
