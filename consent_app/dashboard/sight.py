"""Which sites the account that is signed in may see."""

from __future__ import annotations

from flask import g

from consent_app.errors import NotFoundError
from consent_app.rooms import rooms
from consent_app.sites import Site


def visible() -> list[Site]:
    """The sites the account may see."""
    return [site for site in rooms().sites if g.user.may_see(site.key)]


def visible_site(key: str) -> Site:
    """One of them. A site that is not there and one that may not be seen get the same answer: NotFoundError."""
    for shown in visible():
        if shown.key == key:
            return shown
    raise NotFoundError("there is no such site among those of this account")
