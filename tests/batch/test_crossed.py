"""Two dimensions: which days have them, what they cost, and that no period or file can hold more than it paid for."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from math import sqrt
from pathlib import Path

import pytest

from anonymiser import catalogue, pipeline, segments, sources
from anonymiser import closing as closing_of_days
from anonymiser.bounds import CROSSED, LOG_STATISTICS, STATISTICS
from anonymiser.check import check
from anonymiser.explanation import explanation
from anonymiser.facts import Fact
from anonymiser.hour_keys import HourKeys
from anonymiser.protect import dp, sigmas, statistics
from anonymiser.protect.budget import Budget
from anonymiser.segments import Writer
from anonymiser.settings import Protection, SiteRules, Source, Workspace
from anonymiser.stats import Statistics, opened

DAY = timedelta(days=1)
MONDAY = date(2026, 11, 2)
CHANGE = MONDAY + 9 * DAY  # a Wednesday: the second of three weeks has days of both sets
END = MONDAY + 20 * DAY
RULES = SiteRules("kent", grain="week", catalogue={"pages": ("/", "/chairs/"), "goals": ("Quote",)})
SEEN = (
    *(("visitors", "", ""), ("views", "", ""), ("visits", "", ""), ("pages", "/", ""), ("goals", "Quote", "")),
    *(("page_sources", "/", "Google"), ("page_sources", "/summer-sale", "Google"), ("page_devices", "/", "phone")),
    *(("source_goals", "Google", "Quote"), ("entry_goals", "/", "Quote"), ("entry_goals", "/order/:id", "Quote")),
)  # fmt: skip
MANY = 300


class Place:
    """A home in which days are written and the batch is run."""

    def __init__(self, home: Path) -> None:
        self.spool = home / "spool"
        self.spool.mkdir(parents=True)
        self.workspace = Workspace(home / "stats.duckdb", home / "private")

    def run(self, rules: SiteRules, first: date, last: date, many: int = MANY) -> list[str]:
        """Write each day from `first` to `last`, then release what is over on the morning after the last."""
        for number in range((last - first).days + 1):
            today = first + number * DAY
            at = datetime(today.year, today.month, today.day, 9, tzinfo=UTC)
            HourKeys(self.workspace.private).provide(self.spool, at)
            writer = Writer(self.spool, segments.hour_of(at))
            writer.write([Fact(rules.key, today.isoformat(), *seen, many) for seen in SEEN])
            writer.end()
        now = datetime(last.year, last.month, last.day, 4, tzinfo=UTC) + DAY
        return list(pipeline.run_spool(self.workspace, self.spool, [rules], now).releases)

    def wide_days(self, site: str = "kent") -> set[date]:
        with Budget(self.workspace.private) as budget:
            return budget.wide_days(site)

    def failing(self) -> set[str]:
        return {finding.name for finding in check(self.workspace.stats) if not finding.ok}


def three_weeks(home: Path, rules: SiteRules = RULES) -> Place:
    """The site asks for two dimensions from the middle of the second week on."""
    place = Place(home)
    place.run(rules, MONDAY, CHANGE - DAY)
    place.run(replace(rules, crossed=True), CHANGE, END)
    return place


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    return three_weeks(tmp_path_factory.mktemp("home"))


# -- the price of plain sites is what it was ---------------------------------------------------------------------------

BEFORE: dict[Source, dict[str, float]] = {
    "beacons": {
        "visitors": 11.9589, "views": 41.7542, "visits": 27.1201, "bounces": 29.2931, "returning": 11.9589,
        "hours": 13.8089, "pages": 14.6465, "entries": 16.9124, "exits": 101.4743, "sources": 10.6963,
        "campaigns": 13.8089, "countries": 19.5287, "devices": 33.8248, "browsers": 27.6178, "languages": 21.3927,
        "screens": 33.8248, "goals": 18.5266, "outbound": 64.178, "downloads": 64.178, "not_found": 64.178,
        "searches": 64.178, "engagement": 39.0575, "scroll": 60.5076, "funnels": 52.4011,
    },
    "logs": {
        "visitors": 10.1298, "views": 35.368, "visits": 22.9722, "bounces": 24.8128, "hours": 11.6969,
        "pages": 12.4064, "entries": 14.3257, "exits": 85.9541, "sources": 9.0604, "campaigns": 11.6969,
        "devices": 28.6514, "browsers": 23.3938, "downloads": 54.3622, "not_found": 54.3622,
    },
}  # fmt: skip


@pytest.mark.parametrize("source", ["beacons", "logs"])
def test_plain_sites_have_the_noise_they_had_before_there_were_two_dimensions(source: Source) -> None:
    assert sigmas(Protection(), source) == pytest.approx(BEFORE[source], abs=1e-4)


def test_the_document_says_how_much_noisier_logs_become() -> None:
    text = (Path(__file__).resolve().parents[2] / "docs" / "anonymise.md").read_text("utf-8")
    plain, wide = (sigmas(Protection(), "logs", wide=wide)["visitors"] for wide in (False, True))
    assert f"for logs by {wide / plain - 1:.0%}".replace("%", " %") in text


@pytest.mark.parametrize("source", ["beacons", "logs"])
def test_the_wide_set_costs_the_same_and_gives_each_other_statistic_a_smaller_share(source: Source) -> None:
    plain, wide = sigmas(Protection(), source), sigmas(Protection(), source, wide=True)
    assert wide.keys() - plain.keys() == (CROSSED if source == "beacons" else CROSSED & LOG_STATISTICS)
    assert all(plain[name] < wide[name] < 1.2 * plain[name] for name in plain)
    spent = sum((s.l2 / wide[s.name]) ** 2 / 2 for s in statistics(source, wide=True))
    assert spent == pytest.approx(dp.rho(2.0, 9e-7), rel=1e-9)


# -- which days have them ----------------------------------------------------------------------------------------------


def crossed_periods(place: Place) -> set[tuple[date, str]]:
    with closing(opened(place.workspace.stats)) as connection:
        rows = connection.execute("SELECT DISTINCT period_start, statistic FROM stats.cell").fetchall()
    return {(day, name) for day, name in rows if name in CROSSED}


def test_a_period_of_both_sets_shows_no_pairs_and_one_of_the_wide_set_shows_all(place: Place) -> None:
    assert place.wide_days() == {CHANGE + n * DAY for n in range((END - CHANGE).days + 1)}
    assert crossed_periods(place) == {(MONDAY + 14 * DAY, name) for name in CROSSED}
    assert place.failing() == set()


def prices(place: Place) -> dict[date, float]:
    """What a browser-day of each day costs in rho, by the noise of every statistic that is released of it."""
    costs: dict[date, float] = defaultdict(float)
    with Statistics(place.workspace.stats) as stats, closing(opened(place.workspace.stats)) as connection:
        rows = connection.execute("SELECT DISTINCT release_id, statistic, metric FROM stats.cell").fetchall()
        names = {(s.table, s.metric): s.name for s in STATISTICS.values()}
        for release in stats.releases("kent"):
            of = {names[table, metric] for made, table, metric in rows if made == release.release_id}
            price = sum((release.bounds[name]["l2"] / release.bounds[name]["sigma"]) ** 2 / 2 for name in of)
            for number in range((release.period_end - release.period_start).days + 1):
                costs[release.period_start + number * DAY] += price
    return costs


def test_no_day_costs_more_than_epsilon_and_only_wide_days_of_a_mixed_week_cost_less(place: Place) -> None:
    whole = dp.rho(2.0, 9e-7)
    for day, price in prices(place).items():
        assert price <= whole * (1 + 1e-9)
        assert (price == pytest.approx(whole)) is not (CHANGE <= day < MONDAY + 14 * DAY)


def test_a_mixed_week_has_the_noise_of_the_plain_set(place: Place) -> None:
    with Statistics(place.workspace.stats) as stats:
        (week,) = (r for r in stats.releases("kent") if r.period_start == MONDAY + 7 * DAY != r.period_end)
    noise = {name: bound["sigma"] for name, bound in week.bounds.items()}
    assert noise == pytest.approx(sigmas(Protection(), "beacons"))


def test_the_set_of_a_day_never_changes(tmp_path: Path) -> None:
    """Asking, not asking and running again: what was released stays, and later weeks follow what their days had."""
    place = three_weeks(tmp_path)
    before = place.wide_days()
    assert place.run(RULES, END + DAY, END + 7 * DAY) != []
    place.run(replace(RULES, crossed=True), END + 8 * DAY, END + 8 * DAY)
    assert place.wide_days() == before | {END + 8 * DAY}
    assert {day for day, _ in crossed_periods(place)} == {MONDAY + 14 * DAY}
    assert place.failing() == set()


@pytest.mark.parametrize(("visitors", "wide"), [(2_300, True), (1_700, False)])
def test_two_thousand_visitors_by_released_figures_widen_the_days_after(
    tmp_path: Path, visitors: int, wide: bool
) -> None:
    """The first day has no figures to go by. (The margins are of more than twenty standard deviations of the noise.)"""
    place = Place(tmp_path)
    for number in range(3):
        place.run(replace(RULES, grain=None), MONDAY + number * DAY, MONDAY + number * DAY, visitors)
    assert place.wide_days() == ({MONDAY + DAY, MONDAY + 2 * DAY} if wide else set())
    assert {day for day, _ in crossed_periods(place)} == place.wide_days()
    assert place.failing() == set()


def test_the_door_out_tells_the_browsers_of_today_by_the_same_figures(place: Place, tmp_path: Path) -> None:
    many = Place(tmp_path)
    many.run(RULES, MONDAY, MONDAY, 2_300)
    with Statistics(many.workspace.stats) as large, Statistics(place.workspace.stats) as small:
        assert large.is_wide("kent", asked=False)
        assert [small.is_wide("kent", asked=asked) for asked in (True, False)] == [True, False]
        assert [small.is_wide("unheard-of", asked=asked) for asked in (True, False)] == [True, False]
    with Statistics(tmp_path / "none.duckdb") as nothing:
        assert not nothing.is_wide("kent", asked=False)


# -- what is shown of them ---------------------------------------------------------------------------------------------


def pairs(place: Place, statistic: str) -> dict[tuple[str, str], tuple[float, float]]:
    with Statistics(place.workspace.stats) as stats:
        rows = stats.breakdown("kent", statistic, MONDAY, END).rows
    return {(row.key1, row.key2): (row.value, row.sigma) for row in rows}


def test_declared_pairs_are_shown_whatever_their_count_and_others_above_the_threshold(place: Place) -> None:
    found, noise = pairs(place, "page_sources"), sigmas(Protection(), "beacons", wide=True)["page_sources"]
    assert {("/", "Google"), ("/chairs/", "Direct"), ("/summer-sale", "Google"), ("(other)", "")} <= found.keys()
    assert found["/", "Google"][0] == pytest.approx(7 * MANY, abs=8 * noise)
    assert found["/", "Google"][1] == pytest.approx(noise)
    assert found["/summer-sale", "Google"][1] == pytest.approx(noise * sqrt(2))
    assert ("/summer-sale", "Direct") not in found


def test_pairs_are_wider_where_either_half_is_folded(place: Place) -> None:
    found, noise = pairs(place, "entry_goals"), sigmas(Protection(), "beacons", wide=True)["entry_goals"]
    assert found["/order/:id", "Quote"][1] == pytest.approx(noise * sqrt(2) * STATISTICS["entry_goals"].fold)
    plan = dp.Plan(STATISTICS["entry_goals"], 10.0, 1e-9, open_ended=True)
    assert plan.width(("/", ":email")) == plan.width(("/order/:id", "Quote")) == pytest.approx(10 * sqrt(3))
    assert plan.threshold(("/", ":email")) > plan.threshold(("/", "Quote"))


def test_views_name_both_halves(place: Place) -> None:
    with closing(opened(place.workspace.stats)) as connection:
        rows = connection.execute("SELECT source, goal, visitors FROM stats.source_goals WHERE goal <> ''").fetchall()
    assert {(source, goal) for source, goal, _ in rows} == {(source, "Quote") for source in sources.GROUPS}
    assert max(rows, key=lambda row: row[2])[0] == "Google"


def test_a_long_catalogue_declares_no_more_pairs_than_a_period_should_hold() -> None:
    rules = replace(RULES, catalogue={"pages": tuple(f"/{n}" for n in range(5000)), "goals": ("Quote",)})
    keys = catalogue.declared(STATISTICS["page_sources"], rules)
    assert catalogue.MOST_PAIRS - len(sources.GROUPS) < len(keys) <= catalogue.MOST_PAIRS
    assert keys[0][0] == "/0"
    assert len(catalogue.declared(STATISTICS["entry_goals"], rules)) == catalogue.MOST_PAIRS
    assert catalogue.declared(STATISTICS["entry_goals"], SiteRules("kent")) == ()


def test_sources_are_named_only_if_they_are_large_ones() -> None:
    assert {source.name for source in sources.KNOWN} >= sources.LARGE
    for referrer, group in (("google.co.uk", "Google"), ("ecosia.org", "Other search"), ("blog.example", "Referral")):
        found = sources.classify(referrer, "", "", frozenset())
        assert sources.group(found.name, found.channel) == group
        assert group in sources.GROUPS


# -- faults ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("policy", "found"),
    [(Protection(), {"crossed", "spent"}), (Protection("threshold"), {"crossed"})],
    ids=["dp", "threshold"],
)
def test_a_wide_breakdown_over_a_plain_day_is_caught(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, policy: Protection, found: set[str]
) -> None:
    """The fault of adding statistics as soon as a site is large, whatever its earlier days were paid at."""
    monkeypatch.setattr(closing_of_days, "all", any, raising=False)  # one wide day is enough then
    place = three_weeks(tmp_path, replace(RULES, protection=policy))
    assert place.failing() == found


# -- what is said of them ----------------------------------------------------------------------------------------------


def said(place: Place, key: str | None = None, statistic: str | None = None) -> str:
    return "\n".join(explanation(place.workspace.stats, key, statistic=statistic, site="kent"))


def test_explain_names_the_set_of_each_day(place: Place) -> None:
    text = said(place)
    assert f"plain {MONDAY} to {CHANGE - DAY}; wide {CHANGE} to {END}." in text
    assert "1 of its breakdowns have days of both sets" in text
    assert "Policy dp, plain set" in text
    assert "Policy dp, wide set" in text


def test_explain_says_why_a_pair_is_absent(place: Place, tmp_path: Path) -> None:
    text = said(place, "/", "page_sources")
    assert f"Not released, {MONDAY} to {CHANGE - DAY}: days there have the plain set" in text
    assert f"Not released, {MONDAY + 7 * DAY} to {MONDAY + 13 * DAY}: a period with days of both sets" in text
    assert "it is declared, so it is shown whatever its count" in text
    assert "Google 2" in text
    assert "nobody declared it, and it stayed below the threshold" in said(place, "/never", "page_sources")
    plain = Place(tmp_path)
    plain.run(RULES, MONDAY, MONDAY + 6 * DAY)
    assert "the site had fewer than 2,000 visitors a day, and it did not ask" in said(plain, "/", "page_sources")


def test_explain_points_from_a_page_to_its_pairs(place: Place) -> None:
    text = said(place, "/")
    assert "it is crossed with others; name one of them (--statistic) to see its pairs:" in text
    assert "page_sources, page_devices, entry_goals" in text


# -- logs --------------------------------------------------------------------------------------------------------------

LINE = '192.0.2.{n} - - [{at:%d/%b/%Y:%H:%M:%S} +0000] "GET {page} HTTP/1.1" 200 512 "{referrer}" "{agent}"\n'
AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:143.0) Gecko/20100101 Firefox/143.0"


def lines() -> Iterator[str]:
    for n in range(1, 101):
        at = datetime(2026, 11, 2, 9, tzinfo=UTC) + timedelta(seconds=n)
        yield LINE.format(n=n, at=at, page="/", referrer="https://www.google.com/", agent=AGENT)
        yield LINE.format(
            n=n, at=at + timedelta(minutes=5), page="/chairs/", referrer="https://own.example/", agent=AGENT
        )


@pytest.mark.parametrize(("asked", "shown"), [(True, {"page_sources", "page_devices"}), (False, set[str]())])
def test_logs_have_the_pairs_they_can_know_where_they_are_asked_for(
    tmp_path: Path, asked: bool, shown: set[str]
) -> None:
    (tmp_path / "access.log").write_text("".join(lines()))
    place = Place(tmp_path / "home")
    rules = replace(RULES, crossed=asked, own_hosts=frozenset({"own.example"}))
    pipeline.run_logs(place.workspace, [tmp_path / "access.log"], rules, datetime(2026, 11, 9, tzinfo=UTC))
    assert {name for _, name in crossed_periods(place)} == shown
    assert place.failing() == set()
    if asked:
        noise = sigmas(Protection(), "logs", wide=True)["page_sources"]
        found = pairs(place, "page_sources")
        assert found["/chairs/", "Google"][0] == pytest.approx(100, abs=8 * noise)
