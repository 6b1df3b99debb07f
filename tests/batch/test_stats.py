"""Questions to a published file: sums with their noise, and never an answer from a file that was replaced."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from math import inf, log, sqrt
from pathlib import Path

import duckdb
import pytest

from anonymiser.bounds import GAP_BUCKETS, STATISTICS
from anonymiser.errors import StatisticsError
from anonymiser.protect import dp
from anonymiser.publish import publish
from anonymiser.stats import Cell, DailyRow, RangeFigure, Release, Statistics

DAY = timedelta(days=1)
FIRST = date(2026, 11, 1)
SIGMA = 8.0


def release(start: date, days: int, site: str = "kent") -> Release:
    end = start + (days - 1) * DAY
    return Release(
        f"{site}-{start}-{days}", site, start, end, "dp", 2.0, 1e-6, 10, {"views": {"sigma": 40.0}}, {"views": 14.0},
        "", "consent-app 0.1.0", datetime.combine(end + DAY, datetime.min.time(), UTC),
    )  # fmt: skip


def cell(of: Release, statistic: str, value: int, key1: str = "", key2: str = "", metric: str = "visitors") -> Cell:
    days = (of.period_end - of.period_start).days + 1
    return Cell(of.release_id, of.site, of.period_start, days, statistic, key1, key2, metric, value, SIGMA)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "stats.duckdb"


@pytest.fixture
def statistics(out: Path) -> Iterator[Statistics]:
    with Statistics(out) as found:
        yield found


def totals(out: Path, values: dict[int, int]) -> None:
    """Publish visitors by day of November."""
    days = [release(date(2026, 11, day), 1) for day in values]
    publish(out, days, [cell(of, "totals", value) for of, value in zip(days, values.values(), strict=True)])


# -- totals and releases -----------------------------------------------------------------------------------------------


def test_a_missing_file_has_released_nothing(statistics: Statistics) -> None:
    assert statistics.sites() == []
    assert statistics.releases("kent") == []
    assert statistics.daily("kent", FIRST, FIRST) == []
    assert statistics.newest_day("kent") is None
    assert statistics.visitors("kent", FIRST, FIRST) == RangeFigure(0, 0, False)
    assert statistics.breakdown("kent", "pages", FIRST, FIRST).first_day is None


def test_daily_gives_the_released_days_of_one_site(out: Path, statistics: Statistics) -> None:
    days = [release(FIRST + n * DAY, 1) for n in range(3)]
    other = release(FIRST, 1, "surrey")
    publish(out, [*days, other], [*(cell(of, "totals", n, metric="views") for n, of in enumerate(days)),
                                  cell(days[1], "totals", -4), cell(other, "totals", 99)])  # fmt: skip
    assert statistics.daily("kent", FIRST + DAY, FIRST + 9 * DAY) == [
        DailyRow(FIRST + DAY, "views", 1, SIGMA),
        DailyRow(FIRST + DAY, "visitors", -4, SIGMA),
        DailyRow(FIRST + 2 * DAY, "views", 2, SIGMA),
    ]
    assert statistics.newest_day("kent") == FIRST + 2 * DAY
    assert statistics.sites() == ["kent", "surrey"]


def test_releases_come_back_as_they_were_and_the_newest_is_last(out: Path, statistics: Statistics) -> None:
    made = [release(FIRST, 7), *(release(FIRST + n * DAY, 1) for n in range(9))]
    publish(out, random.Random(1).sample(made, len(made)), [])
    found = statistics.releases("kent")
    assert found == sorted(made, key=lambda r: (r.period_end, r.period_start))
    assert found[-1] == release(FIRST + 8 * DAY, 1)
    assert found[-1].released_at.tzinfo is UTC
    assert found[0].bounds["views"]["sigma"] == 40.0


def test_the_newest_day_is_one_with_totals(out: Path, statistics: Statistics) -> None:
    month, day = release(FIRST, 30), release(FIRST, 1)
    publish(out, [month, day], [cell(month, "pages", 5, "/"), cell(day, "totals", 3)])
    assert statistics.newest_day("kent") == FIRST


# -- visitors of a range -----------------------------------------------------------------------------------------------


def gaps_of(active: dict[str, set[int]], day: int) -> dict[str, int]:
    """The gap histogram of one day, from who was active on which days."""
    counts = dict.fromkeys(GAP_BUCKETS, 0)
    for days in active.values():
        if day in days:
            before = [d for d in days if d < day]
            counts[_bucket(day - max(before)) if before else "first"] += 1
    return counts


def _bucket(gap: int) -> str:
    return str(gap) if gap < 32 else "32-60" if gap < 61 else "61-90"


def visited(out: Path, active: dict[str, set[int]], days: int) -> None:
    """Publish exact totals and gaps of these visitors; day n is n days after FIRST."""
    made = [release(FIRST + n * DAY, 1) for n in range(days)]
    cells = [
        part
        for n, of in enumerate(made)
        for part in (
            cell(of, "totals", sum(n in seen for seen in active.values())),
            *(cell(of, "returning", count, gap) for gap, count in gaps_of(active, n).items()),
        )
    ]
    publish(out, made, cells)


def test_different_visitors_of_any_range_are_counted_once(out: Path, statistics: Statistics) -> None:
    chance = random.Random(7)
    active = {str(n): {day for day in range(70) if chance.random() < 0.06} for n in range(60)}
    visited(out, active, 70)
    for start, length in [(0, 2), (0, 32), (5, 7), (38, 32), (63, 7), (30, 28)]:
        figure = statistics.visitors("kent", FIRST + start * DAY, FIRST + (start + length - 1) * DAY)
        different = sum(bool(days & set(range(start, start + length))) for days in active.values())
        assert (figure.value, figure.is_visitor_days) == (different, False), (start, length)


def test_a_range_weighs_long_gaps_and_visitors_less_short_gaps(out: Path, statistics: Statistics) -> None:
    visited(out, {"one": {0}}, 3)
    figure = statistics.visitors("kent", FIRST, FIRST + 2 * DAY)
    variances = [1 / (1 / (1 + n) + 1 / (len(GAP_BUCKETS) - n)) for n in range(3)]
    assert figure.sigma == pytest.approx(SIGMA * sqrt(sum(variances)))


def test_one_day_is_that_days_visitors(out: Path, statistics: Statistics) -> None:
    visited(out, {"one": {0, 1}, "two": {1}}, 2)
    assert statistics.visitors("kent", FIRST + DAY, FIRST + DAY) == RangeFigure(2, SIGMA, False)


def test_gaps_of_more_than_a_month_are_divided_in_proportion(out: Path, statistics: Statistics) -> None:
    visited(out, {"always": set(range(91)), "seldom": {0, 45}}, 91)
    figure = statistics.visitors("kent", FIRST + DAY, FIRST + 90 * DAY)
    assert (round(figure.value, 2), figure.is_visitor_days) == (1 + round(log(61 / 45) / log(61 / 32), 2), False)


def test_more_than_91_days_are_visitor_days(out: Path, statistics: Statistics) -> None:
    visited(out, {"one": set(range(92))}, 92)
    assert statistics.visitors("kent", FIRST, FIRST + 90 * DAY).value == pytest.approx(1)
    figure = statistics.visitors("kent", FIRST, FIRST + 91 * DAY)
    assert (figure.value, figure.is_visitor_days) == (92, True)
    assert figure.sigma == pytest.approx(SIGMA * sqrt(92))


def test_where_browsers_forget_sooner_longer_ranges_are_visitor_days(out: Path) -> None:
    visited(out, {"one": set(range(9))}, 9)
    with Statistics(out, {"kent": 7}) as statistics:
        assert statistics.visitors("kent", FIRST, FIRST + 6 * DAY).value == pytest.approx(1)
        figure = statistics.visitors("kent", FIRST, FIRST + 7 * DAY)
        assert (figure.value, figure.is_visitor_days) == (8, True)


def test_without_gaps_for_every_day_it_is_visitor_days(out: Path, statistics: Statistics) -> None:
    totals(out, {1: 10, 2: 20, 4: 40})
    figure = statistics.visitors("kent", FIRST, date(2026, 11, 5))
    assert (figure.value, figure.is_visitor_days) == (70, True)


# -- breakdowns --------------------------------------------------------------------------------------------------------


def test_a_breakdown_sums_the_periods_that_lie_within(out: Path, statistics: Statistics) -> None:
    weeks = [release(FIRST + 7 * n * DAY, 7) for n in range(4)]
    cells = [cell(of, "pages", 10 + n, "/") for n, of in enumerate(weeks)]
    cells += [
        cell(weeks[1], "pages", 300, "/sale"),
        cell(weeks[2], "pages", -6, "/rare"),
        cell(weeks[1], "exits", 5, "/"),
    ]
    publish(out, weeks, cells)
    found = statistics.breakdown("kent", "pages", FIRST + DAY, FIRST + 21 * DAY)
    assert (found.first_day, found.last_day) == (FIRST + 7 * DAY, FIRST + 20 * DAY)
    assert found.periods == 2
    assert [(row.key1, row.value, row.sigma, row.periods) for row in found.rows] == [
        ("/sale", 300, SIGMA, 1),
        ("/", 11 + 12, sqrt(2 * SIGMA**2), 2),
        ("/rare", -6, SIGMA, 1),
    ]
    assert [row.hidden for row in found.rows] == [inf, 0.0, inf]  # these releases do not tell their bounds


PAGES = STATISTICS["pages"]
TOLD = {"l2": PAGES.l2, "linf": 1, "keys_touched": 6, "fold": PAGES.fold, "sigma": SIGMA}


@pytest.mark.parametrize(("key", "width"), [("/sale", 1.0), ("/order/:id", PAGES.fold)])
def test_what_a_key_may_have_had_where_it_was_too_rare_is_told(
    out: Path, statistics: Statistics, key: str, width: float
) -> None:
    """Three weeks, released in one: in each other its noisy count stayed below the threshold that `dp` applies."""
    weeks = [replace(release(FIRST + 7 * n * DAY, 7), bounds={"pages": TOLD}) for n in range(3)]
    publish(out, weeks, [*(cell(of, "pages", 10, "/") for of in weeks), cell(weeks[1], "pages", 300, key)])
    found = statistics.breakdown("kent", "pages", FIRST, FIRST + 20 * DAY)
    row, declared = found.rows
    least = dp.Plan(PAGES, SIGMA, 1e-7 / 6, open_ended=True).threshold((key, ""))
    assert (found.periods, row.periods, declared.periods, declared.hidden) == (3, 1, 3, 0)
    noise = SIGMA * (sqrt(1 + 2 * 2 * width**2) - 1)
    assert row.hidden == pytest.approx(2 * least + 1.96 * noise)


def test_under_threshold_a_hidden_key_had_fewer_than_k(out: Path, statistics: Statistics) -> None:
    weeks = [replace(release(FIRST + 7 * n * DAY, 7), policy="threshold", k=20) for n in range(3)]
    publish(out, weeks, [*(cell(of, "pages", 30, "/") for of in weeks), cell(weeks[1], "pages", 40, "/sale")])
    row = statistics.breakdown("kent", "pages", FIRST, FIRST + 20 * DAY).rows[-1]
    assert (row.key1, row.periods, row.hidden) == ("/sale", 1, 2 * 19)


@pytest.mark.parametrize("above", [-1.0, 0.0, 1.0])
def test_the_bound_on_what_is_hidden_holds(out: Path, statistics: Statistics, above: float) -> None:
    """A page near the threshold is shown in some weeks of eight by real releases. The upper limit of its row fails one
    time in 40; of 30 rows 10 would fail less than once in a million runs. Without `hidden` nearly all would.
    """
    plan = dp.Plan(PAGES, SIGMA, 1e-7 / 6, open_ended=True)
    sites = [f"kent{n}" for n in range(30)]
    weeks = [replace(release(FIRST + 7 * n * DAY, 7, site), bounds={"pages": TOLD}) for site in sites for n in range(8)]
    count = round(plan.threshold(("/sale", "")) + above * SIGMA)
    drawn = dp.release(plan, [{("/sale", ""): count}] * len(weeks), [("/", "")])
    publish(out, weeks, [
        replace(cell(of, "pages", value, key[0]), sigma=sigma)
        for of, cells in zip(weeks, drawn, strict=True) for key, value, sigma in cells
    ])  # fmt: skip
    found = [statistics.breakdown(site, "pages", FIRST, FIRST + 55 * DAY).rows for site in sites]
    rows = [row for rows in found for row in rows if row.key1 == "/sale" and row.periods < 8]
    most = [row.value + 1.96 * row.sigma for row in rows]
    assert sum(limit + row.hidden < 8 * count for limit, row in zip(most, rows, strict=True)) < 10
    assert sum(limit < 8 * count for limit in most) > len(rows) / 2


def test_a_breakdown_of_days_without_one_says_so(out: Path, statistics: Statistics) -> None:
    week = release(FIRST, 7)
    publish(out, [week], [cell(week, "pages", 10, "/")])
    for start, end in ((FIRST + DAY, FIRST + 9 * DAY), (FIRST, FIRST + 5 * DAY)):
        found = statistics.breakdown("kent", "pages", start, end)
        assert (found.first_day, found.last_day, found.rows) == (None, None, [])


def test_second_keys_tell_rows_apart(out: Path, statistics: Statistics) -> None:
    week = release(FIRST, 7)
    publish(
        out, [week], [cell(week, "sources", 5, "Google", "Organic search"), cell(week, "sources", 7, "Google", "Paid")]
    )
    rows = statistics.breakdown("kent", "sources", FIRST, FIRST + 6 * DAY).rows
    assert [(row.key2, row.value) for row in rows] == [("Paid", 7), ("Organic search", 5)]


# -- files that change -------------------------------------------------------------------------------------------------


def newest(statistics: Statistics) -> int:
    return round(statistics.visitors("kent", FIRST, FIRST).value)


def test_a_replaced_file_is_read_anew(out: Path, statistics: Statistics) -> None:
    totals(out, {1: 10})
    assert (newest(statistics), len(statistics.releases("kent"))) == (10, 1)
    totals(out, {1: 20, 2: 5})
    assert (newest(statistics), len(statistics.releases("kent"))) == (20, 2)
    out.unlink()
    assert (newest(statistics), statistics.releases("kent")) == (0, [])


def test_a_file_that_somebody_else_in_the_process_still_holds_is_read_anew(out: Path, statistics: Statistics) -> None:
    """DuckDB would give a second connection to the same path the instance of the file that was replaced."""
    totals(out, {1: 10})
    with duckdb.connect(str(out), read_only=True) as holding, Statistics(out) as other:
        assert (newest(statistics), newest(other)) == (10, 10)
        totals(out, {1: 20})
        assert newest(statistics) == 20
        assert holding.execute("SELECT value FROM cell").fetchall() == [(10,)]
    assert newest(statistics) == 20


def test_many_threads_ask_while_files_are_replaced(out: Path, statistics: Statistics) -> None:
    """Every answer is one of a single file, and never older than the newest one that was there before the question."""
    totals(out, {1: 0, 2: 0})
    published, faults, stop = [0], list[str](), threading.Event()

    def ask() -> None:
        while not stop.is_set():
            known = published[-1]
            values = {row.value for row in statistics.daily("kent", FIRST, FIRST + DAY)}
            if len(values) != 1 or min(values) < known:
                faults.append(f"{values} after {known}")

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for value in range(1, 9):
        totals(out, {1: value, 2: value})
        published.append(value)
    stop.set()
    for thread in threads:
        thread.join()
    assert faults == []


def test_it_can_be_closed_and_asked_again(out: Path) -> None:
    totals(out, {1: 10})
    statistics = Statistics(out)
    assert newest(statistics) == 10
    statistics.close()
    assert newest(statistics) == 10
    statistics.close()


def test_asking_changes_nothing_on_disk(out: Path, statistics: Statistics) -> None:
    totals(out, {1: 10})
    before = out.read_bytes()
    assert newest(statistics) == 10
    assert out.read_bytes() == before
    assert [path.name for path in out.parent.iterdir()] == ["stats.duckdb"]


def test_a_file_name_with_a_quote(tmp_path: Path) -> None:
    totals(tmp_path / "it's.duckdb", {1: 10})
    with Statistics(tmp_path / "it's.duckdb") as statistics:
        assert newest(statistics) == 10


# -- files that are not ours -------------------------------------------------------------------------------------------


def refused(path: Path) -> None:
    with (
        Statistics(path) as statistics,
        pytest.raises(StatisticsError, match=r"stats\.duckdb is no statistics file of ours"),
    ):
        statistics.newest_day("kent")


def test_another_kind_of_file_is_refused(out: Path) -> None:
    out.write_text("these are notes\n" * 1000)
    refused(out)


def test_an_empty_file_is_refused(out: Path) -> None:
    out.touch()
    refused(out)


def test_a_folder_is_refused(out: Path) -> None:
    out.mkdir()
    refused(out)


def test_a_foreign_database_is_refused(out: Path) -> None:
    with duckdb.connect(str(out)) as connection:
        connection.execute("CREATE TABLE cell (a INTEGER)")
    refused(out)


def test_a_cut_file_is_refused_until_it_is_whole_again(out: Path) -> None:
    totals(out, dict.fromkeys(range(1, 29), 10))
    out.write_bytes(out.read_bytes()[:20_000])
    refused(out)
    with Statistics(out) as statistics:
        with pytest.raises(StatisticsError):
            newest(statistics)
        totals(out, {1: 10})
        assert newest(statistics) == 10


def test_a_flipped_byte_never_makes_another_answer(out: Path) -> None:
    totals(out, dict.fromkeys(range(1, 29), 10))
    content, refusals = out.read_bytes(), 0
    for place in random.Random(3).sample(range(len(content)), 150):
        out.write_bytes(content[:place] + bytes([content[place] ^ 0xFF]) + content[place + 1 :])
        with Statistics(out) as statistics:
            try:
                assert [row.value for row in statistics.daily("kent", FIRST, FIRST + 27 * DAY)] == [10] * 28
            except StatisticsError:
                refusals += 1
    assert refusals > 10


def test_a_release_that_cannot_be_read_is_refused(out: Path, statistics: Statistics) -> None:
    publish(out, [release(FIRST, 1)], [])
    with duckdb.connect(str(out)) as connection:
        connection.execute("UPDATE release SET bounds = '[1]'")
    with pytest.raises(StatisticsError, match=r"stats\.duckdb is no statistics file of ours"):
        statistics.releases("kent")


def test_a_file_cannot_make_us_read_another(out: Path, tmp_path: Path, statistics: Statistics) -> None:
    secret = tmp_path / "secret.csv"
    secret.write_text("site\nkent\n")
    with duckdb.connect(str(out)) as connection:
        connection.execute(f"CREATE VIEW release AS SELECT * FROM read_csv('{secret}')")
        assert connection.execute("SELECT site FROM release").fetchall() == [("kent",)]
    with pytest.raises(StatisticsError, match="disabled"):
        statistics.sites()
