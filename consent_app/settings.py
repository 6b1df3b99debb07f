"""One frozen settings class, each setting declared once; the only reader of the environment.

A secret comes from `NAME`, from the file that `NAME_FILE` names, or from its file in the data home, in that order.
docs/settings.md describes every setting; a test keeps the two together.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import UTC, date, datetime
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import urlsplit

from consent_app.errors import SettingsError
from consent_app.private_files import require_private

PREFIX: Final = "CONSENT_"
SHORTEST_KEY: Final = 32
ROLES: Final = ("viewer", "admin", "auditor")
SMTP_SECURITY: Final = ("starttls", "tls", "none")
LOG_FORMATS: Final = ("text", "json")


def utc_now() -> datetime:
    """The time, in UTC; tests and the demo pass a clock of their own."""
    return datetime.now(UTC)


def _setting(default: Any, about: str, low: int = 0, high: int = 0) -> Any:
    return field(default=default, metadata={"help": about, "low": low, "high": high})


def _secret(file: str, about: str, default: Any = ()) -> Any:
    return field(default=default, repr=False, metadata={"help": about, "file": file})


@dataclass(frozen=True, slots=True)
class Settings:
    """What one installation runs under. Raises SettingsError naming the variable and its allowed range."""

    home: Path = _setting(Path("consent-home"), "data home made by `consent init`")
    public_url: str = _setting("http://127.0.0.1:8000", "where browsers reach this server; printed in snippets")
    bind: str = _setting("127.0.0.1:8000", "address and port `consent serve` listens on")
    workers: int = _setting(1, "server processes", 1, 64)
    threads: int = _setting(24, "threads of each server process", 1, 256)
    trusted_proxies: int = _setting(0, "reverse proxies in front whose X-Forwarded-* headers are believed", 0, 8)
    decisions_per_minute: int = _setting(30, "decisions taken from one address in a minute", 1, 100_000)
    beacons_per_minute: int = _setting(240, "page-view beacons taken from one address in a minute", 1, 100_000)
    queries_per_minute: int = _setting(60, "questions one API key may ask in a minute", 1, 100_000)
    mix_beacons: int = _setting(64, "beacons of a site whose facts are mixed before they are written", 1, 4096)
    mix_seconds: int = _setting(300, "longest time facts wait in memory to be mixed", 1, 3600)
    batch_memory: str = _setting("2GB", "memory the batch may use")
    log_format: str = _setting("text", "how the server's log lines look: text, or json")
    smtp_host: str = _setting("", "mail server that `consent report` sends through")
    smtp_port: int = _setting(587, "its port", 1, 65_535)
    smtp_security: str = _setting("starttls", "starttls, tls (from the first byte) or none")
    smtp_user: str = _setting("", "account at the mail server; nobody signs in without one")
    smtp_ca_file: str = _setting("", "certificates to trust for the mail server, instead of the system's")
    mail_from: str = _setting("", "sender of reports, such as statistics@example.com")
    report_to: str = _setting("", "who gets a report when --to names nobody, with commas between addresses")
    smtp_password: str = _secret("smtp.password", "password of CONSENT_SMTP_USER", "")
    security_contact: str = _setting("", "where to report a weakness, such as mailto:security@consent.example")
    second_factor: str = _setting("", "roles that sign in with a second factor only, such as admin,auditor")
    login_header: str = _setting("", "header in which a proxy names the account it signed in; off where empty")
    login_networks: str = _setting("", "networks of the proxies that may send that header, such as 10.0.0.5/32")
    audit_months: int = _setting(12, "months that the audit trail is kept", 1, 120)
    signing_keys: tuple[str, ...] = _secret("signing.keys", "keys of consent tokens and permits, oldest first")
    session_keys: tuple[str, ...] = _secret("session.keys", "keys of dashboard sessions, oldest first")
    ledger_url: str = _secret("ledger.url", "PostgreSQL database of the ledger; without it, ledger.db in the home", "")
    clock: Callable[[], datetime] = utc_now

    def __post_init__(self) -> None:
        for declared in fields(self):
            _check_range(declared.name, getattr(self, declared.name), declared.metadata)
        _check_origin(self.public_url)
        _check_contact(self.security_contact)
        _check_bind(self.bind)
        _check_ledger(self.ledger_url)
        _check_login(self.login_header, self.login_networks)
        _check_roles(self.second_factor)
        _check_choice("smtp_security", self.smtp_security, SMTP_SECURITY)
        _check_choice("log_format", self.log_format, LOG_FORMATS)
        for key in (*self.signing_keys, *self.session_keys):
            if len(key) < SHORTEST_KEY:
                raise SettingsError(
                    f"a secret key is shorter than {SHORTEST_KEY} characters; run `consent keys rotate`"
                )

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] | None = None, **changes: Any) -> Self:
        """Read every setting from the environment; `changes` (not None) win. Raises SettingsError."""
        environ = os.environ if environ is None else environ
        values = {declared.name: _read(declared.name, declared.default, environ) for declared in _declared(cls)}
        values |= {name: value for name, value in changes.items() if value is not None}
        values = {name: value for name, value in values.items() if value is not None}
        home = Path(values.get("home", "consent-home"))
        for declared in fields(cls):
            if "file" in declared.metadata and declared.name not in values:
                read = _text if isinstance(declared.default, str) else _keys
                values[declared.name] = read(declared.name, home / "secrets" / declared.metadata["file"], environ)
        return cls(**values)

    @property
    def factor_roles(self) -> frozenset[str]:
        """The roles that sign in with a second factor only."""
        return frozenset(_listed(self.second_factor))

    @property
    def proxy_networks(self) -> tuple[IPv4Network | IPv6Network, ...]:
        """The networks whose word about who signed in is taken."""
        return tuple(ip_network(text) for text in _listed(self.login_networks))

    @property
    def sites_file(self) -> Path:
        """The one file an operator edits."""
        return self.home / "sites.toml"

    @property
    def secrets(self) -> Path:
        """Folder of key files; 0700, each file 0600."""
        return self.home / "secrets"

    @property
    def ledger_file(self) -> Path:
        """The SQLite file of the ledger."""
        return self.home / "ledger.db"

    @property
    def users_file(self) -> Path:
        """Dashboard users; 0600."""
        return self.home / "users.json"

    @property
    def api_keys(self) -> Path:
        """Folder of the statistics API's keys, as hashes; 0700."""
        return self.home / "api-keys"

    @property
    def spool(self) -> Path:
        """Folder of spool segments."""
        return self.home / "spool"

    @property
    def private(self) -> Path:
        """Folder of the batch's own state."""
        return self.home / "private"

    @property
    def last_batch_file(self) -> Path:
        """When the batch came through last; the server may read it, and nothing else of the batch."""
        return self.home / "last-batch"

    @property
    def stats_file(self) -> Path:
        """The published statistics."""
        return self.home / "stats.duckdb"


def variable(name: str) -> str:
    """The environment variable of a setting."""
    return PREFIX + name.upper()


def read_keys(file: Path) -> tuple[tuple[date, str], ...]:
    """The dated keys of a key file, oldest first. Raises SettingsError where others may read it or a line is broken."""
    require_private(file)
    keys = []
    for number, line in enumerate(file.read_text("utf-8").splitlines(), start=1):
        made, _, key = line.strip().partition(" ")
        try:
            keys.append((date.fromisoformat(made), key))
        except ValueError as error:
            raise SettingsError(f"{file}, line {number}: must be a date, a space and a key") from error
    return tuple(keys)


def _declared(cls: type[Settings]) -> list[Any]:
    return [declared for declared in fields(cls) if "low" in declared.metadata]


def _read(name: str, default: Any, environ: Mapping[str, str]) -> Any:
    text = environ.get(variable(name), "").strip()
    if not text:
        return None
    if not isinstance(default, int):
        return type(default)(text) if isinstance(default, str) else Path(text)
    try:
        return int(text)
    except ValueError as error:
        raise SettingsError(f"{variable(name)} is {text!r}; it must be a whole number") from error


def _keys(name: str, default: Path, environ: Mapping[str, str]) -> tuple[str, ...]:
    text = environ.get(variable(name), "").split()
    if text:
        return tuple(text)
    return _of_file(name, default, environ, lambda file: tuple(key for _, key in read_keys(file))) or ()


def _text(name: str, default: Path, environ: Mapping[str, str]) -> str:
    return environ.get(variable(name), "").strip() or _of_file(name, default, environ, _read_private) or ""


def _read_private(file: Path) -> str:
    require_private(file)
    return file.read_text("utf-8").strip()


def _of_file(name: str, default: Path, environ: Mapping[str, str], read: Callable[[Path], Any]) -> Any:
    """What the secret's file says; None where nobody named one and the data home has none."""
    named = environ.get(variable(name) + "_FILE", "").strip()
    file = Path(named or default)
    if not named and not file.exists():
        return None
    try:
        return read(file)
    except OSError as error:
        raise SettingsError(f"{file} cannot be read ({error.strerror}); name a readable file") from error


def _check_range(name: str, value: Any, metadata: Mapping[str, Any]) -> None:
    low, high = metadata.get("low", 0), metadata.get("high", 0)
    if high and not low <= value <= high:
        raise SettingsError(f"{variable(name)} is {value}; it must be from {low} to {high}")


def _check_origin(url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.path not in ("", "/") or parts.query:
        raise SettingsError(
            f"{variable('public_url')} is {url!r}; it must be an origin such as https://consent.example"
        )


def _check_contact(address: str) -> None:
    if address and not re.fullmatch(r"(mailto:|https://|tel:)[^\s]{3,200}", address):
        raise SettingsError(
            f"{variable('security_contact')} is {address!r}; it must be such as mailto:security@consent.example"
        )


def _check_bind(bind: str) -> None:
    host, _, port = bind.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65_535:
        raise SettingsError(f"{variable('bind')} is {bind!r}; it must be an address and port such as 127.0.0.1:8000")


def _check_choice(name: str, value: str, choices: Sequence[str]) -> None:
    if value not in choices:
        raise SettingsError(f"{variable(name)} is {value!r}; it must be one of {', '.join(choices)}")


def _check_login(header: str, networks: str) -> None:
    """A header that anybody may send opens nothing: without the networks it does not start."""
    try:
        named = [ip_network(text) for text in _listed(networks)]
    except ValueError as error:
        raise SettingsError(f"{variable('login_networks')}: {error}; name networks such as 10.0.0.5/32") from error
    if header and not re.fullmatch(r"[A-Za-z0-9-]{1,64}", header):
        raise SettingsError(f"{variable('login_header')} is {header!r}; it must be a header such as X-Forwarded-User")
    if bool(header) != bool(named):
        raise SettingsError(
            f"{variable('login_header')} and {variable('login_networks')} go together: set both, or neither"
        )
    if any(network.prefixlen == 0 for network in named):
        raise SettingsError(f"{variable('login_networks')} names everybody; name the proxies alone")


def _check_roles(roles: str) -> None:
    unknown = [role for role in _listed(roles) if role not in ROLES]
    if unknown:
        raise SettingsError(f"{variable('second_factor')} names {unknown[0]!r}; roles are {', '.join(ROLES)}")


def _listed(text: str) -> list[str]:
    return [part for part in re.split(r"[,\s]+", text) if part]


def _check_ledger(url: str) -> None:
    """A wrong URL is not repeated: it may hold a password."""
    scheme, _, rest = url.partition("://")
    if url and (scheme != "postgresql" or not rest):
        raise SettingsError(
            f"{variable('ledger_url')} must be a URL such as postgresql://user:password@host/database, or nothing"
        )
