"""Proofs to keep (C2SP tlog-proof): one text with an entry's place, its inclusion proof and a signed checkpoint."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self

from consent_app.errors import ProofError
from consent_app.ledger.tlog import base64text
from consent_app.ledger.tlog.checkpoint import Checkpoint, verified
from consent_app.ledger.tlog.merkle import leaf_hash, verify_inclusion
from consent_app.ledger.tlog.note import LONGEST, Verifier

HEADER: Final = "c2sp.org/tlog-proof@v1"
LONGEST_PATH: Final = 63


@dataclass(frozen=True, slots=True)
class Proof:
    """Entry `index` is in the log that the note of a checkpoint speaks of. `extra` is not covered by any signature."""

    index: int
    hashes: tuple[bytes, ...]
    checkpoint: bytes
    extra: bytes = b""

    @property
    def text(self) -> bytes:
        """The file."""
        lines = [HEADER]
        lines += [f"extra {base64text.encode(self.extra)}"] if self.extra else []
        lines += [f"index {self.index}", *map(base64text.encode, self.hashes), ""]
        return "".join(f"{line}\n" for line in lines).encode() + self.checkpoint

    @classmethod
    def read(cls, content: bytes) -> Self:
        """A proof from its file; nothing is verified yet. Raises ProofError."""
        if len(content) > 2 * LONGEST:
            raise ProofError(f"a proof has at most {2 * LONGEST} bytes")
        head, blank, checkpoint = content.partition(b"\n\n")
        if not blank or not head.isascii():
            raise ProofError("a proof is lines, an empty line and a checkpoint")
        header, *lines = head.decode("ascii").split("\n")
        if header != HEADER:
            raise ProofError(f"a proof begins with {HEADER}")
        extra = b""
        if lines and lines[0].startswith("extra "):
            extra = base64text.decode(lines.pop(0).removeprefix("extra "), "the extra data")
        if not lines or not lines[0].startswith("index "):
            raise ProofError("a proof names the index of its entry")
        index = base64text.number(lines.pop(0).removeprefix("index "), "the index")
        if len(lines) > LONGEST_PATH:
            raise ProofError("the inclusion proof is too long")
        return cls(index, tuple(base64text.decode_hash(line, "a hash") for line in lines), checkpoint, extra)

    def verify(self, entry: bytes, keys: Sequence[Verifier]) -> Checkpoint:
        """The checkpoint, signed by one of the keys, whose log has that entry at that place. Raises ProofError."""
        checkpoint = verified(self.checkpoint, keys)
        verify_inclusion(leaf_hash(entry), self.index, checkpoint.size, checkpoint.root, self.hashes)
        return checkpoint
