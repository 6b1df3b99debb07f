"""A question: the JSON of Plausible's Stats API v2, read strictly; whatever is wrong is told by its field's name."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any, Final

from consent_app.dashboard.periods import DAY, EARLIEST
from consent_app.dashboard.stats_api.filters import Filter, read_filters
from consent_app.dashboard.stats_api.vocabulary import DIMENSIONS, GOAL, HOUR, METRICS, NEVER, TIMES
from consent_app.errors import FieldsError, RequestError

LONGEST: Final = 16_384
MOST_ROWS: Final = 10_000
MOST_DIMENSIONS: Final = 3
RANGES: Final = ("day", "7d", "28d", "30d", "91d", "month", "6mo", "12mo", "year", "all")
NEEDED: Final = ("site_id", "metrics", "date_range")
KNOWN: Final = (*NEEDED, "dimensions", "filters", "order_by", "include", "pagination")
FLAGS: Final = ("imports", "time_labels", "total_rows", "nearest")
_DAY: Final = re.compile(r"\d{4}-\d\d-\d\d")


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked. `dates` is one of RANGES, or two texts; `order` has a name and whether it descends.

    `include` may hold `nearest`: to be answered the nearest question that can be, rather than to be told it.
    """

    site: str
    metrics: tuple[str, ...]
    dates: str | tuple[str, str]
    dimensions: tuple[str, ...] = ()
    filters: tuple[Filter, ...] = ()
    order: tuple[tuple[str, bool], ...] = ()
    include: frozenset[str] = frozenset()
    limit: int = MOST_ROWS
    offset: int = 0

    @property
    def time(self) -> str:
        """Its time dimension, or ""."""
        return next((name for name in self.dimensions if name in (*TIMES, HOUR)), "")

    @property
    def groups(self) -> tuple[str, ...]:
        """Its other dimensions."""
        return tuple(name for name in self.dimensions if name not in (*TIMES, HOUR))

    @property
    def needed(self) -> list[str]:
        """Every dimension a table must have to answer it, each once."""
        filtered = [name for each in self.filters for name in each.dimensions()]
        return [*dict.fromkeys((*self.groups, *filtered))]

    def about(self, site: str) -> Question:
        """The question about the site of this key, whatever name it was called by."""
        return replace(self, site=site)

    def document(self) -> dict[str, Any]:
        """As a request."""
        return {
            "site_id": self.site,
            "metrics": [*self.metrics],
            "date_range": self.dates if isinstance(self.dates, str) else [*self.dates],
            "dimensions": [*self.dimensions],
            "filters": [each.document for each in self.filters],
            "order_by": [[name, "desc" if down else "asc"] for name, down in self.order],
            "include": dict.fromkeys(sorted(self.include), True),
            "pagination": {"limit": self.limit, "offset": self.offset},
        }


def read(body: bytes) -> Question:
    """The question in a request's body. Raises RequestError where it is no JSON, FieldsError for its fields."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise RequestError("the body is no JSON text") from error
    if not isinstance(document, dict):
        raise RequestError('the body must be a JSON object, such as {"site_id": "kent", "metrics": ["pageviews"], …}')
    unknown = {name[:64]: "is not known here" for name in document if name not in KNOWN}
    missing = {name: "is missing" for name in NEEDED if name not in document}
    if unknown or missing:
        raise FieldsError(unknown | missing)
    return _checked(Question(**{_FIELDS.get(name, name): _READERS[name](value) for name, value in _parts(document)}))


def _parts(document: dict[str, Any]) -> list[tuple[str, Any]]:
    """Each field with its value; of pagination its two numbers."""
    pages = document.get("pagination", {})
    if not isinstance(pages, dict) or not pages.keys() <= {"limit", "offset"}:
        raise FieldsError({"pagination": 'must be an object such as {"limit": 100, "offset": 0}'})
    return [*((name, value) for name, value in document.items() if name != "pagination"), *pages.items()]


def _checked(question: Question) -> Question:
    """Names in `order_by` must be asked for; a rate needs what it is a rate of."""
    names = (*question.metrics, *question.dimensions)
    for place, (name, _) in enumerate(question.order):
        if name not in names:
            raise FieldsError({f"order_by[{place}]": "must name one of the metrics or dimensions of this question"})
    if sum(name in (*TIMES, HOUR) for name in question.dimensions) > 1:
        raise FieldsError({"dimensions": "may hold one time dimension"})
    if "percentage" in question.metrics and not question.groups:
        raise FieldsError({"metrics": "percentage needs a dimension other than time"})
    if {"conversion_rate", "group_conversion_rate"} & {*question.metrics} and GOAL not in question.needed:
        raise FieldsError({"metrics": f"a conversion rate needs {GOAL} as a dimension or in a filter"})
    if "time_labels" in question.include and not question.time:
        raise FieldsError({"include.time_labels": "needs a time dimension"})
    return question


def _site(value: Any) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= 255:
        raise FieldsError({"site_id": "must be the key or a host name of a site, such as kent"})
    return value


def _names(field: str, known: Sequence[str], least: int, most: int) -> Callable[[Any], tuple[str, ...]]:
    def names(value: Any) -> tuple[str, ...]:
        fits = isinstance(value, list) and least <= len(value) <= most and all(isinstance(each, str) for each in value)
        if not fits or len({*value}) != len(value):
            raise FieldsError({field: f"must be a list of {least} to {most} different names"})
        for place, each in enumerate(value):
            if each not in known:
                raise FieldsError({f"{field}[{place}]": f"must be one of {', '.join(known)}"})
        return tuple(value)

    return names


def _dates(value: Any) -> str | tuple[str, str]:
    if isinstance(value, str) and value in RANGES:
        return value
    if isinstance(value, list) and len(value) == 2 and all(isinstance(each, str) and _is_date(each) for each in value):
        return value[0], value[1]
    raise FieldsError({"date_range": f'must be one of {", ".join(RANGES)}, or two days ["2026-11-01", "2026-11-30"]'})


def _is_date(text: str) -> bool:
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return bool(_DAY.match(text))


def _order(value: Any) -> tuple[tuple[str, bool], ...]:
    if not isinstance(value, list) or len(value) > MOST_DIMENSIONS + len(METRICS):
        raise FieldsError({"order_by": 'must be a list such as [["pageviews", "desc"]]'})
    for place, each in enumerate(value):
        if not (isinstance(each, list) and len(each) == 2 and isinstance(each[0], str) and each[1] in ("asc", "desc")):
            raise FieldsError({f"order_by[{place}]": 'must be a name and a direction, such as ["pageviews", "desc"]'})
    return tuple((name, direction == "desc") for name, direction in value)


def _include(value: Any) -> frozenset[str]:
    if not isinstance(value, dict) or not all(isinstance(each, bool) for each in value.values()):
        raise FieldsError({"include": f"must be an object of true or false for {', '.join(FLAGS)}"})
    unknown = {f"include.{name[:64]}": "is not known here" for name in value if name not in FLAGS}
    if unknown:
        raise FieldsError(unknown)
    return frozenset(name for name, wanted in value.items() if wanted)


def _number(field: str, low: int, high: int) -> Callable[[Any], int]:
    def number(value: Any) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise FieldsError({f"pagination.{field}": f"must be a whole number from {low} to {high}"})
        return value

    return number


_READERS: Final[dict[str, Callable[[Any], Any]]] = {
    "site_id": _site,
    "metrics": _names("metrics", (*METRICS, *NEVER), 1, 10),
    "date_range": _dates,
    "dimensions": _names("dimensions", (*DIMENSIONS, *TIMES, HOUR), 0, MOST_DIMENSIONS),
    "filters": read_filters,
    "order_by": _order,
    "include": _include,
    "limit": _number("limit", 1, MOST_ROWS),
    "offset": _number("offset", 0, 1_000_000),
}
_FIELDS: Final = {"site_id": "site", "date_range": "dates", "order_by": "order"}


def named_range(name: str, today: date, first: date) -> tuple[date, date]:
    """The first and last day of one of RANGES but `day`, seen on the local day `today`; today itself is never in it."""
    yesterday, month = today - DAY, today.replace(day=1)
    if name.endswith("mo"):
        return _months_before(month, int(name.removesuffix("mo"))), month - DAY
    if name.endswith("d"):
        return today - timedelta(days=int(name.removesuffix("d"))), yesterday
    starts = {"month": month, "year": today.replace(month=1, day=1), "all": first}
    return min(starts[name], yesterday), yesterday


def two_days(dates: tuple[str, str], today: date) -> tuple[date, date]:
    """The days of two ISO dates. Raises FieldsError for days nobody can have figures of, or in the wrong order."""
    start, end = (date.fromisoformat(text[:10]) for text in dates)
    if not EARLIEST <= start <= end <= today:
        raise FieldsError({"date_range": f"must run from a day to a later one, from {EARLIEST} to today, {today}"})
    return start, end


def _months_before(month: date, count: int) -> date:
    months = month.year * 12 + month.month - 1 - count
    return date(months // 12, months % 12 + 1, 1)
