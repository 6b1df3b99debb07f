"""Removal: what was counted is unlinked, and what was removed is named, so that the ledger can say so."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from anonymiser import spool
from anonymiser.errors import SegmentError
from anonymiser.segments import sync_directory

LIMIT: Final = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Removal:
    """A segment that is gone: its random name, the UTC hour it was begun in, and when it was removed."""

    segment: str
    hour: datetime
    time: datetime


def remove(segments: Iterable[spool.Segment]) -> None:
    """Unlink counted segments; one that is gone already is no error."""
    for segment in segments:
        try:
            spool.destroy(segment)
        except OSError as error:
            raise SegmentError(
                f"{segment.path} was counted but cannot be removed ({error.strerror}); give rights to its folder and "
                "run the batch again"
            ) from error


def gone(directory: Path, begun: Mapping[str, datetime], now: datetime) -> list[Removal]:
    """The segments (name -> hour) whose removal has begun and whose files are not there any more."""
    there = {segment.id for segment in spool.segments(directory)}
    return [Removal(name, hour, now) for name, hour in sorted(begun.items()) if name not in there]


def remove_files(files: Sequence[Path]) -> None:
    """Unlink log files after publication. Raises SegmentError naming the file that stays."""
    for file in files:
        try:
            file.unlink(missing_ok=True)
            sync_directory(file.parent)
        except OSError as error:
            raise SegmentError(
                f"{file} was counted but cannot be removed ({error.strerror}); remove it yourself"
            ) from error


def overdue(directory: Path, now: datetime) -> list[str]:
    """The segments that have waited longer than LIMIT since their hour ended, each with its age in hours."""
    limit = now.astimezone(UTC) - LIMIT - timedelta(hours=1)
    return [
        f"segment {segment.id} has waited for {(now - segment.hour) // timedelta(hours=1)} hours"
        for segment in spool.segments(directory)
        if segment.hour < limit
    ]
