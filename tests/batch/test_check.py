"""A file from the real batch passes every check; each fault planted in a copy of it is found, and found by its name."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime, timedelta
from math import comb, exp, pi, sqrt
from pathlib import Path

import duckdb
import pytest

from anonymiser import check as checking
from anonymiser import pipeline, segments
from anonymiser.bounds import STATISTICS, TOTAL_WEIGHT
from anonymiser.check import Finding, check
from anonymiser.errors import StatisticsError
from anonymiser.facts import Fact
from anonymiser.hour_keys import HourKeys
from anonymiser.protect import dp
from anonymiser.segments import Writer
from anonymiser.settings import Protection, SiteRules, Workspace
from anonymiser.zcdp import largest_rho

MONDAY = datetime(2026, 11, 16, 9, tzinfo=UTC)
OVER = datetime(2026, 11, 30, 4, tzinfo=UTC)
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
    """Two weeks of two sites, one under each policy, with pages nobody declared and pages with a placeholder."""
    home = tmp_path_factory.mktemp("home")
    (home / "spool").mkdir()
    for number in range(14):
        at = MONDAY + timedelta(days=number)
        HourKeys(home / "private").provide(home / "spool", at)
        writer = Writer(home / "spool", segments.hour_of(at))
        for rules in RULES:
            writer.write([Fact(rules.key, at.date().isoformat(), *seen, 1) for seen in SEEN] * 90)
        writer.end()
    workspace = Workspace(home / "stats.duckdb", home / "private")
    assert len(pipeline.run_spool(workspace, home / "spool", RULES, OVER).releases) == 2 * (14 + 2)
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
        *("objects", "releases", "identifiers", "cells", "statistics", "twice", "keys"),
        *("crossed", "noise", "spent", "drawn", "margins", "rare", "told", "threshold"),
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
COUNTRIES = f"{KENT} 'countries'"
GB = f"{COUNTRIES} AND key1 = 'GB'"
GAPS = f"{KENT} 'returning'"
FIRST_WEEK = "AND period_start = '2026-11-16'"
# For each part of the visitors and each period, one cell takes up what its sum is off by.
MEET = """
    WITH whole AS (
        SELECT c.statistic, c.period_start, sum(c.value) - (
            SELECT sum(v.value) FROM cell AS v WHERE v.site = 'kent' AND v.metric = 'visitors'
            AND v.statistic = 'totals' AND v.period_start BETWEEN c.period_start AND c.period_start + c.period_days - 1
        ) AS off, min(c.key1 || '|' || c.key2) AS first
        FROM cell AS c WHERE c.site = 'kent' AND c.statistic IN ({statistics})
        GROUP BY c.statistic, c.period_start, c.period_days
    )
    UPDATE cell SET value = value - CAST(off AS BIGINT) FROM whole
    WHERE site = 'kent' AND cell.statistic = whole.statistic AND cell.period_start = whole.period_start
    AND key1 || '|' || key2 = first {days}
"""
SURREY = "WHERE site = 'surrey' AND key1 = '/'"
TOO_EXACT = {"noise", "spent", "told"}
LIKE_KENT = "site = 'kent' AND period_start = '2026-11-16' AND period_end = '2026-11-16'"
DAILY_ONLY = json.dumps({s.name: s.weight for s in STATISTICS.values() if s.schedule == "daily"})
DAILY_SHARE = sum(s.weight for s in STATISTICS.values() if s.schedule == "daily") / TOTAL_WEIGHT
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
    "an address as a second key": ({"identifiers", "keys"}, f"UPDATE cell SET key2 = '192.0.2.7' {GB}"),
    "a telephone number as a site": (
        {"identifiers"},
        "UPDATE release SET site = '07700900123' WHERE site = 'kent';"
        "UPDATE cell SET site = '07700900123' WHERE site = 'kent'",
    ),
    "a name as a release": ({"releases"}, "UPDATE release SET release_id = 'jane.doe' WHERE site = 'kent'"),
    "a number for a weight": (
        {"releases"}, "UPDATE release SET weights = json_merge_patch(weights, '{\"views\": 447700900123}')",
    ),
    "a cell of no release": ({"cells", "twice"}, f"UPDATE cell SET release_id = 'x' {GB}"),
    "a cell of another site": ({"cells"}, f"UPDATE cell SET site = 'essex' {GB}"),
    "a cell of other days": ({"cells", "twice"}, f"UPDATE cell SET period_start = period_start + 1 {GB}"),
    "an unknown statistic": ({"statistics"}, f"UPDATE cell SET statistic = 'ages' {GB}"),
    "an unknown metric": ({"statistics"}, f"UPDATE cell SET metric = 'people' {GB}"),
    "a statistic without a share": (
        {"statistics", "told"}, "UPDATE release SET weights = json_merge_patch(weights, '{\"pages\": null}')",
    ),
    "a cell drawn twice": (
        {"twice"}, f"INSERT INTO cell SELECT * REPLACE (value + 3 AS value) FROM cell {PAGE} '/'",
    ),
    "a day released twice": (
        {"twice"},
        f"INSERT INTO release SELECT * REPLACE ('aaaaaaaaaaaaaaaa' AS release_id) FROM release WHERE {LIKE_KENT};"
        "INSERT INTO cell SELECT * REPLACE ('aaaaaaaaaaaaaaaa' AS release_id) FROM cell "
        f"WHERE release_id IN (SELECT release_id FROM release WHERE {LIKE_KENT} AND release_id <> 'aaaaaaaaaaaaaaaa')",
    ),
    "a country that is none": ({"keys"}, f"UPDATE cell SET key1 = 'XX' {GB}"),
    "an hour that is none": ({"keys"}, f"UPDATE cell SET key1 = '25' {HOUR}"),
    "a rare key made to look declared": (
        {"keys"}, f"UPDATE cell SET sigma = sigma / sqrt(2), value = 3 {PAGE} '/summer-sale' {FIRST_WEEK}",
    ),
    "a declared key is held back": ({"keys"}, f"DELETE FROM cell {PAGE} '/' {FIRST_WEEK}"),
    "no noise, but said to be there": (
        {"drawn"}, f"UPDATE cell SET value = CASE key1 WHEN 'GB' THEN 630 ELSE 0 END {COUNTRIES}",
    ),
    "half the noise that is said": ({"drawn"}, f"UPDATE cell SET value = round(value / 2) {COUNTRIES}"),
    "negative numbers cut off": ({"drawn"}, f"UPDATE cell SET value = greatest(value, 0) {COUNTRIES}"),
    "one noise for every day": (
        {"drawn"},
        f"UPDATE cell SET value = f.value FROM (SELECT key1, value FROM cell {GAPS} {FIRST_WEEK}) AS f "
        f"{GAPS} AND cell.key1 = f.key1",
    ),
    "parts of one statistic meet the total": (
        {"margins"}, MEET.format(statistics="'returning'", days="AND cell.period_days = 1"),
    ),
    "parts of one week meet the total": (
        {"margins"},
        MEET.format(
            statistics="'sources', 'entries', 'exits', 'devices', 'countries', 'browsers', 'languages'",
            days="AND cell.period_start < '2026-11-23'",
        ),
    ),
    "two dimensions of days that have none": (
        {"crossed", "statistics"}, f"UPDATE cell SET statistic = 'page_devices', key2 = 'phone' {PAGE} '/summer-sale'",
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
    "a smaller epsilon claimed": ({"noise", "spent", "told"}, "UPDATE release SET epsilon = 1.9 WHERE site = 'kent'"),
    "the whole budget claimed twice": (
        {"spent", "told"},
        f"UPDATE release SET weights = '{DAILY_ONLY}' WHERE site = 'kent' AND period_start = period_end;"
        f"UPDATE cell SET sigma = sigma * sqrt({DAILY_SHARE}) WHERE site = 'kent' AND period_days = 1",
    ),
    "a rare key": ({"rare"}, f"UPDATE cell SET value = 90 {PAGE} '/summer-sale'"),
    "a rare key where texts meet": ({"rare"}, f"UPDATE cell SET value = 200 {PAGE} '/order/:id'"),
    "a larger epsilon claimed": ({"told"}, "UPDATE release SET epsilon = 2.1 WHERE site = 'kent'"),
    "a larger delta claimed": ({"told"}, "UPDATE release SET delta = 2e-6 WHERE site = 'kent'"),
    "other shares claimed": (
        {"noise", "told"}, "UPDATE release SET weights = json_merge_patch(weights, '{\"pages\": 15}') WHERE k = 10",
    ),
    "another bound told": (
        {"told"}, "UPDATE release SET bounds = json_merge_patch(bounds, '{\"views\": {\"l2\": 1}}') WHERE k = 10",
    ),
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
    scale = 1 / sqrt(2 * dp.rho(epsilon, delta))
    assert dp._converted(scale * (1 + 1e-13), delta).check(1.0, (epsilon, delta))
    assert not dp._converted(scale * (1 - 1e-11), delta).check(1.0, (epsilon, delta))


def test_opendp_searches_where_the_formula_promises_too_much(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dp, "largest_rho", lambda epsilon, delta: 1.01 * largest_rho(epsilon, delta))
    assert dp.rho.__wrapped__(2.0, 1e-6) == pytest.approx(largest_rho(2.0, 1e-6), rel=1e-9)


def test_a_finding_is_a_value() -> None:
    assert Finding("noise", True, "enough") == Finding("noise", True, "enough")


# -- what is judged by chance ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("cells", "chance"), [(1, 0.4), (10, 0.4), (40, 0.02), (250, 0.43), (250, 0.001)])
def test_chance_is_never_thought_smaller_than_it_is(cells: int, chance: float) -> None:
    """exp(-surprise) is at least the exact binomial tail: an alarm at one in a million is at most one in a million."""
    with duckdb.connect() as connection:
        connection.execute(checking._statement("surprise"))
        query = "SELECT list(exp(-surprise(near, $cells, $chance)) ORDER BY near) FROM range($cells + 1) AS r(near)"
        (thought,) = connection.execute(query, {"cells": cells, "chance": chance}).fetchone() or ([],)
    for near in range(1, cells + 1):
        tail = sum(comb(cells, n) * chance**n * (1 - chance) ** (cells - n) for n in range(near, cells + 1))
        assert thought[near] >= tail * (1 - 1e-9)


@pytest.mark.parametrize("width", [2.0, 3.7, 12.0, 60.0])
def test_noise_meets_a_window_no_more_often_than_is_thought(width: float) -> None:
    """Whatever the count beneath: the law of the discrete Gaussian, summed over every window of that many numbers."""
    law = {n: exp(-n * n / (2 * width * width)) for n in range(-int(12 * width), int(12 * width) + 1)}
    whole, reach = sum(law.values()), int(width / 2)
    thought = (2 * reach + 1) / (width * sqrt(2 * pi))
    for count in range(-30, 31):
        assert sum(law.get(n - count, 0.0) for n in range(-reach, reach + 1)) / whole <= thought
