"""The triggers by which a database refuses to change the log, on SQLite and on PostgreSQL; made, and looked for.

A record may be deleted once `erased` names it, and all of a year's log once `dropped` does; nothing else may be changed
or deleted.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Final

from sqlalchemy import Connection, text

TABLES: Final = ("entry", "body", "notice", "erased", "head", "shard", "dropped")
_DROPPED: Final = "EXISTS (SELECT 1 FROM dropped WHERE OLD.seq >= dropped.first AND OLD.seq < dropped.past)"
_HEAD_DROPPED: Final = "EXISTS (SELECT 1 FROM dropped WHERE OLD.size > dropped.first AND OLD.size <= dropped.past)"
_ERASED: Final = f"EXISTS (SELECT 1 FROM erased WHERE seq = OLD.seq) OR {_DROPPED}"  # noqa: S608 - two constants
# From which table a row may be deleted when, and the function that sees to it in PostgreSQL.
_UNLESS: Final = {
    "body": (_ERASED, "ledger_keeps_until_erased"),
    "entry": (_DROPPED, "ledger_keeps_until_dropped"),
    "erased": (_DROPPED, "ledger_keeps_until_dropped"),
    "head": (_HEAD_DROPPED, "ledger_keeps_head_until_dropped"),
}
_BARE: Final = "BEGIN RAISE EXCEPTION 'the ledger is append-only'; END"
_GOES: Final = "BEGIN IF {} THEN RETURN OLD; END IF; RAISE EXCEPTION 'the ledger is append-only'; END"
FUNCTIONS: Final = {"ledger_keeps": _BARE} | {name: _GOES.format(when) for when, name in _UNLESS.values()}
# Of pg_trigger.tgtype: before the statement; before each row; and what it is that happens.
_BEFORE, _EACH_ROW = 2, 1
_EVENTS: Final = {"DELETE": 8, "UPDATE": 16, "TRUNCATE": 32}
_FOUND: Final = """
SELECT t.tgname, t.tgtype, CAST(t.tgenabled AS text), t.tgqual IS NULL AND t.tgattr = '' AS always, p.proname, p.prosrc
FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid
WHERE NOT t.tgisinternal AND t.tgrelid = CAST(:table AS regclass)
"""


def create(connection: Connection, tables: Collection[str]) -> None:
    """Guard these tables; a guard that is there already is made anew."""
    if connection.dialect.name == "sqlite":
        for name, statement in _on_sqlite(tables):
            connection.exec_driver_sql(f"DROP TRIGGER IF EXISTS {name}")
            connection.exec_driver_sql(statement)
        return
    for name, source in FUNCTIONS.items():
        connection.exec_driver_sql(
            f"CREATE OR REPLACE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $${source}$$"
        )
    for table in tables:
        for event in _EVENTS:
            connection.exec_driver_sql(f"DROP TRIGGER IF EXISTS {_name(table, event)} ON {table}")
            connection.exec_driver_sql(_on_postgresql(table, event))


def fault(connection: Connection) -> str:
    """Which guard is gone or changed; "" while all are there."""
    check = _fault_of_sqlite if connection.dialect.name == "sqlite" else _fault_of_postgresql
    return check(connection)


def _on_sqlite(tables: Collection[str]) -> Iterator[tuple[str, str]]:
    for table in tables:
        for event in ("UPDATE", "DELETE"):
            name = _name(table, event)
            may_go = event == "DELETE" and table in _UNLESS
            unless = f"WHEN NOT ({_UNLESS[table][0]}) " if may_go else ""
            refusal = "BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END"
            yield name, f"CREATE TRIGGER {name} BEFORE {event} ON {table} {unless}{refusal}"


def _fault_of_sqlite(connection: Connection) -> str:
    query = text("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'")
    found = {row.name: row.sql for row in connection.execute(query)}
    wrong = [name for name, statement in _on_sqlite(TABLES) if found.get(name) != statement]
    return f"trigger {wrong[0]} is gone or changed" if wrong else ""


def _on_postgresql(table: str, event: str) -> str:
    each = "STATEMENT" if event == "TRUNCATE" else "ROW"
    return (
        f"CREATE TRIGGER {_name(table, event)} BEFORE {event} ON {table} "
        f"FOR EACH {each} EXECUTE FUNCTION {_function(table, event)}()"
    )


def _name(table: str, event: str) -> str:
    return f"{table}_keeps_on_{event.lower()}"


def _function(table: str, event: str) -> str:
    return _UNLESS[table][1] if event == "DELETE" and table in _UNLESS else "ledger_keeps"


def _fault_of_postgresql(connection: Connection) -> str:
    """A trigger may also be switched off, be given a condition, or call a function that was changed."""
    for table in TABLES:
        found = {row.tgname: tuple(row)[1:] for row in connection.execute(text(_FOUND), {"table": table})}
        for event, bit in _EVENTS.items():
            name, function = _name(table, event), _function(table, event)
            kind = bit | _BEFORE | (0 if event == "TRUNCATE" else _EACH_ROW)
            if found.get(name) != (kind, "O", True, function, FUNCTIONS[function]):
                return f"trigger {name} is gone, changed or switched off"
    return ""
