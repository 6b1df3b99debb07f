"""What a site declares, as values in one language: its purposes, their services, and everything that they store.

The preferences and the page of cookies lay these out. A text that is in another language than the page says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from functools import reduce

from markupsafe import Markup, escape

from consent_app.decisions import GPC, read_cookie_text
from consent_app.languages import available, texts
from consent_app.purposes import DeclaredCookie, Purpose, Service, Words, spoken
from consent_app.receipts import VALIDITY
from consent_app.sites import Site


@dataclass(frozen=True, slots=True)
class Stored:
    """One declared cookie or storage entry, in words."""

    name: str
    kind: str
    provider: str
    lifetime: str
    description: Markup


@dataclass(frozen=True, slots=True)
class Group:
    """One purpose or service, in words: with whom it is shared, what it stores, and whether its box is ticked.

    `mode` is "" for a service; `clear` is what withdrawal removes, as `kind:name` with spaces between.
    """

    key: str
    title: Markup
    description: Markup
    shared: str
    allowed: bool
    stored: tuple[Stored, ...]
    clear: str
    mode: str = ""
    optional: bool = True
    services: tuple[Group, ...] = ()

    @property
    def everything(self) -> tuple[Stored, ...]:
        """What it stores and what its services store."""
        return self.stored + tuple(stored for service in self.services for stored in service.stored)


@dataclass(frozen=True, slots=True)
class Page:
    """Everything the page says. `decided` is "" while nothing holds, `signal` unless a privacy signal is what holds;
    `home` is where a script-only site is found.
    """

    site: Site
    lang: str
    texts: Mapping[str, str]
    groups: tuple[Group, ...]
    decided: str
    signal: str
    notice: str
    home: str

    @property
    def has_form(self) -> bool:
        """Whether a choice can be made here: only where its cookies reach the site's pages."""
        return self.site.embed == "same-host" and bool(self.site.optional)


@dataclass(frozen=True, slots=True)
class Speaker:
    """Says what a site declares in the language `lang`."""

    site: Site
    lang: str

    @property
    def texts(self) -> Mapping[str, str]:
        """Every text of ours in that language."""
        return texts(self.lang)

    def say(self, text: Words) -> Markup:
        """A text of the site's, marked where it is in another language (WCAG 2.2, 3.1.2)."""
        said, tag = spoken(text, self.lang)
        tag = tag or self.site.language
        primary = tag.partition("-")[0]
        if primary == self.lang.partition("-")[0]:
            return escape(said)
        direction = texts(primary)["direction"] if primary in available() else "auto"
        if direction == self.texts["direction"]:
            return Markup('<span lang="{}">{}</span>').format(tag, said)
        return Markup('<span lang="{}" dir="{}">{}</span>').format(tag, direction, said)

    def listed(self, parts: Iterable[str]) -> Markup:
        """Parts one after the other, with what the language puts between them."""
        pattern = escape(self.texts["list"])
        return reduce(lambda a, b: pattern.format(a=a, b=b), map(escape, parts))

    def groups(self, decisions: Mapping[str, bool]) -> tuple[Group, ...]:
        """Every purpose; boxes are ticked as `decisions` says."""
        return tuple(self._purpose(purpose, decisions) for purpose in self.site.purposes)

    def _purpose(self, purpose: Purpose, decisions: Mapping[str, bool]) -> Group:
        return Group(
            key=purpose.key,
            title=self.say(purpose.title),
            description=self.say(purpose.description),
            shared=self._shared(purpose.parties),
            allowed=decisions.get(purpose.key, True),
            stored=self._stored(purpose.cookies, self.site.name),
            clear=clearing(purpose),
            mode=self.texts[f"mode_{purpose.mode}"],
            optional=purpose.mode != "necessary",
            services=tuple(self._service(service, decisions) for service in purpose.services),
        )

    def _service(self, service: Service, decisions: Mapping[str, bool]) -> Group:
        return Group(
            key=service.key,
            title=self.say(service.title),
            description=self.say(service.description),
            shared=self._shared((service.provider,)),
            allowed=decisions.get(service.key, False),
            stored=self._stored(service.cookies, service.provider),
            clear=clearing(service),
        )

    def _shared(self, parties: tuple[str, ...]) -> str:
        return escape(self.texts["shared"]).format(parties=self.listed(parties)) if parties else ""

    def _stored(self, cookies: tuple[DeclaredCookie, ...], provider: str) -> tuple[Stored, ...]:
        return tuple(
            Stored(c.name, self.texts[f"kind_{c.kind}"], provider, self._lifetime(c), self.say(c.description))
            for c in cookies
        )

    def _lifetime(self, cookie: DeclaredCookie) -> str:
        if cookie.days:
            return self.texts["cookies_days"].format(days=cookie.days)
        return self.texts["cookies_session" if cookie.kind in ("cookie", "sessionStorage") else "cookies_cleared"]


def clearing(holder: Purpose | Service) -> str:
    """What a withdrawal of it removes, as `kind:name` with spaces between."""
    return " ".join(f"{cookie.kind}:{cookie.name}" for cookie in holder.cookies)


def page(site: Site, lang: str, cookie: str, now: datetime, *, signal: str) -> Page:
    """The page in `lang`; boxes as the readable cookie says, else as it is without a choice (`signal`: all off)."""
    speaker = Speaker(site, lang)
    said = speaker.texts
    held = read_cookie_text(cookie, site, now)
    decisions = held[1] if held else {key: p.by_default and not signal for key, p in site.asked.items()}
    return Page(
        site=site,
        lang=lang,
        texts=said,
        groups=speaker.groups(decisions),
        decided=_decided(held[0], said) if held else "",
        signal=said["cookies_gpc"].replace(GPC, signal) if signal and not held else "",
        notice=said["cookies_notice"].format(day=_day(site.notice.effective, said)),
        home=site.origins[0],
    )


def _decided(day: date, said: Mapping[str, str]) -> str:
    return said["cookies_decided"].format(day=_day(day, said), until=_day(day + VALIDITY, said))


def _day(day: date, said: Mapping[str, str]) -> str:
    return said["date"].format(day=day.day, month=said["months"].split()[day.month - 1], year=day.year)
