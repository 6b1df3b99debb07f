"""Every setting, declared once with its default and its help; the only reader of the environment."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from consent_app.errors import SettingsError

PREFIX: Final = "CONSENT_"


def utc_now() -> datetime:
    """The time now, in UTC."""
    return datetime.now(UTC)


def _setting(default: Any, text: str) -> Any:
    return field(default=default, metadata={"help": text})


@dataclass(frozen=True, slots=True)
class Settings:
    """What one process runs under. `CONSENT_<NAME>` sets each; `CONSENT_<NAME>_FILE` reads it from a file."""

    home: Path = _setting(Path("consent-home"), "Folder that holds sites.toml, secrets, ledger, spool and statistics.")
    host: str = _setting("127.0.0.1", "Address that `consent serve` listens on.")
    port: int = _setting(8000, "Port that `consent serve` listens on.")
    threads: int = _setting(8, "Threads of the server process.")
    proxies: int = _setting(0, "Trusted reverse proxies in front (X-Forwarded-For and -Proto are believed that often).")
    public_origin: str = _setting("", "Origin that partner pages load the banner from; empty: as the request says.")
    mix_beacons: int = _setting(64, "Beacons of a site whose facts are mixed before a frame is written.")
    mix_seconds: int = _setting(300, "Longest wait of a beacon's facts in the mixing buffer, in seconds.")
    beacons_per_minute: int = _setting(120, "Beacons accepted from one address a minute; the address is never stored.")
    decisions_per_minute: int = _setting(30, "Decisions accepted from one address a minute.")
    spool_hours: int = _setting(24, "Hours after which a spool segment must be gone, or `consent verify` fails.")
    clock: Callable[[], datetime] = field(default=utc_now, metadata={"help": ""})

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] | None = None) -> Settings:
        """Read the environment. Raises SettingsError naming the variable and what it may be."""
        source = os.environ if environ is None else environ
        values: dict[str, Any] = {}
        for setting in fields(cls):
            text = _text(source, PREFIX + setting.name.upper())
            if text is not None and setting.name != "clock":
                values[setting.name] = _converted(PREFIX + setting.name.upper(), text, setting.default)
        return cls(**values)

    @property
    def sites_file(self) -> Path:
        """sites.toml in the home."""
        return self.home / "sites.toml"

    @property
    def secrets(self) -> Path:
        """Folder of keys, 0700."""
        return self.home / "secrets"

    @property
    def ledger_url(self) -> str:
        """SQLAlchemy URL of the ledger."""
        return f"sqlite:///{self.home / 'ledger.db'}"

    @property
    def spool(self) -> Path:
        """Folder of fact segments."""
        return self.home / "spool"

    @property
    def private(self) -> Path:
        """Folder of the batch's own state."""
        return self.home / "private"

    @property
    def stats(self) -> Path:
        """The published statistics."""
        return self.home / "stats.duckdb"

    @property
    def users_file(self) -> Path:
        """Dashboard accounts, 0600."""
        return self.home / "users.json"


def _text(source: Mapping[str, str], name: str) -> str | None:
    if name + "_FILE" not in source:
        return source.get(name)
    try:
        return Path(source[name + "_FILE"]).read_text("utf-8").strip()
    except OSError as error:
        raise SettingsError(f"{name}_FILE: cannot be read ({error.strerror})", remedy="check the path") from error


def _converted(name: str, text: str, default: Any) -> Any:
    if not isinstance(default, int):
        return type(default)(text) if not isinstance(default, Path) else Path(text)
    if not text.isdecimal():
        raise SettingsError(f"{name} is not a whole number", remedy=f"set it to a number such as {default}")
    return int(text)
