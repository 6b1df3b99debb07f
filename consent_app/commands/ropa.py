"""`consent ropa`: the record of processing activities, for whoever has to keep one."""

from __future__ import annotations

from importlib.resources import files
from typing import Final

import click
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from consent_app import ropa as record
from consent_app.settings import Settings
from consent_app.sites import Sites

SHEETS: Final = ("tokens.css", "page.css", "rights.css", "records.css")


@click.command()
@click.option("--html", is_flag=True, help="One HTML file that needs nothing else, instead of Markdown.")
def ropa(html: bool) -> None:
    """Print the record of processing activities (UK GDPR Art 30), out of sites.toml and the settings."""
    settings = Settings.from_environment()
    sites = Sites.load(settings.sites_file)
    click.echo(_page(settings, sites) if html else record.markdown(settings, sites), nl=False)


def _page(settings: Settings, sites: Sites) -> str:
    """The page of the dashboard, with its style inside, for a file or a printer."""
    pages = Environment(loader=PackageLoader("consent_app"), autoescape=True, undefined=StrictUndefined)
    sheets = (files("consent_app").joinpath("static", name).read_text("utf-8") for name in SHEETS)
    shown = record.shown(settings, sites)
    return pages.get_template("records/file.html").render(style=Markup("\n".join(sheets)), **shown) + "\n"  # noqa: S704
