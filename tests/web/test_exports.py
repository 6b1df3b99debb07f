"""Exports on the real application: data packages that DuckDB reads back cell for cell, safe in a spreadsheet."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import duckdb
import pytest
from flask import Flask
from flask.testing import FlaskClient

from anonymiser.bounds import STATISTICS
from consent_app import create_app
from consent_app.dashboard.exports.package import FORMATS
from consent_app.dashboard.exports.tables import TITLES
from consent_app.rooms import NAME, Rooms
from consent_app.settings import Settings
from consent_app.users import ROLES, Role
from tests.web.api_figures import close, standing, write
from tests.web.conftest import Clock

PASSWORD = "correct horse battery"
WEEKS = "from=2026-11-02&to=2026-11-22"


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flask]:
    """One application with figures for all tests."""
    settings = standing(tmp_path_factory.mktemp("house") / "home", Clock())
    write(settings.stats_file)
    app = create_app(settings)
    yield app
    close(app)


@pytest.fixture(scope="module")
def mary(house: Flask) -> FlaskClient:
    """Somebody who may see every site."""
    return signed_in(house, "mary", "viewer", ())


def signed_in(app: Flask, name: str, role: Role, sites: tuple[str, ...]) -> FlaskClient:
    rooms: Rooms = app.extensions[NAME]
    rooms.users.add(name, PASSWORD, role, sites)
    client = app.test_client()
    token = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', client.get("/dashboard/login").text)
    assert token
    answer = client.post("/dashboard/login", data={"csrf_token": token[1], "name": name, "password": PASSWORD})
    assert answer.status_code == 303
    return client


def words(page: str) -> str:
    """A page without its tags, in which the token of a form changes with every second."""
    return " ".join(re.sub(r"<[^>]+>", " ", page).split())


def unpacked(client: FlaskClient, query: str, out: Path, site: str = "kent") -> dict[str, Any]:
    """Unpack an export; returns its descriptor."""
    answer = client.get(f"/dashboard/{site}/export?{query}")
    assert answer.status_code == 200, answer.text
    assert answer.mimetype == "application/zip"
    with ZipFile(io.BytesIO(answer.data)) as archive:
        assert archive.testzip() is None
        archive.extractall(out)
    descriptor: dict[str, Any] = json.loads((out / "datapackage.json").read_text("utf-8"))
    return descriptor


def faults(folder: Path, package: dict[str, Any]) -> Iterator[str]:
    """What is wrong with a package by Data Package v2 and Table Schema, as far as a table can be."""
    if package["$schema"] != "https://datapackage.org/profiles/2.0/datapackage.json" or not package["resources"]:
        yield "no profile or no resource"
    names = [resource["name"] for resource in package["resources"]]
    if len({*names}) != len(names) or not all(re.fullmatch(r"[-a-z0-9._/]+", name) for name in names):
        yield "names"
    for resource in package["resources"]:
        content = (folder / resource["path"]).read_bytes()
        told = {"bytes": len(content), "hash": f"sha256:{hashlib.sha256(content).hexdigest()}"}
        if resource["format"] == "csv" and not told.items() <= resource.items():
            yield f"{resource['name']}: bytes or hash"
        yield from (f"{resource['name']}: {fault}" for fault in schema_faults(folder / resource["path"], resource))
        for foreign in resource["schema"].get("foreignKeys", []):
            if foreign["reference"]["resource"] not in names:
                yield f"{resource['name']}: foreign key to nothing"
    left = {file.name for file in folder.iterdir()} - {r["path"] for r in package["resources"]} - {"datapackage.json"}
    yield from (f"{name} is not described" for name in left)


DUCKDB_TYPES = {"string": {"VARCHAR"}, "integer": {"BIGINT"}, "number": {"DOUBLE"}, "date": {"DATE"},
                "datetime": {"TIMESTAMP WITH TIME ZONE"}}  # fmt: skip


def schema_faults(file: Path, resource: dict[str, Any]) -> Iterator[str]:
    fields = {field["name"]: field["type"] for field in resource["schema"]["fields"]}
    with duckdb.connect() as database:
        found = database.execute(f"DESCRIBE SELECT * FROM {reading(file, fields)}").fetchall()
        if [name for name, *_ in found] != [*fields]:
            yield "columns"
        wrong = [name for name, kind, *_ in found if kind not in DUCKDB_TYPES[fields[name]]]
        if wrong:
            yield f"types of {wrong}"
        key = ", ".join(f'"{name}"' for name in resource["schema"]["primaryKey"])
        query = f"SELECT count(*), count(DISTINCT ({key})) FROM {reading(file, fields)}"
        ((rows, different),) = database.execute(query).fetchall()
        if rows != different:
            yield "primary key"


def reading(file: Path, fields: dict[str, str]) -> str:
    """What DuckDB reads a file by: its columns as the schema says, or fails."""
    types = {name: min(DUCKDB_TYPES[kind]) for name, kind in fields.items()}
    if file.suffix == ".csv":
        return f"read_csv('{file}', header = true, columns = {types}, nullstr = '')"
    return f"read_json('{file}', columns = {types})" if file.suffix == ".json" else f"'{file}'"


@pytest.mark.parametrize("chosen", FORMATS)
@pytest.mark.parametrize("site", ["kent", "defibrental"])
def test_what_is_exported_is_what_was_released(
    house: Flask, mary: FlaskClient, tmp_path: Path, chosen: str, site: str
) -> None:
    package = unpacked(mary, f"format={chosen}&{WEEKS}", tmp_path, site)
    assert [*faults(tmp_path, package)] == []
    rooms: Rooms = house.extensions[NAME]
    stats = f"ATTACH '{rooms.settings.stats_file}' AS stats (READ_ONLY)"
    compared = 0
    for resource in package["resources"]:
        fields = {field["name"]: field["type"] for field in resource["schema"]["fields"]}
        source = reading(tmp_path / resource["path"], fields)
        if "sigma" not in fields:
            continue
        compared += 1
        with duckdb.connect() as database:
            database.execute(stats)
            released = (
                "SELECT release_id, period_start, value, sigma FROM stats.cell WHERE site = ? AND statistic = ? AND "
                "period_start >= '2026-11-02' AND period_start + period_days - 1 <= '2026-11-22' ORDER BY ALL"
            )
            expected = database.execute(released, [site, resource["name"].replace("-", "_")]).fetchall()
            query = f"SELECT release_id, period_start, visitors, sigma FROM {source} ORDER BY ALL"
            assert database.execute(query).fetchall() == expected != []
    assert compared > 8


def test_totals_have_one_row_a_day(mary: FlaskClient, tmp_path: Path) -> None:
    package = unpacked(mary, f"card=totals&{WEEKS}", tmp_path)
    assert [resource["name"] for resource in package["resources"]] == ["totals", "releases"]
    with (tmp_path / "totals.csv").open(encoding="utf-8", newline="") as file:
        rows = [*csv.DictReader(file)]
    assert len(rows) == 21
    assert rows[0]["period_start"] == rows[0]["period_end"] == "2026-11-02"
    assert (rows[0]["views"], rows[0]["views_sigma"]) == ("300", "5.0")


def test_a_text_that_looks_like_a_formula_is_made_harmless(mary: FlaskClient, tmp_path: Path) -> None:
    unpacked(mary, f"card=pages&{WEEKS}", tmp_path)
    with (tmp_path / "pages.csv").open(encoding="utf-8", newline="") as file:
        rows = [*csv.DictReader(file)]
    assert {row["page"] for row in rows} == {"/", "/desks/", "'=1+1", "/rare", "(other)"}
    assert "-3" in {row["visitors"] for row in rows}  # a number stays one
    unpacked(mary, f"format=json&card=pages&{WEEKS}", tmp_path / "json")
    assert "=1+1" in {row["page"] for row in json.loads((tmp_path / "json" / "pages.json").read_text("utf-8"))}


def test_the_package_says_under_which_promise(mary: FlaskClient, tmp_path: Path) -> None:
    package = unpacked(mary, WEEKS, tmp_path)
    assert package["privacy"] == {"policies": ["dp"], "epsilon": 2.0, "delta": 1e-6, "releases": 24,
                                  "unit": "one browser on one day at one site"}  # fmt: skip
    assert package["period"] == {"start": "2026-11-02", "end": "2026-11-22"}
    with (tmp_path / "releases.csv").open(encoding="utf-8", newline="") as file:
        assert len([*csv.DictReader(file)]) == 24


def test_filters_keep_the_tables_and_rows_that_fit(mary: FlaskClient, tmp_path: Path) -> None:
    package = unpacked(mary, f"format=json&source=Google&{WEEKS}", tmp_path, "defibrental")
    assert package["filters"] == {"source": "Google"}
    names = {resource["name"] for resource in package["resources"]}
    assert names == {"sources", "page-sources", "source-goals", "releases"}
    for name in ("sources", "page_sources", "source_goals"):
        assert {row["source"] for row in json.loads((tmp_path / f"{name}.json").read_text("utf-8"))} == {"Google"}


def test_a_page_is_not_taken_for_a_landing_page(mary: FlaskClient, tmp_path: Path) -> None:
    by_page = unpacked(mary, f"page=/&{WEEKS}", tmp_path / "page")
    by_entry = unpacked(mary, f"entry=/&{WEEKS}", tmp_path / "entry")
    assert [resource["name"] for resource in by_page["resources"]] == ["pages", "releases"]
    assert [resource["name"] for resource in by_entry["resources"]] == ["entries", "releases"]


def test_named_periods_are_those_of_the_page(mary: FlaskClient, tmp_path: Path) -> None:
    assert unpacked(mary, "period=yesterday&card=totals", tmp_path / "a")["period"]["start"] == "2026-11-23"
    assert unpacked(mary, "period=all&card=totals", tmp_path / "b")["period"]["start"] == "2026-10-01"
    assert unpacked(mary, "card=totals", tmp_path / "c")["period"]["start"] == "2026-10-27"


def test_a_site_without_figures_has_an_empty_package(mary: FlaskClient, tmp_path: Path) -> None:
    package = unpacked(mary, "", tmp_path, "orders")
    assert [resource["name"] for resource in package["resources"]] == ["releases"]
    assert [*faults(tmp_path, package)] == []


def test_the_same_question_gives_the_same_bytes(mary: FlaskClient) -> None:
    for chosen in FORMATS:
        first, second = (mary.get(f"/dashboard/kent/export?format={chosen}&{WEEKS}") for _ in range(2))
        assert first.data == second.data
    assert first.headers["Content-Disposition"] == ('attachment; filename="kent-2026-11-02-to-2026-11-22-json.zip"')
    assert first.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    ("query", "status"),
    [("format=xls", 422), ("card=cell", 422), ("from=x&to=y", 400), ("from=2026-11-02&to=2026-11-01", 400),
     ("period=nonsense", 400)],
)  # fmt: skip
def test_arguments_nobody_can_read(mary: FlaskClient, query: str, status: int) -> None:
    assert mary.get(f"/dashboard/kent/export?{query}").status_code == status


@pytest.mark.parametrize("role", ROLES)
def test_only_figures_of_the_accounts_own_sites_are_given_away(house: Flask, role: Role) -> None:
    client = signed_in(house, f"sam-{role}", role, ("kent",))
    assert client.get("/dashboard/kent/export").status_code == 200
    unknown = client.get("/dashboard/nonsense/export")
    for site in ("surrey", "defibrental", "orders"):
        for query in ("", f"format=json&{WEEKS}", "card=pages", "format=nonsense"):
            other = client.get(f"/dashboard/{site}/export?{query}")
            assert (other.status_code, words(other.text)) == (404, words(unknown.text))


def test_nobody_who_is_not_signed_in_gets_anything(house: Flask) -> None:
    answer = house.test_client().get("/dashboard/kent/export")
    assert answer.status_code == 303
    assert "/dashboard/login" in answer.headers["Location"]


def test_every_released_statistic_can_be_exported() -> None:
    assert {*TITLES} == {statistic.table for statistic in STATISTICS.values()}


def test_a_worker_that_was_forked_writes_parquet() -> None:
    """A server imports the application, then forks: what writes Parquet must work on the other side, and stop there."""
    program = (
        "import os, sys\n"
        "from consent_app.dashboard.exports.package import as_parquet\n"
        "from consent_app.dashboard.exports.tables import Column, Table\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    rows = [{'n': n} for n in range(100_000)]\n"
        "    assert as_parquet(Table('a', 'A', (Column('n', 'integer', ''),), ('n',), rows))[:4] == b'PAR1'\n"
        "    sys.exit(0)\n"
        "sys.exit(os.waitpid(child, 0)[1] != 0)\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def test_a_planted_fault_is_found(mary: FlaskClient, tmp_path: Path, settings: Settings) -> None:
    """The checks above are no decoration."""
    package = unpacked(mary, f"card=pages&{WEEKS}", tmp_path / "a")
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    (tmp_path / "b" / "extra.csv").write_text("a\n", "utf-8")
    pages = (tmp_path / "b" / "pages.csv").read_bytes()
    (tmp_path / "b" / "pages.csv").write_bytes(pages + pages.splitlines(keepends=True)[1])
    found = " ".join(faults(tmp_path / "b", package))
    assert "bytes or hash" in found
    assert "primary key" in found
    assert "extra.csv is not described" in found
