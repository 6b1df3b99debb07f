"""`consent key`: who may ask the statistics API."""

from __future__ import annotations

from datetime import date, timedelta

import click

from consent_app.api_keys import ApiKey, ApiKeys
from consent_app.settings import Settings
from consent_app.sites import Sites


@click.group()
def key() -> None:
    """Keys of the statistics API (docs/api.md)."""


@key.command()
@click.argument("name")
@click.option("--site", "sites", multiple=True, help="A site it may ask about, also several.")
@click.option("--all-sites", is_flag=True, help="It may ask about every site, also later ones.")
@click.option("--days", type=click.IntRange(1, 3650), default=365, show_default=True, help="How long it is valid.")
def add(name: str, sites: tuple[str, ...], all_sites: bool, days: int) -> None:
    """Make a key and show it, this once. NAME says what uses it, such as "weekly spreadsheet"."""
    if bool(sites) == all_sites:
        raise click.UsageError("say which sites the key is for: --site KEY, also several, or --all-sites")
    settings = Settings.from_environment()
    declared = Sites.load(settings.sites_file)
    for site in sites:
        declared.get(site)
    today = settings.clock().date()
    made, text = ApiKeys(settings.api_keys).add(name, sites, today, today + timedelta(days=days))
    click.echo(f"Key {made.id}, {made.name}: {_seen(made)}, valid through {made.expires}.", err=True)
    click.echo("Copy it now; it is kept as a hash and cannot be shown again:", err=True)
    click.echo(text)


@key.command(name="list")
def list_keys() -> None:
    """One line for each key, the newest first; never the key itself."""
    settings = Settings.from_environment()
    keys, today = ApiKeys(settings.api_keys), settings.clock().date()
    found = keys.all()
    for each in found:
        used = keys.last_used(each) or "never"
        click.echo(f"{each.id}  {_standing(each, today):<22} used {used!s:<10}  {_seen(each)}  {each.name}")
    if not found:
        click.echo('There is no key yet; make one: consent key add "weekly spreadsheet" --site kent')


@key.command()
@click.argument("number", metavar="ID")
def revoke(number: str) -> None:
    """Shut out whoever has the key of this ID, at once."""
    settings = Settings.from_environment()
    gone = ApiKeys(settings.api_keys).revoke(number, settings.clock().date())
    click.echo(f"Key {gone.id}, {gone.name}, opens nothing any more.")


def _standing(each: ApiKey, today: date) -> str:
    if each.revoked:
        return f"revoked {each.revoked}"
    return f"valid to {each.expires}" if each.is_valid(today) else f"expired {each.expires}"


def _seen(each: ApiKey) -> str:
    return " ".join(each.sites) or "all sites"
