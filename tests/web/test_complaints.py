"""Complaints: acknowledged at once, sealed on disk, on a clock of 30 days, answered, forgotten."""

from __future__ import annotations

import base64
import re
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

import pytest
from flask import Flask

from consent_app.complaints import DAYS, LONGEST, Complaints, cleaned, new_reference, normalised
from consent_app.errors import FieldsError, LedgerError, NotFoundError, SettingsError
from consent_app.ledger import complaints as rows
from tests.web.conftest import Clock
from tests.web.rights_visitor import Visitor, visitor

CANARIES = ("canary.person@mailbox-canary.org", "07700 900123", "Quizzlew Street 97", "203.0.113.97")


@pytest.fixture
def ann(app: Flask) -> Visitor:
    return visitor(app)


def complains(ann: Visitor, text: str = "The map came before I was asked.") -> str:
    answer = ann.sends("/your-data/complaints", text=text)
    assert answer.status_code == 303, answer.text
    return answer.headers["Location"]


def desk(ann: Visitor) -> Complaints:
    return Complaints.of(ann.here.settings, ann.here.ledger)


def number(page: str) -> str:
    return page.partition("?")[0].rpartition("/")[2]


def test_a_complaint_is_acknowledged_with_its_number_and_its_clock(ann: Visitor, clock: Clock) -> None:
    page = complains(ann)
    assert re.fullmatch(r"(?:[0-9A-HJKMNP-TV-Z]{4}-){3}[0-9A-HJKMNP-TV-Z]{4}", number(page))
    text = ann.opens(page).text
    assert number(page) in text and "Day 1 of 30" in text and "23 December 2026" in text
    assert "The map came before I was asked." in text
    for days, said in ((9, "Day 10 of 30"), (20, "Day 30 of 30"), (1, "The time is over")):
        clock.forward(days=days)
        assert said in ann.opens(page).text


def test_the_answer_is_read_by_the_number_however_it_is_typed(ann: Visitor) -> None:
    page = complains(ann)
    desk(ann).answer(number(page), "We mended it.", close=True)
    typed = number(page).lower().replace("-", " ").replace("0", "o").replace("1", "l")
    found = ann.opens(f"/your-data/complaints?reference={quote(typed)}")
    assert found.status_code == 303 and number(page) in found.headers["Location"]
    assert "We mended it." in ann.opens(found.headers["Location"]).text


def test_what_cannot_be_taken_is_said_on_the_page_and_nothing_is_lost(ann: Visitor) -> None:
    for text, said in (("", "nothing to read"), ("  \r\n ", "nothing to read"), ("x" * (LONGEST + 1), "too long")):
        page = ann.sends("/your-data/complaints", text=text)
        assert page.status_code == 422 and said in page.text
    assert "x" * (LONGEST + 1) in page.text
    assert ann.opens("/your-data/complaints?reference=1234").status_code == 422
    assert ann.opens(f"/your-data/complaints/{new_reference()}").status_code == 404
    assert not (ann.here.settings.secrets / "complaints.keys").exists()


def test_complaints_are_taken_at_most_five_a_minute_from_one_address(ann: Visitor, clock: Clock) -> None:
    clock.now = clock.now.replace(second=0)
    statuses = [ann.sends("/your-data/complaints", text="x").status_code for _ in range(6)]
    assert statuses == [303] * 5 + [429]


def spellings(text: str) -> Iterator[bytes]:
    yield text.encode()
    yield text.encode("utf-16-le")
    yield quote(text).encode()
    yield base64.b64encode(text.encode()).rstrip(b"=")[:-1]
    yield text.encode().hex().encode()


def test_no_word_of_a_complaint_is_in_clear_on_disk(ann: Visitor, home: Path) -> None:
    page = complains(ann, "I am " + ", ".join(CANARIES))
    desk(ann).answer(number(page), "Dear " + ", ".join(CANARIES), close=False)
    disk = b"".join(file.read_bytes() for file in home.rglob("*") if file.is_file())
    assert number(page).encode() in disk, "the search would find them"
    assert [canary for canary in CANARIES for spelt in spellings(canary) if spelt.lower() in disk.lower()] == []
    key = home / "secrets" / "complaints.keys"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600


def test_a_key_that_others_can_read_or_that_is_gone_is_refused(ann: Visitor, home: Path) -> None:
    page = complains(ann)
    key = home / "secrets" / "complaints.keys"
    key.chmod(0o644)
    with pytest.raises(SettingsError, match="chmod 600"):
        desk(ann).find(number(page))
    key.unlink()
    with pytest.raises(LedgerError, match="restore it from a backup"):
        desk(ann).find(number(page))


def test_a_second_key_seals_and_the_first_still_opens(ann: Visitor, home: Path) -> None:
    first = complains(ann, "first")
    key = home / "secrets" / "complaints.keys"
    fresh = base64.urlsafe_b64encode(bytes(range(32))).decode()
    key.write_text(key.read_text("utf-8") + f"2026-11-25 {fresh}\n", "utf-8")
    second = complains(ann, "second")
    assert [desk(ann).find(number(page)).text for page in (first, second)] == ["first", "second"]
    key.write_text(f"2026-11-25 {fresh}\n", "utf-8")
    with pytest.raises(LedgerError, match="the key of complaint"):
        desk(ann).find(number(first))


def test_a_text_that_was_changed_or_moved_to_another_row_does_not_open(ann: Visitor, home: Path) -> None:
    one, two = complains(ann, "one"), complains(ann, "two")
    with closing(sqlite3.connect(home / "ledger.db")) as raw:
        sealed = raw.execute("SELECT sealed FROM complaint WHERE reference = ?", [number(one)]).fetchone()[0]
        raw.execute("UPDATE complaint SET sealed = ? WHERE reference = ?", [sealed, number(two)])
        raw.commit()
    with pytest.raises(LedgerError, match="was changed"):
        desk(ann).find(number(two))


def test_what_is_closed_can_be_forgotten_and_what_is_open_stays(ann: Visitor) -> None:
    closed, still = complains(ann, "closed"), complains(ann, "open")
    desk(ann).answer(number(closed), "Done.", close=True)
    assert [reference for reference, *_ in rows.closed(ann.here.ledger)] == [number(closed)]
    rows.forget(ann.here.ledger, [number(closed)])
    with pytest.raises(NotFoundError):
        desk(ann).find(number(closed))
    assert desk(ann).find(number(still)).is_open


def test_the_most_urgent_complaint_comes_first(ann: Visitor, clock: Clock) -> None:
    pages = []
    for text in ("old", "closed", "new"):
        pages.append(complains(ann, text))
        clock.forward(days=1)
    desk(ann).answer(number(pages[1]), "Done.", close=True)
    assert [each.text for each in desk(ann).of_sites(["kent"])] == ["old", "new", "closed"]
    assert desk(ann).of_sites(["surrey"]) == []


def test_texts_are_kept_as_lines_of_words() -> None:
    assert cleaned(" a\r\nb\rc\x00\x1b[2J\u202e \t") == "a\nb\nc[2J"
    assert cleaned("é" * LONGEST) == "é" * LONGEST
    with pytest.raises(FieldsError):
        cleaned("\x00")


def test_reference_numbers_are_random_and_read_back() -> None:
    made = {new_reference() for _ in range(1000)}
    assert len(made) == 1000
    assert all(normalised(one.lower()) == one for one in made)
    assert [normalised(wrong) for wrong in ("", "1234", "U" * 16, "0" * 17, "0" * 1000)] == [""] * 5
    assert DAYS == 30
