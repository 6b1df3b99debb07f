"""The published log: a folder of tiles, bundles of entries, the checkpoint and the public key. Nothing in it is secret.

The first year's log lies in the folder itself, each later one in a folder below it that is called as its year. A file
is there whole or not at all (temporary file, fsync, rename), and one process at a time writes.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final

from consent_app.errors import ProofError
from consent_app.ledger.tlog.tiles import ENTRIES, HASH, WIDTH, Tile, bundle, unbundle
from consent_app.private_files import exclusive, sync_folder

CHECKPOINT: Final = "checkpoint"
KEY: Final = "log.vkey"
LINK: Final = "previous.json"
_YEAR: Final = re.compile(r"[0-9]{4}")
_LONGEST: Final = 1_000_000


class Published:
    """A log's folder; its files are made readable for their owner alone, and served from there."""

    def __init__(self, folder: Path, home: Path | None = None) -> None:
        self.folder = folder
        self._home = home or folder

    def of(self, year: str) -> Published:
        """The log of a later year (its four digits), or the first one ("")."""
        return Published(self._home / year, self._home)

    @property
    def year(self) -> str:
        """Which year's log it is; "" for the first one."""
        return "" if self.folder == self._home else self.folder.name

    def years(self) -> list[str]:
        """The later years of which something is signed here, oldest first."""
        names = (path.name for path in self._home.iterdir()) if self._home.is_dir() else iter(())
        return sorted(name for name in names if _YEAR.fullmatch(name) and (self._home / name / CHECKPOINT).exists())

    def newest(self) -> Published:
        """The log of the last year of which something is signed here."""
        return self.of(max(self.years(), default=""))

    def checkpoint(self) -> bytes | None:
        """The newest signed checkpoint; None before the first. Raises ProofError for a file that is none."""
        return _read(self.folder, CHECKPOINT)

    def key(self) -> str:
        """The public keys of all years, one a line; "" before the first checkpoint. Raises ProofError."""
        return (_read(self._home, KEY) or b"").decode("ascii", "replace")

    def own_key(self) -> bytes | None:
        """The public keys under the name of this year's log, as other programs want them. Raises ProofError."""
        return _read(self.folder, KEY)

    def link(self) -> bytes | None:
        """The first entry of a later year's log, with its nonce; None for the first year's. Raises ProofError."""
        return _read(self.folder, LINK)

    def tile(self, tile: Tile) -> bytes:
        """A tile's or bundle's content; out of the full one where the partial one is gone. Raises ProofError."""
        content = _read(self.folder, tile.path)
        if content is None and tile.width < WIDTH:
            content = _read(self.folder, tile.whole.path)
            if content is not None:
                cut = unbundle(content)[: tile.width] if tile.level == ENTRIES else []
                content = bundle(cut) if tile.level == ENTRIES else content[: HASH * tile.width]
        if content is None:
            raise ProofError(f"{tile.path} is not there")
        return content

    def write(self, tiles: Iterable[tuple[Tile, bytes]]) -> None:
        """Put tiles and bundles on disk. What is there already was put there whole and stays."""
        folders = set()
        for tile, content in tiles:
            file = self.folder / tile.path
            if not file.exists():
                _make_folder(file.parent, self.folder)
                _replace(file, content)
                folders.add(file.parent)
        for folder in folders:
            sync_folder(folder)

    def replace(self, name: str, content: bytes) -> None:
        """Put the checkpoint or the public key in the place of the one before."""
        _make_folder(self.folder, self._home)
        _replace(self.folder / name, content)
        sync_folder(self.folder)

    def forget_parts(self, tiles: Iterable[Tile]) -> None:
        """Remove the partial forerunners of full tiles."""
        for tile in tiles:
            path = self.folder / tile.whole.path
            shutil.rmtree(path.with_name(f"{path.name}.p"), ignore_errors=True)

    def forget_tiles(self) -> None:
        """Remove every tile and bundle of a log that was dropped; its checkpoint and keys stay."""
        shutil.rmtree(self.folder / "tile", ignore_errors=True)

    def lock(self) -> AbstractContextManager[None]:
        """Be the only process that writes here, and to the logs of the other years."""
        return exclusive(self._home)


def _read(folder: Path, name: str) -> bytes | None:
    try:
        with (folder / name).open("rb") as file:
            return file.read(_LONGEST * 17)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ProofError(f"{name} cannot be read ({error.strerror})") from error


def _replace(file: Path, content: bytes) -> None:
    """Write a file whole. Only the holder of the lock writes, so one temporary name is enough."""
    temporary = file.with_name(f".{file.name}.new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(descriptor, "wb") as opened:  # noqa: PTH123 - it is open already
        opened.write(content)
        opened.flush()
        os.fsync(opened.fileno())
    temporary.replace(file)


def _make_folder(folder: Path, root: Path) -> None:
    if not folder.exists():
        _make_folder(folder.parent, root)
        folder.mkdir(mode=0o700, exist_ok=True)
        sync_folder(folder.parent)
