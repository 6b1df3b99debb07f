"""`consent migrate`: a home of an earlier release becomes one of this; every command that opens it does so too."""

from __future__ import annotations

from datetime import UTC
from typing import Final

import click

from consent_app import upgrade
from consent_app.settings import Settings

# What opens a home to work in it. `backup` is not among them: whoever goes back wants the home as it was.
OPENING: Final = (
    "serve", "batch", "verify", "retention", "hold", "notice", "rights", "keys", "user", "witness", "ledger"
)  # fmt: skip


@click.command()
@click.option("--check", is_flag=True, help="Say what would be done, and do nothing: exit 1 if there is something.")
def migrate(check: bool) -> None:
    """Bring the data home up to date with this release. It is copied first, and put back if that fails.

    `consent serve` and `consent batch` do the same when they start.
    """
    settings = Settings.from_environment()
    if not check:
        if not bring_up_to_date(settings):
            click.echo(f"{settings.home} is of this release; there is nothing to do")
        return
    steps = upgrade.due(settings)
    for step in steps:
        click.echo(f"{step.store}: {step.sentence}")
    click.echo(f"{len(steps)} steps are due; a copy is made first" if steps else "There is nothing to do")
    if steps:
        raise click.exceptions.Exit(1)


def bring_up_to_date(settings: Settings) -> bool:
    """Upgrade a home and say so; False where there was nothing to do. Raises SettingsError."""
    done = upgrade.run(settings, settings.clock().astimezone(UTC))
    if done is None:
        return False
    for sentence in done.sentences:
        click.echo(f"consent: {sentence}", err=True)
    elsewhere = "; the ledger's rows are in PostgreSQL, and not in it" if settings.ledger_url else ""
    click.echo(f"consent: brought up to date. The home of before is in {done.copy}, for a week{elsewhere}", err=True)
    return True
