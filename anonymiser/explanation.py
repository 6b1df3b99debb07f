"""What `anonymise explain` says of a published file: what was spent on what, and why a key is there or is not.

Everything here follows from the published file and the site's declared keys. No exact count is known to it, so it
cannot tell a key that was too rare from one that never was: that nobody can is the protection.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from itertools import groupby
from math import exp
from pathlib import Path
from statistics import mean
from typing import Final

from anonymiser import clock, scrub
from anonymiser.bounds import CROSSED, LOG_STATISTICS, OTHER, STATISTICS, Schedule, is_wide
from anonymiser.errors import InputError
from anonymiser.protect import DELTA_FOR_THRESHOLDS, dp
from anonymiser.stats import Cell, Release, Statistics
from anonymiser.zcdp import largest_rho, least_epsilon

SIGMAS_OF_95: Final = 1.96
MOST_PERIODS: Final = 12
MOST_PAIRS: Final = 8
ACTIVE_DAYS: Final = (2, 5, 30, 90, 365)
NOISIER: Final = 1.2  # undeclared cells carry sqrt(2) times the noise of declared ones
_COLUMNS: Final = f"{'weight':>7} {'share':>7} {'rho':>9} {'one browser':>12} {'sigma':>8} {'95 % within ±':>14}"
SCHEDULES: Final[tuple[Schedule, ...]] = ("daily", "breakdown")
_SPELT: Final[dict[str, Callable[[str], str]]] = {
    **dict.fromkeys(("pages", "entries", "exits", "downloads", "not_found"), scrub.path),
    **dict.fromkeys(("page_sources", "page_devices", "entry_goals"), scrub.path),
    **dict.fromkeys(("campaigns", "searches"), scrub.text),
    "goals": scrub.label,
    "outbound": scrub.host,
}
_ONE_SPELLING: Final = frozenset(("pages", "goals"))
Catalogue = Mapping[str, Sequence[str]]


def explanation(
    stats: Path,
    key: str | None = None,
    *,
    statistic: str | None = None,
    site: str | None = None,
    catalogue: Catalogue | None = None,
) -> Iterator[str]:
    """Lines of plain text: of the price, or (with a key) of that key in `statistic`, else wherever it is known.

    `catalogue` holds the keys that the site declares now. Raises StatisticsError when the file cannot be read,
    InputError for a site or statistic that is not there.
    """
    if statistic is not None and statistic not in _names():
        raise InputError(f"--statistic {statistic!r} is none of ours; name one of {', '.join(_names())}")
    with Statistics(stats) as statistics:
        sites = statistics.sites()
        if site is not None and site not in sites:
            raise InputError(f"--site {site!r} has no release in {stats}; it holds {', '.join(sites) or 'none'}")
        if not sites:
            yield "Nothing has been released in this file."
        for place in (site,) if site else sites:
            if key is None:
                yield from _price(place, statistics.releases(place))
            else:
                yield from _of_key(statistics, place, key, statistic, catalogue or {})


def _names() -> list[str]:
    return [name for name, of in STATISTICS.items() if of.keys]


# -- what was spent ---------------------------------------------------------------------------------------------------


def _price(site: str, releases: Sequence[Release]) -> Iterator[str]:
    yield f"Site {site}: {len(releases)} releases, {_days(releases)}"
    yield from _sets(releases)
    newest_first = sorted(releases, key=lambda r: (*_terms(r), r.period_end), reverse=True)
    for _, group in groupby(newest_first, key=_terms):
        alike = list(group)
        yield from _threshold_price(alike) if alike[0].policy == "threshold" else _noise_price(alike)


def _terms(release: Release) -> tuple[str, float, float, bool]:
    return release.policy, release.epsilon, release.delta, is_wide(release.weights)


def _sets(releases: Sequence[Release]) -> Iterator[str]:
    """Which days have which set of statistics, and what became of periods that have days of both."""
    wide = _by_day(releases)
    spans = [[*days] for _, days in groupby(sorted(wide), key=lambda day: wide[day])]
    told = [f"{'wide' if wide[days[0]] else 'plain'} {days[0]} to {days[-1]}" for days in spans]
    earlier = f"… and {len(told) - MOST_PERIODS} before; " if len(told) > MOST_PERIODS else ""
    yield f"  Set of statistics of its days: {earlier}{'; '.join(told[-MOST_PERIODS:])}."
    mixed = [release for release in releases if _is_mixed(release, wide)]
    if mixed:
        yield f"  {len(mixed)} of its breakdowns have days of both sets, so they show nothing of two dimensions."


def _by_day(releases: Sequence[Release]) -> dict[date, bool]:
    """Whether a day has the wide set, by what its totals were paid at."""
    return {r.period_start: is_wide(r.weights) for r in releases if r.period_start == r.period_end}


def _is_mixed(release: Release, wide: Mapping[date, bool]) -> bool:
    days = clock.days(release.period_start, release.period_end)
    return not is_wide(release.weights) and any(wide.get(day) for day in days)


def _days(releases: Sequence[Release]) -> str:
    return f"{min(r.period_start for r in releases)} to {max(r.period_end for r in releases)}"


def _threshold_price(alike: Sequence[Release]) -> Iterator[str]:
    yield f"  Policy threshold, {len(alike)} releases: no noise and no mathematical guarantee."
    yield f"  What fewer than {alike[0].k} browsers share is in (other) or shown as 0; other counts are rounded."


def _noise_price(alike: Sequence[Release]) -> Iterator[str]:
    newest = alike[0]
    rho, whole = largest_rho(newest.epsilon, newest.delta * (1 - DELTA_FOR_THRESHOLDS)), sum(newest.weights.values())
    of = "wide" if is_wide(newest.weights) else "plain"
    yield (
        f"  Policy dp, {of} set, {len(alike)} releases: each browser-day costs epsilon {newest.epsilon:g} (a factor of "
        f"at most {exp(newest.epsilon):.2f}), delta {newest.delta:g}."
    )
    yield f"  That is rho {rho:.4f} in all, spent like this:"
    for schedule in SCHEDULES:
        yield f"  {schedule:12} {_COLUMNS}"
        named = [(name, weight) for name, weight in newest.weights.items() if STATISTICS[name].schedule == schedule]
        for name, weight in sorted(named, key=lambda item: -item[1]):
            bound, share = newest.bounds[name], weight / whole
            yield (
                f"  {name:12} {weight:7g} {share:7.1%} {rho * share:9.5f} {bound['l2']:12.2f} {bound['sigma']:8.1f} "
                f"{SIGMAS_OF_95 * bound['sigma']:14.0f}"
            )
    yield from _added_up(newest, rho)


def _added_up(release: Release, rho: float) -> Iterator[str]:
    kept = release.delta * (1 - DELTA_FOR_THRESHOLDS)
    said = (f"{days} days {least_epsilon(days * rho, kept):.1f}" for days in ACTIVE_DAYS)
    yield f"  Days add up. A browser active on several days, epsilon: {', '.join(said)}."
    yield "  A declared key is shown whatever its count; any other only when its noisy count passes a threshold that a"
    yield "  single browser reaches with a chance below a tenth of delta. All else is in (other)."


# -- why a key is there, or is not ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Answer:
    """What one release says of the key: its cells (none when it does not show it) and the threshold it had to pass."""

    release: Release
    cells: Sequence[Cell]
    plan: dp.Plan
    key: str

    @property
    def period(self) -> str:
        first, last = self.release.period_start, self.release.period_end
        return f"{first}" if first == last else f"{first} to {last}"

    @property
    def reason(self) -> str:
        """Why it is shown, or is not, in words that are the same for every period they hold for."""
        if self.release.policy == "threshold":
            return "counted without noise" if self.cells else f"fewer than {self.release.k} browsers, or none"
        if not self.cells:
            return f"nobody declared it, and it stayed below the threshold of {self._least:.0f} or never was"
        declared = [cell.sigma < NOISIER * self.plan.width((cell.key1, cell.key2)) for cell in self.cells]
        if all(declared):
            return "it is declared, so it is shown whatever its count"
        if any(declared):
            return (
                f"some of its pairs are declared; the noisy count of others passed the threshold of {self._least:.0f}"
            )
        return f"nobody declared it; its noisy count passed the threshold of {self._least:.0f}"

    @property
    def _least(self) -> float:
        return self.plan.threshold((self.key, ""))

    @property
    def values(self) -> str:
        largest = sorted(self.cells, key=lambda cell: -cell.value)
        told = [f"{_named(c)}{c.value} ± {SIGMAS_OF_95 * c.sigma:.0f}" for c in largest[:MOST_PAIRS]]
        return ", ".join(told + [f"… and {len(largest) - MOST_PAIRS} more"] * (len(largest) > MOST_PAIRS))


def _named(cell: Cell) -> str:
    return f"{cell.key2} " if cell.key2 else ""


def _of_key(statistics: Statistics, site: str, key: str, statistic: str | None, catalogue: Catalogue) -> Iterator[str]:
    found = [statistic] if statistic else _where(statistics, site, key)
    names = [name for name in found if name == statistic or name not in CROSSED]
    if not found:
        yield f"Site {site}: no statistic shows it. Name one (--statistic searches) to learn why."
    for name in names:
        yield from _of_statistic(statistics, site, name, key, catalogue)
    if len(names) < len(found):
        yield f"Site {site}: it is crossed with others; name one of them (--statistic) to see its pairs:"
        yield f"  {', '.join(name for name in found if name not in names)}"


def _where(statistics: Statistics, site: str, key: str) -> list[str]:
    """The statistics that show a key; a path is asked of the pages at least."""
    found = [name for name in _names() if statistics.cells(site, name, _spelt(name, key))]
    return found or (["pages"] if key.startswith("/") else [])


def _spelt(name: str, key: str) -> str:
    spell = _SPELT.get(name)
    return spell(key) if spell and key != OTHER else key


def _of_statistic(statistics: Statistics, site: str, name: str, asked: str, catalogue: Catalogue) -> Iterator[str]:
    key = _spelt(name, asked)
    yield f"Site {site}, {name}: {key}"
    if key != asked:
        yield from _respelt(name, key)
    known = [release for release in statistics.releases(site) if name in release.weights]
    answers = _answers(statistics, site, name, key)
    if name not in LOG_STATISTICS and _is_from_logs(statistics, site):
        yield "  This site is counted from logs, which do not know this statistic."
        return
    if name in CROSSED:
        yield from _without(statistics, site, name)
    if not known:
        return
    if not answers:
        yield f"  No release of {name} covers this site yet."
    yield from _told(answers)
    if answers and not any(answer.cells for answer in answers):
        yield from _unseen(name)
    yield from _next(statistics, site, name, key, catalogue)


def _is_from_logs(statistics: Statistics, site: str) -> bool:
    return all("returning" not in release.weights for release in statistics.releases(site))


def _without(statistics: Statistics, site: str, name: str) -> Iterator[str]:
    """Why periods, or a site whose breakdowns are still to come, have nothing of two dimensions."""
    releases = statistics.releases(site)
    mixed = [release for release in releases if _is_mixed(release, _by_day(releases))]
    plain = [release for release in releases if not is_wide(release.weights) and release not in mixed]
    if plain:
        yield f"  Not released, {_days(plain)}: days there have the plain set of statistics. By the figures"
        yield f"  released before, the site had fewer than {clock.DAILY_FROM:,} visitors a day, and it did not ask"
        yield "  (crossed = true, --crossed)."
    if mixed:
        yield f"  Not released, {_days(mixed)}: a period with days of both sets shows nothing of two dimensions."


def _respelt(name: str, key: str) -> Iterator[str]:
    if scrub.is_folded(key):
        yield "  What you named is counted under this: the part that may name one person, order or account is replaced."
    elif name in _ONE_SPELLING:
        yield f"  What you named is another spelling of it and counts in {OTHER}: only the final spelling counts here."
    else:
        yield "  What you named is another spelling of it and counts here."


def _answers(statistics: Statistics, site: str, name: str, key: str) -> list[_Answer]:
    """What each release of a statistic says of a key, the newest first."""
    cells = {
        release: list(group)
        for release, group in groupby(statistics.cells(site, name, key), key=lambda cell: cell.release_id)
    }
    releases = {release.release_id: release for release in statistics.releases(site)}
    found = [
        _Answer(releases[made], cells.get(made, ()), _plan(releases[made], name), key)
        for made in statistics.releasing(site, name)
    ]
    return sorted(found, key=lambda answer: answer.release.period_start, reverse=True)


def _plan(release: Release, name: str) -> dp.Plan:
    """How that release treated its keys, by its own bounds."""
    bound, statistic = release.bounds[name], STATISTICS[name]
    told = replace(
        statistic, linf=int(bound["linf"]), keys_touched=int(bound["keys_touched"]), fold=float(bound["fold"])
    )
    chance = release.delta * DELTA_FOR_THRESHOLDS / max(release.keys_touched, 1)
    return dp.Plan(told, float(bound["sigma"]), chance, statistic.open_ended)


def _told(answers: Sequence[_Answer]) -> Iterator[str]:
    """Periods that say the same are said once, the newest first."""
    lines = [
        line
        for reason, group in groupby(answers, key=lambda answer: answer.reason)
        for line in _alike(reason, [*group])
    ]
    yield from lines[:MOST_PERIODS]
    if len(lines) > MOST_PERIODS:
        yield f"  … and {len(lines) - MOST_PERIODS} earlier lines."


def _alike(reason: str, answers: Sequence[_Answer]) -> Iterator[str]:
    if answers[0].cells:
        yield f"  Shown: {reason}."
        yield from (f"    {answer.period}: {answer.values}" for answer in answers)
    else:
        days = _days([answer.release for answer in answers])
        yield f"  Not shown, {len(answers)} period{'s' * (len(answers) > 1)}, {days}: {reason}."


def _unseen(name: str) -> Iterator[str]:
    if not STATISTICS[name].open_ended:
        yield "  The keys of this statistic are a closed list, always shown in full; this is none of them."
        return
    yield "  Too rare and never seen look the same on purpose: telling them apart would tell whether one person came."
    yield f"  If it was seen, it is part of {OTHER}. Declare it (catalogue or sitemap) to have it shown from then on."


def _next(statistics: Statistics, site: str, name: str, key: str, catalogue: Catalogue) -> Iterator[str]:
    if key in {_spelt(name, text) for text in catalogue.get(STATISTICS[name].catalogue, ())}:
        yield "  It is declared now: every release from now on shows it."
    if _is_from_logs(statistics, site):
        yield "  This site is counted from logs: the next release comes with its next days of logs."
        return
    first, last = _due(statistics, site, STATISTICS[name].schedule)
    yield f"  The next release covers {first} to {last} and comes when that is over (a site's own settings may differ)."


def _due(statistics: Statistics, site: str, schedule: Schedule) -> tuple[date, date]:
    """The next period by the release clock, from figures that are released."""
    releases = statistics.releases(site)
    daily = [r.period_end for r in releases if r.period_start == r.period_end]
    first, newest = min(r.period_start for r in releases), max(daily, default=releases[-1].period_end)
    if schedule == "daily":
        return newest + clock.DAY, newest + clock.DAY
    done = statistics.breakdown(site, "devices", first, newest).last_day
    start = done + clock.DAY if done else first
    seen = [r.value for r in statistics.daily(site, newest - (clock.LOOK_BACK - 1) * clock.DAY, newest)
            if r.metric == "visitors"]  # fmt: skip
    grain = clock.grain(mean(seen) if seen else None, None)
    return next(clock.periods(start, start + timedelta(days=62), grain, whole=True))
