"""TOML read strictly: unknown keys and wrong values raise SitesError with file, line and reason.

`tomllib` tells lines for syntax errors only, so the line of a key is found here, by letting `tomllib` read the text
statement by statement.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Any, Final, NoReturn, Self

from consent_app.errors import SitesError

Keys = tuple[str | int, ...]
_NOTHING: Final = object()


@dataclass
class Table:
    """One table of a TOML file; every reader takes a key out, `done` refuses what nobody asked for."""

    file: Path
    text: str
    content: dict[str, Any]
    path: Keys = ()
    _asked: set[str] = field(default_factory=set)

    @classmethod
    def load(cls, file: Path) -> Self:
        """Read a file. Raises SitesError when it is missing, not UTF-8 or not TOML."""
        try:
            text = file.read_bytes().decode("utf-8")
            return cls(file, text, tomllib.loads(text))
        except OSError as error:
            raise SitesError(file, 0, f"cannot be read ({error.strerror}); `consent init` writes one") from error
        except UnicodeDecodeError as error:
            raise SitesError(file, 0, "is not UTF-8 text; save it as UTF-8") from error
        except tomllib.TOMLDecodeError as error:
            raise SitesError(file, _error_line(error, text), f"is not TOML: {error}") from error

    def refuse(self, key: str | int, reason: str) -> NoReturn:
        """Raise SitesError at the line of `key`."""
        path = (*self.path, key) if key != "" else self.path
        name = ".".join(str(part) for part in path)
        raise SitesError(self.file, line_of(self.text, path), f"{name}: {reason}")

    def take(self, key: str, kind: type | tuple[type, ...], what: str, default: Any = _NOTHING) -> Any:
        """The value of `key`, of the given type; `default` when absent, refused without one."""
        self._asked.add(key)
        value = self.content.get(key, _NOTHING)
        if value is _NOTHING:
            return self.refuse("", f"{key} is missing; it must be {what}") if default is _NOTHING else default
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            self.refuse(key, f"must be {what}")
        return value

    def line(self, key: str, default: Any = _NOTHING, *, longest: int = 300) -> str:
        """One line of text."""
        value = self.take(key, str, "text", default)
        if value != default and (not value.strip() or len(value) > longest or not value.isprintable()):
            self.refuse(key, f"must be one line of at most {longest} characters")
        return str(value)

    def match(self, key: str, pattern: str, what: str, default: Any = _NOTHING) -> str:
        """Text of a pattern."""
        value = self.take(key, str, what, default)
        if value != default and not re.fullmatch(pattern, value):
            self.refuse(key, f"is {value!r}; it must be {what}")
        return str(value)

    def one_of(self, key: str, options: Sequence[str], default: Any = _NOTHING) -> Any:
        """One word of a closed list."""
        what = f"one of {', '.join(options)}"
        value = self.take(key, str, what, default)
        if value != default and value not in options:
            self.refuse(key, f"is {value!r}; it must be {what}")
        return value

    def number(self, key: str, low: int, high: int, default: int | None) -> Any:
        """A whole number in a range."""
        what = f"a whole number from {low} to {high}"
        value = self.take(key, int, what, default)
        if value is not None and not low <= value <= high:
            self.refuse(key, f"is {value}; it must be {what}")
        return value

    def day(self, key: str) -> date:
        """A date."""
        value = self.take(key, date, "a date such as 2026-11-01, without quotes")
        if isinstance(value, datetime):
            self.refuse(key, "must be a date without a time")
        return date(value.year, value.month, value.day)

    def texts(self, key: str, pattern: str, what: str, default: Any = _NOTHING) -> tuple[str, ...]:
        """A list of texts of one pattern, none twice."""
        values = self.take(key, list, f"a list of {what}", default)
        for value in values:
            if not isinstance(value, str) or not re.fullmatch(pattern, value):
                self.refuse(key, f"holds {value!r}; it must be a list of {what}")
        if len(set(values)) != len(values):
            self.refuse(key, "names something twice")
        return tuple(values)

    def table(self, key: str, default: Any = _NOTHING) -> Self:
        """A table below this one."""
        return self._below(self.take(key, dict, "a table", default), key)

    def tables(self, key: str) -> list[Self]:
        """The tables of an array below this one; none when absent."""
        values = self.take(key, list, f"tables, each begun by [[{'.'.join(map(str, self.path))}.{key}]]", [])
        for value in values:
            if not isinstance(value, dict):
                self.refuse(key, "must hold tables")
        return [self._below(value, key, place) for place, value in enumerate(values)]

    def children(self) -> Iterator[tuple[str, Self]]:
        """Every key with its table, in the order of the file."""
        for key in self.content:
            yield key, self.table(key)

    def done(self) -> None:
        """Refuse the first key nobody asked for, naming those there are."""
        for key in self.content:
            if key not in self._asked:
                self.refuse(key, f"is not a setting here; there are {', '.join(sorted(self._asked))}")

    def _below(self, content: dict[str, Any], *keys: str | int) -> Self:
        return type(self)(self.file, self.text, content, (*self.path, *keys))


def _error_line(error: tomllib.TOMLDecodeError, text: str) -> int:
    """The line a syntax error names; the last line where it names the end of the document."""
    found = re.search(r"at line (\d+)", str(error))
    return int(found.group(1)) if found else text.count("\n") + 1


def line_of(text: str, path: Keys) -> int:
    """The line on which the key at `path` begins, else that of its nearest parent; 1 if there is none.

    `text` must be valid TOML. Numbers in `path` count the tables of an array from 0.
    """
    lines: dict[Keys, int] = {}
    for number, keys in _statements(text):
        for length in range(1, len(keys) + 1):
            lines.setdefault(keys[:length], number)
        if keys in lines and len(keys) > 0:
            lines[keys] = number
    while path and path not in lines:
        path = path[:-1]
    return lines.get(path, 1)


def _statements(text: str) -> Iterator[tuple[int, Keys]]:
    """Line and full path of each header and each assignment."""
    header: Keys = ()
    counts: dict[Keys, int] = {}
    for number, statement in _split(text):
        keys = tuple(_spine(tomllib.loads(statement)))
        if statement.lstrip().startswith("["):
            header = _counted(keys, counts, array=statement.lstrip().startswith("[["))
            yield number, header
        else:
            yield number, (*header, *keys)


def _counted(keys: tuple[str, ...], counts: dict[Keys, int], *, array: bool) -> Keys:
    """The path of a header, with the number of the table wherever a key names an array of tables."""
    path: Keys = ()
    for place, key in enumerate(keys, start=1):
        path = (*path, key)
        if array and place == len(keys):
            counts[path] = counts.get(path, -1) + 1
        if path in counts:
            path = (*path, counts[path])
    return path


def _split(text: str) -> Iterator[tuple[int, str]]:
    """Each statement with its first line: the fewest lines that are valid by themselves."""
    begun, waiting = 0, ""
    for number, line in enumerate(text.splitlines(keepends=True), start=1):
        if not waiting:
            begun = number
        waiting += line
        try:
            parsed = tomllib.loads(waiting)
        except tomllib.TOMLDecodeError:
            continue
        if parsed:
            yield begun, waiting
        waiting = ""


def _spine(table: Any) -> Iterator[str]:
    """The dotted key of one statement: the chain of tables that hold one thing."""
    while isinstance(table, dict) and len(table) == 1:
        ((key, table),) = table.items()
        yield key
        if table == [{}]:
            return
