"""Sessions of the dashboard: begun anew at each sign-in, ended by themselves, by signing out, or by a changed account.

A session is a signed cookie that names an account and carries a fingerprint of what it was signed in with. Signing out
writes the session's number down for as long as it could have lasted, so that a copy of the cookie opens nothing either.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from datetime import datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final

from flask import request, session

from consent_app.private_files import make_private_folder
from consent_app.rooms import rooms
from consent_app.settings import Settings
from consent_app.users import User

IDLE: Final = timedelta(minutes=30)
ABSOLUTE: Final = timedelta(hours=12)
BETWEEN_FACTORS: Final = timedelta(minutes=5)
FOLDER: Final = "sessions"
_ENDED: Final = re.compile(r"\d+-[0-9a-f]{32}")


def begin(user: User, now: datetime) -> None:
    """Sign in: nothing of the session before is left."""
    session.clear()
    session.update(
        user=user.name, print=_fingerprint(user), since=now.timestamp(), seen=now.timestamp(), id=secrets.token_hex(16)
    )


def begin_half(user: User, now: datetime, after: str) -> None:
    """Remember for five minutes that the password was right, and where to go with the second factor."""
    session.clear()
    session.update(half=user.name, print=_fingerprint(user), at=now.timestamp(), after=after)


def half(now: datetime) -> tuple[User | None, str]:
    """The account whose password was right a moment ago, and where it wants to go."""
    user = rooms().users.get(session.get("half", ""))
    if user is None or _fingerprint(user) != session["print"] or now.timestamp() - session["at"] >= _HALF:
        return None, ""
    return user, session["after"]


def current(now: datetime) -> tuple[User | None, str]:
    """The account of this session, or why there is none ("" when there never was one)."""
    if "user" not in session:
        return None, ""
    since, seen = (datetime.fromtimestamp(session[key], tz=now.tzinfo) for key in ("since", "seen"))
    if now - since >= ABSOLUTE:
        return None, "absolute"
    if now - seen >= IDLE:
        return None, "idle"
    user = rooms().users.get(session["user"])
    if user is None or _fingerprint(user) != session["print"]:
        return None, "changed"
    if _file().exists():
        return None, "left"
    session["seen"] = now.timestamp()
    return user, ""


def end(now: datetime) -> str:
    """Sign out; returns the account's name. Raises OSError where that cannot be written down."""
    name = str(session.get("user", ""))
    if "id" in session:
        make_private_folder(_folder())
        for old in _folder().iterdir():
            if _ENDED.fullmatch(old.name) and int(old.name.partition("-")[0]) < now.timestamp():
                old.unlink(missing_ok=True)
        _file().touch(mode=0o600)
    session.clear()
    return name


def named_by_proxy(settings: Settings) -> str:
    """The account that a trusted proxy says it signed in; "" where none does.

    The proxy is known by the address the connection itself came from, whatever X-Forwarded-For says.
    """
    if not settings.login_header:
        return ""
    behind: dict[str, Any] = request.environ.get("werkzeug.proxy_fix.orig", {})
    try:
        peer = ip_address(behind.get("REMOTE_ADDR", request.remote_addr) or "")
    except ValueError:
        return ""
    named = request.headers.get(settings.login_header, "").strip()
    return named if any(peer in network for network in settings.proxy_networks) else ""


def _fingerprint(user: User) -> str:
    """Changes with password, second factor and epoch, so that these end old sessions; says nothing about them."""
    known = f"{user.password}\0{user.totp}\0{user.epoch}"
    return hashlib.blake2b(known.encode(), digest_size=8).hexdigest()


def _file() -> Path:
    until = int(session["since"] + ABSOLUTE.total_seconds()) + 1
    return _folder() / f"{until}-{session['id']}"


def _folder() -> Path:
    return rooms().settings.home / FOLDER


_HALF: Final = BETWEEN_FACTORS.total_seconds()
