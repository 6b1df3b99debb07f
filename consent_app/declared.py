"""What the page of declared cookies says of a site, as values in one language; templates/cookies.html lays them out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime

from consent_app.decisions import read_cookie_text
from consent_app.languages import texts
from consent_app.receipts import VALIDITY
from consent_app.sites import DeclaredCookie, Purpose, Site, words


@dataclass(frozen=True, slots=True)
class Stored:
    """One declared cookie or storage entry, in words."""

    name: str
    kind: str
    lifetime: str
    description: str


@dataclass(frozen=True, slots=True)
class Group:
    """One purpose, in words: what it stores, and whether its box is ticked."""

    key: str
    title: str
    description: str
    mode: str
    optional: bool
    allowed: bool
    shared: str
    stored: tuple[Stored, ...]


@dataclass(frozen=True, slots=True)
class Page:
    """Everything the page says. `decided` is "" while nothing holds; `home` is where a script-only site is found."""

    site: Site
    lang: str
    texts: Mapping[str, str]
    groups: tuple[Group, ...]
    decided: str
    notice: str
    home: str

    @property
    def has_form(self) -> bool:
        """Whether a choice can be made here: only where its cookies reach the site's pages."""
        return self.site.embed == "same-host" and bool(self.site.optional)


def page(site: Site, lang: str, cookie: str, now: datetime, *, gpc: bool) -> Page:
    """The page in `lang`; boxes as the readable cookie says, else as it is without a choice (`gpc`: all off)."""
    said = texts(lang)
    held = read_cookie_text(cookie, site, now)
    decisions = held[1] if held else {p.key: p.by_default and not gpc for p in site.optional}
    return Page(
        site=site,
        lang=lang,
        texts=said,
        groups=tuple(_group(purpose, decisions, said, lang) for purpose in site.purposes),
        decided=_decided(held[0], said) if held else "",
        notice=said["cookies_notice"].format(day=_day(site.notice.effective, said)),
        home=site.origins[0],
    )


def _group(purpose: Purpose, decisions: Mapping[str, bool], said: Mapping[str, str], lang: str) -> Group:
    parties = ", ".join(purpose.third_parties)
    return Group(
        key=purpose.key,
        title=words(purpose.title, lang),
        description=words(purpose.description, lang),
        mode=said[f"mode_{purpose.mode}"],
        optional=purpose.mode != "necessary",
        allowed=decisions.get(purpose.key, True),
        shared=said["shared"].format(parties=parties) if parties else "",
        stored=tuple(_stored(cookie, said, lang) for cookie in purpose.cookies),
    )


def _stored(cookie: DeclaredCookie, said: Mapping[str, str], lang: str) -> Stored:
    if cookie.days:
        lifetime = said["cookies_days"].format(days=cookie.days)
    else:
        lifetime = said["cookies_session" if cookie.kind in ("cookie", "sessionStorage") else "cookies_cleared"]
    return Stored(cookie.name, said[f"kind_{cookie.kind}"], lifetime, words(cookie.description, lang))


def _decided(day: date, said: Mapping[str, str]) -> str:
    return said["cookies_decided"].format(day=_day(day, said), until=_day(day + VALIDITY, said))


def _day(day: date, said: Mapping[str, str]) -> str:
    return said["date"].format(day=day.day, month=said["months"].split()[day.month - 1], year=day.year)
