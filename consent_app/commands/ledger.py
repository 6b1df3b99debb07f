"""`consent ledger`: look at the record of decisions and removals, check it, give a copy away. No server, no network."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

import click

from consent_app.commands.checks import guarded, report
from consent_app.errors import LedgerError
from consent_app.ledger import Check, Ledger, dropping, export, moving
from consent_app.private_files import require_private
from consent_app.settings import Settings

URL_FILE: Final = "ledger.url"
FILE: Final = click.Path(path_type=Path, exists=True, dir_okay=False)
SINCE: Final = click.option("--since", type=FILE, help="A checkpoint kept from earlier, from which today's must go on.")
PROOF: Final = click.option("--proof", type=FILE, multiple=True, help="A .tlog-proof that must be of this ledger.")


def opened(settings: Settings) -> Ledger:
    """The ledger of a home. Raises LedgerError when there is none: looking must not make one."""
    return Ledger(settings.ledger_file, settings.ledger_url, make=False)


def checks(book: Ledger, since: Path | None, proofs: tuple[Path, ...]) -> Iterator[Check]:
    """Every check of a ledger, of the checkpoint it must go on from, and of the proofs that must be its own."""
    yield from book.verify(since.read_bytes() if since else None)
    for file in proofs:
        yield book.verify_proof(file.name, file.read_bytes())


@click.group()
def ledger() -> None:
    """The append-only record of decisions and removals, in a signed tree."""


@ledger.command()
@click.argument("copy", required=False, type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--key", type=FILE, help="The log's public key (log.vkey), for a COPY.")
@SINCE
@PROOF
def verify(copy: Path | None, key: Path | None, since: Path | None, proof: tuple[Path, ...]) -> None:
    """Check every entry, the signed tree over all of them and what is published. Exit 1 where something does not hold.

    COPY is a folder that `consent ledger export` made: it is checked by itself, without a data home.
    """
    if copy:
        known = key.read_text("utf-8") if key else None
        report(guarded("export", lambda: _checks_of_copy(copy, known, since)))
        return
    with opened(Settings.from_environment()) as book:
        report(guarded("ledger", lambda: checks(book, since, proof)))


@ledger.command("export")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--year", type=click.IntRange(1970, 9999), help="The log of one year alone.")
@click.option("--records", is_flag=True, help="The records too, with their nonces: for an auditor, not for everybody.")
def give_copy(folder: Path, year: int | None, records: bool) -> None:
    """Copy the signed logs of all years into FOLDER, for `consent ledger verify FOLDER` anywhere."""
    with opened(Settings.from_environment()) as book:
        with suppress(LedgerError):  # what cannot be signed now is not in the copy
            book.sequence()
        size = book.export(folder, year, records=records)
    click.echo(f"Copied {size} entries to {folder}; verify it with: consent ledger verify {folder}")


@ledger.command("copy")
@click.option("--to", "where", required=True, help="URL of an empty database, or a file that holds it.")
def move(where: str) -> None:
    """Copy the whole ledger into another database, for when one machine is not enough any more.

    Stop the server first. Entries, numbers and signed heads are the same; every check is made before it is committed.
    """
    settings = Settings.from_environment()
    url = where
    if Path(where).is_file():
        require_private(Path(where))
        url = Path(where).read_text("utf-8").strip()
    with opened(settings) as book, Ledger(settings.ledger_file, url) as target:
        count = moving.copy(book, target)
    click.echo(f"Copied {count} entries; every check of the copy holds. Put the URL into {settings.secrets / URL_FILE}")
    click.echo("(mode 0600) before you start the server again, and keep the old database until `consent verify` holds.")


@ledger.command()
def years() -> None:
    """Print each year's log: its entries, whether it is finished, and where it is published."""
    with opened(Settings.from_environment()) as book:
        for log in book.logs():
            numbers = (
                f"entries {log.first} to {log.past - 1}, finished" if log.past else f"from entry {log.first}, goes on"
            )
            gone = "; dropped, its last checkpoint stays" if log.gone else ""
            click.echo(f"{log.year or 'not signed yet'}: {numbers}{gone}")


@ledger.command()
@click.argument("year", type=click.IntRange(1970, 9999))
def drop(year: int) -> None:
    """Take the finished log of YEAR out of the ledger for good, once all its consent records are erased.

    Its last checkpoint stays published, and the next year's log names it. Export it first if you want to keep it.
    """
    settings = Settings.from_environment()
    with opened(settings) as book:
        last = dropping.drop(book, year, settings.clock())
    click.echo(f"The log of {year} is dropped; its last checkpoint stays: {last.size} entries, root {last.root.hex()}")


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


def _checks_of_copy(copy: Path, key: str | None, since: Path | None) -> Iterator[Check]:
    yield from export.checks(copy, key)
    if since:
        yield export.since(copy, since.read_bytes(), key)
