"""Page views -> the ordinals a browser would have counted itself: one sort, then running sums, all in Arrow.

`sql/visits.sql` says what is found here, for any engine that has windows; `tests/batch/test_visits.py` holds both
equal. A window sorts all columns anew for each of its orders, and most browsers have one view a day. Here a row's
ordinals follow from the row before it (docs/adr/0016).
"""

from __future__ import annotations

from typing import Final, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

NEEDED: Final = ("seq", "ts", "day", "hour", "browser", "page_id", "target_id", "agent_id", "referrer_id")
_ORDER: Final = [(name, "ascending") for name in ("day", "browser", "ts", "seq")]
_KEPT: Final = ("day", "hour", "page_id", "target_id", "agent_id", "referrer_id")
_NOUGHT, _ONE = pa.scalar(0, pa.int32()), pa.scalar(1, pa.int32())


class _Begun(NamedTuple):
    """For each row, in order: where its browser's day began, whether a visit begins with it, and where that began."""

    day: pa.Array
    visit: pa.Array
    visit_at: pa.Array


def visits(views: pa.Table, idle_minutes: int) -> pa.Table:
    """The page views of some days (`NEEDED`), in order, with their ordinals as `sql/visits.sql` names them."""
    views = views.take(pc.sort_indices(views, sort_keys=_ORDER)).combine_chunks()
    columns = {name: _whole(views.column(name)) for name in views.column_names}
    rows = pa.arange(0, len(views)).cast(pa.int32())
    begun = _begun(columns, rows, idle_minutes)
    is_new = _is_new(columns["page_id"], begun.day)
    ordinals = {
        "n": _from_one(rows, begun.day),
        "v": _counted(begun.visit, begun.day),
        "k": _from_one(rows, begun.visit_at),
        "p": pc.if_else(is_new, _counted(is_new, begun.day), _NOUGHT),
    }
    before = pc.if_else(begun.visit, pa.scalar(None, pa.int32()), _before(columns["page_id"]))
    first = columns["seq"].take(begun.visit_at)
    return pa.table({name: columns[name] for name in _KEPT} | ordinals | {"prev": before, "first_seq": first})


def _begun(columns: dict[str, pa.Array], rows: pa.Array, idle_minutes: int) -> _Begun:
    day = pc.or_(*(_changes(columns[name]) for name in ("day", "browser")))
    times = columns["ts"].cast(pa.int64())
    idle = pc.greater(pc.subtract(times, _before(times)), idle_minutes * 60 * 10**6).fill_null(True)
    visit = pc.or_(day, idle)
    return _Begun(_latest(day, rows), visit, _latest(visit, rows))


def _is_new(pages: pa.Array, day_began: pa.Array) -> pa.Array:
    """Whether the browser had not seen the page that day: encoded, it has a number that was not there before."""
    seen = pc.add(pc.shift_left(day_began.cast(pa.int64()), 32), pages.cast(pa.int64())).dictionary_encode().indices
    return _changes(pc.cumulative_max(seen))


def _whole(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks else pa.array([], column.type)


def _before(column: pa.Array) -> pa.Array:
    """What stands in the row before; nothing in the first row."""
    return pa.concat_arrays([pa.nulls(1, column.type), column])[: len(column)]


def _changes(column: pa.Array) -> pa.Array:
    """Whether a row has another value than the row before; the first one has."""
    return pc.not_equal(column, _before(column)).fill_null(True)


def _latest(mask: pa.Array, rows: pa.Array) -> pa.Array:
    """The number of the last row so far for which `mask` holds; it holds for the first row."""
    return pc.cumulative_max(pc.if_else(mask, rows, _NOUGHT))


def _from_one(rows: pa.Array, began: pa.Array) -> pa.Array:
    return pc.add(pc.subtract(rows, began), _ONE)


def _counted(mask: pa.Array, began: pa.Array) -> pa.Array:
    """How often `mask` held since the row where it all began, that row (for which it holds) counted too."""
    total = pc.cumulative_sum(mask.cast(pa.int32()))
    return _from_one(total, total.take(began))
