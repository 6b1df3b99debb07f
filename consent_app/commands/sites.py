"""`consent site` and `consent notice`: what is declared, and what a partner pastes into a page."""

from __future__ import annotations

import click

from consent_app import batch
from consent_app.commands import snippets
from consent_app.commands.ledger import opened
from consent_app.errors import NotFoundError
from consent_app.settings import Settings
from consent_app.sites import Sites


def _loaded() -> tuple[Settings, Sites]:
    settings = Settings.from_environment()
    return settings, Sites.load(settings.sites_file)


@click.group()
def site() -> None:
    """The sites that sites.toml declares."""


@site.command(name="list")
def list_sites() -> None:
    """One line for each site: key, name, how it embeds the banner, its origins."""
    _, sites = _loaded()
    for each in sites:
        click.echo(f"{each.key:<16} {each.name:<32} {each.embed:<10} {' '.join(each.origins)}")


@site.command()
def check() -> None:
    """Read sites.toml, its notices and catalogues; say what is wrong, with the line. Exit 2 then."""
    settings, sites = _loaded()
    for each in sites:
        batch.rules(each)
        purposes = ", ".join(f"{purpose.key} ({purpose.mode})" for purpose in each.purposes)
        click.echo(f"ok   {each.key}: {purposes}; notice of {each.notice.effective} ({each.notice.short})")
    click.echo(
        f"{settings.sites_file} declares {len(sites.all)} sites. A running server reads it when it starts again."
    )


@site.command()
@click.argument("key", metavar="SITE")
@click.option("--for", "way", type=click.Choice(list(snippets.WAYS)), default=None, help="A way to embed the banner.")
def snippet(key: str, way: str | None) -> None:
    """Print what SITE pastes into its pages and its web server, and the sources its Content-Security-Policy needs.

    docs/embed.md helps to choose a way. Without --for it is the script tag, or our template function where sites.toml
    says embed = "same-host".
    """
    settings, sites = _loaded()
    click.echo(snippets.text(snippets.steps(sites.get(key), settings, way or "")))


@click.group()
def notice() -> None:
    """The privacy notices, each kept for ever under its SHA-256."""


@notice.command(name="list")
def list_notices() -> None:
    """Every archived notice: the day it took effect, its SHA-256, and the sites that show it now."""
    settings, sites = _loaded()
    with opened(settings) as ledger:
        for effective, sha256 in ledger.notices():
            shown = " ".join(each.key for each in sites if each.notice.sha256 == sha256)
            click.echo(f"{effective} {sha256} {shown or '(earlier)'}")


@notice.command()
@click.argument("sha256", metavar="SHA256")
def show(sha256: str) -> None:
    """Print the exact text of the notice whose SHA-256 begins so (at least 8 digits)."""
    with opened(Settings.from_environment()) as ledger:
        found = [known for _, known in ledger.notices() if len(sha256) >= 8 and known.startswith(sha256.lower())]
        text = ledger.notice(found[0]) if len(found) == 1 else None
    if text is None:
        raise NotFoundError(f"no one notice begins with {sha256!r}; `consent notice list` shows them")
    click.echo(text, nl=False)
