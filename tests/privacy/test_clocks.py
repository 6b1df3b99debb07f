"""Days are the site's own: visits across midnight, days of 23 and 25 hours, counted exactly from facts and from logs.

Clicks have times alone. What a browser keeps is followed click by click with the time zone's own rules; the truth looks
at all of a browser's clicks at once and knows summer time from the statute (Summer Time Act 1972: the last Sundays of
March and October, at 01:00 universal time).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import groupby, pairwise
from pathlib import Path
from random import Random
from zoneinfo import ZoneInfo

import pytest

from anonymiser import facts
from anonymiser.bounds import LOG_STATISTICS
from anonymiser.engines.duckdb import DuckDBEngine
from anonymiser.settings import SiteRules
from tests.privacy.test_ground_truth import LIFTED, NAMES, Limits, Row, World, counted, differing, person, truth

SPRING, AUTUMN = date(2026, 3, 29), date(2026, 10, 25)
DAY, HOUR, IDLE = timedelta(days=1), timedelta(hours=1), timedelta(minutes=30)
LONDON = ZoneInfo("Europe/London")
PAGES = ("/", "/chairs/", "/desks/", "/contact")
AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:143.0) Gecko/20100101 Firefox/143.0"


@dataclass(frozen=True)
class Click:
    """A browser opens a page. `source` and `campaign` matter where a visit begins."""

    who: int
    at: datetime
    page: str


def clicks() -> Iterator[Click]:
    """Eighty browsers around both changes of the clock, most of them within two hours of some midnight."""
    chance = Random(25)
    for who in range(80):
        times: set[datetime] = set()
        for around in (SPRING, AUTUMN):
            for day in range(-2, 3):
                at = datetime.combine(around + day * DAY, time(), UTC) + timedelta(minutes=chance.gauss(0, 70))
                for _ in range(chance.choice((0, 1, 3, 6))):
                    times.add(at.replace(second=0, microsecond=0))
                    at += timedelta(minutes=chance.choice((1, 4, 12, 29, 31, 47)))
        yield from (Click(who, at, chance.choice(PAGES)) for at in sorted(times))


# -- as a browser follows them ----------------------------------------------------------------------------------------


def followed(all_clicks: Sequence[Click], zone: ZoneInfo = LONDON) -> Iterator[Row]:
    for _, mine in groupby(all_clicks, key=lambda click: click.who):
        last, visit = None, 0
        for click in mine:
            local = click.at.astimezone(zone)
            if last is None or local.date() != last.astimezone(zone).date():
                visit = 1
            elif click.at - last > IDLE:
                visit += 1
            last = click.at
            yield Row(click.who, local.date(), local.hour, visit, "pageview", click.page, "none")


# -- as they truly were -----------------------------------------------------------------------------------------------


def wall(at: datetime) -> datetime:
    """The clock on the wall in London in 2026, by the statute."""
    begins, ends = (datetime.combine(day, time(1), UTC) for day in (SPRING, AUTUMN))
    return at + HOUR if begins <= at < ends else at


def lived(all_clicks: Sequence[Click]) -> Iterator[Row]:
    for (who, day), group in groupby(all_clicks, key=lambda click: (click.who, wall(click.at).date())):
        mine = list(group)
        visits = [1, *(1 + sum(b.at - a.at > IDLE for a, b in pairwise(mine[: n + 2])) for n in range(len(mine) - 1))]
        for click, visit in zip(mine, visits, strict=True):
            yield Row(who, day, wall(click.at).hour, visit, "pageview", click.page, "none")


@pytest.fixture(scope="module")
def made() -> list[Click]:
    return list(clicks())


def test_the_clicks_are_hard_ones(made: list[Click]) -> None:
    """Visits across local midnight, across midnight of universal time only, in the hour that comes twice, and in the
    hours beside the one that is left out.
    """
    near = [(a, b) for a, b in pairwise(made) if a.who == b.who and b.at - a.at <= IDLE]
    assert sum(wall(a.at).date() != wall(b.at).date() for a, b in near) > 30
    assert sum(wall(a.at).date() == wall(b.at).date() and a.at.date() != b.at.date() for a, b in near) > 10
    twice = datetime.combine(AUTUMN, time(1), UTC)
    assert sum(twice - HOUR <= c.at < twice for c in made) > 5 < sum(twice <= c.at < twice + HOUR for c in made)
    assert not any(wall(c.at).date() == SPRING and wall(c.at).hour == 1 for c in made)
    assert any(wall(c.at).date() == SPRING and wall(c.at).hour == 2 for c in made)


def test_facts_are_the_truth_on_days_of_23_and_25_hours(
    made: list[Click], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in NAMES:
        monkeypatch.setattr(facts, name, 10**6)
    people = {who: person(Random(who), who) for who in range(80)}
    found = counted(World(people, list(followed(made))), tmp_path)
    expected = truth(World(people, list(lived(made))), LIFTED)
    assert differing(found, expected) == set()
    assert {SPRING.isoformat(), AUTUMN.isoformat()} <= {cell[0] for cell in expected}


def test_logs_are_the_truth_on_days_of_23_and_25_hours(made: list[Click], tmp_path: Path) -> None:
    """The same clicks as a web server in Greenwich would have logged them; a browser is its address there."""
    line = '198.51.100.{who} - - [{at}] "GET {page} HTTP/1.1" 200 512 "-" "{agent}"\n'
    log = tmp_path / "access.log"
    log.write_text(
        "".join(
            line.format(who=c.who, at=f"{c.at:%d/%b/%Y:%H:%M:%S} +0000", page=c.page, agent=AGENT)
            for c in sorted(made, key=lambda c: c.at)
        )
    )
    found = DuckDBEngine().count_logs([log], SiteRules("kent", timezone="Europe/London", crossed=True)).counts
    people = {who: person(Random(who), who) for who in range(80)}
    expected = truth(World(people, list(lived(made))), Limits())
    known = LOG_STATISTICS - {"devices", "browsers", "page_devices"}  # here all have one agent
    kept = [{cell: n for cell, n in of.items() if cell[1] in known} for of in (dict(found), expected)]
    assert differing(*kept) == set()


def test_a_day_of_universal_time_would_be_seen(made: list[Click], tmp_path: Path) -> None:
    """The comparison can fail: with the days of universal time many cells differ."""
    people = {who: person(Random(who), who) for who in range(80)}
    found = counted(World(people, list(followed(made, ZoneInfo("UTC")))), tmp_path)
    seen = differing(found, truth(World(people, list(lived(made))), Limits()))
    assert {"visitors", "visits", "returning", "pages", "hours"} <= seen
