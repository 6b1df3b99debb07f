"""The design tokens keep their promises: contrast, and one place for every colour and size."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import consent_app

STATIC = Path(consent_app.__file__).parent / "static"
TEXT = [
    ("ink", "paper"),
    ("ink-soft", "paper"),
    ("ink-soft", "sheet"),
    ("accent", "paper"),
    ("on-accent", "accent"),
    ("alarm", "paper"),
    ("alarm", "alarm-wash"),
    ("ink", "wash"),
    ("ink", "wash-deep"),
    ("ink-soft", "wash-deep"),
]
LINES = [("edge", "sheet"), ("edge", "paper"), *((f"data-{n}", "paper") for n in range(1, 5))]


def themes() -> dict[str, dict[str, str]]:
    light, dark, _ = (STATIC / "tokens.css").read_text("utf-8").split("@media")
    found = {
        name: dict(re.findall(r"--([a-z0-9-]+): (#[0-9a-f]{6});", text))
        for name, text in (("light", light), ("dark", dark))
    }
    assert found["light"].keys() == found["dark"].keys()
    return found


def luminance(colour: str) -> float:
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize(("pairs", "least"), [(TEXT, 4.5), (LINES, 3.0)], ids=["text", "lines"])
def test_contrast(theme: str, pairs: list[tuple[str, str]], least: float) -> None:
    colours = themes()[theme]
    measured = {pair: round(contrast(colours[pair[0]], colours[pair[1]]), 2) for pair in pairs}
    assert {pair: ratio for pair, ratio in measured.items() if ratio < least} == {}


@pytest.mark.parametrize("sheet", ["page.css", "dashboard.css"])
def test_colours_and_text_sizes_live_in_the_tokens(sheet: str) -> None:
    text = (STATIC / sheet).read_text("utf-8")
    assert re.findall(r"#[0-9a-fA-F]{3,8}\b|rgb\(|hsl\(", text) == []
    sizes = set(re.findall(r"font-size: ([^;]+);", text))
    assert sizes <= {"var(--text-s)", "var(--text-m)", "var(--text-l)", "var(--text-xl)", "10pt", "0.9em"}


def test_there_are_four_text_sizes() -> None:
    assert len(set(re.findall(r"--text-[a-z]+:", (STATIC / "tokens.css").read_text("utf-8")))) == 4


@pytest.mark.parametrize("sheet", ["tokens.css", "page.css", "dashboard.css"])
def test_style_sheets_name_no_other_place(sheet: str) -> None:
    assert not re.search(r"url\(|@import|https?:", (STATIC / sheet).read_text("utf-8"))
