"""The log's signing keys: `ledger.keys` among the secrets, oldest first; all sign, and none expires.

So whoever was given any of them can verify what is signed from then on. The log's name comes from its oldest key: it
stays what it is when the server moves to another host.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import secrets
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from consent_app.errors import LedgerError
from consent_app.ledger.tlog.note import Signer, Verifier
from consent_app.private_files import make_private_folder, replace_private
from consent_app.settings import read_keys

FILE: Final = "ledger.keys"
NAME: Final = "consent.invalid/ledger"
SEED_BYTES: Final = 32


def make(file: Path) -> None:
    """Write a first key. Raises SettingsError where the folder of secrets is open to others."""
    make_private_folder(file.parent)
    replace_private(file, _line())


def signers(file: Path, year: str = "") -> list[Signer]:
    """Every key of the log, oldest first, under the name of a later year's log if one is given.

    Raises SettingsError or LedgerError where they cannot be used.
    """
    found = seeds(file)
    oldest = Signer(NAME, found[0]).verifier.public
    name = f"{NAME}/{hashlib.sha256(oldest).hexdigest()[:16]}"
    return [Signer(f"{name}/{year}" if year else name, seed) for seed in found]


def seeds(file: Path) -> list[bytes]:
    """The private keys in a file, oldest first. Raises SettingsError or LedgerError where they cannot be used."""
    if not file.exists():
        raise LedgerError(f"{file} is gone: nothing can be signed any more; restore it from a backup")
    found = [_seed(file, text) for _, text in read_keys(file)]
    if not found:
        raise LedgerError(f"{file} holds no key; restore it from a backup")
    return found


def rotate(file: Path) -> None:
    """Add a newest key. Every older one stays and signs too, or what it signed could not be followed any further.

    Raises SettingsError or LedgerError where the file cannot be used.
    """
    seeds(file)
    replace_private(file, file.read_text("utf-8") + _line())


def public_text(verifiers: Sequence[Verifier]) -> str:
    """What others are given to verify with: one key a line."""
    return "".join(f"{verifier}\n" for verifier in verifiers)


def read_public(text: str) -> list[Verifier]:
    """The public keys of one log. Raises ProofError."""
    return [Verifier.read(line) for line in text.splitlines() if line.strip()]


def _line() -> str:
    seed = base64.urlsafe_b64encode(secrets.token_bytes(SEED_BYTES)).decode("ascii")
    return f"{datetime.now(UTC).date().isoformat()} {seed}\n"


def _seed(file: Path, text: str) -> bytes:
    try:
        seed = base64.urlsafe_b64decode(text)
    except (binascii.Error, ValueError) as error:
        raise LedgerError(f"{file} holds a key that is none; restore it from a backup") from error
    if len(seed) != SEED_BYTES:
        raise LedgerError(f"{file} holds a key that is none; restore it from a backup")
    return seed
