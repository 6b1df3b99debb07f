"""The service files of deploy/: systemd accepts them and finds little exposed; images are built from what is there."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click import Command, Group

from consent_app.commands import main
from consent_app.settings import Settings

DEPLOY = Path(__file__).parents[2] / "deploy"
UNITS = ("consent.service", "consent-batch.service", "consent-batch.timer")
PROGRAM = "/opt/consent/bin/consent"
MOST_EXPOSED = 2.0
needs_systemd = pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not installed here")


@pytest.fixture
def units(tmp_path: Path) -> Path:
    """The units, with a program that is there."""
    for name in UNITS:
        text = (DEPLOY / "systemd" / name).read_text("utf-8")
        (tmp_path / name).write_text(text.replace(PROGRAM, sys.executable), "utf-8")
    return tmp_path


def analyse(*words: str | Path) -> str:
    done = subprocess.run(["systemd-analyze", *map(str, words)], capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


@needs_systemd
def test_systemd_accepts_the_units(units: Path) -> None:
    assert analyse("verify", *(units / name for name in UNITS)) == ""
    (units / UNITS[0]).write_text("[Service]\nExecStart=/nowhere\nProtectSystem=maybe\n", "utf-8")
    assert "maybe" in analyse("verify", units / UNITS[0])


@needs_systemd
@pytest.mark.parametrize("name", UNITS[:2])
def test_the_services_are_hardened(units: Path, name: str) -> None:
    said = analyse("security", "--offline=true", units / name)
    exposure = re.search(r"Overall exposure level for \S+: ([0-9.]+)", said)
    assert exposure, said
    assert float(exposure[1]) <= MOST_EXPOSED


@pytest.mark.parametrize(
    "file", [*(f"systemd/{name}" for name in UNITS[:2]), "docker/Dockerfile", "docker/compose.yaml"]
)
def test_they_run_commands_and_set_variables_that_exist(file: str) -> None:
    text = (DEPLOY / file).read_text("utf-8")
    commands = (
        re.findall(r"consent (?!is\b)([a-z]+)", re.sub(r"(?m)^# [A-Z].*$", "", text)) if "compose" in file else []
    )
    commands += re.findall(r"ExecStart=\S+consent (\w+)", text) + re.findall(r'CMD \["consent", "(\w+)"', text)
    assert commands
    group: Command = main
    assert isinstance(group, Group)
    assert set(commands) <= group.commands.keys()
    known = {f"CONSENT_{name.upper()}" for name in Settings.__dataclass_fields__}
    assert set(re.findall(r"CONSENT_[A-Z_]+", text)) <= known


def test_the_image_copies_what_is_there() -> None:
    text = (DEPLOY / "docker" / "Dockerfile").read_text("utf-8")
    copied = [words.split()[0] for words in re.findall(r"^COPY (?!--from)(.+)$", text, re.MULTILINE)]
    assert copied == ["requirements/run.txt", "."]
    assert all((DEPLOY.parent / place).exists() for place in copied)
