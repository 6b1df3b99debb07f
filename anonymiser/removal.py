"""Removal: keys are destroyed, counted segments unlinked, and what was removed is named, so that the ledger can say so.

The order is: counts folded into the holding file that names the segments, the segments' names written down here, the
key of their hour destroyed, files unlinked, removal recorded by whoever keeps a ledger. A run that is killed anywhere
between is finished by the next. What is left of a segment after that, on a disk or in a backup, nobody can open.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from anonymiser import spool
from anonymiser.errors import SegmentError
from anonymiser.hour_keys import HourKeys
from anonymiser.sealed import sync_directory
from anonymiser.segments import BEGUN, begun, hour_of, is_there

LIMIT: Final = timedelta(hours=24)
_HOUR: Final = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Removal:
    """A segment that is gone: its random name, the UTC hour it was begun in, and when it was removed."""

    segment: str
    hour: datetime
    time: datetime


def lost(directory: Path, counted: Collection[str], now: datetime) -> dict[str, datetime]:
    """Segments (name -> hour) that somebody removed before they were counted: their marks are there, no file is."""
    marks = begun(directory)
    return {
        name: hour
        for name, hour in marks.items()
        if hour < hour_of(now) and name not in counted and not is_there(directory, name)
    }


def expired(directory: Path, counted: Collection[str], now: datetime, limit: timedelta = LIMIT) -> dict[str, datetime]:
    """Closed segments (name -> hour) that could not be counted within `limit`; they are removed unread."""
    return {
        segment.id: segment.hour
        for segment in spool.segments(directory)
        if segment.closed and segment.id not in counted and _is_over(segment.hour, now, limit)
    }


def destroy_keys(
    directory: Path, keys: HourKeys, counted: Collection[str], now: datetime, limit: timedelta = LIMIT
) -> None:
    """Destroy the keys of ended hours all of whose segments are counted, and of every hour past `limit`.

    An hour without segments counts as done: its public key was taken away before the folder was looked through, and a
    segment that was begun before that has left its mark or its file.
    """
    waiting = {hour for name, hour in begun(directory).items() if name not in counted}
    waiting |= {segment.hour for segment in spool.segments(directory) if segment.id not in counted}
    ended = [hour for hour in keys.hours if hour < hour_of(now)]
    keys.destroy([hour for hour in ended if hour not in waiting or _is_over(hour, now, limit)])


def remove(directory: Path, counted: Collection[str]) -> None:
    """Unlink counted segments; one that is gone already is no error."""
    for segment in spool.segments(directory):
        if segment.id not in counted:
            continue
        try:
            spool.destroy(segment)
        except OSError as error:
            raise SegmentError(
                f"{segment.path} was counted but cannot be removed ({error.strerror}); give rights to its folder and "
                "run the batch again"
            ) from error


def gone(directory: Path, removing: Mapping[str, datetime], now: datetime) -> list[Removal]:
    """The segments (name -> hour) whose removal has begun and whose files are not there any more."""
    return [Removal(name, hour, now) for name, hour in sorted(removing.items()) if not is_there(directory, name)]


def forget(directory: Path, names: Iterable[str]) -> None:
    """Take away the marks of segments whose removal is recorded."""
    for name in names:
        (directory / f"{name}{BEGUN}").unlink(missing_ok=True)


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


def overdue(
    directory: Path, keys: HourKeys, counted: Collection[str], now: datetime, limit: timedelta = LIMIT
) -> list[str]:
    """What has been there longer than `limit` since its hour ended, or is gone uncounted; nothing while the promise is
    kept.
    """
    late = [
        f"segment {segment.id} has waited for {(now - segment.hour) // _HOUR} hours"
        for segment in spool.segments(directory)
        if _is_over(segment.hour, now, limit)
    ]
    late += [
        f"the key of the hour {hour:%Y-%m-%dT%H}Z is still there" for hour in keys.hours if _is_over(hour, now, limit)
    ]
    late += [
        f"segment {name} was begun, and is gone without having been counted"
        for name, hour in begun(directory).items()
        if _is_over(hour, now, limit) and name not in counted and not is_there(directory, name)
    ]
    return late


def late(removals: Iterable[Removal]) -> list[str]:
    """Removals that came later than LIMIT after their hour had ended."""
    return [
        f"segment {removal.segment} was removed {(removal.time - removal.hour) // _HOUR} hours after it was begun"
        for removal in removals
        if _is_over(removal.hour, removal.time, LIMIT)
    ]


def _is_over(hour: datetime, now: datetime, limit: timedelta) -> bool:
    return hour < now.astimezone(UTC) - limit - _HOUR
