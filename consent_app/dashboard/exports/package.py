"""A data package (Data Package v2, https://datapackage.org/standard/): tables in one format, and what they mean."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

import pyarrow as pa
import pyarrow.parquet as pq

from consent_app.dashboard.exports.tables import Column, Table

PROFILE: Final = "https://datapackage.org/profiles/2.0/"
UNIT: Final = "one browser on one day at one site"
# What spreadsheets take for the beginning of a formula, also in its wide form.
FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")  # noqa: RUF001
ESCAPED: Final = "A text that a spreadsheet could take for a formula has an apostrophe in front of it."
_ARROW: Final = {
    "string": pa.string(), "integer": pa.int64(), "number": pa.float64(), "date": pa.date32(),
    "datetime": pa.timestamp("us", tz="UTC"),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class About:
    """What a package says of itself: `filters` are what its rows were picked by."""

    name: str
    title: str
    publisher: str
    created: datetime
    start: date
    end: date
    filters: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Format:
    """A way to write a table: its ending, its media type, and the function that does it."""

    ending: str
    mediatype: str
    written: Callable[[Table], bytes]


def as_csv(table: Table) -> bytes:
    """RFC 4180 in UTF-8; no text begins what a spreadsheet would run."""
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow([column.name for column in table.columns])
    texts = {column.name for column in table.columns if column.kind == "string"}
    for row in table.rows:
        writer.writerow([_harmless(value) if name in texts else _plain(value) for name, value in row.items()])
    return out.getvalue().encode()


def as_json(table: Table) -> bytes:
    """A list of objects."""
    rows = [{name: _plain(value) for name, value in row.items()} for row in table.rows]
    return (json.dumps(rows, ensure_ascii=False, indent=1) + "\n").encode()


def as_parquet(table: Table) -> bytes:
    """One row group, compressed by Snappy, which every reader knows."""
    schema = pa.schema([pa.field(c.name, _ARROW[c.kind], metadata={"description": c.about}) for c in table.columns])
    out = io.BytesIO()
    pq.write_table(pa.Table.from_pylist([dict(row) for row in table.rows], schema=schema), out)
    return out.getvalue()


FORMATS: Final = {
    "csv": Format("csv", "text/csv", as_csv),
    "parquet": Format("parquet", "application/vnd.apache.parquet", as_parquet),
    "json": Format("json", "application/json", as_json),
}


def package(tables: Sequence[Table], chosen: str, about: About) -> bytes:
    """A ZIP of the tables in the chosen format and their `datapackage.json`; the same input gives the same bytes."""
    written = {table.name: FORMATS[chosen].written(table) for table in tables}
    descriptor = json.dumps(described(tables, written, chosen, about), ensure_ascii=False, indent=1) + "\n"
    out = io.BytesIO()
    with ZipFile(out, "w", ZIP_DEFLATED) as archive:
        for name, content in written.items():
            _add(archive, f"{name}.{FORMATS[chosen].ending}", content, about.created)
        _add(archive, "datapackage.json", descriptor.encode(), about.created)
    return out.getvalue()


def described(tables: Sequence[Table], written: Mapping[str, bytes], chosen: str, about: About) -> dict[str, Any]:
    """The descriptor: what each file and column is, and under which promise the figures were released."""
    return {
        "$schema": f"{PROFILE}datapackage.json",
        "name": about.name,
        "title": about.title,
        "description": "Figures as they were released, with the noise that protects visitors. Sums of them have the "
        "root of the sum of their squared sigmas; 95 of 100 errors stay within 1.96 of that.",
        "created": about.created.isoformat(),
        "contributors": [{"title": about.publisher, "roles": ["publisher"]}],
        "resources": [_resource(table, written[table.name], chosen) for table in tables],
        "period": {"start": about.start.isoformat(), "end": about.end.isoformat()},
        "filters": dict(about.filters),
        "privacy": _privacy(tables),
    }


def _privacy(tables: Sequence[Table]) -> dict[str, Any]:
    rows = next((table.rows for table in tables if table.name == "releases"), ())
    return {
        "policies": sorted({str(row["policy"]) for row in rows}),
        "epsilon": max((float(row["epsilon"]) for row in rows), default=None),
        "delta": max((float(row["delta"]) for row in rows), default=None),
        "unit": UNIT,
        "releases": len(rows),
    }


def _resource(table: Table, content: bytes, chosen: str) -> dict[str, Any]:
    form = FORMATS[chosen]
    resource: dict[str, Any] = {
        "$schema": f"{PROFILE}dataresource.json",
        "name": table.name.replace("_", "-"),
        "path": f"{table.name}.{form.ending}",
        "type": "table",
        "title": table.title,
        "format": form.ending,
        "mediatype": form.mediatype,
        "encoding": "utf-8",
        "schema": _schema(table),
    }
    if chosen == "csv":  # frictionless, which people check packages with, cannot count the bytes of the others
        digest = hashlib.sha256(content).hexdigest()
        resource |= {"description": ESCAPED, "bytes": len(content), "hash": f"sha256:{digest}"}
    return resource


def _schema(table: Table) -> dict[str, Any]:
    schema: dict[str, Any] = {
        "$schema": f"{PROFILE}tableschema.json",
        "fields": [_field(column) for column in table.columns],
        "primaryKey": [*table.key],
    }
    if table.name != "releases":
        reference = {"resource": "releases", "fields": ["release_id"]}
        schema["foreignKeys"] = [{"fields": ["release_id"], "reference": reference}]
    return schema


def _field(column: Column) -> dict[str, str]:
    return {"name": column.name, "type": column.kind, "description": column.about}


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, date) else value


def _harmless(value: str | None) -> str | None:
    return f"'{value}" if value and value.startswith(FORMULA) else value


def _add(archive: ZipFile, name: str, content: bytes, moment: datetime) -> None:
    entry = ZipInfo(name, moment.timetuple()[:6])
    entry.compress_type = ZIP_DEFLATED
    archive.writestr(entry, content)
