"""`consent audit`: who of the staff did what, when; and what commands leave in it."""

from __future__ import annotations

import functools
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from datetime import datetime
from itertools import islice
from typing import Any, Final

import click

from consent_app.audit import WHATS, Entry, Trail, What
from consent_app.commands.checks import report
from consent_app.ledger import Check
from consent_app.settings import Settings

if sys.platform != "win32":
    import pwd

DAY: Final = click.DateTime(["%Y-%m-%d"])
# Commands that leave an entry. Arguments are not in it: a receipt number is a visitor's own.
WATCHED: Final[Mapping[tuple[str, ...], What]] = {
    ("keys", "rotate"): "keys rotated",
    ("key", "add"): "key added",
    ("key", "revoke"): "key revoked",
    ("backup",): "backup",
    ("ledger", "export"): "export",
    ("rights", "export"): "export",
    ("rights", "erase"): "erasure",
    ("rights", "correct"): "correction",
    ("rights", "object"): "objection",
    ("hold", "add"): "hold added",
    ("hold", "end"): "hold ended",
    ("retention", "run"): "retention run",
}


@click.command()
@click.option("--who", default="", help="Only entries of this account.")
@click.option("--what", type=click.Choice(WHATS), help="Only entries of this kind.")
@click.option("--from", "first", type=DAY, help="From this day on (UTC).")
@click.option("--last", type=click.IntRange(1), default=100, show_default=True, help="How many of the newest.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@click.option("--check", is_flag=True, help="Only say whether every line follows from the one before; exit 1 if not.")
def audit(who: str, what: What | None, first: datetime | None, last: int, as_json: bool, check: bool) -> None:
    """Who of the staff did what, when: sign-ins, accounts, keys, exports, erasures, settings. The newest first."""
    trail = Trail.of(Settings.from_environment())
    trail.forget()
    if check:
        report([_check(trail)])
        return
    found = (entry for entry in _since(trail.entries(), first) if who.lower() in ("", entry.who))
    for entry in islice((entry for entry in found if what in (None, entry.what)), last):
        click.echo(json.dumps(asdict(entry)) if as_json else _line(entry))


def record(what: What, about: str) -> None:
    """Add an entry for what a command did, under the name of the operating system's account. Raises AuditError."""
    Trail.of(Settings.from_environment()).add(what, _operator(), about, "command")


def watch(main: click.Group) -> None:
    """Have each watched command leave its entry once it is done."""
    for path, what in WATCHED.items():
        command: click.Command | None = main
        for word in path:
            command = command.commands.get(word) if isinstance(command, click.Group) else None
        if command is not None and command.callback is not None:
            command.callback = _recording(command.callback, what, " ".join(path))


def _operator() -> str:
    """The account of the operating system that runs this; the environment could say anything."""
    if sys.platform == "win32":
        return os.getlogin()
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"uid {os.getuid()}"


def _recording(callback: Callable[..., Any], what: What, about: str) -> Callable[..., Any]:
    @functools.wraps(callback)
    def run(*args: Any, **kwargs: Any) -> Any:
        done = callback(*args, **kwargs)
        record(what, f"consent {about}")
        return done

    return run


def _since(found: Iterator[Entry], first: datetime | None) -> Iterator[Entry]:
    return (entry for entry in found if first is None or entry.time[:10] >= first.date().isoformat())


def _check(trail: Trail) -> Check:
    fault = trail.fault()
    number = sum(1 for _ in trail.entries())
    return Check("audit", not fault, fault or f"{number} entries, each follows from the one before it")


def _line(entry: Entry) -> str:
    return f"{entry.time}  {entry.who or '-':<20} {entry.what:<22} {entry.about}  ({entry.how})"
