"""What was ever shown to visitors, kept for ever: each notice of each site, and the banner bundle that showed it.

The text of a notice lies in the ledger's database; here, in the folder `archive` of the home, lie the files of each
bundle under the hash that records name, and one small file for each site, notice and bundle that went together.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Final

from consent_app import bundle
from consent_app.errors import NotFoundError
from consent_app.ledger import Check, Ledger
from consent_app.ledger.bundles import named
from consent_app.private_files import replace_private
from consent_app.settings import Settings
from consent_app.sites import Sites

_HASH: Final = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Shown:
    """A site showed a notice (its SHA-256, and from when it held) with a bundle, first on that UTC day."""

    site: str
    notice: str
    effective: str
    bundle: str
    since: str


class Archive:
    """The archive of one home. Whatever is in it was put there whole, and stays."""

    def __init__(self, folder: Path) -> None:
        self._banners = folder / "banners"
        self._shown = folder / "shown"
        self._began = folder / "began"

    @classmethod
    def of(cls, settings: Settings) -> Archive:
        """That of a data home."""
        return cls(settings.home / "archive")

    def keep(self, sites: Sites, ledger: Ledger, today: date) -> None:
        """Keep what the sites show from now on; the first time, also what the ledger says was shown before."""
        if not self._began.exists():
            self._begin(ledger, today)
        sha256 = bundle.sha256()
        if not (self._banners / sha256).exists():
            self._keep_bundle(sha256)
        for site in sites:
            notice = site.notice
            self._note(Shown(site.key, notice.sha256, notice.effective.isoformat(), sha256, today.isoformat()))

    def shown(self) -> list[Shown]:
        """Everything that was shown, the newest notice first, of one notice the newest bundle first."""
        files = self._shown.glob("*.json") if self._shown.exists() else ()
        found = [Shown(**json.loads(file.read_text("utf-8"))) for file in files]
        return sorted(found, key=lambda one: (one.effective, one.notice, one.since, one.bundle), reverse=True)

    def bundle(self, sha256: str) -> dict[str, bytes]:
        """The files of a bundle by name. Raises NotFoundError where it is not kept, or is not what it was."""
        folder = self._banners / sha256
        if not _HASH.fullmatch(sha256) or not folder.is_dir():
            raise NotFoundError("no banner of this hash is kept here")
        files = {file.name: file.read_bytes() for file in sorted(folder.iterdir())}
        if hashed(files) != sha256:
            raise NotFoundError(f"the banner files kept under {sha256[:12]} are not what they were; restore a backup")
        return files

    def checks(self, ledger: Ledger) -> Iterator[Check]:
        """Whether each bundle that a record names can be read and has the hash it is kept under.

        What only records from before the archive began name is told, and held against nobody: `began` has the day, and
        the number of the first entry that came later.
        """
        day, _, first = self._began.read_text("utf-8").partition(" ") if self._began.exists() else ("", "", "0")
        earlier = 0
        bundles = named(ledger)
        for sha256, newest in sorted(bundles.items()):
            try:
                self.bundle(sha256)
            except NotFoundError as error:
                if (self._banners / sha256).exists() or newest >= int(first):
                    yield Check("banner archive", False, f"records name the banner {sha256[:12]}: {error}")
                    return
                earlier += 1
        more = f"; {earlier} from before {day}, when the archive began, cannot" if earlier else ""
        kept = len(bundles) - earlier
        yield Check("banner archive", True, f"the files of {kept} banners that records name can be read{more}")

    def _begin(self, ledger: Ledger, today: date) -> None:
        seen: dict[tuple[str, str, str], Shown] = {}
        first = 0
        for entry in ledger.entries():
            first = entry.seq + 1
            if entry.kind == "consent":
                said = entry.record
                key = said["site"], said["notice"], said["bundle"]
                if key not in seen:
                    seen[key] = Shown(key[0], key[1], said["notice_effective"], key[2], said["time"][:10])
        for shown in seen.values():
            self._note(shown)
        self._began.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        replace_private(self._began, f"{today.isoformat()} {first}\n")

    def _note(self, shown: Shown) -> None:
        file = self._shown / f"{shown.site}.{shown.notice[:16]}.{shown.bundle[:16]}.json"
        if not file.exists():
            self._shown.mkdir(mode=0o700, parents=True, exist_ok=True)
            replace_private(file, json.dumps(asdict(shown), indent=2) + "\n")

    def _keep_bundle(self, sha256: str) -> None:
        """Two processes may do so at once: whoever comes second finds it there."""
        new = self._banners / f".{secrets.token_hex(8)}"
        new.mkdir(mode=0o700, parents=True)
        try:
            for name in bundle.files():
                (new / name).write_bytes(bundle.content(name))
            with suppress(OSError):
                new.rename(self._banners / sha256)
        finally:
            shutil.rmtree(new, ignore_errors=True)


def hashed(files: Mapping[str, bytes]) -> str:
    """The SHA-256 of a bundle's files, as `bundle.sha256` says it of those that are shown."""
    digest = hashlib.sha256()
    for name in sorted(files):
        digest.update(b"%s\0%d\0" % (name.encode(), len(files[name])))
        digest.update(files[name])
    return digest.hexdigest()
