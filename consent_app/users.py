"""Dashboard users: name, role, sites, and an Argon2id hash of the password, in users.json (0600)."""

from __future__ import annotations

import json
import os
import re
from base64 import b64encode
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from threading import Lock
from typing import Any, Final, Literal, Self, get_args

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from consent_app.errors import UsersError
from consent_app.private_files import replace_private, require_private

Role = Literal["viewer", "admin", "auditor"]
ROLES: Final[tuple[Role, ...]] = get_args(Role)
SHORTEST_PASSWORD: Final = 12
LONGEST_PASSWORD: Final = 256
LONGEST_NAME: Final = 64
_NAME: Final = rf"[a-z0-9][a-z0-9._@-]{{0,{LONGEST_NAME - 1}}}"
_HASHER: Final = PasswordHasher()


def _nobody() -> str:
    """A hash no password has, verified when a name is unknown so that the answer takes as long as for a known one."""
    cost = f"m={_HASHER.memory_cost},t={_HASHER.time_cost},p={_HASHER.parallelism}"
    salt, digest = (b64encode(os.urandom(size)).decode().rstrip("=") for size in (_HASHER.salt_len, _HASHER.hash_len))
    return f"$argon2id$v=19${cost}${salt}${digest}"


_NOBODY: Final = _nobody()


@dataclass(frozen=True, slots=True)
class User:
    """Who may sign in. `sites` are site keys; empty means every site. Raises UsersError."""

    name: str
    role: Role
    sites: tuple[str, ...] = ()
    disabled: bool = False
    password: str = ""

    def __post_init__(self) -> None:
        if not re.fullmatch(_NAME, self.name):
            raise UsersError(f"user name {self.name!r} may hold a to z, 0 to 9 and . _ @ - (at most {LONGEST_NAME})")
        if self.role not in ROLES:
            raise UsersError(f"role {self.role!r} is not one of {', '.join(ROLES)}")

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
        """Add a user, or give one a new password, role and sites. Raises UsersError."""
        if not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
            raise UsersError(f"a password has from {SHORTEST_PASSWORD} to {LONGEST_PASSWORD} characters")
        user = User(name.strip().lower(), role, sites, password=_HASHER.hash(password))
        self._keep(user)
        return user

    def disable(self, name: str) -> None:
        """Shut a user out, now and for open sessions. Raises UsersError when there is none of that name."""
        user = self.get(name)
        if user is None:
            raise UsersError(f"there is no active user {name!r}; `consent user list` shows them")
        self._keep(replace(user, disabled=True))

    def verify(self, name: str, password: str) -> User | None:
        """The user whose password this is. Takes as long for an unknown name as for a known one."""
        user = self.get(name)
        try:
            _HASHER.verify(user.password if user else _NOBODY, password[: LONGEST_PASSWORD + 1])
        except (VerificationError, InvalidHashError, UnicodeError):
            return None
        return user

    def _keep(self, user: User) -> None:
        with self._lock:
            self._refresh()
            users = self._users | {user.name: user}
            content = {"version": 1, "users": [asdict(users[name]) for name in sorted(users)]}
            replace_private(self._file, json.dumps(content, indent=2) + "\n")
            self._seen = None

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
    return User(**entry | {"sites": tuple(entry["sites"])})
