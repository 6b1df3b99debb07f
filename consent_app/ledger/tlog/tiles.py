"""Tiles (C2SP tlog-tiles): 256 neighbouring hashes of every eighth level of the tree, and the entries themselves.

A `Tile` is a place; what is in it are hashes end to end, or, in a bundle, entries each with its length in two bytes
before it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Self

from consent_app.errors import ProofError
from consent_app.ledger.tlog.merkle import EMPTY_ROOT, Nodes, node_hash, perfect_root

HEIGHT: Final = 8
WIDTH: Final = 256
HASH: Final = 32
ENTRIES: Final = -1
LONGEST_ENTRY: Final = 65_535
_PATH: Final = re.compile(
    r"tile/(entries|[0-9]|[1-5][0-9]|6[0-3])/((?:x[0-9]{3}/){0,5}[0-9]{3})(?:\.p/([1-9][0-9]{0,2}))?"
)


@dataclass(frozen=True, slots=True)
class Tile:
    """Number `index` of a level (ENTRIES for bundles of entries), of which `width` (1 to 256) hashes are there."""

    level: int
    index: int
    width: int = WIDTH

    @property
    def path(self) -> str:
        """Where it is, below the log's prefix."""
        digits = f"{self.index:03d}"
        digits = digits.zfill(-len(digits) // 3 * -3)
        *groups, last = [digits[place : place + 3] for place in range(0, len(digits), 3)]
        folder = "entries" if self.level == ENTRIES else str(self.level)
        part = "" if self.width == WIDTH else f".p/{self.width}"
        return f"tile/{folder}/{''.join(f'x{group}/' for group in groups)}{last}{part}"

    @property
    def whole(self) -> Tile:
        """The full tile at the same place."""
        return Tile(self.level, self.index)

    @classmethod
    def read(cls, path: str) -> Self:
        """A tile from its path. Raises ProofError for a path that is no tile's, or not the one of that tile."""
        found = _PATH.fullmatch(path)
        if not found:
            raise ProofError(f"{path[:80]!r} is not the path of a tile")
        level = ENTRIES if found[1] == "entries" else int(found[1])
        tile = cls(level, int(found[2].replace("/", "").replace("x", "")), int(found[3] or WIDTH))
        if tile.path != path:
            raise ProofError(f"{path[:80]!r} is not the path of a tile")
        return tile


def tiles_of(size: int) -> Iterator[Tile]:
    """Every tile of hashes that a tree of that size has, level by level, each as full as it is."""
    level = 0
    while size:
        yield from (Tile(level, index) for index in range(size // WIDTH))
        if size % WIDTH:
            yield Tile(level, size // WIDTH, size % WIDTH)
        level, size = level + 1, size // WIDTH


def bundles_of(size: int) -> Iterator[Tile]:
    """Every bundle of entries of a tree of that size."""
    return (Tile(ENTRIES, tile.index, tile.width) for tile in tiles_of(size) if tile.level == 0)


def bundle(entries: Sequence[bytes]) -> bytes:
    """Entries, each with its length before it."""
    return b"".join(len(entry).to_bytes(2, "big") + entry for entry in entries)


def unbundle(content: bytes) -> list[bytes]:
    """The entries of a bundle. Raises ProofError where one is cut."""
    entries, place = [], 0
    while place < len(content):
        length = int.from_bytes(content[place : place + 2], "big")
        entry = content[place + 2 : place + 2 + length]
        if len(entry) < length or place + 2 > len(content):
            raise ProofError("a bundle of entries is cut")
        entries.append(entry)
        place += 2 + length
    return entries


def hashes(content: bytes) -> list[bytes]:
    """The hashes of a tile. Raises ProofError."""
    if len(content) % HASH:
        raise ProofError("a tile is not a row of whole hashes")
    return [content[place : place + HASH] for place in range(0, len(content), HASH)]


def nodes(size: int, read: Callable[[Tile], bytes]) -> Nodes:
    """The nodes of a tree of that size, out of its tiles."""

    def node(level: int, index: int) -> bytes:
        first = index << level % HEIGHT
        row = size >> (level - level % HEIGHT)
        tile = Tile(level // HEIGHT, first // WIDTH, min(WIDTH, row - first // WIDTH * WIDTH))
        found = hashes(read(tile))
        if len(found) != tile.width:
            raise ProofError(f"{tile.path} has {len(found)} hashes")
        return perfect_root(found[first % WIDTH : first % WIDTH + (1 << level % HEIGHT)])

    return node


class Tree:
    """A tree that grows entry by entry and keeps its right edge only: what the tiles that are not full yet hold.

    `full` is told of each tile and bundle that became full, with its content.
    """

    def __init__(self, full: Callable[[Tile, bytes], None] | None = None) -> None:
        self.size = 0
        self.full = full
        self._entries: list[bytes] = []
        self._edge: list[list[bytes]] = [[]]
        # The subtrees of each row, by how many of its hashes are in them; they wait until a root is asked for.
        self._peaks: list[list[tuple[int, bytes]]] = [[]]

    def add(self, entry: bytes) -> None:
        """Append one entry."""
        self.extend((entry,))

    def extend(self, entries: Sequence[bytes]) -> None:
        """Append entries."""
        place, count, sha256 = 0, len(entries), hashlib.sha256
        while place < count:
            part = entries[place : place + WIDTH - len(self._entries)]
            self._entries += part
            self._edge[0] += [sha256(b"\x00" + entry).digest() for entry in part]
            place += len(part)
            self.size += len(part)
            if len(self._entries) == WIDTH:
                self._close()

    def root(self) -> bytes:
        """The root over all entries so far."""
        found = b""
        for row, peaks in zip(self._edge, self._peaks, strict=True):
            _raise(peaks, row)
            for _, peak in reversed(peaks):
                found = node_hash(peak, found) if found else peak
        return found or EMPTY_ROOT

    def partial(self) -> Iterator[tuple[Tile, bytes]]:
        """The tiles and the bundle that are begun and not full, with their content."""
        if self._entries:
            yield Tile(ENTRIES, self.size // WIDTH, len(self._entries)), bundle(self._entries)
        for level, row in enumerate(self._edge):
            if row:
                yield Tile(level, self.size >> HEIGHT * (level + 1), len(row)), b"".join(row)

    def _close(self) -> None:
        """Hand on every tile that has just become full, and put its root into the level above."""
        if self.full:
            self.full(Tile(ENTRIES, self.size // WIDTH - 1), bundle(self._entries))
        self._entries.clear()
        level = 0
        while len(self._edge[level]) == WIDTH:
            if self.full:
                self.full(Tile(level, (self.size >> HEIGHT * (level + 1)) - 1), b"".join(self._edge[level]))
            if level + 1 == len(self._edge):
                self._edge.append([])
                self._peaks.append([])
            self._edge[level + 1].append(perfect_root(self._edge[level]))
            self._edge[level].clear()
            self._peaks[level].clear()
            level += 1


def _raise(peaks: list[tuple[int, bytes]], row: Sequence[bytes]) -> None:
    """Take the rest of a row into its subtrees; two of one width become one."""
    for hashed in row[sum(width for width, _ in peaks) :]:
        width, peak = 1, hashed
        while peaks and peaks[-1][0] == width:
            peak = node_hash(peaks.pop()[1], peak)
            width *= 2
        peaks.append((width, peak))
