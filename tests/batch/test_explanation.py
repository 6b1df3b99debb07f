"""`anonymise explain` says what was spent, and why a key is shown or not, from what is published and declared alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from anonymiser import pipeline, segments
from anonymiser.bounds import Statistic
from anonymiser.errors import InputError
from anonymiser.explanation import explanation
from anonymiser.facts import Fact
from anonymiser.hour_keys import HourKeys
from anonymiser.protect import dp
from anonymiser.publish import publish
from anonymiser.segments import Writer
from anonymiser.settings import Protection, SiteRules, Workspace
from anonymiser.stats import Cell, Statistics
from anonymiser.zcdp import largest_rho, least_delta, least_epsilon

MONDAY = datetime(2026, 11, 16, 9, tzinfo=UTC)
OVER = datetime(2026, 11, 23, 4, tzinfo=UTC)
PAGES: dict[str, tuple[str, ...]] = {"pages": ("/", "/empty")}
RULES = (
    SiteRules("kent", grain="week", catalogue=PAGES),
    SiteRules("surrey", grain="week", catalogue=PAGES, protection=Protection("threshold", k=20)),
    SiteRules("young", grain="month", catalogue=PAGES),
)
SEEN = (("visitors", ""), ("pages", "/"), ("pages", "/summer-sale"), ("pages", "/order/:id"))
MANY = 120


@pytest.fixture(scope="module")
def stats(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A week of three sites: differential privacy, threshold, and one whose breakdowns are not due yet."""
    home = tmp_path_factory.mktemp("home")
    (home / "spool").mkdir()
    for number in range(7):
        at = MONDAY + timedelta(days=number)
        HourKeys(home / "private").provide(home / "spool", at)
        writer = Writer(home / "spool", segments.hour_of(at))
        for rules in RULES:
            day = at.date().isoformat()
            writer.write([Fact(rules.key, day, name, key, "", 1) for name, key in SEEN] * MANY)
            writer.write([Fact(rules.key, day, "pages", "/rare", "", 1)])
        writer.end()
    workspace = Workspace(home / "stats.duckdb", home / "private")
    pipeline.run_spool(workspace, home / "spool", RULES, OVER)
    return workspace.stats


def said(stats: Path, *arguments: Any, **options: Any) -> str:
    return "\n".join(explanation(stats, *arguments, **options))


def of_kent(stats: Path, key: str, **options: Any) -> str:
    return said(stats, key, **{"site": "kent", "statistic": "pages"} | options)


# -- what was spent ---------------------------------------------------------------------------------------------------


def test_the_price_names_weight_rho_sigma_and_margin_of_each_statistic(stats: Path) -> None:
    text = said(stats, site="kent")
    rho = largest_rho(2.0, 9e-7)
    with Statistics(stats) as statistics:
        sigma = statistics.releases("kent")[0].bounds["pages"]["sigma"]
    (line,) = (line for line in text.splitlines() if line.startswith("  pages "))
    assert line.split() == ["pages", "16", "16.0%", f"{0.16 * rho:.5f}", "2.45", f"{sigma:.1f}", f"{1.96 * sigma:.0f}"]
    assert "8 releases, 2026-11-16 to 2026-11-22" in text
    assert "5 days 4.9, 30 days 13.8" in text


def test_threshold_has_no_price_and_says_so(stats: Path) -> None:
    assert "no noise and no mathematical guarantee" in said(stats, site="surrey")


def test_days_add_up_as_the_papers_say() -> None:
    rho = largest_rho(2.0, 9e-7)
    assert least_epsilon(rho, 9e-7) == pytest.approx(2.0)
    assert least_epsilon(5 * rho, 9e-7) == pytest.approx(4.86, abs=0.01)
    assert least_delta(5 * rho, least_epsilon(5 * rho, 9e-7)) == pytest.approx(9e-7)
    assert dp.rho(2.0, 9e-7) == pytest.approx(rho, rel=1e-3)


# -- why a key is there, or is not ------------------------------------------------------------------------------------


def test_a_declared_key_is_always_shown(stats: Path) -> None:
    assert "it is declared, so it is shown whatever its count" in of_kent(stats, "/empty")


def test_an_undeclared_key_is_shown_above_the_threshold_with_its_value(stats: Path) -> None:
    with Statistics(stats) as statistics:
        (cell,) = statistics.cells("kent", "pages", "/summer-sale")
    text = of_kent(stats, "/summer-sale")
    assert "nobody declared it; its noisy count passed the threshold of " in text
    assert f"2026-11-16 to 2026-11-22: {cell.value} ± {1.96 * cell.sigma:.0f}" in text


def test_rare_and_never_seen_read_the_same(stats: Path) -> None:
    """The two lines differ in the key alone: what is not published cannot be told apart."""
    rare, never = of_kent(stats, "/rare"), of_kent(stats, "/never")
    assert rare.replace("/rare", "/never") == never
    assert "it stayed below the threshold of" in rare
    assert "telling them apart would tell whether one person came" in rare


def test_the_threshold_is_the_one_the_release_applied(stats: Path) -> None:
    with Statistics(stats) as statistics:
        of = statistics.releases("kent")[-1].bounds["pages"]
    brought = 6 + 1 + 6 + 1 + 1 + 3 + 4 * 3 + 6  # pages, entries, exits, sources, campaigns, goals, four kinds, funnels
    plan = dp.Plan(Statistic("pages", "pages", "visitors", ("page",), of["l2"], 1, 6, 0, "breakdown", "pages"),
                   of["sigma"], 1e-7 / brought, open_ended=True)  # fmt: skip
    assert f"below the threshold of {plan.threshold(('/rare', '')):.0f} or never was" in of_kent(stats, "/rare")


def test_a_folded_key_is_named_by_its_placeholder_and_never_by_what_was_asked(stats: Path) -> None:
    text = of_kent(stats, "/order/20417")
    assert text.startswith("Site kent, pages: /order/:id\n  What you named is counted under this")
    assert "passed the threshold" in text
    assert "20417" not in text


def test_another_spelling_is_named(stats: Path) -> None:
    assert "another spelling of it and counts in (other)" in of_kent(stats, "/summer-sale;v=2")


def test_a_key_declared_since_is_said_to_come(stats: Path) -> None:
    text = of_kent(stats, "/rare", catalogue={"pages": ("/rare",)})
    assert "It is declared now: every release from now on shows it." in text


def test_a_closed_list_has_no_rare_keys(stats: Path) -> None:
    text = of_kent(stats, "Atlantis", statistic="countries")
    assert "a closed list, always shown in full; this is none of them" in text


def test_before_its_first_release_it_says_when(stats: Path) -> None:
    text = said(stats, "/", site="young")
    assert "No release of pages covers this site yet." in text
    assert "The next release covers 2026-11-16 to 2026-11-22 and comes when that is over" in text


def test_daily_figures_come_the_next_day(stats: Path) -> None:
    text = said(stats, "09", site="kent", statistic="hours")
    assert "The next release covers 2026-11-23 to 2026-11-23" in text


@pytest.mark.parametrize(
    ("key", "reason"), [("/", "counted without noise"), ("/rare", "fewer than 20 browsers, or no")]
)
def test_threshold_says_what_it_knows(stats: Path, key: str, reason: str) -> None:
    assert reason in said(stats, key, site="surrey", statistic="pages")


def test_without_a_statistic_every_one_that_shows_the_key_is_asked(stats: Path) -> None:
    assert said(stats, "GB", site="kent").startswith("Site kent, countries: GB")
    assert "no statistic shows it. Name one" in said(stats, "chair", site="kent")


def test_a_long_history_is_told_in_few_lines(stats: Path, tmp_path: Path) -> None:
    with Statistics(stats) as statistics:
        (week,) = (r for r in statistics.releases("kent") if r.period_start != r.period_end)
    weeks = [_moved(week, n) for n in range(60)]
    cells = [Cell(w.release_id, "kent", w.period_start, 7, "pages", "/", "", "visitors", 9, w.bounds["pages"]["sigma"])
             for w in weeks]  # fmt: skip
    publish(tmp_path / "stats.duckdb", weeks, cells)
    shown, absent = (of_kent(tmp_path / "stats.duckdb", key) for key in ("/", "/rare"))
    assert "… and 49 earlier lines." in shown
    assert "Not shown, 60 periods, 2026-11-16 to 2028-01-09" in absent


def _moved(release: Any, weeks: int) -> Any:
    return type(release)(
        **{name: getattr(release, name) for name in type(release).__slots__}
        | {"release_id": f"{weeks:016x}"}
        | {name: getattr(release, name) + timedelta(weeks=weeks) for name in ("period_start", "period_end")}
    )


# -- refusals ---------------------------------------------------------------------------------------------------------


def test_unknown_names_are_refused_with_those_that_are_known(stats: Path) -> None:
    with pytest.raises(InputError, match=r"--site 'essex' has no release in .* kent, surrey, young"):
        said(stats, site="essex")
    with pytest.raises(InputError, match=r"--statistic 'ages' is none of ours; name one of returning, hours, pages"):
        said(stats, "/", statistic="ages")


def test_an_empty_file_says_so(tmp_path: Path) -> None:
    publish(tmp_path / "stats.duckdb", [], [])
    assert said(tmp_path / "stats.duckdb") == "Nothing has been released in this file."
