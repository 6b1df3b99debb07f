"""The second factor of an account: set up, asked for, replaced by a recovery code, switched off.

The secret of an authenticator lies in users.json sealed (AES-256-GCM) under a key of its own file,
`secrets/factors.keys`: a copy of users.json alone gives nobody a code.
"""

from __future__ import annotations

import base64
import os
import secrets
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Final, Literal

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from consent_app import totp
from consent_app.errors import UsersError
from consent_app.private_files import make_private_folder, replace_private
from consent_app.settings import Settings, read_keys
from consent_app.users import User, Users, hashed_code, is_hash_of

KEY_FILE: Final = "factors.keys"
_NONCE: Final = 12
Taken = Literal["code", "recovery code"]


class SecondFactors:
    """The second factors of one home. The key is made with the first."""

    def __init__(self, users: Users, key_file: Path, clock: Callable[[], datetime]) -> None:
        self._users = users
        self._key_file = key_file
        self._clock = clock

    @classmethod
    def of(cls, settings: Settings, users: Users) -> SecondFactors:
        """Those of a data home."""
        return cls(users, settings.secrets / KEY_FILE, settings.clock)

    def offer(self, name: str) -> bytes:
        """A new secret for an account, which counts for nothing until a code of it was typed. Raises UsersError."""
        secret = totp.new_secret()
        sealed = self._seal(secret, name)
        self._users.change(name, lambda user: replace(user, offered=sealed))
        return secret

    def offered(self, user: User) -> bytes | None:
        """The secret that waits for its first code. Raises UsersError where it cannot be opened."""
        return self._open(user.offered, user.name) if user.offered else None

    def confirm(self, user: User, typed: str) -> tuple[str, ...]:
        """Take the offered secret into use with its first code; returns the recovery codes, () for a wrong code."""
        secret = self.offered(user)
        step = totp.step_of(secret, totp.digits(typed), self._time(), 0) if secret else None
        if step is None:
            return ()
        return self._turn_on(user.name, user.offered, step)

    def enrol(self, name: str) -> tuple[bytes, tuple[str, ...]]:
        """Give an account a second factor at once: its secret and its recovery codes. Raises UsersError."""
        secret = totp.new_secret()
        return secret, self._turn_on(name, self._seal(secret, name), 0)

    def take(self, user: User, typed: str) -> Taken | None:
        """What was typed, if it is a code of this account that was not used before; it is used up now."""
        secret = self._open(user.totp, user.name)
        step = totp.step_of(secret, totp.digits(typed), self._time(), user.step)
        if step is not None and self._use_step(user.name, step):
            return "code"
        return "recovery code" if self._use_recovery(user, totp.recovery(typed)) else None

    def renew_recovery(self, name: str) -> tuple[str, ...]:
        """New recovery codes in the place of all before. Raises UsersError."""
        codes = totp.new_recovery_codes()
        kept = tuple(hashed_code(code) for code in codes)
        self._users.change(name, lambda user: replace(user, recovery=kept))
        return codes

    def remove(self, name: str) -> None:
        """Switch an account's second factor off. Raises UsersError."""
        self._users.change(name, lambda user: replace(user, totp="", offered="", recovery=(), step=0))

    def _turn_on(self, name: str, sealed: str, step: int) -> tuple[str, ...]:
        codes = totp.new_recovery_codes()
        kept = tuple(hashed_code(code) for code in codes)
        self._users.change(name, lambda user: replace(user, totp=sealed, offered="", recovery=kept, step=step))
        return codes

    def _use_step(self, name: str, step: int) -> bool:
        """Whether this process is the one that used it: of two at the same moment, one is refused."""
        used = []

        def use(user: User) -> User:
            used.append(step > user.step)
            return replace(user, step=max(step, user.step))

        self._users.change(name, use)
        return used[-1]

    def _use_recovery(self, user: User, code: str) -> bool:
        place = int(code[0]) if code else 0
        kept = user.recovery[place] if code and place < len(user.recovery) else ""
        if not kept or not is_hash_of(kept, code):
            return False
        used = []

        def use(now: User) -> User:
            used.append(now.recovery[place : place + 1] == (kept,))
            left = tuple("" if each == kept else each for each in now.recovery)
            return replace(now, recovery=left)

        self._users.change(user.name, use)
        return used[-1]

    def _time(self) -> int:
        return int(self._clock().timestamp())

    def _seal(self, secret: bytes, name: str) -> str:
        if not self._key_file.exists():
            _make_key(self._key_file, self._clock())
        nonce = secrets.token_bytes(_NONCE)
        sealed = AESGCM(self._keys()[-1]).encrypt(nonce, secret, _about(name))
        return base64.b64encode(nonce + sealed).decode("ascii")

    def _open(self, sealed: str, name: str) -> bytes:
        raw = base64.b64decode(sealed)
        for key in reversed(self._keys()):
            with suppress(InvalidTag):
                return AESGCM(key).decrypt(raw[:_NONCE], raw[_NONCE:], _about(name))
        raise UsersError(
            f"the second factor of {name} does not open with {self._key_file}; restore that file, or give a new one: "
            f"consent user totp {name}"
        )

    def _keys(self) -> list[bytes]:
        if not self._key_file.exists():
            raise UsersError(f"{self._key_file} is gone: no second factor can be checked; restore it from a backup")
        return [base64.urlsafe_b64decode(text) for _, text in read_keys(self._key_file)]


def _about(name: str) -> bytes:
    """Whose secret it is: in another account it does not open."""
    return f"consent-app/second-factor/v1 {name.strip().lower()}".encode()


def _make_key(file: Path, now: datetime) -> None:
    """Write the first key. Of two processes that do so at once, one's is kept by both."""
    make_private_folder(file.parent)
    new = file.with_name(f".{file.name}.{secrets.token_hex(4)}")
    key = base64.urlsafe_b64encode(AESGCM.generate_key(256)).decode("ascii")
    replace_private(new, f"{now.date().isoformat()} {key}\n")
    with suppress(FileExistsError):
        os.link(new, file)
    new.unlink()
