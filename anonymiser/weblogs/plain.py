"""Lines of the common and combined formats that are just as they should be, cut into columns by Arrow, in C++.

What a line means is said in `sql/read_combined.sql` and `sql/keep.sql`. Here the same is found faster for lines of the
one usual shape; a line that differs in anything is handed over to SQL as it stands. `tests/batch/test_plain.py` holds
both readings equal on damaged files.

A block is cut at quotation marks, which never hide a newline here, so a line stays a line whatever stands in it. Then
each distinct text is looked at once: a request, a minute, a second with its zone.
"""

from __future__ import annotations

import codecs
import re
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import date, datetime
from functools import lru_cache, reduce
from itertools import pairwise
from statistics import mode
from typing import Any, Final, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from anonymiser.weblogs.lines import MAX_LINE, decoded
from anonymiser.weblogs.targets import ASSET_TARGET

THREADS: Final = 2
AHEAD: Final = 3
LOOKED_AT: Final = 50
# Where things stand among a line's parts between quotation marks, and how many of these a format has at least.
HEAD, REQUEST, ANSWER, REFERRER, AGENT = 0, 1, 2, 3, 5
ENCODED: Final = (REQUEST, REFERRER, AGENT)  # the same texts again and again: each is kept once
COMMON: Final = 3
COMBINED: Final = 7
# `192.0.2.7 - - [17/May/2026:10:05:03 +0000] ` ends with a second and a zone, before them a minute; the rest is who.
SECOND: Final = -11
MINUTE: Final = -34
METHOD, ASSET, FUTURE, ODD = range(4)
VERDICTS: Final = {METHOD: "method", ASSET: "asset", FUTURE: "future"}
EPOCH: Final = date(1970, 1, 1).toordinal()
MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

TEXT: Final = pa.dictionary(pa.int32(), pa.string())
KEPT: Final = pa.schema(
    [
        ("line", pa.int64()),
        ("ts", pa.timestamp("us")),
        ("ip", TEXT),
        ("agent", TEXT),
        ("target", TEXT),
        ("referrer", TEXT),
        ("status", pa.int16()),
        ("has_agent", pa.bool_()),
    ]
)
ODD_LINES: Final = pa.schema([("first", pa.int64()), ("block", pa.string())])

_ASSET: Final = re.compile(ASSET_TARGET)
_MINUTE: Final = re.compile(rb" - - \[(\d\d/[A-Z][a-z]{2}/\d{4}):([01]\d|2[0-3]):([0-5]\d)")
_SECOND: Final = re.compile(rb":([0-5]\d) ([+-])(0\d|1[0-4])([0-5]\d)\] ")
_STATUS: Final = re.compile(rb" [1-5]\d\d ")

Line = tuple[int, str]
"""A line's number and its text."""


class Cut(NamedTuple):
    """A block's lines, numbered from 0: how many; those that may be page views (`KEPT`); how many certainly are none,
    by reason; and those left to SQL (`first`, `block`)."""

    lines: int
    kept: pa.RecordBatch
    left_out: Counter[str]
    odd: pa.RecordBatch

    def left_to_sql(self, first: int) -> pa.RecordBatch:
        """The odd lines, where the block's first line has this number."""
        numbers = pc.add(self.odd.column("first"), first)
        return pa.RecordBatch.from_arrays([numbers, self.odd.column("block")], schema=ODD_LINES)


def cuts(blocks: Iterable[bytes], latest: datetime) -> Iterator[Cut]:
    """Cut blocks on other threads, a few of them ahead, and hand them on in order: Arrow needs no lock of Python's."""
    waiting: deque[Future[Cut]] = deque()
    with ThreadPoolExecutor(THREADS) as pool:
        for block in blocks:
            waiting.append(pool.submit(cut, block, latest))
            if len(waiting) > AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def cut(block: bytes, latest: datetime) -> Cut:
    """The lines of one block (without its last newline); those of after `latest` are from the future."""
    text = decoded(block)
    width = mode(line.count(b'"') for line in text.split(b"\n", LOOKED_AT)[:LOOKED_AT]) + 1
    if _needs_care(text) or (width != COMMON and width < COMBINED):
        return _all_odd(text)
    parts, skipped = _parts(text, width)
    if len(parts) <= len(skipped):
        return _all_odd(text)
    return _sorted_out(text, parts.combine_chunks().to_batches()[0], skipped, latest)


def _needs_care(text: bytes) -> bool:
    """Whether Arrow might count other lines than we do, or not see that one is too long."""
    bare_returns = b"\r" in text and text.count(b"\r") != text.count(b"\r\n") + text.endswith(b"\r")
    blank_end = not text or text.endswith((b"\n", b"\n\r"))
    return bare_returns or blank_end or text.startswith(codecs.BOM_UTF8) or _has_long_line(text)


def _has_long_line(text: bytes) -> bool:
    at = 0
    while len(text) - at > MAX_LINE:
        at = text.rfind(b"\n", at, at + MAX_LINE + 1) + 1
        if at == 0:
            return True
    return False


def _all_odd(text: bytes) -> Cut:
    odd = [pa.array([0], pa.int64()), pa.array([text], pa.string())]
    kept = pa.RecordBatch.from_pylist([], KEPT)
    return Cut(text.count(b"\n") + 1, kept, Counter(), pa.RecordBatch.from_arrays(odd, schema=ODD_LINES))


def _parts(text: bytes, width: int) -> tuple[pa.Table, list[Line]]:
    """What stands between the quotation marks of each line of `width` parts, and the other lines."""
    skipped: list[Line] = []

    def skip(row: Any) -> str:
        skipped.append((row.number - 1, row.text))
        return "skip"

    names = [str(number) for number in range(width)]
    types = dict.fromkeys(names, pa.binary()) | dict.fromkeys(map(str, ENCODED), TEXT)
    table = csv.read_csv(
        pa.py_buffer(text),
        csv.ReadOptions(use_threads=False, block_size=len(text) + 1, column_names=names),
        csv.ParseOptions(delimiter='"', quote_char=False, ignore_empty_lines=False, invalid_row_handler=skip),
        csv.ConvertOptions(check_utf8=False, column_types=types),
    )
    return table, skipped


def _sorted_out(text: bytes, parts: pa.RecordBatch, skipped: Sequence[Line], latest: datetime) -> Cut:
    """What becomes of each line, from its parts between quotation marks."""
    request = parts.column(REQUEST)
    asked = [_request(words) for words in request.dictionary.to_pylist()]
    ts, status = _times(parts.column(HEAD)), _each(pc.binary_slice(parts.column(ANSWER), 0, 5), _status, pa.int16())
    verdicts = pa.array([verdict for verdict, _ in asked], pa.int8()).take(request.indices)
    verdicts = pc.if_else(pc.greater(ts, pa.scalar(latest, ts.type)), _code(FUTURE), verdicts)
    verdicts = pc.if_else(_plain(text, parts, ts, status), verdicts, _code(ODD))
    verdicts, who = _addresses(parts.column(HEAD), verdicts)
    numbers = _numbers(parts.num_rows, skipped)
    odd = _odd(parts, numbers, pc.equal(verdicts, ODD).fill_null(False), skipped)
    if 2 * len(odd) > parts.num_rows:
        return _all_odd(text)
    targets = pa.DictionaryArray.from_arrays(request.indices, pa.array([target for _, target in asked]))
    agents, referrers = _sender(parts)
    left = verdicts.is_null()
    line, ts, agents, targets, referrers, status = (
        column.filter(left) for column in (numbers, ts, agents, targets, referrers, status)
    )
    has_agent = pa.repeat(parts.num_columns >= COMBINED, len(who))
    kept = pa.RecordBatch.from_arrays([line, ts, who, agents, targets, referrers, status, has_agent], schema=KEPT)
    return Cut(parts.num_rows + len(skipped), kept, _left_out(verdicts), _as_blocks(odd))


def _times(head: pa.Array) -> pa.Array:
    """When each line was written, in UTC; null where the line does not end its head as it should."""
    minutes = _each(pc.binary_slice(head, MINUTE, SECOND), _minute, pa.int64())
    return pc.add(minutes, _each(pc.binary_slice(head, SECOND), _second, pa.int64())).cast(pa.timestamp("us"))


def _code(verdict: int) -> pa.Scalar:
    return pa.scalar(verdict, pa.int8())


def _each(column: pa.Array, read: Callable[[bytes], int | None], kind: pa.DataType) -> pa.Array:
    """What `read` says of each text; it sees each distinct one once."""
    texts = column.dictionary_encode()
    return pa.array(map(read, texts.dictionary.to_pylist()), kind).take(texts.indices)


def _minute(text: bytes) -> int | None:
    found = _MINUTE.fullmatch(text)
    day = _day(found[1]) if found else None
    return None if found is None or day is None else (day * 1440 + int(found[2]) * 60 + int(found[3])) * 60 * 10**6


@lru_cache(maxsize=1024)
def _day(text: bytes) -> int | None:
    day, month, year = text.decode().split("/")
    try:
        return date(int(year), MONTHS.index(month) + 1, int(day)).toordinal() - EPOCH
    except ValueError:
        return None


def _second(text: bytes) -> int | None:
    found = _SECOND.fullmatch(text)
    if found is None:
        return None
    ahead = (int(found[3]) * 60 + int(found[4])) * 60
    return (int(found[1]) + (ahead if found[2] == b"-" else -ahead)) * 10**6


def _status(text: bytes) -> int | None:
    return int(text) if _STATUS.fullmatch(text) else None


@lru_cache(maxsize=65_536)
def _request(text: str) -> tuple[int | None, str]:
    """The verdict on a request, if there is one, and its target."""
    method, _, rest = text.partition(" ")
    target = rest.partition(" ")[0]
    verdict = METHOD if method != "GET" else ASSET if _ASSET.search(target) else None
    return verdict, target if verdict is None else ""


def _plain(text: bytes, parts: pa.RecordBatch, *needed: pa.Array) -> pa.Array:
    """Which lines could be read whole: what is needed was found, and no mark is escaped."""
    plain = reduce(pc.and_, map(pc.is_valid, needed))
    return pc.and_(plain, pc.invert(_escaped(parts))) if b"\\" in text else plain


def _escaped(parts: pa.RecordBatch) -> pa.Array:
    return reduce(pc.or_, (pc.match_substring(_spelt_out(column), "\\") for column in parts.columns))


def _spelt_out(column: pa.Array) -> pa.Array:
    return column.cast(pa.string()) if pa.types.is_dictionary(column.type) else column.view(pa.string())


def _addresses(head: pa.Array, verdicts: pa.Array) -> tuple[pa.Array, pa.Array]:
    """The address of each line that is kept; where more than one word stands there, the line is odd after all."""
    left = verdicts.is_null()
    who = pc.binary_slice(head.filter(left), 0, MINUTE).view(pa.string()).dictionary_encode()
    words = pc.or_(pc.match_substring(who.dictionary, " "), pc.equal(who.dictionary, "")).take(who.indices)
    if not words.true_count:
        return verdicts, who
    strange = pc.if_else(words, _code(ODD), None)
    return pc.replace_with_mask(verdicts, left, strange), who.filter(pc.invert(words))


def _sender(parts: pa.RecordBatch) -> tuple[pa.Array, pa.Array]:
    """User agents and referrers; the common format has none."""
    if parts.num_columns < COMBINED:
        nothing = pa.repeat("", parts.num_rows).dictionary_encode()
        return nothing, nothing
    return parts.column(AGENT), parts.column(REFERRER)


def _numbers(rows: int, skipped: Sequence[Line]) -> pa.Array:
    """The numbers of the lines that were not skipped."""
    edges = [-1, *(number for number, _ in skipped), rows + len(skipped)]
    return pa.concat_arrays([pa.arange(start + 1, end) for start, end in pairwise(edges)])


def _odd(parts: pa.RecordBatch, numbers: pa.Array, mask: pa.Array, skipped: Sequence[Line]) -> list[Line]:
    """The odd lines as they were, in order."""
    if not mask.true_count:
        return list(skipped)
    columns = [_spelt_out(column.filter(mask)) for column in parts.columns]
    texts = pc.binary_join_element_wise(*columns, '"').to_pylist()
    return sorted([*skipped, *zip(numbers.filter(mask).to_pylist(), texts, strict=True)])


def _left_out(verdicts: pa.Array) -> Counter[str]:
    counts = {found["values"]: found["counts"] for found in verdicts.value_counts().to_pylist()}
    return Counter({name: counts[code] for code, name in VERDICTS.items() if code in counts})


def _as_blocks(odd: Sequence[Line]) -> pa.RecordBatch:
    numbers, texts = zip(*odd, strict=True) if odd else ((), ())
    return pa.RecordBatch.from_arrays([pa.array(numbers, pa.int64()), pa.array(texts, pa.string())], schema=ODD_LINES)
