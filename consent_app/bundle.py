"""The banner's built files: which there are, their hashed names, and the one hash that a consent record names."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Final

from consent_app.errors import SettingsError

PLACES: Final = (
    Path(__file__).parent / "banner_dist",  # in an installed wheel
    Path(__file__).parent.parent / "static" / "consent-banner" / "dist",  # in a checkout
)


@cache
def folder() -> Path:
    """Where the built files are. Raises SettingsError when they are nowhere."""
    for place in PLACES:
        if (place / "manifest.json").is_file():
            return place
    raise SettingsError(f"the banner's files are missing (looked in {PLACES[0]} and {PLACES[1]}); run `make banner`")


@cache
def files() -> tuple[str, ...]:
    """The names of all built files, in order."""
    return tuple(sorted(file.name for file in folder().iterdir()))


@cache
def content(name: str) -> bytes:
    """A built file's bytes; `name` is one of `files()`."""
    return (folder() / name).read_bytes()


@cache
def manifest() -> Mapping[str, str]:
    """The hashed file name of each part: gate.js, ui.js, banner.css, taskbar.js."""
    names: dict[str, str] = json.loads(content("manifest.json"))
    return names


@cache
def sha256() -> str:
    """SHA-256 in hexadecimal over every built file, names and contents, in the order of names.

    Each file adds its name, a zero byte, its length in decimal, a zero byte and its content.
    """
    digest = hashlib.sha256()
    for name in files():
        digest.update(b"%s\0%d\0" % (name.encode(), len(content(name))))
        digest.update(content(name))
    return digest.hexdigest()
