"""`consent retention` and `consent hold`: what is kept too long goes, unless a legal hold says that it stays."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import click

from consent_app import retention as schedule
from consent_app.commands.checks import report
from consent_app.commands.ledger import opened
from consent_app.ledger import Check, holds
from consent_app.settings import Settings
from consent_app.sites import Sites

DAY = click.DateTime(["%Y-%m-%d"])
BY = click.option("--by", required=True, help="The role or account that orders it, such as legal.")


@click.group()
def retention() -> None:
    """How long consent records and complaints are kept, and what is due."""


@retention.command()
def check() -> None:
    """Say what is kept past its time. Exit 1 where something is; what a legal hold keeps is told and is in order."""
    report(checks(Settings.from_environment()))


@retention.command()
def run() -> None:
    """Erase what is past its time, with a tombstone in the ledger. `consent batch` does so too. Safe to run twice."""
    settings = Settings.from_environment()
    with opened(settings) as ledger:
        found = schedule.run(ledger, Sites.load(settings.sites_file), settings.clock())
    click.echo(f"{len(found.entries)} consent records and {len(found.complaints)} complaints erased")
    click.echo(f"{len(found.held)} consent records stay under a legal hold")


@click.group()
def hold() -> None:
    """Legal holds: records that must stay for a claim, with reason, who and until when, in the ledger itself."""


@hold.command()
@click.argument("site")
@click.option("--receipt", "receipts", multiple=True, help="A receipt id, also several. Without: all of it.")
@click.option("--reason", required=True, help="Why, in your own words; name no visitor.")
@BY
@click.option("--until", type=DAY, required=True, help="The last day, such as 2027-03-31 (UTC).")
def add(site: str, receipts: tuple[str, ...], reason: str, by: str, until: datetime) -> None:
    """Keep the records of SITE, or of single receipts, until a day, though they be due or somebody ask for erasure."""
    settings = Settings.from_environment()
    key = Sites.load(settings.sites_file).get(site).key
    with opened(settings) as ledger:
        made = holds.add(ledger, key, receipts, reason=reason, by=by, until=until.date(), now=settings.clock())
    click.echo(f"Hold {made.hold} on {_covered(made)} until {made.until}. End it sooner: consent hold end {made.hold}")


@hold.command("list")
def list_holds() -> None:
    """One line for each hold that stands."""
    settings = Settings.from_environment()
    with opened(settings) as ledger:
        found = holds.standing(ledger, settings.clock().date())
    for each in found:
        click.echo(f"{each.hold}  until {each.until}  {_covered(each)}  by {each.by}: {each.reason}")
    if not found:
        click.echo("No hold stands.")


@hold.command("end")
@click.argument("name", metavar="HOLD")
@BY
def end_hold(name: str, by: str) -> None:
    """End a HOLD before its day."""
    settings = Settings.from_environment()
    with opened(settings) as ledger:
        holds.end(ledger, name, by, settings.clock())
    click.echo(f"Hold {name} is ended; what it kept past its time goes with the next `consent retention run`.")


def checks(settings: Settings) -> Iterator[Check]:
    """Whether anything is kept past its time."""
    with opened(settings) as ledger:
        found = schedule.due(ledger, Sites.load(settings.sites_file), settings.clock())
    if found.entries or found.complaints:
        sentence = f"{len(found.entries)} consent records and {len(found.complaints)} complaints are past their time"
        yield Check("retention", False, f"{sentence}; run `consent retention run`, and see that `consent batch` runs")
        return
    kept = f"; {len(found.held)} stay under a legal hold" if found.held else ""
    yield Check("retention", True, f"no consent record and no complaint is kept past its time{kept}")


def _covered(made: holds.Hold) -> str:
    return (
        f"{made.site}, entries {', '.join(map(str, sorted(made.entries)))}" if made.entries else f"all of {made.site}"
    )
