"""The record of processing activities says everything that can be stored: what is not declared in it fails here."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import date
from pathlib import Path

import duckdb
import pytest
from click.testing import CliRunner
from flask import Flask

from anonymiser import facts
from consent_app import batch, ropa
from consent_app.commands import main
from consent_app.ledger.tables import metadata
from consent_app.second_factor import SecondFactors
from consent_app.settings import Settings
from consent_app.sites import Sites
from tests.released import Shop, write
from tests.web.conftest import Clock
from tests.web.rights_visitor import Visitor, visitor


@pytest.fixture
def used(settings: Settings, make_app: Callable[[Settings], Flask], clock: Clock) -> Settings:
    """A home in which everything happened that there is: decisions, erasure, complaint, batch, users, figures."""
    app = make_app(settings)
    ann = visitor(app)
    ann.decides(statistics=True, embeds=True)
    ann.sends("/your-data/complaints", text="The map came first.")
    ann.here.spool.add([facts.Fact("kent", "2026-11-24", "views", "", "", 1)] * 3)
    ann.here.spool.close()
    clock.forward(hours=2)
    batch.run(settings, ann.here.sites, ann.here.ledger, clock())
    ann.here.ledger.sequence()
    ann.here.users.add("mary", "correct horse battery", "admin")
    SecondFactors.of(settings, ann.here.users).enrol("mary")
    jane = signed_in(app, "admin").client
    jane.post("/dashboard/logout", data={"csrf_token": csrf(jane.get("/dashboard/account").text)})
    assert {"audit", "sessions"} <= {folder.name for folder in settings.home.iterdir()}
    write(settings.stats_file, [Shop("kent", 240, date(2026, 8, 1), date(2026, 11, 1))])
    return settings


def undeclared_files(home: Path) -> list[str]:
    paths = [file.relative_to(home).as_posix() for file in home.rglob("*") if file.is_file()]
    assert len(paths) > 15
    return [path for path in paths if ropa.declared(path) is None]


def undeclared_columns(ledger: Path) -> list[str]:
    with closing(sqlite3.connect(ledger)) as raw:
        found = list(columns(raw))
    assert len(found) > 20
    return [f"{table}.{column}" for table, column in found if column not in ropa.LEDGER.get(table, {})]


def columns(raw: sqlite3.Connection) -> Iterator[tuple[str, str]]:
    for (table,) in raw.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
        yield from ((table, row[1]) for row in raw.execute(f"PRAGMA table_info({table})"))


def undeclared_statistics(file: Path) -> list[str]:
    with closing(duckdb.connect(str(file), read_only=True)) as opened:
        query = "SELECT table_name, column_name FROM duckdb_columns() WHERE NOT internal"
        found = opened.execute(query).fetchall()
    assert len(found) > 100
    return [f"{table}.{column}" for table, column in found if column not in ropa.STATISTICS_FILE]


def test_every_file_of_a_home_is_declared(used: Settings) -> None:
    assert undeclared_files(used.home) == []
    (used.home / "visitors.csv").write_text("a\n", "utf-8")
    (used.home / "secrets" / "names.txt").write_text("a\n", "utf-8")
    assert sorted(undeclared_files(used.home)) == ["secrets/names.txt", "visitors.csv"]


def test_every_column_of_the_ledger_is_declared(used: Settings) -> None:
    assert undeclared_columns(used.ledger_file) == []
    with closing(sqlite3.connect(used.ledger_file)) as raw:
        raw.execute("ALTER TABLE complaint ADD COLUMN address TEXT")
        raw.execute("CREATE TABLE person (name TEXT)")
    assert undeclared_columns(used.ledger_file) == ["complaint.address", "person.name"]


def test_every_column_of_the_statistics_is_declared(used: Settings) -> None:
    assert undeclared_statistics(used.stats_file) == []
    with closing(duckdb.connect(str(used.stats_file))) as opened:
        opened.execute("ALTER TABLE cell ADD COLUMN visitor VARCHAR")
    assert undeclared_statistics(used.stats_file) == ["cell.visitor"]


def test_a_fact_and_the_tables_are_declared_and_nothing_more() -> None:
    assert tuple(ropa.FACT) == facts.Fact._fields
    declared = {table.name: [column.name for column in table.columns] for table in metadata.tables.values()}
    said = {table: list(names) for table, names in ropa.LEDGER.items() if table != "alembic_version"}
    assert said == declared


def test_each_site_says_what_it_does_with_what(settings: Settings) -> None:
    kent, surrey, *_ = ropa.controllers(Sites.load(settings.sites_file))
    titles = [activity.title for activity in kent.activities]
    assert titles[0].startswith("Remembering") and titles[1:3] == ["Statistics", "Maps and video"]
    assert kent.activities[2].recipients == ("OpenStreetMap Foundation",)
    assert kent.activities[1].basis == "PECR Schedule A1 paragraph 2"
    assert surrey.activities[1].basis == "PECR Schedule A1 paragraph 5"
    assert "24 hours" in kent.activities[1].kept and "12 months" in kent.activities[-1].kept
    assert "__Secure-consent_rights" in str(kent.activities[0].data)
    for controller in (kent, surrey):
        for activity in controller.activities:
            assert all(said for _, said in ropa.facts(activity))
            assert all(store in {one.pattern for one in ropa.STORES} for store in activity.stores)


def test_the_command_prints_it(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONSENT_HOME", str(home))
    plain = CliRunner().invoke(main, ["ropa"])
    assert plain.exit_code == 0 and "## Kent Office Solutions" in plain.output and "NOT encrypted" in plain.output
    page = CliRunner().invoke(main, ["ropa", "--html"])
    assert page.exit_code == 0 and page.output.startswith("<!doctype html>")
    assert "OpenStreetMap Foundation" in page.output and "<script" not in page.output and "src=" not in page.output
    shutil.rmtree(home / "notices")
    assert CliRunner().invoke(main, ["ropa"]).exit_code == 2


# --- the pages of the dashboard ---------------------------------------------------------------------------------------


def signed_in(app: Flask, role: str, *sites: str) -> Visitor:
    ann = visitor(app)
    ann.here.users.add(role, "correct horse battery", role, sites)  # type: ignore[arg-type]
    page = ann.client.get("/dashboard/login")
    fields = {"name": role, "password": "correct horse battery", "csrf_token": csrf(page.text)}
    assert ann.client.post("/dashboard/login", data=fields).status_code == 303
    return ann


def csrf(page: str) -> str:
    return page.partition('name="csrf_token" type="hidden" value="')[2].partition('"')[0]


def complaint(app: Flask) -> str:
    return visitor(app).sends("/your-data/complaints", text="The map came first.").headers["Location"]


def test_an_admin_answers_a_complaint_and_reads_the_record(app: Flask) -> None:
    page, admin = complaint(app), signed_in(app, "admin")
    reference = page.partition("?")[0].rpartition("/")[2]
    assert "/dashboard/records/complaints" in admin.client.get("/dashboard/").text
    assert reference in admin.client.get("/dashboard/records/complaints").text
    address = f"/dashboard/records/complaints/{reference}"
    form = admin.client.get(address).text
    assert "The map came first." in form
    assert admin.client.post(address, data={"text": "x", "then": "close"}).status_code == 400, "without its token"
    empty = admin.client.post(address, data={"text": " ", "csrf_token": csrf(form)})
    assert empty.status_code == 422 and "The answer is empty" in empty.text
    fields = {"text": "We mended it.", "then": "close", "csrf_token": csrf(form)}
    assert admin.client.post(address, data=fields).status_code == 303
    assert "We mended it." in visitor(app).opens(page).text
    assert "OpenStreetMap Foundation" in admin.client.get("/dashboard/records/").text


def test_an_auditor_reads_and_does_not_answer(app: Flask) -> None:
    reference = complaint(app).partition("?")[0].rpartition("/")[2]
    auditor = signed_in(app, "auditor")
    page = auditor.client.get(f"/dashboard/records/complaints/{reference}")
    assert page.status_code == 200 and "<textarea" not in page.text
    fields = {"text": "x", "csrf_token": csrf(page.text)}
    assert auditor.client.post(f"/dashboard/records/complaints/{reference}", data=fields).status_code == 404


def test_others_find_no_such_pages(app: Flask) -> None:
    reference = complaint(app).partition("?")[0].rpartition("/")[2]
    viewer, elsewhere = signed_in(app, "viewer"), signed_in(app, "admin", "surrey")
    assert "/dashboard/records" not in viewer.client.get("/dashboard/").text
    for address in ("", "complaints", f"complaints/{reference}"):
        assert viewer.client.get(f"/dashboard/records/{address}").status_code == 404
        assert app.test_client().get(f"/dashboard/records/{address}").status_code == 303
    assert elsewhere.client.get(f"/dashboard/records/complaints/{reference}").status_code == 404
    assert reference not in elsewhere.client.get("/dashboard/records/complaints").text
    assert "Kent Office" not in elsewhere.client.get("/dashboard/records/").text.partition("Where it lies")[0]
