"""`consent receipt verify`: whether a receipt that somebody kept holds. No server, no network, no data home."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

import click

from consent_app import receipt_check
from consent_app.commands.checks import guarded, report
from consent_app.errors import ProofError
from consent_app.ledger.keys import read_public

FILE: Final = click.Path(path_type=Path, exists=True, dir_okay=False)
LONGEST_KEYS: Final = 100_000
Found = TypeVar("Found")


@click.group()
def receipt() -> None:
    """Receipts of decisions, as visitors keep them."""


@receipt.command()
@click.argument("file", type=FILE)
@click.option("--key", type=FILE, help="The log's public keys (log.vkey), kept from when you first met the log.")
@click.option("--proof", type=FILE, help="A .tlog-proof of the newest record, in place of the one in FILE.")
def verify(file: Path, key: Path | None, proof: Path | None) -> None:
    """Check a receipt by itself: its records, its place in the log, who signed. One line a check.

    Exit 0 if all hold; 1 where one does not, and without --key, for then anybody may have signed; 2 where FILE is no
    receipt or a file cannot be read.
    """
    known = _read(key, LONGEST_KEYS, "key", lambda text: read_public(text.decode("ascii", "replace"))) if key else []
    presented = _read(file, receipt_check.LONGEST, "receipt", receipt_check.read)
    if proof:
        presented = _read(proof, receipt_check.LONGEST, "proof", presented.with_proof)
    report(guarded("receipt", lambda: receipt_check.checks(presented, known)))


def _read(file: Path, longest: int, what: str, parse: Callable[[bytes], Found]) -> Found:
    """What a file holds; one that is too long is not read to its end. Raises ProofError naming the file."""
    with file.open("rb") as opened:
        content = opened.read(longest + 1)
    try:
        return parse(content)
    except ProofError as error:
        raise ProofError(f"{file} is no {what}: {error}") from error
