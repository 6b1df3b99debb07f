"""What a run of the batch did, for whoever started it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from anonymiser.coverage import LATE
from anonymiser.engines import Rejected


@dataclass(frozen=True, slots=True)
class SpoolReport:
    """What a run over the spool did. `dropped` counts facts by reason; `damaged` names segments that were left; `torn`
    counts those whose end was missing, because their process died.
    """

    segments: int
    facts: int
    dropped: Mapping[str, int]
    damaged: tuple[str, ...]
    releases: tuple[str, ...]
    torn: int = 0

    @property
    def late(self) -> int:
        """Facts of days that were released before they came."""
        return self.dropped.get(LATE, 0)


@dataclass(frozen=True, slots=True)
class LogReport:
    """What a run over log files did. Exact, so private: `read` == `counted` + sum of `dropped` + `rejected_total`.

    Of `dropped`, "late" counts the page views of days that were released before, "open-day" those that wait for the
    next run, "stray-day" those of a few visitors whose clock must have been wrong.
    """

    read: int
    counted: int
    dropped: Mapping[str, int]
    rejected: tuple[Rejected, ...]
    rejected_total: int
    releases: tuple[str, ...]
