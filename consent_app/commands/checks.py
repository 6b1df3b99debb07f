"""How checks are told: one line each, and an exit code."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

import click

from anonymiser.errors import AnonymiserError
from consent_app.errors import ConsentError
from consent_app.ledger import Check


class Verdict(Protocol):
    """One checked fact, of either house."""

    @property
    def name(self) -> str:
        """What was checked."""

    @property
    def ok(self) -> bool:
        """Whether it holds."""

    @property
    def sentence(self) -> str:
        """What holds, or where it does not."""


def guarded(name: str, checks: Callable[[], Iterable[Verdict]]) -> Iterator[Verdict]:
    """What cannot even be read is a check that failed, whatever was done to it, and the others still run."""
    try:
        yield from checks()
    except (ConsentError, AnonymiserError) as error:
        yield Check(name, False, " ".join(str(error).split()))
    except Exception as error:
        yield Check(name, False, f"is damaged so that it cannot be checked ({type(error).__name__}: {error})")


def report(verdicts: Iterable[Verdict]) -> None:
    """Print each verdict as it comes; exit with 1 unless all hold."""
    failed = 0
    for verdict in verdicts:
        click.echo(f"{'ok  ' if verdict.ok else 'FAIL'} {verdict.name}: {verdict.sentence}")
        failed += not verdict.ok
    if failed:
        raise click.exceptions.Exit(1)
