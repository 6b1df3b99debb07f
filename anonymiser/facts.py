"""Door in: a page-view beacon is checked, bounded and shredded into unlinkable facts, in memory, before any disk.

A beacon carries the visitor's own counters ("this is my 2nd view today"), no identifier. A fact is one addition to
one statistic. Facts of one beacon are never written side by side (see `spool`), so no stored row leads to another.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import Any, Final, NamedTuple, cast

from anonymiser import places, scrub, sources
from anonymiser.agents import Agent
from anonymiser.bounds import (
    BUCKETS,
    EVENTS_PER_DAY,
    EXIT_VIEWS,
    FUNNEL_STEPS_PER_DAY,
    GAP_BUCKETS,
    OTHER,
    PAGES_PER_DAY,
    VIEWS_PER_DAY,
    VISITS_PER_DAY,
)
from anonymiser.errors import BeaconError

SCHEMA: Final = 1
MAX_BYTES: Final = 4096
MAX_PATH: Final = 512
MAX_TEXT: Final = 128
EVENT_TABLES: Final = {
    "goal": "goals",
    "outbound": "outbound",
    "download": "downloads",
    "search": "searches",
    "not_found": "not_found",
}
KINDS: Final = frozenset(("pageview", "engagement", *EVENT_TABLES))
SCREENS: Final = frozenset(("small", "medium", "large", "wide"))


class Fact(NamedTuple):
    """One addition to one statistic of one site on one local day: the only raw shape that is ever stored."""

    site: str
    day: str
    statistic: str
    key1: str
    key2: str
    delta: int


@dataclass(frozen=True, slots=True)
class Beacon:
    """One parsed beacon. Ordinals: `n` view of the day, `p` distinct page of the day (0 = seen already), `v` visit of
    the day, `k` view of the visit, `g` distinct key of this kind today (0 = seen already), `f` funnel step of the day.

    Where a site has the two-dimensional statistics, each view and goal says `entry`, the visit's first page, and brings
    the visit's `referrer`, `utm_source` and `utm_medium` along; elsewhere these come with a visit's first view only.
    """

    site: str
    permit: str
    nonce: str
    day: str
    kind: str
    path: str
    prev: str = ""
    entry: str = ""
    n: int = 0
    p: int = 0
    v: int = 0
    k: int = 0
    g: int = 0
    f: int = 0
    gap: str = ""
    referrer: str = ""
    utm_source: str = ""
    utm_medium: str = ""
    utm_campaign: str = ""
    screen: str = ""
    lang: str = ""
    zone: str = ""
    key: str = ""
    step: str = ""
    engaged: tuple[int, int] = (0, 0)
    scroll: tuple[int, int] = (0, 0)


_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_STEP = re.compile(r"[a-z0-9_-]{1,32}:[1-6]")


def _encodable(value: str) -> bool:
    """JSON can spell half a character (a lone surrogate), which no file and no signature can hold."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _text(limit: int) -> Callable[[str, Any], str]:
    def check(field: str, value: Any) -> str:
        if not isinstance(value, str) or len(value) > limit or not _encodable(value):
            raise BeaconError(field, f"must be text of at most {limit} characters")
        return value

    return check


def _pattern(pattern: str, what: str) -> Callable[[str, Any], str]:
    compiled = re.compile(pattern)

    def check(field: str, value: Any) -> str:
        if not isinstance(value, str) or not compiled.fullmatch(value):
            raise BeaconError(field, f"must be {what}")
        return value

    return check


def _one_of(allowed: frozenset[str]) -> Callable[[str, Any], str]:
    def check(field: str, value: Any) -> str:
        if not isinstance(value, str) or value not in allowed:
            raise BeaconError(field, f"must be one of {', '.join(sorted(allowed))}")
        return value

    return check


def _ordinal(field: str, value: Any) -> int:
    if type(value) is not int or not 0 <= value <= 100_000:
        raise BeaconError(field, "must be a whole number from 0 to 100000")
    return value


def _day(field: str, value: Any) -> str:
    if not isinstance(value, str) or not _DAY.fullmatch(value):
        raise BeaconError(field, "must be a date such as 2026-05-17")
    try:
        date.fromisoformat(value)
    except ValueError as error:
        raise BeaconError(field, "is not a day of the calendar") from error
    return value


def _path(field: str, value: Any) -> str:
    if not isinstance(value, str) or not value.startswith("/") or len(value) > MAX_PATH or not _encodable(value):
        raise BeaconError(field, f"must begin with / and have at most {MAX_PATH} characters")
    return value


def _step(field: str, value: Any) -> str:
    if not isinstance(value, str) or not _STEP.fullmatch(value) or scrub.findings(value):
        raise BeaconError(field, "must be a funnel and step such as order:2")
    return value


def _buckets(field: str, value: Any) -> tuple[int, int]:
    if (
        not isinstance(value, list)
        or len(value) != 2
        or not all(type(edge) is int and 0 <= edge <= BUCKETS for edge in value)
        or value[0] >= value[1]
    ):
        raise BeaconError(field, f"must be two growing whole numbers from 0 to {BUCKETS}")
    return value[0], value[1]


_CHECKS: Final[dict[str, Callable[[str, Any], Any]]] = {
    "site": _pattern(r"[a-z0-9-]{1,32}", "a site key"),
    "permit": _text(512),
    "nonce": _pattern(r"[0-9a-f]{16}", "16 hexadecimal digits"),
    "day": _day,
    "kind": _one_of(KINDS),
    "path": _path,
    "prev": _path,
    "entry": _path,
    **dict.fromkeys("npvkgf", _ordinal),
    "gap": _one_of(frozenset(GAP_BUCKETS)),
    "referrer": _text(MAX_TEXT),
    "utm_source": _text(MAX_TEXT),
    "utm_medium": _text(MAX_TEXT),
    "utm_campaign": _text(MAX_TEXT),
    "screen": _one_of(SCREENS),
    "lang": _pattern(r"[A-Za-z0-9-]{2,35}", "a language tag such as en-GB"),
    "zone": _pattern(r"[A-Za-z0-9_+/-]{1,64}", "a time zone such as Europe/London"),
    "key": _text(MAX_PATH),
    "step": _step,
    "engaged": _buckets,
    "scroll": _buckets,
}
_REQUIRED: Final = ("site", "permit", "nonce", "day", "kind", "path")


def parse(body: bytes) -> Beacon:
    """Read one beacon from its JSON text.

    Raises BeaconError naming the first field that is unknown, missing or out of range. The message never repeats
    a value, so it may be logged.
    """
    if len(body) > MAX_BYTES:
        raise BeaconError("(body)", f"must have at most {MAX_BYTES} bytes")
    try:
        raw = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise BeaconError("(body)", "is not JSON") from error
    if not isinstance(raw, dict):
        raise BeaconError("(body)", "must be a JSON object")
    schema = raw.pop("schema", None)
    if type(schema) is not int or schema != SCHEMA:
        raise BeaconError("schema", f"must be {SCHEMA}")
    values: dict[str, Any] = {}
    for field, value in raw.items():
        check = _CHECKS.get(field)
        if check is None:
            raise BeaconError(scrub.field_name(field), "is not a field of this schema")
        values[field] = check(field, value)
    for field in _REQUIRED:
        if field not in values:
            raise BeaconError(field, "is missing")
    return _consistent(Beacon(**values))


def _consistent(beacon: Beacon) -> Beacon:
    if beacon.kind == "pageview":
        for field in "nvk":
            if getattr(beacon, field) < 1:
                raise BeaconError(field, "must be at least 1 on a pageview")
        if beacon.k > beacon.n or beacon.v > beacon.n or beacon.p > beacon.n:
            raise BeaconError("n", "must not be smaller than k, v or p")
        if beacon.n == 1 and not beacon.gap:
            raise BeaconError("gap", "is missing on the first view of the day")
        if beacon.k > 1 and not beacon.prev:
            raise BeaconError("prev", "is missing after the first view of the visit")
    elif beacon.kind in EVENT_TABLES and beacon.kind != "not_found" and not beacon.key:
        raise BeaconError("key", f"is missing on kind {beacon.kind}")
    elif beacon.kind == "engagement" and not (beacon.engaged[1] or beacon.scroll[1]):
        raise BeaconError("engaged", "is missing on kind engagement, and so is scroll")
    return beacon


def shred(beacon: Beacon, agent: Agent, hour: int, own_hosts: frozenset[str]) -> list[Fact]:
    """Turn a beacon into its facts, bounds applied (the limits of `bounds`).

    `hour` is the local hour of reception, `own_hosts` the hosts whose links count as internal. The user agent has
    already been reduced to `agent`; nothing of it remains but browser, system and device class.
    """
    rows = _SHREDDERS[beacon.kind](beacon, agent, hour, own_hosts)
    return [Fact(beacon.site, beacon.day, *row) for row in rows]


Row = tuple[str, str, str, int]

_scrubbed_path = lru_cache(maxsize=16384)(scrub.path)
_scrubbed_text = lru_cache(maxsize=16384)(scrub.text)
_scrubbed_label = lru_cache(maxsize=4096)(scrub.label)


def _once(raw: str, key: str) -> str:
    """The key under which a text is counted that the browser took for new today.

    Two addresses that scrubbing makes one would let a browser add 2 to that key. So only the final spelling of an
    address counts for it; others count under a key whose noise is wide enough for several (see `bounds.Statistic`).
    """
    return key if key == raw or scrub.is_folded(key) else OTHER


def _pageview(beacon: Beacon, agent: Agent, hour: int, own_hosts: frozenset[str]) -> list[Row]:
    page = _scrubbed_path(beacon.path)
    rows: list[Row] = []
    if beacon.n == 1:
        rows += _first_of_day(beacon, agent)
    if beacon.n <= VIEWS_PER_DAY:
        rows.append(("views", "", "", 1))
    if 1 <= beacon.p <= PAGES_PER_DAY:
        rows += _new_page(beacon, _once(beacon.path, page), agent, own_hosts)
    if beacon.v <= VISITS_PER_DAY and beacon.k == 1:
        rows += [("visits", "", "", 1), ("bounces", "", "", 1)]
    elif beacon.v <= VISITS_PER_DAY and beacon.k == 2:
        rows.append(("bounces", "", "", -1))
    if beacon.v == 1:
        rows += _first_visit(beacon, page, hour, own_hosts)
    return rows + _funnel(beacon)


def _new_page(beacon: Beacon, page: str, agent: Agent, own_hosts: frozenset[str]) -> list[Row]:
    rows: list[Row] = [("pages", page, "", 1)]
    if beacon.entry:
        pairs = (("page_sources", _source_group(beacon, own_hosts)), ("page_devices", agent.device))
        rows += [(name, *_pair(page, other), 1) for name, other in pairs]
    return rows


def _new_goal(beacon: Beacon, goal: str, own_hosts: frozenset[str]) -> list[Row]:
    rows: list[Row] = [("goals", goal, "", 1)]
    if beacon.entry:
        pairs = (("source_goals", _source_group(beacon, own_hosts)), ("entry_goals", _scrubbed_path(beacon.entry)))
        rows += [(name, *_pair(other, goal), 1) for name, other in pairs]
    return rows


def _source_group(beacon: Beacon, own_hosts: frozenset[str]) -> str:
    source = sources.classify(beacon.referrer, beacon.utm_source, beacon.utm_medium, own_hosts)
    return sources.group(source.name, source.channel)


def _pair(first: str, second: str) -> tuple[str, str]:
    """The key of two halves; with one half in "(other)", whatever the other half is."""
    return (OTHER, "") if OTHER in (first, second) else (first, second)


def _first_of_day(beacon: Beacon, agent: Agent) -> list[Row]:
    return [
        ("visitors", "", "", 1),
        ("returning", beacon.gap, "", 1),
        ("countries", places.country(beacon.zone), "", 1),
        ("devices", agent.device, "", 1),
        ("browsers", agent.browser, agent.system, 1),
        ("languages", places.language(beacon.lang), "", 1),
        ("screens", beacon.screen or "unknown", "", 1),
    ]


def _first_visit(beacon: Beacon, page: str, hour: int, own_hosts: frozenset[str]) -> list[Row]:
    rows: list[Row] = []
    if beacon.k == 1:
        source = sources.classify(beacon.referrer, beacon.utm_source, beacon.utm_medium, own_hosts)
        rows += [("entries", page, "", 1), ("sources", source.name, source.channel, 1), ("hours", f"{hour:02}", "", 1)]
        if beacon.utm_campaign:
            rows.append(("campaigns", _scrubbed_text(beacon.utm_campaign), "", 1))
    if beacon.k <= EXIT_VIEWS:
        rows.append(("exits", page, "", 1))
        if beacon.k > 1:
            rows.append(("exits", _scrubbed_path(beacon.prev), "", -1))
    return rows


def _funnel(beacon: Beacon) -> list[Row]:
    if not beacon.step or not 1 <= beacon.f <= FUNNEL_STEPS_PER_DAY:
        return []
    funnel, step = beacon.step.split(":")
    return [("funnels", funnel, step, 1)]


def _engagement(beacon: Beacon, agent: Agent, hour: int, own_hosts: frozenset[str]) -> list[Row]:
    """The browser-day leaves its old bucket (none at first) for a later one; the edges are in `bounds`."""
    rows: list[Row] = []
    for statistic, (old, new) in (("engagement", beacon.engaged), ("scroll", beacon.scroll)):
        if new:
            rows.append((statistic, str(new), "", 1))
        if old:
            rows.append((statistic, str(old), "", -1))
    return rows


def _event(beacon: Beacon, agent: Agent, hour: int, own_hosts: frozenset[str]) -> list[Row]:
    if not 1 <= beacon.g <= EVENTS_PER_DAY:
        return _funnel(beacon)
    if beacon.kind == "goal":
        return _new_goal(beacon, _once(beacon.key, _scrubbed_label(beacon.key)), own_hosts) + _funnel(beacon)
    key = {
        "outbound": lambda: scrub.host(beacon.key),
        "download": lambda: _scrubbed_path(beacon.key),
        "search": lambda: _scrubbed_text(beacon.key),
        "not_found": lambda: _scrubbed_path(beacon.path),
    }[beacon.kind]()
    return [(EVENT_TABLES[beacon.kind], key, "", 1), *_funnel(beacon)]


_Shredder = Callable[[Beacon, Agent, int, frozenset[str]], list[Row]]
_SHREDDERS: Final[dict[str, _Shredder]] = {
    "pageview": _pageview,
    "engagement": _engagement,
    **dict.fromkeys(EVENT_TABLES, cast(_Shredder, _event)),
}
