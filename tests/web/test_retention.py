"""What is past its time goes, with a tombstone; what a legal hold covers stays, and the ledger says so."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from consent_app import retention
from consent_app.commands import main
from consent_app.complaints import Complaints
from consent_app.errors import FieldsError, NotFoundError
from consent_app.ledger import Ledger, holds
from consent_app.settings import Settings
from consent_app.sites import Sites
from tests.web.conftest import Clock
from tests.web.ledger_records import GIVEN, REFUSED, REMOVED, TEXT, given, verdicts

NOW = datetime(2029, 7, 1, 12, tzinfo=UTC)
OLD = replace(GIVEN, site="kent")  # valid until 22 May 2027, so kept until 22 June 2029
YOUNG = replace(given(7), time="2027-11-23T09:30:12Z", valid_until="2028-05-21")
SECRET = b"5f5f5f5f5f5f"


@pytest.fixture
def ledger(settings: Settings) -> Iterator[Ledger]:
    with Ledger(settings.ledger_file) as opened:
        opened.archive_notice(TEXT, "2026-11-01")
        yield opened


@pytest.fixture
def sites(settings: Settings) -> Sites:
    return Sites.load(settings.sites_file)


def test_records_go_when_their_time_is_over_and_not_a_day_before(ledger: Ledger, sites: Sites) -> None:
    for record in (OLD, REFUSED, REMOVED, YOUNG):
        ledger.append(record)
    last = datetime(2029, 6, 22, 23, 59, tzinfo=UTC)
    assert retention.run(ledger, sites, last).entries == ()
    assert retention.run(ledger, sites, last + timedelta(minutes=1)).entries == (0, 1)
    assert retention.run(ledger, sites, last + timedelta(minutes=1)).entries == ()
    assert [entry.kind for entry in ledger.entries()] == ["removal", "consent", "erasure"]
    ledger.sequence()
    assert all(verdicts(ledger).values())


def test_nothing_of_an_erased_record_is_left_on_disk(ledger: Ledger, sites: Sites, settings: Settings) -> None:
    ledger.append(OLD)
    assert any(SECRET in file.read_bytes() for file in settings.home.rglob("ledger.db*"))
    retention.run(ledger, sites, NOW)
    assert not any(SECRET in file.read_bytes() for file in settings.home.rglob("*") if file.is_file())


def test_each_site_says_how_long(ledger: Ledger, settings: Settings) -> None:
    text = settings.sites_file.read_text("utf-8")
    changed = text.replace("[site.kent]\n", "[site.kent]\nconsent_retention_months = 1\n")
    settings.sites_file.write_text(changed, "utf-8")
    sites = Sites.load(settings.sites_file)
    for record in (replace(OLD, site="surrey"), OLD, replace(REFUSED, site="gone")):
        ledger.append(record)
    assert retention.due(ledger, sites, datetime(2027, 6, 23, tzinfo=UTC)).entries == (1,)
    assert retention.due(ledger, sites, NOW).entries == (0, 1, 2)


def test_a_record_put_back_late_goes_in_time_too(ledger: Ledger, sites: Sites) -> None:
    """What a power cut took is appended again after younger records."""
    newest = replace(given(8), time="2027-05-22T09:30:12Z", valid_until="2027-11-18")
    for record in (newest, OLD, YOUNG):
        ledger.append(record)
    assert retention.due(ledger, sites, datetime(2029, 6, 23, tzinfo=UTC)).entries == (1,)


def test_a_hold_keeps_what_it_covers_until_its_day(ledger: Ledger, sites: Sites) -> None:
    for record in (OLD, replace(given(2), site="kent"), replace(given(3), site="surrey")):
        ledger.append(record)
    made = holds.add(ledger, "kent", [OLD.id], reason="Claim", by="legal", until=date(2029, 12, 31), now=NOW)
    found = retention.run(ledger, sites, NOW)
    assert (found.entries, [seq for seq, _ in found.held]) == ((1, 2), [0])
    assert retention.held(ledger, "kent", OLD.id, NOW) == made
    assert retention.held(ledger, "surrey", OLD.id, NOW) is None
    assert retention.held(ledger, "kent", OLD.id, datetime(2030, 1, 1, tzinfo=UTC)) is None
    assert retention.run(ledger, sites, datetime(2030, 1, 1, tzinfo=UTC)).entries == (0,)


def test_a_hold_over_a_site_covers_what_comes_later(ledger: Ledger, sites: Sites) -> None:
    made = holds.add(ledger, "kent", [], reason="Claim", by="legal", until=date(2030, 1, 1), now=NOW)
    ledger.append(OLD)
    assert retention.due(ledger, sites, NOW).entries == ()
    holds.end(ledger, made.hold, "legal", NOW)
    assert holds.standing(ledger, NOW.date()) == []
    assert retention.due(ledger, sites, NOW).entries == (1,)
    with pytest.raises(NotFoundError, match="hold list"):
        holds.end(ledger, made.hold, "legal", NOW)


def test_a_hold_names_what_is_there_and_a_day_to_come(ledger: Ledger) -> None:
    ledger.append(OLD)
    with pytest.raises(NotFoundError, match="no receipt"):
        holds.add(ledger, "surrey", [OLD.id], reason="Claim", by="legal", until=date(2030, 1, 1), now=NOW)
    with pytest.raises(FieldsError, match="past"):
        holds.add(ledger, "kent", [], reason="Claim", by="legal", until=date(2029, 6, 30), now=NOW)
    assert [entry.kind for entry in ledger.entries()] == ["consent"]


def test_complaints_go_a_year_after_they_were_closed(
    ledger: Ledger, sites: Sites, settings: Settings, clock: Clock
) -> None:
    filed = Complaints.of(settings, ledger)
    shut, still_open = filed.open("kent", "The banner came back."), filed.open("kent", "So did mine.")
    filed.answer(shut.reference, "It is mended.", close=True)
    assert retention.due(ledger, sites, datetime(2027, 11, 24, tzinfo=UTC)).complaints == ()
    day = datetime(2027, 11, 25, tzinfo=UTC)
    made = holds.add(ledger, "kent", [], reason="Claim", by="legal", until=date(2027, 12, 31), now=day)
    assert retention.due(ledger, sites, day).complaints == ()
    holds.end(ledger, made.hold, "legal", day)
    assert retention.run(ledger, sites, day).complaints == (shut.reference,)
    assert [found.reference for found in filed.of_sites(["kent"])] == [still_open.reference]
    assert b"mended" not in b"".join(file.read_bytes() for file in settings.home.rglob("ledger.db*"))


@pytest.mark.parametrize(
    ("day", "months", "before"),
    [("2029-06-22", 25, "2027-05-22"), ("2028-03-31", 1, "2028-02-29"), ("2028-01-15", 1, "2027-12-15")],
)
def test_months_before(day: str, months: int, before: str) -> None:
    assert retention.months_before(date.fromisoformat(day), months) == date.fromisoformat(before)


def test_the_command_line_holds_checks_and_erases(home: Path, ledger: Ledger) -> None:
    ledger.append(replace(OLD, time="2020-01-01T00:00:00Z", valid_until="2020-06-29"))

    def run(words: str, *more: str, code: int = 0) -> str:
        result = CliRunner().invoke(main, [*words.split(), *more], env={"CONSENT_HOME": str(home)})
        assert result.exit_code == code, result.output
        return result.output

    assert "FAIL retention: 1 consent records and 0 complaints are past their time" in run("retention check", code=1)
    made = run("hold add kent --by legal --until 2999-12-31 --receipt", OLD.id, "--reason", "Claim 17")
    name = made.split()[1]
    assert f"{name}  until 2999-12-31  kent, entries 0  by legal: Claim 17" in run("hold list")
    assert "1 consent records stay under a legal hold" in run("retention run")
    assert "1 stay under a legal hold" in run("retention check")
    run("hold end --by legal", name)
    assert "No hold stands." in run("hold list")
    assert "1 consent records and 0 complaints erased" in run("retention run")
    assert "no such site" in run("hold add nowhere --by legal --until 2999-12-31 --reason x", code=2)


def test_the_batch_lets_go_and_verify_says_so(home: Path, ledger: Ledger) -> None:
    ledger.append(replace(OLD, time="2020-01-01T00:00:00Z", valid_until="2020-06-29"))
    env = {"CONSENT_HOME": str(home)}
    assert "FAIL retention" in CliRunner().invoke(main, ["verify"], env=env).output
    result = CliRunner().invoke(main, ["batch"], env=env)
    assert "1 consent records and 0 complaints were past their time" in result.output, result.output
    assert (
        "ok   retention: no consent record and no complaint is kept past its time"
        in CliRunner().invoke(main, ["verify"], env=env).output
    )
