"""`consent rights`: what the pages at /your-data do, for whoever was handed a receipt; and the complaints."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import click

from consent_app import create_app
from consent_app.commands.checks import guarded, report
from consent_app.commands.ledger import FILE, opened
from consent_app.complaints import DAYS, Complaint, Complaints
from consent_app.errors import ConsentError
from consent_app.ledger.keys import read_public
from consent_app.rights import check, exercise
from consent_app.rights.exercise import Holding
from consent_app.rooms import NAME, Rooms
from consent_app.settings import Settings
from consent_app.sites import Sites

METHOD: Final = "api"
RECEIPT: Final = click.argument("receipt")
OUT: Final = click.Path(path_type=Path, dir_okay=False)


@contextmanager
def _rooms() -> Iterator[Rooms]:
    """The parts that the pages work with, of this home; what was appended is signed when this ends."""
    settings = Settings.from_environment()
    with opened(settings):  # a home without a ledger is told, not made
        pass
    here: Rooms = create_app(settings).extensions[NAME]
    try:
        yield here
    finally:
        here.spool.close()
        here.statistics.close()
        here.ledger.close()


def _held(here: Rooms, receipt: str) -> Holding:
    """What a receipt stands for: its number, or a file that holds the number. Raises NotFoundError."""
    file = Path(receipt)
    return exercise.by_number(here, file.read_text("utf-8", "replace") if file.is_file() else receipt)


@click.group()
def rights() -> None:
    """Data rights by RECEIPT: its number of 32 digits, or a receipt file."""


@rights.command()
@RECEIPT
@click.option("--out", type=OUT, help="A new file to write to (default: standard output).")
def export(receipt: str, out: Path | None) -> None:
    """Copy and portability: everything held, as one JSON file."""
    with _rooms() as here:
        document = exercise.copy(here, _held(here, receipt))
    _give(json.dumps(document, indent=2, ensure_ascii=False), out)


@rights.command()
@RECEIPT
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--out", type=OUT, help="A new file for the receipt of the erasure (default: standard output).")
def erase(receipt: str, yes: bool, out: Path | None) -> None:
    """Erasure: take the records away for good; prints a receipt that can be checked without us."""
    with _rooms() as here:
        holding = _held(here, receipt)
        if not yes:
            click.confirm(
                f"Erase {len(holding.entries)} records of {holding.site.name} for good?", abort=True, err=True
            )
        tombstone = exercise.erase(here, holding)
        document = exercise.erasure_receipt(here, tombstone) if tombstone else None
    _give(json.dumps(document, indent=2), out)


@rights.command("object")
@RECEIPT
@click.option("--lang", default="en", show_default=True, help="In which language it was asked for.")
def stop(receipt: str, lang: str) -> None:
    """Objection and restriction: record that everything optional is off."""
    with _rooms() as here:
        holding = _held(here, receipt)
        exercise.stop(here, holding, method=METHOD, lang=lang)
    click.echo(f"Recorded for {holding.site.name}: objected. {_ELSEWHERE}")
    click.echo(
        "Page views carry no number, on purpose, so nothing tells that browser from others: it counts on until “Reject "
        f"all” is pressed in it once. Tell the visitor: {exercise.stopped_at(holding.site)}"
    )


@rights.command()
@RECEIPT
@click.option("--allow", multiple=True, metavar="KEY", help="A purpose or service that is allowed.")
@click.option("--refuse", multiple=True, metavar="KEY", help="One that is not.")
@click.option("--lang", default="en", show_default=True, help="In which language it was asked for.")
def correct(receipt: str, allow: tuple[str, ...], refuse: tuple[str, ...], lang: str) -> None:
    """Correction: add a changed decision; what was recorded before stays what it was."""
    changed = dict.fromkeys(allow, True) | dict.fromkeys(refuse, False)
    if not changed or set(allow) & set(refuse):
        raise ConsentError("say what changes, each key once: --allow KEY, --refuse KEY")
    with _rooms() as here:
        holding = _held(here, receipt)
        made = exercise.correct(here, holding, changed, method=METHOD, lang=lang).receipt
    said = ", ".join(f"{key} {'on' if allowed else 'off'}" for key, allowed in sorted(made.decisions.items()))
    click.echo(f"Recorded for {holding.site.name}: {said}. {_ELSEWHERE}")


@rights.command()
@click.argument("file", type=FILE)
@click.option("--key", type=FILE, help="The log's public keys (log.vkey), kept from when you first met the log.")
def verify(file: Path, key: Path | None) -> None:
    """Check a copy or the receipt of an erasure by itself, without a server or a data home. Exit 1 where it fails.

    Without --key it is checked under the key that came with it, which anybody could have put there.
    """
    document = check.read(file.read_bytes())
    known = read_public(key.read_text("utf-8") if key else _came_with(document))
    if not key:
        click.echo("Checked under the key that came with the file; compare it with one you had before (--key).")
    report(guarded("rights", lambda: check.checks(document, known)))


def _came_with(document: Mapping[str, Any]) -> str:
    """The public key that came with a copy or an erasure receipt."""
    return str(document.get("log_key") or document.get("verify", {}).get("log_key", ""))


@rights.group()
def complaint() -> None:
    """Complaints about data protection, each with its reference number and its clock of 30 days."""


@complaint.command("list")
@click.option("--all", "everything", is_flag=True, help="The closed ones too.")
def list_complaints(everything: bool) -> None:
    """One line for each complaint, the most urgent first."""
    with _desk() as (desk, sites, now):
        found = [each for each in desk.of_sites(site.key for site in sites) if everything or each.is_open]
    for each in found:
        click.echo(f"{each.reference}  {each.site:<16} {_standing(each, now)}")
    if not found:
        click.echo("No complaint is there." if everything else "No complaint is open.")


@complaint.command()
@click.argument("reference")
def show(reference: str) -> None:
    """Print a complaint and its answers."""
    with _desk() as (desk, _, now):
        found = desk.find(reference)
    click.echo(f"{found.reference}  {found.site}  {_standing(found, now)}\n\n{found.text}")
    for answer in found.answers:
        click.echo(f"\nAnswered {answer.time}:\n\n{answer.text}")


@complaint.command()
@click.argument("reference")
@click.argument("text", required=False)
@click.option("--file", type=FILE, help="The answer from a file.")
@click.option("--keep-open", is_flag=True, help="There is more to come: do not close it with this answer.")
def answer(reference: str, text: str | None, file: Path | None, keep_open: bool) -> None:
    """Answer a complaint, TEXT or --file, and close it; whoever has the number reads it at /your-data/complaints."""
    if (text is None) == (file is None):
        raise ConsentError("give the answer either as TEXT or with --file")
    with _desk() as (desk, _, _now):
        made = desk.answer(reference, file.read_text("utf-8") if file else text or "", close=not keep_open)
    click.echo(f"Answered {made.reference}; it is {'open' if made.is_open else 'closed'}.")


@complaint.command()
@click.argument("reference")
def close(reference: str) -> None:
    """Close a complaint that was answered before."""
    with _desk() as (desk, _, _now):
        made = desk.close(reference)
    click.echo(f"Closed {made.reference}.")


_ELSEWHERE: Final = "The visitor's browser learns of it only when the choice is made there too."


@contextmanager
def _desk() -> Iterator[tuple[Complaints, Sites, datetime]]:
    settings = Settings.from_environment()
    with opened(settings) as ledger:
        yield Complaints.of(settings, ledger), Sites.load(settings.sites_file), settings.clock()


def _standing(complaint: Complaint, now: datetime) -> str:
    if not complaint.is_open:
        return f"closed {complaint.closed[:10]}"
    day = complaint.day(now)
    late = f", LATE by {day - DAYS}" if day > DAYS else ""
    return f"day {day} of {DAYS}{late}, answer by {complaint.due}"


def _give(content: str, out: Path | None) -> None:
    """Print, or write a file that was not there before."""
    if out is None:
        click.echo(content)
        return
    try:
        with out.open("x", encoding="utf-8") as file:
            file.write(content + "\n")
    except FileExistsError as error:
        raise ConsentError(f"{out} is there already, and nothing is overwritten; name a new file") from error
    click.echo(f"Wrote {out}", err=True)
