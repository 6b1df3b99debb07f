"""Complaints about data protection (Data Protection Act 2018, section 164A): taken, kept sealed, answered, forgotten.

The reference number is the only way to a complaint: nobody is asked for a name or an address. Its text and our answers
are encrypted (AES-256-GCM) under a key that is kept apart from the database, in `secrets/complaints.keys`.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import secrets
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from consent_app.errors import FieldsError, LedgerError, NotFoundError
from consent_app.ledger import Ledger
from consent_app.ledger import complaints as rows
from consent_app.private_files import make_private_folder, replace_private
from consent_app.settings import Settings, read_keys

DAYS: Final = 30  # the first of them is the day on which it came
LONGEST: Final = 4000
KEY_FILE: Final = "complaints.keys"
OPEN, CLOSED = "open", "closed"
# No letter that is taken for a digit or another letter (Crockford): 16 of these are 80 random bits.
_ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_LOOKALIKES: Final = str.maketrans("OIL", "011")
_MARK: Final = 4
_NONCE: Final = 12
_SECOND: Final = "%Y-%m-%dT%H:%M:%SZ"


@dataclass(frozen=True, slots=True)
class Answer:
    """What the operator wrote, and when (UTC, to the second)."""

    time: str
    text: str


@dataclass(frozen=True, slots=True)
class Complaint:
    """One complaint in clear. `opened` and `closed` ("" while open) are UTC seconds, `due` its last day."""

    reference: str
    site: str
    opened: str
    due: str
    text: str
    answers: tuple[Answer, ...] = ()
    closed: str = ""

    @property
    def is_open(self) -> bool:
        """Whether somebody still has to answer."""
        return not self.closed

    def day(self, now: datetime) -> int:
        """Which day of its clock this is, from 1; the clock ends with DAYS."""
        return (now.date() - date.fromisoformat(self.opened[:10])).days + 1


class Complaints:
    """The complaints of one home. The key is made with the first."""

    def __init__(self, ledger: Ledger, key_file: Path, clock: Callable[[], datetime]) -> None:
        self._ledger = ledger
        self._key_file = key_file
        self._clock = clock

    @classmethod
    def of(cls, settings: Settings, ledger: Ledger) -> Complaints:
        """Those of a data home."""
        return cls(ledger, settings.secrets / KEY_FILE, settings.clock)

    def open(self, site: str, text: str) -> Complaint:
        """Take a complaint; it is on disk, sealed, when this returns. Raises FieldsError and UnavailableError."""
        now = self._now()
        due = now.date() + timedelta(days=DAYS - 1)
        complaint = Complaint(new_reference(), site, now.strftime(_SECOND), due.isoformat(), cleaned(text))
        rows.add(self._ledger, self._row(complaint, make=True))
        return complaint

    def find(self, reference: str) -> Complaint:
        """The complaint of a reference, however it is typed. Raises NotFoundError."""
        spelt = normalised(reference)
        row = rows.find(self._ledger, spelt) if spelt else None
        if row is None:
            raise NotFoundError("there is no complaint of this reference number; it has 16 letters and digits")
        return self._clear(row)

    def of_sites(self, sites: Iterable[str]) -> list[Complaint]:
        """Every complaint about these sites, the most urgent first."""
        return [self._clear(row) for row in rows.of_sites(self._ledger, sites)]

    def answer(self, reference: str, text: str, *, close: bool) -> Complaint:
        """Add an answer, and close the complaint with it if asked. Raises NotFoundError, FieldsError."""
        found = self.find(reference)
        time = self._now().strftime(_SECOND)
        return self._keep(
            replace(
                found,
                answers=(*found.answers, Answer(time, cleaned(text))),
                closed=(found.closed or time) if close else "",
            )
        )

    def close(self, reference: str) -> Complaint:
        """Close a complaint that was answered. Raises NotFoundError, FieldsError where nobody answered yet."""
        found = self.find(reference)
        if not found.answers:
            raise FieldsError({"complaint": "was not answered yet; answer it, and it can be closed with the answer"})
        return self._keep(replace(found, closed=found.closed or self._now().strftime(_SECOND)))

    def _keep(self, complaint: Complaint) -> Complaint:
        rows.replace(self._ledger, self._row(complaint))
        return complaint

    def _now(self) -> datetime:
        return self._clock().astimezone(UTC)

    def _row(self, complaint: Complaint, *, make: bool = False) -> rows.SealedComplaint:
        if make and not self._key_file.exists():
            _make_key(self._key_file, self._now().date())
        content = {
            "text": complaint.text,
            "answers": [{"time": answer.time, "text": answer.text} for answer in complaint.answers],
        }
        key = self._keys()[-1]
        nonce = secrets.token_bytes(_NONCE)
        about = _about(complaint.reference, complaint.site)
        sealed = _mark(key) + nonce + AESGCM(key).encrypt(nonce, json.dumps(content).encode(), about)
        state = OPEN if complaint.is_open else CLOSED
        return rows.SealedComplaint(
            complaint.reference, complaint.site, complaint.opened, complaint.due, state, complaint.closed, sealed
        )

    def _clear(self, row: rows.SealedComplaint) -> Complaint:
        """Raises LedgerError where the row was changed, or its key is gone."""
        mark, nonce, sealed = row.sealed[:_MARK], row.sealed[_MARK : _MARK + _NONCE], row.sealed[_MARK + _NONCE :]
        key = next((key for key in self._keys() if _mark(key) == mark), None)
        if key is None:
            raise LedgerError(f"the key of complaint {row.reference} is not in {self._key_file}; restore it")
        try:
            content = json.loads(AESGCM(key).decrypt(nonce, sealed, _about(row.reference, row.site)))
        except InvalidTag as error:
            raise LedgerError(f"complaint {row.reference} was changed in the database; restore it") from error
        answers = tuple(Answer(answer["time"], answer["text"]) for answer in content["answers"])
        return Complaint(row.reference, row.site, row.opened, row.due, content["text"], answers, row.closed)

    def _keys(self) -> list[bytes]:
        """Oldest first; the newest seals. Raises LedgerError where the file is gone, SettingsError where it is open."""
        if not self._key_file.exists():
            raise LedgerError(f"{self._key_file} is gone: no complaint can be read; restore it from a backup")
        return [base64.urlsafe_b64decode(text) for _, text in read_keys(self._key_file)]


def cleaned(text: str) -> str:
    """A text as it is kept, without control characters. Raises FieldsError where it is empty or too long."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n")
    kept = "".join(letter for letter in lines if letter == "\n" or letter.isprintable() or letter == "\t").strip()
    if not kept:
        raise FieldsError({"text": "is empty; write a sentence"})
    if len(kept) > LONGEST:
        raise FieldsError({"text": f"has {len(kept)} characters; at most {LONGEST} are taken"})
    return kept


def new_reference() -> str:
    """A random reference number, as `AB3D-9K2M-XX7Q-4T0Z`: 80 bits, not to be guessed."""
    letters = "".join(secrets.choice(_ALPHABET) for _ in range(16))
    return "-".join(re.findall("....", letters))


def normalised(reference: str) -> str:
    """A reference number as it was given out, however it was typed; "" where it cannot be one."""
    letters = re.sub(r"[\s-]", "", reference[:64]).upper().translate(_LOOKALIKES)
    return "-".join(re.findall("....", letters)) if re.fullmatch(f"[{_ALPHABET}]{{16}}", letters) else ""


def _about(reference: str, site: str) -> bytes:
    """What a sealed text belongs to: in another row it does not open."""
    return f"consent-app/complaint/v1 {reference} {site}".encode()


def _mark(key: bytes) -> bytes:
    """Says which key sealed a text, and nothing of the key."""
    return hashlib.sha256(b"consent-app/complaint-key/v1 " + key).digest()[:_MARK]


def _make_key(file: Path, day: date) -> None:
    """Write the first key. Of two processes that do so at once, one's is kept by both."""
    make_private_folder(file.parent)
    new = file.with_name(f".{file.name}.{secrets.token_hex(4)}")
    key = base64.urlsafe_b64encode(AESGCM.generate_key(256)).decode("ascii")
    replace_private(new, f"{day.isoformat()} {key}\n")
    with suppress(FileExistsError):
        os.link(new, file)
    new.unlink()
