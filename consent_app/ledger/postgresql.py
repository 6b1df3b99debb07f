"""The ledger in PostgreSQL: several machines write, advisory locks put them in order.

A lock belongs to a transaction, so the server gives it back when its holder's connection ends, however that came about.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from consent_app.errors import LedgerError, SettingsError
from consent_app.ledger.engine import Database, said

DRIVER: Final = "postgresql+psycopg"
CONNECT_SECONDS: Final = 10
# Advisory locks are numbers that everybody agrees on: "consent" in ASCII, then which of the three.
NUMBERS, SIGNING, SCHEMA = (int.from_bytes(b"consent" + bytes([which])) for which in (1, 2, 3))
# A machine that vanished is found out within half a minute, and its locks are given back.
_SESSION: Final = (
    "SET lock_timeout = {busy}; SET tcp_keepalives_idle = 10; SET tcp_keepalives_interval = 5; "
    "SET tcp_keepalives_count = 3"
)
# Whoever signs may take long the first time: neither he nor who waits for him is cut off.
_PATIENT: Final = "SET LOCAL lock_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0"


class PostgreSQL(Database):
    """A database on a server, by its URL. Raises SettingsError for a URL that cannot be one, or without a driver.

    Every commit is on disk when it returns: a server that is killed loses nothing that was answered.
    """

    def __init__(self, url: str, busy_seconds: float) -> None:
        address = _address(url)
        self.name = address.render_as_string(hide_password=True).replace(DRIVER, "postgresql")
        self.reading = _engine(address, busy_seconds, "REPEATABLE READ")
        self.writing = self.syncing = _engine(address, busy_seconds, "READ COMMITTED")

    def take_numbers(self, connection: Connection) -> None:
        """The next statement sees all that the holder before committed: each has its own view (READ COMMITTED)."""
        _take(connection, NUMBERS)

    def take_schema(self, connection: Connection) -> None:
        """Two programs that open a database at once change its schema once. Raises LedgerError for a wrong encoding."""
        encoding = connection.exec_driver_sql("SHOW server_encoding").scalar()
        if encoding != "UTF8":
            raise LedgerError(f"{self.name} is encoded in {encoding}, and must be UTF8; make another database")
        _take(connection, SCHEMA)

    @contextmanager
    def sequencing(self) -> Iterator[None]:
        """A transaction that does nothing but hold the lock."""
        with self.write_surely() as connection:
            connection.exec_driver_sql(_PATIENT)
            _take(connection, SIGNING)
            yield

    def is_writable(self) -> bool:
        """A standby server, or one that is switched to reading, answers questions only."""
        with self.write_surely() as connection:
            return connection.exec_driver_sql("SHOW transaction_read_only").scalar() == "off"

    def forget(self) -> None:
        """The server gives the rows' space free; what stays of them elsewhere docs/ledger.md says."""
        with self.syncing.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql("VACUUM body")

    def fault(self, error: SQLAlchemyError) -> str:
        """A database that does not open is away, or its URL is not right."""
        return f"cannot be opened as a ledger ({said(error)}); start the server, or correct CONSENT_LEDGER_URL"


def _take(connection: Connection, lock: int) -> None:
    connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({lock})").close()


def _address(url: str) -> URL:
    try:
        address = make_url(url)
    except (ArgumentError, ValueError):
        raise SettingsError("CONSENT_LEDGER_URL is no URL; write postgresql://user:password@host/database") from None
    return address.set(drivername=DRIVER)


def _engine(address: URL, busy_seconds: float, isolation: Any) -> Engine:
    try:
        engine = create_engine(
            address,
            hide_parameters=True,
            isolation_level=isolation,
            pool_pre_ping=True,
            pool_timeout=busy_seconds,
            connect_args={"connect_timeout": CONNECT_SECONDS, "application_name": "consent"},
        )
    except ModuleNotFoundError as error:
        raise SettingsError(
            "CONSENT_LEDGER_URL names PostgreSQL, and its driver is not here; run: pip install consent-app[postgresql]"
        ) from error
    session = _SESSION.format(busy=int(busy_seconds * 1000))
    event.listen(engine, "connect", lambda connection, _: _prepare(connection, session))
    return engine


def _prepare(connection: Any, session: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(session)
    connection.commit()
