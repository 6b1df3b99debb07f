"""What a statistics file consists of: two tables, and a view for each statistic of the one table of bounds.

`publish` makes it and `check` compares with it; docs/schema.md says what each column means.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from string import Template
from typing import Final

from anonymiser.bounds import ENGAGED, PARTS_OF_VISITORS, SCROLLED, STATISTICS

Column = tuple[str, str]
"""An expression over `cell`, and the name it has in the view."""


def _label(names: tuple[str, ...]) -> str:
    """An expression that names the bucket in key1."""
    return f"list_extract({list(names)}, CAST(key1 AS INTEGER))"


# What the key of a view is called and made of, where it is not simply the statistic's own keys.
_VIEWS: Final[dict[str, tuple[str, tuple[Column, ...]]]] = {
    "returning": ("returning", (("key1", "gap_days"),)),
    "hours": ("hours", (("CAST(key1 AS INTEGER)", "hour"),)),
    "channels": ("sources", (("key2", "channel"),)),
    "browsers": ("browsers", (("key1", "browser"),)),
    "systems": ("browsers", (("key2", "system"),)),
    "engagement": ("engagement", (("CAST(key1 AS INTEGER)", "step"), (_label(ENGAGED), "engaged"))),
    "scroll": ("scroll", (("CAST(key1 AS INTEGER)", "step"), (_label(SCROLLED), "scrolled"))),
    "funnels": ("funnels", (("key1", "funnel"), ("TRY_CAST(key2 AS INTEGER)", "step"))),
}


@cache
def statements() -> tuple[str, ...]:
    """The statements that make an empty statistics file, in order."""
    plain, parts = Template(_text("publish_view")), Template(_text("publish_parts"))
    views = [
        (parts if statistic in PARTS_OF_VISITORS else plain).substitute(
            view=view,
            statistic=statistic,
            columns=", ".join(f"{expression} AS {name}" for expression, name in columns),
            keys=", ".join(expression for expression, _ in columns),
        )
        for view, (statistic, columns) in _views()
    ]
    return (*map(_text, ("publish_release", "publish_cell", "publish_totals")), *views)


def _views() -> Iterator[tuple[str, tuple[str, tuple[Column, ...]]]]:
    keyed = {s.table: s.keys for s in STATISTICS.values() if s.keys}
    plain = {table: (table, tuple(zip(("key1", "key2"), keys, strict=False))) for table, keys in keyed.items()}
    yield from (plain | _VIEWS).items()


def _text(name: str) -> str:
    return files("anonymiser").joinpath("sql", f"{name}.sql").read_text("utf-8")
