"""Signed notes (C2SP signed-note): a text, and below it lines of signatures; Ed25519, signature type 1.

A key is named `NAME+KEYID+BASE64`: its name, the first four bytes of SHA-256(name ‖ newline ‖ type ‖ public key) in
hexadecimal, and the public key with its type before it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Final, Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from consent_app.errors import ProofError
from consent_app.ledger.tlog import base64text

ED25519: Final = 1
LONGEST: Final = 1_000_000
MOST_SIGNATURES: Final = 64
_DASH: Final = "— "
_NAME: Final = re.compile(r"[^\s+\x00-\x1f]+")


@dataclass(frozen=True, slots=True)
class Verifier:
    """One public key. Raises ProofError for a name or key that cannot be."""

    TYPE: ClassVar[int] = ED25519
    name: str
    public: bytes

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ProofError("a key's name has neither spaces nor plus signs, and is not empty")
        if len(self.public) != 32:
            raise ProofError("an Ed25519 public key has 32 bytes")

    @classmethod
    def read(cls, text: str) -> Self:
        """A key from its text form. Raises ProofError."""
        name, _, rest = text.strip().partition("+")
        digits, _, encoded = rest.partition("+")
        key = base64text.decode(encoded, "the key")
        if key[:1] != bytes([cls.TYPE]):
            raise ProofError(f"the key is not of the signature type {cls.TYPE}")
        verifier = cls(name, key[1:])
        if digits != verifier.key_id.hex():
            raise ProofError("the key does not fit its own key id")
        return verifier

    @property
    def key_id(self) -> bytes:
        """Four bytes that tell which key signed."""
        return hashlib.sha256(self.name.encode() + b"\n" + self._typed).digest()[:4]

    def __str__(self) -> str:
        """The text form."""
        return f"{self.name}+{self.key_id.hex()}+{base64text.encode(self._typed)}"

    @property
    def _typed(self) -> bytes:
        return bytes([self.TYPE]) + self.public

    def check(self, text: str, signature: bytes) -> bool:
        """Whether this key signed that text."""
        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature, text.encode())
        except InvalidSignature:
            return False
        return True


class Signer:
    """One private key (its 32-byte seed) under a name."""

    def __init__(self, name: str, seed: bytes) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        self.verifier = Verifier(name, self._key.public_key().public_bytes_raw())

    def sign(self, text: str) -> str:
        """The note of a text, which must end in a newline. Raises ProofError for a text that is none."""
        return signed(text, [self])

    def line(self, text: str) -> str:
        """The signature line of a text."""
        return signature_line(self.verifier, self._key.sign(text.encode()))


def signed(text: str, signers: Sequence[Signer]) -> str:
    """The note of a text, with a signature of each. Raises ProofError for a text that does not end in a newline."""
    if not text.endswith("\n") or _has_controls(text):
        raise ProofError("a note's text ends in a newline and has no other control characters")
    return f"{text}\n{''.join(signer.line(text) for signer in signers)}"


def signature_line(key: Verifier, content: bytes) -> str:
    """The line below a note that says what a key wrote."""
    return f"{_DASH}{key.name} {base64text.encode(key.key_id + content)}\n"


@dataclass(frozen=True, slots=True)
class Signature:
    """One line below a note: the key's name and id, and what it wrote."""

    name: str
    key_id: bytes
    content: bytes


def opened(note: bytes, known: Sequence[Verifier]) -> str:
    """The text of a note that at least one known key signed.

    Raises ProofError for anything else: no note, no known key, or a known key's signature that does not hold.
    """
    text, signatures = parse(note)
    keys = {(key.name, key.key_id): key for key in known}
    signed = False
    for signature in signatures:
        key = keys.get((signature.name, signature.key_id))
        if key is None:
            continue
        if not key.check(text, signature.content):
            raise ProofError(f"the signature of {key.name} does not fit the text")
        signed = True
    if not signed:
        raise ProofError("it is not signed by a known key")
    return text


def parse(note: bytes) -> tuple[str, list[Signature]]:
    """The text and the signatures of a note, none of them verified. Raises ProofError."""
    if len(note) > LONGEST:
        raise ProofError(f"a note has at most {LONGEST} bytes")
    try:
        whole = note.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ProofError("a note is UTF-8") from error
    head, blank, tail = whole.rpartition("\n\n")
    if not blank or not tail.endswith("\n") or _has_controls(whole):
        raise ProofError("a note is a text, an empty line and signatures, each line ended by a newline")
    lines = tail.removesuffix("\n").split("\n")
    if len(lines) > MOST_SIGNATURES:
        raise ProofError(f"a note has at most {MOST_SIGNATURES} signatures")
    return head + "\n", [read_signature(line) for line in lines]


def read_signature(line: str) -> Signature:
    """One signature line, without its newline; not verified. Raises ProofError."""
    name, _, encoded = line.removeprefix(_DASH).partition(" ")
    if not line.startswith(_DASH) or not _NAME.fullmatch(name):
        raise ProofError("a signature line is a dash, a name and base64")
    content = base64text.decode(encoded, "a signature")
    if len(content) < 5:
        raise ProofError("a signature is too short")
    return Signature(name, content[:4], content[4:])


def _has_controls(text: str) -> bool:
    return any(character < " " and character != "\n" for character in text)
