"""What was seen against what sites.toml declares: undeclared, too early, in spite of a refusal, longer than said."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, get_args

from consent_app.purposes import DeclaredCookie, Mode, StorageKind
from consent_app.scanner.seen import KINDS, VISITS, Kind, Seen, Stored, Visit, grouped
from consent_app.sites import Site

# What sites.toml has words for. Caches and service workers are shown and judged by a person.
DECLARABLE: Final[tuple[Kind, ...]] = get_args(StorageKind)
# What may be there in a visit; acceptance allows everything. PECR Schedule A1 paragraphs 2, 4 and 5.
ALLOWED: Final[Mapping[Visit, frozenset[Mode]]] = {
    "before": frozenset({"necessary", "objectable"}),
    "refused": frozenset({"necessary"}),
    "signal": frozenset({"necessary"}),
    "accepted": frozenset({"necessary", "objectable", "consent"}),
}
SPOKEN: Final[Mapping[Visit, str]] = {
    "before": "before a choice",
    "refused": "in spite of a refusal",
    "signal": "in spite of Global Privacy Control",
    "accepted": "after acceptance",
}


@dataclass(frozen=True, slots=True)
class Difference:
    """One way in which the site is not what it declares. `what` is a cookie, an entry or a host; `why` a sentence."""

    what: str
    name: str
    why: str


@dataclass(frozen=True)
class Declaration:
    """What a site declares: purposes, cookies, hosts. Nothing where there is no site.

    `ours` are hosts that are the site's own besides: where the banner comes from.
    """

    site: Site | None
    ours: frozenset[str] = frozenset()

    def of(self, stored: Stored) -> tuple[str, Mode, DeclaredCookie] | None:
        """Purpose, its mode and the entry that declares this; the most exact name, if several do."""
        fits = [each for each in self._cookies() if each[2].kind == stored.kind and _is(stored.name, each[2].name)]
        return max(fits, key=lambda each: len(each[2].name), default=None)

    def mode_of_host(self, host: str) -> Mode | None:
        """The mode under which a host may be asked; "necessary" for the site's own."""
        if self.site is None:
            return None
        if host in self.ours or _is_own(host, self.site.own_hosts):
            return "necessary"
        modes = [p.mode for p in self.site.purposes for name in p.all_hosts if _is_own(host, (name,))]
        return modes[0] if modes else None

    def unseen(self, visits: Sequence[Seen]) -> list[str]:
        """Names declared that no visit saw. Perhaps rare; perhaps gone."""
        seen = [stored for visit in visits for stored in visit.stored]
        names = [c for _, _, c in self._cookies() if not any(s.kind == c.kind and _is(s.name, c.name) for s in seen)]
        return list(dict.fromkeys(cookie.name for cookie in names))

    def _cookies(self) -> Iterator[tuple[str, Mode, DeclaredCookie]]:
        for purpose in self.site.purposes if self.site else ():
            for cookie in (*purpose.cookies, *(c for service in purpose.services for c in service.cookies)):
                yield purpose.key, purpose.mode, cookie


def differences(declared: Declaration, visits: Sequence[Seen]) -> tuple[Difference, ...]:
    """Every difference, once: what is stored first, then who is asked."""
    return (*_of_storage(declared, visits), *(_of_hosts(declared, visits) if declared.site else ()))


def _of_storage(declared: Declaration, visits: Sequence[Seen]) -> Iterator[Difference]:
    for (kind, name), found in grouped(visits).items():
        if kind not in DECLARABLE:
            continue
        entry = declared.of(found[0][1])
        if entry is None:
            yield Difference(KINDS[kind], name, f"is not declared; seen {_when(visit for visit, _ in found)}")
            continue
        purpose, mode, cookie = entry
        early = [visit for visit, _ in found if mode not in ALLOWED[visit]]
        if early:
            yield Difference(KINDS[kind], name, f"belongs to {purpose!r} ({mode}), and is there {_when(early)}")
        yield from _of_lifetime(name, cookie, [stored for _, stored in found])


def _of_lifetime(name: str, cookie: DeclaredCookie, found: Sequence[Stored]) -> Iterator[Difference]:
    longest = max((stored.days or 0 for stored in found), default=0)
    if cookie.kind == "cookie" and longest > (cookie.days or 0):
        said = f"{cookie.days} days" if cookie.days else "the browser's session"
        yield Difference("cookie", name, f"stays for {longest} days; {said} is declared")


def _of_hosts(declared: Declaration, visits: Sequence[Seen]) -> Iterator[Difference]:
    for host in sorted({host for seen in visits for host in seen.hosts}):
        mode = declared.mode_of_host(host)
        asked = [seen.visit for seen in visits if host in seen.hosts]
        if mode is None:
            yield Difference("host", host, f"is not declared; asked {_when(asked)}")
        elif early := [visit for visit in asked if mode not in ALLOWED[visit]]:
            yield Difference("host", host, f"is declared for a purpose of mode {mode!r}, and asked {_when(early)}")


def _when(visits: Iterable[Visit]) -> str:
    there = set(visits)
    times = [SPOKEN[visit] for visit in VISITS if visit in there]
    return times[0] if len(times) == 1 else f"{', '.join(times[:-1])} and {times[-1]}"


def _is(name: str, pattern: str) -> bool:
    return name.startswith(pattern[:-1]) if pattern.endswith("*") else name == pattern


def _is_own(host: str, names: Iterable[str]) -> bool:
    return any(host == name or host.endswith(f".{name.removeprefix('*.')}") for name in names)
