"""Which days of web-server logs are released, and once only: living logs, older logs, gaps, wrong clocks, kills."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from anonymiser import pipeline
from anonymiser.errors import ReleaseConflict
from anonymiser.holding import Holding
from anonymiser.settings import Protection, Workspace
from anonymiser.stats import Statistics
from tests.batch.test_pipeline import DEMO, KILLED, NOW, held


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "stats.duckdb", tmp_path / "private")


def day_log(path: Path, *days: str, visitors: int = 20, hour: int = 10) -> Path:
    """A log in which as many browsers as asked look at one page on each of these days."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(line(day, number, hour) for day in days for number in range(visitors)))
    return path


def line(day: str, number: int = 0, hour: int = 10) -> str:
    stamp = f"{date.fromisoformat(day):%d/%b/%Y}:{hour:02}:00:00 +0000"
    agent = "Mozilla/5.0 (X11; Linux x86_64; rv:143.0) Gecko/20100101 Firefox/143.0"
    return f'198.51.100.{number} - - [{stamp}] "GET / HTTP/1.1" 200 5 "-" "{agent}"\n'


PLAIN = replace(DEMO, catalogue={"pages": ("/",)})


def visitors(workspace: Workspace) -> dict[str, int]:
    """Released visitors of each released day."""
    with Statistics(workspace.stats) as statistics:
        rows = statistics.daily("demo", date(1990, 1, 1), date(2026, 12, 31))
        return {row.day.isoformat(): round(row.value) for row in rows if row.metric == "visitors"}


def spans(workspace: Workspace) -> list[str]:
    """Which days each release of the breakdowns covers."""
    with Statistics(workspace.stats) as statistics:
        found = [r for r in statistics.releases("demo") if r.period_end != r.period_start]
    return sorted(f"{r.period_start} {r.period_end}" for r in found)


def test_older_logs_are_released_day_by_day_and_each_day_once(workspace: Workspace, tmp_path: Path) -> None:
    new = day_log(tmp_path / "new.log", "2026-11-10", "2026-11-11")
    old = day_log(tmp_path / "old.log", "2026-11-02", "2026-11-03", visitors=30)
    pipeline.run_logs(workspace, [new], PLAIN, NOW)
    pipeline.run_logs(workspace, [old], PLAIN, NOW)
    assert visitors(workspace) == {"2026-11-02": 30, "2026-11-03": 30, "2026-11-10": 20, "2026-11-11": 20}
    assert spans(workspace) == ["2026-11-02 2026-11-03", "2026-11-10 2026-11-11"]
    gap = day_log(tmp_path / "gap.log", "2026-11-05", "2026-11-07", visitors=25)
    pipeline.run_logs(workspace, [gap], PLAIN, NOW)
    found = visitors(workspace)
    assert (found["2026-11-05"], found["2026-11-06"], found["2026-11-07"]) == (25, 0, 25)
    assert "2026-11-04" not in found
    assert held(workspace, "demo") == Counter()
    with pytest.raises(ReleaseConflict, match=r"2026-11-06 are released already"):
        pipeline.run_logs(workspace, [day_log(tmp_path / "more.log", "2026-11-06")], PLAIN, NOW)


def test_days_missing_in_one_input_stay_open_for_their_logs(workspace: Workspace, tmp_path: Path) -> None:
    both = day_log(tmp_path / "both.log", "2026-10-01", "2026-10-03", "2026-11-01")
    pipeline.run_logs(workspace, [both], PLAIN, NOW)
    assert list(visitors(workspace)) == ["2026-10-01", "2026-10-02", "2026-10-03", "2026-11-01"]
    pipeline.run_logs(workspace, [day_log(tmp_path / "hole.log", "2026-10-15")], PLAIN, NOW)
    assert visitors(workspace)["2026-10-15"] == 20


def test_lines_of_released_days_are_left_out_when_asked(workspace: Workspace, tmp_path: Path) -> None:
    log = day_log(tmp_path / "access.log", "2026-11-10")
    pipeline.run_logs(workspace, [log], PLAIN, NOW)
    day_log(log, "2026-11-10", "2026-11-11", visitors=33)
    with pytest.raises(ReleaseConflict, match="2026-11-10 are released"):
        pipeline.run_logs(workspace, [log], PLAIN, NOW)
    report = pipeline.run_logs(workspace, [log], PLAIN, NOW, skip_released=True)
    assert (report.read, report.counted, report.dropped) == (66, 33, {"late": 33})
    assert visitors(workspace) == {"2026-11-10": 20, "2026-11-11": 35}


def test_a_log_still_written_keeps_its_last_day_for_the_next_run(workspace: Workspace, tmp_path: Path) -> None:
    log = day_log(tmp_path / "access.log", "2026-11-20", "2026-11-21", "2026-11-22")
    first = pipeline.run_logs(workspace, [log], PLAIN, NOW, ongoing=True)
    assert (first.counted, first.dropped) == (40, {"open-day": 20})
    assert list(visitors(workspace)) == ["2026-11-20", "2026-11-21"]
    log.write_text(log.read_text() + line("2026-11-22", 77) * 3 + line("2026-11-23") * 5)
    second = pipeline.run_logs(workspace, [log], PLAIN, NOW, ongoing=True)
    assert (second.counted, second.dropped) == (23, {"late": 40, "open-day": 5})
    assert visitors(workspace)["2026-11-22"] == 20  # of 21, rounded
    again = pipeline.run_logs(workspace, [log], PLAIN, NOW, ongoing=True)
    assert (again.releases, again.counted) == ((), 0)
    closing = pipeline.run_logs(workspace, [log], PLAIN, NOW)
    assert closing.dropped == {"late": 63}
    assert "2026-11-23" in visitors(workspace)


def test_a_clock_a_day_ahead_does_not_close_today(workspace: Workspace, tmp_path: Path) -> None:
    log = day_log(tmp_path / "access.log", "2026-11-22", "2026-11-23", hour=8)
    log.write_text(log.read_text() + line("2026-11-24", hour=8))
    pipeline.run_logs(workspace, [log], PLAIN, NOW, ongoing=True)
    assert list(visitors(workspace)) == ["2026-11-22"]


def test_weeks_that_are_asked_for_wait_until_they_are_over(workspace: Workspace, tmp_path: Path) -> None:
    weekly, log = replace(PLAIN, grain="week"), tmp_path / "access.log"
    day_log(log, "2026-11-12", "2026-11-13", "2026-11-15", "2026-11-16", "2026-11-17")
    pipeline.run_logs(workspace, [log], weekly, NOW, ongoing=True)
    assert spans(workspace) == ["2026-11-12 2026-11-15"]
    assert held(workspace, "demo")["pages"] == 20
    day_log(log, "2026-11-17", "2026-11-20", "2026-11-22", "2026-11-23")
    pipeline.run_logs(workspace, [log], weekly, NOW, ongoing=True)
    assert spans(workspace) == ["2026-11-12 2026-11-15", "2026-11-16 2026-11-22"]
    assert held(workspace, "demo") == Counter()
    with Statistics(workspace.stats) as statistics:
        pages = statistics.breakdown("demo", "pages", date(2026, 11, 16), date(2026, 11, 22))
    assert [round(row.value) for row in pages.rows if row.key1 == "/"] == [80]


@pytest.mark.parametrize("year", ["0000", "1970", "1996"])
def test_a_line_from_another_age_is_left_out_and_adds_no_day(workspace: Workspace, tmp_path: Path, year: str) -> None:
    log = day_log(tmp_path / "access.log", "2026-11-10", "2026-11-11", visitors=3)
    log.write_text(line("1996-01-01").replace("1996", year) + log.read_text())
    report = pipeline.run_logs(workspace, [log], replace(PLAIN, protection=Protection()), NOW)
    assert report.counted == 6
    assert report.dropped in ({"stray-day": 1}, {})  # or refused for its time
    assert list(visitors(workspace)) == ["2026-11-10", "2026-11-11"]
    pipeline.run_logs(workspace, [day_log(tmp_path / "2.log", "2026-11-12", visitors=1)], PLAIN, NOW)
    assert list(visitors(workspace)) == ["2026-11-10", "2026-11-11", "2026-11-12"]


def test_an_old_log_by_itself_is_no_stray(workspace: Workspace, tmp_path: Path) -> None:
    pipeline.run_logs(workspace, [day_log(tmp_path / "1.log", "2026-11-10")], PLAIN, NOW)
    report = pipeline.run_logs(workspace, [day_log(tmp_path / "2.log", "2004-02-10", visitors=2)], PLAIN, NOW)
    assert report.counted == 2
    assert list(visitors(workspace)) == ["2004-02-10", "2026-11-10"]


def test_what_nobody_could_read_is_not_remembered(workspace: Workspace, tmp_path: Path) -> None:
    """The same file, read in its right format, is new."""
    log = day_log(tmp_path / "access.log", "2026-11-10")
    log.write_text("no line of a log\n" * 2000 + log.read_text())
    assert pipeline.run_logs(workspace, [log], PLAIN, NOW, format="json", remove=True).releases == ()
    assert log.exists()
    assert pipeline.run_logs(workspace, [log], PLAIN, NOW, format="combined").releases


LOGS_KILLED = KILLED.replace(
    'pipeline.run_spool(workspace, home / "spool", WEEKLY, WEEKEND_OVER, recorded=record)',
    'pipeline.run_logs(workspace, [home / "access.log"], test_log_days.PLAIN, test_log_days.NOW)',
).replace("from tests.batch.test_pipeline import WEEKLY, WEEKEND_OVER", "from tests.batch import test_log_days")


@pytest.mark.slow
def test_logs_killed_anywhere_are_counted_once(tmp_path: Path, root: Path) -> None:
    """And another log that holds the same days gets no second answer, whatever the killed run had done."""
    survived, step = False, 0
    while not survived:
        step += 1
        home = tmp_path / str(step)
        log = day_log(home / "access.log", "2026-11-10", "2026-11-11")
        command = [sys.executable, "-c", LOGS_KILLED]
        result = subprocess.run(command, cwd=root, input=f"{home} {step}", capture_output=True, text=True, check=True)
        survived = int(result.stdout) == 0
        assert survived or int(result.stdout) == -signal.SIGKILL, result.stderr
        workspace = Workspace(home / "stats.duckdb", home / "private")
        before = Holding(workspace.private / "holding", "demo").counts
        other = day_log(home / "other.log", "2026-11-11", visitors=90)
        if before or survived:
            with pytest.raises(ReleaseConflict):
                pipeline.run_logs(workspace, [other], PLAIN, NOW)
        pipeline.run_logs(workspace, [log], PLAIN, NOW)
        assert visitors(workspace) == {"2026-11-10": 20, "2026-11-11": 20}, step
        assert held(workspace, "demo") == Counter(), step
    assert step > 5


@pytest.mark.parametrize(("skip", "ongoing"), [(False, False), (True, False), (False, True)])
def test_days_of_another_zone_are_refused(workspace: Workspace, tmp_path: Path, skip: bool, ongoing: bool) -> None:
    """At 23 o'clock in London it is the next day in Paris, which is not released: the hour would be in two answers."""
    log = day_log(tmp_path / "access.log", "2026-11-10", hour=23)
    pipeline.run_logs(workspace, [log], PLAIN, NOW)
    before = visitors(workspace)
    for again in (log, day_log(tmp_path / "next.log", "2026-11-12", "2026-11-13")):
        with pytest.raises(ReleaseConflict, match=r"its days are those of Europe/London.*Use Europe/London"):
            paris = replace(PLAIN, timezone="Europe/Paris")
            pipeline.run_logs(workspace, [again], paris, NOW, skip_released=skip, ongoing=ongoing)
    assert visitors(workspace) == before == {"2026-11-10": 20}
    assert pipeline.run_logs(workspace, [log], PLAIN, NOW).dropped["late"] == 20


def test_a_zone_in_which_nothing_was_counted_binds_nobody(workspace: Workspace, tmp_path: Path) -> None:
    log = day_log(tmp_path / "access.log", "2026-11-10")
    pipeline.run_logs(workspace, [log], replace(PLAIN, timezone="Asia/Tokyo"), NOW, ongoing=True)
    assert pipeline.run_logs(workspace, [log], PLAIN, NOW).releases
