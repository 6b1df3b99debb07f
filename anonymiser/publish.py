"""Safe cells -> a new DuckDB file beside the published one -> atomic replacement. A reader never sees half a batch."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import astuple, fields
from datetime import UTC
from functools import cache
from importlib.resources import files
from itertools import islice
from pathlib import Path
from typing import Any, Final

import duckdb
import pyarrow as pa

from anonymiser.errors import StatisticsError
from anonymiser.segments import sync_directory
from anonymiser.stats import Cell, Release

CELLS_AT_ONCE: Final = 200_000
CONFIG: Final[dict[str, Any]] = {"autoinstall_known_extensions": "false", "temp_directory": "", "threads": "1"}


@cache
def schema() -> str:
    """The tables and views of a statistics file, as SQL."""
    return files("anonymiser").joinpath("sql", "publish_schema.sql").read_text("utf-8")


def publish(out: Path, releases: Iterable[Release], cells: Iterable[Cell]) -> None:
    """Write a whole statistics file and put it in the place of `out`.

    Raises StatisticsError naming the file; what was published before stays as it was.
    """
    new = out.with_name(f".{out.name}.{secrets.token_hex(4)}.new")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        _write(new, releases, cells)
        _sync(new)
        new.replace(out)
        sync_directory(out.parent)
    except (duckdb.Error, OSError) as error:
        raise StatisticsError(
            f"{out} could not be published ({_first_line(error)}); make room or give rights to its folder and run "
            "again: what was published before is unchanged"
        ) from error
    finally:
        for path in (new, new.with_name(f"{new.name}.wal")):
            path.unlink(missing_ok=True)


def _write(file: Path, releases: Iterable[Release], cells: Iterable[Cell]) -> None:
    with closing(duckdb.connect(str(file), config=CONFIG)) as connection:
        connection.execute(schema())
        for release in releases:
            connection.execute(f"INSERT INTO release VALUES ({', '.join('?' * len(_COLUMNS))})", _release_row(release))  # noqa: S608
        for part in _parts(cells):
            connection.register("part", part)
            connection.execute("INSERT INTO cell SELECT * FROM part")
            connection.unregister("part")
        connection.execute("CHECKPOINT")


_COLUMNS: Final = tuple(field.name for field in fields(Release))
_TYPES: Final = {"period_start": pa.date32(), "period_days": pa.int32(), "value": pa.int64(), "sigma": pa.float64()}


def _release_row(release: Release) -> Sequence[Any]:
    values = {name: getattr(release, name) for name in _COLUMNS}
    values |= {name: json.dumps(dict(values[name])) for name in ("bounds", "weights")}
    return list((values | {"released_at": release.released_at.astimezone(UTC).replace(tzinfo=None)}).values())


def _parts(cells: Iterable[Cell]) -> Iterator[pa.Table]:
    """Cells as Arrow tables, a bounded number at once."""
    names = [field.name for field in fields(Cell)]
    left = iter(cells)
    while rows := list(islice(left, CELLS_AT_ONCE)):
        columns = zip(*(astuple(cell) for cell in rows), strict=True)
        yield pa.table(
            [pa.array(column, _TYPES.get(name, pa.string())) for name, column in zip(names, columns, strict=True)],
            names=names,
        )


def _sync(file: Path) -> None:
    with file.open("rb") as written:
        os.fsync(written.fileno())


def _first_line(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) and error.strerror else str(error)).splitlines()[0]
