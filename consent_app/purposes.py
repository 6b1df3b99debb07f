"""What a site stores and what for: purposes, their services and cookies, as sites.toml declares them, strictly read."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from consent_app.strict_toml import Table

Mode = Literal["necessary", "objectable", "consent"]
Regime = Literal["uk", "eu"]
StorageKind = Literal["cookie", "localStorage", "sessionStorage", "indexedDB"]
Words = str | Mapping[str, str]

NECESSARY: Final = "necessary"
STATISTICS: Final = "statistics"
KEY: Final = r"[a-z][a-z0-9-]{0,23}"
TAG: Final = r"[a-z]{2,3}(-[A-Za-z0-9]{2,8})*"
MOST_PURPOSES: Final = 8
HOST: Final = r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)+"
# https://developers.google.com/tag-platform/security/guides/consent (types), https://wp-consent-api.com (categories)
SHARED_TYPES: Final = ("ad_storage", "ad_user_data", "ad_personalization", "analytics_storage")
CONSENT_TYPES: Final = (*SHARED_TYPES, "functionality_storage", "personalization_storage", "security_storage")
WP_CATEGORIES: Final = ("functional", "preferences", "statistics-anonymous", "statistics", "marketing")


def spoken(text: Words, lang: str) -> tuple[str, str]:
    """`text` in `lang` (a tag such as cy or en-GB), else in its primary language, English, or the first given; and the
    tag of what was found, "" where the text has none.
    """
    if isinstance(text, str):
        return text, ""
    for tag in (lang, lang.partition("-")[0], "en"):
        if tag in text:
            return text[tag], tag
    return next((said, tag) for tag, said in text.items())


def words(text: Words, lang: str) -> str:
    """`text` in `lang` or in the language that is nearest, as `spoken` finds it."""
    return spoken(text, lang)[0]


@dataclass(frozen=True, slots=True)
class DeclaredCookie:
    """A cookie or storage entry a purpose sets. `days` is its lifetime; None for the browser session (a cookie) or
    until it is cleared (other storage). A name may end in `*`.
    """

    name: str
    description: Words
    kind: StorageKind = "cookie"
    days: int | None = None


@dataclass(frozen=True, slots=True)
class Service:
    """Something of `provider` that serves a purpose and can be allowed by itself. Its key is no other's on its site.

    `hosts` are those it is asked of, each with all below it.
    """

    key: str
    title: Words
    provider: str
    description: Words
    cookies: tuple[DeclaredCookie, ...] = ()
    hosts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Purpose:
    """What storage is for. `mode`: PECR Schedule A1 paragraphs 4 (necessary), 5 (objectable) and 2 (consent).

    `google` and `wordpress` are the names that Google Consent Mode and the WP Consent API know it by.
    """

    key: str
    title: Words
    description: Words
    mode: Mode
    cookies: tuple[DeclaredCookie, ...] = ()
    third_parties: tuple[str, ...] = ()
    services: tuple[Service, ...] = ()
    google: tuple[str, ...] = ()
    wordpress: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()

    @property
    def all_hosts(self) -> tuple[str, ...]:
        """The hosts of other companies that it and its services ask, each with all below it."""
        return (*self.hosts, *(host for service in self.services for host in service.hosts))

    @property
    def by_default(self) -> bool:
        """What holds while the visitor has chosen nothing (without Global Privacy Control)."""
        return self.mode != "consent"

    @property
    def parties(self) -> tuple[str, ...]:
        """Everybody else who receives something: the third parties and the providers of its services, none twice."""
        return tuple(dict.fromkeys((*self.third_parties, *(service.provider for service in self.services))))


def read_purposes(table: Table, regime: Regime) -> tuple[Purpose, ...]:
    """Every purpose of a site, checked by itself and for keys that are there twice."""
    purposes = tuple(_purpose(key, below, regime) for key, below in table.children())
    if NECESSARY not in (purpose.key for purpose in purposes):
        table.refuse("", f"purpose {NECESSARY!r} is missing; it declares what remembers the choice itself")
    keys = list(_keys(purposes))
    twice = next((key for key in keys if keys.count(key) > 1), None)
    if twice:
        table.refuse("", f"the key {twice!r} names two purposes or services; a choice must know them apart")
    if len(keys) > MOST_PURPOSES:
        table.refuse("", f"has {len(keys)} purposes and services; at most {MOST_PURPOSES} can be asked for")
    return purposes


def _keys(purposes: tuple[Purpose, ...]) -> Iterator[str]:
    for purpose in purposes:
        yield purpose.key
        yield from (service.key for service in purpose.services)


def _purpose(key: str, table: Table, regime: Regime) -> Purpose:
    if not re.fullmatch(KEY, key):
        table.refuse("", "a purpose's key has at most 24 lower-case letters, digits and hyphens")
    purpose = Purpose(
        key=key,
        title=_words(table, "title"),
        description=_words(table, "description"),
        mode=table.one_of("mode", ("necessary", "objectable", "consent")),
        cookies=tuple(_cookie(below) for below in table.tables("cookies")),
        third_parties=table.texts("third_parties", r"[^\x00-\x1f]{1,100}", "names", ()),
        services=tuple(_service(name, below) for name, below in table.table("service", {}).children()),
        google=table.texts("google", "|".join(CONSENT_TYPES), f"consent types: {', '.join(CONSENT_TYPES)}", ()),
        wordpress=table.texts("wordpress", "|".join(WP_CATEGORIES), f"categories: {', '.join(WP_CATEGORIES)}", ()),
        hosts=_hosts(table),
    )
    table.done()
    _check_mode(purpose, table, regime)
    return purpose


def _check_mode(purpose: Purpose, table: Table, regime: Regime) -> None:
    """The UK statistics exemption (PECR Schedule A1 paragraph 5) is narrow; so is strict necessity (paragraph 4)."""
    if purpose.key == NECESSARY and purpose.mode != "necessary":
        table.refuse("mode", f"is {purpose.mode!r}; the purpose {NECESSARY!r} has the mode 'necessary'")
    if purpose.key == STATISTICS and purpose.mode == "necessary":
        table.refuse("mode", "statistics are never strictly necessary; use 'consent' or, in the UK, 'objectable'")
    if purpose.mode != "consent":
        _check_sharing(purpose, table)
    if purpose.mode != "objectable":
        return
    if regime == "eu":
        table.refuse("mode", "'objectable' is a UK exemption and this site's regime is 'eu'; use 'consent'")
    if purpose.key != STATISTICS:
        table.refuse("mode", f"'objectable' is for the purpose {STATISTICS!r} only; use 'consent'")
    shared = next((key for key in ("third_parties", "hosts") if getattr(purpose, key)), "")
    if shared:
        table.refuse(shared, "an 'objectable' purpose shares with nobody; remove them or use mode 'consent'")


def _check_sharing(purpose: Purpose, table: Table) -> None:
    """What may run without consent is told to no advertiser, and is one thing to be turned off as a whole."""
    if purpose.services:
        table.refuse("service", f"a purpose of mode {purpose.mode!r} has no services of others; use mode 'consent'")
    told = [name for name in purpose.google if name in SHARED_TYPES]
    if told:
        table.refuse("google", f"{told[0]!r} lets Google receive it, which takes consent; use mode 'consent'")


def _service(key: str, table: Table) -> Service:
    if not re.fullmatch(KEY, key):
        table.refuse("", "a service's key has at most 24 lower-case letters, digits and hyphens")
    service = Service(
        key=key,
        title=_words(table, "title"),
        provider=table.line("provider", longest=100),
        description=_words(table, "description"),
        cookies=tuple(_cookie(below) for below in table.tables("cookies")),
        hosts=_hosts(table),
    )
    table.done()
    return service


def _hosts(table: Table) -> tuple[str, ...]:
    return table.texts("hosts", HOST, "host names such as tile.example.org, in lower case", ())


def _cookie(table: Table) -> DeclaredCookie:
    cookie = DeclaredCookie(
        name=table.match("name", r"[!-~]{1,64}", "a cookie's name, which may end in *"),
        description=_words(table, "description"),
        kind=table.one_of("kind", ("cookie", "localStorage", "sessionStorage", "indexedDB"), "cookie"),
        days=table.number("days", 0, 4000, None),
    )
    table.done()
    return cookie


def _words(table: Table, key: str) -> Words:
    """Text in one language, or a table of language tag -> text."""
    value = table.take(key, (str, dict), 'text, or a table such as { en = "Statistics", cy = "Ystadegau" }')
    if isinstance(value, str):
        return table.line(key, longest=600)
    below = table.table(key)
    if not value:
        table.refuse(key, "names no language")
    for tag in value:
        if not re.fullmatch(TAG, tag):
            table.refuse(key, f"{tag!r} is not a language tag such as en or cy")
    return {tag: below.line(tag, longest=600) for tag in value}
