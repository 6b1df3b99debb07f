"""Bounded counts until their period closes: one sealed file per site, replaced whole or not at all.

The file lists the segments (or log inputs) that are folded in, so a run that is killed anywhere counts each once. It is
sealed with AES-256-GCM under a key that every save renews: what was erased cannot be read from an old copy of the file.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Final

from anonymiser.errors import InputError, SegmentError
from anonymiser.sealed import SealedFile

MAGIC: Final = b"consent-holding 2\n"
LOSS: Final = "what was held and not yet released is lost then"
_SITE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")

Cell = tuple[str, str, str, str]
"""(local day, statistic, key1, key2)"""


class Holding:
    """The counts of one site that are not released yet. Raises SegmentError when its file or key is damaged."""

    def __init__(self, folder: Path, site: str) -> None:
        if not _SITE.fullmatch(site):
            raise InputError(f"{site!r} cannot name a site; use up to 64 letters, digits, dots and hyphens")
        self._site = site
        self._file = SealedFile(folder / f"{site}.counts", folder / f"{site}.key", MAGIC, MAGIC + site.encode(), LOSS)
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
        try:
            self._file.write(self._packed())
        except OSError as error:
            raise SegmentError(
                f"held counts of site {self._site!r} could not be written to {self._file.path} ({error.strerror}); "
                "make room or give rights to it and run the batch again: nothing was lost"
            ) from error

    def _packed(self) -> bytes:
        tables: dict[str, dict[str, list[tuple[str, str, int]]]] = {}
        for (day, statistic, key1, key2), count in self.counts.items():
            if count:
                tables.setdefault(day, {}).setdefault(statistic, []).append((key1, key2, count))
        return json.dumps({"folded": self.folded, "counts": tables}, separators=(",", ":")).encode()

    def _load(self) -> None:
        packed = self._file.read()
        if packed is not None:
            content = json.loads(packed)
            self.folded = dict(content["folded"])
            self.counts = Counter(
                {
                    (day, statistic, key1, key2): count
                    for day, tables in content["counts"].items()
                    for statistic, rows in tables.items()
                    for key1, key2, count in rows
                }
            )
            if not self._file.is_settled:
                self.save()
