"""What the documents say exists: links, commands, make targets, and the places the tour names."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import click
import pytest

from anonymiser import cli
from consent_app import commands
from consent_app.errors import SitesError
from consent_app.settings import Settings, variable
from consent_app.sites import Sites

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


def rows(document: Path) -> dict[str, str]:
    """The tables of a document: each name in backticks in a first column, with the rest of its row."""
    found: dict[str, str] = {}
    for first, rest in re.findall(r"^\| (`[^|]+) \|(.*)$", document.read_text("utf-8"), re.MULTILINE):
        found |= dict.fromkeys(re.findall(r"`([^`]+)`", first), rest)
    return found


def test_every_setting_is_documented_with_its_default(root: Path) -> None:
    documented = {name: row for name, row in rows(root / "docs" / "settings.md").items() if name.startswith("CONSENT_")}
    declared = {variable(f.name): f for f in fields(Settings) if "help" in f.metadata}
    assert documented.keys() == declared.keys()
    for name, setting in declared.items():
        assert str(setting.metadata.get("file", setting.default)) in documented[name]


PLACES = {
    "[site.kent]": "[site.kent]\nnonsense = 1",
    "a purpose": "[site.kent.purpose.necessary]\nnonsense = 1",
    "a cookie": "[[site.kent.purpose.necessary.cookies]]\nnonsense = 1",
}


@pytest.mark.parametrize("planted", PLACES.values(), ids=PLACES.keys())
def test_every_key_of_sites_toml_is_documented(root: Path, tmp_path: Path, planted: str) -> None:
    """The reader itself says which keys there are when it refuses one."""
    shutil.copytree(root / "consent_app" / "starter", tmp_path, dirs_exist_ok=True)
    file = tmp_path / "sites.toml"
    header = planted.partition("\n")[0]
    file.write_text(file.read_text("utf-8").replace(header, planted, 1), "utf-8")
    with pytest.raises(SitesError, match="nonsense") as refused:
        Sites.load(file)
    keys = refused.value.reason.rpartition("there are ")[2].split(", ")
    assert len(keys) > 3
    text = (root / "docs" / "settings.md").read_text("utf-8")
    assert [key for key in keys if f"`{key}`" not in text] == []


def test_every_command_is_in_the_readme_or_the_documents(root: Path) -> None:
    text = "\n".join(document.read_text("utf-8") for document in documents(root))
    assert [name for name in commands.main.commands if f"consent {name}" not in text] == []
    assert [name for name in cli.main.commands if f"anonymise {name}" not in text] == []


DECISIONS = ("browser-counts-itself", "differential-privacy", "c2sp", "two-engines", "duckdb", "reading-lines")


@pytest.mark.parametrize("subject", DECISIONS)
def test_the_first_decisions_are_written_down(root: Path, subject: str) -> None:
    (page,) = (root / "docs" / "adr").glob(f"*{subject}*.md")
    assert re.match(r"# \d{4} · ", page.read_text("utf-8"))


@pytest.mark.parametrize("image", ["dashboard.png", "banner.png"])
def test_screenshots_are_there(root: Path, image: str) -> None:
    assert (root / "docs" / "images" / image).stat().st_size > 10_000
