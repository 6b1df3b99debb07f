"""`consent verify`: does this home keep what it promises? One line a check, without a network, without the server."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Final

import click

from anonymiser import check as statistics_check
from anonymiser import removal
from anonymiser.removal import Removal
from consent_app import batch, home
from consent_app.archive import Archive
from consent_app.commands import retention
from consent_app.commands.checks import Verdict, guarded, report
from consent_app.commands.ledger import PROOF, SINCE, checks, opened
from consent_app.ledger import Check, Ledger, cosigned
from consent_app.receipts import SECOND, Seal
from consent_app.settings import Settings
from consent_app.sites import Sites

NOT_CHECKED: Final = (
    "Not checked, because a home cannot show it: that everything which was decided was recorded, and what others keep. "
    "Who holds the signing key can sign another history: witnesses, --since and --proof find that."
)
LATE_FAILS_FOR: Final = timedelta(days=31)
HOUR: Final = "%Y-%m-%dT%HZ"
Checks = Iterator[Verdict]


@click.command()
@SINCE
@PROOF
def verify(since: Path | None, proof: tuple[Path, ...]) -> None:
    """Check ledger, notices, keys, removal and statistics. Exit 0 only if all hold."""
    try:
        report(_all(Settings.from_environment(), since, proof))
    finally:
        click.echo(NOT_CHECKED)


def _all(settings: Settings, since: Path | None, proofs: tuple[Path, ...]) -> Checks:
    yield from guarded("keys", partial(_keys, settings))
    yield from guarded("sites", partial(_sites, settings))
    yield from guarded("ledger", partial(_ledger, settings, since, proofs))
    yield from guarded("retention", partial(retention.checks, settings))
    yield from guarded("statistics", partial(_statistics, settings))


def _keys(settings: Settings) -> Checks:
    Seal(settings.signing_keys, settings.clock)
    count = home.require_private_parts(settings)
    yield Check(
        "keys", True, f"{count} files and folders are their owner's alone; signing keys: {len(settings.signing_keys)}"
    )


def _sites(settings: Settings) -> Checks:
    sites = Sites.load(settings.sites_file)
    for site in sites:
        batch.rules(site)
    yield Check("sites", True, f"{len(sites.all)} sites are declared, and no line of sites.toml is refused")


def _ledger(settings: Settings, since: Path | None, proofs: tuple[Path, ...]) -> Checks:
    with opened(settings) as ledger:
        yield from guarded("ledger", partial(checks, ledger, since, proofs))
        yield from guarded("ledger witness", partial(_witnesses, settings, ledger))
        yield from guarded("shown notices", partial(_shown_notices, settings, ledger))
        yield from guarded("archive", partial(Archive.of(settings).checks, ledger))
        yield from guarded("removal", partial(_removal, settings, ledger))
        yield from guarded("removal times", partial(_removal_times, settings, ledger))


def _witnesses(settings: Settings, ledger: Ledger) -> Checks:
    yield from cosigned.checks(ledger.published, cosigned.asked(settings.home))


def _shown_notices(settings: Settings, ledger: Ledger) -> Checks:
    shown = {site.notice.sha256: site.key for site in Sites.load(settings.sites_file)}
    kept = {sha256 for _, sha256 in ledger.notices()}
    lost = [
        f"the notice of {key} is not archived; start the server once" for sha, key in shown.items() if sha not in kept
    ]
    yield Check("shown notices", not lost, lost[0] if lost else f"each of the {len(shown)} notices shown is archived")


def _removal(settings: Settings, ledger: Ledger) -> Checks:
    left = batch.left(settings, ledger, settings.clock())
    more = f" (and {len(left) - 1} more)" if len(left) > 1 else ""
    good = f"no facts are older than a day; {len(ledger.removed())} removals are in the ledger, none is missing"
    yield Check("removal", not left, left[0] + more if left else good)


def _removal_times(settings: Settings, ledger: Ledger) -> Checks:
    """A removal that came late stays in the ledger for good; it fails the checks of a month, not all there will be."""
    removals = [
        Removal(said.segment, _moment(said.hour, HOUR), _moment(said.time, SECOND)) for said in ledger.removals()
    ]
    since = settings.clock() - LATE_FAILS_FOR
    late = removal.late(removals)
    recent = removal.late(each for each in removals if each.time >= since)
    more = f" (and {len(recent) - 1} more)" if len(recent) > 1 else ""
    earlier = f"; {len(late)} came late, none of them in the last {LATE_FAILS_FOR.days} days" if late else ""
    good = (
        f"each of {len(removals)} removals came within {removal.LIMIT // timedelta(hours=1)} hours of its hour{earlier}"
    )
    yield Check("removal times", not recent, recent[0] + more if recent else good)


def _moment(text: str, form: str) -> datetime:
    return datetime.strptime(text, form).replace(tzinfo=UTC)


def _statistics(settings: Settings) -> Checks:
    if not settings.stats_file.exists():
        yield Check("statistics", True, "there is no statistics file, so no figures are shown to anybody")
        return
    for finding in statistics_check.check(settings.stats_file):
        yield Check(f"statistics {finding.name}", finding.ok, finding.sentence)
