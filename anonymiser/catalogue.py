"""The declared keys: what may be published whatever its count, because the site or this code names it beforehand.

Declared keys come from closed lists (countries, devices ...), from the known sources, and from the site: its pages,
goals, campaigns and funnel steps. They never come from the data, so publishing one says nothing about a visitor.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import re
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from html import unescape
from itertools import product
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from anonymiser import agents, places, scrub, sources
from anonymiser.bounds import BUCKETS, GAP_BUCKETS, STATISTICS, Statistic
from anonymiser.errors import InputError
from anonymiser.facts import SCREENS
from anonymiser.settings import SiteRules

Key = tuple[str, str]
MOST_PAGES: Final = 50_000
MOST_PAIRS: Final = 2_000  # of one crossed statistic in one period: each is a number with noise, most of them nought
MOST_BYTES: Final = 64 * 2**20  # sitemaps.org allows 50 MB
_LOCATION: Final = re.compile(r"<loc>\s*(?:<!\[CDATA\[)?\s*(.*?)\s*(?:\]\]>)?\s*</loc>", re.DOTALL)
_NAMED: Final = {"goal": "goals", "campaign": "campaigns"}


def _single(names: Iterable[str]) -> tuple[Key, ...]:
    return tuple((name, "") for name in names)


_CLOSED: Final[dict[str, tuple[Key, ...]]] = {
    "returning": _single(GAP_BUCKETS),
    "hours": _single(f"{hour:02}" for hour in range(24)),
    "countries": _single(places.COUNTRIES),
    "devices": _single(agents.DEVICES),
    "browsers": tuple(product(agents.BROWSERS, agents.SYSTEMS)),
    "languages": _single(places.LANGUAGES),
    "screens": _single((*sorted(SCREENS), places.UNKNOWN)),
    "engagement": _single(str(bucket) for bucket in range(1, BUCKETS + 1)),
    "scroll": _single(str(bucket) for bucket in range(1, BUCKETS + 1)),
}
_KNOWN_SOURCES: Final = tuple(dict.fromkeys((source.name, source.channel) for source in sources.KNOWN))
_SCRUBS: Final[dict[str, Callable[[str], str]]] = {
    "pages": scrub.path,
    "campaigns": scrub.text,
    "goals": scrub.label,
}


def declared(statistic: Statistic, rules: SiteRules) -> tuple[Key, ...]:
    """The keys of `statistic` that the site's publication always shows, spelt as the counts spell them."""
    if statistic.catalogue == "closed":
        return _CLOSED[statistic.name]
    if not statistic.keys:
        return (("", ""),)
    if statistic.name == "funnels":
        return tuple(_step(text) for text in rules.catalogue.get("funnels", ()))
    if statistic.catalogue == "sources":
        return _KNOWN_SOURCES
    if statistic.crossed:
        return _pairs(*(_half(name, rules) for name in statistic.keys))
    clean = _SCRUBS.get(statistic.catalogue)
    return _single(dict.fromkeys(map(clean, rules.catalogue.get(statistic.catalogue, ())))) if clean else ()


def half(name: str) -> tuple[str, ...]:
    """The closed list that one half of a pair is on; empty where the half is open-ended."""
    return {"source": sources.GROUPS, "device": agents.DEVICES}.get(name, ())


def _half(name: str, rules: SiteRules) -> tuple[str, ...]:
    open_ended = {"page": "pages", "entry": "pages", "goal": "goals"}
    return half(name) or tuple(key for key, _ in declared(STATISTICS[open_ended[name]], rules))


def _pairs(first: Sequence[str], second: Sequence[str]) -> tuple[Key, ...]:
    """Every pair, as many as MOST_PAIRS allows: the longer list is cut, in the order in which it was declared."""
    if len(first) >= len(second):
        return tuple(product(first[: MOST_PAIRS // max(len(second), 1)], second))
    return tuple(product(first, second[: MOST_PAIRS // max(len(first), 1)]))


def digest(rules: SiteRules) -> str:
    """SHA-256 over every declared key of the site, which a release names."""
    keys = {name: declared(statistic, rules) for name, statistic in STATISTICS.items()}
    return hashlib.sha256(json.dumps(keys, sort_keys=True).encode()).hexdigest()


def read_file(file: Path) -> dict[str, tuple[str, ...]]:
    """A catalogue file: a line is a path (`/contact`), `goal NAME` or `campaign NAME`; `#` begins a comment.

    Raises InputError naming file and line.
    """
    found: dict[str, list[str]] = {"pages": []}
    for number, line in enumerate(_text(file).splitlines(), start=1):
        line = line.strip()
        if line.startswith("/"):
            found["pages"].append(line)
        elif line and not line.startswith("#"):
            kind, _, name = line.partition(" ")
            if kind not in _NAMED or not name.strip():
                raise InputError(
                    f"{file}, line {number}: must be a path such as /contact, or: goal NAME, campaign NAME"
                )
            found.setdefault(_NAMED[kind], []).append(name.strip())
    return _within(file, found)


def read_sitemap(file: Path) -> dict[str, tuple[str, ...]]:
    """The pages of a sitemap (sitemaps.org protocol 0.9), perhaps gzipped. Raises InputError when it names none."""
    text = _text(file)
    if "<sitemapindex" in text:
        raise InputError(f"{file}: is an index of sitemaps, not of pages; name one of the sitemaps it lists")
    paths = [urlsplit(unescape(place)).path or "/" for place in _LOCATION.findall(text)]
    if not paths:
        raise InputError(f"{file}: holds no <loc>; name the sitemap that lists pages")
    return _within(file, {"pages": paths})


def joined(*catalogues: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    """Several catalogues as one."""
    names = dict.fromkeys(name for catalogue in catalogues for name in catalogue)
    return {name: tuple(dict.fromkeys(k for c in catalogues for k in c.get(name, ()))) for name in names}


def _step(text: str) -> Key:
    funnel, _, step = text.rpartition(":")
    return funnel, step


def _text(file: Path) -> str:
    try:
        with file.open("rb") as raw:
            packed = raw.read(2) == b"\x1f\x8b"
        with gzip.open(file) if packed else file.open("rb") as opened:
            data = opened.read(MOST_BYTES + 1)
        if len(data) > MOST_BYTES:
            raise InputError(f"{file}: is larger than {MOST_BYTES // 2**20} MiB; name fewer keys")
        return data.decode("utf-8-sig").replace("\r\n", "\n")
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{file}: {getattr(error, 'strerror', None) or 'cannot be read to its end'}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{file}: is not UTF-8 text; save it as UTF-8") from error


def _within(file: Path, found: Mapping[str, list[str]]) -> dict[str, tuple[str, ...]]:
    for name, keys in found.items():
        if len(keys) > MOST_PAGES:
            raise InputError(f"{file}: declares {len(keys):,} {name}; at most {MOST_PAGES:,} can be declared")
    return {name: tuple(dict.fromkeys(keys)) for name, keys in found.items()}
