"""The `anonymise` command: statistics from anybody's web-server logs, and proof that they are safe.

Exit codes: 0 done, 1 a check failed, 2 bad usage or input, 3 nothing to do.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from functools import wraps
from ipaddress import ip_network
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import click

from anonymiser import catalogue, check, pipeline, scrub, terminal, weblogs
from anonymiser.errors import AnonymiserError, InputError
from anonymiser.explanation import explanation
from anonymiser.settings import Protection, SiteRules, Workspace

FAILED: Final = 1
BAD_INPUT: Final = 2
NOTHING_TO_DO: Final = 3
_FILE = click.Path(path_type=Path)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="consent-app")
def main() -> None:
    """Turn web-server logs into statistics that tell nothing of any one visitor."""


def _told(command: Callable[..., Any]) -> Callable[..., Any]:
    """Print our own errors as one sentence, and exit with 2."""

    @wraps(command)
    def run(**options: Any) -> Any:
        try:
            return command(**options)
        except (AnonymiserError, ValueError, OSError) as error:
            raise click.exceptions.Exit(_complain(error)) from error

    return run


def _complain(error: Exception) -> int:
    if isinstance(error, OSError) and error.strerror:
        error = InputError(f"{error.filename}: {error.strerror}" if error.filename else error.strerror)
    click.echo(f"anonymise: {error}", err=True)
    return BAD_INPUT


def _common(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that `logs` and `spool` share."""
    usual = Protection()
    for option in reversed(
        (
            click.option("--out", required=True, type=_FILE, help="The statistics file to write."),
            click.option("--timezone", default="Europe/London", show_default=True, help="A day ends at its midnight."),
            click.option("--policy", type=click.Choice(["dp", "threshold"]), default=usual.policy, show_default=True),
            click.option("--epsilon", type=float, default=usual.epsilon, show_default=True, help="Per browser-day."),
            click.option("--delta", type=float, default=usual.delta, show_default=True),
            click.option("--k", type=int, default=usual.k, show_default=True, help="Least count under `threshold`."),
            click.option("--grain", type=click.Choice(["day", "week", "month"]), help="Period of the breakdowns."),
            click.option("--crossed", is_flag=True, help="Page by source, page by device, at any size."),
            click.option("--catalogue", type=_FILE, help="Declared keys: paths, `goal NAME`, `campaign NAME`."),
            click.option("--sitemap", type=_FILE, help="Declared pages, from a sitemap."),
            click.option("--engine", type=click.Choice(["duckdb", "spark"]), default="duckdb", show_default=True),
            click.option("--memory", default="2GB", show_default=True, help="DuckDB's limit; the rest is beside it."),
            click.option("--json", "as_json", is_flag=True, help="Print one object (exact counts: keep it private)."),
        )
    ):
        command = option(command)
    return command


@main.command()
@click.argument("files", nargs=-1, required=True, type=_FILE)
@click.option("--site", required=True, help="The site's key in the statistics.")
@click.option("--own-host", "own_hosts", multiple=True, help="A host of the site; its links count as internal.")
@click.option("--exclude", "networks", multiple=True, help="A network whose requests are left out: 192.0.2.0/24.")
@click.option("--format", "log_format", default="auto", show_default=True, help="See `anonymise formats`.")
@click.option("--fields", help="Columns of W3C logs without a #Fields line: 'date time c-ip cs-method cs-uri-stem'.")
@click.option("--open", "ongoing", is_flag=True, help="The log is still written: its last day waits for the next run.")
@click.option("--skip-released", is_flag=True, help="Leave out the lines of days that are released already.")
@click.option("--remove", is_flag=True, help="Remove the log files once their statistics are published.")
@_common
@_told
def logs(files: tuple[Path, ...], site: str, remove: bool, as_json: bool, **options: Any) -> None:
    """Count log files and publish their statistics. A file named - is standard input."""
    _refuse_loss(files, remove=remove, ongoing=options["ongoing"])
    rules = replace(
        _rules(site, options),
        own_hosts=frozenset(map(_host, options["own_hosts"])),
        excluded_networks=tuple(map(_network, options["networks"])),
    )
    started = time.monotonic()
    with terminal.progress(quiet=as_json) as progress:
        report = pipeline.run_logs(
            _workspace(options["out"]),
            files,
            rules,
            datetime.now(UTC),
            format=_format(options["log_format"], options["fields"]),
            ongoing=options["ongoing"],
            skip_released=options["skip_released"],
            remove=remove,
            memory=_memory(options["memory"]),
            progress=progress,
        )
    _tell(report, options["out"], round(time.monotonic() - started, 2), as_json=as_json)


def _tell(report: pipeline.LogReport, out: Path, seconds: float, *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(terminal.as_object(report, seconds)))
        for line in terminal.rejections(report):
            click.echo(f"anonymise: {line}", err=True)
    else:
        for line in terminal.summary(report, out, seconds):
            click.echo(line)
    if not report.releases:
        raise click.exceptions.Exit(BAD_INPUT if terminal.unreadable(report) else NOTHING_TO_DO)


def _refuse_loss(files: tuple[Path, ...], *, remove: bool, ongoing: bool) -> None:
    if remove and ongoing:
        raise InputError("--remove would remove the lines that --open keeps for the next run; use one of them")
    if remove and Path("-") in files:
        raise InputError("--remove cannot remove standard input; leave it out")


def _format(asked: str, fields: str | None) -> str:
    if fields is None:
        return asked
    if asked not in (weblogs.AUTO, "iis", "w3c", "cloudfront"):
        raise InputError(f"--fields names the columns of W3C logs; {asked} has none. Leave out one of the two options")
    return weblogs.HEADERLESS + fields


def _host(text: str) -> str:
    host = scrub.host(text)
    if not host or host.startswith("("):
        raise InputError(f"--own-host {text!r} is no host name; write it like www.shop.example")
    return host


def _network(text: str) -> str:
    try:
        return str(ip_network(text, strict=False))
    except ValueError as error:
        raise InputError(f"--exclude {text!r} is no network; write it like 192.0.2.0/24 or 2001:db8::/32") from error


def _memory(text: str) -> str:
    if not re.fullmatch(r"\d+(\.\d+)? ?[KMGT]i?B", text, re.IGNORECASE):
        raise InputError(f"--memory {text!r} is no amount of memory; write it like 2GB or 500MB")
    return text


def _workspace(out: Path) -> Workspace:
    """Where to write. Refuses to replace what is no statistics file, or one whose budget ledger is gone."""
    workspace = Workspace.beside(out)
    if out.is_dir():
        raise InputError(f"--out {out} is a folder; name a file in it, such as {out / 'stats.duckdb'}")
    if out.exists():
        with out.open("rb") as file:
            is_duckdb = file.read(12)[8:] == b"DUCK"
        if not is_duckdb:
            raise InputError(f"--out {out} is there already and is no statistics file; name another one")
        if not workspace.private.is_dir():
            raise InputError(
                f"--out {out} is there, but its budget ledger {workspace.private} is not, so nobody can tell which "
                "days it has answered. Restore that folder, or name another file"
            )
    return workspace


@main.command()
@click.argument("directory", type=_FILE)
@click.option("--site", "sites", multiple=True, required=True, help="A site's key; may be given several times.")
@click.option("--keys", type=_FILE, help="Folder of the hours' keys (default: `private` beside the spool).")
@_common
@_told
def spool(directory: Path, sites: tuple[str, ...], keys: Path | None, as_json: bool, **options: Any) -> None:
    """Count the ended hours of a web server's spool, remove them, and publish what is over."""
    if not directory.is_dir():
        raise InputError(f"{directory} is no folder; name the spool of the web server")
    rules = [_rules(site, options) for site in sites]
    report = pipeline.run_spool(
        _workspace(options["out"]),
        directory,
        rules,
        datetime.now(UTC),
        keys=keys or directory.resolve().parent / "private",
        memory=_memory(options["memory"]),
    )
    found = {"segments": report.segments, "facts": report.facts, "dropped": dict(report.dropped)}
    text = f"{report.segments} segments, {report.facts:,} facts, {len(report.releases)} periods released"
    click.echo(json.dumps(found | {"release": report.releases}) if as_json else text)
    for fault in report.damaged:
        click.echo(f"anonymise: {fault}", err=True)
    if report.damaged:
        raise click.exceptions.Exit(FAILED)
    if not report.segments and not report.releases:
        raise click.exceptions.Exit(NOTHING_TO_DO)


@main.command(name="check")
@click.argument("stats", type=_FILE)
@_told
def check_command(stats: Path) -> None:
    """Check that a statistics file is what it claims to be, and safe to publish."""
    findings = list(check.check(stats))
    for finding in findings:
        click.echo(f"{'ok  ' if finding.ok else 'FAIL'} {finding.name}: {finding.sentence}")
    if not all(finding.ok for finding in findings):
        raise click.exceptions.Exit(FAILED)


@main.command()
@click.argument("stats", type=_FILE)
@click.option("--key", help="Say why this key is shown or is not: a page such as /contact, a source, a goal ...")
@click.option("--statistic", help="With --key: only in this statistic, such as pages.")
@click.option("--site", help="Only this site.")
@click.option("--catalogue", type=_FILE, help="With --key: the keys declared now.")
@click.option("--sitemap", type=_FILE, help="With --key: the pages declared now.")
@_told
def explain(stats: Path, key: str | None, statistic: str | None, site: str | None, **options: Any) -> None:
    """Say what was spent on what and how exact each statistic is, or why a key is shown or is not."""
    for line in explanation(stats, key, statistic=statistic, site=site, catalogue=_declared(options)):
        click.echo(line)


@main.command()
def formats() -> None:
    """List the log formats that are read, each file's being found by its first lines."""
    for name, module in weblogs.FORMATS.items():
        click.echo(f"{name:12} {(module.__doc__ or '').splitlines()[0]}")
    click.echo("Files may be packed with gzip, bzip2 or zstandard, whatever they are called.")


def _rules(site: str, options: dict[str, Any]) -> SiteRules:
    if options["engine"] != "duckdb":
        raise InputError("--engine spark needs the engine for Spark, which this version does not have; use duckdb")
    try:
        ZoneInfo(options["timezone"])
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise InputError(f"--timezone {options['timezone']!r} is unknown; use a name such as Europe/London") from error
    protection = Protection(options["policy"], options["epsilon"], options["delta"], options["k"])
    return SiteRules(
        site,
        options["timezone"],
        grain=options["grain"],
        crossed=options["crossed"],
        catalogue=_declared(options),
        protection=protection,
    )


def _declared(options: dict[str, Any]) -> dict[str, tuple[str, ...]]:
    files = [catalogue.read_file(options["catalogue"])] if options["catalogue"] else []
    files += [catalogue.read_sitemap(options["sitemap"])] if options["sitemap"] else []
    return catalogue.joined(*files)
