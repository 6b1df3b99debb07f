"""Where counting happens: one small protocol, one engine a file."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from anonymiser.facts import Fact
from anonymiser.settings import SiteRules

Counts = dict[tuple[str, str, str, str], int]
"""Bounded counts by (local day, statistic, key1, key2); cells that are zero are left out."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """A line that could not be read: file name, line number from 1, and why. Never its text."""

    file: str
    line: int
    reason: str


@dataclass(frozen=True, slots=True)
class LogCounts:
    """What log files gave: read == counted + sum(dropped) + rejected_total lines. Exact, so it stays in the batch.

    `counted` lines are page views before bounding; `rejected` lists the first 20; `digest` is the SHA-256 of what was
    read, whatever the order of the files.
    """

    counts: Counts
    read: int
    counted: int
    dropped: dict[str, int]
    rejected: tuple[Rejected, ...]
    rejected_total: int
    digest: str


class Engine(Protocol):
    """Sums facts, and turns log files into the same sums."""

    def sum_facts(self, facts: Iterable[Fact]) -> Counts:
        """Add facts up."""

    def count_logs(
        self,
        files: Sequence[Path],
        rules: SiteRules,
        *,
        format: str = "auto",  # noqa: A002 - the option's own name
        progress: Callable[[int, int], None] | None = None,
    ) -> LogCounts:
        """Read, clean, sessionise and count log files. Raises InputError for what cannot be read at all."""
