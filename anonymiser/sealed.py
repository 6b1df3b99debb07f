"""Small private files that can be made unreadable: replaced whole or not at all, sealed under a key that changes.

Every write renews the key, so what a write left out cannot be read from an older copy of the file (a snapshot, a block
that the disk has not reused yet) with the key that is there now. The key lies beside the file: both together are
readable by whoever may read both, which is why neither may be readable by others than their owner.
"""

from __future__ import annotations

import os
import secrets
import stat
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from anonymiser.errors import SegmentError

KEY_BYTES: Final = 32
NONCE_BYTES: Final = 12


@dataclass(frozen=True, slots=True)
class SealedFile:
    """A file and the file of its key; `magic` begins it, `bound` says what it is and is authenticated with it."""

    path: Path
    key: Path
    magic: bytes
    bound: bytes
    loss: str
    """What is lost when both are moved away, for the error's text."""

    def read(self) -> bytes | None:
        """The content, None where there is no file. Raises SegmentError when it was changed or others may read it."""
        if not self.path.exists():
            return None
        for part in (self.path, self.key):
            require_private(part)
        body = self.path.read_bytes().removeprefix(self.magic)
        for key in self._keys():
            with suppress(InvalidTag, ValueError):
                return AESGCM(bytes.fromhex(key)).decrypt(body[:NONCE_BYTES], body[NONCE_BYTES:], self.bound)
        raise SegmentError(
            f"{self.path} cannot be opened with {self.key}: one of them was changed. Restore both from one backup, "
            f"or move both away to begin anew ({self.loss})"
        )

    def write(self, content: bytes) -> None:
        """Write under a new key; a crash leaves the old or the new content, each with its key. Raises OSError."""
        key, nonce = secrets.token_bytes(KEY_BYTES), secrets.token_bytes(NONCE_BYTES)
        sealed = self.magic + nonce + AESGCM(key).encrypt(nonce, content, self.bound)
        replace_private(self.key, "\n".join([key.hex(), *self._keys()]).encode())
        replace_private(self.path, sealed)
        replace_private(self.key, key.hex().encode())

    @property
    def is_settled(self) -> bool:
        """Whether no killed write has left an older key behind; writing once more takes it away."""
        return len(self._keys()) < 2 and not [*_leavings(self.key), *_leavings(self.path)]

    def _keys(self) -> list[str]:
        try:
            return self.key.read_text("ascii").split()
        except (FileNotFoundError, UnicodeDecodeError):
            return []


def require_private(path: Path) -> None:
    """Raise SegmentError when anybody but the owner may read or write a file that is there."""
    with suppress(FileNotFoundError):
        if os.name == "posix" and stat.S_IMODE(path.stat().st_mode) & 0o077:
            raise SegmentError(f"{path} can be read by others; run: chmod 600 {path}")


def replace_private(path: Path, content: bytes) -> None:
    """Write a file of mode 0600: after a crash either the old or the new content is there.

    Whoever calls is the only one that writes this file: what an earlier call left by dying is removed.
    """
    for leaving in _leavings(path):
        leaving.unlink(missing_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(descriptor, "wb") as file:  # noqa: PTH123 - it is open already
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    sync_directory(path.parent)


def _leavings(path: Path) -> list[Path]:
    """What calls of `replace_private` for this file have left by dying."""
    return list(path.parent.glob(f".{path.name}.*"))


def sync_directory(directory: Path) -> None:
    """Make a rename or removal survive a power cut (Windows does so by itself)."""
    if sys.platform == "win32":
        return
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
