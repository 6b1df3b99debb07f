"""What visitors read, one JSON file a language: banner, preferences and the page of declared cookies."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Final

FALLBACK: Final = "en"


@cache
def available() -> tuple[str, ...]:
    """The tags of all languages there are, such as ("cy", "en")."""
    names = (entry.name for entry in files(__name__).iterdir())
    return tuple(sorted(name.removesuffix(".json") for name in names if name.endswith(".json")))


def known(lang: str) -> str:
    """The language we have for a tag: itself, its primary language, or English."""
    tags = (lang.lower(), lang.lower().partition("-")[0])
    return next((tag for tag in tags if tag in available()), FALLBACK)


def texts(lang: str) -> Mapping[str, str]:
    """Every text of a language by name; `{…}` in a text is filled by whoever shows it."""
    return _read(known(lang))


@cache
def _read(lang: str) -> Mapping[str, str]:
    loaded: dict[str, str] = json.loads(files(__name__).joinpath(f"{lang}.json").read_text("utf-8"))
    return loaded
