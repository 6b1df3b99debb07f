"""What a log asks of a witness (C2SP tlog-witness, `add-checkpoint`): the size it signed last, a consistency proof from
there, and the checkpoint it should cosign.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self

from consent_app.errors import ProofError
from consent_app.ledger.tlog import base64text
from consent_app.ledger.tlog.checkpoint import Checkpoint
from consent_app.ledger.tlog.merkle import verify_consistency

MOST_HASHES: Final = 63
# The content type of a refusal whose body is how many entries the witness signed last.
SIZE: Final = "text/x.tlog.size"


@dataclass(frozen=True, slots=True)
class Request:
    """The body: the witness signed a checkpoint of `old` entries last; `proof` leads from it to that of `note`."""

    old: int
    proof: tuple[bytes, ...]
    note: bytes

    @property
    def text(self) -> bytes:
        """The body as it is sent."""
        lines = [f"old {self.old}", *map(base64text.encode, self.proof), ""]
        return "".join(f"{line}\n" for line in lines).encode() + self.note

    @classmethod
    def read(cls, content: bytes) -> Self:
        """A body; nothing is verified yet. Raises ProofError."""
        head, blank, note = content.partition(b"\n\n")
        if not blank or not head.isascii():
            raise ProofError("a request is an old size, a proof, an empty line and a checkpoint")
        first, *lines = head.decode("ascii").split("\n")
        if not first.startswith("old ") or len(lines) > MOST_HASHES:
            raise ProofError(f"a request begins with the old size, and a proof has at most {MOST_HASHES} hashes")
        old = base64text.number(first.removeprefix("old "), "the old size")
        return cls(old, tuple(base64text.decode_hash(line, "a hash of the proof") for line in lines), note)


def require_next(old: Checkpoint | None, new: Checkpoint, proof: Sequence[bytes]) -> None:
    """Raise ProofError unless `new` is the checkpoint of `old` or goes on from it; nothing goes before the first."""
    if old is None or old.size == 0:
        if proof:
            raise ProofError("the first checkpoint needs no proof")
        return
    verify_consistency(old.size, new.size, old.root, new.root, proof)
