"""Where the web house drives the batch house: each site's rules go in, each removal is written into the ledger."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from anonymiser import catalogue, check
from anonymiser.closing import SOFTWARE
from anonymiser.hour_keys import HourKeys
from anonymiser.pipeline import LogReport, SpoolReport, leftovers, run_logs, run_spool
from anonymiser.protect.budget import Budget, exclusive
from anonymiser.publish import publish
from anonymiser.removal import Removal
from anonymiser.settings import SiteRules, Workspace
from consent_app.ledger import Ledger, RemovalRecord
from consent_app.private_files import replace_private
from consent_app.settings import Settings
from consent_app.sites import Site, Sites


def rules(site: Site) -> SiteRules:
    """What the batch must know of a site. Raises InputError naming what its catalogue or sitemap file lacks."""
    steps = tuple(f"{name}:{step}" for name, paths in site.funnels.items() for step in range(1, len(paths) + 1))
    declared = [{"goals": site.goals, "funnels": steps}]
    declared += [catalogue.read_file(site.catalogue_file)] if site.catalogue_file else []
    declared += [catalogue.read_sitemap(site.sitemap_file)] if site.sitemap_file else []
    return SiteRules(
        key=site.key,
        timezone=site.timezone,
        own_hosts=site.own_hosts,
        excluded_networks=site.excluded_networks,
        grain=site.grain,
        crossed=site.crossed,
        retention_months=site.retention_months,
        retention_hours=site.retention_hours,
        catalogue=catalogue.joined(*declared),
        protection=site.protection,
    )


def run(settings: Settings, sites: Sites, ledger: Ledger, now: datetime) -> SpoolReport:
    """Count the hours that ended, remove them, say so in the ledger, publish what is over. Twice is as good as once.

    A `now` that is still to come takes no key from the present: what is collected meanwhile can be sealed and counted.
    """
    report = run_spool(
        workspace(settings),
        settings.spool,
        [rules(site) for site in sites],
        now,
        recorded=lambda removal: _record(ledger, removal),
        memory=settings.batch_memory,
    )
    if now > settings.clock():
        with exclusive(settings.private):
            HourKeys(settings.private).provide(settings.spool, settings.clock())
    replace_private(settings.last_batch_file, f"{now.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}\n")
    return report


def run_on_logs(settings: Settings, site: Site, files: Sequence[Path], now: datetime, *, remove: bool) -> LogReport:
    """Count a site's web-server logs into the same published file."""
    return run_logs(workspace(settings), files, rules(site), now, remove=remove, memory=settings.batch_memory)


def left(settings: Settings, ledger: Ledger, now: datetime) -> list[str]:
    """What should be removed and is not, or is and is not in the ledger; one sentence each."""
    known = [rules(site) for site in Sites.load(settings.sites_file)]
    return leftovers(workspace(settings), settings.spool, now, ledger.removed(), known)


def is_outdated(settings: Settings) -> bool:
    """Whether the statistics file has the form of an earlier release, and this process may write it anew. One that a
    release of today would have written otherwise was changed by somebody: that is for `consent verify` to say.
    """
    if not settings.stats_file.is_file() or not os.access(settings.private / "budget.db", os.R_OK | os.W_OK):
        return False
    shape = next(check.check(settings.stats_file))
    if shape.ok or shape.name != "objects":
        return False
    with Budget(settings.private) as budget:
        made_by = {release.software for release in budget.releases()}
    return bool(made_by) and SOFTWARE not in made_by


def republish(settings: Settings) -> None:
    """Write the statistics file anew out of what was released."""
    with exclusive(settings.private), Budget(settings.private) as budget:
        publish(settings.stats_file, budget.releases(), budget.cells())
        budget.published()


def workspace(settings: Settings) -> Workspace:
    """Where the batch of this home publishes and keeps its state."""
    return Workspace(settings.stats_file, settings.private)


def _record(ledger: Ledger, removal: Removal) -> None:
    hour = removal.hour.astimezone(UTC)
    time = removal.time.astimezone(UTC)
    ledger.append(RemovalRecord(removal.segment, f"{hour:%Y-%m-%dT%H}Z", f"{time:%Y-%m-%dT%H:%M:%S}Z"))
