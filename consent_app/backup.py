"""A data home as one file, and back: databases as of one moment, everything hashed, nothing that must not last.

Left out on purpose: the spool and its keys, and the held counts, because what is removed must not live on in a copy;
what a witness signed, because a witness that forgets can be led astray; and the secrets, which get a file of their own.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import tarfile
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path, PurePosixPath
from secrets import token_hex
from time import time
from typing import Any, BinaryIO, Final

from consent_app.errors import SettingsError
from consent_app.ledger import sqlite
from consent_app.private_files import exclusive, make_private_folder, sync_folder
from consent_app.settings import Settings

MANIFEST: Final = "manifest.json"
FORMAT: Final = "consent-backup 1"
SECRETS: Final = "secrets"
PUBLISHED: Final = "ledger"
LEFT_OUT: Final = ("spool", "handovers", "witness/heads.json", "private", "upgrades", "last-batch")
BUDGET: Final = "private/budget.db"
_COPIES: Final = ".copy."
_SIDES: Final = ("-wal", "-shm", "-journal")
_LOCKS: Final = ("lock", "lock.db")
_ABANDONED: Final = 3600  # seconds after which what a killed run left is swept up


def save(settings: Settings, target: Path, *, secrets: bool) -> int:
    """Write the home (or its secrets) to a new file of mode 0600; returns how many files are in it.

    A server may be at work meanwhile. Raises SettingsError when the target is there already or cannot be written;
    nothing is left of it then.
    """
    if target.exists():
        raise SettingsError(f"{target} is there already, and nothing is overwritten")
    _sweep(target.parent, f".{target.name}.*.new")
    _sweep(settings.home, f"{_COPIES}*")
    new = target.with_name(f".{target.name}.{token_hex(4)}.new")
    try:
        descriptor = os.open(new, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        with open(descriptor, "w+b") as file:  # noqa: PTH123 - it is open already
            count = _write(settings.home, file, secrets=secrets)
            file.flush()
            os.fsync(file.fileno())
        os.link(new, target)
        sync_folder(target.parent)
    except FileExistsError as error:
        raise SettingsError(f"{target} is there already, and nothing is overwritten") from error
    except OSError as error:
        place = error.filename or target
        raise SettingsError(
            f"{place} could not be read or written ({error.strerror or error}); make room or give rights to it. "
            f"There is no {target.name}"
        ) from error
    finally:
        new.unlink(missing_ok=True)
    return count


def put_back(file: Path, home: Path, names: Collection[str]) -> None:
    """Replace these files of a home by what a backup has of them. Raises SettingsError for a damaged backup."""
    with tempfile.TemporaryDirectory(prefix=_COPIES, dir=home) as made:
        _unpack(file, Path(made))
        for name in names:
            kept = Path(made) / name
            if kept.exists():
                kept.replace(home / name)
                sync_folder((home / name).parent)


def restore(home: Path, files: list[Path]) -> int:
    """Unpack backups into a home that is not there yet; returns how many files were in them.

    Raises SettingsError for what is no backup, or a damaged one; nothing is left behind then.
    """
    if home.exists():
        raise SettingsError(f"{home} is there already; restore into a folder that is not, and look before you exchange")
    with tempfile.TemporaryDirectory(prefix=f".{home.name}.", dir=home.parent) as made:
        whole = Path(made) / "home"
        make_private_folder(whole)
        count = sum(_unpack(file, whole) for file in files)
        whole.rename(home)
    return count


def parts(home: Path, *, secrets: bool) -> list[Path]:
    """The files of a home that belong in a backup of its secrets, or of everything else."""
    return [path for path in sorted(home.rglob("*")) if path.is_file() and _belongs(path.relative_to(home), secrets)]


def _belongs(path: Path, secrets: bool) -> bool:
    inside = path.as_posix()
    if any(part.startswith(".") for part in path.parts) or path.name in _LOCKS or path.name.endswith(_SIDES):
        return False
    if inside != BUDGET and any(inside == left or inside.startswith(f"{left}/") for left in LEFT_OUT):
        return False
    return (path.parts[0] == SECRETS) == secrets


def _write(home: Path, file: BinaryIO, *, secrets: bool) -> int:
    """The published log is copied before the database, under its lock: the database is never the older of the two."""
    hashes: dict[str, str] = {}
    with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as archive:
        published = home / PUBLISHED
        with exclusive(published) if published.is_dir() and not secrets else nullcontext():
            found = parts(home, secrets=secrets)
            for path in sorted(found, key=lambda part: part.suffix == ".db"):
                name = path.relative_to(home).as_posix()
                with _content(home, path) as content:
                    hashes[name] = _add(archive, name, content)
        document = {"format": FORMAT, "secrets": secrets, "sha256": hashes}
        _add(archive, MANIFEST, io.BytesIO(json.dumps(document, indent=1, sort_keys=True).encode()))
    return len(hashes)


@contextmanager
def _content(home: Path, path: Path) -> Iterator[BinaryIO]:
    """A file to read; of a database, a copy as of one moment."""
    if path.suffix != ".db":
        with path.open("rb") as opened:
            yield opened
        return
    with tempfile.TemporaryDirectory(prefix=_COPIES, dir=home) as folder:
        copy = Path(folder) / path.name
        sqlite.copy(path, copy)
        with copy.open("rb") as opened:
            yield opened


class _Hashing:
    """Reads on behalf of another, and hashes what passes."""

    def __init__(self, content: BinaryIO) -> None:
        self._content = content
        self.sha256 = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        """As a file does."""
        part = self._content.read(size)
        self.sha256.update(part)
        return part


def _add(archive: tarfile.TarFile, name: str, content: BinaryIO) -> str:
    """Add a file by parts, however long it is; returns its hash."""
    member = tarfile.TarInfo(name)
    member.size, member.mode = content.seek(0, os.SEEK_END), 0o600
    content.seek(0)
    hashing = _Hashing(content)
    archive.addfile(member, hashing)
    return hashing.sha256.hexdigest()


def _sweep(folder: Path, pattern: str) -> None:
    """Remove what killed runs left: it may hold what was erased since."""
    for path in folder.glob(pattern):
        if path.stat().st_mtime < time() - _ABANDONED:
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def _unpack(file: Path, home: Path) -> int:
    """Write what the manifest names, once it is what the manifest says."""
    try:
        with tarfile.open(file, mode="r:") as archive:
            expected = _manifest(archive)
            seen = set()
            for name, content in _members(archive):
                if hashlib.sha256(content).hexdigest() != expected.get(name):
                    raise SettingsError(f"{file}: {name} is not what was backed up; use another backup")
                _put(home, name, content)
                seen.add(name)
    except (tarfile.TarError, OSError, ValueError, KeyError, TypeError) as error:
        raise SettingsError(f"{file} cannot be read as a backup ({error}); use another one") from error
    lost = sorted(expected.keys() - seen)
    if lost:
        raise SettingsError(f"{file} lacks {lost[0]}; use another backup")
    return len(seen)


def _manifest(archive: tarfile.TarFile) -> dict[str, str]:
    member = archive.extractfile(MANIFEST)
    document: Any = json.loads(member.read()) if member else None
    if document["format"] != FORMAT:
        raise ValueError(f"its format is {document['format']!r}")
    return dict(document["sha256"])


def _members(archive: tarfile.TarFile) -> Iterator[tuple[str, bytes]]:
    for member in archive:
        if member.name == MANIFEST:
            continue
        content = archive.extractfile(member)
        if content is None:
            raise ValueError(f"{member.name} is no file")
        yield member.name, content.read()


def _put(home: Path, name: str, content: bytes) -> None:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts:
        raise ValueError(f"{name} leads out of the home")
    target = home / path
    try:
        for folder in reversed(target.relative_to(home).parents[:-1]):
            (home / folder).mkdir(mode=0o700, exist_ok=True)
        with open(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as opened:  # noqa: PTH123 - as above
            opened.write(content)
            opened.flush()
            os.fsync(opened.fileno())
    except OSError as error:
        raise SettingsError(
            f"{name} could not be written to {home.parent} ({error.strerror}); make room or give rights to it, and "
            "restore again: nothing is left of this attempt"
        ) from error
