"""The port a server will listen on, taken before anything else is done for it."""

from __future__ import annotations

import os
import socket

from consent_app.errors import SettingsError


def bound(host: str, port: int) -> socket.socket:
    """A socket bound to that address, not listening yet. Raises SettingsError where that cannot be."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    if os.name == "posix":
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((host.strip("[]"), port))
    except OSError as error:
        sock.close()
        raise SettingsError(
            f"port {port} of {host} cannot be used ({error.strerror}); stop what holds it, or choose another port"
        ) from error
    return sock
