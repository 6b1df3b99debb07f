"""Signing in and out: password, second factor, or the word of a trusted proxy; guessing is made slow."""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import timedelta
from typing import Any, Final

from flask import Blueprint, current_app, g, redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue
from flask_wtf import FlaskForm
from wtforms import HiddenField, PasswordField, StringField
from wtforms.validators import InputRequired, Length

from consent_app.audit import NOBODY, Trail, What
from consent_app.dashboard import sessions
from consent_app.dashboard.lockout import Lockout
from consent_app.errors import ForbiddenError, RateError, RequestError
from consent_app.guard import rates_of
from consent_app.rooms import rooms
from consent_app.second_factor import SecondFactors
from consent_app.users import LONGEST_NAME, LONGEST_PASSWORD, User

ENDED: Final = {
    "idle": "You were signed out after 30 minutes without activity.",
    "absolute": "You were signed out: a session lasts 12 hours at most.",
    "changed": "You were signed out because your account was changed.",
    "left": "You are signed out.",
    "everywhere": "You are signed out everywhere.",
    "late": "The code was not entered within 5 minutes. Sign in again.",
}
FAILURES_A_MINUTE: Final = 60
_PAGE: Final = re.compile(
    r"/dashboard/(?!log(?:in|out)(?:[/?]|$))(?:[a-z0-9-]+(?:/[a-z0-9-]+)*/?)?(\?[a-zA-Z0-9_=&%.-]*)?"
)

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


class Code(FlaskForm):  # type: ignore[misc]
    """The second factor."""

    code = StringField(
        "Code",
        validators=[InputRequired("Enter a code."), Length(max=32, message="A code has at most 32 characters.")],
        render_kw={"autocomplete": "one-time-code", "inputmode": "text", "spellcheck": "false"},
    )


class SignOut(FlaskForm):  # type: ignore[misc]
    """Nothing but its CSRF token."""


@blueprint.route("/login", methods=["GET", "POST"])
def sign_in() -> ResponseReturnValue:
    """The sign-in page; a right name and password lead on to the second factor, or to the page that was asked for."""
    form = SignIn()
    form.next.data = local_page(form.next.data or request.args.get("next", ""))
    if request.method == "GET":
        return _page(form, note=ENDED.get(request.args.get("ended", ""), ""))
    if not form.validate():
        stale = "csrf_token" in form.errors
        return _page(form, "This page was open for too long. Sign in again." if stale else "", status=400)
    return _try(form)


@blueprint.route("/login/code", methods=["GET", "POST"])
def second_factor() -> ResponseReturnValue:
    """The page that asks for the code, once the password was right."""
    user, after = sessions.half(rooms().settings.clock())
    if user is None:
        ended = "late" if "half" in session else None
        if ended:
            session.clear()
        return redirect(url_for("dashboard.login.sign_in", ended=ended), 303)
    form = Code()
    if request.method == "GET":
        return _code_page(form)
    if not form.validate():
        stale = "csrf_token" in form.errors
        return _code_page(form, "This page was open for too long. Try again." if stale else "", status=400)
    return _try_code(form, user, after)


@blueprint.post("/logout")
def sign_out() -> ResponseReturnValue:
    """End the session, copies of its cookie included. Raises RequestError for a form that is not ours or too old."""
    if not SignOut().validate():
        raise RequestError("this page was open for too long; go back, reload it and sign out again")
    user, _ = sessions.current(rooms().settings.clock())
    if user is not None:
        record("signed out", user.name)
    sessions.end(rooms().settings.clock())
    answer = redirect(url_for("dashboard.login.sign_in", ended="left"), 303)
    answer.headers["Clear-Site-Data"] = '"cache", "storage"'
    return answer


def require_user() -> ResponseReturnValue | None:
    """Before every dashboard page: put the signed-in account into `g.user`, or lead to the sign-in page."""
    if request.blueprint == "dashboard.login":
        return None
    now, here = rooms().settings.clock(), rooms()
    named = sessions.named_by_proxy(here.settings)
    user, ended = sessions.current(now)
    if named and (user is None or user.name != named.lower()):
        user = _let_in(named)
    if user is None:
        session.clear()
        asked = local_page(request.full_path.rstrip("?")) if request.method == "GET" else ""
        return redirect(url_for("dashboard.login.sign_in", next=asked or None, ended=ended or None), 303)
    g.user = user
    g.sign_out = SignOut()
    if lacks_factor(user) and not named and request.blueprint != "dashboard.account":
        return redirect(url_for("dashboard.account.factor"), 303)
    return None


def lacks_factor(user: User) -> bool:
    """Whether this account must set up a second factor before it sees anything."""
    return user.role in rooms().settings.factor_roles and not user.totp


def local_page(address: str) -> str:
    """The address if it is a page of the dashboard, else "": nobody is led elsewhere after signing in."""
    return address if _PAGE.fullmatch(address) else ""


def record(what: What, who: str, about: str = "") -> None:
    """Add to the audit trail. Raises AuditError."""
    Trail.of(rooms().settings).add(what, who, about)


def record_failure(who: str, about: str) -> None:
    """Add a failed sign-in to the audit trail; of a flood, so many a minute and that there were more."""
    rates = rates_of(current_app)
    try:
        rates.take("failed sign-in", "", FAILURES_A_MINUTE)
        record("sign-in failed", who, about)
    except RateError:
        with suppress(RateError):
            rates.take("flood of failed sign-ins", "", 1)
            record("sign-in failed", NOBODY, f"more than {FAILURES_A_MINUTE} in this minute: the others are left out")


def guess(name: str, kind: str) -> timedelta:
    """Count an attempt of this request's address at something of an account; returns how long it has to wait.

    A wait that was not told of before goes into the audit trail.
    """
    lockout, address = _lockout(), request.remote_addr or ""
    wait = lockout.begin(f"{kind} {name}", address, rooms().settings.clock())
    if wait > timedelta(0) and lockout.is_news(f"{kind} {name}", address):
        record("locked out", _known(name), kind)
    return wait


def guessed(name: str, kind: str) -> None:
    """The attempt was right."""
    _lockout().succeeded(f"{kind} {name}", request.remote_addr or "")


def words(wait: timedelta) -> str:
    """A wait, for people."""
    seconds = round(wait.total_seconds())
    return f"{seconds} seconds" if seconds < 100 else f"{round(seconds / 60)} minutes"


def _try(form: SignIn) -> ResponseReturnValue:
    name, password = str(form.name.data), str(form.password.data)
    wait = guess(name, "password")
    if wait > timedelta(0):
        return _page(form, f"Too many failed attempts. Try again in {words(wait)}.", status=429, wait=wait)
    user = rooms().users.verify(name, password)
    if user is None:
        record_failure(_known(name), "password")
        return _page(form, "Name and password do not match an account.", status=401)
    guessed(name, "password")
    now, after = rooms().settings.clock(), str(form.next.data)
    if user.totp:
        sessions.begin_half(user, now, after)
        return redirect(url_for("dashboard.login.second_factor"), 303)
    record("signed in", user.name, "password")
    sessions.begin(user, now)
    return redirect(after or url_for("dashboard.sites"), 303)


def _try_code(form: Code, user: User, after: str) -> ResponseReturnValue:
    wait = guess(user.name, "second factor")
    if wait > timedelta(0):
        return _code_page(form, f"Too many failed attempts. Try again in {words(wait)}.", status=429, wait=wait)
    taken = SecondFactors.of(rooms().settings, rooms().users).take(user, str(form.code.data))
    if taken is None:
        record_failure(user.name, "second factor")
        return _code_page(form, "This code does not fit, or was used already. Wait for the next one.", status=401)
    guessed(user.name, "second factor")
    if taken == "recovery code":
        record("recovery code used", user.name)
    record("signed in", user.name, f"password and {taken}")
    sessions.begin(user, rooms().settings.clock())
    return redirect(after or url_for("dashboard.sites"), 303)


def _let_in(named: str) -> User:
    """Who a trusted proxy signed in. Raises ForbiddenError for a name that has no account."""
    user = rooms().users.get(named)
    if user is None:
        raise ForbiddenError("the proxy signed you in, but there is no account of that name here; ask whoever runs it")
    record("signed in", user.name, "proxy")
    sessions.begin(user, rooms().settings.clock())
    return user


def _known(name: str) -> str:
    """The name if it is an account's: what else is typed there may be a password."""
    user = rooms().users.get(name)
    return user.name if user else NOBODY


def _lockout() -> Lockout:
    found: Lockout = current_app.extensions.setdefault("consent-lockout", Lockout())
    return found


def _page(
    form: SignIn, problem: str = "", *, note: str = "", status: int = 200, wait: timedelta = timedelta(0)
) -> ResponseReturnValue:
    return render_template("dashboard/login.html", form=form, problem=problem, note=note), status, _later(wait)


def _code_page(
    form: Code, problem: str = "", *, status: int = 200, wait: timedelta = timedelta(0)
) -> ResponseReturnValue:
    return render_template("dashboard/code.html", form=form, problem=problem), status, _later(wait)


def _later(wait: timedelta) -> dict[str, Any]:
    return {"Retry-After": str(round(wait.total_seconds()))} if wait else {}
