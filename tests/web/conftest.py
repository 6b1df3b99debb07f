"""A real application on a real data home, at a time that stands still."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from argon2 import PasswordHasher
from flask import Flask
from flask.testing import FlaskClient

from consent_app import create_app, users
from consent_app.archive import Archive
from consent_app.home import make_hour_keys
from consent_app.ledger import Ledger
from consent_app.rooms import NAME, Rooms
from consent_app.settings import Settings
from consent_app.sites import Sites
from tests.web.ledger_places import Place, Server, programs

STARTER = Path(__file__).parents[2] / "consent_app" / "starter"
KEY = "test-key-of-enough-length-" + "0" * 10


@dataclass
class Clock:
    """A clock that is set; it starts at a quarter past noon on 24 November 2026, UTC."""

    now: datetime = datetime(2026, 11, 24, 12, 15, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def forward(self, **span: float) -> None:
        self.now += timedelta(**span)


@pytest.fixture
def clock() -> Clock:
    """The time of `settings`, `app` and `client`."""
    return Clock()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A data home as `consent init` makes it: the starter's four sites, their notices, two private keys."""
    home = tmp_path / "home"
    shutil.copytree(STARTER, home)
    secrets = home / "secrets"
    secrets.mkdir(mode=0o700)
    for name in ("signing.keys", "session.keys"):
        (secrets / name).write_text(f"2026-11-01 {name}-{KEY}\n", "utf-8")
        (secrets / name).chmod(0o600)
    return home


@pytest.fixture
def settings(home: Path, clock: Clock) -> Settings:
    """Settings of that home, read as the server reads them, with nothing from the environment."""
    settings = Settings.from_environment({}, home=home, clock=clock)
    make_hour_keys(settings, clock.now)
    return settings


@pytest.fixture
def make_app() -> Iterator[Callable[[Settings], Flask]]:
    """Make applications; their files are closed when the test ends."""
    made: list[Flask] = []

    def make(settings: Settings) -> Flask:
        made.append(create_app(settings))
        return made[-1]

    yield make
    for app in made:
        rooms: Rooms = app.extensions[NAME]
        rooms.spool.close()
        rooms.statistics.close()
        rooms.ledger.close()


@pytest.fixture
def app(settings: Settings, make_app: Callable[[Settings], Flask]) -> Flask:
    """The whole application."""
    return make_app(settings)


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    """A visitor's browser, as far as cookies go."""
    return app.test_client()


@pytest.fixture
def light_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Passwords hashed at a fraction of the real cost, for tests that sign in often; test_users.py does not."""
    light = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)
    monkeypatch.setattr(users, "_HASHER", light)
    monkeypatch.setattr(users, "_LIGHT", light)
    monkeypatch.setattr(users, "_NOBODY", light.hash("nobody's"))


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Server]:
    """One server for all tests of a session; each gets a database of its own."""
    found = programs()
    if found is None:
        pytest.skip("PostgreSQL is not here; `make test` installs it, or: sudo apt-get install postgresql")
    server = Server(found)
    yield server
    server.remove()


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """Where a ledger lies: every test that asks is run on both databases."""
    server = request.getfixturevalue("postgresql") if request.param == "postgresql" else None
    return Place.new(tmp_path, server)


def keep_banner(home: Path, ledger: Ledger) -> None:
    """Keep the notices and today's banner, as a server does when it starts."""
    settings = Settings.from_environment({}, home=home)
    Archive.of(settings).keep(Sites.load(settings.sites_file), ledger, date(2026, 11, 1))
