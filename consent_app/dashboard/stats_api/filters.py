"""Filters of a question: read strictly, and held against the keys of released rows.

Patterns are RE2's, so that no pattern can keep a server busy (https://github.com/google/re2/wiki/Syntax).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from consent_app.dashboard.stats_api.vocabulary import DIMENSIONS, GOAL, HOUR, TIMES
from consent_app.errors import FieldsError

OPERATORS: Final = ("is", "is_not", "contains", "contains_not", "matches", "matches_not")
LOGIC: Final = ("and", "or", "not")
BEHAVIOUR: Final = ("has_done", "has_not_done")
DEEPEST: Final = 4
MOST_CLAUSES: Final = 100
LONGEST_CLAUSE: Final = 500
Columns = Mapping[str, Sequence[str]]


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition on one dimension; it holds where any of its clauses does."""

    operator: str
    dimension: str
    clauses: tuple[str, ...]
    case_sensitive: bool = True

    @property
    def document(self) -> list[Any]:
        """As in the request."""
        plain: list[Any] = [self.operator, self.dimension, [*self.clauses]]
        return plain if self.case_sensitive else [*plain, {"case_sensitive": False}]

    def dimensions(self) -> Iterator[str]:
        """What it speaks of."""
        yield self.dimension

    def holds(self, columns: Columns) -> list[bool]:
        """For each row, whether it holds."""
        found = self._found(columns[self.dimension])
        return [not each for each in found] if self.operator.endswith("_not") else found

    def _found(self, keys: Sequence[str]) -> list[bool]:
        if self.operator.startswith("matches"):
            tests = [_match(keys, pattern, self.case_sensitive) for pattern in self.clauses]
            return [any(each) for each in zip(*tests, strict=True)] if keys else []
        fold = str if self.case_sensitive else str.casefold
        clauses = [fold(clause) for clause in self.clauses]
        if self.operator.startswith("contains"):
            return [any(clause in fold(key) for clause in clauses) for key in keys]
        return [fold(key) in clauses for key in keys]


@dataclass(frozen=True, slots=True)
class Combination:
    """Filters together: `and`, `or`, or `not` of one."""

    operator: str
    parts: tuple[Condition | Combination, ...]

    @property
    def document(self) -> list[Any]:
        """As in the request."""
        parts = [part.document for part in self.parts]
        return [self.operator, parts[0] if self.operator == "not" else parts]

    def dimensions(self) -> Iterator[str]:
        """What its parts speak of."""
        for part in self.parts:
            yield from part.dimensions()

    def holds(self, columns: Columns) -> list[bool]:
        """For each row, whether it holds."""
        results = zip(*(part.holds(columns) for part in self.parts), strict=True)
        if self.operator == "not":
            return [not each[0] for each in results]
        return [(all if self.operator == "and" else any)(each) for each in results]


Filter = Condition | Combination


def read_filters(value: Any) -> tuple[Filter, ...]:
    """The filters of a request. Raises FieldsError naming the place, such as `filters[0][2]`."""
    if not isinstance(value, list):
        raise FieldsError({"filters": 'must be a list, such as [["is", "visit:source", ["Google"]]]'})
    read = tuple(_read(part, f"filters[{place}]", 1) for place, part in enumerate(value))
    if sum(_clauses(part) for part in read) > MOST_CLAUSES:
        raise FieldsError({"filters": f"may hold {MOST_CLAUSES} values together"})
    return read


def _clauses(part: Filter) -> int:
    return len(part.clauses) if isinstance(part, Condition) else sum(map(_clauses, part.parts))


def _read(value: Any, place: str, depth: int) -> Filter:
    if not isinstance(value, list) or not value or not isinstance(value[0], str):
        raise FieldsError({place: 'must be a list that begins with its operator, such as ["is", "visit:source", []]'})
    if value[0] in BEHAVIOUR:
        raise FieldsError({place: "what a visitor did before or after is not known here; leave this filter out"})
    if value[0] in LOGIC:
        return _combination(value, place, depth)
    if value[0] not in OPERATORS:
        raise FieldsError({f"{place}[0]": f"must be one of {', '.join((*OPERATORS, *LOGIC))}"})
    return _condition(value, place)


def _combination(value: list[Any], place: str, depth: int) -> Combination:
    if len(value) != 2 or depth >= DEEPEST:
        raise FieldsError({place: f"must have an operator and what it joins, at most {DEEPEST} deep"})
    parts = [value[1]] if value[0] == "not" else value[1]
    if not isinstance(parts, list) or not parts:
        raise FieldsError({f"{place}[1]": "must be a list of filters"})
    return Combination(value[0], tuple(_read(part, f"{place}[1]", depth + 1) for part in parts))


def _condition(value: list[Any], place: str) -> Condition:
    if len(value) not in (3, 4):
        raise FieldsError({place: 'must be [operator, dimension, values], such as ["is", "visit:source", ["Google"]]'})
    operator, dimension, clauses = value[:3]
    _check_dimension(dimension, operator, f"{place}[1]")
    if not isinstance(clauses, list) or not clauses or not all(map(_is_text, clauses)):
        raise FieldsError({f"{place}[2]": f"must be a list of texts of at most {LONGEST_CLAUSE} characters"})
    sensitive = _modifier(value[3], operator, f"{place}[3]") if len(value) == 4 else True
    condition = Condition(operator, dimension, tuple(clauses), sensitive)
    if operator.startswith("matches"):
        _check_patterns(condition, f"{place}[2]")
    return condition


def _check_dimension(dimension: Any, operator: str, place: str) -> None:
    if dimension in (*TIMES, HOUR):
        raise FieldsError({place: "time is chosen by date_range, not by a filter"})
    if not isinstance(dimension, str) or dimension not in DIMENSIONS:
        raise FieldsError({place: f"must be one of {', '.join(DIMENSIONS)}"})
    if dimension == GOAL and operator not in ("is", "contains"):
        raise FieldsError({place: f"{GOAL} is filtered by is or contains only, as in Plausible's API"})


def _is_text(value: Any) -> bool:
    """A text that UTF-8 can hold; JSON's escapes can also make halves of characters."""
    return isinstance(value, str) and len(value) <= LONGEST_CLAUSE and value == value.encode("utf-8", "ignore").decode()


def _modifier(value: Any, operator: str, place: str) -> bool:
    if not isinstance(value, dict) or value.keys() != {"case_sensitive"} or operator.startswith("matches"):
        raise FieldsError({place: 'may be {"case_sensitive": false}, for is, is_not, contains and contains_not'})
    if not isinstance(value["case_sensitive"], bool):
        raise FieldsError({f"{place}.case_sensitive": "must be true or false"})
    return bool(value["case_sensitive"])


def _check_patterns(condition: Condition, place: str) -> None:
    try:
        condition.holds({condition.dimension: [""]})
    except pa.ArrowException as error:
        raise FieldsError({place: f"is no pattern of RE2 ({_first_line(error)})"}) from error


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0][:100]


def _match(keys: Sequence[str], pattern: str, case_sensitive: bool) -> list[bool]:
    found = pc.match_substring_regex(pa.array(keys, pa.string()), pattern, ignore_case=not case_sensitive)
    return list(found.to_pylist())
