"""`consent serve`: granian or gunicorn, each worker with an application of its own."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Final

import click

from consent_app import create_app, logs
from consent_app.commands import granian_server, gunicorn_server
from consent_app.errors import SettingsError
from consent_app.listening import bound
from consent_app.purposes import STATISTICS
from consent_app.rooms import NAME, Rooms
from consent_app.settings import Settings
from consent_app.sites import Sites

SERVERS: Final[dict[str, Callable[[Settings], None]]] = {
    "granian": granian_server.run,
    "gunicorn": gunicorn_server.run,
}


@click.command()
@click.option("--bind", help="Address and port to listen on (default: CONSENT_BIND, else 127.0.0.1:8000).")
@click.option("--workers", type=int, help="Server processes (default: CONSENT_WORKERS, else 1).")
@click.option("--server", type=click.Choice([*SERVERS]), help="What listens (default: granian; docs/operations.md).")
def serve(bind: str | None, workers: int | None, server: str | None) -> None:
    """Serve the consent service until Ctrl-C or SIGTERM."""
    if sys.platform == "win32":
        raise SettingsError(
            "this does not run on Windows; run wsgi:app under a WSGI server that does, such as waitress"
        )
    settings = Settings.from_environment(bind=bind, workers=workers)
    logs.install(settings.log_format)
    name = _server(server, settings)
    _rehearse(settings)
    host, _, port = settings.bind.rpartition(":")
    bound(host, int(port)).close()
    click.echo(f"Serving {settings.home} on http://{settings.bind}; Ctrl-C stops it")
    SERVERS[name](settings)


def _server(asked: str | None, settings: Settings) -> str:
    """The server to run. granian takes `X_Forwarded_User` for `X-Forwarded-User`, so it never serves who signs in by
    such a header: a proxy that takes away the one may let the other through.
    """
    if not settings.login_header:
        return asked or "granian"
    if asked == "granian":
        raise SettingsError(
            "CONSENT_LOGIN_HEADER needs gunicorn, which tells X-Forwarded-User from X_Forwarded_User; "
            "leave --server granian out"
        )
    return "gunicorn"


def _rehearse(settings: Settings) -> None:
    """Whatever stops a start is said here, as one line, before workers are forked."""
    Sites.load(settings.sites_file)
    rooms: Rooms = create_app(settings).extensions[NAME]
    _warn(rooms)
    rooms.spool.close()
    rooms.ledger.close()


def _warn(rooms: Rooms) -> None:
    """Say what works only half: a server that counts nothing looks like one that nobody visits."""
    counted = [site.key for site in rooms.sites if site.purpose(STATISTICS)]
    if counted and not rooms.spool.has_key():
        click.echo(
            f"Warning: statistics are on for {', '.join(counted)}, but there is no key for this hour, so no page view "
            "is counted; run `consent batch` now and from then on every hour",
            err=True,
        )
