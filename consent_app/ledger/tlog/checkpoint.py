"""Checkpoints (C2SP tlog-checkpoint): the text that says how many entries a log has, and the root over them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self

from consent_app.errors import ProofError
from consent_app.ledger.tlog import base64text
from consent_app.ledger.tlog.note import Verifier, opened, parse

_YEAR: Final = re.compile(r"(.+)/[0-9]{4}", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A log's origin (its name), size in entries and root hash; what further lines say is kept and not understood."""

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """What is signed."""
        lines = [self.origin, str(self.size), base64text.encode(self.root), *self.extensions]
        return "".join(f"{line}\n" for line in lines)

    @classmethod
    def read(cls, text: str) -> Self:
        """A checkpoint from its text. Raises ProofError."""
        lines = text.split("\n")
        if len(lines) < 4 or lines[-1] or not all(lines[:-1]):
            raise ProofError("a checkpoint has a line each for origin, size and root, and no empty line")
        origin, size, root, *extensions = lines[:-1]
        return cls(
            origin,
            base64text.number(size, "the size of a checkpoint"),
            base64text.decode_hash(root, "the root of a checkpoint"),
            tuple(extensions),
        )


def verified(note: bytes, keys: Sequence[Verifier]) -> Checkpoint:
    """The checkpoint in a note that one of these keys signed, of their log or a year's of it. Raises ProofError."""
    known = covering(Checkpoint.read(parse(note)[0]).origin, keys)
    checkpoint = Checkpoint.read(opened(note, known))
    if checkpoint.origin not in {key.name for key in known}:
        raise ProofError(f"the checkpoint is of the log {checkpoint.origin}, which is another one")
    return checkpoint


def covering(origin: str, keys: Sequence[Verifier]) -> list[Verifier]:
    """These keys; where `origin` is a year's log of theirs (their name, a slash, the year), also under that name."""
    year = _YEAR.fullmatch(origin)
    return [*keys, *(Verifier(origin, key.public) for key in keys if year and key.name == year[1])]
