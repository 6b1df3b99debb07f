"""The `anonymise` command: statistics from anybody's web-server logs, and proof that they are safe.

Exit codes: 0 done, 1 a check failed, 2 bad usage or input, 3 nothing to do.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import wraps
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import click

from anonymiser import catalogue, check, pipeline, weblogs
from anonymiser.engines import Progress
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
        except (AnonymiserError, ValueError) as error:
            raise click.exceptions.Exit(_complain(error)) from error

    return run


def _complain(error: Exception) -> int:
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
            click.option("--catalogue", type=_FILE, help="Declared keys: paths, `goal NAME`, `campaign NAME`."),
            click.option("--sitemap", type=_FILE, help="Declared pages, from a sitemap."),
            click.option("--engine", type=click.Choice(["duckdb", "spark"]), default="duckdb", show_default=True),
            click.option("--memory", default="2GB", show_default=True, help="Memory the engine may use."),
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
@click.option("--remove", is_flag=True, help="Remove the log files once their statistics are published.")
@_common
@_told
def logs(files: tuple[Path, ...], site: str, log_format: str, remove: bool, as_json: bool, **options: Any) -> None:
    """Count log files and publish their statistics."""
    rules = replace(_rules(site, options), own_hosts=frozenset(h.lower() for h in options["own_hosts"]))
    started = time.monotonic()
    with _progress(quiet=as_json) as progress:
        report = pipeline.run_logs(
            Workspace.beside(options["out"]),
            files,
            replace(rules, excluded_networks=options["networks"]),
            datetime.now(UTC),
            format=log_format,
            remove=remove,
            memory=options["memory"],
            progress=progress,
        )
    seconds = round(time.monotonic() - started, 2)
    click.echo(json.dumps(_as_object(report, seconds)) if as_json else _summary(report, options["out"], seconds))
    if not report.releases:
        raise click.exceptions.Exit(NOTHING_TO_DO)


@main.command()
@click.argument("directory", type=_FILE)
@click.option("--site", "sites", multiple=True, required=True, help="A site's key; may be given several times.")
@_common
@_told
def spool(directory: Path, sites: tuple[str, ...], as_json: bool, **options: Any) -> None:
    """Count the ended hours of a web server's spool, remove them, and publish what is over."""
    if not directory.is_dir():
        raise InputError(f"{directory} is no folder; name the spool of the web server")
    rules = [_rules(site, options) for site in sites]
    report = pipeline.run_spool(
        Workspace.beside(options["out"]), directory, rules, datetime.now(UTC), memory=options["memory"]
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
    for name in weblogs.FORMATS:
        click.echo(name)


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
        catalogue=_declared(options),
        protection=protection,
    )


def _declared(options: dict[str, Any]) -> dict[str, tuple[str, ...]]:
    files = [catalogue.read_file(options["catalogue"])] if options["catalogue"] else []
    files += [catalogue.read_sitemap(options["sitemap"])] if options["sitemap"] else []
    return catalogue.joined(*files)


@contextmanager
def _progress(*, quiet: bool) -> Iterator[Progress | None]:
    """A bar on a terminal, a line for each fifth elsewhere; both on standard error."""
    if quiet:
        yield None
    elif sys.stderr.isatty():
        with click.progressbar(length=100, label="Reading", file=sys.stderr) as bar:
            yield lambda done, total: bar.update(_percent(done, total) - bar.pos)
    else:
        yield _Fifths()


def _percent(done: int, total: int) -> int:
    return 100 * done // total if total else 0


class _Fifths:
    """Says how far reading is, at 20, 40, 60, 80 and 100 per cent."""

    def __init__(self) -> None:
        self._said = 0

    def __call__(self, done: int, total: int) -> None:
        reached = _percent(done, total) // 20 * 20
        if reached > self._said:
            self._said = reached
            click.echo(f"Reading: {reached} %", err=True)


def _as_object(report: pipeline.LogReport, seconds: float) -> dict[str, Any]:
    return {
        "read": report.read,
        "counted": report.counted,
        "dropped": dict(report.dropped),
        "rejected": report.rejected_total,
        "rejected_lines": [{"file": r.file, "line": r.line, "reason": r.reason} for r in report.rejected],
        "seconds": seconds,
        "release": list(report.releases),
    }


def _summary(report: pipeline.LogReport, out: Path, seconds: float) -> str:
    dropped = sum(report.dropped.values())
    lines = [
        f"{report.read:,} lines read = {report.counted:,} counted + {dropped:,} dropped + "
        f"{report.rejected_total:,} rejected ({seconds} s)",
        *(f"  dropped {count:>9,}  {reason}" for reason, count in sorted(report.dropped.items())),
        *(f"  rejected {r.file}, line {r.line}: {r.reason}" for r in report.rejected),
    ]
    if report.rejected_total > len(report.rejected):
        lines.append(f"  and {report.rejected_total - len(report.rejected):,} more rejected lines")
    if report.releases:
        lines.append(
            f"{len(report.releases)} periods released in {out}; `anonymise explain {out}` says how exact they are"
        )
    else:
        lines.append(f"Nothing to do: these files are released in {out} already, and nothing was changed")
    return "\n".join(lines)
