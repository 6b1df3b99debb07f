"""The real commands as processes of their own, and what the web tests' fixtures give."""

from __future__ import annotations

from tests.web.conftest import app, client, clock, home, make_app, place, postgresql, settings

__all__ = ["app", "client", "clock", "home", "make_app", "place", "postgresql", "settings"]
