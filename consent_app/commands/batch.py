"""`consent batch`: what the timer runs every hour."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from anonymiser import removal, spool
from consent_app import batch as batches
from consent_app import retention, upgrade
from consent_app.commands import witness
from consent_app.commands.times import MOMENT
from consent_app.errors import SettingsError
from consent_app.ledger import Ledger
from consent_app.settings import Settings
from consent_app.sites import Sites


@click.command()
@click.option("--now", type=MOMENT, help="Run as if it were this time, such as 2026-11-25T03:00Z (UTC unless it says).")
def batch(now: datetime | None) -> None:
    """Count the hours that ended, publish, remove and record it, erase what is past its time, ask the witnesses.

    Safe to run twice.
    """
    settings = Settings.from_environment()
    now = (now or settings.clock()).astimezone(UTC)
    _require_harmless(settings, now)
    sites = Sites.load(settings.sites_file)
    with Ledger(settings.ledger_file, settings.ledger_url) as ledger:
        report = batches.run(settings, sites, ledger, now)
        kept = retention.run(ledger, sites, now)
        ledger.sequence()
        upgrade.forget(settings, now)
        unsigned = [check.sentence for check in witness.checks(settings, ledger) if not check.ok]
    click.echo(
        f"{report.segments} hours' segments counted and removed; {len(report.releases)} periods released"
        f" to {settings.stats_file}"
    )
    if kept.entries or kept.complaints:
        told = f"{len(kept.entries):,} consent records and {len(kept.complaints):,} complaints"
        click.echo(f"  {told} were past their time and are erased")
    if report.torn:
        click.echo(f"  {report.torn:,} segments were cut short by a kill; what was whole in them is counted")
    for reason, count in sorted(report.dropped.items()):
        click.echo(f"  {count:,} facts left out: {reason}")
    for fault in (*report.damaged, *unsigned):
        click.echo(f"consent: {fault}", err=True)
    if report.damaged:
        raise click.exceptions.Exit(1)


def _require_harmless(settings: Settings, now: datetime) -> None:
    """A batch of the day after tomorrow would destroy the key of what a server collects today."""
    if now > settings.clock() + removal.LIMIT and any(not segment.closed for segment in spool.segments(settings.spool)):
        raise SettingsError(
            f"{now:%Y-%m-%dT%H:%MZ} is more than a day ahead, and facts that are being collected would be lost by "
            "then; stop the server first, or leave --now out"
        )
