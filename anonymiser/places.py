"""Country by time zone and language by tag, from closed lists: nothing a browser sends is passed through.

The countries come from the IANA time-zone database's own table (zone.tab) and its backward links (tzdata.zi), both
public domain and shipped in the `tzdata` package; the languages are the two-letter codes of ISO 639-1.
"""

from __future__ import annotations

import re
from functools import cache, lru_cache
from importlib import resources
from typing import Final

UNKNOWN: Final = "unknown"

ISO_639_1: Final = (
    "aa ab ae af ak am an ar as av ay az ba be bg bi bm bn bo br bs ca ce ch co cr cs cu cv cy da de dv dz ee el en "
    "eo es et eu fa ff fi fj fo fr fy ga gd gl gn gu gv ha he hi ho hr ht hu hy hz ia id ie ig ii ik io is it iu ja "
    "jv ka kg ki kj kk kl km kn ko kr ks ku kv kw ky la lb lg li ln lo lt lu lv mg mh mi mk ml mn mr ms mt my na nb "
    "nd ne ng nl nn no nr nv ny oc oj om or os pa pi pl ps pt qu rm rn ro ru rw sa sc sd se sg si sk sl sm sn so sq "
    "sr ss st su sv sw ta te tg th ti tk tl tn to tr ts tt tw ty ug uk ur uz ve vi vo wa wo xh yi yo za zh zu"
)
LANGUAGES: Final = (*ISO_639_1.split(), UNKNOWN)
_LANGUAGES: Final = frozenset(LANGUAGES)
_RETIRED: Final = {"iw": "he", "in": "id", "ji": "yi", "jw": "jv", "mo": "ro", "fil": "tl", "cmn": "zh", "yue": "zh"}


# The links of tzdata.zi follow equal clocks, so some old names lead abroad (Iceland to Abidjan); several of them are
# what browsers still report. These lead to the modern name of the same place.
_SAME_PLACE: Final = {
    "Africa/Asmera": "Africa/Asmara",
    "Africa/Timbuktu": "Africa/Bamako",
    "America/Coral_Harbour": "America/Atikokan",
    "America/Virgin": "America/St_Thomas",
    "Antarctica/South_Pole": "Antarctica/McMurdo",
    "Atlantic/Jan_Mayen": "Arctic/Longyearbyen",
    "Iceland": "Atlantic/Reykjavik",
    "Pacific/Ponape": "Pacific/Pohnpei",
    "Pacific/Truk": "Pacific/Chuuk",
    "Pacific/Yap": "Pacific/Chuuk",
}
_CLOCK_ONLY: Final = re.compile(r"[A-Z]{2}T(?:\d[A-Z]{2}T)?")


def _zones() -> dict[str, str]:
    """Zone name -> ISO 3166-1 alpha-2 code. zone.tab has one country a row; a link stands for its target's country."""
    database = resources.files("tzdata") / "zoneinfo"
    rows = (line.split("\t") for line in (database / "zone.tab").read_text("utf-8").splitlines() if line[:1] != "#")
    zones = {row[2].strip(): row[0] for row in rows}
    links = (line.split() for line in (database / "tzdata.zi").read_text("utf-8").splitlines() if line[:2] == "L ")
    targets = {alias: target for _, target, alias in links if not _CLOCK_ONLY.fullmatch(alias)} | _SAME_PLACE
    return {alias: zones[target] for alias, target in targets.items() if target in zones} | zones


_ZONES: Final = _zones()
COUNTRIES: Final = (*sorted(set(_ZONES.values())), UNKNOWN)


@cache
def _folded() -> dict[str, str]:
    return {zone.lower(): country for zone, country in _ZONES.items()}


def country(zone: str) -> str:
    """The ISO 3166-1 alpha-2 code of a tz database zone, old names included; "unknown" for UTC and all else."""
    return _ZONES.get(zone) or _folded().get(zone.lower(), UNKNOWN)


@lru_cache(maxsize=1024)
def language(tag: str) -> str:
    """The primary subtag of a BCP 47 language tag when ISO 639-1 has it, else "unknown"."""
    primary = tag.replace("_", "-").split("-", 1)[0].strip().lower()
    primary = _RETIRED.get(primary, primary)
    return primary if primary in _LANGUAGES else UNKNOWN
