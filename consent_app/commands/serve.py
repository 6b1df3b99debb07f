"""`consent serve`: gunicorn, each worker with an application of its own."""

from __future__ import annotations

import sys
from typing import Any, Final

import click
from flask import Flask

from consent_app import create_app, logs
from consent_app.errors import SettingsError
from consent_app.listening import bound
from consent_app.rooms import NAME, Rooms
from consent_app.settings import Settings
from consent_app.sites import Sites

if sys.platform != "win32":
    from gunicorn.app.base import BaseApplication
    from gunicorn.glogging import Logger
else:
    BaseApplication = Logger = object

# What workers make (write-ahead logs, segments) is their owner's alone.
UMASK: Final = 0o077


class Server(BaseApplication):  # type: ignore[misc]
    """gunicorn under our settings; nothing comes from its own configuration files, and no access log is kept."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        super().__init__()

    def load_config(self) -> None:
        """Give gunicorn its options."""
        for name, value in _options(self._settings).items():
            self.cfg.set(name, value)

    def load(self) -> Flask:
        """A worker's application, made after the fork."""
        app = create_app(self._settings)
        rooms: Rooms = app.extensions[NAME]
        rooms.ledger.wake()
        return app


class ServerLog(Logger):  # type: ignore[misc]
    """gunicorn's own events, in our lines: it would print the address and the text of a request it cannot read."""

    def setup(self, cfg: Any) -> None:
        """Hand everything to the handler that `logs.install` set."""
        super().setup(cfg)
        self.error_log.handlers, self.error_log.propagate = [], True


@click.command()
@click.option("--bind", help="Address and port to listen on (default: CONSENT_BIND, else 127.0.0.1:8000).")
@click.option("--workers", type=int, help="Server processes (default: CONSENT_WORKERS, else 1).")
def serve(bind: str | None, workers: int | None) -> None:
    """Serve the consent service until Ctrl-C or SIGTERM."""
    if sys.platform == "win32":
        raise SettingsError("gunicorn does not run on Windows; run wsgi:app under a WSGI server for Windows")
    settings = Settings.from_environment(bind=bind, workers=workers)
    logs.install(settings.log_format)
    _rehearse(settings)
    host, _, port = settings.bind.rpartition(":")
    bound(host, int(port)).close()
    click.echo(f"Serving {settings.home} on http://{settings.bind}; Ctrl-C stops it")
    Server(settings).run()


def _rehearse(settings: Settings) -> None:
    """Whatever stops a start is said here, as one line, before workers are forked."""
    Sites.load(settings.sites_file)
    rooms: Rooms = create_app(settings).extensions[NAME]
    rooms.spool.close()
    rooms.ledger.close()


def _options(settings: Settings) -> dict[str, Any]:
    return {
        "bind": settings.bind,
        "workers": settings.workers,
        "threads": settings.threads,
        "worker_class": "gthread",
        "worker_exit": _close,
        "umask": UMASK,
        "proc_name": "consent",
        "loglevel": "warning",
        "logger_class": ServerLog,
        "control_socket_disable": True,
        "forwarder_headers": "",
    }


def _close(_: Any, worker: Any) -> None:
    """The orderly stop of a worker: what waits to be mixed goes to disk."""
    rooms: Rooms = worker.app.wsgi().extensions[NAME]
    rooms.spool.close()
    rooms.ledger.close()
