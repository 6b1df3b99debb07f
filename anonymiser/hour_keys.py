"""The keys of the hours: the batch makes them ahead, gives away the public halves, and destroys the private ones.

Web workers seal segments to the public key of the hour and can never open them. The private keys are in one sealed
file of the batch; when all segments of an hour are counted its key is destroyed, and at the latest a day later. What
then is left of a segment, on a disk or in a backup, is not readable by anybody.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from anonymiser.errors import SegmentError
from anonymiser.sealed import SealedFile
from anonymiser.segments import HOUR, hour_of, publish

AHEAD: Final = timedelta(hours=48)
MAGIC: Final = b"consent-hours 1\n"
LOSS: Final = "what is in the spool can never be read then; the batch makes new keys"
_ONE: Final = timedelta(hours=1)


class HourKeys:
    """The private keys of one installation. Raises SegmentError when their file is damaged or others may read it."""

    def __init__(self, private: Path) -> None:
        self._folder = private
        self._file = SealedFile(private / "hour-keys.sealed", private / "hour-keys.key", MAGIC, MAGIC, LOSS)
        self._keys = {
            datetime.strptime(hour, HOUR).replace(tzinfo=UTC): bytes.fromhex(key)
            for hour, key in json.loads(self._file.read() or b"{}").items()
        }

    @property
    def hours(self) -> list[datetime]:
        """The hours there are keys of, in order."""
        return sorted(self._keys)

    def private_key(self, hour: datetime) -> X25519PrivateKey | None:
        """The private key of an hour; None when it was never made, or is destroyed."""
        key = self._keys.get(hour)
        return X25519PrivateKey.from_private_bytes(key) if key else None

    def provide(self, directory: Path, now: datetime, ahead: timedelta = AHEAD) -> None:
        """Make the keys of this hour and those ahead, as far as they are missing, and give the public ones to the spool
        in `directory`. Of hours that have ended no public key is there any more.
        """
        first = hour_of(now)
        wanted = {first + number * _ONE for number in range(ahead // _ONE + 1)}
        missing = wanted - self._keys.keys()
        if missing or not self._file.is_settled:
            self._keys |= {hour: X25519PrivateKey.generate().private_bytes_raw() for hour in missing}
            self._save()
        self._publish(directory, first)

    def destroy(self, hours: Collection[datetime]) -> None:
        """Destroy the keys of these hours: the file is written anew without them, under another key."""
        left = {hour: key for hour, key in self._keys.items() if hour not in hours}
        if len(left) < len(self._keys):
            self._keys = left
            self._save()

    def _publish(self, directory: Path, first: datetime) -> None:
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            publish(
                directory,
                {
                    hour: X25519PrivateKey.from_private_bytes(key).public_key().public_bytes_raw()
                    for hour, key in self._keys.items()
                    if hour >= first
                },
            )
        except OSError as error:
            raise SegmentError(
                f"the public keys of the hours could not be given to {directory} ({error.strerror}); make room or give "
                "rights to it: without them no statistics are taken"
            ) from error

    def _save(self) -> None:
        content = json.dumps({f"{hour:{HOUR}}": key.hex() for hour, key in sorted(self._keys.items())})
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._file.write(content.encode())
        except OSError as error:
            raise SegmentError(
                f"the keys of the hours could not be written to {self._file.path} ({error.strerror}); make room or "
                "give rights to it and run the batch again: nothing was lost"
            ) from error
