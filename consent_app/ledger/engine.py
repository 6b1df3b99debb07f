"""What the ledger asks of the database its rows lie in; `sqlite` and `postgresql` are the two there are."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Final

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from consent_app.errors import UnavailableError

# For queries over every row: they are fetched as they are used, where the driver would else fetch all of them first.
STREAMED: Final = {"stream_results": True, "max_row_buffer": 5000}


class Database(ABC):
    """Three ways into one database. Threads use them in turn, processes each open their own.

    A transaction of `reading` sees one moment. One of `writing` is safe from the death of any process when it ended,
    and one of `syncing` from a power cut too, with all that was committed before it.
    """

    name: str
    reading: Engine
    writing: Engine
    syncing: Engine

    @abstractmethod
    def take_numbers(self, connection: Connection) -> None:
        """Let nobody else number entries until this transaction ends, nor read the last number before that."""

    @abstractmethod
    def take_schema(self, connection: Connection) -> None:
        """Let nobody else change the schema until this transaction ends."""

    @abstractmethod
    def sequencing(self) -> AbstractContextManager[None]:
        """Be the only one who signs, on whatever machine; given back when its holder dies."""

    @abstractmethod
    def is_writable(self) -> bool:
        """Whether it would take an entry now, as far as can be told without one."""

    @abstractmethod
    def forget(self) -> None:
        """What was deleted is to be found nowhere in the database any more, as far as it can see to that."""

    @abstractmethod
    def fault(self, error: SQLAlchemyError) -> str:
        """What an error says, in one line, and what helps, after the name of the ledger."""

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction that reads. Raises UnavailableError."""
        try:
            with self.reading.begin() as connection:
                yield connection
        except SQLAlchemyError as error:
            raise UnavailableError(
                f"the ledger cannot be read ({said(error)}); `consent ledger verify` says more"
            ) from error

    @contextmanager
    def write(self, engine: Engine) -> Iterator[Connection]:
        """A transaction that writes. Raises UnavailableError; what was written is not there then, or not for sure."""
        try:
            with engine.begin() as connection:
                yield connection
        except (SQLAlchemyError, engine.dialect.loaded_dbapi.Error) as error:
            raise UnavailableError(f"the ledger cannot be written right now ({said(error)}); try again") from error

    @contextmanager
    def write_surely(self) -> Iterator[Connection]:
        """A transaction that is on disk when it ended. Raises UnavailableError."""
        with self.write(self.syncing) as connection:
            yield connection

    def close(self) -> None:
        """Close every connection that nobody uses."""
        for engine in (self.reading, self.writing, self.syncing):
            engine.dispose()


def said(error: Exception) -> str:
    """The words of the database itself, in one line."""
    words = str(error.orig if isinstance(error, DBAPIError) else error).strip()
    return words.splitlines()[0] if words else type(error).__name__
