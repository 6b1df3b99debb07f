"""Time-based one-time passwords (RFC 6238) as authenticator apps know them, and recovery codes for a lost phone."""

from __future__ import annotations

import hmac
import re
import secrets
from typing import Final

from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP

STEP: Final = 30
DIGITS: Final = 6
SKEW: Final = 1
SECRET_BYTES: Final = 20
RECOVERY_CODES: Final = 10
# No letter that is taken for a digit or another letter (Crockford). The first names which of the codes it is, so that
# one hash is checked and not ten; eleven random ones are 55 bits.
_ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_LOOKALIKES: Final = str.maketrans("OIL", "011")
_RECOVERY: Final = re.compile(f"[0-9][{_ALPHABET}]{{11}}")


def new_secret() -> bytes:
    """A random secret, as long as the hash that uses it (RFC 4226 section 4)."""
    return secrets.token_bytes(SECRET_BYTES)


def code(secret: bytes, time: int, digits: int = DIGITS) -> str:
    """The code of that moment (seconds since 1970)."""
    return _otp(secret, digits).generate(time).decode("ascii")


def step_of(secret: bytes, typed: str, time: int, after: int) -> int | None:
    """The step whose code was typed, at most one step from now and later than `after`; None where there is none.

    Whoever keeps the step as the next `after` takes no code twice (RFC 6238 section 5.2).
    """
    now = time // STEP
    found = None
    for step in range(max(now - SKEW, 0), now + SKEW + 1):
        if hmac.compare_digest(code(secret, step * STEP).encode(), typed.encode()) and step > after:
            found = step
    return found


def uri(secret: bytes, account: str, issuer: str) -> str:
    """What an authenticator app reads (an otpauth URI, as a link or a QR code)."""
    return _otp(secret, DIGITS).get_provisioning_uri(account, issuer)


def digits(typed: str) -> str:
    """A code as it was typed, spaces left out; "" where it cannot be one."""
    found = re.sub(r"\s", "", typed[:32])
    return found if re.fullmatch(f"[0-9]{{{DIGITS}}}", found, re.ASCII) else ""


def new_recovery_codes() -> tuple[str, ...]:
    """Codes for the day the phone is lost, as `0K7Q-X4TZ-9PWM`."""
    made = (str(place) + "".join(secrets.choice(_ALPHABET) for _ in range(11)) for place in range(RECOVERY_CODES))
    return tuple("-".join(re.findall("....", letters)) for letters in made)


def recovery(typed: str) -> str:
    """A recovery code as it was given out, however it was typed; "" where it cannot be one."""
    letters = re.sub(r"[\s-]", "", typed[:32]).upper().translate(_LOOKALIKES)
    return "-".join(re.findall("....", letters)) if _RECOVERY.fullmatch(letters) else ""


def _otp(secret: bytes, digits: int) -> TOTP:
    """With SHA-1, because many apps know no other: it is not weak here, where nobody can choose what is hashed."""
    return TOTP(secret, digits, SHA1(), STEP)  # noqa: S303 - as above
