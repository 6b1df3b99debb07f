"""The other formats, packed files and standard input: the same views in any clothes give the same counts."""

from __future__ import annotations

import bz2
import gzip
import json
import os
import random
import subprocess
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anonymiser import weblogs
from anonymiser.engines import LogCounts
from anonymiser.engines.duckdb import DuckDBEngine
from anonymiser.errors import InputError
from anonymiser.settings import SiteRules
from tests.batch import oracle
from tests.batch.clothes import CASES, FIREFOX, IIS, QUICK, Case, View, application_balancer, combined, iis, views

RULES = SiteRules("demo", own_hosts=frozenset({"kent.example"}))


def count(path: Path, format_name: str = "auto") -> LogCounts:
    return DuckDBEngine().count_logs([path], RULES, format=format_name)


def seen(case: Case) -> list[View]:
    """The views as this format can tell them."""
    found = [view for view in views(case.referrers) if case.days == 2 or view.at.day == 17]
    return found if case.agents else [view for view in found if view.agent == FIREFOX]


def reference(folder: Path, found: Sequence[View]) -> LogCounts:
    path = folder / "reference.log"
    path.write_text("".join(combined(view) + "\n" for view in found))
    return count(path)


@pytest.mark.parametrize("name", CASES)
def test_a_format_counts_what_the_combined_format_counts(tmp_path: Path, name: str) -> None:
    case = CASES[name]
    path = tmp_path / "a.log"
    path.write_text(case.header + "".join(case.line(view) + "\n" for view in seen(case)))
    assert weblogs.detect(path) == case.format
    found, expected = count(path), reference(tmp_path, seen(case))
    assert expected.counted > 40
    browsers = set() if case.agents else {"devices", "browsers"}
    assert {cell: n for cell, n in found.counts.items() if cell[1] not in browsers} == {
        cell: n for cell, n in expected.counts.items() if cell[1] not in browsers
    }
    assert found.counted == expected.counted
    directives = case.header.count("\n")
    assert found.read == expected.read + directives
    assert {name: n for name, n in found.dropped.items() if name != "directive"} == expected.dropped
    assert sum(found.views.values()) == found.counted


def agree(path: Path, case: Case) -> LogCounts:
    """Every figure of the engine equals the plain reading's, cell by cell."""
    found, expected = count(path, case.format), oracle.read(path, RULES, case.oracle)
    assert found.read == found.counted + sum(found.dropped.values()) + found.rejected_total
    assert (found.read, found.counted, found.dropped) == (expected.read, expected.counted, dict(expected.dropped))
    assert [bad.line for bad in found.rejected] == expected.rejected[:20]
    assert found.rejected_total == len(expected.rejected)
    assert found.counts == {key: n for key, n in expected.counts.items() if n}
    return found


DAMAGE: tuple[bytes, ...] = (
    b"\r", b"\x00", b"\x01\x02", b"\xff\xfe", b"\xe2\x82", b'"', b'\\"', b"\\", b"\\x22", b"\t", b" ", b"  ", b"#",
    b"-", b",", b"{", b"}", b"[", b"]", b"?", b"%", b"+", "\u2028\u00a0".encode(), b"9", b":", b"0", b"/",
)  # fmt: skip


def damaged(line: bytes, chance: random.Random) -> bytes:
    """One line with something wrong in it: inserted, taken out, cut off, doubled, or all right."""
    at = chance.randrange(len(line) + 1)
    way = chance.randrange(8)
    if way < 4:
        return line[:at] + chance.choice(DAMAGE) + line[at:]
    if way == 4:
        return line[:at] + line[at + chance.randrange(1, 6) :]
    if way == 5:
        return line[:at]
    return line + line[at:] if way == 6 else line


def damaged_file(case: Case, seed: int, lines: int = 300) -> bytes:
    """Damaged lines, ends of lines of either kind, junk of many kinds among them, and no last newline."""
    chance = random.Random(seed)
    good = [case.line(view).encode() for view in seen(case)]
    found = [case.header.encode().rstrip(b"\n")] if case.header else []
    for number in range(lines):
        found.append(damaged(good[number % len(good)], chance))
        if chance.random() < 0.1:
            found.append(chance.choice(JUNK).encode("utf-8", "surrogatepass"))
        if case.header and chance.random() < 0.02:
            found.append(chance.choice(case.header.splitlines()).encode())
    ends = [chance.choice((b"\n", b"\n", b"\r\n")) for _ in found]
    return b"".join(line + end for line, end in zip(found, [*ends[:-1], b""], strict=True))


@pytest.mark.parametrize("name", CASES)
def test_a_damaged_file_is_read_as_the_oracle_reads_it(tmp_path: Path, name: str) -> None:
    path = tmp_path / "a.log"
    path.write_bytes(damaged_file(CASES[name], seed=1))
    found = agree(path, CASES[name])
    assert found.rejected_total > 20
    assert found.counted > 20


EDITS = st.lists(
    st.tuples(st.integers(0, 60), st.integers(0, 400), st.integers(0, 20), st.binary(max_size=6)), max_size=40
)


@pytest.mark.slow
@pytest.mark.parametrize("name", QUICK)
@settings(max_examples=10, deadline=None)
@given(edits=EDITS, end=st.sampled_from([b"\n", b"\r\n"]), last=st.booleans())
def test_any_edit_of_any_line(name: str, edits: list[tuple[int, int, int, bytes]], end: bytes, last: bool) -> None:
    """Bytes put in anywhere, others taken out: newlines and directives, too, may come and go."""
    case = CASES[name]
    lines = [*case.header.encode().splitlines(), *(case.line(view).encode() for view in seen(case)[:60])]
    for number, at, length, new in edits:
        number %= len(lines)
        line = lines[number]
        lines[number] = line[:at] + new + line[at + length :]
    with TemporaryDirectory() as folder:
        path = Path(folder) / "a.log"
        path.write_bytes(end.join(lines) + (end if last else b""))
        agree(path, case)


WHOLE_FILES: dict[str, Callable[[list[bytes]], bytes]] = {
    "a bare carriage return": lambda lines: lines[0] + b"\r" + lines[1] + b"\n" + lines[2] + b"\n",
    "one CRLF among LF": lambda lines: lines[0] + b"\n" + lines[1] + b"\r\n" + lines[2] + b"\n",
    "a line of 3 MB": lambda lines: lines[0] + b"\n" + lines[1] + b"x" * 3_000_000 + b"\n" + lines[2] + b"\n",
    "NUL bytes": lambda lines: b"\x00\x00\n" + lines[0] + b"\x00\n" + lines[1],
    "unterminated quote": lambda lines: lines[0] + b'"\n' + lines[1][:60] + b"\n" + lines[2] + b"\n",
    "no last newline": lambda lines: b"\n".join(lines[:3]),
    "empty": lambda lines: b"",
    "blank lines only": lambda lines: b"\n\r\n\n",
    "a byte order mark": lambda lines: b"\xef\xbb\xbf" + b"\n".join(lines[:3]),
}


@pytest.mark.parametrize("name", ["iis", "iis native", "w3c with tabs", "nginx", "application balancer"])
def test_strange_files_of_each_format(tmp_path: Path, name: str) -> None:
    case = CASES[name]
    lines = [case.line(view).encode() for view in seen(case)]
    for kind, make in WHOLE_FILES.items():
        for header in {"", case.header}:
            path = tmp_path / "a.log"
            path.write_bytes(header.encode() + make(lines))
            found = agree(path, case)
            content = path.read_bytes()
            assert found.read == content.count(b"\n") + (content != b"" and not content.endswith(b"\n")), kind


def test_only_a_header(tmp_path: Path) -> None:
    path = tmp_path / "u_ex.log"
    path.write_text(CASES["iis"].header)
    assert agree(path, CASES["iis"]).dropped == {"directive": 2}
    assert count(path).counts == {}


def test_several_formats_in_one_run(tmp_path: Path) -> None:
    """Each file in its own; a browser of two files is one."""
    found = views()
    files = []
    for number, name in enumerate(("iis", "virtual host and port", "nginx", "cloudfront")):
        files.append(tmp_path / f"{number}.log")
        lines = "".join(CASES[name].line(view) + "\n" for view in found[number::4])
        files[-1].write_text(CASES[name].header + lines)
    together, expected = DuckDBEngine().count_logs(files, RULES), reference(tmp_path, found)
    assert together.counted == expected.counted
    for statistic in ("views", "visitors", "pages"):
        assert {c: n for c, n in together.counts.items() if c[1] == statistic}.keys() >= {
            c for c in expected.counts if c[1] == statistic
        }


def test_a_file_without_its_header_is_read_by_the_columns_that_are_named(tmp_path: Path) -> None:
    path = tmp_path / "u_ex.log"
    lines = "".join(iis(view) + "\n" for view in views())
    path.write_text(lines)
    with pytest.raises(InputError, match=r"u_ex\.log: looks like a W3C log without its #Fields line.*--fields"):
        count(path)
    found = count(path, f"w3c:{IIS}")
    assert (found.counts, found.counted) == (reference(tmp_path, views()).counts, reference(tmp_path, views()).counted)
    assert found.counts == {
        key: n for key, n in oracle.read(path, RULES, lambda p: oracle.w3c(p, IIS)).counts.items() if n
    }
    path.write_text(lines + "#Fields: date time cs-uri-stem\n2026-05-19 10:00:00 /later\n")
    assert count(path, f"w3c:#Fields: {IIS}").counts["2026-05-19", "pages", "/later", ""] == 1


@pytest.mark.parametrize("fields", ["", "date time", "cs-uri-stem", "one two three"])
def test_columns_that_cannot_be_are_refused(tmp_path: Path, fields: str) -> None:
    path = tmp_path / "u_ex.log"
    path.write_text("2026-05-19 10:00:00 /\n")
    with pytest.raises(InputError, match="as a #Fields line would"):
        count(path, f"w3c:{fields}")


STRANGERS = {
    "zip": (b"PK\x03\x04" + b"x" * 50, "zip archive"),
    "xz": (b"\xfd7zXZ\x00" + b"x" * 50, "packed with xz"),
    "PowerShell's text": (combined(views()[0]).encode("utf-16"), "UTF-16"),
    "a letter": (b"Dear all,\nthis is no log.\n", "name it with --format"),
}


@pytest.mark.parametrize("name", STRANGERS)
def test_what_is_no_log_is_refused_with_a_remedy(tmp_path: Path, name: str) -> None:
    content, message = STRANGERS[name]
    path = tmp_path / "strange"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message) as refused:
        count(path)
    assert "Dear" not in str(refused.value)


@pytest.mark.parametrize("name", CASES)
def test_a_format_asked_for_by_name_is_not_read_as_another(tmp_path: Path, name: str) -> None:
    case = CASES[name]
    path = tmp_path / "a.log"
    path.write_text(case.header + "".join(case.line(view) + "\n" for view in seen(case)))
    weblogs.check_format(path, case.format)
    weblogs.check_format(path, "auto")
    other = "combined" if case.format != "combined" else "json"
    with pytest.raises(InputError, match=rf"a\.log: looks like {case.format}, not like {other}"):
        weblogs.check_format(path, other)


def test_the_same_log_packed_and_not_is_not_counted_twice(tmp_path: Path) -> None:
    files = [tmp_path / "access.log.1", tmp_path / "access.log.1.gz"]
    for path in files:
        path.write_bytes(text())
    with pytest.raises(InputError, match="look like one log, packed and not"):
        DuckDBEngine().count_logs(files, RULES)
    with pytest.raises(InputError, match="named twice"):
        DuckDBEngine().count_logs([files[0], tmp_path / "." / "access.log.1"], RULES)


def test_a_health_check_of_a_balancer_is_one(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    view = View(datetime(2026, 5, 17, 8, tzinfo=UTC), "192.0.2.1", "GET", "/healthz", 200, "-", FIREFOX)
    path.write_text(application_balancer(view))
    assert count(path).dropped == {"health": 1}


JUNK = [
    "",
    "{",
    '{"status": 200}',
    "null",
    "[1]",
    "\x01\x02",
    '{"a": "\\ud800"}',
    "x" * 70_000,
    '"quoted',
    "#Date: never",
]


@pytest.mark.parametrize("name", QUICK)
def test_junk_among_the_lines_is_counted_and_stops_nothing(tmp_path: Path, name: str) -> None:
    case = CASES[name]
    path = tmp_path / "a.log"
    good = seen(case)[:50]
    lines = [text for view, junk in zip(good, JUNK * 5, strict=True) for text in (case.line(view), junk)]
    path.write_text(case.header + "\n".join(lines) + "\n")
    found = agree(path, case)
    assert found.read == case.header.count("\n") + len(lines)
    assert found.rejected_total >= 5 * 6
    assert found.counted > 10


def packed_zstd(data: bytes) -> bytes:
    return bytes(pa.compress(data, codec="zstd", asbytes=True))


PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "log": bytes,
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "zst": packed_zstd,
    "two gz in one": lambda data: gzip.compress(data[:5000]) + gzip.compress(data[5000:]),
}


def text() -> bytes:
    return "".join(combined(view) + "\n" for view in views()).encode()


@pytest.mark.parametrize("name", PACKERS)
def test_packed_files_are_read_by_their_content(tmp_path: Path, name: str) -> None:
    path = tmp_path / "access"
    path.write_bytes(PACKERS[name](text()))
    assert count(path) == reference(tmp_path, views())


@pytest.mark.parametrize("name", ["gz", "bz2", "zst"])
def test_a_cut_archive_is_refused_by_name(tmp_path: Path, name: str) -> None:
    path = tmp_path / f"access.{name}"
    path.write_bytes(PACKERS[name](text() * 20)[:-30])
    with pytest.raises(InputError, match=rf"access\.{name}: cannot be unpacked"):
        count(path)


@pytest.mark.parametrize("name", ["log", "gz", "bz2", "zst"])
def test_standard_input(tmp_path: Path, name: str) -> None:
    command = [
        sys.executable,
        "-m",
        "anonymiser",
        "logs",
        "-",
        "--site",
        "demo",
        "--out",
        str(tmp_path / "s"),
        "--json",
    ]
    environment = os.environ | {"PYTHONPATH": str(Path.cwd())}
    result = subprocess.run(
        command, input=PACKERS[name](text() * 30), capture_output=True, check=False, cwd=tmp_path, env=environment
    )
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["read"] == 400 * 30
