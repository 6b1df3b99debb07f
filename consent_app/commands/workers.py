"""What every server does with a worker's application: make it, and leave it in good order."""

from __future__ import annotations

from typing import Final

from flask import Flask

from consent_app import create_app
from consent_app.rooms import NAME, Rooms
from consent_app.settings import Settings

# What workers make (write-ahead logs, segments) is their owner's alone.
UMASK: Final = 0o077


def made(settings: Settings) -> Flask:
    """The application of this worker; what earlier ones left unsigned is signed soon."""
    app = create_app(settings)
    rooms: Rooms = app.extensions[NAME]
    rooms.ledger.wake()
    return app


def leave(app: Flask) -> None:
    """The orderly stop of a worker: what waits to be mixed goes to disk, what was appended is signed."""
    rooms: Rooms = app.extensions[NAME]
    rooms.spool.close()
    rooms.ledger.close()
