"""Base64 as the C2SP formats write it: the standard alphabet, padded, one spelling for each value."""

from __future__ import annotations

import base64
import binascii

from consent_app.errors import ProofError


def encode(content: bytes) -> str:
    """Standard base64 (RFC 4648 section 4)."""
    return base64.b64encode(content).decode("ascii")


def decode(text: str, what: str) -> bytes:
    """The bytes of a base64 text. Raises ProofError naming `what` when it is not the one spelling of them."""
    try:
        content = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ProofError(f"{what} is not base64") from error
    if encode(content) != text:
        raise ProofError(f"{what} is not base64")
    return content


def decode_hash(text: str, what: str) -> bytes:
    """A SHA-256 in base64. Raises ProofError."""
    content = decode(text, what)
    if len(content) != 32:
        raise ProofError(f"{what} has {len(content)} bytes; a SHA-256 has 32")
    return content


def number(text: str, what: str) -> int:
    """A decimal number below 2^63 without leading zeros or sign. Raises ProofError."""
    plain = text.isascii() and text.isdecimal() and (text == "0" or not text.startswith("0"))
    if not plain or len(text) > 19 or int(text) >= 2**63:
        raise ProofError(f"{what} is not a plain decimal number")
    return int(text)
