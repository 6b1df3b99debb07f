"""`consent ledger`: look at the record of decisions and removals, and check it by itself."""

from __future__ import annotations

import json
from collections import deque

import click

from consent_app.commands.checks import guarded, report
from consent_app.errors import LedgerError
from consent_app.ledger import Ledger
from consent_app.settings import Settings


def opened(settings: Settings) -> Ledger:
    """The ledger of a home. Raises LedgerError when there is none: looking must not make one."""
    if not settings.ledger_file.exists():
        raise LedgerError(f"there is no ledger at {settings.ledger_file}; `consent init` makes one")
    return Ledger(settings.ledger_file)


@click.group()
def ledger() -> None:
    """The append-only record of decisions and removals."""


@ledger.command()
def verify() -> None:
    """Check every entry against the hash stored when it was appended. Exit 1 where something does not hold."""
    with opened(Settings.from_environment()) as book:
        report(guarded("ledger", book.verify))


@ledger.command()
@click.argument("subject", required=False)
@click.option("--last", type=click.IntRange(1), default=20, show_default=True, help="How many of the newest entries.")
def show(subject: str | None, last: int) -> None:
    """Print entries as JSON lines: the newest, or all about one record id or removed segment (SUBJECT)."""
    with opened(Settings.from_environment()) as book:
        entries = book.history(subject) if subject else deque(book.entries(), maxlen=last)
    if subject and not entries:
        raise LedgerError(f"no entry speaks of {subject!r}")
    for entry in entries:
        click.echo(json.dumps({"seq": entry.seq, "kind": entry.kind, "leaf": entry.leaf.hex(), "record": entry.record}))
