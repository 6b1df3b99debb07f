"""A data home of an earlier release becomes one of this: copied first, store by store, put back if that fails.

Each store says itself which form it has, so a run that is killed between two steps is finished by the next, and its
copy is still that of the beginning. The ledger comes last and in one transaction: where it fails, only files are put
back.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from consent_app import backup, batch
from consent_app.errors import SettingsError
from consent_app.ledger import Ledger, schema
from consent_app.private_files import exclusive, make_private_folder
from consent_app.settings import Settings

FOLDER: Final = "upgrades"
KEPT: Final = timedelta(days=7)
USERS: Final = 1
_BEGUN: Final = "begun-"
_DONE: Final = "before-"
_TIME: Final = "%Y%m%dT%H%M%SZ"


@dataclass(frozen=True, slots=True)
class Step:
    """One store that is of an earlier release, and how it becomes one of this release."""

    store: str
    sentence: str
    run: Callable[[], None]


@dataclass(frozen=True, slots=True)
class Done:
    """What an upgrade did, one sentence a store, and the copy of before."""

    sentences: tuple[str, ...]
    copy: Path


def due(settings: Settings) -> list[Step]:
    """What an upgrade would do now, in this order; nothing for a home of this release.

    Raises SettingsError for a home that a later release wrote, LedgerError for a ledger that cannot be read.
    """
    _refuse_later_users(settings)
    steps = []
    if batch.is_outdated(settings):
        said = f"{settings.stats_file.name} is written anew, out of what was released"
        steps.append(Step("statistics", said, lambda: batch.republish(settings)))
    found = schema.found(settings.ledger_file, settings.ledger_url)
    if found > schema.NEWEST:
        raise _later(f"its ledger has schema {found}, this release knows {schema.NEWEST}")
    if found and found < schema.NEWEST:
        said = f"the ledger's schema {found} becomes {schema.NEWEST}"
        steps.append(Step("ledger", said, lambda: Ledger(settings.ledger_file, settings.ledger_url).close()))
    return steps


def run(settings: Settings, now: datetime) -> Done | None:
    """Bring a home up to date; None where there is nothing to do. Two at once do it once.

    Raises SettingsError when a step fails: everything is then as it was before.
    """
    if not due(settings) and not _copies(settings, _BEGUN):
        return None
    with exclusive(_folder(settings)):
        for left in _folder(settings).glob(".*"):  # by a run that was killed: here is nobody else
            left.unlink()
        steps = due(settings)
        begun = _copies(settings, _BEGUN)
        copy = begun[0] if begun else _copy(settings, now)
        for step in steps:
            try:
                step.run()
            except Exception as error:
                _put_back(settings, copy)
                raise SettingsError(
                    f"{settings.home} could not be brought up to date ({step.store}: {error}). Everything is as it "
                    "was; run the release before, or mend that and run consent migrate"
                ) from error
        kept = copy.rename(copy.with_name(copy.name.replace(_BEGUN, _DONE)))
        return Done(tuple(step.sentence for step in steps), kept)


def forget(settings: Settings, now: datetime) -> int:
    """Remove the copies of upgrades that are a week old; returns how many. What was erased since is gone with them."""
    old = [copy for copy in _copies(settings, _DONE) if _made(copy) < f"{now - KEPT:{_TIME}}"]
    for copy in old:
        copy.unlink(missing_ok=True)
    return len(old)


def _folder(settings: Settings) -> Path:
    folder = settings.home / FOLDER
    make_private_folder(folder)
    return folder


def _copies(settings: Settings, kind: str) -> list[Path]:
    return sorted((settings.home / FOLDER).glob(f"{kind}*.tar"))


def _made(copy: Path) -> str:
    return copy.stem.partition("-")[2]


def _copy(settings: Settings, now: datetime) -> Path:
    copy = _folder(settings) / f"{_BEGUN}{now:{_TIME}}.tar"
    backup.save(settings, copy, secrets=False)
    return copy


def _put_back(settings: Settings, copy: Path) -> None:
    """The files that steps replace. The ledger's step is one transaction, and has put itself back."""
    backup.put_back(copy, settings.home, {settings.stats_file.name})
    copy.unlink()


def _refuse_later_users(settings: Settings) -> None:
    """A file that is none is for whoever reads it to tell."""
    with suppress(OSError, ValueError, TypeError, AttributeError):
        found = json.loads(settings.users_file.read_text("utf-8")).get("version")
        if isinstance(found, int) and found > USERS:
            raise _later(f"{settings.users_file.name} has version {found}, this release knows {USERS}")


def _later(what: str) -> SettingsError:
    return SettingsError(
        f"this home was written by a later release ({what}) and is left alone: install that release, or restore a "
        "backup of this one"
    )
