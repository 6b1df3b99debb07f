"""What the pages of data rights ask of the ledger's database, on both databases."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from consent_app.complaints import Complaints
from consent_app.errors import NotFoundError
from consent_app.ledger import bundles, tombstones
from consent_app.ledger.complaints import forget
from tests.web.ledger_places import Place
from tests.web.ledger_records import GIVEN, REFUSED, REMOVED, TEXT, given

NOW = datetime(2026, 11, 24, 12, 15, tzinfo=UTC)


def test_a_tombstone_is_found_and_proved(place: Place) -> None:
    with place.open() as ledger:
        ledger.archive_notice(TEXT, "2026-11-01")
        assert tombstones.newest(ledger) == ""
        for record in (given(1), given(2), REMOVED):
            ledger.append(record)
        made = ledger.erase(given(1).id)
        assert made is not None
        ledger.sequence()
        found = tombstones.find(ledger, made.seq)
        assert found.record["entries"] == [0] and found.leaf == made.leaf
        assert tombstones.newest(ledger) == found.record["time"]
        proof = tombstones.proof(ledger, found)
        assert proof is not None and ledger.verify_proof("it", proof.text).ok
        for seq in (0, 1, 2, 99):
            with pytest.raises(NotFoundError):
                tombstones.find(ledger, seq)


def test_the_bundles_that_records_name_are_found_with_the_newest_entry_that_does(place: Place) -> None:
    with place.open() as ledger:
        assert bundles.named(ledger) == {}
        later = replace(GIVEN, bundle="1" * 64, id="7" * 32, time="2026-11-25T09:30:12Z")
        for record in (GIVEN, replace(REFUSED, time="2026-11-24"), REMOVED, later):
            ledger.append(record)
        assert bundles.named(ledger) == {"0" * 64: 1, "1" * 64: 3}


def test_complaints_are_kept_changed_and_forgotten(place: Place, tmp_path: Path) -> None:
    with place.open() as ledger:
        desk = Complaints(ledger, tmp_path / "secrets" / "complaints.keys", lambda: NOW)
        made = [desk.open(site, text) for site, text in (("kent", "one"), ("surrey", "two"))]
        desk.answer(made[0].reference, "We mended it.", close=True)
        assert [each.text for each in desk.of_sites(["kent", "surrey"])] == ["two", "one"]
        assert desk.find(made[0].reference).answers[0].text == "We mended it."
        forget(ledger, [made[0].reference])
        assert [each.text for each in desk.of_sites(["kent", "surrey"])] == ["two"]
