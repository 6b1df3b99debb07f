"""`consent demo`: what `make run` runs."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import click

from consent_app.demo import build, serving
from consent_app.listening import bound
from consent_app.settings import Settings

HOST: Final = "127.0.0.1"


class _StoppedError(Exception):
    """Ctrl-C or SIGTERM came while the demo was being made."""


@click.command()
@click.option("--port", type=click.IntRange(1, 65_535), default=8000, show_default=True)
@click.option("--reset", is_flag=True, help="Make the demo anew, with new visitors.")
@click.option(
    "--home",
    type=click.Path(path_type=Path),
    envvar="CONSENT_HOME",
    default=Path("demo-home"),
    help="The demo's data home (default: CONSENT_HOME, else ./demo-home).",
)
def demo(port: int, reset: bool, home: Path) -> None:
    """Serve two demo sites with six weeks of visitors, in the foreground, until Ctrl-C."""
    with bound(HOST, port) as sock, serving.told_to_stop() as stop:
        if reset or not build.is_ready(home):
            _build(_settings(home, port), port, stop)
        else:
            build.use_port(_settings(home, port), port)
            build.catch_up(_settings(home, port))
        serving.serve(sock, _settings(home, port), stop, lambda: click.echo(_places(port, home)))
    click.echo("Stopped. The demo's data is kept; the next start goes on with it.")


def _settings(home: Path, port: int) -> Settings:
    """The demo's own, whatever the environment says: its ledger is always the file in its home."""
    address = f"{HOST}:{port}"
    return Settings.from_environment(home=home, public_url=f"http://{address}", bind=address, ledger_url="")


def _build(settings: Settings, port: int, stop: serving.Stop) -> None:
    """Build the demo; a stop is heeded after each simulated day, where nothing is half done."""
    click.echo(f"Making the demo in {settings.home}: six weeks of made-up visitors, sent to the real endpoints (once)")
    with _progress() as progress:

        def day_done(done: int, days: int) -> None:
            progress(done, days)
            if stop.asked:
                raise _StoppedError

        try:
            build.build(settings, port, day_done)
        except _StoppedError:
            click.echo("\nStopped. The demo is not finished; the next start makes it anew.")
            raise click.exceptions.Exit(0) from None


@contextmanager
def _progress() -> Iterator[Callable[[int, int], None]]:
    """A bar on a terminal, a line a week elsewhere."""
    if not sys.stdout.isatty():
        yield lambda done, days: click.echo(f"  day {done} of {days}") if done % 7 == 0 or done == days else None
        return
    with click.progressbar(length=100, label="  Visitors") as bar:
        yield lambda done, days: bar.update(100 * done // days - bar.pos)


def _places(port: int, home: Path) -> str:
    return f"""
  visitor    http://kent.localhost:{port}            the server renders the banner
             http://defibrental.localhost:{port}     one script tag, from another origin
  marketing  http://{HOST}:{port}/dashboard/        name: {build.USER}   password: {build.PASSWORD}
             (made for this demo only; the server answers this machine alone)
  auditor    CONSENT_HOME={home} {Path(sys.argv[0])} verify

Ctrl-C stops everything; the data stays in {home}."""
