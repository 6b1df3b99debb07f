"""The service files of deploy/: systemd accepts them and finds little exposed; images are built from what is there."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path

import pytest
import yaml  # type: ignore[import-untyped]
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


# -- the image ---------------------------------------------------------------------------------------------------------


def instructions(text: str) -> list[tuple[str, str]]:
    """A Dockerfile's instructions, each with its arguments in one line."""
    lines = re.sub(r"\\\n\s*", " ", re.sub(r"(?m)^#.*\n", "", text)).splitlines()
    return [(word.upper(), rest.strip()) for word, _, rest in (line.partition(" ") for line in lines if line.strip())]


def faults_of_image(text: str) -> list[str]:
    """What is wrong with a Dockerfile by the rules of this project, as linters of such files know them."""
    found = instructions(text)
    last = dict(found)
    bases = [text.replace("${PYTHON}", last.get("ARG", "").partition("=")[2]) for word, text in found if word == "FROM"]
    faults = [
        f"{base} is no pinned base"
        for base in bases
        if not re.search(r":\d+\.\d+\.\d+[\w.-]*(@sha256:\w+)?( AS \w+)?$", base)
    ]
    faults += ["it runs as root"] if last.get("USER", "root") in ("root", "0") else []
    faults += [f"{word} is missing" for word in ("HEALTHCHECK", "EXPOSE", "CMD") if word not in last]
    faults += ["ADD fetches what nobody checked"] if "ADD" in last else []
    for word, rest in found:
        if word == "RUN" and "pip install" in rest and not re.search("--require-hashes|--no-deps", rest):
            faults.append("pip installs what is not hashed")
        if word == "RUN" and "pip install" in rest and "--no-cache-dir" not in rest:
            faults.append("pip leaves its cache")
        if word in ("ENV", "ARG") and re.search("SECRET|PASSWORD|TOKEN|_KEYS?=|_URL=", rest):
            faults.append(f"{word} holds a secret")
        if word in ("CMD", "ENTRYPOINT") and not rest.startswith("["):
            faults.append(f"{word} runs through a shell, which hears no signal")
    return faults


def test_the_image_is_pinned_unprivileged_watched_and_without_secrets() -> None:
    assert faults_of_image((DEPLOY / "docker" / "Dockerfile").read_text("utf-8")) == []


@pytest.mark.parametrize(
    "change",
    [
        ("ARG PYTHON=3.13.5-slim-bookworm", "ARG PYTHON=latest"),
        ("USER 10001", "USER root"),
        ("USER 10001", ""),
        ("HEALTHCHECK", "LABEL"),
        ("--require-hashes", ""),
        ("CONSENT_BIND=0.0.0.0:8000", "CONSENT_SIGNING_KEYS=abc"),
        ('CMD ["consent", "serve"]', "CMD consent serve"),
        ("COPY . .", "ADD https://example.com/x ."),
    ],
)
def test_each_rule_about_the_image_finds_its_fault(change: tuple[str, str]) -> None:
    text = (DEPLOY / "docker" / "Dockerfile").read_text("utf-8")
    assert change[0] in text
    assert faults_of_image(text.replace(*change)) != []


def goes_in(path: str, rules: list[str]) -> bool:
    """Whether a file is part of what the image is built from: of its ignore file's rules the last that fits decides."""
    inside = False
    for rule in rules:
        wanted, pattern = rule.startswith("!"), rule.lstrip("!")
        names = [path, *(parent.as_posix() for parent in Path(path).parents)]
        anywhere = pattern.removeprefix("**/")
        if any(
            fnmatch(name, pattern) or (pattern != anywhere and fnmatch(Path(name).name, anywhere)) for name in names
        ):
            inside = wanted
    return inside


WANTED = (
    "consent_app/__init__.py", "consent_app/starter/sites.toml", "anonymiser/sql/counts.sql", "pyproject.toml",
    "requirements/run.txt", "deploy/nginx/consent.conf", "static/consent-banner/dist/manifest.json", "LICENSE",
)  # fmt: skip
UNWANTED = (
    ".git/config", "demo-home/secrets/signing.keys", "demo-home/ledger.db", ".venv/bin/python", "tests/conftest.py",
    "consent-home/users.json", "static/consent-banner/node_modules/x.js", "consent_app/secrets/x", "a.keys",
    "consent_app/x.duckdb", "consent_app/__pycache__/x.pyc",
)  # fmt: skip


def test_no_key_no_data_and_no_history_goes_into_the_image(root: Path) -> None:
    lines = (DEPLOY / "docker" / "Dockerfile.dockerignore").read_text("utf-8").splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    for path in WANTED:
        assert (root / path).exists() and goes_in(path, rules), path
    assert [path for path in UNWANTED if goes_in(path, rules)] == []


def test_the_containers_can_write_their_home_alone_and_see_no_more_than_they_must() -> None:
    document = yaml.safe_load((DEPLOY / "docker" / "compose.yaml").read_text("utf-8"))
    for name, service in document["services"].items():
        assert service["read_only"] and service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"] and service["ulimits"] == {"core": 0}
        assert service["mem_limit"] == service["memswap_limit"], "no swap"
        assert service["volumes"] == ["home:/home/consent"] and "privileged" not in service
        assert not [key for key in service["environment"] if re.search("KEY|SECRET|PASSWORD|TOKEN|LEDGER_URL", key)]
    web, batch = document["services"]["web"], document["services"]["batch"]
    assert all(port.startswith("127.0.0.1:") for port in web["ports"]) and "ports" not in batch
    assert any(place.startswith("/home/consent/home/private:") for place in web["tmpfs"])
    assert not any("private" in place for place in batch["tmpfs"])
    assert batch["healthcheck"] == {"disable": True}, "nothing listens there"


def test_the_image_copies_what_is_there() -> None:
    text = (DEPLOY / "docker" / "Dockerfile").read_text("utf-8")
    copied = [words.split()[0] for words in re.findall(r"^COPY (?!--from)(.+)$", text, re.MULTILINE)]
    assert copied == ["requirements/run.txt", "."]
    assert all((DEPLOY.parent / place).exists() for place in copied)
