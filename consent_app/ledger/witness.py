"""A witness (C2SP tlog-witness): it cosigns the checkpoints of other logs, and remembers what it signed.

It promises one thing: of each log it knows, it never signs two checkpoints of which one does not go on from the other.
So an operator who shows visitors another history than auditors needs the witness as an accomplice.
"""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Final, Self

from consent_app.errors import ConsentError, LedgerError, ProofError
from consent_app.ledger import keys
from consent_app.ledger.tlog import base64text
from consent_app.ledger.tlog.checkpoint import Checkpoint, covering, verified
from consent_app.ledger.tlog.cosignature import Cosigner, WitnessKey
from consent_app.ledger.tlog.note import parse
from consent_app.ledger.tlog.witnessing import Request, require_next
from consent_app.private_files import exclusive, make_private_folder, replace_private
from consent_app.settings import Settings

FOLDER: Final = "witness"
KEY: Final = "witness.keys"
VKEY: Final = "witness.vkey"
LOGS: Final = "logs.vkey"
HEADS: Final = "heads.json"


class Declined(ConsentError):
    """A checkpoint that a witness does not sign: with this HTTP status, and, where another was signed, its `size`."""

    def __init__(self, status: int, message: str, size: int | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.size = size


class Witness:
    """What cosigns here: its key among the secrets, the logs it knows and what it signed of each in the folder.

    Raises LedgerError when it was not made yet.
    """

    def __init__(self, folder: Path, key_file: Path) -> None:
        self._folder = folder
        if not (folder / VKEY).exists():
            raise LedgerError(f"there is no witness in {folder}; `consent witness init NAME` makes one")
        self.key = WitnessKey.read((folder / VKEY).read_text("utf-8"))
        self._cosigner = Cosigner(self.key.name, keys.seeds(key_file)[0])

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """The witness of a data home."""
        return cls(settings.home / FOLDER, settings.secrets / KEY)

    @classmethod
    def make(cls, settings: Settings, name: str) -> Self:
        """A witness with a new key. Raises LedgerError where there is one, ProofError for a name that cannot be."""
        folder, key_file = settings.home / FOLDER, settings.secrets / KEY
        WitnessKey(name, bytes(32))
        if (folder / VKEY).exists() or key_file.exists():
            raise LedgerError(f"there is a witness in {folder} already; its key is what others know it by")
        make_private_folder(folder)
        keys.make(key_file)
        replace_private(folder / VKEY, f"{Cosigner(name, keys.seeds(key_file)[0]).verifier}\n")
        return cls(folder, key_file)

    def know(self, text: str) -> str:
        """Cosign a log from now on, by its public keys, one a line; returns its name. Raises ProofError."""
        names = {key.name for key in keys.read_public(text)}
        if len(names) != 1:
            raise ProofError("the public keys must be of one log, one a line")
        with exclusive(self._folder):
            lines = dict.fromkeys([*self._logs().split(), *text.split()])
            replace_private(self._folder / LOGS, "".join(f"{line}\n" for line in lines))
        return names.pop()

    def cosign(self, body: bytes, now: datetime) -> str:
        """The signature line for what was asked. It is written down as signed before it is said. Raises Declined."""
        with exclusive(self._folder):
            request, checkpoint, text = self._asked(body)
            heads = self._heads()
            _require_follows(request, checkpoint, heads.get(checkpoint.origin))
            heads[checkpoint.origin] = checkpoint
            kept = {origin: [head.size, base64text.encode(head.root)] for origin, head in heads.items()}
            replace_private(self._folder / HEADS, json.dumps(kept, indent=1, sort_keys=True) + "\n")
        return self._cosigner.line(text, int(now.timestamp()))

    def _asked(self, body: bytes) -> tuple[Request, Checkpoint, str]:
        try:
            request = Request.read(body)
            text, _ = parse(request.note)
            checkpoint = Checkpoint.read(text)
        except ProofError as error:
            raise Declined(400, str(error)) from error
        every = covering(checkpoint.origin, keys.read_public(self._logs()))
        known = [key for key in every if key.name == checkpoint.origin]
        if not known:
            raise Declined(404, f"the log {checkpoint.origin[:200]} is not known here")
        try:
            verified(request.note, known)
        except ProofError as error:
            raise Declined(403, str(error)) from error
        return request, checkpoint, text

    def _logs(self) -> str:
        file = self._folder / LOGS
        return file.read_text("utf-8") if file.exists() else ""

    def _heads(self) -> dict[str, Checkpoint]:
        file = self._folder / HEADS
        try:
            kept = json.loads(file.read_text("utf-8")) if file.exists() else {}
            return {
                origin: Checkpoint(origin, int(size), base64text.decode_hash(root, "a root"))
                for origin, (size, root) in kept.items()
            }
        except (ValueError, TypeError, AttributeError, ProofError) as error:
            raise LedgerError(f"{file} is damaged, and nothing is cosigned until it is restored") from error


def _require_follows(request: Request, new: Checkpoint, last: Checkpoint | None) -> None:
    size = last.size if last else 0
    if request.old > new.size:
        raise Declined(400, "the old size is above the checkpoint's")
    if request.old != size:
        raise Declined(409, f"the last checkpoint signed here has {size} entries", size)
    if last and last.size == new.size and last.root != new.root:
        raise Declined(409, "another checkpoint of this size was signed here")
    try:
        require_next(last, new, request.proof)
    except ProofError as error:
        raise Declined(422, str(error)) from error
