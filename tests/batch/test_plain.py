"""Lines cut by Arrow against the same lines read by SQL, which is the definition: not one may differ."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from typing import Any

import duckdb
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from anonymiser.engines.duckdb import _through_sql
from anonymiser.weblogs import plain
from anonymiser.weblogs.lines import MAX_LINE, Block, row
from tests.batch.clothes import View, combined, common, views
from tests.batch.test_formats import damaged

LATEST = datetime(2026, 5, 18, 6)  # noqa: DTZ001 - in UTC; the last views are of after it
CONNECTION = duckdb.connect(":memory:", config={"threads": 1})


def forwarded(view: View) -> str:
    return f'{combined(view)} "-"'


CLOTHES: dict[str, Callable[[View], str]] = {"combined": combined, "common": common, "forwarded": forwarded}
GOOD = {name: [line(view).encode() for view in views()] for name, line in CLOTHES.items()}


def through_sql(batch: Any) -> tuple[dict[int, tuple[Any, ...]], Counter[str]]:
    """What SQL keeps of each line, by number, and how many it left out, by reason."""
    parts = _through_sql(CONNECTION, "combined", iter([batch]), LATEST)
    rows = [found for part in parts for found in part.to_pylist()]
    kept = {
        found["line"]: tuple(found[name] for name in plain.KEPT.names[1:]) for found in rows if not found["verdict"]
    }
    return kept, Counter(found["verdict"] for found in rows if found["verdict"])


def both_agree(text: bytes) -> plain.Cut:
    """Cut and, for what is odd, read by SQL: the same as all of it read by SQL. Returns what was cut."""
    cut = plain.cut(text, LATEST)
    kept, left_out = through_sql(cut.left_to_sql(1))
    for found in cut.kept.to_pylist():
        assert found["line"] + 1 not in kept
        kept[found["line"] + 1] = tuple(found[name] for name in plain.KEPT.names[1:])
    assert (kept, left_out + cut.left_out) == through_sql(row(Block(1, text)))
    assert cut.lines == text.count(b"\n") + 1
    return cut


@pytest.mark.parametrize("ending", [b"\n", b"\r\n"])
@pytest.mark.parametrize("name", CLOTHES)
def test_good_lines_need_no_sql(name: str, ending: bytes) -> None:
    cut = both_agree(ending.join(GOOD[name]))
    assert cut.odd.num_rows == 0
    assert len(cut.kept) > 200
    assert set(cut.left_out) == {"method", "asset", "future"}


ODD: dict[str, bytes] = {
    "an escaped quote": b'192.0.2.7 - - [17/May/2026:10:05:03 +0000] "GET /a HTTP/1.1" 200 5 "-" "a \\"b\\" c"',
    "two backslashes": b'192.0.2.7 - - [17/May/2026:10:05:03 +0000] "GET /a HTTP/1.1" 200 5 "-" "a \\\\ c"',
    "a backslash in an address": b'192.0\\.2.7 - - [17/May/2026:10:05:03 +0000] "GET /a HTTP/1.1" 200 5 "-" "b"',
    "a user": b'192.0.2.7 - ann [17/May/2026:10:05:03 +0000] "GET /a HTTP/1.1" 200 5 "-" "b"',
    "a virtual host": b'a.example 192.0.2.7 - - [17/May/2026:10:05:03 +0000] "GET /a HTTP/1.1" 200 5 "-" "b"',
    "a leap second": b'192.0.2.7 - - [30/Jun/2015:23:59:60 +0000] "GET /a HTTP/1.1" 200 5 "-" "b"',
    "no day": b'192.0.2.7 - - [31/Feb/2026:10:05:03 +0000] "GET /a HTTP/1.1" 200 5 "-" "b"',
    "a strange zone": b'192.0.2.7 - - [17/May/2026:10:05:03 +2359] "GET /a HTTP/1.1" 200 5 "-" "b"',
    "no address": b' - - [17/May/2026:10:05:03 +0000] "GET /a HTTP/1.1" 200 5 "-" "b"',
    "two times": b'192.0.2.7 - - [x - - [17/May/2026:10:05:03 +0000] "GET /a HTTP/1.1" 200 5 "-" "b"',
    "no status": b'192.0.2.7 - - [17/May/2026:10:05:03 +0000] "GET /a HTTP/1.1" 999 5 "-" "b"',
    "a status alone": b'192.0.2.7 - - [17/May/2026:10:05:03 +0000] "GET /a HTTP/1.1" 200',
    "cut off": b'192.0.2.7 - - [17/May/2026:10:05:03 +0000] "GET /a',
    "blank": b"",
    "quotes only": b'""""""',
    "a byte order mark": b'\xef\xbb\xbf192.0.2.7 - - [17/May/2026:10:05:03 +0000] "GET /a HTTP/1.1" 200 5 "-" "b"',
}
STRANGE: dict[str, bytes] = {
    "no size": b'192.0.2.7 - - [17/May/2026:10:05:03 +0000] "GET /a HTTP/1.1" 200 "-" "b"',
    "no request": b'192.0.2.7 - - [17/May/2026:10:05:03 +0000] "" 200 5 "-" "b"',
    "words of null": b'NULL - - [17/May/2026:10:05:03 +0000] "GET null" 200 5 "NA" "NaN"',
    "bad UTF-8": b'192.0.2.7 - - [17/May/2026:10:05:03 +0000] "GET /\xff HTTP/1.1" 200 5 "\xe2" "\xf0\x9f"',
    "control characters": b'192.0.2.7 - - [17/May/2026:10:05:03 +0000] "GET /\x00 HTTP/1.1" 200 5 "\x01" "\x1f"',
    "a long s": '192.0.2.7 - - [17/May/2026:10:05:03 +0000] "GET /a.cs\u017f HTTP/1.1" 200 5 "-" "b"'.encode(),
    "separators": '192.0.2.7 - - [17/May/2026:10:05:03 +0000] "GET /\u2028\x85 HTTP/1.1" 200 5 "\x0b" "\x0c"'.encode(),
    "another zone": b'192.0.2.7 - - [17/May/2026:10:05:03 -0330] "GET /a HTTP/1.1" 200 5 "-" "b"',
}


@pytest.mark.parametrize("place", [0, 5, 20])
@pytest.mark.parametrize("name", ODD)
def test_an_odd_line_alone_is_left_to_sql(name: str, place: int) -> None:
    lines = [*GOOD["combined"][:place], ODD[name], *GOOD["combined"][place:20]]
    cut = both_agree(b"\n".join(lines))
    if b"\n".join(lines).startswith(b"\xef\xbb\xbf") or lines[-1] == b"":
        assert cut.kept.num_rows == 0
    elif name != "a byte order mark":
        assert cut.odd.column("block").to_pylist() == [ODD[name].decode() or '""""""']
        assert cut.odd.column("first").to_pylist() == [place]


@pytest.mark.parametrize("name", STRANGE)
def test_a_strange_line_is_cut_as_sql_would(name: str) -> None:
    assert both_agree(b"\n".join([*GOOD["combined"][:9], STRANGE[name]])).odd.num_rows == 0


WHOLE: dict[str, Callable[[list[bytes]], bytes]] = {
    "nothing": lambda lines: b"",
    "a blank end": lambda lines: b"\n".join([*lines, b""]),
    "a blank end in CRLF": lambda lines: b"\r\n".join([*lines, b"\r"]),
    "a bare carriage return": lambda lines: b"\n".join([lines[0] + b"\r" + lines[1], *lines]),
    "two carriage returns": lambda lines: b"\n".join([lines[0] + b"\r\r", *lines]),
    "a line that is too long": lambda lines: b"\n".join([*lines, lines[0].replace(b"/1.1", b"x" * MAX_LINE)]),
    "only odd lines": lambda lines: b"\n".join([b"x"] * 9),
    "a user in each line": lambda lines: b"\n".join(line.replace(b" - - ", b" - ann ") for line in lines),
}


@pytest.mark.parametrize("name", WHOLE)
def test_a_block_that_needs_care_is_left_to_sql(name: str) -> None:
    assert both_agree(WHOLE[name](GOOD["combined"])).kept.num_rows == 0


def test_a_line_may_be_as_long_as_is_allowed() -> None:
    start, _, end = GOOD["combined"][0].partition(b"/1.1")
    longest = start + b"x" * (MAX_LINE - len(start) - len(end)) + end
    assert both_agree(b"\n".join([*GOOD["combined"][:3], longest, *GOOD["combined"][:3]])).odd.num_rows == 0


@pytest.mark.parametrize("name", CLOTHES)
def test_damage_here_and_there(name: str) -> None:
    chance = random.Random(7)
    cut_whole = 0
    for _ in range(12):
        lines = [damaged(line, chance) if chance.random() < 0.05 else line for line in GOOD[name]]
        cut_whole += both_agree(b"\n".join(lines)).kept.num_rows > 0
    assert cut_whole > 5


BYTES = st.one_of(
    st.binary(max_size=4), st.sampled_from([b'"', b"\\", b" ", b"\n", b"\r", b"[", b"]", b"\\\\", b'\\"'])
)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 39), st.integers(0, 200), st.integers(0, 4), BYTES), max_size=8))
@example([])
def test_any_few_edits(edits: list[tuple[int, int, int, bytes]]) -> None:
    lines = GOOD["combined"][:40]
    for number, at, length, new in edits:
        lines[number] = lines[number][:at] + new + lines[number][at + length :]
    both_agree(b"\n".join(lines))
