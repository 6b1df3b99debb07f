"""What every test may ask for."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from time import sleep
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, settings
from playwright.sync_api import Browser, sync_playwright

ROOT = Path(__file__).resolve().parent.parent
CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
             "--disable-sync", "--no-first-run")  # fmt: skip
# A slow machine is no fault, and the same tree gives the same verdict each time. To look further, with new examples at
# each run: make test ARGS="--hypothesis-profile search".
SLOW = (HealthCheck.too_slow,)
settings.register_profile("same", deadline=None, derandomize=True, suppress_health_check=SLOW)
settings.register_profile("search", deadline=None, max_examples=2000, suppress_health_check=SLOW)
settings.load_profile("same")

# Browsers count a day's visits by real clocks: in UTC, and in the sites' zone.
ZONES = (UTC, ZoneInfo("Europe/London"))
BEFORE_MIDNIGHT = timedelta(minutes=5)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """No test in a browser begins on one day and ends on the next: just before midnight it waits for the new day."""
    if item.get_closest_marker("browser"):
        sleep(max(until_the_new_day(datetime.now(zone)) for zone in ZONES).total_seconds())


def until_the_new_day(now: datetime) -> timedelta:
    """How long to wait for the day after `now`, which knows its zone; nothing while there is time left."""
    midnight = datetime.combine(now.date() + timedelta(days=1), time(0), now.tzinfo)
    left = midnight.astimezone(UTC) - now.astimezone(UTC)
    return left + timedelta(seconds=1) if left < BEFORE_MIDNIGHT else timedelta(0)


@pytest.fixture(scope="session")
def root() -> Path:
    """The project's root folder."""
    return ROOT


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real logs, lists and vectors that live beside a checkout; absent on a newcomer's machine."""
    data = ROOT.parent / "shared" / "data"
    if not data.is_dir():
        pytest.skip(f"real test data is not here (looked in {data})")
    return data


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """One real Chromium for all tests; each test gets a context, that is a browser nobody used before."""
    if not Path(CHROMIUM).exists():
        pytest.skip(f"no {CHROMIUM} here; `make test` installs it")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS, timeout=120_000)
        yield browser
        browser.close()
