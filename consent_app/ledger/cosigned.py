"""Our own log, cosigned: which witnesses were asked to look at it, and what each of them signed last.

The cosigned checkpoint is published beside the newest one as `cosigned.KEYID`, so that anybody can ask for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from consent_app.errors import LedgerError, ProofError
from consent_app.ledger import keys
from consent_app.ledger.proofs import require_goes_on
from consent_app.ledger.published import Published
from consent_app.ledger.tlog import base64text, merkle
from consent_app.ledger.tlog.checkpoint import Checkpoint, verified
from consent_app.ledger.tlog.cosignature import WitnessKey, cosigned_at
from consent_app.ledger.tlog.tiles import nodes
from consent_app.ledger.tlog.witnessing import SIZE, Request
from consent_app.ledger.verification import Check
from consent_app.private_files import replace_private

FILE: Final = "witnesses"
Post = Callable[[str, bytes], tuple[int, str, bytes]]


@dataclass(frozen=True, slots=True)
class Asked:
    """A witness that cosigns our log: where it takes checkpoints (`add-checkpoint` below that address), and its key."""

    url: str
    key: WitnessKey

    @property
    def name(self) -> str:
        """Under which the published folder has what it signed."""
        return f"cosigned.{self.key.key_id.hex()}"


def asked(home: Path) -> list[Asked]:
    """The witnesses of a data home. Raises ProofError where the file holds something else."""
    file = home / FILE
    lines = file.read_text("utf-8").splitlines() if file.exists() else []
    pairs = [line.partition(" ") for line in lines if line.strip()]
    return [Asked(url, WitnessKey.read(key)) for url, _, key in pairs]


def add(home: Path, url: str, vkey: str) -> Asked:
    """Have a further witness asked, or one at another address. Raises ProofError for a key that is none."""
    new = Asked(url.rstrip("/"), WitnessKey.read(vkey))
    kept = [one for one in asked(home) if one.key != new.key]
    replace_private(home / FILE, "".join(f"{one.url} {one.key}\n" for one in [*kept, new]))
    return new


def ask(published: Published, witness: Asked, post: Post) -> Checkpoint:
    """Have the newest checkpoint cosigned, and keep it beside; `post` sends a body and gives status, type and answer.

    A year's log that ended since the witness was asked last is brought to its end first. Raises LedgerError where the
    witness declines, ProofError where its answer is no cosignature.
    """
    *older, newest = [published.of(year) for year in ("", *published.years())]
    for log in older:
        if (log.folder / witness.name).exists() and _last(log, witness) < _size(log):
            _ask(log, witness, post)
    return _ask(newest, witness, post)


def _size(published: Published) -> int:
    return verified(published.checkpoint() or b"", keys.read_public(published.key())).size


def _ask(published: Published, witness: Asked, post: Post) -> Checkpoint:
    note = published.checkpoint()
    if note is None:
        raise LedgerError("nothing is signed yet, so there is nothing to cosign")
    checkpoint = verified(note, keys.read_public(published.key()))
    lines = _answer(published, witness, checkpoint, note, post)
    cosigned = note + lines
    cosigned_at(cosigned, witness.key)
    with published.lock():
        published.replace(witness.name, cosigned)
    return checkpoint


def checks(published: Published, witnesses: list[Asked]) -> Iterator[Check]:
    """For each witness, whether the log goes on from what it signed last."""
    for witness in witnesses:
        try:
            yield Check("ledger witness", True, _verified(published, witness))
        except ProofError as error:
            yield Check("ledger witness", False, f"{witness.key.name}: {error}")


def _verified(published: Published, witness: Asked) -> str:
    """Of the newest year in which it was asked: that the years go on from each other is a check of the ledger."""
    known = keys.read_public(published.key())
    logs = [published.of(year) for year in (*reversed(published.years()), "")]
    log = next((log for log in logs if (log.folder / witness.name).exists()), None)
    if log is None:
        raise ProofError("it has cosigned nothing yet; run `consent witness ask`")
    note = (log.folder / witness.name).read_bytes()
    old, time = verified(note, known), cosigned_at(note, witness.key)
    require_goes_on(log, old)
    moment = datetime.fromtimestamp(time, UTC)
    return (
        f"{witness.key.name} cosigned {old.size} entries at {moment:%Y-%m-%d %H:%M} UTC, and the log goes on from them"
    )


def _answer(published: Published, witness: Asked, checkpoint: Checkpoint, note: bytes, post: Post) -> bytes:
    """The lines of a witness. One that was asked before from elsewhere says how far, and is asked again from there."""
    old = _last(published, witness)
    for _ in range(2):
        path = _proof(published, old, checkpoint.size)
        status, kind, body = post(f"{witness.url}/add-checkpoint", Request(old, path, note).text)
        if status == 200:
            return body
        if status != 409 or kind != SIZE:
            break
        old = base64text.number(body.decode("ascii", "replace").removesuffix("\n"), "the size in the answer")
        if old > checkpoint.size:
            raise LedgerError(
                f"the witness {witness.key.name} has cosigned {old} entries of this log, now it has {checkpoint.size}: "
                "an older copy was put back"
            )
    said = " ".join(body.decode("utf-8", "replace").split())[:200]
    raise LedgerError(f"the witness {witness.key.name} did not cosign: {status} {said}")


def _last(published: Published, witness: Asked) -> int:
    file = published.folder / witness.name
    try:
        return verified(file.read_bytes(), keys.read_public(published.key())).size if file.exists() else 0
    except ProofError:
        return 0  # what is damaged is asked for again from the beginning: the witness knows how far it was


def _proof(published: Published, old: int, size: int) -> tuple[bytes, ...]:
    if not 0 < old < size:
        return ()
    return tuple(merkle.consistency_proof(old, size, nodes(size, published.tile)))
