"""`consent user`: who may sign in to the dashboard, and with what."""

from __future__ import annotations

import sys
from pathlib import Path
from urllib.parse import urlsplit

import click

from consent_app import qr, totp
from consent_app.commands.audit import record
from consent_app.errors import UsersError
from consent_app.second_factor import SecondFactors
from consent_app.settings import Settings
from consent_app.sites import Sites
from consent_app.users import ROLES, Role, User, Users


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
@click.option("--totp", "factor", is_flag=True, help="Give a second factor at once, and print it.")
def add(name: str, role: Role, sites: tuple[str, ...], password_file: Path | None, factor: bool) -> None:
    """Add a user, or give one a new password, role and sites. A second factor stays."""
    settings = Settings.from_environment()
    declared = Sites.load(settings.sites_file)
    for key in sites:
        declared.get(key)
    users = Users.load(settings.users_file)
    before = {each.name: each for each in users.all()}
    added = users.add(name, _password(password_file), role, sites)
    record("account changed" if added.name in before else "account added", _change(before.get(added.name), added))
    click.echo(f"{added.name} may sign in at {settings.public_url}/dashboard/ and see {_seen(added.sites)}")
    if factor:
        _enrol(settings, users, added.name)


@user.command("list")
def list_users() -> None:
    """One line for each user."""
    for each in Users.load(Settings.from_environment().users_file).all():
        state = "disabled" if each.disabled else "active"
        factor = "two factors" if each.totp else "password"
        click.echo(f"{each.name:<24} {each.role:<8} {state:<9} {factor:<12} {_seen(each.sites)}")


@user.command()
@click.argument("name")
def disable(name: str) -> None:
    """Shut a user out, open sessions included."""
    Users.load(Settings.from_environment().users_file).disable(name)
    record("account disabled", name.lower())
    click.echo(f"{name} can no longer sign in")


@user.command("totp")
@click.argument("name")
@click.option("--off", is_flag=True, help="Take the second factor away, for somebody who lost phone and codes.")
def second_factor(name: str, off: bool) -> None:
    """Give a user a new second factor, and print it: a QR code, an otpauth URI and recovery codes.

    Whoever sees the screen can use them. A user can do the same alone, on the dashboard's page of the own account.
    """
    settings = Settings.from_environment()
    users = Users.load(settings.users_file)
    if off:
        SecondFactors.of(settings, users).remove(name)
        record("second factor off", name.lower())
        click.echo(f"{name} signs in with the password alone; open sessions have ended")
        return
    _enrol(settings, users, name)


@user.command("sign-out")
@click.argument("name")
def sign_out(name: str) -> None:
    """End every open session of a user."""
    Users.load(Settings.from_environment().users_file).end_sessions(name)
    record("signed out everywhere", name.lower())
    click.echo(f"{name} is signed out everywhere")


def _enrol(settings: Settings, users: Users, name: str) -> None:
    secret, codes = SecondFactors.of(settings, users).enrol(name)
    record("second factor on", name.lower())
    link = totp.uri(secret, name.lower(), str(urlsplit(settings.public_url).hostname))
    click.echo(f"\nRead this with an authenticator app:\n\n{qr.blocks(link)}\n{link}\n")
    click.echo("Recovery codes, each good once, for the day the phone is lost; they are not shown again:\n")
    for code in codes:
        click.echo(f"  {code}")
    click.echo(f"\nThe next sign-in of {name} asks for a code; open sessions have ended.")


def _change(before: User | None, after: User) -> str:
    """Whose account, and what it may do now and did before; never the password."""
    now = f"{after.role}, {_seen(after.sites)}"
    if before is None:
        return f"{after.name}: {now}"
    was = f"{'disabled ' if before.disabled else ''}{before.role}, {_seen(before.sites)}"
    return f"{after.name}: {was} > {now}; new password"


def _password(file: Path | None) -> str:
    if file:
        return file.read_text("utf-8").rstrip("\r\n")
    if not sys.stdin.isatty():
        raise UsersError("there is no terminal to ask for the password; name a file with --password-file")
    return str(click.prompt("Password (at least 12 characters)", hide_input=True, confirmation_prompt=True))


def _seen(sites: tuple[str, ...]) -> str:
    return " ".join(sites) or "all sites"
