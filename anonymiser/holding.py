"""Bounded counts until their period closes: one sealed file per site, replaced whole or not at all.

The file lists the segments (or log inputs) that are folded in, so a run that is killed anywhere counts each once. It is
sealed with AES-256-GCM under a key that every save renews: what was erased cannot be read from an old copy of the file.
"""

from __future__ import annotations

import json
import os
import re
import secrets
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from anonymiser.errors import InputError, SegmentError
from anonymiser.segments import sync_directory

MAGIC: Final = b"consent-holding 2\n"
NONCE_BYTES: Final = 12
_SITE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")

Cell = tuple[str, str, str, str]
"""(local day, statistic, key1, key2)"""


class Holding:
    """The counts of one site that are not released yet. Raises SegmentError when its file or key is damaged."""

    def __init__(self, folder: Path, site: str) -> None:
        if not _SITE.fullmatch(site):
            raise InputError(f"{site!r} cannot name a site; use up to 64 letters, digits, dots and hyphens")
        self._site = site
        self._file = folder / f"{site}.counts"
        self._key = folder / f"{site}.key"
        self.folded: dict[str, str] = {}
        self.counts: Counter[Cell] = Counter()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._load()

    @property
    def days(self) -> list[str]:
        """The local days something is held of, in order."""
        return sorted({cell[0] for cell in self.counts})

    def fold(self, inputs: Mapping[str, str], counts: Mapping[Cell, int]) -> None:
        """Add counts and remember what they came from (`inputs`: name -> hour or kind)."""
        self.counts.update(counts)
        self.folded.update(inputs)

    def forget(self, inputs: Iterable[str]) -> None:
        """Drop the names of inputs that are gone and recorded as removed."""
        for name in inputs:
            self.folded.pop(name, None)

    def erase(self, closed: Callable[[Cell], bool]) -> None:
        """Drop the cells whose period is released."""
        self.counts = Counter({cell: count for cell, count in self.counts.items() if not closed(cell)})

    def save(self) -> None:
        """Write everything under a new key; a crash leaves the old or the new state, each with its key."""
        key, nonce = secrets.token_bytes(32), secrets.token_bytes(NONCE_BYTES)
        sealed = MAGIC + nonce + AESGCM(key).encrypt(nonce, self._packed(), self._bound())
        try:
            _replace(self._key, "\n".join([key.hex(), *self._keys()]).encode())
            _replace(self._file, sealed)
            _replace(self._key, key.hex().encode())
        except OSError as error:
            raise SegmentError(
                f"held counts of site {self._site!r} could not be written to {self._file} ({error.strerror}); "
                "make room or give rights to it and run the batch again: nothing was lost"
            ) from error

    def _packed(self) -> bytes:
        tables: dict[str, dict[str, list[tuple[str, str, int]]]] = {}
        for (day, statistic, key1, key2), count in self.counts.items():
            if count:
                tables.setdefault(day, {}).setdefault(statistic, []).append((key1, key2, count))
        return json.dumps({"folded": self.folded, "counts": tables}, separators=(",", ":")).encode()

    def _bound(self) -> bytes:
        return MAGIC + self._site.encode()

    def _load(self) -> None:
        if self._file.exists():
            content = self._opened(self._file.read_bytes())
            self.folded = dict(content["folded"])
            self.counts = Counter(
                {
                    (day, statistic, key1, key2): count
                    for day, tables in content["counts"].items()
                    for statistic, rows in tables.items()
                    for key1, key2, count in rows
                }
            )

    def _opened(self, sealed: bytes) -> dict[str, Any]:
        body = sealed.removeprefix(MAGIC)
        for key in self._keys():
            with suppress(InvalidTag, ValueError):
                plain = AESGCM(bytes.fromhex(key)).decrypt(body[:NONCE_BYTES], body[NONCE_BYTES:], self._bound())
                return dict(json.loads(plain))
        raise SegmentError(
            f"{self._file} cannot be opened with {self._key}: one of them was changed. Restore both from one backup, "
            "or move both away to begin anew (what was held and not yet released is lost then)"
        )

    def _keys(self) -> list[str]:
        try:
            return self._key.read_text("ascii").split()
        except (FileNotFoundError, UnicodeDecodeError):
            return []


def _replace(path: Path, content: bytes) -> None:
    """Write a file of mode 0600: after a crash either the old or the new content is there."""
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
