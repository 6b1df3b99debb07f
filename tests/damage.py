"""What a fuzzer feeds to a parser: real examples, damaged as disks, cables and people damage things."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from hypothesis import example, given, settings
from hypothesis import strategies as st

# Pieces that parsers stumble over, whatever they read.
PIECES = (
    b"", b"\x00", b"\n", b"\r\n", b'"', b"'", b"\\", b"{", b"[" * 600, b'{"a":' * 300, b"}", b"null", b"-1", b"1e999",
    b"9" * 400, b"NaN", b"\xff\xfe", b"\xc3\x28", "\u2028\u202e\u0660\U0001f40e".encode(), b"\xed\xa0\x80", b"%00",
    b"..", b"=", b".", b",", b"+", b" " * 50, b"true", b"\\ud800",
)  # fmt: skip
Damage = Callable[[bytes], bytes]


def damaged(examples: Sequence[bytes]) -> st.SearchStrategy[bytes]:
    """One of the examples with up to four places damaged, or bytes that never were one."""
    places = st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 40), PIECE), min_size=1, max_size=4)
    cut = st.tuples(st.sampled_from(examples), places).map(lambda made: _applied(*made))
    spliced = st.tuples(st.sampled_from(examples), st.sampled_from(examples), st.integers(0, 10**6)).map(_spliced)
    return cut | cut | spliced | st.binary(max_size=300)


def check(examples: Sequence[bytes], verdict: Callable[[bytes], None], number: int) -> None:
    """Ask for a verdict on each example and on `number` damaged ones. Raises what the verdict raises."""

    @settings(max_examples=number)
    @given(content=damaged(examples))
    def judged(content: bytes) -> None:
        verdict(content)

    for whole in examples:
        judged = example(content=whole)(judged)
    judged()


def _applied(content: bytes, places: Sequence[tuple[int, int, bytes]]) -> bytes:
    for at, removed, put in places:
        at %= len(content) + 1
        content = content[:at] + put + content[at + removed :]
    return content


def _spliced(parts: tuple[bytes, bytes, int]) -> bytes:
    first, second, at = parts
    return first[: at % (len(first) + 1)] + second[at % (len(second) + 1) :]


PIECE = st.sampled_from(PIECES) | st.binary(max_size=8)
