"""A file from the real batch passes every check; each fault planted in a copy of it is found, and found by its name."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest

from anonymiser import check as checking
from anonymiser import pipeline, segments
from anonymiser.bounds import STATISTICS
from anonymiser.check import Finding, check
from anonymiser.errors import StatisticsError
from anonymiser.facts import Fact
from anonymiser.protect import dp
from anonymiser.segments import Writer
from anonymiser.settings import Protection, SiteRules, Workspace
from anonymiser.zcdp import largest_rho

MONDAY = datetime(2026, 11, 16, 9, tzinfo=UTC)
OVER = datetime(2026, 11, 23, 4, tzinfo=UTC)
RULES = (
    SiteRules("kent", grain="week", catalogue={"pages": ("/",), "goals": ("Quote",)}),
    SiteRules("surrey", grain="week", catalogue={"pages": ("/",)}, protection=Protection("threshold", k=20)),
)
SEEN = (
    *(("visitors", "", ""), ("views", "", ""), ("visits", "", ""), ("bounces", "", ""), ("returning", "first", "")),
    *(("hours", "09", ""), ("pages", "/", ""), ("pages", "/summer-sale", ""), ("pages", "/order/:id", "")),
    *(("sources", "Google", "Organic search"), ("goals", "Quote", ""), ("countries", "GB", "")),
)  # fmt: skip


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A week of two sites, one under each policy, with pages nobody declared and pages with a placeholder."""
    home = tmp_path_factory.mktemp("home")
    (home / "spool").mkdir()
    for number in range(7):
        at = MONDAY + timedelta(days=number)
        writer = Writer(home / "spool", segments.hour_of(at))
        for rules in RULES:
            writer.write([Fact(rules.key, at.date().isoformat(), *seen, 1) for seen in SEEN] * 90)
        writer.end()
    workspace = Workspace(home / "stats.duckdb", home / "private")
    assert len(pipeline.run_spool(workspace, home / "spool", RULES, OVER).releases) == 2 * 8
    return workspace.stats


@pytest.fixture
def copy(published: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(published, tmp_path / "copy.duckdb"))


def edit(file: Path, *statements: str) -> None:
    with duckdb.connect(str(file)) as connection:
        for statement in statements:
            connection.execute(statement)


def failing(file: Path) -> set[str]:
    return {finding.name for finding in check(file) if not finding.ok}


def test_what_the_batch_published_passes_every_check(published: Path) -> None:
    findings = list(check(published))
    assert [finding for finding in findings if not finding.ok] == []
    assert [finding.name for finding in findings] == [
        *("objects", "releases", "identifiers", "cells", "statistics", "twice"),
        *("noise", "spent", "rare", "told", "threshold"),
    ]  # fmt: skip


def test_the_fixture_holds_what_the_faults_need(published: Path) -> None:
    with duckdb.connect(str(published), read_only=True) as connection:
        rows = connection.execute(
            "SELECT DISTINCT site, key1 FROM cell WHERE statistic = 'pages' ORDER BY ALL"
        ).fetchall()
    pages = ["(other)", "/", "/order/:id", "/summer-sale"]
    assert rows == [(site, page) for site in ("kent", "surrey") for page in pages]


KENT = "WHERE site = 'kent' AND statistic ="
PAGE = f"{KENT} 'pages' AND key1 ="
HOUR = f"{KENT} 'hours' AND key1 = '07'"
GB = f"{KENT} 'countries' AND key1 = 'GB'"
SURREY = "WHERE site = 'surrey' AND key1 = '/'"
TOO_EXACT = {"noise", "spent", "told"}
LIKE_KENT = "site = 'kent' AND period_start = '2026-11-16' AND period_end = '2026-11-16'"
DAILY_ONLY = json.dumps({s.name: s.weight for s in STATISTICS.values() if s.schedule == "daily"})
DAILY_SHARE = sum(s.weight for s in STATISTICS.values() if s.schedule == "daily") / sum(
    s.weight for s in STATISTICS.values()
)
FAULTS: dict[str, tuple[set[str], str]] = {
    "another table": ({"objects"}, "CREATE TABLE visitor (address VARCHAR)"),
    "another view": ({"objects"}, "CREATE VIEW exact AS SELECT 4711 AS visitors"),
    "a view defined otherwise": ({"objects"}, "CREATE OR REPLACE VIEW pages AS SELECT * FROM cell"),
    "a view is gone": ({"objects"}, "DROP VIEW funnels"),
    "another column": ({"objects"}, "ALTER TABLE cell ADD COLUMN exact BIGINT"),
    "a column of another type": ({"objects"}, "ALTER TABLE cell ALTER value TYPE DOUBLE"),
    "a comment on a table": ({"objects"}, "COMMENT ON TABLE cell IS '4711 visitors'"),
    "a comment on a column": ({"objects"}, "COMMENT ON COLUMN cell.value IS '4711 visitors'"),
    "a macro": ({"objects"}, "CREATE MACRO exact() AS 4711"),
    "a sequence": ({"objects"}, "CREATE SEQUENCE exact START 4711"),
    "a type": ({"objects"}, "CREATE TYPE exact AS ENUM ('4711')"),
    "another schema": ({"objects"}, "CREATE SCHEMA exact"),
    "an index": ({"objects"}, "CREATE INDEX by_site ON cell (site)"),
    "an unknown policy": ({"releases"}, "UPDATE release SET policy = 'none'"),
    "a boundless epsilon": ({"releases"}, "UPDATE release SET epsilon = 21"),
    "no delta": ({"releases"}, "UPDATE release SET delta = 'nan'"),
    "days the wrong way round": ({"releases"}, "UPDATE release SET period_end = period_start - 1"),
    "released before it was over": ({"releases"}, "UPDATE release SET released_at = period_start"),
    "words for a site": ({"releases"}, "UPDATE release SET site = 'Jane Doe'"),
    "words for a catalogue": ({"releases"}, "UPDATE release SET catalogue_sha256 = '4711 visitors'"),
    "words for the software": ({"releases"}, "UPDATE release SET software = 'made from 4711 visitors'"),
    "one name for two releases": ({"releases"}, "INSERT INTO release SELECT * FROM release LIMIT 1"),
    "weights that are no JSON object": ({"releases"}, "UPDATE release SET weights = '[1]'"),
    "a weight of nought": ({"releases"}, "UPDATE release SET weights = json_merge_patch(weights, '{\"views\": 0}')"),
    "a number beside the weights": (
        {"releases"}, "UPDATE release SET weights = json_merge_patch(weights, '{\"n\": 4711}')",
    ),
    "a number beside the bounds": (
        {"releases"}, "UPDATE release SET bounds = json_merge_patch(bounds, '{\"views\": {\"exact\": 4711}}')",
    ),
    "an address as a key": (
        {"identifiers"}, f"UPDATE cell SET key1 = 'jane@example.com' {KENT} 'goals' AND key1 = 'Quote'",
    ),
    "an account as a key": ({"identifiers"}, "UPDATE cell SET key1 = '/user/jane' WHERE key1 = '/summer-sale'"),
    "an address as a second key": ({"identifiers"}, f"UPDATE cell SET key2 = '192.0.2.7' {GB}"),
    "a cell of no release": ({"cells", "twice"}, f"UPDATE cell SET release_id = 'x' {GB}"),
    "a cell of another site": ({"cells"}, f"UPDATE cell SET site = 'essex' {GB}"),
    "a cell of other days": ({"cells", "twice"}, f"UPDATE cell SET period_start = period_start + 1 {GB}"),
    "an unknown statistic": ({"statistics"}, f"UPDATE cell SET statistic = 'ages' {GB}"),
    "an unknown metric": ({"statistics"}, f"UPDATE cell SET metric = 'people' {GB}"),
    "a statistic without a share": (
        {"statistics"}, "UPDATE release SET weights = json_merge_patch(weights, '{\"pages\": null}')",
    ),
    "a cell drawn twice": (
        {"twice"}, f"INSERT INTO cell SELECT * REPLACE (value + 3 AS value) FROM cell {PAGE} '/'",
    ),
    "a day released twice": (
        {"twice"},
        f"INSERT INTO release SELECT * REPLACE ('again' AS release_id) FROM release WHERE {LIKE_KENT};"
        "INSERT INTO cell SELECT * REPLACE ('again' AS release_id) FROM cell "
        f"WHERE release_id IN (SELECT release_id FROM release WHERE {LIKE_KENT} AND release_id <> 'again')",
    ),
    "a little less noise": (TOO_EXACT, f"UPDATE cell SET sigma = sigma * 0.95 {PAGE} '/'"),
    "no noise": (TOO_EXACT, f"UPDATE cell SET sigma = 0 {KENT} 'returning' AND key1 = '7'"),
    "noise that is no number": ({"noise"}, f"UPDATE cell SET sigma = 'nan' {HOUR}"),
    "boundless noise": ({"noise"}, f"UPDATE cell SET sigma = 'inf' {HOUR}"),
    "plain noise where texts meet": (
        TOO_EXACT, f"UPDATE cell SET sigma = sigma / sqrt(2 * 5) {PAGE} '/order/:id'",
    ),
    "plain noise in (other)": (
        TOO_EXACT, f"UPDATE cell SET sigma = sigma / sqrt(2) {PAGE} '(other)'",
    ),
    "a smaller epsilon claimed": ({"noise", "spent"}, "UPDATE release SET epsilon = 1.9 WHERE site = 'kent'"),
    "the whole budget claimed twice": (
        {"spent", "told"},
        f"UPDATE release SET weights = '{DAILY_ONLY}' WHERE site = 'kent' AND period_start = period_end;"
        f"UPDATE cell SET sigma = sigma * sqrt({DAILY_SHARE}) WHERE site = 'kent' AND period_days = 1",
    ),
    "a rare key": ({"rare"}, f"UPDATE cell SET value = 90 {PAGE} '/summer-sale'"),
    "a rare key where texts meet": ({"rare"}, f"UPDATE cell SET value = 200 {PAGE} '/order/:id'"),
    "other noise told": (
        {"told"},
        "UPDATE release SET bounds = json_merge_patch(bounds, '{\"views\": {\"sigma\": 1}}') WHERE site = 'kent'",
    ),
    "not rounded": ({"threshold"}, f"UPDATE cell SET value = 101 {SURREY}"),
    "fewer than k": ({"threshold"}, f"UPDATE cell SET value = 15 {SURREY}"),
    "below nought": ({"threshold"}, f"UPDATE cell SET value = -25 {SURREY}"),
    "noise under the threshold policy": ({"threshold"}, f"UPDATE cell SET sigma = 1 {SURREY}"),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_found(copy: Path, fault: str) -> None:
    names, statements = FAULTS[fault]
    edit(copy, *statements.split(";"))
    assert failing(copy) == names


def test_every_check_is_shown_to_fail(published: Path) -> None:
    assert set().union(*(names for names, _ in FAULTS.values())) == {finding.name for finding in check(published)}


def test_a_finding_names_the_place_and_never_the_identifier(copy: Path) -> None:
    edit(copy, FAULTS["an address as a key"][1], FAULTS["a little less noise"][1])
    sentences = {finding.name: finding.sentence for finding in check(copy) if not finding.ok}
    assert sentences["identifiers"] == "a key of goals looks like: email (it is not repeated here)"
    assert sentences["noise"].startswith("kent, 2026-11-16: pages carries noise of 13.9 where")


# -- files that cannot be read ----------------------------------------------------------------------------------------


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StatisticsError, match=r"gone\.duckdb is no file"):
        list(check(tmp_path / "gone.duckdb"))


def test_a_file_of_another_kind_fails(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("hello")
    assert failing(tmp_path / "notes.txt") == {"file"}


def test_a_cut_file_fails(copy: Path) -> None:
    content = copy.read_bytes()
    copy.write_bytes(content[: len(content) // 2])
    assert "file" in failing(copy)


def test_a_foreign_database_fails(tmp_path: Path) -> None:
    edit(tmp_path / "foreign.duckdb", "CREATE TABLE t (a INTEGER)")
    assert failing(tmp_path / "foreign.duckdb") == {"objects"}


# -- the price ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("epsilon", "delta"), [(0.1, 1e-8), (0.5, 1e-6), (2.0, 1e-6), (8.0, 1e-5), (20.0, 1e-3)])
def test_the_budget_is_the_one_that_opendp_finds(epsilon: float, delta: float) -> None:
    assert largest_rho(epsilon, delta) == pytest.approx(dp.rho(epsilon, delta), rel=checking.TOLERANCE)


def test_a_finding_is_a_value() -> None:
    assert Finding("noise", True, "enough") == Finding("noise", True, "enough")
