"""How checks are told: one line each, and an exit code."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

import click


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


def report(verdicts: Iterable[Verdict]) -> None:
    """Print each verdict as it comes; exit with 1 unless all hold."""
    failed = 0
    for verdict in verdicts:
        click.echo(f"{'ok  ' if verdict.ok else 'FAIL'} {verdict.name}: {verdict.sentence}")
        failed += not verdict.ok
    if failed:
        raise click.exceptions.Exit(1)
