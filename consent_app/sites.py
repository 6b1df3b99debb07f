"""sites.toml -> Sites: what each site declares, strictly; a bad file stops the start with file, line and reason."""

from __future__ import annotations

import hashlib
import ipaddress
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Literal, Self
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from anonymiser.settings import Grain, Protection
from consent_app.errors import NotFoundError
from consent_app.purposes import KEY, TAG, Purpose, Regime, Service, read_purposes
from consent_app.strict_toml import Table

Embed = Literal["same-host", "script"]
Look = Literal["bar", "corner", "footer"]
LAST_DAY: Final = "consent-last-day"
"""The cookie in which a site's own server keeps the day of a visitor's last visit."""
WEEK: Final = 7  # days: Safari clears what scripts stored after as many without a visit
LONGEST_KEPT: Final = 25  # months: of statistics, and of a consent record after its validity


@dataclass(frozen=True, slots=True)
class Notice:
    """The privacy notice: exact text, its SHA-256 in hexadecimal, and the day from which it holds."""

    text: str
    sha256: str
    effective: date

    @property
    def short(self) -> str:
        """The first 8 digits, which the readable cookie carries."""
        return self.sha256[:8]


@dataclass(frozen=True)
class Site:
    """One site as `sites.toml` declares it. `origins` are exact (`https://host[:port]`); hosts belong to one site.

    `covers` has key and name of the sites to which a choice made here may be taken along.
    """

    key: str
    name: str
    controller: str
    origins: tuple[str, ...]
    timezone: str
    language: str
    regime: Regime
    embed: Embed
    notice: Notice
    purposes: tuple[Purpose, ...]
    look: Look = "bar"
    do_not_track: bool = False
    domains: tuple[str, ...] = ()
    goals: tuple[str, ...] = ()
    funnels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    search_parameter: str = ""
    links: bool = True
    covers: Mapping[str, str] = field(default_factory=dict)
    catalogue_file: Path | None = None
    sitemap_file: Path | None = None
    excluded_networks: tuple[str, ...] = ()
    retention_hours: int = 24
    retention_months: int = LONGEST_KEPT
    consent_retention_months: int = LONGEST_KEPT
    complaint_retention_months: int = 12
    grain: Grain | None = None
    crossed: bool = False
    protection: Protection = field(default_factory=Protection)

    @cached_property
    def hosts(self) -> frozenset[str]:
        """Host names of its origins, lower case, without port."""
        return frozenset(str(urlsplit(origin).hostname) for origin in self.origins)

    @cached_property
    def own_hosts(self) -> frozenset[str]:
        """Hosts whose links count as internal: `hosts` and `domains`."""
        return self.hosts | {domain.removeprefix("www.") for domain in (*self.hosts, *self.domains)}

    @cached_property
    def is_soon_forgotten(self) -> bool:
        """Whether some browsers forget its visitors after a week: all that remembers is storage that scripts write."""
        names = {cookie.name for holder in self.holders for cookie in holder.cookies}
        return self.embed == "script" or LAST_DAY not in names

    @cached_property
    def zone(self) -> ZoneInfo:
        """Its time zone: a day begins and ends at its midnight."""
        return ZoneInfo(self.timezone)

    @cached_property
    def optional(self) -> tuple[Purpose, ...]:
        """The purposes a visitor decides on."""
        return tuple(purpose for purpose in self.purposes if purpose.mode != "necessary")

    @cached_property
    def asked(self) -> Mapping[str, Purpose]:
        """The keys of a decision, each with its purpose: every optional purpose and each service of one."""
        keys = ((purpose, (purpose.key, *(service.key for service in purpose.services))) for purpose in self.optional)
        return {key: purpose for purpose, names in keys for key in names}

    @cached_property
    def holders(self) -> tuple[Purpose | Service, ...]:
        """All that declares what it stores: every purpose and its services."""
        services = tuple(service for purpose in self.purposes for service in purpose.services)
        return (*self.purposes, *services)

    def purpose(self, key: str) -> Purpose | None:
        """The purpose of that key, if the site has it."""
        return next((purpose for purpose in self.purposes if purpose.key == key), None)


@dataclass(frozen=True)
class Sites:
    """All sites of an installation, in the order of the file."""

    all: tuple[Site, ...]

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read `sites.toml` and the notices beside it. Raises SitesError naming file, line and reason."""
        return cls(tuple(read(path)))

    def __iter__(self) -> Iterator[Site]:
        return iter(self.all)

    def get(self, key: str) -> Site:
        """The site of that key. Raises NotFoundError."""
        site = self._by_key.get(key)
        if site is None:
            raise NotFoundError("there is no such site here; `consent site list` shows the keys")
        return site

    @cached_property
    def longest_ranges(self) -> Mapping[str, int]:
        """Over how many days visitors are told apart, by key, for the sites whose visitors are soon forgotten."""
        return {site.key: WEEK for site in self.all if site.is_soon_forgotten}

    def by_host(self, host: str) -> Site | None:
        """The site a Host header (with or without port) belongs to."""
        return self._by_host.get(_hostname(host))

    def by_origin(self, origin: str) -> Site | None:
        """The site whose `origins` list holds exactly this origin."""
        return self._by_origin.get(origin)

    @cached_property
    def _by_key(self) -> dict[str, Site]:
        return {site.key: site for site in self.all}

    @cached_property
    def _by_host(self) -> dict[str, Site]:
        return {host: site for site in self.all for host in site.hosts}

    @cached_property
    def _by_origin(self) -> dict[str, Site]:
        return {origin: site for site in self.all for origin in site.origins}


def _hostname(host: str) -> str:
    if host.startswith("["):
        return host.partition("]")[0][1:].lower()
    return host.partition(":")[0].lower()


_HOST = r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?"
_ORIGIN = rf"https?://({_HOST}|\[[0-9a-f:]+\])(:[0-9]{{1,5}})?"
_PATH = r"/\S{0,255}"
TAKEN: Final = ("login", "logout", "account", "records", "shared")
MOST_STEPS: Final = 6


def read(file: Path) -> Iterator[Site]:
    """Each site of the file, checked by itself and against those before it."""
    top = Table.load(file)
    sites = top.table("site")
    top.done()
    if not sites.content:
        sites.refuse("", "declares no site; begin one with [site.example]")
    owners: dict[str, str] = {}
    for key, table in sites.children():
        site = _site(key, table, sites.content)
        for host in sorted(site.hosts):
            if owners.setdefault(host, key) != key:
                table.refuse(
                    "origins", f"host {host} belongs to site {owners[host]!r} already; their cookies would mix"
                )
        yield site


def _site(key: str, table: Table, others: Mapping[str, Any]) -> Site:
    if not re.fullmatch(KEY, key):
        table.refuse("", "a site's key has at most 24 lower-case letters, digits and hyphens")
    if key in TAKEN:
        table.refuse("", f"{key!r} is an address of the dashboard already; choose another key")
    regime = table.one_of("regime", ("uk", "eu"))
    goals = table.texts("goals", r"[\w][\w .:/-]{0,63}", "short names such as enquiry", ())
    site = Site(
        key=key,
        name=table.line("name"),
        controller=table.line("controller"),
        origins=table.texts("origins", _ORIGIN, "origins such as https://www.example.com"),
        timezone=_timezone(table),
        language=table.match("language", TAG, "a language tag such as en or cy"),
        regime=regime,
        embed=table.one_of("embed", ("same-host", "script")),
        notice=_notice(table.table("notice")),
        purposes=read_purposes(table.table("purpose"), regime),
        look=table.one_of("look", ("bar", "corner", "footer"), "bar"),
        do_not_track=table.take("do_not_track", bool, "true or false", False),
        domains=table.texts("domains", _HOST, "host names such as shop.example", ()),
        goals=goals,
        funnels=_funnels(table.table("funnels", {}), goals),
        search_parameter=table.match("search_parameter", r"[A-Za-z0-9_.-]{1,32}", "a query parameter such as q", ""),
        links=table.take("links", bool, "true or false", True),
        covers=_covers(key, table, others),
        catalogue_file=_beside(table, "catalogue_file"),
        sitemap_file=_beside(table, "sitemap_file"),
        excluded_networks=_networks(table),
        retention_hours=table.number("retention_hours", 1, 24, 24),
        retention_months=table.number("retention_months", 1, LONGEST_KEPT, LONGEST_KEPT),
        consent_retention_months=table.number("consent_retention_months", 1, LONGEST_KEPT, LONGEST_KEPT),
        complaint_retention_months=table.number("complaint_retention_months", 1, 12, 12),
        grain=table.one_of("grain", ("day", "week", "month"), None),
        crossed=table.take("crossed", bool, "true or false", False),
        protection=_protection(table.table("protection", {})),
    )
    if not site.origins:
        table.refuse("origins", "must name at least one origin")
    table.done()
    return site


def _covers(key: str, table: Table, others: Mapping[str, Any]) -> dict[str, str]:
    """Key and name of each site to which a choice made here may be taken."""
    covers = {}
    for other in table.texts("covers", KEY, "keys of other sites here", ()):
        if other == key or not isinstance(others.get(other), dict):
            table.refuse("covers", f"names {other!r}; it must be the key of another site of this file")
        covers[other] = str(others[other].get("name", other))
    return covers


def _timezone(table: Table) -> str:
    name = table.line("timezone")
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        table.refuse("timezone", f"is {name!r}; it must be a time zone such as Europe/London")
    return name


def _notice(table: Table) -> Notice:
    file = _beside(table, "file")
    effective = table.day("effective")
    table.done()
    if file is None:
        table.refuse("", "file is missing; it must name the notice's text file")
    content = file.read_bytes()
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        table.refuse("file", f"{file} is not UTF-8 text; save it as UTF-8")
    if not text.strip():
        table.refuse("file", f"{file} is empty; it must hold the notice's text")
    return Notice(text, hashlib.sha256(content).hexdigest(), effective)


def _beside(table: Table, key: str) -> Path | None:
    """A readable file named relative to sites.toml; None when absent."""
    name = table.line(key, "")
    if not name:
        return None
    file = table.file.parent / name
    try:
        with file.open("rb"):
            return file
    except OSError as error:
        table.refuse(key, f"{file} cannot be read ({error.strerror}); name a file beside sites.toml")


def _funnels(table: Table, goals: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    """The steps of each funnel: paths of pages, or goals of the site."""
    steps = "|".join((_PATH, *map(re.escape, goals)))
    funnels = {}
    for key in table.content:
        if not re.fullmatch(KEY, key):
            table.refuse(key, "a funnel's key has at most 24 lower-case letters, digits and hyphens")
        funnels[key] = table.texts(key, steps, "paths such as /basket, or goals of this site")
        if not 2 <= len(funnels[key]) <= MOST_STEPS:
            table.refuse(key, f"has {len(funnels[key])} steps; it must have from 2 to {MOST_STEPS}")
    return funnels


def _networks(table: Table) -> tuple[str, ...]:
    networks = table.texts("excluded_networks", r"\S{2,50}", "networks such as 192.0.2.0/24", ())
    for network in networks:
        try:
            ipaddress.ip_network(network)
        except ValueError:
            table.refuse("excluded_networks", f"holds {network!r}; a network looks like 192.0.2.0/24 or 2001:db8::/32")
    return networks


def _protection(table: Table) -> Protection:
    """Ranges are checked by Protection itself."""
    number = (int, float)
    usual = Protection()
    policy = table.one_of("policy", ("dp", "threshold"), usual.policy)
    epsilon = table.take("epsilon", number, "a number such as 2", usual.epsilon)
    delta = table.take("delta", number, "a number such as 1e-6", usual.delta)
    k = table.take("k", int, "a whole number such as 10", usual.k)
    table.done()
    try:
        return Protection(policy, epsilon, delta, k)
    except ValueError as error:
        return table.refuse("", str(error))
