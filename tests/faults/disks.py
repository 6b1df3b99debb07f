"""Real small disks: a tmpfs that fills, and a mount that only reads. Only root may make them."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

FILLER = "filler"
BLOCK = 4096


class Disk:
    """A disk of so many MiB, mounted at `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def fill(self, left: int = 0) -> None:
        """Take all room but `left` bytes."""
        self.free()
        system = os.statvfs(self.folder)
        size = max(0, system.f_bavail * system.f_frsize - left) // BLOCK * BLOCK
        with (self.folder / FILLER).open("wb", buffering=0) as file, suppress(OSError):
            while size > 0:
                size -= file.write(bytes(min(size, 1 << 20)))

    def free(self) -> None:
        """Give the room back."""
        (self.folder / FILLER).unlink(missing_ok=True)


@contextmanager
def disk(folder: Path, mebibytes: int) -> Iterator[Disk]:
    """Mount a new disk; skips the test where nobody may."""
    folder.mkdir()
    _mount("-t", "tmpfs", "-o", f"size={mebibytes}m", "tmpfs", str(folder))
    try:
        yield Disk(folder)
    finally:
        _unmount(folder)


@contextmanager
def read_only(source: Path, folder: Path) -> Iterator[Path]:
    """The same files at another place, where nothing can be written."""
    folder.mkdir()
    _mount("--bind", str(source), str(folder))
    try:
        _mount("-o", "remount,bind,ro", str(folder))
        yield folder
    finally:
        _unmount(folder)


def _mount(*words: str) -> None:
    if os.name != "posix" or os.geteuid() != 0:
        pytest.skip("only root may mount a disk that fills")
    done = subprocess.run(["mount", *words], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"this machine lets nobody mount a disk ({done.stderr.strip()})")


def _unmount(folder: Path) -> None:
    subprocess.run(["umount", "--lazy", str(folder)], check=True)
