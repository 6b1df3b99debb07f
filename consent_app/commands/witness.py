"""`consent witness`: have our log cosigned by others, and cosign theirs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

import click

from consent_app.commands.checks import report
from consent_app.commands.ledger import opened
from consent_app.errors import ConsentError, LedgerError
from consent_app.ledger import Check, Ledger, cosigned
from consent_app.ledger.witness import Witness
from consent_app.settings import Settings

SECONDS: Final = 20
LONGEST: Final = 65_536
FILE: Final = click.Path(path_type=Path, exists=True, dir_okay=False)


@click.group()
def witness() -> None:
    """Witnesses keep a log honest: they sign only what goes on from what they signed before."""


@witness.command()
@click.argument("name")
def init(name: str) -> None:
    """Make this installation a witness called NAME, such as witness.partner.example/consent."""
    made = Witness.make(Settings.from_environment(), name)
    click.echo(f"{made.key}\nGive this key to those whose log you watch, and get theirs: consent witness know LOG.vkey")
    click.echo("Their checkpoints come to /witness/add-checkpoint of this server.")


@witness.command()
@click.argument("keys", type=FILE)
def know(keys: Path) -> None:
    """Cosign a log from now on; KEYS is its log.vkey, had from somebody who answers for it."""
    name = Witness.of(Settings.from_environment()).know(keys.read_text("utf-8"))
    click.echo(f"Checkpoints of {name} are cosigned from now on.")


@witness.command()
@click.argument("url")
@click.argument("key", type=FILE)
def add(url: str, key: Path) -> None:
    """Have our log cosigned by the witness at URL (as in https://partner.example/witness); KEY holds its key."""
    if urlsplit(url).scheme not in ("https", "http"):
        raise click.UsageError(f"{url!r} is no web address; it must be one such as https://partner.example/witness")
    added = cosigned.add(Settings.from_environment().home, url, key.read_text("utf-8"))
    click.echo(f"{added.key.name} will be asked; do so now: consent witness ask")


@witness.command()
def ask() -> None:
    """Have every witness cosign the newest checkpoint. Exit 1 where one does not. `consent batch` does so too."""
    settings = Settings.from_environment()
    with opened(settings) as ledger:
        report(checks(settings, ledger))


def checks(settings: Settings, ledger: Ledger) -> Iterator[Check]:
    """Ask every witness in turn."""
    for one in cosigned.asked(settings.home):
        try:
            size = cosigned.ask(ledger.published, one, post).size
            yield Check("witness", True, f"{one.key.name} cosigned {size} entries")
        except ConsentError as error:
            yield Check("witness", False, f"{one.key.name}: {error}")


def post(url: str, body: bytes) -> tuple[int, str, bytes]:
    """Send a body; gives status, content type and answer. Raises LedgerError where nobody answers."""
    request = Request(url, body, {"Content-Type": "text/plain; charset=utf-8"}, method="POST")  # noqa: S310 - checked
    try:
        with urlopen(request, timeout=SECONDS) as answer:  # noqa: S310 - http and https only: see `add`
            return answer.status, answer.headers.get("Content-Type", ""), answer.read(LONGEST)
    except HTTPError as refusal:
        with refusal:
            return refusal.code, refusal.headers.get("Content-Type", ""), refusal.read(LONGEST)
    except OSError as error:
        raise LedgerError(f"{url} cannot be reached ({error})") from error
