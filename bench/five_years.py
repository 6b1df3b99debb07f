"""Five years of four sites, made once and put through the real pipeline: facts, spool, noise, publication.

    python bench/five_years.py FOLDER [--years 5]

The folder becomes a data home with a statistics file; one that is there already is left as it is. Its sites are those
of the starter: `kent` has 1,900 visitors on a weekday and the statistics of two dimensions, the others 900, 160 and 40.
The home keeps figures for 25 months; here they are released without that limit, so that there are five years of them.
"""

from __future__ import annotations

import argparse
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from anonymiser.hour_keys import HourKeys
from anonymiser.pipeline import run_spool
from anonymiser.settings import SiteRules, Workspace
from anonymiser.spool import Spool
from consent_app import home
from consent_app.demo.history import Past, facts
from consent_app.settings import Settings

NOW = datetime(2026, 11, 24, 1, 0, tzinfo=UTC)
LAST = date(2026, 11, 23)
STEPS = 4
PAGES = tuple((f"/section-{n // 8}/page-{n}", 30 / (1 + n) ** 0.8) for n in range(40))
SITES = (
    Past("kent", 1900, PAGES, funnels={"order": STEPS}, crossed=True),
    Past("defibrental", 900, PAGES[:25]),
    Past("surrey", 160, PAGES[:20]),
    Past("orders", 40, PAGES[:12]),
)


def settings(folder: Path) -> Settings:
    """Those of the home in that folder, on the day after the newest figures."""
    return Settings.from_environment({}, home=folder, clock=lambda: NOW + timedelta(hours=12))


def make(folder: Path, years: float = 5, sites: tuple[Past, ...] = SITES) -> Settings:
    """The home, with its figures released; what is there already is not made again."""
    of_home = settings(folder)
    if of_home.stats_file.exists():
        return of_home
    home.create(of_home)
    workspace = Workspace(of_home.stats_file, of_home.private)
    HourKeys(workspace.private).provide(of_home.spool, NOW)
    first = LAST - timedelta(days=round(365.25 * years) - 1)
    with Spool(of_home.spool, clock=lambda: NOW, mix_beacons=1) as spool:
        for past in sites:
            for day in facts(past, first, LAST):
                spool.add(day)
    run_spool(workspace, of_home.spool, [rules(past) for past in sites], NOW + timedelta(hours=2))
    return settings(folder)


def rules(past: Past) -> SiteRules:
    """Everything a site counts is declared, so that a few keys are not the few that noise lets pass."""
    steps = tuple(f"{name}:{step}" for name, last in past.funnels.items() for step in range(1, last + 1))
    declared = {"goals": tuple(goal for goal, _ in past.goals), "funnels": steps,
                "pages": tuple(page for page, _ in past.pages)}  # fmt: skip
    return SiteRules(past.site, crossed=past.crossed, catalogue=declared)


def main() -> None:
    """Make the folder that is named."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--years", type=float, default=5)
    asked = parser.parse_args()
    made = make(asked.folder, asked.years)
    print(f"{made.stats_file}: {made.stats_file.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
