"""The published log: a folder of tiles, bundles of entries, the checkpoint and the public key. Nothing in it is secret.

A file is there whole or not at all (temporary file, fsync, rename), and one process at a time writes.
"""

from __future__ import annotations

import os
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
_LONGEST: Final = 1_000_000


class Published:
    """A log's folder; its files are made readable for their owner alone, and served from there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def checkpoint(self) -> bytes | None:
        """The newest signed checkpoint; None before the first. Raises ProofError for a file that is none."""
        return self._read(CHECKPOINT)

    def key(self) -> str:
        """The public keys, one a line; "" before the first checkpoint. Raises ProofError."""
        return (self._read(KEY) or b"").decode("ascii", "replace")

    def tile(self, tile: Tile) -> bytes:
        """A tile's or bundle's content; out of the full one where the partial one is gone. Raises ProofError."""
        content = self._read(tile.path)
        if content is None and tile.width < WIDTH:
            content = self._read(tile.whole.path)
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
        _replace(self.folder / name, content)
        sync_folder(self.folder)

    def forget_parts(self, tiles: Iterable[Tile]) -> None:
        """Remove the partial forerunners of full tiles."""
        for tile in tiles:
            path = self.folder / tile.whole.path
            shutil.rmtree(path.with_name(f"{path.name}.p"), ignore_errors=True)

    def lock(self) -> AbstractContextManager[None]:
        """Be the only process that writes here."""
        return exclusive(self.folder)

    def _read(self, name: str) -> bytes | None:
        try:
            with (self.folder / name).open("rb") as file:
                content = file.read(_LONGEST * 17)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise ProofError(f"{name} cannot be read ({error.strerror})") from error
        return content


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
