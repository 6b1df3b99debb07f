"""Dashboard users: name, role, sites, Argon2id hashes of password and recovery codes, in users.json (0600)."""

from __future__ import annotations

import json
import os
import re
from base64 import b64encode
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from threading import Lock
from typing import Any, Final, Literal, Self, get_args

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from consent_app.errors import UsersError
from consent_app.private_files import exclusive, replace_private, require_private

Role = Literal["viewer", "admin", "auditor"]
ROLES: Final[tuple[Role, ...]] = get_args(Role)
SHORTEST_PASSWORD: Final = 12
LONGEST_PASSWORD: Final = 256
LONGEST_NAME: Final = 64
# What somebody who knows the account and this software would try first, besides the account's own name.
OWN_WORDS: Final = (
    "consent", "dashboard", "statistics", "password", "passwort", "admin", "letmein", "welcome", "qwerty",
)  # fmt: skip
_NAME: Final = rf"[a-z0-9][a-z0-9._@-]{{0,{LONGEST_NAME - 1}}}"
_HASHER: Final = PasswordHasher()
# Recovery codes are 55 random bits, and ten are made at once: the least that is asked for passwords is plenty.
_LIGHT: Final = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)


def _nobody() -> str:
    """A hash no password has, verified when a name is unknown so that the answer takes as long as for a known one."""
    cost = f"m={_HASHER.memory_cost},t={_HASHER.time_cost},p={_HASHER.parallelism}"
    salt, digest = (b64encode(os.urandom(size)).decode().rstrip("=") for size in (_HASHER.salt_len, _HASHER.hash_len))
    return f"$argon2id$v=19${cost}${salt}${digest}"


_NOBODY: Final = _nobody()


def hashed(password: str) -> str:
    """A salted Argon2id hash of a password."""
    return _HASHER.hash(password)


def hashed_code(code: str) -> str:
    """A salted Argon2id hash of a random code, cheaper than that of a password."""
    return _LIGHT.hash(code)


def is_hash_of(kept: str, text: str) -> bool:
    """Whether a kept hash is that of this text; what is no hash is no text's."""
    try:
        return _HASHER.verify(kept, text)
    except (VerificationError, InvalidHashError, UnicodeError):
        return False


@dataclass(frozen=True, slots=True)
class User:
    """Who may sign in. `sites` are site keys; empty means every site. Raises UsersError.

    `totp` is the sealed secret of the second factor ("" without one), `offered` one that waits for its first code,
    `step` the last time step whose code was used, `recovery` the hashes of recovery codes ("" for a used one). `epoch`
    grows when every session of the account is to end.
    """

    name: str
    role: Role
    sites: tuple[str, ...] = ()
    disabled: bool = False
    password: str = ""
    totp: str = ""
    offered: str = ""
    step: int = 0
    recovery: tuple[str, ...] = ()
    epoch: int = 0

    def __post_init__(self) -> None:
        if not re.fullmatch(_NAME, self.name):
            raise UsersError(f"user name {self.name!r} may hold a to z, 0 to 9 and . _ @ - (at most {LONGEST_NAME})")
        if self.role not in ROLES:
            raise UsersError(f"role {self.role!r} is not one of {', '.join(ROLES)}")

    @property
    def recovery_left(self) -> int:
        """How many recovery codes are not used yet."""
        return sum(1 for kept in self.recovery if kept)

    def may_see(self, site: str) -> bool:
        """Whether the figures of that site are this user's to see."""
        return not self.disabled and (not self.sites or site in self.sites)


class Users:
    """The users of one installation. A change made by another process is seen at the next question. Thread-safe."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._lock = Lock()
        self._seen: tuple[int, int] | None = None
        self._users: dict[str, User] = {}

    @classmethod
    def load(cls, file: Path) -> Self:
        """Users of that file; none while it is missing. Raises UsersError when it is broken, SettingsError when
        others may read it.
        """
        users = cls(file)
        users.all()
        return users

    def all(self) -> list[User]:
        """Every user, by name."""
        with self._lock:
            self._refresh()
            return sorted(self._users.values(), key=lambda user: user.name)

    def get(self, name: str) -> User | None:
        """The user of that name, unless disabled or unknown."""
        with self._lock:
            self._refresh()
            user = self._users.get(name.strip().lower())
        return None if user is None or user.disabled else user

    def add(self, name: str, password: str, role: Role, sites: tuple[str, ...] = ()) -> User:
        """Add a user, or give one a new password, role and sites; a second factor stays. Raises UsersError."""
        name = name.strip().lower()
        check_password(name, password)
        fresh = User(name, role, sites, password=hashed(password))
        return self._keep(name, lambda old: _kept_factor(fresh, old) if old else fresh)

    def set_password(self, name: str, password: str) -> User:
        """Give an active user a new password, which ends every session. Raises UsersError."""
        check_password(name, password)
        new = hashed(password)
        return self.change(name, lambda user: replace(user, password=new))

    def disable(self, name: str) -> None:
        """Shut a user out, now and for open sessions. Raises UsersError when there is none of that name."""
        self.change(name, lambda user: replace(user, disabled=True))

    def end_sessions(self, name: str) -> None:
        """Sign a user out everywhere. Raises UsersError when there is none of that name."""
        self.change(name, lambda user: replace(user, epoch=user.epoch + 1))

    def change(self, name: str, how: Callable[[User], User]) -> User:
        """Change an active user, one process at a time. Raises UsersError when there is none of that name."""

        def active(user: User | None) -> User:
            if user is None or user.disabled:
                raise UsersError(f"there is no active user {name!r}; `consent user list` shows them")
            return how(user)

        return self._keep(name.strip().lower(), active)

    def verify(self, name: str, password: str) -> User | None:
        """The user whose password this is. Takes as long for an unknown name as for a known one."""
        user = self.get(name)
        right = is_hash_of(user.password if user else _NOBODY, password[: LONGEST_PASSWORD + 1])
        return user if right else None

    def _keep(self, name: str, how: Callable[[User | None], User]) -> User:
        """Read, change and write under a lock that other processes wait for."""
        with self._lock, exclusive(self._file.parent):
            self._seen = None
            self._refresh()
            user = how(self._users.get(name))
            users = self._users | {name: user}
            content = {"version": 1, "users": [asdict(users[name]) for name in sorted(users)]}
            replace_private(self._file, json.dumps(content, indent=2) + "\n")
            self._seen = None
        return user

    def _refresh(self) -> None:
        try:
            status = self._file.stat()
        except FileNotFoundError:
            self._users, self._seen = {}, None
            return
        if self._seen != (status.st_mtime_ns, status.st_ino):
            require_private(self._file)
            self._users = {user.name: user for user in _read(self._file)}
            self._seen = (status.st_mtime_ns, status.st_ino)


def _read(file: Path) -> list[User]:
    try:
        return [_user(entry) for entry in json.loads(file.read_text("utf-8"))["users"]]
    except (ValueError, KeyError, TypeError) as error:
        raise UsersError(f"{file} is not a list of users; restore it from a backup") from error


def _user(entry: dict[str, Any]) -> User:
    return User(**entry | {"sites": tuple(entry["sites"]), "recovery": tuple(entry.get("recovery", ()))})


def check_password(name: str, password: str) -> None:
    """Raise UsersError unless a password is long enough and no obvious guess. Any characters will do."""
    if not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
        raise UsersError(f"a password has from {SHORTEST_PASSWORD} to {LONGEST_PASSWORD} characters")
    if len(_without(name, password.lower())) < SHORTEST_PASSWORD // 2:
        raise UsersError("this password is easy to guess: little is left of it without common words and repetitions")


def _without(name: str, password: str) -> str:
    """What is left of a password: no words that everybody tries, no runs such as 1234 or aaaa, no second copy."""
    for word in (*re.findall("[a-z0-9]{4,}", name.lower()), *OWN_WORDS):
        password = password.replace(word, "")
    own = "".join(
        letter
        for before, letter in zip(f"\0{password}", password, strict=False)
        if ord(letter) - ord(before) not in (-1, 0, 1)
    )
    return re.sub(r"(.+?)\1+", r"\1", own, flags=re.DOTALL)


def _kept_factor(fresh: User, old: User) -> User:
    return replace(fresh, totp=old.totp, offered=old.offered, step=old.step, recovery=old.recovery, epoch=old.epoch)
