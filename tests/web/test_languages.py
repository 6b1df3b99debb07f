"""The catalogues: every language says everything, in its own words and letters, and is shown and shipped as such."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import unicodedata
from collections.abc import Iterator, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Final
from zipfile import ZipFile

import pytest
from flask.testing import FlaskClient
from markupsafe import escape

from consent_app import languages
from consent_app.declared import Speaker
from consent_app.sites import Sites

PROMISED: Final = (
    *("en", "cy", "ga", "gd", "fr", "de", "es", "it", "pt", "nl", "pl", "ro", "cs", "sk", "hu", "sv", "da", "fi"),
    *("nb", "lt", "lv", "et", "el", "bg", "uk", "ru", "tr", "ar", "he", "ur", "pa", "bn", "hi", "gu", "zh", "ja"),
)
RIGHT_TO_LEFT: Final = {"ar", "he", "ur"}
# The scripts a language is written in, as the first word of Unicode's names of their letters; the others are Latin.
SCRIPTS: Final[Mapping[str, tuple[str, ...]]] = {
    "el": ("GREEK",),
    **dict.fromkeys(("bg", "uk", "ru"), ("CYRILLIC", "MODIFIER")),
    **dict.fromkeys(("ar", "ur"), ("ARABIC",)),
    "he": ("HEBREW",),
    "pa": ("GURMUKHI",),
    "bn": ("BENGALI",),
    "hi": ("DEVANAGARI",),
    "gu": ("GUJARATI",),
    "zh": ("CJK",),
    "ja": ("CJK", "HIRAGANA", "KATAKANA", "KATAKANA-HIRAGANA"),
}
# Names that are the same everywhere; “cookie” is the word for it in many languages.
NAMES: Final = re.compile(r"\{\w+\}|Global Privacy Control|JavaScript|cookies?", re.IGNORECASE)
# English words that are words of other languages too, or are names.
BORROWED: Final = {"Name", "ltr"}
ENGLISH: Final = re.compile(
    r"\b(the|your|you|our|with|what|which|when|until|this|choose|stored|accept)\b", re.IGNORECASE
)
# How people and refusal tools know a button that refuses; where tools know the language, these are their words.
REFUSALS: Final = {
    "en": "Reject all",
    "fr": "Tout refuser",
    "de": "Alle ablehnen",
    "es": "Rechazar todo",
    "it": "Rifiuta tutto",
    "pt": "Rejeitar tudo",
    "nl": "Alles weigeren",
    "pl": "Odrzuć wszystko",
    "sv": "Avvisa alla",
    "tr": "Reddet",
}
SHORT: Final = {"accept": 24, "reject": 24, "choose": 24, "title": 45}

everywhere = pytest.mark.parametrize("lang", languages.available())
abroad = pytest.mark.parametrize("lang", [lang for lang in languages.available() if lang != "en"])


def letters(text: str) -> Iterator[str]:
    """The script of each letter of a text, names left out."""
    for letter in NAMES.sub(" ", text):
        if letter.isalpha():
            yield unicodedata.name(letter).split()[0]


def placeholders(text: str) -> set[str]:
    return set(re.findall(r"\{[^}]*\}", text))


def test_every_promised_language_is_there() -> None:
    assert set(languages.available()) >= set(PROMISED)
    assert len(set(PROMISED)) == 36


@everywhere
def test_a_language_says_everything_in_words(lang: str) -> None:
    english, said = languages.texts("en"), languages.texts(lang)
    assert said.keys() == english.keys()
    for name, text in said.items():
        assert text == text.strip() != "", name
        assert placeholders(text) == placeholders(english[name]), name
        assert text == unicodedata.normalize("NFC", text), name


@everywhere
def test_each_name_stands_once_in_a_file(lang: str) -> None:
    content = files(languages).joinpath(f"{lang}.json").read_text("utf-8")
    names = [name for name, _ in json.loads(content, object_pairs_hook=list)]
    assert len(names) == len(set(names))


@everywhere
def test_a_language_reads_in_its_direction(lang: str) -> None:
    assert languages.texts(lang)["direction"] == ("rtl" if lang in RIGHT_TO_LEFT else "ltr")


@everywhere
def test_the_answers_are_different_and_short(lang: str) -> None:
    said = languages.texts(lang)
    buttons = [said[name] for name in ("accept", "reject", "choose", "save", "close")]
    assert len(set(buttons)) == len(buttons)
    for name, longest in SHORT.items():
        assert len(said[name]) <= longest, name


@pytest.mark.parametrize("lang", REFUSALS)
def test_refusal_tools_know_the_button(lang: str) -> None:
    assert languages.texts(lang)["reject"] == REFUSALS[lang]


@everywhere
def test_a_year_has_twelve_months(lang: str) -> None:
    months = languages.texts(lang)["months"].split()
    assert len(months) == len(set(months)) == 12


@everywhere
def test_a_button_is_called_what_it_says(lang: str) -> None:
    said = languages.texts(lang)
    assert said["settings"] in said["cookies_elsewhere"]


@everywhere
def test_the_signal_has_its_name(lang: str) -> None:
    said = languages.texts(lang)
    assert all("Global Privacy Control" in said[name] for name in ("gpc", "cookies_gpc"))


@abroad
def test_no_english_is_left_over(lang: str) -> None:
    english, said = languages.texts("en"), languages.texts(lang)
    same = [text for name, text in said.items() if text == english[name] and any(letters(text))]
    assert set(same) <= BORROWED
    assert [name for name in said if ENGLISH.search(NAMES.sub(" ", said[name]))] == []


@everywhere
def test_a_language_is_in_its_own_letters(lang: str) -> None:
    own = SCRIPTS.get(lang, ("LATIN",))
    for name, text in languages.texts(lang).items():
        foreign = set(letters(text)) - set(own)
        assert not foreign or name == "direction", (name, foreign)


def test_no_language_speaks_for_another() -> None:
    """A file copied under another's name shows: neither its own name nor its sentences can be the same."""
    for name in ("endonym", "ask", "tell", "cookies_browser_note", "cookies_changed"):
        assert len({languages.texts(lang)[name] for lang in languages.available()}) == len(languages.available()), name


def test_the_banner_is_shown_in_each_language(client: FlaskClient) -> None:
    for lang in languages.available():
        said = languages.texts(lang)
        asked = client.get(f"/v1/sites/kent/banner?lang={lang}").text
        preferred = client.get("/v1/sites/kent/banner", headers={"Accept-Language": f"{lang},tlh;q=0.1"}).text
        assert asked == preferred
        whole = client.get(f"/v1/sites/kent/preferences?lang={lang}").text
        for shown, names in ((asked, ("accept", "reject", "choose")), (whole, ("accept", "reject", "save"))):
            assert re.match(rf'<div id="[\w-]+" lang="{lang}" dir="{said["direction"]}">', shown)
            for name in names:
                assert f">{escape(said[name])}</button>" in shown, (lang, name)


def test_the_page_of_cookies_is_shown_in_each_language(client: FlaskClient) -> None:
    for lang in languages.available():
        said = languages.texts(lang)
        html = client.get(f"/cookies?site=kent&lang={lang}", base_url="http://kent.localhost:8000").text
        assert re.search(rf'<html lang="{lang}"[^>]* dir="{said["direction"]}"', html), lang
        assert escape(said["cookies_title"]) in html
        assert all(escape(languages.texts(other)["endonym"]) in html for other in languages.available())


@pytest.mark.parametrize(
    ("lang", "listed"),
    [("en", "Statistics, Maps"), ("ar", "Statistics، Maps"), ("zh", "Statistics、Maps"), ("ja", "Statistics、Maps")],
)
def test_a_list_has_the_commas_of_its_language(lang: str, listed: str) -> None:
    site = Sites.load(Path(str(files("consent_app"))) / "starter" / "sites.toml").get("kent")
    assert str(Speaker(site, lang).listed(["Statistics", "Maps"])) == listed


@everywhere
def test_what_is_in_another_language_says_so(client: FlaskClient, lang: str) -> None:
    """The demo's purposes are named in English and Welsh only."""
    turned = ' dir="ltr"' if lang in RIGHT_TO_LEFT else ""
    mark = f'<span lang="en"{turned}>Statistics</span>'
    addresses = ("/v1/sites/kent/banner?lang={}", "/v1/sites/kent/preferences?lang={}", "/cookies?site=kent&lang={}")
    for address in addresses:
        html = client.get(address.format(lang), base_url="http://kent.localhost:8000").text
        assert (mark in html) is (lang not in ("en", "cy")), address
        assert ("Ystadegau" in html) is (lang == "cy")


def test_a_region_reads_its_language() -> None:
    assert [languages.known(tag) for tag in ("pt-BR", "zh-Hant-TW", "DE-at", "pa-Guru", "tlh")] == [
        "pt", "zh", "de", "pa", "en"]  # fmt: skip


def test_a_wheel_carries_every_language(root: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=root, check=True, capture_output=True)
    [wheel] = tmp_path.glob("*.whl")
    with ZipFile(wheel) as archive:
        shipped = set(archive.namelist())
    assert {f"consent_app/languages/{lang}.json" for lang in PROMISED} <= shipped
