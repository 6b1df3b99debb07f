"""gunicorn under our settings: the other server, for who has it at hand already (docs/adr/0028)."""

from __future__ import annotations

import sys
from typing import Any

from flask import Flask

from consent_app.commands.workers import UMASK, leave, made
from consent_app.settings import Settings

if sys.platform != "win32":
    from gunicorn.app.base import BaseApplication
    from gunicorn.glogging import Logger
else:
    BaseApplication = Logger = object


def run(settings: Settings) -> None:
    """Serve until SIGTERM or Ctrl-C."""
    Server(settings).run()


class Server(BaseApplication):  # type: ignore[misc]
    """Nothing comes from gunicorn's own configuration files, and no access log is kept."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        super().__init__()

    def load_config(self) -> None:
        """Give gunicorn its options."""
        for name, value in _options(self._settings).items():
            self.cfg.set(name, value)

    def load(self) -> Flask:
        """A worker's application, made after the fork."""
        return made(self._settings)


class ServerLog(Logger):  # type: ignore[misc]
    """gunicorn's own events, in our lines: it would print the address and the text of a request it cannot read."""

    def setup(self, cfg: Any) -> None:
        """Hand everything to the handler that `logs.install` set."""
        super().setup(cfg)
        self.error_log.handlers, self.error_log.propagate = [], True


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
    leave(worker.app.wsgi())
