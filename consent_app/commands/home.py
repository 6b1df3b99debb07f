"""`consent init` and `consent keys`: a data home and its keys."""

from __future__ import annotations

from pathlib import Path

import click

from consent_app import home as data_home
from consent_app.settings import Settings


@click.command()
@click.option("--home", type=click.Path(path_type=Path), help="The folder to make (default: what CONSENT_HOME names).")
def init(home: Path | None) -> None:
    """Make a data home: sites.toml, notices, keys, an empty ledger. Overwrites nothing."""
    settings = Settings.from_environment(home=home)
    data_home.create(settings)
    where = "the ledger in PostgreSQL" if settings.ledger_url else settings.ledger_file.name
    click.echo(f"Made {settings.home}: sites.toml, notices, secrets (yours alone), {where}. Next:")
    for line in (
        f"  export CONSENT_HOME={settings.home.resolve()}",
        f"  edit {settings.sites_file} and the notices beside it, then: consent site check",
        "  consent user add NAME       somebody who may see the figures",
        "  consent serve               the server; CONSENT_PUBLIC_URL says where browsers reach it",
        "  consent batch               every hour, by a timer",
        "  consent verify              proves what this home promises",
    ):
        click.echo(line)


@click.group()
def keys() -> None:
    """The keys that sign cookies, sessions and the ledger."""


@keys.command()
def rotate() -> None:
    """Add a new newest key; drop those whose signatures have all expired."""
    for file, dropped in data_home.rotate(Settings.from_environment()):
        click.echo(f"{file}: a new key signs, older ones still verify; {dropped} expired and dropped")
    click.echo("Start the server again within a week: until then it signs with the key it knows.")
