"""Where the tests' ledgers lie: a SQLite file, or a database of a PostgreSQL server that the tests start and stop.

The server is Debian's, in a folder of its own and behind a socket there; it is run by a user without rights, because
PostgreSQL refuses root.
"""

from __future__ import annotations

import os
import pwd
import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import count
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, Self

import psycopg

from consent_app.ledger import Ledger
from consent_app.ledger.sequencer import utc_now

NOBODY = "nobody"
OWNER = "consent"
PASSWORD = "right"
# Only `guest` is asked for a password, so that a wrong one can be tried.
WHO_MAY = f"local all guest scram-sha-256\nlocal all {OWNER} trust\n"
# The disk is not waited for: what dies here are processes.
QUICK = """
fsync = off
full_page_writes = off
autovacuum = off
listen_addresses = ''
max_connections = 60
shared_buffers = 32MB
"""
TEMPLATE = "ledger_template"


def programs() -> Path | None:
    """The folder of the newest PostgreSQL server here."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda file: int(file.parts[4]))
    beside = shutil.which("initdb")
    return found[-1].parent if found else Path(beside).parent if beside else None


class Server:
    """A PostgreSQL server with one template: an empty ledger of today's schema."""

    def __init__(self, bin_folder: Path) -> None:
        self._bin = bin_folder
        self.folder = Path(mkdtemp(prefix="ledger-"))
        self._names = (f"ledger_{number}" for number in count())
        if os.geteuid() == 0:
            shutil.chown(self.folder, NOBODY)
        self._run("initdb", "-D", self._data, "-U", OWNER, "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
        self._write("pg_hba.conf", WHO_MAY)
        self._write("conf.d.conf", QUICK + f"unix_socket_directories = '{self.folder}'\n")
        self._write("postgresql.conf", "include 'conf.d.conf'\n")
        self.start()
        with psycopg.connect(self.url("postgres")) as connection:
            self._knows_strategies = connection.info.server_version >= 150_000
        self.execute(f"CREATE DATABASE {TEMPLATE}", f"CREATE ROLE guest LOGIN PASSWORD '{PASSWORD}'")
        Ledger(self.folder / "ledger.db", self.url(TEMPLATE)).close()

    def url(self, database: str, user: str = OWNER) -> str:
        return f"postgresql://{user}@/{database}?host={self.folder}"

    def start(self) -> None:
        self._run("pg_ctl", "-D", self._data, "-w", "-l", self.folder / "log", "start")

    def stop(self, how: str = "immediate") -> None:
        self._run("pg_ctl", "-D", self._data, "-w", "-m", how, "stop")

    def execute(self, *statements: str, database: str = "postgres") -> None:
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement.encode())

    def make(self, template: str = TEMPLATE) -> str:
        """A new database, a copy of another that nobody is connected to; returns its name."""
        name = next(self._names)
        quickly = " STRATEGY file_copy" if self._knows_strategies else ""
        self.execute(f"CREATE DATABASE {name} TEMPLATE {template}{quickly}")
        return name

    def remove(self) -> None:
        self.stop()
        shutil.rmtree(self.folder)

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    def _write(self, name: str, text: str) -> None:
        file = self._data / name
        file.write_text(text)
        if os.geteuid() == 0:
            shutil.chown(file, NOBODY)

    def _run(self, program: str, *words: object) -> None:
        command = [str(self._bin / program), *map(str, words)]
        options: dict[str, Any] = {"cwd": self.folder, "stdout": subprocess.DEVNULL}
        if os.geteuid() == 0:
            who = pwd.getpwnam(NOBODY)
            options |= {"user": who.pw_uid, "group": who.pw_gid, "extra_groups": ()}
        subprocess.run(command, check=True, **options)


class Hand:
    """The database in the hands of somebody who knows it well: statements in SQLite's manner, on either."""

    def __init__(self, raw: Any) -> None:
        self._raw = raw

    def execute(self, text: str, values: tuple[Any, ...] = ()) -> Any:
        if isinstance(self._raw, psycopg.Connection):
            text = text.replace("zeroblob(32)", "decode(repeat('00', 32), 'hex')").replace("?", "%s")
        return self._raw.execute(text, values)

    def executemany(self, text: str, rows: list[tuple[Any, ...]]) -> None:
        with closing(self._raw.cursor()) as cursor:
            cursor.executemany(text.replace("?", "%s") if isinstance(self._raw, psycopg.Connection) else text, rows)


@dataclass(frozen=True)
class Place:
    """A data home and the ledger's database: the file in it, or one on the server."""

    home: Path
    server: Server | None = None
    database: str = ""

    @classmethod
    def new(cls, home: Path, server: Server | None) -> Self:
        return cls(home, server, server.make() if server else "")

    @property
    def url(self) -> str:
        return self.server.url(self.database) if self.server else ""

    @property
    def file(self) -> Path:
        return self.home / "ledger.db"

    def open(self, clock: Callable[[], datetime] = utc_now) -> Ledger:
        return Ledger(self.file, self.url, clock=clock)

    def beside(self, name: str) -> Place:
        """Another ledger, which knows nothing of this one."""
        home = self.home / name
        home.mkdir(mode=0o700)
        return Place.new(home, self.server)

    def copy(self, home: Path) -> Place:
        """A backup of home and database; nobody may have the ledger open."""
        shutil.copytree(self.home, home)
        return Place(home, self.server, self.server.make(self.database) if self.server else "")

    @contextmanager
    def raw(self) -> Iterator[Hand]:
        """A connection of one's own, under the same guards as ours."""
        with closing(psycopg.connect(self.url) if self.server else sqlite3.connect(self.file)) as connection:
            yield Hand(connection)
            connection.commit()

    @contextmanager
    def by_hand(self) -> Iterator[Hand]:
        """The same past the guards, which stand again afterwards."""
        with self.raw() as hand:
            if self.server:
                hand.execute("SET session_replication_role = replica")
                yield hand
                return
            triggers = hand.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").fetchall()
            for name, _ in triggers:
                hand.execute(f"DROP TRIGGER {name}")
            yield hand
            for _, sql in triggers:
                hand.execute(sql)


def statements(*texts: str) -> Callable[[Hand], None]:
    """Tampering by SQL, each statement of which must find something to change."""

    def run(hand: Hand) -> None:
        for text in texts:
            assert hand.execute(text).rowcount != 0, text

    return run
