"""A release: complete, the same bytes twice, listed, and enough to run the demo where nothing else is installed."""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

EPOCH = "1750000000"


def built(root: Path, folder: Path) -> Path:
    command = [sys.executable, str(root / "release" / "build.py"), str(folder)]
    subprocess.run(command, env={**os.environ, "SOURCE_DATE_EPOCH": EPOCH}, check=True)
    return folder


@pytest.fixture(scope="module")
def release(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built(root, tmp_path_factory.mktemp("release") / "one")


def wheel(release: Path) -> Path:
    return next(release.glob("*.whl"))


def tracked(root: Path) -> list[str]:
    said = subprocess.run(["git", "ls-files"], cwd=root, capture_output=True, text=True, check=False)
    if said.returncode:
        pytest.skip("not a git checkout: what belongs into a release is not known")
    return [name for name in said.stdout.split("\n") if name and (root / name).is_file()]


def test_two_builds_are_the_same_bytes(root: Path, release: Path, tmp_path: Path) -> None:
    again = built(root, tmp_path / "two")
    assert (again / "SHA256SUMS").read_text() == (release / "SHA256SUMS").read_text()
    assert len((release / "SHA256SUMS").read_text().splitlines()) == 4


def test_checksums_are_those_of_the_files(release: Path) -> None:
    for line in (release / "SHA256SUMS").read_text().splitlines():
        digest, name = line.split("  ")
        assert hashlib.sha256((release / name).read_bytes()).hexdigest() == digest


FOLDERS = {"static/consent-banner/dist/": "consent_app/banner_dist/", "deploy/": "consent_app/deploy/",
           "consent_app/": "consent_app/", "anonymiser/": "anonymiser/"}  # fmt: skip


def test_the_wheel_has_every_file_of_the_packages(root: Path, release: Path) -> None:
    """Templates, style sheets, SQL, schemas, migrations, languages, the banner, the files for other servers."""
    expected = {
        target + name.removeprefix(folder)
        for name in tracked(root)
        for folder, target in FOLDERS.items()
        if name.startswith(folder)
    }
    inside = set(zipfile.ZipFile(wheel(release)).namelist())
    assert len(expected) > 300
    assert sorted(expected - inside) == []
    assert [name for name in inside if "__pycache__" in name] == []


def test_the_source_archive_has_every_file_of_the_project(root: Path, release: Path) -> None:
    with tarfile.open(next(release.glob("*.tar.gz"))) as archive:
        inside = {name.partition("/")[2] for name in archive.getnames()}
    assert sorted(name for name in tracked(root) if name not in inside and not name.startswith(".")) == []


def bill(release: Path) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((release / "sbom.cdx.json").read_text("utf-8"))
    return read


def test_the_bill_lists_what_the_lock_file_installs(root: Path, release: Path) -> None:
    """Counted another way than the program that writes it does."""
    lock = (root / "requirements" / "run.txt").read_text("utf-8")
    lines = [line.split()[0].lower() for line in lock.splitlines() if "==" in line]
    listed = bill(release)["components"]
    assert [f"{each['name']}=={each['version']}" for each in listed] == lines
    assert sum(len(each["hashes"]) for each in listed) == lock.count("--hash=sha256:")
    assert all(each["hashes"] for each in listed)


def test_the_bill_names_what_the_product_asks_for(release: Path) -> None:
    """What the wheel itself requires, extras aside."""
    about = metadata.Distribution.at(next(iter([_unpacked(wheel(release))])))
    asked = {re.split(r"[^\w-]", each)[0].lower() for each in about.requires or [] if "extra ==" not in each}
    (root_entry,) = bill(release)["dependencies"]
    assert {ref.removeprefix("pkg:pypi/").partition("@")[0] for ref in root_entry["dependsOn"]} == asked


def _unpacked(archive: Path) -> Path:
    folder = archive.parent.parent / "unpacked"
    with zipfile.ZipFile(archive) as opened:
        names = [name for name in opened.namelist() if ".dist-info/" in name]
        opened.extractall(folder, names)
    return folder / names[0].partition("/")[0]


def test_notes_are_the_changelogs(release: Path) -> None:
    said = (release / "NOTES.md").read_text("utf-8")
    assert said.startswith("# consent-app 0.") and "* Banner in" in said


def test_a_folder_with_files_is_refused(root: Path, tmp_path: Path) -> None:
    (tmp_path / "older.whl").touch()
    command = [sys.executable, str(root / "release" / "build.py"), str(tmp_path)]
    said = subprocess.run(command, capture_output=True, text=True, check=False)
    assert said.returncode == 1 and "is not empty" in said.stderr


@pytest.fixture(scope="module")
def installed(release: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel in an environment of its own; what it requires is borrowed from ours, so that nothing is downloaded."""
    home = tmp_path_factory.mktemp("installed") / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(home)], check=True)
    pip = [sys.executable, "-m", "pip", "--python", str(home), "--disable-pip-version-check"]
    subprocess.run([*pip, "install", "--quiet", "--no-index", "--no-deps", str(wheel(release))], check=True)
    (packages,) = home.glob("lib/python3*/site-packages")
    (packages / "borrowed.pth").write_text(sysconfig.get_path("purelib"), "utf-8")
    return home


def test_the_installed_package_is_the_wheels(installed: Path, tmp_path: Path) -> None:
    program = "import anonymiser, consent_app; print(anonymiser.__file__, consent_app.__file__)"
    command = [str(installed / "bin" / "python"), "-c", program]
    said = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert [Path(each).is_relative_to(installed) for each in said.split()] == [True, True]


SHORT = """
import sys
from pathlib import Path
from consent_app.demo import build
from consent_app.settings import Settings
home, port = Path(sys.argv[1]), int(sys.argv[2])
address = f"127.0.0.1:{port}"
settings = Settings.from_environment({}, home=home, public_url=f"http://{address}", bind=address, ledger_url="")
build.build(settings, port, lambda done, days: None, build.Scale(days=2, kent=16, defibrental=8))
"""


@pytest.mark.slow
def test_the_demo_runs_from_an_installed_wheel(installed: Path, tmp_path: Path) -> None:
    """Made (a few days of it), served, and proved by what is installed, far from any checkout."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    consent, home = installed / "bin" / "consent", tmp_path / "home"
    made = [str(installed / "bin" / "python"), "-c", SHORT, str(home), str(port)]
    subprocess.run(made, cwd=tmp_path, check=True, capture_output=True)
    command = [str(consent), "demo", "--home", str(home), "--port", str(port)]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as demo:
        try:
            assert demo.stdout is not None
            said: list[str] = []
            while "Ctrl-C stops everything" not in (line := demo.stdout.readline()):
                said.append(line)
                assert line, said
            assert b"taskbar.js" in _page(port, "defibrental.localhost") and b"consent" in _page(port, "kent.localhost")
            demo.send_signal(signal.SIGTERM)
            assert demo.wait(timeout=60) == 0
        finally:
            demo.kill()
    environment = {**os.environ, "CONSENT_HOME": str(home)}
    proof = subprocess.run([str(consent), "verify"], env=environment, cwd=tmp_path, capture_output=True, check=False)
    assert proof.returncode == 0, proof.stdout


def _page(port: int, host: str) -> bytes:
    """By hand: the name of a demo site resolves in browsers, not everywhere else."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as line:
        line.sendall(f"GET / HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n".encode())
        answer = b"".join(iter(lambda: line.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 200")
    return answer
