"""The names in docs/migrate.md: theirs are in their packages, ours are in our files."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from consent_app import bundle

ROOT = Path(__file__).parents[2]
PACKAGES = ROOT / "bench" / "peers" / "node_modules"
FILES = {
    "vanilla-cookieconsent (3.1)": ("vanilla-cookieconsent", "dist/cookieconsent.umd.js"),
    "Klaro (0.7)": ("klaro", "dist/klaro.js"),
    "Orejime (3.2)": ("orejime", "dist/orejime-standard-en.js"),
    "Osano's cookieconsent (3.1)": ("cookieconsent", "build/cookieconsent.min.js"),
}
# Names of an example's own, and of the platform, which no package has.
NOT_THEIRS = {"script", "template", "type", "text", "plain", "javascript", "application", "analytics", "statistics",
              "matomo", "true", "false", "data-cc", "klaro", "js", "CookieConsent", "orejimeConfig"}  # fmt: skip


def tables() -> dict[str, list[tuple[str, str]]]:
    """The rows of each product: their side, our side."""
    text = (ROOT / "docs" / "migrate.md").read_text("utf-8")
    sections = re.findall(r"^## (.+)\n((?:(?!## ).*\n)*)", text, re.MULTILINE)
    return {
        name: re.findall(r"^\| (?!there)([^|]*[a-z][^|]*) \| ([^|]+) \|$", rows, re.MULTILINE)
        for name, rows in sections
    }


def names(cell: str) -> set[str]:
    """Words in backticks that can be looked for."""
    return {word for code in re.findall(r"`([^`]+)`", cell) for word in re.findall(r"[A-Za-z_][\w:-]*[\w]", code)}


@pytest.mark.parametrize("product", FILES)
def test_their_names_are_in_their_package(product: str) -> None:
    package, file = FILES[product]
    if not (PACKAGES / package).is_dir():
        pytest.skip("the peers are not installed; `make bench` does it where Node is")
    content = (PACKAGES / package / file).read_text("utf-8")
    used = {name for theirs, _ in tables()[product] for name in names(theirs)} - NOT_THEIRS
    assert len(used) > 6
    missing = [name for name in used if name not in content and name.removeprefix("data-") not in content]
    assert missing == []


@pytest.mark.parametrize("page", ["migrate.md", "embed.md"])
def test_our_names_are_in_our_files(page: str) -> None:
    text = (ROOT / "docs" / page).read_text("utf-8")
    ours = "".join(bundle.content(name).decode() for name in bundle.files() if name.endswith((".js", ".css")))
    calls = set(re.findall(r"ConsentBanner\.(\w+)\(", text))
    events = set(re.findall(r"`consent:(\w+)`", text))
    assert len(events) > 3 and (page == "embed.md" or len(calls) > 6)
    assert [name for name in calls | events if not re.search(rf"\b{name}\b", ours)] == []


def test_every_call_of_the_page_on_embedding_is_there() -> None:
    text = (ROOT / "docs" / "embed.md").read_text("utf-8").partition("## JavaScript")[2].partition("## ")[0]
    calls = {name for row in re.findall(r"^\| (`.+?) \|", text, re.MULTILINE) for name in re.findall(r"`(\w+)\(", row)}
    ours = "".join(bundle.content(name).decode() for name in bundle.files() if name.endswith(".js"))
    assert len(calls) > 12
    assert [name for name in calls if not re.search(rf"\b{name}\b", ours)] == []


def test_every_product_has_a_table() -> None:
    assert {len(rows) > 6 for rows in tables().values()} == {True}
    assert len(tables()) == 5
