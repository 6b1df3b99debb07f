"""Two demo sites on two hosts: one renders the banner itself, the partner site embeds it with a script tag."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from flask import Flask, abort, render_template, request

from consent_app import banner
from consent_app.demo.hosts import STATIC
from consent_app.rooms import Rooms


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a demo site; `weight` is how often simulated visitors open it."""

    path: str
    title: str
    lead: str
    weight: int


@dataclass(frozen=True, slots=True)
class DemoSite:
    """A demo site: its key in sites.toml, its host, and how it embeds the banner."""

    key: str
    host: str
    name: str
    embed: str
    pages: tuple[Page, ...]

    @property
    def weighted_paths(self) -> tuple[tuple[str, int], ...]:
        """(path, weight) of each page."""
        return tuple((page.path, page.weight) for page in self.pages)


KENT: Final = DemoSite(
    "kent",
    "kent.localhost",
    "Kent Office Solutions",
    "macro",
    (
        Page("/", "Everything your office runs on", "Paper to printers, delivered the next working day.", 30),
        Page("/stationery", "Stationery", "The cupboard, always full: twelve thousand lines in stock.", 16),
        Page("/furniture", "Furniture", "Chairs and desks, planned, delivered and assembled.", 14),
        Page("/furniture/chairs", "Chairs", "Sit well. Try any chair for two weeks.", 11),
        Page("/print", "Print", "Business cards to banners, on recycled stock if you like.", 9),
        Page("/workwear", "Workwear", "Embroidered, printed, reordered with one click.", 6),
        Page("/breakroom", "Breakroom", "Coffee, tea and the good biscuits.", 5),
        Page("/contact", "Contact", "A person answers, from half past eight to five.", 5),
        Page("/about", "About us", "A family of office suppliers in the south-east.", 4),
    ),
)
DEFIBRENTAL: Final = DemoSite(
    "defibrental",
    "defibrental.localhost",
    "DefibRental Solutions",
    "script",
    (
        Page("/", "A defibrillator on your wall by Friday", "Rented, maintained, checked every month.", 34),
        Page("/devices", "Devices", "Three devices, one price, training included.", 20),
        Page("/how-it-works", "How it works", "Choose, we fit, we check, you forget about it.", 14),
        Page("/prices", "Prices", "From under a pound a day. No deposit.", 18),
        Page("/training", "Training", "Two hours that make a team confident.", 8),
        Page("/contact", "Contact", "Tell us where; we tell you when.", 6),
    ),
)


def site_app(site: DemoSite, rooms: Rooms) -> Flask:
    """The demo site's own small web application. Its script tag points to the installation's public URL."""
    app = Flask(__name__, static_url_path=STATIC.rstrip("/"))
    app.jinja_env.globals["consent_banner"] = lambda key: banner.macro(rooms, key, request)
    by_path = {page.path: page for page in site.pages}
    family = [(key, name, _here(rooms, key)) for key, name in rooms.sites.get(site.key).covers.items()]

    @app.get("/", defaults={"path": ""})
    @app.get("/<path:path>")
    def page(path: str) -> str:
        shown = by_path.get(f"/{path}") or abort(404)
        origin = rooms.settings.public_url
        return render_template("site.html", site=site, page=shown, consent_origin=origin, family=family)

    return app


def _here(rooms: Rooms, key: str) -> str:
    """The origin of that site which the demo serves."""
    origins = rooms.sites.get(key).origins
    return next((origin for origin in origins if ".localhost" in origin), origins[0])


def welcome_app(sites: tuple[DemoSite, ...], port: int) -> Flask:
    """The page at the service's own address, which leads to the demo's places."""
    app = Flask(__name__, static_url_path=STATIC.rstrip("/"))

    @app.get("/")
    def welcome() -> str:
        return render_template("welcome.html", sites=sites, port=port)

    return app
