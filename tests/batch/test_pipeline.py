"""The batch on real files: each fact once, each period once, whatever is killed, repeated or damaged on the way."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from anonymiser import pipeline, segments, spool
from anonymiser.errors import InputError, ReleaseConflict, SegmentError
from anonymiser.facts import Fact
from anonymiser.holding import Holding
from anonymiser.hour_keys import HourKeys
from anonymiser.protect.budget import Budget
from anonymiser.removal import Removal
from anonymiser.segments import Writer
from anonymiser.settings import Protection, SiteRules, Workspace
from anonymiser.stats import Statistics
from consent_app.demo import logs as samples
from tests.batch import oracle

HOUR = timedelta(hours=1)
MONDAY = datetime(2026, 11, 16, 9, tzinfo=UTC)
EXACT = Protection("threshold", k=2)  # no noise, so that runs can be compared
KENT, SURREY = (SiteRules(key, protection=EXACT, catalogue={"pages": ("/",)}) for key in ("kent", "surrey"))


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "stats.duckdb", tmp_path / "private")


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "spool").mkdir()
    return tmp_path / "spool"


def facts(site: str, day: str, visitors: int) -> list[Fact]:
    one = [("visitors", ""), ("views", ""), ("visits", ""), ("bounces", ""), ("returning", "first"), ("pages", "/")]
    return [Fact(site, day, name, key, "", 1) for name, key in one] * visitors


def keyed(directory: Path, at: datetime) -> None:
    """What an earlier batch has made: keys of that hour and those ahead."""
    HourKeys(directory.parent / "private").provide(directory, at)


def files(directory: Path) -> list[str]:
    """What is in a spool folder but for the public keys."""
    return sorted(path.name for path in directory.iterdir() if path.name != segments.PUBLIC_KEYS)


def write(directory: Path, at: datetime, *rows: list[Fact]) -> str:
    """One closed segment; returns its name."""
    keyed(directory, at)
    writer = Writer(directory, segments.hour_of(at))
    for frame in rows:
        writer.write(frame)
    writer.end()
    return writer.id


def week(directory: Path) -> list[str]:
    """Monday to Sunday at two sites, 40 and 30 visitors a day."""
    names = []
    for number in range(7):
        at = MONDAY + timedelta(days=number)
        day = at.date().isoformat()
        names.append(write(directory, at, facts("kent", day, 25), facts("surrey", day, 30), facts("kent", day, 15)))
    return names


def totals(workspace: Workspace, site: str = "kent") -> dict[str, list[int]]:
    """Released visitors by day, and the cells of `pages`."""
    with Statistics(workspace.stats) as statistics:
        days = statistics.daily(site, date(2026, 1, 1), date(2026, 12, 31))
        pages = statistics.breakdown(site, "pages", date(2026, 1, 1), date(2026, 12, 31))
        return {
            "visitors": [round(row.value) for row in days if row.metric == "visitors"],
            "pages": [round(row.value) for row in pages.rows if row.key1 == "/"],
        }


def held(workspace: Workspace, site: str) -> Counter[str]:
    """Held counts by statistic, over all days."""
    found: Counter[str] = Counter()
    for (_, name, _, _), count in Holding(workspace.private / "holding", site).counts.items():
        found[name] += count
    return found


WEEKEND_OVER = datetime(2026, 11, 23, 4, tzinfo=UTC)
WEEKLY = replace(KENT, grain="week"), replace(SURREY, grain="week")


def test_a_week_is_counted_released_and_removed(workspace: Workspace, directory: Path) -> None:
    names, removed = week(directory), list[Removal]()
    report = pipeline.run_spool(workspace, directory, WEEKLY, WEEKEND_OVER, recorded=removed.append)
    assert (report.segments, report.dropped, report.damaged) == (7, {}, ())
    assert len(report.releases) == 2 * (7 + 1)
    assert totals(workspace) == {"visitors": [40] * 7, "pages": [280]}
    assert totals(workspace, "surrey") == {"visitors": [30] * 7, "pages": [210]}
    assert sorted(removal.segment for removal in removed) == sorted(names)
    assert {removal.hour for removal in removed} == {MONDAY + timedelta(days=n) for n in range(7)}
    assert files(directory) == []
    assert held(workspace, "kent") == held(workspace, "surrey") == Counter()


def test_a_second_run_changes_nothing(workspace: Workspace, directory: Path) -> None:
    week(directory)
    pipeline.run_spool(workspace, directory, WEEKLY, WEEKEND_OVER)
    before = workspace.stats.read_bytes()
    again = pipeline.run_spool(workspace, directory, WEEKLY, WEEKEND_OVER + HOUR)
    assert (again.segments, again.releases) == (0, ())
    assert workspace.stats.read_bytes() == before


def test_totals_are_daily_and_breakdowns_wait_for_their_period(workspace: Workspace, directory: Path) -> None:
    week(directory)
    friday = pipeline.run_spool(workspace, directory, [WEEKLY[0]], MONDAY + timedelta(days=4))
    assert len(friday.releases) == 4
    assert totals(workspace) == {"visitors": [40] * 4, "pages": []}
    assert held(workspace, "kent")["visitors"] == 3 * 40
    assert held(workspace, "kent")["pages"] == 7 * 40
    assert len(pipeline.run_spool(workspace, directory, [WEEKLY[0]], WEEKEND_OVER).releases) == 3 + 1
    assert totals(workspace) == {"visitors": [40] * 7, "pages": [280]}


def test_a_quiet_day_is_released_like_any_other(workspace: Workspace, directory: Path) -> None:
    write(directory, MONDAY, facts("kent", "2026-11-16", 5))
    write(directory, MONDAY + timedelta(days=2), facts("kent", "2026-11-18", 5))
    pipeline.run_spool(workspace, directory, WEEKLY, WEEKEND_OVER)
    assert totals(workspace)["visitors"] == [5, 0, 5, 0, 0, 0, 0]


def test_late_facts_and_unknown_sites_are_dropped_and_counted(workspace: Workspace, directory: Path) -> None:
    week(directory)
    pipeline.run_spool(workspace, directory, WEEKLY, WEEKEND_OVER)
    name = write(directory, WEEKEND_OVER, facts("kent", "2026-11-22", 3), facts("gone", "2026-11-23", 1))
    removed: list[Removal] = []
    report = pipeline.run_spool(workspace, directory, WEEKLY, WEEKEND_OVER + HOUR, recorded=removed.append)
    assert report.dropped == {"late": 18, "unknown-site": 6}
    assert report.late == 18
    assert totals(workspace)["visitors"] == [40] * 7
    assert [removal.segment for removal in removed] == [name]


def test_a_segment_still_open_waits(workspace: Workspace, directory: Path) -> None:
    keyed(directory, MONDAY)
    writer = Writer(directory, segments.hour_of(MONDAY))
    writer.write(facts("kent", "2026-11-16", 4))
    assert pipeline.run_spool(workspace, directory, [KENT], MONDAY + 2 * HOUR).segments == 0
    writer.end()
    assert pipeline.run_spool(workspace, directory, [KENT], MONDAY + 2 * HOUR).segments == 1


def test_a_damaged_segment_is_left_and_named(workspace: Workspace, directory: Path) -> None:
    good = write(directory, MONDAY, facts("kent", "2026-11-16", 4))
    bad = write(directory, MONDAY, facts("kent", "2026-11-16", 4), facts("kent", "2026-11-16", 4))
    path = directory / f"{bad}.seg"
    content = bytearray(path.read_bytes())
    content[200] ^= 1
    path.write_bytes(content)
    report = pipeline.run_spool(workspace, directory, [KENT], MONDAY + 2 * HOUR)
    assert [bad in fault for fault in report.damaged] == [True]
    assert path.exists()
    assert not (directory / f"{good}.seg").exists()
    assert held(workspace, "kent")["visitors"] == 4
    overdue = pipeline.leftovers(workspace, directory, MONDAY + 30 * HOUR, {good})
    assert overdue[0] == f"segment {bad} has waited for 30 hours"
    assert "the key of the hour 2026-11-16T09Z is still there" in overdue


def test_a_removal_the_ledger_could_not_take_is_said_later(workspace: Workspace, directory: Path) -> None:
    names = week(directory)

    def refusing(removal: Removal) -> None:
        raise OSError("ledger is locked")

    with pytest.raises(OSError, match="locked"):
        pipeline.run_spool(workspace, directory, WEEKLY, WEEKEND_OVER, recorded=refusing)
    missing = pipeline.leftovers(workspace, directory, WEEKEND_OVER, set())
    assert missing == sorted(f"segment {name} is gone, but no removal of it is recorded" for name in names)
    heard: list[Removal] = []
    pipeline.run_spool(workspace, directory, WEEKLY, WEEKEND_OVER, recorded=heard.append)
    assert sorted(removal.segment for removal in heard) == sorted(names)
    assert totals(workspace) == {"visitors": [40] * 7, "pages": [280]}
    assert pipeline.leftovers(workspace, directory, WEEKEND_OVER, set(names)) == []


def test_a_lost_holding_key_stops_the_run_before_anything_is_removed(workspace: Workspace, directory: Path) -> None:
    names = week(directory)
    write(directory, MONDAY, facts("kent", "2026-11-16", 1))
    pipeline.run_spool(workspace, directory, [KENT], MONDAY + 2 * HOUR)
    week(directory)
    (workspace.private / "holding" / "kent.key").unlink()
    with pytest.raises(SegmentError, match=r"kent\.key"):
        pipeline.run_spool(workspace, directory, WEEKLY, WEEKEND_OVER)
    assert len([name for name in files(directory) if name.endswith(".seg")]) == len(names)


def test_a_lost_statistics_file_is_published_again(workspace: Workspace, directory: Path) -> None:
    week(directory)
    pipeline.run_spool(workspace, directory, WEEKLY, WEEKEND_OVER)
    before = totals(workspace)
    workspace.stats.unlink()
    assert pipeline.run_spool(workspace, directory, WEEKLY, WEEKEND_OVER).releases == ()
    assert totals(workspace) == before


def test_two_runs_at_once_count_once(workspace: Workspace, directory: Path) -> None:
    week(directory)
    reports: list[pipeline.SpoolReport] = []

    def run() -> None:
        reports.append(pipeline.run_spool(workspace, directory, WEEKLY, WEEKEND_OVER))

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(report.segments for report in reports) == [0, 0, 7]
    assert totals(workspace) == {"visitors": [40] * 7, "pages": [280]}


KILLED = """
import os, signal, sys
from pathlib import Path
from anonymiser import pipeline
from anonymiser.settings import Workspace
from tests.batch.test_pipeline import WEEKLY, WEEKEND_OVER

def run(home, left):
    def count(event, arguments):
        nonlocal left
        temporary = event == "os.remove" and os.path.basename(arguments[0]).startswith(".")
        if event in ("os.rename", "os.remove") and not temporary:
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    def record(removal):
        with (home / "recorded").open("a") as said:
            said.write(removal.segment + "\\n")

    sys.addaudithook(count)
    workspace = Workspace(home / "stats.duckdb", home / "private")
    pipeline.run_spool(workspace, home / "spool", WEEKLY, WEEKEND_OVER, recorded=record)

for line in sys.stdin:  # a process of its own for each run, without the time that starting one takes
    home, step = line.split()
    child = os.fork()
    if child == 0:
        run(Path(home), int(step))
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


def orderly(home: Path, names: list[str]) -> None:
    """However a run ended: no file is gone before its hour's key, no key before its counts are kept."""
    keys = HourKeys(home / "private")
    with Budget(home / "private") as budget:
        removing = budget.unrecorded()
    said = (home / "recorded").read_text().split() if (home / "recorded").exists() else []
    for name in names:
        hour = datetime.strptime(name[:11], "%Y%m%dT%H").replace(tzinfo=UTC)
        if not segments.is_there(home / "spool", name):
            assert hour not in keys.hours
        if hour not in keys.hours:
            assert name in removing or name in said
            kept = Holding(home / "private" / "holding", "kent")
            assert name in kept.folded or name in said


@pytest.fixture
def killed(root: Path) -> Iterator[Callable[[Path, int], int]]:
    """Run the batch in a process that kills itself before its n-th rename or removal; returns its exit code."""
    with subprocess.Popen(
        [sys.executable, "-c", KILLED], cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdin
        assert parent.stdout
        send, receive = parent.stdin, parent.stdout

        def run(home: Path, step: int) -> int:
            send.write(f"{home} {step}\n")
            send.flush()
            return int(receive.readline())

        yield run
        send.close()


@pytest.mark.slow
def test_killed_before_any_rename_or_removal_and_run_again(tmp_path: Path, killed: Callable[[Path, int], int]) -> None:
    """kill -9 before the first, the second … file operation of a run, until a run comes through."""
    survived, step = False, 0
    while not survived:
        step += 1
        home = tmp_path / str(step)
        (home / "spool").mkdir(parents=True)
        names = week(home / "spool")
        code = killed(home, step)
        survived = code == 0
        assert survived or code == -signal.SIGKILL, step
        orderly(home, names)
        workspace, heard = Workspace(home / "stats.duckdb", home / "private"), list[Removal]()
        pipeline.run_spool(workspace, home / "spool", WEEKLY, WEEKEND_OVER, recorded=heard.append)
        for site, visitors in (("kent", 40), ("surrey", 30)):
            assert totals(workspace, site) == {"visitors": [visitors] * 7, "pages": [7 * visitors]}, step
            assert held(workspace, site) == Counter(), step
        assert files(home / "spool") == []
        assert min(HourKeys(workspace.private).hours) >= segments.hour_of(WEEKEND_OVER), step
        assert not [*workspace.private.rglob(".*")], step
        said = (home / "recorded").read_text().split() if (home / "recorded").exists() else []
        assert {*said, *(removal.segment for removal in heard)} == set(names), step
        with Budget(workspace.private) as budget:
            assert budget.unrecorded() == {}
    assert step > 10


# -- logs -------------------------------------------------------------------------------------------------------------


NOW = datetime(2026, 11, 23, 9, tzinfo=UTC)
DEMO = SiteRules("demo", protection=EXACT, own_hosts=frozenset({"semicomplete.com"}))


@pytest.fixture
def apache(shared_data: Path) -> Path:
    return shared_data / "weblogs" / "apache-10k" / "access.log"


def test_a_real_log_is_released_as_the_oracle_counts_it(workspace: Workspace, apache: Path) -> None:
    report = pipeline.run_logs(workspace, [apache], DEMO, NOW)
    expected = oracle.read(apache, DEMO, oracle.combined)
    assert (report.read, report.counted, report.rejected_total) == (10_000, expected.counted, 1)
    assert dict(report.dropped) == dict(expected.dropped)
    days = sorted({day for day, *_ in expected.counts})
    with Statistics(workspace.stats) as statistics:
        found = {
            (row.day.isoformat(), row.metric): round(row.value)
            for row in statistics.daily("demo", date(2015, 5, 1), date(2015, 5, 31))
        }
    exact = {(d, m): expected.counts[d, m, "", ""] for d in days for m in ("visitors", "views", "visits", "bounces")}
    assert found.keys() == exact.keys()
    assert all(abs(found[key] - exact[key]) <= 2 for key in exact)  # rounded to multiples of five


def test_the_same_log_again_changes_nothing(workspace: Workspace, apache: Path) -> None:
    assert pipeline.run_logs(workspace, [apache], replace(DEMO, protection=Protection()), NOW).releases
    before = workspace.stats.read_bytes()
    again = pipeline.run_logs(workspace, [apache], replace(DEMO, protection=Protection()), NOW)
    assert (again.releases, again.read) == ((), 10_000)
    assert workspace.stats.read_bytes() == before
    assert held(workspace, "demo") == Counter()


def test_other_input_for_released_days_is_refused(workspace: Workspace, apache: Path, tmp_path: Path) -> None:
    pipeline.run_logs(workspace, [apache], DEMO, NOW)
    before = workspace.stats.read_bytes()
    half = tmp_path / "half.log"
    half.write_bytes(b"".join(apache.read_bytes().splitlines(keepends=True)[:5000]))
    with pytest.raises(ReleaseConflict, match=r"2015-05-17 to 2015-05-19 are released already.*--skip-released"):
        pipeline.run_logs(workspace, [half], DEMO, NOW)
    assert workspace.stats.read_bytes() == before
    assert held(workspace, "demo") == Counter()


def test_later_days_are_added(workspace: Workspace, tmp_path: Path) -> None:
    for number, days in enumerate(([date(2026, 11, 2), date(2026, 11, 3)], [date(2026, 11, 4)])):
        access, _ = samples.write(tmp_path / str(number), days)
        assert pipeline.run_logs(workspace, [access], DEMO, NOW).releases
    with Statistics(workspace.stats) as statistics:
        assert statistics.newest_day("demo") == date(2026, 11, 4)
        assert len({r.period_start for r in statistics.releases("demo")}) == 3


def test_a_line_from_the_future_closes_no_day(workspace: Workspace, tmp_path: Path) -> None:
    """One wrong clock would otherwise release, empty and for ever, every day up to its own."""
    access, _ = samples.write(tmp_path / "logs", [date(2026, 11, 2)])
    text = access.read_text("utf-8")
    access.write_text(text + text.splitlines()[0].replace("/Nov/2026", "/Nov/2099") + "\n", "utf-8")
    report = pipeline.run_logs(workspace, [access], DEMO, NOW)
    assert report.dropped["future"] == 1
    with Statistics(workspace.stats) as statistics:
        assert statistics.newest_day("demo") == date(2026, 11, 2)


def test_remove_takes_the_files_once_they_are_published(workspace: Workspace, tmp_path: Path) -> None:
    access, iis = samples.write(tmp_path / "logs", [date(2026, 11, 2)])
    pipeline.run_logs(workspace, [access], DEMO, NOW, remove=True)
    assert not access.exists()
    assert iis.exists()
    assert workspace.stats.exists()


def test_a_site_is_counted_from_beacons_or_from_logs(workspace: Workspace, directory: Path, tmp_path: Path) -> None:
    access, _ = samples.write(tmp_path / "logs", [date(2026, 11, 2)])
    write(directory, MONDAY, facts("kent", "2026-11-16", 4))
    pipeline.run_spool(workspace, directory, [KENT], MONDAY + 2 * HOUR)
    with pytest.raises(InputError, match="counted from its beacons"):
        pipeline.run_logs(workspace, [access], KENT, NOW)
    pipeline.run_logs(workspace, [access], SURREY, NOW)
    write(directory, MONDAY, facts("surrey", "2026-11-16", 4))
    report = pipeline.run_spool(workspace, directory, [KENT, SURREY], MONDAY + 2 * HOUR)
    assert report.dropped == {"site-counted-from-logs": 24}


def test_exact_counts_stay_out_of_the_published_file(workspace: Workspace, apache: Path) -> None:
    report = pipeline.run_logs(workspace, [apache], replace(DEMO, protection=Protection()), NOW)
    content = workspace.stats.read_bytes()
    for name in report.releases:  # drawn by chance, so that once in a thousand runs one holds the very digits
        assert name.encode() in content
        content = content.replace(name.encode(), b"")
    assert report.counted > 1000
    for number in (report.read, report.counted):
        assert str(number).encode() not in content


def test_nothing_is_opened_without_a_spool(workspace: Workspace, tmp_path: Path) -> None:
    assert list(spool.segments(tmp_path / "missing")) == []
    report = pipeline.run_spool(workspace, tmp_path / "missing", [KENT], NOW)
    assert (report.segments, report.releases) == (0, ())


# -- retention --------------------------------------------------------------------------------------------------------


def keeping(months: int) -> list[SiteRules]:
    return [replace(KENT, retention_months=months), SURREY]


def test_figures_go_when_their_time_is_over_and_are_never_asked_again(workspace: Workspace, directory: Path) -> None:
    week(directory)
    tuesday = MONDAY + timedelta(days=8)
    pipeline.run_spool(workspace, directory, keeping(1), tuesday)
    assert totals(workspace)["visitors"] == [40] * 7 + [0]
    # On 18 December the totals of 16 and 17 November are over, the month's pages are not.
    pipeline.run_spool(workspace, directory, keeping(1), datetime(2026, 12, 18, 12, tzinfo=UTC))
    assert totals(workspace)["visitors"][:6] == [40] * 5 + [0]
    assert totals(workspace)["pages"] == [280]
    assert totals(workspace, "surrey")["visitors"][:7] == [30] * 7
    pipeline.run_spool(workspace, directory, keeping(1), datetime(2026, 12, 24, 12, tzinfo=UTC))
    assert 40 not in totals(workspace)["visitors"]
    pipeline.run_spool(workspace, directory, keeping(1), datetime(2027, 1, 1, 12, tzinfo=UTC))
    assert 280 not in totals(workspace)["pages"]
    write(directory, MONDAY, facts("kent", "2026-11-16", 50))
    report = pipeline.run_spool(workspace, directory, keeping(25), datetime(2027, 1, 1, 14, tzinfo=UTC))
    assert (report.late, report.releases) == (300, ())


def test_a_kill_before_publication_leaves_nothing_that_is_over(workspace: Workspace, directory: Path) -> None:
    week(directory)
    pipeline.run_spool(workspace, directory, [KENT, SURREY], MONDAY + timedelta(days=8))
    with Budget(workspace.private) as budget:
        assert budget.expire("kent", date(2027, 2, 1), 1) == 8
        assert budget.expire("kent", date(2027, 2, 1), 1) == 0
    pipeline.run_spool(workspace, directory, [KENT, SURREY], MONDAY + timedelta(days=8, hours=1))
    assert totals(workspace) == {"visitors": [], "pages": []}
    assert totals(workspace, "surrey")["visitors"] == [30] * 7 + [0]


def test_without_a_time_figures_are_kept(workspace: Workspace, directory: Path) -> None:
    week(directory)
    for now in (MONDAY + timedelta(days=8), MONDAY + timedelta(days=8 + 365)):
        pipeline.run_spool(workspace, directory, [KENT], now)
    assert totals(workspace)["visitors"][:7] == [40] * 7
