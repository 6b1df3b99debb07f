"""The data home: what `consent init` makes, and the keys it holds."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Final

from anonymiser.hour_keys import HourKeys
from consent_app.errors import SettingsError
from consent_app.ledger import Ledger
from consent_app.ledger import keys as ledger_keys
from consent_app.private_files import make_private_folder, replace_private, require_private
from consent_app.receipts import VALIDITY
from consent_app.settings import Settings, read_keys
from consent_app.sites import Sites

# What an old key signed stays valid for so long after its successor was made; a day is added because keys carry days.
OUTLIVES: Final = {"signing.keys": VALIDITY, "session.keys": timedelta(days=1)}
# Until a server is started again it signs with the key it knows.
RESTART: Final = timedelta(days=7)
KEY_BYTES: Final = 48
Key = tuple[date, str]


def create(settings: Settings) -> None:
    """Make a data home: the starter's sites and notices, fresh keys, an empty ledger.

    Raises SettingsError when something of a home is there already: nothing is ever overwritten.
    """
    for path in (settings.sites_file, settings.secrets, settings.ledger_file, settings.stats_file):
        if path.exists():
            raise SettingsError(f"{path} is there already, and nothing is overwritten; name another folder with --home")
    try:
        make_private_folder(settings.home)
        _copy(files("consent_app") / "starter", settings.home)
    except OSError as error:
        raise SettingsError(
            f"{settings.home} cannot be made ({error.strerror}); name a folder you may write"
        ) from error
    make_private_folder(settings.secrets)
    for name in OUTLIVES:
        _write_keys(settings.secrets / name, [_new_key(settings.clock().date())])
    with Ledger(settings.ledger_file, settings.ledger_url) as ledger:
        archive_notices(Sites.load(settings.sites_file), ledger)
    make_hour_keys(settings, settings.clock())


def make_hour_keys(settings: Settings, now: datetime) -> None:
    """Make the keys that statistics of this hour and the hours ahead are sealed to; every batch makes more."""
    HourKeys(settings.private).provide(settings.spool, now)


def archive_notices(sites: Sites, ledger: Ledger) -> None:
    """Keep the text of every notice the sites show now."""
    for site in sites:
        ledger.archive_notice(site.notice.text, site.notice.effective.isoformat())


def rotate(settings: Settings) -> list[tuple[Path, int]]:
    """Put a new newest key into each key file; returns each file with the number of retired keys dropped.

    A key goes when nothing it signed can be valid any more; of the log, that is never. Raises SettingsError when the
    keys are kept elsewhere.
    """
    today = settings.clock().date()
    done = []
    for name, outlives in OUTLIVES.items():
        file = settings.secrets / name
        if not file.exists():
            raise SettingsError(f"{file} is not there; keys that the environment gives are changed where it gets them")
        keys = read_keys(file)
        kept = _still_needed(keys, today - outlives - RESTART)
        _write_keys(file, [*kept, _new_key(today)])
        done.append((file, len(keys) - len(kept)))
    log = settings.secrets / ledger_keys.FILE
    if log.exists():
        ledger_keys.rotate(log)
        done.append((log, 0))
    return done


def private_parts(settings: Settings) -> list[Path]:
    """What of a home must be its owner's alone, as far as it is there: among it every file of secrets."""
    parts = [settings.home, settings.secrets, settings.ledger_file, settings.users_file, settings.private]
    return [*(part for part in parts if part.exists()), *sorted(settings.secrets.glob("*"))]


def require_private_parts(settings: Settings) -> int:
    """How many files and folders are their owner's alone. Raises SettingsError naming the first that is not."""
    parts = private_parts(settings)
    for part in parts:
        require_private(part)
    return len(parts)


def _copy(source: Traversable, target: Path) -> None:
    """Copy files and folders, contents only: the modes of an installed package are not those of a data home."""
    for part in source.iterdir():
        if part.is_dir():
            (target / part.name).mkdir(exist_ok=True)
            _copy(part, target / part.name)
        else:
            (target / part.name).write_bytes(part.read_bytes())


def _still_needed(keys: Sequence[Key], long_ago: date) -> list[Key]:
    """Keys whose successor was made after that day; the newest has none."""
    successors = [made for made, _ in keys[1:]]
    return [key for key, made in zip(keys, successors, strict=False) if made > long_ago] + list(keys[-1:])


def _new_key(day: date) -> Key:
    return day, secrets.token_urlsafe(KEY_BYTES)


def _write_keys(file: Path, keys: Sequence[Key]) -> None:
    replace_private(file, "".join(f"{made.isoformat()} {key}\n" for made, key in keys))
