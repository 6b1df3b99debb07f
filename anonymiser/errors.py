"""One exception tree for the batch house; every error names the place and the remedy."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path


class AnonymiserError(Exception):
    """Base of every error the anonymiser raises on purpose; the command line prints it and exits 2."""


class BeaconError(AnonymiserError):
    """A beacon that does not fit the schema. `field` is the offending name, `reason` what is wrong with it."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"beacon field {field!r}: {reason}")
        self.field = field
        self.reason = reason


class InputError(AnonymiserError):
    """Input that cannot be read at all: a missing file, an unknown format, a bad option."""


class ReleaseConflict(AnonymiserError):
    """A different input was offered for a period that is already released (it would average the noise away)."""


class SegmentError(AnonymiserError):
    """A spool segment or holding file that is damaged, or protected by a key that is gone."""


class NoHourKey(SegmentError):
    """Nothing may be written in this hour, because there is no key to seal it to."""

    def __init__(self, directory: Path, hour: datetime) -> None:
        super().__init__(
            f"spool {directory} has no public key of the hour {hour:%Y-%m-%dT%H}Z, so no statistics are taken: run the "
            "batch, which makes the keys, every hour"
        )
        self.hour = hour


class StatisticsError(AnonymiserError):
    """A statistics file that is missing, foreign or not what its own release records say."""
