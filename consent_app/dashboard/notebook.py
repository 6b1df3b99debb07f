"""What people of the house write beside a site's figures: notes on days, views to come back to, links to share.

One small file for each site (`dashboard/<site>.json`, 0600). Nothing of it goes into the ledger or the statistics.
Notes are free text: the form asks not to write of persons.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import secrets
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any, Final

from consent_app.errors import FieldsError
from consent_app.private_files import exclusive, make_private_folder, replace_private
from consent_app.settings import Settings
from consent_app.users import hashed, is_hash_of

FOLDER: Final = "dashboard"
LONGEST_TEXT: Final = 200
LONGEST_NAME: Final = 60
LONGEST_QUERY: Final = 2000
MOST: Final = 500
MOST_OF_ONE: Final = 50
SHORTEST_PASSWORD: Final = 10
SECRET_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class Note:
    """What happened on a day, in one line, and which account wrote it."""

    id: str
    day: str
    text: str
    by: str


@dataclass(frozen=True, slots=True)
class SavedView:
    """An address worth coming back to: the part of it after the question mark, kept for one account."""

    id: str
    name: str
    query: str
    by: str


@dataclass(frozen=True, slots=True)
class Share:
    """A link that shows one site to whoever has it: the SHA-256 of its token, the hash of its password or ""."""

    id: str
    name: str
    sha256: str
    password: str
    created: str
    by: str


@dataclass(frozen=True, slots=True)
class Pages:
    """Everything of one site."""

    notes: tuple[Note, ...] = ()
    views: tuple[SavedView, ...] = ()
    shares: tuple[Share, ...] = ()


class Notebook:
    """That of one site. What another process writes is there at the next look. Raises FieldsError for bad input."""

    def __init__(self, folder: Path, site: str) -> None:
        self._folder = folder
        self._file = folder / f"{site}.json"

    @classmethod
    def of(cls, settings: Settings, site: str) -> Notebook:
        """That of a site of a data home."""
        return cls(settings.home / FOLDER, site)

    def pages(self) -> Pages:
        """All of it; nothing where nothing was written."""
        try:
            content = json.loads(self._file.read_text("utf-8"))
        except FileNotFoundError:
            return Pages()
        return Pages(
            tuple(Note(**each) for each in content["notes"]),
            tuple(SavedView(**each) for each in content["views"]),
            tuple(Share(**each) for each in content["shares"]),
        )

    def add_note(self, day: str, text: str, by: str) -> None:
        """Write on a day."""
        note = Note(secrets.token_hex(4), _day(day), _line("text", text, LONGEST_TEXT), by)
        self._change(
            lambda pages: replace(pages, notes=tuple(sorted((*pages.notes, note), key=lambda n: n.day))[-MOST:])
        )

    def add_view(self, name: str, query: str, by: str) -> None:
        """Keep a view for an account; of one name the newest stays."""
        if len(query) > LONGEST_QUERY or not re.fullmatch(r"[\x21-\x7e]*", query):
            raise FieldsError({"query": "is not the end of an address of this dashboard"})
        view = SavedView(secrets.token_hex(4), _line("name", name, LONGEST_NAME), query, by)
        self._change(lambda pages: replace(pages, views=_with_view(pages.views, view)))

    def add_share(self, name: str, password: str, today: date, by: str) -> str:
        """Make a link; returns its token, which nobody can show again. An empty password makes it public."""
        if password and not SHORTEST_PASSWORD <= len(password) <= 256:
            raise FieldsError({"password": f"must have {SHORTEST_PASSWORD} to 256 characters, or be left out"})
        token = secrets.token_urlsafe(SECRET_BYTES)
        kept = hashed(password) if password else ""
        named = _line("name", name, LONGEST_NAME)
        share = Share(secrets.token_hex(4), named, _digest(token), kept, today.isoformat(), by)
        self._change(lambda pages: replace(pages, shares=(*pages.shares, share)[-MOST_OF_ONE:]))
        return token

    def remove(self, number: str, by: str, *, all_of_it: bool) -> bool:
        """Take away a note, a view or a share; without `all_of_it` only a view of that account. Was it there?"""
        before = self.pages()
        self._change(lambda pages: _without(pages, number, by, all_of_it=all_of_it))
        return self.pages() != before

    def share(self, token: str) -> Share | None:
        """The share that this token opens, before any password."""
        digest = _digest(token)
        return next((each for each in self.pages().shares if hmac.compare_digest(each.sha256, digest)), None)

    def _change(self, how: Callable[[Pages], Pages]) -> None:
        make_private_folder(self._folder)
        with exclusive(self._folder):
            content: dict[str, Any] = asdict(how(self.pages()))
            replace_private(self._file, json.dumps(content, ensure_ascii=False, indent=1) + "\n")


def opens(share: Share, password: str) -> bool:
    """Whether it is the share's password."""
    return is_hash_of(share.password, password)


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()


def _with_view(views: Sequence[SavedView], view: SavedView) -> tuple[SavedView, ...]:
    others = [each for each in views if (each.by, each.name) != (view.by, view.name)]
    own = [each for each in others if each.by == view.by][-(MOST_OF_ONE - 1) :]
    return (*(each for each in others if each.by != view.by), *own, view)


def _without(pages: Pages, number: str, by: str, *, all_of_it: bool) -> Pages:
    views = tuple(view for view in pages.views if view.id != number or (view.by != by and not all_of_it))
    if not all_of_it:
        return replace(pages, views=views)
    notes = tuple(note for note in pages.notes if note.id != number)
    return Pages(notes, views, tuple(share for share in pages.shares if share.id != number))


def _day(text: str) -> str:
    try:
        return date.fromisoformat(text.strip()).isoformat()
    except ValueError as error:
        raise FieldsError({"day": "is not a date; write it like 2026-11-24"}) from error


def _line(field: str, text: str, longest: int) -> str:
    line = " ".join(text.split())
    if not line or len(line) > longest or not line.isprintable():
        raise FieldsError({field: f"must be one line of 1 to {longest} characters"})
    return line
