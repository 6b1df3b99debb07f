"""The page for three in the morning: it has every case, quotes what the software says, and names real metrics."""

from __future__ import annotations

import re
from pathlib import Path

from flask.testing import FlaskClient

CASES = (
    "the disk is full", "the ledger refuses to sign", "the batch is late", "a key is missing", "the database is down",
    "the certificate has run out", "a restore", "a key has leaked", "a wrong figure was published",
)  # fmt: skip
HOUSES = ("consent_app", "anonymiser")


def page(root: Path) -> str:
    return (root / "docs" / "operations.md").read_text("utf-8")


def quoted(text: str) -> list[str]:
    """What the page says the software says; a … stands for what differs."""
    return [" ".join(words.split()) for words in re.findall(r'"((?:the |there |… )[^"]+)"', text)]


def test_every_case_is_there_and_begins_with_a_command(root: Path) -> None:
    night = page(root).partition("## Set up")[0]
    for case in CASES:
        place = night.find(f"{case}**") if f"{case}**" in night else night.find(case)
        assert place > 0, case
        assert "```" in night[place : place + 600], f"{case}: no command within the first lines"


def test_what_the_page_quotes_is_what_the_software_says(root: Path) -> None:
    source = "".join(
        re.sub(r'"\s*\n\s*f?"', "", file.read_text("utf-8"))
        for house in HOUSES
        for file in (root / house).rglob("*.py")
    )
    said = quoted(page(root))
    assert len(said) >= 5
    lost = [part for words in said for part in words.split("…") if len(part) > 4 and part.strip(" .") not in source]
    assert lost == []


def test_the_metrics_it_names_are_printed(root: Path, client: FlaskClient) -> None:
    named = {*re.findall(r"`(consent_[a-z_]+)`", page(root))}
    client.get("/healthz")
    printed = {*re.findall(r"# TYPE (\S+)", client.get("/metrics").text)} | {"consent_batch_age_seconds"}
    assert named == printed
