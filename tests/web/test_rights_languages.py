"""The pages of data rights speak every language of the banner in their frame, English and Welsh throughout."""

from __future__ import annotations

import json
import re
import unicodedata
from importlib.resources import files
from pathlib import Path

import pytest
from flask import Flask
from markupsafe import escape

from consent_app import languages
from consent_app.rights_texts import WHOLE
from tests.web.rights_visitor import visitor
from tests.web.test_languages import RIGHT_TO_LEFT, SCRIPTS, letters, placeholders

TEXTS = files(languages).joinpath("rights")
# Words that are the same in several languages, next to the English one.
BORROWED = {"proof"}
everywhere = pytest.mark.parametrize("lang", languages.available())


def texts(kind: str, lang: str) -> dict[str, str]:
    said: dict[str, str] = json.loads(TEXTS.joinpath(kind, f"{lang}.json").read_text("utf-8"))
    return said


def test_there_is_a_frame_for_every_language_and_sentences_in_two() -> None:
    names = {kind: {file.name for file in TEXTS.joinpath(kind).iterdir()} for kind in ("frame", "sentences")}
    assert names["frame"] == {f"{lang}.json" for lang in languages.available()}
    assert names["sentences"] == {f"{lang}.json" for lang in WHOLE}


@everywhere
def test_a_frame_says_everything_in_its_own_words_and_letters(lang: str) -> None:
    english, said = texts("frame", "en"), texts("frame", lang)
    assert said.keys() == english.keys()
    own = set(SCRIPTS.get(lang, ("LATIN",)))
    for name, text in said.items():
        assert text == text.strip() != "" and text == unicodedata.normalize("NFC", text), name
        assert set(letters(text)) <= own, name
        assert lang == "en" or text.lower() != english[name].lower() or name in BORROWED, name
    assert len({said[name] for name in ("copy", "correction", "objection", "erasure", "complaint")}) == 5
    assert said["on"] != said["off"] and said["erase_now"] != said["keep"]


def test_no_frame_speaks_for_another() -> None:
    for name in ("only_english", "nobody", "stop"):
        said = [texts("frame", lang)[name] for lang in languages.available()]
        assert len(set(said)) == len(said), name


def test_both_say_the_same_sentences() -> None:
    english, welsh = texts("sentences", "en"), texts("sentences", "cy")
    assert english.keys() == welsh.keys()
    assert [name for name in english if placeholders(english[name]) != placeholders(welsh[name])] == []
    assert [name for name in english if english[name] == welsh[name]] == []


def test_every_text_is_used_and_every_text_that_is_used_is_there(root: Path) -> None:
    pages = "\n".join(file.read_text("utf-8") for file in (root / "consent_app/templates/rights").glob("*.html"))
    code = "\n".join(file.read_text("utf-8") for file in (root / "consent_app").rglob("*.py"))
    for kind in ("frame", "sentences"):
        for name in texts(kind, "en"):
            stem = re.sub(r"_(given|refused|withdrawn|changed|objected|erased|uk|eu|stopped|cleared)$", "_", name)
            assert re.search(rf'["\']{name}["\']|"{stem}" ~|name %}}{name}{{', pages + code), name


@pytest.mark.parametrize("page", ["/your-data", "/your-data/complaints", "/your-data/notices"])
def test_each_language_is_shown_and_the_sentences_are_marked(app: Flask, page: str) -> None:
    ann = visitor(app)
    for lang in languages.available():
        html = ann.opens(f"{page}?lang={lang}").text
        direction = "rtl" if lang in RIGHT_TO_LEFT else "ltr"
        assert f'<html lang="{lang}" dir="{direction}">' in html
        turned = ' dir="ltr"' if lang in RIGHT_TO_LEFT else ""
        assert (f'<p class="lead" lang="en"{turned}>' in html) is (lang not in WHOLE), lang
        assert (str(escape(texts("frame", lang)["only_english"])) in html) is (lang not in WHOLE)
        assert f">{escape(texts('frame', lang)['skip'])}</a>" in html


def test_the_browser_decides_where_the_address_says_nothing(app: Flask) -> None:
    ann = visitor(app)
    ask = {"Accept-Language": "tlh, de-AT;q=0.8"}
    assert '<html lang="de"' in ann.client.get("/your-data", base_url=ann.origin, headers=ask).text
    assert '<html lang="en"' in ann.client.get("/your-data?lang=tlh", base_url=ann.origin).text
