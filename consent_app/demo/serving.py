"""The demo's server: the consent service and the two demo sites on one port, until it is told to stop."""

from __future__ import annotations

import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Thread
from time import sleep
from typing import TYPE_CHECKING, Any, Final

from flask import Flask
from werkzeug.serving import make_server

from consent_app import create_app
from consent_app.demo.hosts import by_host
from consent_app.demo.pages import DEFIBRENTAL, KENT, site_app, welcome_app
from consent_app.demo.traffic import Quiet
from consent_app.rooms import NAME, Rooms
from consent_app.settings import Settings

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

BACKLOG: Final = 128
LOOK_SECONDS: Final = 0.2


@dataclass(slots=True)
class Stop:
    """Whether it is time to stop. No Event: a signal may interrupt the main thread while that holds the Event's lock,
    and the handler, in the same thread, would wait for the lock for ever.
    """

    asked: bool = False


def application(service: Flask, port: int) -> WSGIApplication:
    """The service, behind it two sites: kent as its proxy would hand paths on, defibrental on an origin of its own."""
    rooms: Rooms = service.extensions[NAME]
    return by_host(
        service,
        proxied={KENT.host: site_app(KENT, rooms)},
        foreign={DEFIBRENTAL.host: site_app(DEFIBRENTAL, rooms)},
        welcome=welcome_app((KENT, DEFIBRENTAL), port),
    )


def serve(sock: socket.socket, settings: Settings, stop: Stop, announce: Callable[[], None]) -> None:
    """Serve on a bound socket until a stop is asked for; what waits to be written is on disk when this returns.

    `announce` is called once requests are answered.
    """
    service = create_app(settings)
    rooms: Rooms = service.extensions[NAME]
    host, port = sock.getsockname()[:2]
    sock.listen(BACKLOG)
    site = application(service, port)
    http = make_server(host, port, site, threaded=True, request_handler=Quiet, fd=sock.fileno())
    thread = Thread(target=http.serve_forever, daemon=True)
    thread.start()
    announce()
    while not stop.asked:
        sleep(LOOK_SECONDS)
    http.shutdown()
    thread.join()
    http.server_close()
    rooms.spool.close()
    rooms.statistics.close()
    rooms.ledger.close()


@contextmanager
def told_to_stop() -> Iterator[Stop]:
    """What Ctrl-C and SIGTERM ask for; a second one finds the stop under way and changes nothing."""
    stop = Stop()

    def ask(*_: Any) -> None:
        stop.asked = True

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
