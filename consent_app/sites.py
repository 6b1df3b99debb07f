"""sites.toml -> Site, Purpose, Notice. A file that cannot be meant as written stops start-up, naming file and line."""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from ipaddress import ip_network
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, NoReturn
from zoneinfo import ZoneInfo, available_timezones

from consent_app.errors import SitesError

MODES: Final = ("necessary", "objectable", "consent")
REGIMES: Final = ("uk", "eu")
EMBEDS: Final = ("same-host", "script")
STATISTICS: Final = "statistics"
Words = Mapping[str, str]
Place = tuple[str, ...]
_SITE_KEYS: Final = {
    "name", "controller", "origins", "timezone", "language", "regime", "embed", "notice", "effective", "purposes",
    "goals", "search_parameter", "sitemap", "excluded_networks",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class DeclaredCookie:
    """A cookie or storage entry a purpose may set, as declared to visitors."""

    name: str
    provider: str
    duration: str
    kind: str
    about: Words


@dataclass(frozen=True, slots=True)
class Purpose:
    """What is asked for. `mode`: necessary (exempt), objectable (on until objected, UK statistics), consent (off)."""

    key: str
    mode: str
    title: Words
    about: Words
    cookies: tuple[DeclaredCookie, ...]
    third_parties: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Notice:
    """The text a decision is about; identified by the SHA-256 of its bytes."""

    text: str
    sha256: str
    effective: date


@dataclass(frozen=True)
class Site:
    """One site of the family; `origins` are the exact origins whose pages may speak for it."""

    key: str
    name: str
    controller: str
    origins: tuple[str, ...]
    timezone: str
    language: str
    regime: str
    embed: str
    notice: Notice
    purposes: tuple[Purpose, ...]
    goals: tuple[str, ...]
    search_parameter: str
    sitemap: str
    excluded_networks: tuple[str, ...]

    @cached_property
    def optional(self) -> tuple[Purpose, ...]:
        """The purposes a visitor decides on."""
        return tuple(p for p in self.purposes if p.mode != "necessary")

    @cached_property
    def zone(self) -> ZoneInfo:
        """The site's time zone."""
        return ZoneInfo(self.timezone)

    @cached_property
    def hosts(self) -> frozenset[str]:
        """Hosts whose links are internal, without port or `www.`."""
        names = (origin.split("://", 1)[1].partition(":")[0] for origin in self.origins)
        return frozenset(name.removeprefix("www.") for name in names)


class Sites:
    """All sites of an installation, found by key, host or origin."""

    def __init__(self, sites: tuple[Site, ...]) -> None:
        self._by_key = MappingProxyType({site.key: site for site in sites})
        self._by_origin = {origin: site for site in sites for origin in site.origins}
        self._by_host = {origin.split("://", 1)[1]: site for site in sites for origin in site.origins}

    @classmethod
    def load(cls, path: Path) -> Sites:
        """Read sites.toml. Raises SitesError beginning with file and line."""
        try:
            text = path.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise SitesError(f"{path}: cannot be read: {error}", remedy="run `consent init`") from error
        try:
            raw = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise SitesError(f"{path}: {error}", remedy="correct the syntax there") from error
        return cls(_Reader(path, text).sites(raw))

    def __iter__(self) -> Iterator[Site]:
        return iter(self._by_key.values())

    def get(self, key: str) -> Site | None:
        """The site of that key."""
        return self._by_key.get(key)

    def by_host(self, host: str) -> Site | None:
        """The site served at that host (with its port, where it has one)."""
        return self._by_host.get(host.lower())

    def by_origin(self, origin: str) -> Site | None:
        """The site that owns that origin."""
        return self._by_origin.get(origin)


class _Reader:
    """Checks one file; knows the line of each key so that a message can point at it."""

    def __init__(self, path: Path, text: str) -> None:
        self._path = path
        self._lines = _key_lines(text)

    def sites(self, raw: dict[str, Any]) -> tuple[Site, ...]:
        self._only(raw, (), {"sites"})
        tables = raw.get("sites")
        if not isinstance(tables, dict) or not tables:
            self._fail((), "no [sites.<key>] table", "add one for each site")
        sites = tuple(self._site(key, table) for key, table in tables.items())
        owners: dict[str, str] = {}
        for site in sites:
            for origin in site.origins:
                if owners.setdefault(origin, site.key) != site.key:
                    self._fail(
                        ("sites", site.key, "origins"),
                        f"{origin} belongs to {owners[origin]} already",
                        "give each origin to one site",
                    )
        return sites

    def _site(self, key: str, table: Any) -> Site:
        at = ("sites", key)
        if not re.fullmatch(r"[a-z0-9-]{1,32}", key):
            self._fail(at, f"site key {key!r}", "use 1 to 32 of a-z, 0-9 and -")
        self._only(table, at, _SITE_KEYS)
        origins = self._texts(table, at, "origins")
        for origin in origins:
            if not re.fullmatch(r"https?://[a-z0-9.-]+(:\d{1,5})?", origin):
                self._fail((*at, "origins"), f"{origin!r} is not an origin", "write https://host, without a path")
        timezone = self._text(table, at, "timezone", "Europe/London")
        if timezone not in available_timezones():
            self._fail((*at, "timezone"), f"{timezone!r} is no time zone", "use a name such as Europe/London")
        networks = self._texts(table, at, "excluded_networks", ())
        for network in networks:
            self._network((*at, "excluded_networks"), network)
        regime = self._choice(table, at, "regime", REGIMES, "uk")
        return Site(
            key=key,
            name=self._text(table, at, "name"),
            controller=self._text(table, at, "controller"),
            origins=origins,
            timezone=timezone,
            language=self._text(table, at, "language", "en"),
            regime=regime,
            embed=self._choice(table, at, "embed", EMBEDS, "same-host"),
            notice=self._notice(table, at),
            purposes=self._purposes(table, at, regime),
            goals=self._texts(table, at, "goals", ()),
            search_parameter=self._text(table, at, "search_parameter", ""),
            sitemap=self._text(table, at, "sitemap", ""),
            excluded_networks=networks,
        )

    def _notice(self, table: dict[str, Any], at: Place) -> Notice:
        name = self._text(table, at, "notice")
        effective = table.get("effective")
        if type(effective) is not date:
            self._fail((*at, "effective"), "must be a date", "write effective = 2026-11-01")
        try:
            content = (self._path.parent / name).read_bytes()
            text = content.decode("utf-8")
        except (OSError, UnicodeDecodeError):
            self._fail((*at, "notice"), f"{name!r} cannot be read as text", "put the notice there, in UTF-8")
        return Notice(text, hashlib.sha256(content).hexdigest(), effective)

    def _purposes(self, table: dict[str, Any], at: Place, regime: str) -> tuple[Purpose, ...]:
        rows = table.get("purposes")
        if not isinstance(rows, list) or not rows:
            self._fail((*at, "purposes"), "no purposes", "add [[sites.<key>.purposes]], at least `necessary`")
        purposes = tuple(self._purpose(row, (*at, "purposes", str(n)), regime) for n, row in enumerate(rows))
        keys = [purpose.key for purpose in purposes]
        if len(set(keys)) != len(keys):
            self._fail((*at, "purposes"), "two purposes have the same key", "rename one")
        if not any(p.mode == "necessary" for p in purposes) or not any(p.mode != "necessary" for p in purposes):
            self._fail((*at, "purposes"), "needs a necessary and an optional purpose", "add the missing one")
        return purposes

    def _purpose(self, row: Any, at: Place, regime: str) -> Purpose:
        self._only(row, at, {"key", "mode", "title", "about", "cookies", "third_parties"})
        key = self._text(row, at, "key")
        if not re.fullmatch(r"[a-z][a-z0-9_-]{0,31}", key):
            self._fail((*at, "key"), f"purpose key {key!r}", "use 1 to 32 of a-z, 0-9, - and _")
        mode = self._choice(row, at, "mode", MODES, "consent")
        third_parties = self._texts(row, at, "third_parties", ())
        if mode == "objectable":
            self._objectable(key, third_parties, regime, at)
        cookies = tuple(self._cookie(c, (*at, "cookies", str(n))) for n, c in enumerate(row.get("cookies", [])))
        return Purpose(key, mode, self._words(row, at, "title"), self._words(row, at, "about"), cookies, third_parties)

    def _objectable(self, key: str, third_parties: tuple[str, ...], regime: str, at: Place) -> None:
        """The statistics exemption of PECR Schedule A1 paragraph 5 (Data (Use and Access) Act 2025) and its limits."""
        if key != STATISTICS:
            self._fail((*at, "mode"), f"{key} cannot be objectable", "only `statistics` may; use mode = 'consent'")
        if third_parties:
            self._fail((*at, "mode"), "objectable statistics go to third parties", "remove them or use 'consent'")
        if regime != "uk":
            self._fail((*at, "mode"), f"objectable is not lawful under regime {regime!r}", "use mode = 'consent'")

    def _cookie(self, row: Any, at: Place) -> DeclaredCookie:
        self._only(row, at, {"name", "provider", "duration", "kind", "about"})
        return DeclaredCookie(
            self._text(row, at, "name"),
            self._text(row, at, "provider"),
            self._text(row, at, "duration"),
            self._text(row, at, "kind", "cookie"),
            self._words(row, at, "about"),
        )

    def _words(self, table: dict[str, Any], at: Place, key: str) -> Words:
        value = table.get(key)
        words = {"en": value} if isinstance(value, str) else value
        if not isinstance(words, dict) or not words or not all(isinstance(w, str) and w for w in words.values()):
            self._fail((*at, key), "must be text, or a table of texts by language", f'write {key} = "…"')
        return MappingProxyType(words)

    def _text(self, table: dict[str, Any], at: Place, key: str, default: str | None = None) -> str:
        value = table.get(key, default)
        if not isinstance(value, str) or (default is None and not value):
            self._fail((*at, key), f"{key} must be text", f'write {key} = "…"')
        return value

    def _texts(
        self, table: dict[str, Any], at: Place, key: str, default: tuple[str, ...] | None = None
    ) -> tuple[str, ...]:
        value = table.get(key, default)
        if not isinstance(value, list | tuple) or not all(isinstance(v, str) for v in value) or value == []:
            if value == [] and default is not None:
                return ()
            self._fail((*at, key), f"{key} must be a list of texts", f'write {key} = ["…"]')
        return tuple(value)

    def _choice(self, table: dict[str, Any], at: Place, key: str, allowed: tuple[str, ...], default: str) -> str:
        value = table.get(key, default)
        if value not in allowed:
            self._fail((*at, key), f"{key} is {value!r}", f"use one of {', '.join(allowed)}")
        return str(value)

    def _network(self, at: Place, network: str) -> None:
        try:
            ip_network(network)
        except ValueError:
            self._fail(at, f"{network!r} is not a network", "write it as 192.0.2.0/24")

    def _only(self, table: Any, at: Place, allowed: set[str]) -> None:
        if not isinstance(table, dict):
            self._fail(at, "must be a table", "see docs/settings.md")
        for key in table:
            if key not in allowed:
                self._fail((*at, key), f"unknown key {key!r}", f"known here: {', '.join(sorted(allowed))}")

    def _fail(self, at: Place, what: str, remedy: str) -> NoReturn:
        raise SitesError(f"{self._path}:{self._line(at)}: {'.'.join(at)}: {what}", remedy=remedy)

    def _line(self, at: Place) -> int:
        """The line of the innermost part of `at` that stands in the file."""
        return next((self._lines[at[:n]] for n in range(len(at), 0, -1) if at[:n] in self._lines), 1)


def _key_lines(text: str) -> dict[Place, int]:
    """Line numbers of tables and keys, by their path; tables of a list carry their position."""
    lines: dict[Place, int] = {}
    table: Place = ()
    seen: dict[Place, int] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if header := re.match(r"\s*(\[\[?)\s*([\w.\"-]+)\s*\]\]?", line):
            table = _numbered(tuple(header[2].replace('"', "").split(".")), header[1] == "[[", seen)
            lines.setdefault(table, number)
        elif key := re.match(r"\s*([\w-]+)(?:\.[\w-]+)?\s*=", line):
            lines.setdefault((*table, key[1]), number)
    return lines


def _numbered(path: Place, appends: bool, seen: dict[Place, int]) -> Place:
    """A header's path with the position of each list it goes through."""
    done: Place = ()
    for depth, part in enumerate(path, start=1):
        done = (*done, part)
        last = depth == len(path)
        if last and appends:
            seen[done] = seen.get(done, -1) + 1
        if done in seen:
            done = (*done, str(seen[done]))
    return done
