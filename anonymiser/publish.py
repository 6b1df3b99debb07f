"""Safe cells -> a new DuckDB file beside the published one -> atomic replacement. A reader never sees half a batch."""

from __future__ import annotations

import json
import os
import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import fields
from datetime import UTC
from itertools import islice
from operator import attrgetter
from pathlib import Path
from typing import Any, Final

import duckdb
import pyarrow as pa

from anonymiser import schema
from anonymiser.errors import StatisticsError
from anonymiser.sealed import sync_directory
from anonymiser.stats import Cell, Release

ROWS_AT_ONCE: Final = 100_000
ABANDONED_SECONDS: Final = 3600
CONFIG: Final[dict[str, Any]] = {"autoinstall_known_extensions": "false", "temp_directory": "", "threads": "1"}


def publish(out: Path, releases: Iterable[Release], cells: Iterable[Cell]) -> None:
    """Write a whole statistics file and put it in the place of `out`; a kill at any moment leaves the old or the new.

    Raises StatisticsError naming the file when it cannot be written; what was published before stays as it was.
    """
    new = out.with_name(f".{out.name}.{secrets.token_hex(8)}.new")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        _write(new, releases, cells)
        _sync(new)
        new.replace(out)
        sync_directory(out.parent)
    except (duckdb.Error, OSError) as error:
        raise StatisticsError(
            f"{out} could not be published ({_reason(error)}); make room or give rights to its folder and run again: "
            "what was published before is unchanged"
        ) from error
    finally:
        with suppress(OSError):
            _sweep(out, new)


def _write(file: Path, releases: Iterable[Release], cells: Iterable[Cell]) -> None:
    with closing(duckdb.connect(str(file), config=CONFIG)) as connection:
        for statement in schema.statements():
            connection.execute(statement)
        _fill(connection, "release", _arrow(releases, Release, _release), "site, period_end, period_start, release_id")
        # By key, not in the order they were drawn, which is nobody's business; and a question finds its rows together.
        _fill(connection, "cell", _arrow(cells, Cell, _cell), "statistic, site, period_start, metric, key1, key2")
        connection.execute("CHECKPOINT")


def _fill(connection: duckdb.DuckDBPyConnection, table: str, rows: pa.Table, order: str) -> None:
    connection.register("rows", rows)
    connection.execute(f"INSERT INTO {table} SELECT * FROM rows ORDER BY {order}")  # noqa: S608 - names from this file
    connection.unregister("rows")


_TYPES: Final = {
    **dict.fromkeys(("period_start", "period_end"), pa.date32()),
    **dict.fromkeys(("epsilon", "delta", "sigma"), pa.float64()),
    **dict.fromkeys(("k", "period_days"), pa.int32()),
    "value": pa.int64(),
    "released_at": pa.timestamp("us"),
}
_RELEASE: Final = tuple(field.name for field in fields(Release))
_cell: Final[Callable[[Cell], Sequence[Any]]] = attrgetter(*(field.name for field in fields(Cell)))


def _release(release: Release) -> Sequence[Any]:
    values = {name: getattr(release, name) for name in _RELEASE}
    values |= {name: json.dumps(dict(values[name])) for name in ("bounds", "weights")}
    return list((values | {"released_at": release.released_at.astimezone(UTC).replace(tzinfo=None)}).values())


def _arrow(rows: Iterable[Any], kind: type, values: Callable[[Any], Sequence[Any]]) -> pa.Table:
    """Rows as one Arrow table, turned a part at a time, so that memory holds no second copy in Python objects."""
    names = [field.name for field in fields(kind)]
    layout = pa.schema([(name, _TYPES.get(name, pa.string())) for name in names])
    return pa.Table.from_batches(_batches(iter(rows), layout, values), layout)


def _batches(rows: Iterator[Any], layout: pa.Schema, values: Callable[[Any], Sequence[Any]]) -> Iterator[Any]:
    while part := [values(row) for row in islice(rows, ROWS_AT_ONCE)]:
        columns = zip(*part, strict=True)
        yield pa.record_batch(
            [pa.array(column, kind) for column, kind in zip(columns, layout.types, strict=True)], schema=layout
        )


def _sync(file: Path) -> None:
    with file.open("r+b") as written:
        os.fsync(written.fileno())


def _sweep(out: Path, new: Path) -> None:
    """Remove this run's unfinished file, and those that killed runs left."""
    for path in out.parent.glob(f".{out.name}.*.new*"):
        if path.name.startswith(new.name) or path.stat().st_mtime < time.time() - ABANDONED_SECONDS:
            path.unlink(missing_ok=True)


def _reason(error: Exception) -> str:
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return text.splitlines()[0]
