"""Two answers side by side: neighbouring inputs differ by fresh noise, and nobody gets a second answer to average."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from math import pi, sqrt
from pathlib import Path
from statistics import mean, pvariance

import pytest

from anonymiser import pipeline, segments
from anonymiser.errors import ReleaseConflict
from anonymiser.facts import Fact
from anonymiser.hour_keys import HourKeys
from anonymiser.protect import dp
from anonymiser.segments import Writer
from anonymiser.settings import Protection, SiteRules, Workspace
from anonymiser.stats import Statistics
from consent_app.demo import logs as samples

DAYS, WEEK = 98, 7
FIRST = date(2026, 1, 5)
DAY = timedelta(days=1)
RULES = SiteRules("kent", grain="week", catalogue={"pages": ("/",)})
TOTALS = ("visitors", "views", "visits", "bounces")
OVER = datetime(2026, 1, 5, 4, tzinfo=UTC)

Released = dict[tuple[date, str], tuple[float, float]]


def spooled(home: Path, visitors: int, days: int = DAYS) -> Workspace:
    """A spool in which every day has so many visitors, one view each."""
    (home / "spool").mkdir(parents=True)
    at = datetime(2026, 1, 5, tzinfo=UTC)
    HourKeys(home / "private").provide(home / "spool", at)
    writer = Writer(home / "spool", segments.hour_of(at))
    for number in range(days):
        today = (FIRST + number * DAY).isoformat()
        one = [Fact("kent", today, name, "", "", 1) for name in TOTALS] + [Fact("kent", today, "pages", "/", "", 1)]
        writer.write(one * visitors)
    writer.end()
    return Workspace(home / "stats.duckdb", home / "private")


def released(workspace: Workspace) -> Released:
    with Statistics(workspace.stats) as statistics:
        days = statistics.daily("kent", date(2000, 1, 1), date(2099, 1, 1))
        return {(row.day, row.metric): (row.value, row.sigma) for row in days}


def differences(tmp_path: Path) -> Iterator[tuple[float, float]]:
    """(difference, noise of one release) of every daily total, with 31 visitors a day and with 30."""
    runs = []
    for visitors in (31, 30):
        workspace = spooled(tmp_path / str(visitors), visitors)
        pipeline.run_spool(workspace, tmp_path / str(visitors) / "spool", [RULES], OVER + DAYS * DAY)
        runs.append(released(workspace))
    more, fewer = runs
    assert len(more) == len(fewer) == len(TOTALS) * DAYS
    return ((more[cell][0] - fewer[cell][0], more[cell][1]) for cell in more)


def test_neighbouring_inputs_differ_by_fresh_noise(tmp_path: Path) -> None:
    """Differences follow N(1, 2 sigma^2): the exact difference of one stays out of sight in each of them."""
    found = list(differences(tmp_path))
    scaled = [(difference - 1) / (sqrt(2) * sigma) for difference, sigma in found]
    assert abs(mean(scaled)) < 6 / sqrt(len(scaled))
    assert pvariance(scaled) == pytest.approx(1, abs=7 * sqrt(2 / len(scaled)))
    exact = sum(difference == 1 for difference, _ in found)
    chance = sum(1 / (sigma * sqrt(4 * pi)) for _, sigma in found)
    assert exact <= chance + 7 * sqrt(chance)


def test_noise_used_again_would_be_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, kept = dp._noised, dict[tuple[float, ...], list[int]]()

    def again(cells: Sequence[tuple[int, float]]) -> Iterator[int]:
        widths = tuple(width for _, width in cells)
        if widths not in kept:
            kept[widths] = list(real([(0, width) for width in widths]))
        return (value + noise for (value, _), noise in zip(cells, kept[widths], strict=True))

    monkeypatch.setattr(dp, "_noised", again)
    assert {difference for difference, _ in differences(tmp_path)} == {1}


@pytest.mark.parametrize("lost", [False, True], ids=["run again", "published again"])
def test_twenty_answers_are_one_answer(tmp_path: Path, lost: bool) -> None:
    """Running again, or publishing a lost file again, copies the noise that was drawn: averaging gains nothing."""
    workspace = spooled(tmp_path, 30, WEEK)
    seen = set()
    for number in range(20):
        pipeline.run_spool(workspace, tmp_path / "spool", [RULES], OVER + WEEK * DAY + number * timedelta(minutes=1))
        seen.add(tuple(sorted(released(workspace).items())))
        if lost:
            workspace.stats.unlink()
    assert len(seen) == 1


@pytest.mark.parametrize(
    "other",
    [
        replace(RULES, protection=Protection(epsilon=8.0)),
        replace(RULES, protection=Protection("threshold")),
        replace(RULES, grain="day"),
        replace(RULES, grain="month"),
        replace(RULES, catalogue={"pages": ("/", "/other")}),
    ],
    ids=["epsilon", "policy", "days", "months", "catalogue"],
)
def test_other_rules_do_not_get_another_answer(tmp_path: Path, other: SiteRules) -> None:
    workspace = spooled(tmp_path, 30, WEEK)
    pipeline.run_spool(workspace, tmp_path / "spool", [RULES], OVER + WEEK * DAY)
    before = workspace.stats.read_bytes()
    pipeline.run_spool(workspace, tmp_path / "spool", [other], OVER + WEEK * DAY)
    assert workspace.stats.read_bytes() == before


def test_more_facts_for_a_released_day_change_nothing(tmp_path: Path) -> None:
    workspace = spooled(tmp_path, 30, WEEK)
    pipeline.run_spool(workspace, tmp_path / "spool", [RULES], OVER + WEEK * DAY)
    before = workspace.stats.read_bytes()
    more = tmp_path / "more"
    spooled(more, 1, WEEK)
    report = pipeline.run_spool(workspace, more / "spool", [RULES], OVER + WEEK * DAY, keys=more / "private")
    assert report.late == WEEK * (len(TOTALS) + 1)
    assert workspace.stats.read_bytes() == before


def test_a_log_less_one_line_is_refused_for_released_days(tmp_path: Path) -> None:
    """The differencing attack itself: the same log without one visitor's last line."""
    access, _ = samples.write(tmp_path / "logs", [date(2026, 11, 2)])
    workspace, now = Workspace(tmp_path / "stats.duckdb", tmp_path / "private"), datetime(2026, 11, 23, tzinfo=UTC)
    pipeline.run_logs(workspace, [access], RULES, now)
    before = workspace.stats.read_bytes()
    less = tmp_path / "less.log"
    less.write_bytes(b"".join(access.read_bytes().splitlines(keepends=True)[:-1]))
    with pytest.raises(ReleaseConflict, match="released already"):
        pipeline.run_logs(workspace, [less], RULES, now)
    assert workspace.stats.read_bytes() == before
