"""`consent user`: who may sign in to the dashboard."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from consent_app.errors import UsersError
from consent_app.settings import Settings
from consent_app.sites import Sites
from consent_app.users import ROLES, Role, Users


@click.group()
def user() -> None:
    """Dashboard users."""


@user.command()
@click.argument("name")
@click.option("--role", type=click.Choice(ROLES), default="viewer", show_default=True)
@click.option("--site", "sites", multiple=True, help="A site whose figures may be seen; without it, all.")
@click.option(
    "--password-file", type=click.Path(path_type=Path), help="Read the password from this file, not a prompt."
)
def add(name: str, role: Role, sites: tuple[str, ...], password_file: Path | None) -> None:
    """Add a user, or give one a new password, role and sites."""
    settings = Settings.from_environment()
    declared = Sites.load(settings.sites_file)
    for key in sites:
        declared.get(key)
    added = Users.load(settings.users_file).add(name, _password(password_file), role, sites)
    click.echo(f"{added.name} may sign in at {settings.public_url}/dashboard/ and see {_seen(added.sites)}")


@user.command(name="list")
def list_users() -> None:
    """One line for each user."""
    for each in Users.load(Settings.from_environment().users_file).all():
        click.echo(f"{each.name:<24} {each.role:<8} {'disabled' if each.disabled else 'active':<9} {_seen(each.sites)}")


@user.command()
@click.argument("name")
def disable(name: str) -> None:
    """Shut a user out, open sessions included."""
    Users.load(Settings.from_environment().users_file).disable(name)
    click.echo(f"{name} can no longer sign in")


def _password(file: Path | None) -> str:
    if file:
        return file.read_text("utf-8").rstrip("\r\n")
    if not sys.stdin.isatty():
        raise UsersError("there is no terminal to ask for the password; name a file with --password-file")
    return str(click.prompt("Password (at least 12 characters)", hide_input=True, confirmation_prompt=True))


def _seen(sites: tuple[str, ...]) -> str:
    return " ".join(sites) or "all sites"
