"""The `consent` command. Exit codes: 0 done, 1 a check failed, 2 bad usage or input; never a traceback."""

from __future__ import annotations

import errno
from contextlib import suppress
from typing import Any, Final

import click

from anonymiser.errors import AnonymiserError
from consent_app.commands import (
    audit,
    backup,
    batch,
    demo,
    home,
    key,
    ledger,
    migrate,
    receipt,
    report,
    retention,
    rights,
    ropa,
    scan,
    serve,
    sites,
    users,
    verify,
    witness,
)
from consent_app.errors import ConsentError, LedgerError
from consent_app.settings import Settings

BAD_INPUT: Final = 2


class Told(click.Group):
    """A group that prints our own errors, and what the disk refuses, as one line each."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command. Raises click's Exit with 2 after a printed error."""
        try:
            return super().invoke(ctx)
        except (ConsentError, AnonymiserError) as error:
            raise _told(str(error)) from error
        except OSError as error:
            if error.errno == errno.EPIPE:
                raise
            raise _told(f"{error.filename or 'the system'}: {error.strerror or error}") from error

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; a home of an earlier release is brought up to date before one opens it."""
        name, command, words = super().resolve_command(ctx, args)
        if name in migrate.OPENING and not {"--help", "-h"} & {*words}:
            with suppress(LedgerError):  # what cannot be read is for the command to tell
                migrate.bring_up_to_date(Settings.from_environment())
        return name, command, words


def _told(text: str) -> click.exceptions.Exit:
    click.echo(f"consent: {' '.join(text.split())}", err=True)
    return click.exceptions.Exit(BAD_INPUT)


@click.group(cls=Told, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="consent-app")
def main() -> None:
    """Consent banner, ledger and statistics without identifiers.

    The data home is the folder that CONSENT_HOME names (else ./consent-home); docs/settings.md lists every setting.
    """


for command in (
    home.init,
    home.keys,
    demo.demo,
    serve.serve,
    backup.backup,
    backup.restore,
    batch.batch,
    migrate.migrate,
    verify.verify,
    ledger.ledger,
    receipt.receipt,
    report.report_command,
    retention.retention,
    retention.hold,
    witness.witness,
    sites.site,
    sites.notice,
    users.user,
    audit.audit,
    key.key,
    rights.rights,
    ropa.ropa,
    scan.scan,
):
    main.add_command(command)
audit.watch(main)
