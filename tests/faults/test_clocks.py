"""Clocks that jump: an hour back, the two days of 23 and 25 hours, a batch that is told a time to come."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from click.testing import CliRunner
from flask import Flask

from anonymiser.facts import Fact
from anonymiser.holding import Holding
from anonymiser.hour_keys import HourKeys
from anonymiser.segments import Writer, hour_of
from anonymiser.spool import Spool
from consent_app import batch
from consent_app.commands import main
from consent_app.rooms import NAME, Rooms
from consent_app.settings import Settings
from tests.web.conftest import Clock
from tests.web.ledger_records import failed, given

HOUR = timedelta(hours=1)


def view(here: Rooms, now: datetime) -> None:
    day = now.astimezone(here.sites.get("kent").zone).date().isoformat()
    here.spool.add([Fact("kent", day, "views", "", "", 1)])
    here.spool.flush()


def run(here: Rooms, now: datetime) -> None:
    """The server has noticed the new hour by then: its thread looks twice a minute."""
    here.spool.tick(now)
    report = batch.run(here.settings, here.sites, here.ledger, now)
    assert report.damaged == ()
    assert min(HourKeys(here.settings.private).hours) >= hour_of(now), "no key outlives its hour"
    assert batch.left(here.settings, here.ledger, now) == []


def held(here: Rooms) -> dict[str, int]:
    counts = Holding(here.settings.private / "holding", "kent").counts
    return {day: count for (day, name, _, _), count in counts.items() if name == "views"}


def test_an_hour_back_loses_nothing_and_counts_nothing_twice(app: Flask, clock: Clock) -> None:
    """Views before and after the step, batches on both sides of it, and the hour that comes twice."""
    here: Rooms = app.extensions[NAME]
    client = app.test_client()
    taken = 0
    for step in (10, 50, 10, -60, 10, 55, 10, 60):
        clock.forward(minutes=step)
        run(here, clock())
        view(here, clock())
        here.ledger.append(given(taken))
        taken += 1
        assert client.get("/readyz").status_code == 200
    here.spool.close()
    clock.forward(hours=1)
    run(here, clock())
    assert sum(held(here).values()) == taken
    here.ledger.sequence()
    assert {*failed(here.ledger)} <= {"notice archive"}
    assert len({entry.record["id"] for entry in here.ledger.entries() if entry.kind == "consent"}) == taken


@pytest.mark.parametrize("day,hours", [("2026-03-29", 23), ("2026-10-25", 25)])
def test_a_day_of_23_or_25_hours_is_one_day(
    settings: Settings, make_app: Callable[[Settings], Flask], clock: Clock, day: str, hours: int
) -> None:
    """One view in each hour of London's day, from the evening before, and batches now and then."""
    clock.now = datetime.fromisoformat(f"{day}T00:10:00").replace(tzinfo=ZoneInfo("Europe/London")).astimezone(UTC)
    clock.forward(hours=-2)
    here: Rooms = make_app(settings).extensions[NAME]
    run(here, clock())
    for number in range(hours + 2):
        view(here, clock())
        clock.forward(hours=1)
        if number % 6 == 0:
            run(here, clock())
    run(here, clock())
    assert held(here)[day] == hours
    here.spool.close()


# -- a batch that is told a time to come ------------------------------------------------------------------------------


def command(home: Path, *words: str) -> tuple[int, str]:
    result = CliRunner().invoke(main, words, env={"CONSENT_HOME": str(home)})
    return result.exit_code, result.output


def test_a_batch_of_the_future_leaves_the_present_its_key(tmp_path: Path) -> None:
    home = tmp_path / "home"
    assert command(home, "init")[0] == 0
    with Spool(home / "spool", clock=lambda: datetime.now(UTC)) as spool:
        now = datetime.now(UTC)
        for later in (3, 120):
            assert command(home, "batch", "--now", (now + later * HOUR).isoformat())[0] == 0
            spool._hour = None
            assert spool.has_key(), f"{later} hours ahead"
        spool.add([Fact("kent", f"{now:%Y-%m-%d}", "views", "", "", 1)])


def test_what_is_being_collected_is_not_lost_to_a_batch_of_the_far_future(tmp_path: Path) -> None:
    home = tmp_path / "home"
    assert command(home, "init")[0] == 0
    now = datetime.now(UTC)
    writer = Writer(home / "spool", hour_of(now))
    writer.write([Fact("kent", f"{now:%Y-%m-%d}", "views", "", "", 1)])
    code, said = command(home, "batch", "--now", (now + 48 * HOUR).isoformat())
    assert code == 2 and "stop the server first" in said
    writer.end()
    assert "1 hours' segments counted" in command(home, "batch", "--now", (now + 2 * HOUR).isoformat())[1]
