"""`consent report`: a site's last week or month by e-mail, or as a file to look at."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import click

from anonymiser.stats import Statistics
from consent_app.dashboard.reports.contents import MONTH, WEEK, ReportError, report, wanted
from consent_app.dashboard.reports.mail import checked, message, parts
from consent_app.dashboard.reports.sending import check, send
from consent_app.dashboard.standing import local_day
from consent_app.settings import Settings, variable
from consent_app.sites import Sites

NOBODY = "statistics@localhost"


@click.command("report")
@click.argument("site")
@click.option("--period", type=click.Choice((WEEK, MONTH)), default=MONTH, show_default=True)
@click.option("--day", type=click.DateTime(["%Y-%m-%d"]), help="A day of the week or month meant; else the last one.")
@click.option("--to", "recipients", multiple=True, help="Who gets it, also several; else CONSENT_REPORT_TO.")
@click.option("--dry-run", "folder", type=click.Path(path_type=Path), help="Write .eml files there and send nothing.")
def report_command(
    site: str, period: str, day: datetime | None, recipients: tuple[str, ...], folder: Path | None
) -> None:
    """Send the figures of SITE for the last whole week or month: text, HTML, CSV and the chart.

    docs/reports.md has the settings of the mail server and a timer.
    """
    settings = Settings.from_environment()
    sites = Sites.load(settings.sites_file)
    declared = sites.get(site)
    to = _recipients(recipients, settings)
    if folder is None:
        check(settings)
        if not to:
            raise ReportError(f"nobody is to get it; say --to ADDRESS, or set {variable('report_to')}")
    now = settings.clock()
    chosen = wanted(period, local_day(now, declared.zone), day.date() if day else None)
    with Statistics(settings.stats_file, sites.longest_ranges) as statistics:
        written = parts(report(statistics, declared, chosen), statistics, settings)
    sender = settings.mail_from or NOBODY
    messages = [message(written, sender, each, now) for each in to or ("",)]
    if folder is None:
        send(messages, settings)
        click.echo(f"{written.subject}: sent to {', '.join(to)}")
        return
    folder.mkdir(parents=True, exist_ok=True)
    for number, mail in enumerate(messages, start=1):
        file = folder / (f"{written.name}.eml" if len(messages) == 1 else f"{written.name}-{number}.eml")
        file.write_bytes(bytes(mail))
        click.echo(f"{file} ({mail['To']})")


def _recipients(named: tuple[str, ...], settings: Settings) -> list[str]:
    """Each address once, in order. Raises ReportError for one that is none."""
    usual = [each.strip() for each in settings.report_to.split(",")]
    return [checked(each) for each in dict.fromkeys(named or filter(None, usual))]
