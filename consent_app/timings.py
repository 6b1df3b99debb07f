"""How long answers took, by door: counts in fixed buckets since the process started, of no request by itself."""

from __future__ import annotations

from bisect import bisect_left
from threading import Lock
from typing import TYPE_CHECKING, Final, cast

if TYPE_CHECKING:
    from flask import Flask

NAME: Final = "consent-timings"
SECONDS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
"""The upper ends of the buckets; the last one has none."""


class Timings:
    """Histograms of seconds, one for each door. Thread-safe."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._counts: dict[str, list[int]] = {}
        self._sums: dict[str, float] = {}

    def add(self, door: str, seconds: float) -> None:
        """Count one answer."""
        place = bisect_left(SECONDS, seconds)
        with self._lock:
            counts = self._counts.get(door)
            if counts is None:
                counts = self._counts[door] = [0] * (len(SECONDS) + 1)
                self._sums[door] = 0.0
            counts[place] += 1
            self._sums[door] += seconds

    def all(self) -> dict[str, tuple[list[int], float]]:
        """Door -> how many answers fell into each bucket, and their sum in seconds."""
        with self._lock:
            return {door: (list(counts), self._sums[door]) for door, counts in self._counts.items()}


def timings_of(app: Flask) -> Timings:
    """Those of an application."""
    return cast(Timings, app.extensions[NAME])
