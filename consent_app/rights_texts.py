"""What the pages of data rights say: headings and buttons in every language, sentences in English and Welsh.

A page in another language than these two has its sentences in English, says so, and marks them (WCAG 2.2, 3.1.2).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import cache
from importlib.resources import files
from typing import Final

from markupsafe import Markup, escape

from consent_app import languages
from consent_app.declared import Speaker as SiteSpeaker
from consent_app.sites import Site

WHOLE: Final = ("en", "cy")


@dataclass(frozen=True, slots=True)
class Speaker:
    """Says these pages' texts in the language `lang`; `site` is whose pages they are, None where nobody said."""

    lang: str
    site: Site | None

    @property
    def direction(self) -> str:
        """Of the frame: `ltr` or `rtl`."""
        return languages.texts(self.lang)["direction"]

    @property
    def told_in(self) -> str:
        """The language of the sentences."""
        return self.lang if self.lang in WHOLE else languages.FALLBACK

    @property
    def is_whole(self) -> bool:
        """Whether headings and sentences are in one language."""
        return self.told_in == self.lang

    @property
    def mark(self) -> Markup:
        """Attributes for an element that holds sentences."""
        if self.is_whole:
            return Markup("")
        turned = Markup(' dir="ltr"') if self.direction == "rtl" else Markup("")
        return Markup(' lang="{}"').format(self.told_in) + turned

    def frame(self, name: str) -> str:
        """A heading, label or button; those of the banner's catalogue too."""
        own = _frame(self.lang)
        return own[name] if name in own else languages.texts(self.lang)[name]

    def tell(self, sentence: str, /, **filled: object) -> Markup:
        """A sentence, filled in and escaped."""
        return escape(_sentences(self.told_in)[sentence]).format(**filled)

    def day(self, day: date | str, *, frame: bool = False) -> str:
        """A day, as the sentences spell it, or as the frame does."""
        said = languages.texts(self.lang if frame else self.told_in)
        found = date.fromisoformat(day[:10]) if isinstance(day, str) else day
        return said["date"].format(day=found.day, month=said["months"].split()[found.month - 1], year=found.year)

    def title(self, key: str) -> Markup:
        """What the site calls a purpose or service; the key of one it has no more."""
        if self.site is None:
            return escape(key)
        found = next((one for one in self.site.holders if one.key == key), None)
        return SiteSpeaker(self.site, self.lang).say(found.title) if found else escape(key)

    def languages(self) -> dict[str, str]:
        """Every language there is, with its own name."""
        return {tag: languages.texts(tag)["endonym"] for tag in languages.available()}


@cache
def _frame(lang: str) -> Mapping[str, str]:
    return _read("frame", lang)


@cache
def _sentences(lang: str) -> Mapping[str, str]:
    return _read("sentences", lang)


def _read(kind: str, lang: str) -> Mapping[str, str]:
    content = files(languages).joinpath("rights", kind, f"{lang}.json").read_text("utf-8")
    loaded: dict[str, str] = json.loads(content)
    return loaded
