"""What every engine can do: sum facts, and count web-server logs, into the same exact counts.

Counts are exact and private: they go to the holding store and from there, protected, to the published statistics.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Protocol

from anonymiser.facts import Fact
from anonymiser.settings import SiteRules

Counts = dict[tuple[str, str, str, str], int]
"""(local day, statistic, key1, key2) -> exact bounded count; cells that are zero are left out."""

PAGE_VIEWS: Final = "(page views)"
"""Under this name `sql/counts.sql` hands over, beside the bounded cells, how many page views each day had."""

END_OF_TIME: Final = datetime(9999, 12, 31, tzinfo=UTC)

Progress = Callable[[int, int], None]
"""Called with bytes done and bytes in all."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """A line that is no line of its file's format. `reason` never repeats what stands in it."""

    file: str
    line: int
    reason: str


@dataclass(frozen=True, slots=True)
class LogCounts:
    """What was found in log files: `read` lines == `counted` page views + `dropped` by reason + `rejected_total`.

    `counts` are bounded as `anonymiser.bounds` says, `counted` is not. `dropped` names its reasons as
    `anonymiser.weblogs.reasons` does. `rejected` holds the first 20, in order of file and line. `digest` is one
    SHA-256 over all files' contents, whatever their order and names. `views` are the exact page views of each local
    day, `counted` in all; they are taken out of `counts`.
    """

    counts: Counts
    read: int
    counted: int
    dropped: dict[str, int]
    rejected: tuple[Rejected, ...]
    rejected_total: int
    digest: str
    views: dict[str, int] = field(init=False)

    def __post_init__(self) -> None:
        views = {day: count for (day, name, _, _), count in self.counts.items() if name == PAGE_VIEWS}
        bounded = {cell: count for cell, count in self.counts.items() if cell[1] != PAGE_VIEWS}
        object.__setattr__(self, "views", views)
        object.__setattr__(self, "counts", bounded)
        explained = self.counted + sum(self.dropped.values()) + self.rejected_total
        if self.read != explained:
            raise ValueError(f"{self.read} lines were read, but {explained} are accounted for")


class Engine(Protocol):
    """Something that counts. All engines give the same counts, cell for cell."""

    def sum_facts(self, facts: Iterable[Fact]) -> Counts:
        """Add up the facts of one site; ValueError when they are of several."""

    def count_logs(
        self,
        files: Sequence[Path],
        rules: SiteRules,
        *,
        format: str = "auto",  # noqa: A002 - the option's own name
        latest: datetime = END_OF_TIME,
        progress: Progress | None = None,
    ) -> LogCounts:
        """Count the page views in `files` for one site; lines of after `latest` are dropped.

        The statistics of two dimensions are counted only where `rules.crossed` says so.
        `format` is "auto" (each file is looked at) or a name of `anonymiser.weblogs.FORMATS`. Raises InputError when
        a file cannot be read, its format cannot be told, or a rule is wrong.
        """
