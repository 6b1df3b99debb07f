"""The demo's data home: six weeks of two sites, lived through the real endpoints, and the logs of two more."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from pathlib import Path
from random import Random
from shutil import rmtree
from typing import Final

from consent_app import batch, create_app, home
from consent_app.demo import logs
from consent_app.demo.pages import DEFIBRENTAL, KENT, DemoSite
from consent_app.demo.traffic import ZONE, Clock, Driver, server
from consent_app.demo.visitors import Crowd
from consent_app.errors import SettingsError
from consent_app.ledger import Ledger
from consent_app.private_files import make_private_folder, replace_private
from consent_app.rooms import NAME, Rooms
from consent_app.settings import Settings
from consent_app.sites import Sites
from consent_app.users import Users

USER: Final = "demo"
PASSWORD: Final = "demo-of-consent-app"  # noqa: S105 - made for the demo, printed at its start, opens nothing else
STATE: Final = "demo.state"
BUILDING: Final = "being built\n"
READY: Final = "ready\n"
# By then every fact of a day is mixed, written, and its hour has ended.
BATCH_AT: Final = timedelta(hours=3)
DAY: Final = timedelta(days=1)
NO_LIMIT: Final = 100_000
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Scale:
    """How much is made up: days, and visitors on a usual weekday."""

    days: int = 42
    kent: int = 200
    defibrental: int = 100


def is_ready(folder: Path) -> bool:
    """Whether a whole demo is there."""
    state = folder / STATE
    return state.exists() and state.read_text("utf-8") == READY


def clear(folder: Path) -> None:
    """Remove an earlier demo, whole or broken off. Raises SettingsError for a folder that is not a demo's."""
    if not folder.exists():
        return
    if any(folder.iterdir()) and not (folder / STATE).exists():
        raise SettingsError(f"{folder} is not a demo's folder and is left alone; name another one in CONSENT_HOME")
    rmtree(folder)


def build(settings: Settings, port: int, progress: Progress, scale: Scale | None = None) -> None:
    """Make the demo home of `settings` anew; its state says so only when all of it is there."""
    scale = scale or Scale()
    clear(settings.home)
    make_private_folder(settings.home)
    replace_private(settings.home / STATE, BUILDING)
    home.create(settings)
    use_port(settings, port)
    settings = Settings.from_environment(
        home=settings.home, public_url=settings.public_url, clock=settings.clock, ledger_url=settings.ledger_url
    )
    Users.load(settings.users_file).add(USER, PASSWORD, "viewer")
    days = _days(settings.clock(), scale.days)
    _live(settings, port, days, scale, progress)
    _read_logs(settings, days)
    replace_private(settings.home / STATE, READY)


def use_port(settings: Settings, port: int) -> None:
    """Let the demo sites' origins name this port; everything else in sites.toml stays as it is."""
    text = settings.sites_file.read_text("utf-8")
    changed = re.sub(r'("http://[a-z]+\.localhost):[0-9]+"', rf'\1:{port}"', text)
    if changed != text:
        settings.sites_file.write_text(changed, "utf-8")


def catch_up(settings: Settings) -> None:
    """Run the batch on what the last demo left: its facts must not grow older than a day."""
    with Ledger(settings.ledger_file, settings.ledger_url) as ledger:
        batch.run(settings, Sites.load(settings.sites_file), ledger, settings.clock())


def _days(now: datetime, count: int) -> list[date]:
    """The last days that are over for good, oldest first."""
    last = (now - BATCH_AT).astimezone(ZONE).date() - DAY
    return [last - back * DAY for back in reversed(range(count))]


def _live(settings: Settings, port: int, days: list[date], scale: Scale, progress: Progress) -> None:
    """Send every day's visitors to a server whose clock is moved, and run the batch each night."""
    clock = Clock(settings.clock())
    home.make_hour_keys(settings, datetime.combine(days[0], time(0), ZONE))
    crowds = [
        _crowd(KENT, f"{KENT.host}:{port}", port, scale.kent),
        _crowd(DEFIBRENTAL, f"127.0.0.1:{port}", port, scale.defibrental),
    ]
    app = create_app(
        replace(settings, clock=clock, trusted_proxies=1, decisions_per_minute=NO_LIMIT, beacons_per_minute=NO_LIMIT)
    )
    rooms: Rooms = app.extensions[NAME]
    try:
        with server(app) as listening:
            driver = Driver(listening, clock, Random(11), rooms.sites)  # noqa: S311 - made-up visitors, not secrets
            for number, day in enumerate(days, start=1):
                driver.day(crowds, day)
                _night(rooms, clock, day)
                progress(number, len(days))
    finally:
        rooms.spool.close()
        rooms.statistics.close()
        rooms.ledger.close()


def _crowd(site: DemoSite, host: str, port: int, daily: int) -> Crowd:
    return Crowd(site.key, host, f"http://{site.host}:{port}", site.weighted_paths, daily)


def _night(rooms: Rooms, clock: Clock, day: date) -> None:
    """What happens by itself after midnight: the last facts are written, their hour ends, the batch runs."""
    midnight = datetime.combine(day + DAY, time(0), ZONE).astimezone(clock.now.tzinfo)
    for later in (timedelta(minutes=10), timedelta(minutes=70), BATCH_AT):
        clock.now = midnight + later
        rooms.spool.tick()
    batch.run(rooms.settings, rooms.sites, rooms.ledger, clock.now)


def _read_logs(settings: Settings, days: list[date]) -> None:
    """Write the sample logs, count them, remove them: they hold addresses, as web-server logs do."""
    sites = Sites.load(settings.sites_file)
    folder = settings.home / "sample-logs"
    access, iis = logs.write(folder, days)
    for key, file in (("surrey", access), ("orders", iis)):
        batch.run_on_logs(settings, sites.get(key), [file], settings.clock(), remove=True)
    folder.rmdir()
