"""Make a release in a folder: wheel, source archive, list of what is inside (CycloneDX), release notes, checksums.

    python release/build.py build/release

Two runs on one commit make the same bytes: every time in them is that of the commit, or SOURCE_DATE_EPOCH.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
import tomllib
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[1]
LOCK: Final = ROOT / "requirements" / "run.txt"
PINNED: Final = re.compile(
    r"^(?P<name>[A-Za-z0-9._-]+)==(?P<version>[^\s;\\]+)(?:\s*;\s*(?P<marker>[^\\]+))?", re.MULTILINE
)
SHA256: Final = re.compile(r"--hash=sha256:([0-9a-f]{64})")


def project() -> dict[str, Any]:
    """The [project] table of pyproject.toml."""
    table: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    return table


def moment() -> int:
    """The release's time in seconds of the epoch: SOURCE_DATE_EPOCH, else the time of the newest commit."""
    given = os.environ.get("SOURCE_DATE_EPOCH")
    if given:
        return int(given)
    said = subprocess.run(["git", "log", "-1", "--format=%ct"], cwd=ROOT, capture_output=True, text=True, check=False)
    if said.returncode:
        raise SystemExit("no git history here; say which time the release has, such as SOURCE_DATE_EPOCH=1700000000")
    return int(said.stdout)


def archives(folder: Path, time: int) -> None:
    """Wheel and source archive, by the build backend that the lock file holds; nothing is downloaded."""
    environment = {**os.environ, "SOURCE_DATE_EPOCH": str(time)}
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-t", "sdist", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, env=environment, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def components(lock: str) -> list[dict[str, Any]]:
    """One CycloneDX component for each pinned package, with the SHA-256 of every file that may be installed for it."""
    starts = [*PINNED.finditer(lock)]
    ends = [found.start() for found in starts[1:]] + [len(lock)]
    return [_component(found, lock[found.end() : end]) for found, end in zip(starts, ends, strict=True)]


def _component(found: re.Match[str], rest: str) -> dict[str, Any]:
    name, version, marker = found["name"].lower(), found["version"], (found["marker"] or "").strip()
    purl = f"pkg:pypi/{name}@{version}"
    made: dict[str, Any] = {
        "type": "library",
        "bom-ref": purl,
        "name": name,
        "version": version,
        "purl": purl,
        "hashes": [{"alg": "SHA-256", "content": each} for each in SHA256.findall(rest)],
    }
    return made | ({"properties": [{"name": "pip:marker", "value": marker}]} if marker else {})


def bill(lock: str, time: int) -> dict[str, Any]:
    """The CycloneDX 1.6 document of what the lock file installs.

    `dependencies` holds what the product itself asks for; what those need in turn is among the components, but which
    of them needs it is not in a lock file, and the document says that this part is incomplete.
    """
    about = project()
    root = f"pkg:pypi/{about['name']}@{about['version']}"
    parts = components(lock)
    asked = {re.split(r"[^A-Za-z0-9-]", each)[0].lower() for each in about["dependencies"]}
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, root + hashlib.sha256(lock.encode()).hexdigest())}",
        "version": 1,
        "metadata": {
            "timestamp": datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "component": {
                "type": "application",
                "bom-ref": root,
                "name": about["name"],
                "version": about["version"],
                "purl": root,
                "licenses": [{"license": {"id": about["license"]}}],
            },
        },
        "components": parts,
        "dependencies": [{"ref": root, "dependsOn": [part["bom-ref"] for part in parts if part["name"] in asked]}],
        "compositions": [{"aggregate": "incomplete", "dependencies": [root]}],
    }


def notes(changelog: str, version: str) -> str:
    """What CHANGELOG.md says of that version. Raises SystemExit where it says nothing."""
    found = re.search(rf"^## {re.escape(version)}\b.*\n((?:(?!## ).*\n?)*)", changelog, re.MULTILINE)
    if found is None or not found[1].strip():
        raise SystemExit(f"CHANGELOG.md: there is no section '## {version}'; write it before the release")
    return f"# {project()['name']} {version}\n\n{found[1].strip()}\n"


def sums(folder: Path) -> str:
    """The SHA-256 of every file in the folder, as `sha256sum --check` reads it."""
    files = sorted(each for each in folder.iterdir() if each.name != "SHA256SUMS")
    return "".join(f"{hashlib.sha256(each.read_bytes()).hexdigest()}  {each.name}\n" for each in files)


def build(folder: Path) -> None:
    """Make everything in the folder, which must be new or empty. Raises SystemExit with the reason where it cannot."""
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise SystemExit(f"{folder} is not empty; name another folder or empty it")
    time = moment()
    said = notes((ROOT / "CHANGELOG.md").read_text("utf-8"), project()["version"])
    archives(folder, time)
    listed = json.dumps(bill(LOCK.read_text("utf-8"), time), indent=1) + "\n"
    (folder / "sbom.cdx.json").write_text(listed, "utf-8")
    (folder / "NOTES.md").write_text(said, "utf-8")
    (folder / "SHA256SUMS").write_text(sums(folder), "utf-8")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit("which folder? for example: python release/build.py build/release")
    build(Path(sys.argv[1]).resolve())
