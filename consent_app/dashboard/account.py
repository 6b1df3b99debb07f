"""The own account: password, second factor, recovery codes, signing out everywhere. Each asks for the password."""

from __future__ import annotations

from datetime import timedelta
from itertools import islice
from typing import Any, Final
from urllib.parse import urlsplit

from flask import Blueprint, g, redirect, render_template, session, url_for
from flask.typing import ResponseReturnValue
from flask_wtf import FlaskForm
from wtforms import PasswordField, StringField
from wtforms.validators import InputRequired, Length

from consent_app import qr, totp
from consent_app.audit import Trail
from consent_app.dashboard import sessions
from consent_app.dashboard.login import guess, guessed, lacks_factor, record, record_failure, words
from consent_app.errors import UsersError
from consent_app.rooms import rooms
from consent_app.second_factor import SecondFactors
from consent_app.users import LONGEST_PASSWORD, SHORTEST_PASSWORD, User

OFFERED: Final = timedelta(minutes=15)
LATELY: Final = 8

blueprint = Blueprint("account", __name__, url_prefix="/account")


def _password(label: str, message: str, kind: str) -> PasswordField:
    return PasswordField(
        label, validators=[InputRequired(message), Length(max=LONGEST_PASSWORD)], render_kw={"autocomplete": kind}
    )


class Confirmed(FlaskForm):  # type: ignore[misc]
    """What changes an account needs its password."""

    password = _password("Your password", "Enter your password.", "current-password")


class NewPassword(FlaskForm):  # type: ignore[misc]
    """The old and the new password."""

    password = _password("Your password now", "Enter your password.", "current-password")
    new = _password(f"New password (at least {SHORTEST_PASSWORD} characters)", "Enter a password.", "new-password")


class FirstCode(FlaskForm):  # type: ignore[misc]
    """The first code that the app shows."""

    code = StringField(
        "Code that the app shows",
        validators=[InputRequired("Enter the code."), Length(max=32)],
        render_kw={"autocomplete": "one-time-code", "inputmode": "numeric", "spellcheck": "false"},
    )


@blueprint.get("")
def overview() -> ResponseReturnValue:
    """Name, role, sites, and how the account signs in."""
    return _overview()


@blueprint.post("/password")
def password() -> ResponseReturnValue:
    """Change the password: every other session ends, this one goes on."""
    form = NewPassword()
    problem = _refusal(form)
    if not problem:
        try:
            user = rooms().users.set_password(g.user.name, str(form.new.data))
        except UsersError as error:
            problem = f"{str(error)[:1].upper()}{str(error)[1:]}."
    if problem:
        return _overview(problem, "password"), 422
    _go_on(user)
    record("password changed", user.name)
    return redirect(url_for("dashboard.account.overview", done="password"), 303)


@blueprint.post("/sign-out-everywhere")
def everywhere() -> ResponseReturnValue:
    """End every session of the account, this one too."""
    form = Confirmed()
    problem = _refusal(form)
    if problem:
        return _overview(problem, "everywhere"), 422
    rooms().users.end_sessions(g.user.name)
    record("signed out everywhere", g.user.name)
    session.clear()
    return redirect(url_for("dashboard.login.sign_in", ended="everywhere"), 303)


@blueprint.get("/second-factor")
def factor() -> ResponseReturnValue:
    """Set the second factor up, or see that it is on."""
    return _factor_page()


@blueprint.post("/second-factor")
def begin_factor() -> ResponseReturnValue:
    """Offer a secret, to be taken into use by its first code."""
    form = Confirmed()
    problem = _refusal(form)
    if problem:
        return _factor_page(problem), 422
    _factors().offer(g.user.name)
    session["offered"] = rooms().settings.clock().timestamp()
    return redirect(url_for("dashboard.account.factor"), 303)


@blueprint.post("/second-factor/confirm")
def confirm_factor() -> ResponseReturnValue:
    """The first code: the second factor is on, and the recovery codes are shown this once."""
    form = FirstCode()
    if not form.validate():
        return _factor_page(_first(form)), 422
    wait = guess(g.user.name, "first code")
    if wait:
        return _factor_page(f"Too many failed attempts. Try again in {words(wait)}."), 429
    codes = _factors().confirm(g.user, str(form.code.data))
    if not codes:
        return _factor_page("This code does not fit. Wait for the next one, and enter that."), 422
    guessed(g.user.name, "first code")
    record("second factor on", g.user.name)
    return _show(codes)


@blueprint.post("/second-factor/recovery")
def renew() -> ResponseReturnValue:
    """New recovery codes; those before open nothing any more."""
    form = Confirmed()
    problem = _refusal(form)
    if problem or not g.user.totp:
        return _factor_page(problem or "Set the second factor up first.", "recovery"), 422
    record("recovery codes made", g.user.name)
    return _show(_factors().renew_recovery(g.user.name))


@blueprint.post("/second-factor/off")
def remove_factor() -> ResponseReturnValue:
    """Switch it off, unless the account's role must have one: every other session ends."""
    form = Confirmed()
    problem = _refusal(form)
    if not problem and g.user.role in rooms().settings.factor_roles:
        problem = f"An account of the role {g.user.role} must have a second factor here."
    if problem:
        return _factor_page(problem, "off"), 422
    _factors().remove(g.user.name)
    record("second factor off", g.user.name)
    _go_on(g.user)
    return redirect(url_for("dashboard.account.overview", done="off"), 303)


def _refusal(form: FlaskForm) -> str:
    """Why the form changes nothing; "" once it carries the account's password."""
    if not form.validate():
        return _first(form)
    wait = guess(g.user.name, "password")
    if wait:
        return f"Too many failed attempts. Try again in {words(wait)}."
    if rooms().users.verify(g.user.name, str(form.password.data)) is None:
        record_failure(g.user.name, "password, to change the account")
        return "This is not your password."
    guessed(g.user.name, "password")
    return ""


def _first(form: FlaskForm) -> str:
    if "csrf_token" in form.errors:
        return "This page was open for too long. Try again."
    return str(next(iter(form.errors.values()))[0])


def _go_on(user: User) -> None:
    """The account changed, which ends its sessions; this browser's begins anew."""
    fresh = rooms().users.get(user.name)
    if fresh is not None:
        sessions.begin(fresh, rooms().settings.clock())


def _show(codes: tuple[str, ...]) -> str:
    _go_on(g.user)
    return render_template("dashboard/recovery.html", codes=codes)


def _overview(problem: str = "", at: str = "") -> str:
    """What was typed is not shown again."""
    forms = {"password": NewPassword(formdata=None), "everywhere": Confirmed(formdata=None)}
    own = (entry for entry in Trail.of(rooms().settings).entries() if entry.who == g.user.name)
    return render_template(
        "dashboard/account.html",
        forms=forms,
        problem=problem,
        at=at,
        must=lacks_factor(g.user),
        lately=list(islice(own, LATELY)),
    )


def _factor_page(problem: str = "", at: str = "") -> str:
    secret = _factors().offered(g.user) if _is_recent(session.get("offered", 0)) else None
    shown: dict[str, Any] = {}
    if secret is not None:
        issuer = str(urlsplit(rooms().settings.public_url).hostname)
        link = totp.uri(secret, g.user.name, issuer)
        shown = {"link": link, "picture": qr.picture(link, "QR code of the second factor"), "key": _grouped(link)}
    return render_template(
        "dashboard/factor.html",
        confirmed=Confirmed(formdata=None),
        first=FirstCode(formdata=None),
        problem=problem,
        at=at,
        must=g.user.role in rooms().settings.factor_roles,
        **shown,
    )


def _is_recent(offered: float) -> bool:
    """The secret is shown where the password was just given, and not for long."""
    return rooms().settings.clock().timestamp() - offered < OFFERED.total_seconds()


def _grouped(link: str) -> str:
    """The secret to type, four letters at a time."""
    letters = link.partition("secret=")[2].partition("&")[0]
    return " ".join(letters[place : place + 4] for place in range(0, len(letters), 4))


def _factors() -> SecondFactors:
    return SecondFactors.of(rooms().settings, rooms().users)
