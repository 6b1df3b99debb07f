"""`consent backup` and `consent restore`: a data home as one file, its secrets as another."""

from __future__ import annotations

from pathlib import Path

import click

from consent_app import backup as backups
from consent_app.settings import Settings

FILE = click.Path(path_type=Path, dir_okay=False)


@click.command()
@click.argument("file", type=FILE)
@click.option("--secrets", is_flag=True, help="The keys alone, for a file that is kept somewhere else.")
def backup(file: Path, secrets: bool) -> None:
    """Write the data home to FILE (tar, mode 0600), while the server runs. Its keys are not in it: see --secrets.

    Spool, hour keys and held counts are left out: what is removed must not live on in a copy.
    """
    settings = Settings.from_environment()
    count = backups.save(settings, file, secrets=secrets)
    click.echo(f"{count} files of {settings.home} are in {file}")
    if settings.ledger_url and not secrets:
        click.echo("The ledger's rows are in PostgreSQL and not in this file: back them up with pg_dump, at once.")
    if not secrets:
        click.echo("Keep the keys apart from it: consent backup --secrets FILE")


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--home", required=True, type=click.Path(path_type=Path), help="The folder to make.")
def restore(files: tuple[Path, ...], home: Path) -> None:
    """Make a data home out of backup FILES: that of the home and that of its secrets. Then: consent verify."""
    count = backups.restore(home, list(files))
    click.echo(f"{count} files are in {home}. Next: CONSENT_HOME={home} consent verify, then consent batch")
