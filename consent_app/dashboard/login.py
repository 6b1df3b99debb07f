"""Signing in and out: local accounts, a signed session that ends by itself, guessing made slow."""

from __future__ import annotations

import hashlib
import re
from datetime import datetime, timedelta
from typing import Any, Final

from flask import Blueprint, current_app, g, redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue
from flask_wtf import FlaskForm
from wtforms import HiddenField, PasswordField, StringField
from wtforms.validators import InputRequired, Length

from consent_app.dashboard.lockout import Lockout
from consent_app.errors import RequestError
from consent_app.rooms import rooms
from consent_app.users import LONGEST_NAME, LONGEST_PASSWORD, User

IDLE: Final = timedelta(minutes=30)
ABSOLUTE: Final = timedelta(hours=12)
ENDED: Final = {
    "idle": "You were signed out after 30 minutes without activity.",
    "absolute": "You were signed out: a session lasts 12 hours at most.",
    "changed": "You were signed out because your account was changed.",
    "left": "You are signed out.",
}
_PAGE: Final = re.compile(r"/dashboard/(?!log(?:in|out)(?:\?|$))[a-z0-9-]*(\?[a-zA-Z0-9_=&%.-]*)?")

blueprint = Blueprint("login", __name__)


class SignIn(FlaskForm):  # type: ignore[misc]
    """Name and password, and where to go afterwards."""

    name = StringField(
        "Name",
        validators=[
            InputRequired("Enter your name."),
            Length(max=LONGEST_NAME, message=f"A name has at most {LONGEST_NAME} characters."),
        ],
        render_kw={"autocomplete": "username", "autocapitalize": "none", "spellcheck": "false"},
    )
    password = PasswordField(
        "Password",
        validators=[
            InputRequired("Enter your password."),
            Length(max=LONGEST_PASSWORD, message=f"A password has at most {LONGEST_PASSWORD} characters."),
        ],
        render_kw={"autocomplete": "current-password"},
    )
    next = HiddenField()


class SignOut(FlaskForm):  # type: ignore[misc]
    """Nothing but its CSRF token."""


@blueprint.route("/login", methods=["GET", "POST"])
def sign_in() -> ResponseReturnValue:
    """The sign-in page; a right name and password lead to the page that was asked for."""
    form = SignIn()
    form.next.data = local_page(form.next.data or request.args.get("next", ""))
    if request.method == "GET":
        return _page(form, note=ENDED.get(request.args.get("ended", ""), ""))
    if not form.validate():
        stale = "csrf_token" in form.errors
        return _page(form, "This page was open for too long. Sign in again." if stale else "", status=400)
    return _try(form)


@blueprint.post("/logout")
def sign_out() -> ResponseReturnValue:
    """End the session. Raises RequestError for a form that is not ours or too old."""
    if not SignOut().validate():
        raise RequestError("this page was open for too long; go back, reload it and sign out again")
    session.clear()
    return redirect(url_for("dashboard.login.sign_in", ended="left"), 303)


def require_user() -> ResponseReturnValue | None:
    """Before every dashboard page: put the signed-in account into `g.user`, or lead to the sign-in page."""
    if request.blueprint == "dashboard.login":
        return None
    user, ended = _signed_in(rooms().settings.clock())
    if user is None:
        session.clear()
        asked = local_page(request.full_path.rstrip("?")) if request.method == "GET" else ""
        return redirect(url_for("dashboard.login.sign_in", next=asked or None, ended=ended or None), 303)
    g.user = user
    g.sign_out = SignOut()
    return None


def local_page(address: str) -> str:
    """The address if it is a page of the dashboard, else "": nobody is led elsewhere after signing in."""
    return address if _PAGE.fullmatch(address) else ""


def _try(form: SignIn) -> ResponseReturnValue:
    here, address = rooms(), request.remote_addr or ""
    now, lockout = here.settings.clock(), _lockout()
    name, password = str(form.name.data), str(form.password.data)
    wait = lockout.begin(name, address, now)
    if wait > timedelta(0):
        return _page(form, f"Too many failed attempts. Try again in {_words(wait)}.", status=429, wait=wait)
    user = here.users.verify(name, password)
    if user is None:
        return _page(form, "Name and password do not match an account.", status=401)
    lockout.succeeded(name, address)
    session.clear()
    session.update(user=user.name, print=_fingerprint(user), since=now.timestamp(), seen=now.timestamp())
    return redirect(form.next.data or url_for("dashboard.sites"), 303)


def _signed_in(now: datetime) -> tuple[User | None, str]:
    """The account of this session, or why there is none ("" when there never was a session)."""
    if "user" not in session:
        return None, ""
    since, seen = (datetime.fromtimestamp(session[key], tz=now.tzinfo) for key in ("since", "seen"))
    if now - since >= ABSOLUTE:
        return None, "absolute"
    if now - seen >= IDLE:
        return None, "idle"
    user = rooms().users.get(session["user"])
    if user is None or user.disabled or _fingerprint(user) != session["print"]:
        return None, "changed"
    session["seen"] = now.timestamp()
    return user, ""


def _fingerprint(user: User) -> str:
    """Changes with the password, so that a new password ends old sessions; says nothing about it."""
    return hashlib.blake2b(user.password.encode(), digest_size=8).hexdigest()


def _lockout() -> Lockout:
    found: Lockout = current_app.extensions.setdefault("consent-lockout", Lockout())
    return found


def _page(
    form: SignIn, problem: str = "", *, note: str = "", status: int = 200, wait: timedelta = timedelta(0)
) -> ResponseReturnValue:
    headers: dict[str, Any] = {"Retry-After": str(round(wait.total_seconds()))} if wait else {}
    return render_template("dashboard/login.html", form=form, problem=problem, note=note), status, headers


def _words(wait: timedelta) -> str:
    seconds = round(wait.total_seconds())
    return f"{seconds} seconds" if seconds < 100 else f"{round(seconds / 60)} minutes"
