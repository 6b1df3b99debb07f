"""granian under our settings: what `consent serve` runs; docs/adr/0028 has the measurement it was chosen by."""

from __future__ import annotations

import os
import signal
import threading
from functools import partial
from time import sleep
from typing import Any, Final

from flask import Flask
from granian.constants import HTTPModes, Interfaces, RuntimeModes
from granian.log import LogLevels
from granian.server import MPServer

from consent_app.commands.workers import UMASK, leave, made
from consent_app.settings import Settings

STOP_SECONDS: Final = 30
"""How long requests that are being answered may take once the server is told to stop."""
WATCH_SECONDS: Final = 1.0
_LOGGING: Final = {"version": 1, "disable_existing_loggers": False, "loggers": {"_granian": {"propagate": True}}}
_made: Final[list[Flask]] = []


def run(settings: Settings) -> None:
    """Serve until SIGTERM or Ctrl-C. No access log is kept."""
    os.umask(UMASK)
    host, _, port = settings.bind.rpartition(":")
    server = MPServer(
        "consent_app",
        address=host.strip("[]"),
        port=int(port),
        interface=Interfaces.WSGI,
        workers=settings.workers,
        blocking_threads=settings.threads,
        runtime_mode=RuntimeModes.st,
        http=HTTPModes.http1,
        websockets=False,
        log_level=LogLevels.error,
        log_dictconfig=_LOGGING,
        respawn_failed_workers=True,
        workers_kill_timeout=STOP_SECONDS,
    )
    server.serve(_work, partial(_load, settings, os.getpid()), wrap_loader=False)


def _load(settings: Settings, parent: int) -> Flask:
    """A worker's application, made in the worker."""
    _made.append(made(settings))
    threading.Thread(target=_watch, args=(parent,), name="watch", daemon=True).start()
    return _made[-1]


def _work(*given: Any) -> None:
    """A worker's whole life. Its orderly stop: what waits to be mixed goes to disk."""
    try:
        MPServer._spawn_wsgi_worker(*given)  # noqa: SLF001 - granian has no other word for when a worker ends
    finally:
        for app in _made:
            leave(app)


def _watch(parent: int) -> None:
    """A worker whose parent was killed stops too, in good order: nobody else would tell it, and it holds the port."""
    while os.getppid() == parent:
        sleep(WATCH_SECONDS)
    os.kill(os.getpid(), signal.SIGTERM)
