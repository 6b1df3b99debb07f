"""The batch, to be read from top to bottom: read, count, hold, protect, publish, remove.

Two ways in: the spool of the web servers (`run_spool`) and anybody's log files (`run_logs`). From the held counts on
there is one way. Each step may be killed: the next run goes on where it stopped, and counts nothing twice.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Final

from anonymiser import clock, coverage, removal, spool, weblogs
from anonymiser.bounds import STATISTICS, Schedule
from anonymiser.closing import answers, periods
from anonymiser.coverage import LATE
from anonymiser.engines import Engine, LogCounts, Progress
from anonymiser.engines.duckdb import DuckDBEngine
from anonymiser.errors import InputError, SegmentError
from anonymiser.facts import Fact
from anonymiser.holding import Cell, Holding
from anonymiser.hour_keys import HourKeys
from anonymiser.protect import at_hand
from anonymiser.protect.budget import Budget, exclusive
from anonymiser.publish import publish
from anonymiser.removal import Removal, gone, overdue, remove_files
from anonymiser.reports import LogReport, SpoolReport
from anonymiser.settings import SiteRules, Source, Workspace
from anonymiser.unsealing import read

__all__ = ["LogReport", "SpoolReport", "leftovers", "run_logs", "run_spool"]

FACTS_AT_ONCE: Final = 500_000
HOUR: Final = timedelta(hours=1)
LOGS: Final = "logs"
UNKNOWN_SITE: Final = "unknown-site"
SCHEDULES: Final[tuple[Schedule, ...]] = ("daily", "breakdown")
OTHER_SOURCE: Final = "site-counted-from-logs"


@dataclass(slots=True)
class _Run:
    """What a run's steps share."""

    workspace: Workspace
    budget: Budget
    now: datetime
    engine: Engine
    limit: timedelta = removal.LIMIT
    holdings: dict[str, Holding] = field(default_factory=dict)

    def holding(self, site: str) -> Holding:
        if site not in self.holdings:
            self.holdings[site] = Holding(self.workspace.private / "holding", site)
        return self.holdings[site]


def run_spool(
    workspace: Workspace,
    directory: Path,
    rules: Sequence[SiteRules],
    now: datetime,
    *,
    keys: Path | None = None,
    recorded: Callable[[Removal], None] | None = None,
    memory: str = "2GB",
) -> SpoolReport:
    """Make the keys of the hours to come, count the segments of ended hours, remove them, release what is over.

    Running twice changes nothing. `recorded` is told of every removal and must return only when it is written down; it
    may hear of one twice. `keys` is the folder of the hours' keys where that is not the workspace's.
    """
    keys = keys or workspace.private
    alone = nullcontext() if keys == workspace.private else exclusive(keys)
    with exclusive(workspace.private), alone, Budget(workspace.private) as budget:
        run = _Run(workspace, budget, now, DuckDBEngine(memory), _limit(rules))
        known = {site.key: site for site in rules}
        for key in known:
            run.holding(key)  # a damaged one must be known before anything is removed
        hours = HourKeys(keys)
        hours.provide(directory, now)
        spool.seal_abandoned(directory, now)
        report = _count_segments(run, directory, hours, known)
        _record(run, directory, recorded)
        made = [release for site in rules for release in _close(run, site, "beacons", whole=True)]
        _expire(run, rules)
        _publish(run)
        _erase(run)
        budget.note(now, "spool", {"segments": report.segments, "facts": report.facts, "torn": report.torn,
                                   "dropped": report.dropped})  # fmt: skip
        return replace(report, releases=tuple(made))


def run_logs(
    workspace: Workspace,
    files: Sequence[Path],
    rules: SiteRules,
    now: datetime,
    *,
    format: str = "auto",  # noqa: A002 - the option's own name
    ongoing: bool = False,
    skip_released: bool = False,
    remove: bool = False,
    memory: str = "2GB",
    progress: Progress | None = None,
) -> LogReport:
    """Count log files and release every day they cover; a later run over the same files changes nothing.

    `ongoing` logs are still being written: their last day waits for the next run, and so do breakdowns whose period
    was asked for and is not over. Raises ReleaseConflict when other input was released for one of these days, unless
    `skip_released` (or `ongoing`) says to leave such days out; InputError for what cannot be read.
    """
    with exclusive(workspace.private), Budget(workspace.private) as budget:
        run = _Run(workspace, budget, now, DuckDBEngine(memory))
        _check_logs(run, rules, files, format)
        made = _release_days(run, rules, "logs") if run.holding(rules.key).days else []
        rules = replace(rules, crossed=_is_wide(run, rules))
        with at_hand(rules.protection):
            found = run.engine.count_logs(files, rules, format=format, latest=now + clock.DAY, progress=progress)
        dropped = _hold_logs(run, rules, found, ongoing=ongoing, skip_released=skip_released or ongoing)
        made += _close(run, rules, "logs", whole=ongoing and rules.grain is not None)
        _expire(run, [rules])
        _publish(run)
        _erase(run)
        report = LogReport(found.read, found.counted - dropped.total(), {**found.dropped, **dropped}, found.rejected,
                           found.rejected_total, tuple(made))  # fmt: skip
        budget.note(now, "logs", {"site": rules.key, "read": report.read, "counted": report.counted,
                                  "dropped": report.dropped, "rejected": report.rejected_total})  # fmt: skip
        if remove and (report.counted or dropped[LATE]):
            remove_files(files)
        return report


def leftovers(
    workspace: Workspace, directory: Path, now: datetime, recorded: set[str], rules: Sequence[SiteRules] = ()
) -> list[str]:
    """What should be gone and is not, or is gone and not recorded; nothing while the promise is kept."""
    with Budget(workspace.private) as budget:
        removing = budget.unrecorded()
    removed = gone(directory, removing, now)
    unsaid = [
        f"segment {r.segment} is gone, but no removal of it is recorded" for r in removed if r.segment not in recorded
    ]
    late = overdue(directory, HourKeys(workspace.private), removing, now, _limit(rules))
    return sorted([*late, *unsaid])


def _limit(rules: Sequence[SiteRules]) -> timedelta:
    """How long facts may wait: a segment holds those of every site, so the strictest site decides for all."""
    return min((timedelta(hours=site.retention_hours) for site in rules), default=removal.LIMIT)


# -- count ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Part:
    """One closed segment and its facts."""

    segment: spool.Segment
    facts: list[Fact]
    torn: int


def _count_segments(run: _Run, directory: Path, keys: HourKeys, known: Mapping[str, SiteRules]) -> SpoolReport:
    """Fold every closed segment into the holdings; then destroy the keys of the hours that are done; then unlink."""
    segments, facts, torn, dropped, damaged = 0, 0, 0, Counter[str](), list[str]()
    for parts in _chunks(directory, keys, run.budget.unrecorded(), damaged):
        dropped += _fold(run, parts, known)
        run.budget.removing({part.segment.id: part.segment.hour for part in parts})
        segments, facts = segments + len(parts), facts + sum(len(part.facts) for part in parts)
        torn += sum(part.torn for part in parts)
    damaged += _give_up(run, directory)
    counted = run.budget.unrecorded()
    removal.destroy_keys(directory, keys, counted, run.now, run.limit)
    removal.remove(directory, counted)
    return SpoolReport(segments, facts, dict(dropped), tuple(damaged), (), torn)


def _give_up(run: _Run, directory: Path) -> list[str]:
    """Have removed what can never be counted, or is not there any more; says so."""
    counted = run.budget.unrecorded()
    lost = removal.lost(directory, counted, run.now)
    expired = removal.expired(directory, counted, run.now, run.limit)
    run.budget.removing(lost | expired)
    return [
        *(f"segment {name} was begun and is gone; somebody removed it before it was counted" for name in lost),
        *(
            f"segment {name} could not be counted in {run.limit // HOUR} hours, and is removed unread"
            for name in expired
        ),
    ]


def _chunks(directory: Path, keys: HourKeys, counted: Collection[str], damaged: list[str]) -> Iterator[list[_Part]]:
    """Closed segments with their facts, as many at once as memory should hold. Those that an earlier run has counted
    and could not unlink are not read again: their key is gone.
    """
    parts: list[_Part] = []
    for segment in spool.segments(directory):
        if not segment.closed or segment.id in counted:
            continue
        try:
            found = read(segment, keys)
            parts.append(_Part(segment, found.facts, found.torn))
        except SegmentError as error:
            damaged.append(str(error))
        if sum(len(part.facts) for part in parts) >= FACTS_AT_ONCE:
            yield parts
            parts = []
    if parts:
        yield parts


def _fold(run: _Run, parts: Sequence[_Part], known: Mapping[str, SiteRules]) -> Counter[str]:
    """Add facts to their sites' holdings; how many were dropped, by reason."""
    by_site: dict[str, dict[str, list[Fact]]] = defaultdict(lambda: defaultdict(list))
    for part in parts:
        for fact in part.facts:
            by_site[fact.site][part.segment.id].append(fact)
    hours = {part.segment.id: part.segment.hour.isoformat() for part in parts}
    dropped = Counter[str]()
    for site, segments in by_site.items():
        if site in known:
            dropped += _fold_site(run, site, segments, hours)
        else:
            dropped[UNKNOWN_SITE] += sum(map(len, segments.values()))
    return dropped


def _fold_site(run: _Run, site: str, segments: Mapping[str, list[Fact]], hours: Mapping[str, str]) -> Counter[str]:
    """Fold what is not folded yet. Counts and segment names are written in one atomic replacement."""
    holding = run.holding(site)
    facts = [fact for name, rows in segments.items() if name not in holding.folded for fact in rows]
    if run.budget.source(site, "beacons") != "beacons":
        return Counter({OTHER_SOURCE: len(facts)})
    covered = run.budget.covered(site, "daily")
    closed = covered[1].isoformat() if covered else ""
    early = [fact for fact in facts if fact.day > closed]
    if facts:
        holding.fold({name: hours[name] for name in segments}, run.engine.sum_facts(early))
        holding.save()
    return Counter({LATE: len(facts) - len(early)})


def _record(run: _Run, directory: Path, recorded: Callable[[Removal], None] | None) -> None:
    """Say which segments are gone; only then their names are forgotten."""
    removed = gone(directory, run.budget.unrecorded(), run.now)
    for one in removed:
        if recorded:
            recorded(one)
    removal.forget(directory, (one.segment for one in removed))
    run.budget.recorded(one.segment for one in removed)
    there = {segment.id for segment in spool.segments(directory)}
    for holding in run.holdings.values():
        holding.forget([name for name, kind in holding.folded.items() if kind != LOGS and name not in there])


def _check_logs(run: _Run, rules: SiteRules, files: Sequence[Path], asked: str) -> None:
    """Refuse bad input before anything is read or remembered."""
    run.holding(rules.key)
    run.budget.refuse_other_zone(rules.key, rules.timezone)
    weblogs.check_files(files)
    for path in files:
        weblogs.check_format(path, asked)


def _hold_logs(run: _Run, rules: SiteRules, found: LogCounts, *, ongoing: bool, skip_released: bool) -> Counter[str]:
    """Hold the counts of the days that can be released; the page views of all others, by reason."""
    if not found.counts:
        return Counter()
    if run.budget.source(rules.key, "logs") != "logs":
        raise InputError(
            f"site {rules.key!r} is counted from its beacons; its logs would count the same visits again. "
            "Give the logs a site key of their own"
        )
    unwanted = coverage.left_out(
        coverage.visitors(found.counts),
        run.budget.answered(rules.key, "daily"),
        fewest=rules.protection.k,
        closed=clock.last_closed(run.now, rules.zone) if ongoing else None,
    )
    holding = run.holding(rules.key)
    if not (skip_released or found.digest in holding.folded or run.budget.knows(rules.key, found.digest)):
        coverage.refuse_late(rules.key, unwanted)
    wanted = {cell: count for cell, count in found.counts.items() if cell[0] not in unwanted}
    if wanted:
        run.budget.learn_zone(rules.key, rules.timezone)
        holding.fold({found.digest: LOGS}, wanted)
        holding.save()
    dropped = Counter[str]()
    for day, reason in unwanted.items():
        dropped[reason] += found.views.get(day, 0)
    return +dropped


# -- protect ----------------------------------------------------------------------------------------------------------


def _close(run: _Run, rules: SiteRules, source: Source, *, whole: bool) -> list[str]:
    """Release every day, and every period of the breakdowns, that is over. Returns the new releases' identifiers."""
    made = _release_days(run, rules, source)
    return made + _answer(run, rules, source, "breakdown", _breakdown_periods(run, rules, whole=whole))


def _release_days(run: _Run, rules: SiteRules, source: Source) -> list[str]:
    held = [date.fromisoformat(day) for day in run.holding(rules.key).days]
    answered = run.budget.answered(rules.key, "daily")
    if not (held or answered) or source != run.budget.source(rules.key, source):
        return []
    days = coverage.days(held, answered) if source == "logs" else _days_until_now(run, rules, held, answered)
    return _answer(run, rules, source, "daily", [(day, day) for day in days])


def _days_until_now(run: _Run, rules: SiteRules, held: Sequence[date], answered: Collection[date]) -> Iterator[date]:
    first = max(answered) + clock.DAY if answered else held[0]
    return clock.days(first, clock.last_closed(run.now, rules.zone))


def _breakdown_periods(run: _Run, rules: SiteRules, *, whole: bool) -> list[tuple[date, date]]:
    """The breakdowns' periods among the days whose totals are released; their length follows those totals."""
    left = run.budget.answered(rules.key, "daily") - run.budget.answered(rules.key, "breakdown")
    if not left:
        return []
    grain = clock.grain(run.budget.daily_visitors(rules.key, clock.LOOK_BACK), rules.grain)
    spans = clock.stretches(left, 1)
    return [period for first, last in spans for period in clock.periods(first, last, grain, whole=whole)]


def _answer(
    run: _Run, rules: SiteRules, source: Source, schedule: Schedule, spans: Sequence[tuple[date, date]]
) -> list[str]:
    """Protect the periods' counts and keep the answer for ever, in one transaction."""
    if not spans:
        return []
    counts = run.holding(rules.key).counts
    wide = _wide_days(run, rules, schedule, spans)
    made = list(answers(rules, source, schedule, periods(counts, schedule, spans, wide), run.now))
    run.budget.keep(made)
    return [answer.release.release_id for answer in made]


def _wide_days(run: _Run, rules: SiteRules, schedule: Schedule, spans: Sequence[tuple[date, date]]) -> set[date]:
    """Which days have the wide set of statistics. That of a day is chosen here, from figures that are released already,
    and kept with its totals, the first that is released of it. Breakdowns follow what was kept.
    """
    if schedule == "breakdown":
        return run.budget.wide_days(rules.key)
    return {day for day, _ in spans} if _is_wide(run, rules) else set()


def _is_wide(run: _Run, rules: SiteRules) -> bool:
    return clock.is_wide(run.budget.daily_visitors(rules.key, clock.LOOK_BACK), rules.crossed)


# -- publish and remove -----------------------------------------------------------------------------------------------


def _expire(run: _Run, rules: Sequence[SiteRules]) -> None:
    """Let go of figures that are older than their site keeps them."""
    for site in rules:
        if site.retention_months is not None:
            run.budget.expire(site.key, run.now.astimezone(site.zone).date(), site.retention_months)


def _publish(run: _Run) -> None:
    """Copy every released cell into a new statistics file, unless the one that is there shows them all."""
    if run.budget.unpublished() or not run.workspace.stats.exists():
        publish(run.workspace.stats, run.budget.releases(), run.budget.cells())
        run.budget.published()


def _erase(run: _Run) -> None:
    """Erase the exact counts of released periods; the file's key changes with it."""
    for site, holding in run.holdings.items():
        done = {schedule: {day.isoformat() for day in run.budget.answered(site, schedule)} for schedule in SCHEDULES}
        inputs = [name for name, kind in holding.folded.items() if kind == LOGS]
        before = len(holding.counts)
        holding.erase(partial(_is_released, done))
        for digest in inputs:
            run.budget.learn(site, digest)
        holding.forget(inputs)
        if inputs or len(holding.counts) != before:
            holding.save()


def _is_released(done: Mapping[Schedule, Collection[str]], cell: Cell) -> bool:
    statistic = STATISTICS.get(cell[1])
    return cell[0] in done[statistic.schedule if statistic else "daily"]
