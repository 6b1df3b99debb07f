"""Proofs out of the published log: that an entry is in it, and that it goes on from an older checkpoint."""

from __future__ import annotations

from consent_app.errors import ProofError
from consent_app.ledger import keys
from consent_app.ledger.published import Published
from consent_app.ledger.tlog import merkle
from consent_app.ledger.tlog.checkpoint import Checkpoint, verified
from consent_app.ledger.tlog.note import parse
from consent_app.ledger.tlog.proof import Proof
from consent_app.ledger.tlog.tiles import nodes


def made(published: Published, seq: int, nonce: bytes) -> Proof | None:
    """The proof that entry `seq` of a log is under its newest checkpoint; None while it is not. Raises ProofError."""
    note = published.checkpoint()
    if note is None:
        return None
    checkpoint = verified(note, keys.read_public(published.key()))
    if seq >= checkpoint.size:
        return None
    path = merkle.inclusion_proof(seq, checkpoint.size, nodes(checkpoint.size, published.tile))
    return Proof(seq, tuple(path), note, nonce)


def require_ours(published: Published, proof: Proof, entry: bytes | None) -> Checkpoint:
    """The checkpoint in a proof: signed by our key, over that entry, and the newest one of that log goes on from it.

    Raises ProofError.
    """
    known = keys.read_public(published.key())
    if entry is None:
        verified(proof.checkpoint, known)
        raise ProofError(f"there is no entry {proof.index} here")
    old = proof.verify(entry, known)
    require_goes_on(published, old)
    return old


def require_goes_on(published: Published, old: Checkpoint) -> Checkpoint:
    """The newest checkpoint of a log, which goes on from an older one of it. Raises ProofError."""
    newest = verified(published.checkpoint() or b"", keys.read_public(published.key()))
    if newest.origin != old.origin:
        raise ProofError(f"the checkpoint is of the log {old.origin}, which is another one")
    path = merkle.consistency_proof(old.size, newest.size, nodes(newest.size, published.tile))
    merkle.verify_consistency(old.size, newest.size, old.root, newest.root, path)
    return newest


def log_of(published: Published, note: bytes) -> Published:
    """The folder of the log that a checkpoint says it is of; nothing of it is verified. Raises ProofError."""
    origin = Checkpoint.read(parse(note)[0]).origin
    year = origin.rpartition("/")[2]
    return published.of(year if year in published.years() else "")
