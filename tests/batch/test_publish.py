"""A published file appears whole or not at all, and shows what was released as docs/schema.md says."""

from __future__ import annotations

import os
import re
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import duckdb
import pytest

from anonymiser.bounds import PARTS_OF_VISITORS, STATISTICS
from anonymiser.errors import StatisticsError
from anonymiser.publish import ABANDONED_SECONDS, publish
from anonymiser.stats import Cell, Release

MONDAY = date(2026, 11, 16)
RELEASE = Release(
    release_id="r1",
    site="kent",
    period_start=MONDAY,
    period_end=MONDAY,
    policy="dp",
    epsilon=2.0,
    delta=1e-6,
    k=10,
    bounds={"views": {"l2": 6.0, "linf": 6, "keys_touched": 1, "fold": 1.0, "sigma": 40.0}},
    weights={"views": 14},
    catalogue_sha256="5f" * 32,
    software="consent-app 0.1.0",
    released_at=datetime(2026, 11, 17, 2, 10, tzinfo=UTC),
)
CELL = Cell("r1", "kent", MONDAY, 1, "totals", "", "", "views", 685, 40.0)


def cell(
    statistic: str, key1: str, value: int, *, key2: str = "", sigma: float = 10.0, metric: str = "visitors"
) -> Cell:
    return replace(
        CELL, statistic=statistic, key1=key1, key2=key2, value=value, sigma=sigma, metric=metric, period_days=7
    )


def read(file: Path, query: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(file), read_only=True) as connection:
        return connection.execute(query).fetchall()


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "stats.duckdb"


def test_what_was_released_is_what_is_read(out: Path) -> None:
    publish(out, [RELEASE], [CELL, replace(CELL, value=-3)])
    values = {field.name: getattr(RELEASE, field.name) for field in fields(Release)}
    (row,) = read(out, f"SELECT {', '.join(values)} FROM release")
    assert row[:8] == tuple(values.values())[:8]
    assert row[10:] == (RELEASE.catalogue_sha256, RELEASE.software, datetime(2026, 11, 17, 2, 10))  # noqa: DTZ001
    assert read(out, "SELECT bounds->'views'->>'sigma', weights->>'views' FROM release") == [("40.0", "14")]
    assert read(out, "FROM cell ORDER BY value") == [
        ("r1", "kent", MONDAY, 1, "totals", "", "", "views", value, 40.0) for value in (-3, 685)
    ]


def test_nothing_released_is_a_file_with_empty_tables(out: Path) -> None:
    publish(out, [], [])
    assert read(out, "SELECT (SELECT count(*) FROM release) + (SELECT count(*) FROM cell)") == [(0,)]


def test_only_the_new_file_is_there_and_others_may_read_it(out: Path) -> None:
    publish(out, [RELEASE], [CELL])
    publish(out, [RELEASE], [replace(CELL, value=1)])
    assert [path.name for path in out.parent.iterdir()] == ["stats.duckdb"]
    assert read(out, "SELECT value FROM cell") == [(1,)]


def test_the_order_of_cells_says_nothing(out: Path, tmp_path: Path) -> None:
    cells = [cell("pages", f"/{n}", n) for n in range(50)]
    publish(out, [RELEASE], cells)
    publish(tmp_path / "other.duckdb", [RELEASE], cells[::-1])
    assert read(out, "FROM cell") == read(tmp_path / "other.duckdb", "FROM cell")


def test_more_cells_than_fit_one_batch(out: Path) -> None:
    publish(out, [RELEASE], (cell("pages", f"/{n}", n) for n in range(250_000)))
    assert read(out, "SELECT count(*), sum(value) FROM cell") == [(250_000, 249_999 * 125_000)]


def test_older_readers_can_open_it(out: Path) -> None:
    """Storage version 64 is read by every DuckDB from 0.10 on; a later one would shut out older BI tools."""
    publish(out, [RELEASE], [CELL])
    assert int.from_bytes(out.read_bytes()[12:20], "little") == 64


# -- faults ------------------------------------------------------------------------------------------------------------


def interrupted() -> Iterator[Cell]:
    yield CELL
    raise OSError(28, "No space left on device")


def test_a_failure_leaves_the_old_file_and_nothing_else(out: Path) -> None:
    publish(out, [RELEASE], [CELL])
    before = out.read_bytes()
    with pytest.raises(
        StatisticsError, match=r"stats\.duckdb could not be published \(No space left on device\); make"
    ):
        publish(out, [RELEASE], interrupted())
    assert out.read_bytes() == before
    assert [path.name for path in out.parent.iterdir()] == ["stats.duckdb"]


def test_a_full_disk_leaves_the_old_file_and_nothing_else(out: Path) -> None:
    """The limit is on the size of files this process writes: DuckDB meets a real failed write in the middle."""
    publish(out, [RELEASE], [CELL])
    before = out.read_bytes()
    limits, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, limits[1]))
    try:
        with pytest.raises(StatisticsError, match=r"stats\.duckdb could not be published .* make room"):
            publish(out, [RELEASE], (cell("pages", os.urandom(40).hex(), n) for n in range(60_000)))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert out.read_bytes() == before
    assert [path.name for path in out.parent.iterdir()] == ["stats.duckdb"]


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StatisticsError, match=r"file/stats\.duckdb could not be published"):
        publish(tmp_path / "file" / "stats.duckdb", [RELEASE], [CELL])


def test_a_folder_in_the_way_is_named(out: Path) -> None:
    out.mkdir()
    with pytest.raises(StatisticsError, match=r"stats\.duckdb could not be published"):
        publish(out, [RELEASE], [CELL])
    assert [path.name for path in out.parent.iterdir()] == ["stats.duckdb"]


def test_what_killed_runs_left_is_removed(out: Path) -> None:
    names = [".stats.duckdb.0f.new", ".stats.duckdb.0f.new.wal", ".stats.duckdb.1f.new", "other"]
    for name in names:
        (out.parent / name).write_bytes(b"")
    long_ago = (out.parent / "other").stat().st_mtime - ABANDONED_SECONDS - 1
    for name in names[:2]:
        os.utime(out.parent / name, (long_ago, long_ago))
    publish(out, [RELEASE], [CELL])
    assert sorted(path.name for path in out.parent.iterdir()) == [".stats.duckdb.1f.new", "other", "stats.duckdb"]


KILLED = """
import os, signal, sys
from pathlib import Path
from anonymiser.publish import publish
from tests.batch.test_publish import CELL, RELEASE
from dataclasses import replace

def at(event, arguments):
    if event == sys.argv[2]:
        os.kill(os.getpid(), signal.SIGKILL)

sys.addaudithook(at)
publish(Path(sys.argv[1]), [RELEASE], [replace(CELL, value=1)])
"""


@pytest.mark.parametrize(("event", "value"), [("os.rename", 685), ("os.scandir", 1)])
def test_killed_at_any_moment_the_file_is_the_old_or_the_new(out: Path, root: Path, event: str, value: int) -> None:
    publish(out, [RELEASE], [CELL])
    result = subprocess.run([sys.executable, "-c", KILLED, str(out), event], cwd=root, check=False)
    assert result.returncode == -signal.SIGKILL
    assert read(out, "SELECT value FROM cell") == [(value,)]


# -- views -------------------------------------------------------------------------------------------------------------


def test_views_show_no_negative_figure_and_a_margin(out: Path) -> None:
    publish(out, [RELEASE], [cell("pages", "/", 718), cell("pages", "/rare", -4), cell("pages", "/exact", 20, sigma=0)])
    sunday = MONDAY + timedelta(days=6)
    assert read(out, "SELECT site, period_start, period_end, page, visitors, margin FROM pages ORDER BY page") == [
        ("kent", MONDAY, sunday, "/", 718, 19.6),
        ("kent", MONDAY, sunday, "/exact", 20, None),
        ("kent", MONDAY, sunday, "/rare", 0, 19.6),
    ]


def test_channels_and_systems_are_sums_of_what_is_shown(out: Path) -> None:
    cells = [
        cell("sources", "Google", 30, key2="Organic search", sigma=3),
        cell("sources", "Bing", -5, key2="Organic search", sigma=4),
        cell("browsers", "Firefox", 7, key2="Linux"),
        cell("browsers", "Chrome", 8, key2="Linux"),
    ]
    publish(out, [RELEASE], cells)
    assert read(out, "SELECT channel, visitors, margin FROM channels") == [("Organic search", 30, 9.8)]
    assert read(out, "SELECT system, visitors FROM systems") == [("Linux", 15)]
    assert read(out, "SELECT browser, visitors FROM browsers ORDER BY browser") == [("Chrome", 8), ("Firefox", 7)]
    assert read(out, "SELECT source, channel, visitors FROM sources ORDER BY source") == [
        ("Bing", "Organic search", 0),
        ("Google", "Organic search", 30),
    ]


# -- parts of the visitors ---------------------------------------------------------------------------------------------


def days(*visitors: int) -> list[Cell]:
    """The visitors of the days from Monday on."""
    return [
        replace(CELL, period_start=MONDAY + timedelta(days=n), metric="visitors", value=value)
        for n, value in enumerate(visitors)
    ]


def shown(out: Path, total: int, parts: dict[str, tuple[int, float]], view: str = "devices") -> dict[str, int]:
    """What a week's view shows of these released (value, sigma) beside that total."""
    publish(out, [RELEASE], [*days(total), *(cell(view, key, v, sigma=s) for key, (v, s) in parts.items())])
    return {row[3]: row[4] for row in read(out, f"SELECT * FROM {view}")}


def test_parts_share_what_their_sum_is_off_by(out: Path) -> None:
    found = shown(out, 900, {"desktop": (600, 10.0), "phone": (330, 10.0), "tablet": (60, 10.0)})
    assert found == {"desktop": 570, "phone": 300, "tablet": 30}


def test_wider_noise_gives_more(out: Path) -> None:
    assert shown(out, 900, {"desktop": (600, 10.0), "phone": (400, 20.0)}) == {"desktop": 580, "phone": 320}


def test_nothing_is_shown_below_nought_and_clear_figures_do_not_pay_for_it(out: Path) -> None:
    found = shown(out, 520, {"desktop": (500, 10.0), "phone": (20, 10.0), "tablet": (-28, 10.0), "other": (28, 10.0)})
    assert found == {"desktop": 500, "phone": 6, "tablet": 0, "other": 14}


def test_clear_figures_give_way_to_a_smaller_total(out: Path) -> None:
    found = shown(out, 400, {"desktop": (300, 1.0), "phone": (200, 1.0), "tablet": (-100, 1.0)})
    assert found == {"desktop": 250, "phone": 150, "tablet": 0}


def test_a_total_below_nought_is_nought(out: Path) -> None:
    assert shown(out, -3, {"desktop": (4, 10.0), "phone": (-9, 10.0)}) == {"desktop": 0, "phone": 0}


def test_without_noise_or_totals_nothing_is_moved(out: Path) -> None:
    assert shown(out, 900, {"desktop": (600, 0.0), "phone": (200, 0.0)}) == {"desktop": 600, "phone": 200}
    publish(out, [RELEASE], [cell("devices", "desktop", 600), cell("devices", "phone", -4)])
    assert read(out, "SELECT device, visitors FROM devices ORDER BY ALL") == [("desktop", 600), ("phone", 0)]


def expected(total: int, parts: dict[str, tuple[int, float]]) -> dict[str, float]:
    """The rule of the view in plain Python; the multiplier is found by halving."""
    off = (sum(v for v, _ in parts.values()) - total) / sum(s * s for _, s in parts.values())
    moved = {key: v - off * s * s for key, (v, s) in parts.items()}
    clear = {key for key in parts if moved[key] > 3 * parts[key][1]}
    kept = sum(moved[key] for key in clear)
    found: dict[str, float] = {}
    for keys, aim in ((clear, min(kept, total)), (parts.keys() - clear, max(total - kept, 0.0))):
        low, high = -1e6, 1e6
        for _ in range(200):
            middle = (low + high) / 2
            reached = {key: max(moved[key] - middle * parts[key][1] ** 2, 0.0) for key in keys}
            low, high = (middle, high) if sum(reached.values()) > aim else (low, middle)
        found |= reached
    return found


@pytest.mark.parametrize("seed", range(8))
def test_any_parts_add_up_and_are_the_nearest(out: Path, seed: int) -> None:
    chance = Random(seed)
    keys = [f"/{n}" for n in range(chance.choice((2, 5, 30, 200)))]
    counts = {key: max(0, round(chance.paretovariate(0.6) - 5)) % 900 for key in keys}
    parts = {}
    for key in keys:
        sigma = chance.choice((5.0, 5.0, 12.0))
        parts[key] = (round(chance.gauss(counts[key], sigma)), sigma)
    total = max(round(chance.gauss(sum(counts.values()), 10)), 0)
    found = shown(out, total, parts, "entries")
    assert sum(found.values()) == total
    assert min(found.values()) >= 0
    assert all(abs(found[key] - figure) <= 1 for key, figure in expected(total, parts).items())


def test_every_view_of_parts_adds_up_in_every_period(out: Path) -> None:
    """A week of days and the week itself, each part of it released with noise of its own."""
    chance = Random(5)
    weekly = [s for s in PARTS_OF_VISITORS if STATISTICS[s].schedule == "breakdown"]
    cells = days(*(chance.randrange(200, 300) for _ in range(7)))
    cells += [cell(name, f"a{n}", chance.randrange(-30, 500), key2=f"b{n % 3}") for name in weekly for n in range(9)]
    cells += [replace(c, statistic=name, key1=key, metric="visitors", value=chance.randrange(-9, 90), sigma=9.0)
              for c in days(*range(7)) for name in ("hours", "returning") for key in ("07", "12", "23")]  # fmt: skip
    publish(out, [RELEASE], cells)
    for view in (*weekly, "channels", "systems", "hours", "returning"):
        rows = read(out, f'SELECT period_start, period_end, sum(visitors), min(visitors) FROM "{view}" GROUP BY ALL')
        assert len(rows) == (7 if view in ("hours", "returning") else 1)
        for start, end, total, least in rows:
            assert least >= 0
            assert (total,) == read(
                out, f"SELECT sum(visitors) FROM totals WHERE period_start BETWEEN '{start}' AND '{end}'"
            )[0]


def test_cells_stay_as_released_and_so_do_margins(out: Path) -> None:
    shown(out, 530, {"desktop": (500, 10.0), "phone": (-20, 10.0)})
    assert read(out, "SELECT value, sigma FROM cell WHERE statistic = 'devices' ORDER BY ALL") == [
        (-20, 10.0),
        (500, 10.0),
    ]
    assert read(out, "SELECT DISTINCT margin FROM devices") == [(19.6,)]


def test_totals_stand_side_by_side(out: Path) -> None:
    cells = [
        replace(CELL, metric=m, value=v) for m, v in (("visitors", 240), ("views", 685), ("visits", -2), ("bounces", 9))
    ]
    publish(out, [RELEASE], cells)
    assert read(out, "SELECT visitors, visitors_margin, views, visits, bounces FROM totals") == [(240, 78.4, 685, 0, 9)]


def test_a_view_for_each_statistic_reads_its_keys(out: Path) -> None:
    keys = {"hours": "07", "engagement": "3", "scroll": "8"}
    cells = [cell(s.table, keys.get(s.table, "a"), 5, key2="2") for s in STATISTICS.values() if s.keys]
    publish(out, [RELEASE], cells)
    for table in {c.statistic for c in cells}:
        assert [row[-2] for row in read(out, f'FROM "{table}"')] == [5], table
    assert read(out, "SELECT hour FROM hours") == [(7,)]
    assert read(out, "SELECT step, engaged FROM engagement") == [(3, "30-59 s")]
    assert read(out, "SELECT step, scrolled FROM scroll") == [(8, "87-100 %")]
    assert read(out, "SELECT funnel, step FROM funnels") == [("a", 2)]
    assert read(out, 'SELECT gap_days FROM "returning"') == [("a",)]


# -- docs/schema.md ----------------------------------------------------------------------------------------------------


def documented(root: Path) -> dict[str, list[str]]:
    """The columns each heading's table names."""
    found: dict[str, list[str]] = {}
    for section in re.split(r"^## ", (root / "docs" / "schema.md").read_text("utf-8"), flags=re.MULTILINE)[1:]:
        columns = re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)
        for name in re.findall(r"`(\w+)`", section.partition("\n")[0]):
            found[name] = columns
    return found


def test_the_document_names_every_table_view_and_column(out: Path, root: Path) -> None:
    publish(out, [], [])
    rows = read(
        out,
        "SELECT table_name, list(column_name ORDER BY ordinal_position) FROM information_schema.columns "
        "WHERE table_schema = 'main' GROUP BY table_name",
    )
    assert documented(root) == dict(rows)
