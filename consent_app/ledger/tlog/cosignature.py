"""Cosignatures (C2SP tlog-cosignature, cosignature/v1): a witness says that it saw a checkpoint, at what time, and that
it follows on every checkpoint of that log which it signed before.

The signature type is 4; signed is `cosignature/v1`, the time in seconds since 1970, and the whole text of the note; the
time stands in eight bytes before the signature.
"""

from __future__ import annotations

from typing import ClassVar, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from consent_app.errors import ProofError
from consent_app.ledger.tlog.note import Signature, Verifier, parse, signature_line

COSIGNATURE: Final = 4
_TIME_BYTES: Final = 8


class WitnessKey(Verifier):
    """The public key of a witness."""

    TYPE: ClassVar[int] = COSIGNATURE

    def time(self, text: str, signature: Signature) -> int:
        """When this key cosigned that text, in seconds since 1970. Raises ProofError where it did not."""
        time = int.from_bytes(signature.content[:_TIME_BYTES], "big")
        try:
            key = Ed25519PublicKey.from_public_bytes(self.public)
            key.verify(signature.content[_TIME_BYTES:], _message(text, time))
        except InvalidSignature as error:
            raise ProofError(f"the cosignature of {self.name} does not fit the text") from error
        return time

    def is_of(self, signature: Signature) -> bool:
        """Whether a signature line says that it is by this key."""
        return (signature.name, signature.key_id) == (self.name, self.key_id)


class Cosigner:
    """The private key of a witness (its 32-byte seed) under its name."""

    def __init__(self, name: str, seed: bytes) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        self.verifier = WitnessKey(name, self._key.public_key().public_bytes_raw())

    def line(self, text: str, time: int) -> str:
        """The signature line that says: this text was seen at that time (seconds since 1970)."""
        content = time.to_bytes(_TIME_BYTES, "big") + self._key.sign(_message(text, time))
        return signature_line(self.verifier, content)


def cosigned_at(note: bytes, witness: WitnessKey) -> int:
    """When a witness cosigned a note, in seconds since 1970. Raises ProofError where it did not."""
    text, signatures = parse(note)
    times = [witness.time(text, signature) for signature in signatures if witness.is_of(signature)]
    if not times:
        raise ProofError(f"it is not cosigned by {witness.name}")
    return max(times)


def _message(text: str, time: int) -> bytes:
    return f"cosignature/v1\ntime {time}\n{text}".encode()
