"""`consent scan URL`: what a site stores and whom it asks, seen by a real browser and held to what it declares."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import click

from consent_app.errors import ScanError
from consent_app.scanner.answering import Answerer, rules
from consent_app.scanner.differences import Declaration, differences
from consent_app.scanner.passes import Plan
from consent_app.scanner.passes import scan as visits_of
from consent_app.scanner.report import Report
from consent_app.settings import Settings
from consent_app.sites import Site, Sites

DIFFERS: Final = 1
FILE: Final = click.Path(path_type=Path, exists=True, dir_okay=False)


@click.command()
@click.argument("url")
@click.option("--site", "key", help="The site of sites.toml to compare with (default: the one with this address).")
@click.option("--pages", default=10, show_default=True, type=click.IntRange(1, 200), help="How many pages to visit.")
@click.option(
    "--settle", default=3.0, show_default=True, type=click.FloatRange(0.1, 60), help="Seconds a page may load on."
)
@click.option("--out", type=click.Path(path_type=Path), help="Folder of the report (default: scan-HOST-DAY).")
@click.option(
    "--autoconsent", type=FILE, help="autoconsent.standalone.js of @duckduckgo/autoconsent, to answer others' banners."
)
@click.option("--browser", default="", help="The Chromium to use (default: the one on the PATH).")
@click.option("--no-sandbox", is_flag=True, help="Start Chromium without its sandbox, as root in a container must.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON, too.")
def scan(
    url: str,
    key: str | None,
    pages: int,
    settle: float,
    out: Path | None,
    autoconsent: Path | None,
    browser: str,
    no_sandbox: bool,
    as_json: bool,
) -> None:
    """Visit the site at URL four times: untouched, all refused, with Global Privacy Control, all accepted.

    Cookies (who set them, how long they stay), storage, service workers, requests by host and calls that tell browsers
    apart are written to a folder, with pictures, and held to what sites.toml declares. Links of the same host are
    followed, but for those that do something (log in, delete, buy). Exit 0 if the site does what it declares, 1 if not,
    2 where it cannot be scanned.
    """
    declared = _declaration(url, key)
    folder = out or Path(f"scan-{urlsplit(url).hostname}-{datetime.now(UTC):%Y-%m-%d}")
    answerer = Answerer(rules(autoconsent) if autoconsent else "")
    folder.mkdir(parents=True, exist_ok=True)
    plan = Plan(url, folder, pages, int(settle * 1000), browser, not no_sandbox, answerer, _progress)
    seen = visits_of(plan)
    report = Report(url, datetime.now(UTC), declared, seen, differences(declared, seen))
    page = report.write(folder)
    _tell(report, page)
    if as_json:
        click.echo(json.dumps(report.document(), ensure_ascii=False))
    raise click.exceptions.Exit(DIFFERS if report.differences else 0)


def _declaration(url: str, key: str | None) -> Declaration:
    """What the site of that key, or else of that address, declares; nothing where there is neither home nor site."""
    address = urlsplit(url)
    if address.scheme not in ("http", "https") or not address.hostname:
        raise ScanError(f"{url!r} is no address of a page; it begins with https:// or http://")
    settings = Settings.from_environment()
    site = _site(settings, address.hostname, key)
    return Declaration(site, frozenset({str(urlsplit(settings.public_url).hostname)}))


def _site(settings: Settings, host: str, key: str | None) -> Site | None:
    if key is None and not settings.sites_file.exists():
        return None
    sites = Sites.load(settings.sites_file)
    return sites.get(key) if key else sites.by_host(host)


def _progress(visit: str) -> None:
    click.echo(f"{visit} …", err=True)


def _tell(report: Report, page: Path) -> None:
    for seen in report.visits:
        if seen.visit in ("refused", "accepted") and not seen.answered:
            click.echo(f"note  {seen.visit}: no banner was found to answer", err=True)
    for each in report.differences:
        click.echo(f"{each.what} {each.name} {each.why}")
    if not report.declared.site:
        click.echo("note  no site of sites.toml has this address; nothing is declared", err=True)
    verdict = f"{len(report.differences)} differences" if report.differences else "The site does what it declares"
    click.echo(f"{verdict}. Report: {page}", err=True)
