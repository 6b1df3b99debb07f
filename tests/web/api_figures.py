"""Made-up releases with values that are easy to add up: three sites for the statistics API, exports and reports."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from shutil import copytree
from typing import Any, Final

from flask import Flask

from anonymiser.bounds import GAP_BUCKETS, STATISTICS
from anonymiser.clock import periods
from anonymiser.publish import publish
from anonymiser.settings import Grain
from anonymiser.stats import Cell, Release
from consent_app.home import make_hour_keys
from consent_app.rooms import NAME, Rooms
from consent_app.settings import Settings
from tests.web.conftest import KEY, STARTER, Clock

DAY: Final = timedelta(days=1)
FIRST: Final = date(2026, 10, 1)
LAST: Final = date(2026, 11, 23)
SIGMA: Final = 5.0
Row = tuple[str, str, str, int]

TOTALS: Final = (("visitors", 100), ("views", 300), ("visits", 120), ("bounces", 60))
PLAIN: Final[tuple[Row, ...]] = (
    ("pages", "/", "", 400), ("pages", "/desks/", "", 200), ("pages", "=1+1", "", 60), ("pages", "/rare", "", -3),
    ("pages", "(other)", "", 30),
    ("sources", "Google", "Organic search", 300), ("sources", "Bing", "Organic search", 100),
    ("sources", "Direct", "Direct", 250), ("sources", "(other)", "", 50),
    ("entries", "/", "", 350), ("entries", "/desks/", "", 350),
    ("devices", "desktop", "", 500), ("devices", "mobile", "", 200),
    ("browsers", "Firefox", "Linux", 200), ("browsers", "Firefox", "Windows", 100),
    ("browsers", "Chrome", "Windows", 400),
    ("countries", "GB", "", 650), ("countries", "IE", "", 50),
    ("goals", "enquiry", "", 70), ("goals", "brochure", "", 35),
    ("engagement", "1", "", 300), ("scroll", "8", "", 90),
)  # fmt: skip
WIDE: Final[tuple[Row, ...]] = (
    ("page_sources", "/", "Google", 170), ("page_sources", "/", "Direct", 140),
    ("page_sources", "/desks/", "Google", 90),
    ("page_devices", "/", "mobile", 100), ("page_devices", "/", "desktop", 300),
    ("source_goals", "Google", "enquiry", 30), ("source_goals", "Direct", "enquiry", 25),
    ("entry_goals", "/desks/", "enquiry", 35),
)  # fmt: skip


def write(out: Path) -> None:
    """Publish: kent (noise, whole weeks), defibrental (threshold, every day, two dimensions), surrey (logs, months)."""
    made = [
        *_site("kent", "week", "dp", PLAIN, gaps=True),
        *_site("defibrental", "day", "threshold", (*PLAIN, *WIDE), gaps=True),
        *_site("surrey", "month", "dp", PLAIN, gaps=False),
    ]
    publish(out, [release for release, _ in made], [cell for _, cells in made for cell in cells])


def _site(
    site: str, grain: Grain, policy: str, rows: Sequence[Row], *, gaps: bool
) -> Iterator[tuple[Release, list[Cell]]]:
    for day in (FIRST + n * DAY for n in range((LAST - FIRST).days + 1)):
        release = _release(site, "daily", day, day, policy)
        counts = [("totals", "", "", metric, value) for metric, value in TOTALS]
        if gaps:
            counts += [("returning", gap, "", "visitors", 60 if gap == "first" else 2) for gap in GAP_BUCKETS]
        yield release, [_cell(release, *count) for count in counts]
    for start, end in periods(FIRST, LAST, grain, whole=True):
        release = _release(site, "breakdown", start, end, policy)
        yield release, [_cell(release, name, key1, key2, "visitors", value) for name, key1, key2, value in rows]


def _cell(release: Release, statistic: str, key1: str, key2: str, metric: str, value: int) -> Cell:
    days = (release.period_end - release.period_start).days + 1
    sigma = SIGMA if release.policy == "dp" else 0.0
    return Cell(
        release.release_id, release.site, release.period_start, days, statistic, key1, key2, metric, value, sigma
    )


def _release(site: str, schedule: str, start: date, end: date, policy: str) -> Release:
    bounds = {
        s.name: {"l2": s.l2, "linf": s.linf, "keys_touched": s.keys_touched, "fold": s.fold, "sigma": SIGMA}
        for s in STATISTICS.values()
    }
    return Release(
        release_id=f"{site}-{schedule}-{end:%Y%m%d}",
        site=site,
        period_start=start,
        period_end=end,
        policy=policy,
        epsilon=2.0,
        delta=1e-6,
        k=10,
        bounds=bounds,
        weights={s.name: s.weight for s in STATISTICS.values()},
        catalogue_sha256="5f" * 32,
        software="consent-app 0.1.0",
        released_at=datetime.combine(end + DAY, time(2, 10), UTC),
    )


def standing(home: Path, clock: Clock, **changes: Any) -> Settings:
    """Settings of a new data home, as those of conftest, for an application that many tests share."""
    copytree(STARTER, home)
    (home / "secrets").mkdir(mode=0o700)
    for name in ("signing.keys", "session.keys"):
        (home / "secrets" / name).write_text(f"2026-11-01 {name}-{KEY}\n", "utf-8")
        (home / "secrets" / name).chmod(0o600)
    settings = Settings.from_environment({}, home=home, clock=clock, **changes)
    make_hour_keys(settings, clock.now)
    return settings


def close(app: Flask) -> None:
    """Close the files of an application."""
    here: Rooms = app.extensions[NAME]
    here.spool.close()
    here.statistics.close()
    here.ledger.close()
