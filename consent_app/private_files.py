"""Files that only their owner may read: refused when others can, replaced whole or not at all, by one at a time."""

from __future__ import annotations

import os
import secrets
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from consent_app.errors import SettingsError

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

_LOCK: Final = "lock"


def require_private(path: Path) -> None:
    """Raise SettingsError when anybody but the owner may read or write `path` (a file or a folder)."""
    if os.name == "posix" and stat.S_IMODE(path.stat().st_mode) & 0o077:
        mode = 700 if path.is_dir() else 600
        raise SettingsError(f"{path} can be read by others; run: chmod {mode} {path}")


def make_private_folder(path: Path) -> None:
    """Make a folder of mode 0700. Raises SettingsError when it is there with looser permissions."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    require_private(path)


def replace_private(path: Path, content: str) -> None:
    """Write `content` to a file of mode 0600: after a crash either the old or the new content is there."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(descriptor, "w", encoding="utf-8") as file:  # noqa: PTH123 - it is open already
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        with suppress(FileNotFoundError):
            temporary.unlink()
    sync_folder(path.parent)


@contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Be the only process at work in a folder; waits until the one before is done, or has died."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        if sys.platform == "win32":
            msvcrt.locking(descriptor, msvcrt.LK_LOCK, 1)
        else:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def sync_folder(folder: Path) -> None:
    """Have the names in a folder on disk, after a file was put there or renamed."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
