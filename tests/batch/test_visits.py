"""Visits found by Arrow against visits found by windows in SQL: the same rows, whatever the views."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anonymiser.engines import duckdb as engine
from anonymiser.engines.duckdb import DuckDBEngine, statement
from anonymiser.engines.visits import visits
from anonymiser.settings import SiteRules

BEGIN = datetime.fromisoformat("2026-05-17T22:00")
SCHEMA = pa.schema(
    [
        *(("seq", pa.int64()), ("ts", pa.timestamp("us")), ("day", pa.date32()), ("hour", pa.int8())),
        *(("browser", pa.int64()), ("page_id", pa.int32()), ("target_id", pa.int32())),
        *(("agent_id", pa.int32()), ("referrer_id", pa.int32()), ("reason", pa.string())),
    ]
)
COLUMNS = "day, hour, page_id, target_id, agent_id, referrer_id, n, v, k, first_seq, prev, p"
# A view: minutes since the one before, browser, page. Thirty minutes apart is the edge. Where the clocks go back at
# midnight, a browser may be back on the day it left.
VIEW = st.tuples(st.sampled_from([30, 31, 0, 15]), st.integers(0, 1), st.integers(0, 2))


def events(views: Sequence[tuple[int, int, int]], back_at: int | None = None) -> pa.Table:
    """What `sql/events.sql` makes of such views; the clocks go back by an hour after `back_at` minutes."""
    rows = []
    minutes = 0
    for seq, (gap, browser, page) in enumerate(views, 7):
        minutes += gap
        ts = BEGIN + timedelta(minutes=minutes)
        local = ts if back_at is None or minutes < back_at else ts - timedelta(hours=1)
        rows.append((seq, ts, local.date(), local.hour, browser << 32 | 5, page, seq, 5, seq + 1, ""))
    columns = [pa.array(column, of.type) for column, of in zip(zip(*rows, strict=True), SCHEMA, strict=True)]
    return pa.table(columns, schema=SCHEMA)


def by_windows(found: pa.Table) -> list[tuple[object, ...]]:
    with duckdb.connect() as connection:
        connection.register("events", found)
        values = {"first": date(2026, 5, 1), "last": date(2026, 5, 31), "idle_minutes": 30}
        rows = connection.execute(f"SELECT {COLUMNS} FROM ({statement('visits')})", values).fetchall()
    return sorted(rows, key=repr)


def by_arrow(found: pa.Table) -> list[tuple[object, ...]]:
    rows = visits(found.drop_columns("reason"), 30).select(COLUMNS.split(", ")).to_pylist()
    return sorted((tuple(row.values()) for row in rows), key=repr)


@settings(max_examples=60, deadline=None)
@given(views=st.lists(VIEW, min_size=2, max_size=40), back_at=st.sampled_from([None, 120, 150]), turned=st.booleans())
def test_both_ways_agree(views: list[tuple[int, int, int]], back_at: int | None, turned: bool) -> None:
    found = events(views, back_at)
    if turned:  # lines that were read by SQL come after all others of their block
        found = found.take(list(range(len(found)))[::-1])
    assert by_arrow(found) == by_windows(found)


def test_views_in_several_chunks_and_none_at_all() -> None:
    found = events([(0, 0, 1), (31, 0, 1), (0, 1, 1), (30, 0, 2)])
    assert by_arrow(pa.concat_tables([found.slice(2), found.slice(0, 2)])) == by_windows(found)
    assert by_arrow(SCHEMA.empty_table()) == []


def test_a_visit_ends_when_more_than_half_an_hour_passes() -> None:
    rows = visits(events([(0, 0, 1), (30, 0, 2), (31, 0, 1)]).drop_columns("reason"), 30).to_pydict()
    assert (rows["v"], rows["k"], rows["p"]) == ([1, 1, 2], [1, 2, 1], [1, 2, 0])
    assert (rows["prev"], rows["first_seq"]) == ([None, 1, None], [7, 7, 9])


def test_a_day_counted_in_parts_gives_the_same(shared_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log, rules = shared_data / "weblogs" / "apache-10k" / "access.log", SiteRules("demo", crossed=True)
    whole = DuckDBEngine().count_logs([log], rules)
    monkeypatch.setattr(engine, "EVENTS_AT_ONCE", 700)
    assert DuckDBEngine().count_logs([log], rules) == whole
