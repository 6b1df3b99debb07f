"""What the documents say exists: links, commands, make targets, and the places the tour names."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from anonymiser import cli
from consent_app import commands

GROUPS = {"anonymise": cli.main, "consent": commands.main}


def documents(root: Path) -> Iterator[Path]:
    yield from sorted(root.glob("*.md"))
    yield from sorted((root / "docs").rglob("*.md"))


def test_links_between_documents_resolve(root: Path) -> None:
    missing = [
        f"{document.relative_to(root)}: {link}"
        for document in documents(root)
        for link in re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", document.read_text("utf-8"))
        if not (document.parent / link).exists()
    ]
    assert missing == []


def mentioned(root: Path) -> Iterator[tuple[str, list[str]]]:
    """Every command line in a code block or in backticks, as words."""
    for document in documents(root):
        for line in re.findall(
            r"(?:^|`|\$ )((?:consent|anonymise) [a-z][^`\n]*)", document.read_text("utf-8"), re.MULTILINE
        ):
            yield f"{document.name}: {line}", line.split()


def test_commands_in_documents_exist(root: Path) -> None:
    unknown: list[str] = []
    seen = 0
    for place, words in mentioned(root):
        command: click.Command = GROUPS[words[0]]
        for word in words[1:]:
            if not isinstance(command, click.Group):
                break
            found = command.commands.get(word.strip(".,:;"))
            if found is None:
                unknown.append(place)
                break
            command = found
        seen += 1
    assert unknown == []
    assert seen > 5


def test_options_in_documents_exist(root: Path) -> None:
    options = {option for group in GROUPS.values() for option in all_options(group)}
    used = {
        option for _, words in mentioned(root) for option in words if option.startswith("--") and option != "--help"
    }
    assert {re.split(r"[=\].,]", option)[0] for option in used} <= options


def all_options(command: click.Command) -> Iterator[str]:
    for parameter in command.params:
        yield from parameter.opts
    if isinstance(command, click.Group):
        for child in command.commands.values():
            yield from all_options(child)


def test_make_targets_in_documents_exist(root: Path) -> None:
    targets = set(re.findall(r"^([a-z]+):", (root / "Makefile").read_text("utf-8"), re.MULTILINE))
    used = {name for document in documents(root) for name in re.findall(r"`make ([a-z]+)", document.read_text("utf-8"))}
    assert used <= targets


def test_the_tour_names_places_that_exist(root: Path) -> None:
    tour = (root / "docs" / "tour.md").read_text("utf-8")
    places = re.findall(r"`((?:consent_app|anonymiser|static|tests)/[\w./-]+)`(?: \(`(\w+)`\))?", tour)
    assert len(places) > 8
    for place, name in places:
        assert (root / place).exists(), place
        if name:
            assert re.search(rf"\b(def|class|function|const) {name}\b", (root / place).read_text("utf-8")), name


@pytest.mark.parametrize("image", ["dashboard.png"])
def test_screenshots_are_there(root: Path, image: str) -> None:
    assert (root / "docs" / "images" / image).stat().st_size > 10_000
