"""The engine against the plain reading of the same logs: every line accounted for, every cell equal."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from anonymiser.bounds import CROSSED
from anonymiser.engines import LogCounts
from anonymiser.engines.duckdb import DuckDBEngine
from anonymiser.errors import InputError
from anonymiser.facts import Fact
from anonymiser.settings import SiteRules
from consent_app.demo import logs as samples
from tests.batch import oracle

RULES = SiteRules("demo", own_hosts=frozenset({"semicomplete.com"}), crossed=True)
AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:143.0) Gecko/20100101 Firefox/143.0"
LINE = '192.0.2.7 - - [17/May/2026:10:05:03 +0000] "GET {page} HTTP/1.1" {status} 512 "{referrer}" "{agent}"'


def line(page: str = "/", status: int = 200, referrer: str = "-", agent: str = AGENT) -> str:
    return LINE.format(page=page, status=status, referrer=referrer, agent=agent)


def counted(path: Path, rules: SiteRules = RULES, format_name: str = "auto") -> LogCounts:
    return DuckDBEngine().count_logs([path], rules, format=format_name)


def agree(path: Path, rules: SiteRules, parse: object, format_name: str = "auto") -> LogCounts:
    """Every figure of the engine equals the oracle's; returns the engine's."""
    found, expected = counted(path, rules, format_name), oracle.read(path, rules, parse)
    assert found.read == found.counted + sum(found.dropped.values()) + found.rejected_total
    assert (found.read, found.counted, found.dropped) == (expected.read, expected.counted, dict(expected.dropped))
    assert found.rejected_total == len(expected.rejected)
    assert [bad.line for bad in found.rejected] == expected.rejected[:20]
    assert found.counts == {key: n for key, n in expected.counts.items() if n}
    return found


def test_real_apache_log(shared_data: Path) -> None:
    found = agree(shared_data / "weblogs" / "apache-10k" / "access.log", RULES, oracle.combined)
    assert found.read == 10_000
    assert [(bad.line, bad.reason) for bad in found.rejected] == [(8_899, "quotes do not match the format")]


def test_two_dimensions_are_counted_only_where_the_rules_say_so(shared_data: Path) -> None:
    log = shared_data / "weblogs" / "apache-10k" / "access.log"
    wide, plain = (counted(log, replace(RULES, crossed=crossed)).counts for crossed in (True, False))
    assert {cell[1] for cell in wide} - {cell[1] for cell in plain} == {"page_sources", "page_devices"}
    assert {cell: count for cell, count in wide.items() if cell[1] not in CROSSED} == plain
    for pairs in ("page_sources", "page_devices"):
        assert sum(n for cell, n in wide.items() if cell[1] == pairs) == sum(
            n for cell, n in wide.items() if cell[1] == "pages"
        )


@pytest.mark.parametrize("zone", ["Asia/Kolkata", "America/St_Johns", "Pacific/Auckland"])
def test_days_are_the_sites_own(shared_data: Path, zone: str) -> None:
    rules = replace(RULES, timezone=zone)
    agree(shared_data / "weblogs" / "apache-10k" / "access.log", rules, oracle.combined)


def test_excluded_networks_are_left_out(shared_data: Path) -> None:
    rules = replace(RULES, excluded_networks=("46.0.0.0/8", "2001:db8::/32"))
    found = agree(shared_data / "weblogs" / "apache-10k" / "access.log", rules, oracle.combined)
    assert found.dropped["network"] > 0


W3C_LOGS = [
    "iis-plaso/iis10.log",
    "iis-plaso/iis10_cookies.log",
    "iis-plaso/iis10_edge_cases.log",
    "iis-plaso/iis6.log",
    "iis-plaso/iis7_owa.log",
    "iis-plaso/iis7_sqli.log",
    "iis-plaso/iis_without_date.log",
    "iis-brianary/ex031118.log",
    "iis-brianary/ex960101.log",
    "iis-brianary/pf040903.log",
    "iis-brianary/u_ex100815.log",
    "iis-brianary/u_ex160110.log",
]


@pytest.mark.parametrize("name", W3C_LOGS)
def test_real_iis_log(shared_data: Path, name: str) -> None:
    found = agree(shared_data / "weblogs" / name, RULES, oracle.w3c)
    assert found.read == len((shared_data / "weblogs" / name).read_bytes().splitlines())


def test_real_iis_native_log(shared_data: Path) -> None:
    found = counted(shared_data / "weblogs" / "iis-brianary" / "ex010320.log")
    assert (found.read, found.dropped) == (2, {"asset": 2})


def test_sample_logs(tmp_path: Path) -> None:
    days = [date(2026, 3, 28), date(2026, 3, 29), date(2026, 3, 30)]  # the clocks change on the 29th
    access, iis = samples.write(tmp_path, days)
    assert agree(access, RULES, oracle.combined).counted > 500
    assert agree(iis, RULES, oracle.w3c).counted > 500


DAMAGE = {
    "bare carriage return": f"{line()}\r{line('/b')}\n{line('/c')}\n".encode(),
    "one CRLF among LF": f"{line()}\n{line('/b')}\r\n{line('/c')}\n".encode(),
    "bad UTF-8": line("/caf\udce9").encode("utf-8", "surrogateescape") + b"\n" + line().encode(),
    "raw control characters": f"{line('/a')}\n\x01\x02\n{line(chr(1))}\n".encode(),
    "NUL bytes": b"\0\0\0\n" + line("/\0").encode() + b"\n",
    "a line of 3 MB": line().encode() + b"\n" + b"x" * 3_000_000 + b"\n" + line("/b").encode() + b"\n",
    "a good line of 3 MB": line("/" + "x" * 3_000_000).encode() + b"\n" + line("/b").encode(),
    "a line of 20 MB": line().encode() + b"\n" + b"x" * 20_000_000 + b"\n" + line("/b").encode() + b"\n",
    "unterminated quote": f'{line()}\n192.0.2.7 - - [17/May/2026:10:05:03 +0000] "GET /cut\n{line("/b")}\n'.encode(),
    "escaped quotes": (line(agent='Mozilla/5.0 \\"odd\\" \\\\') + "\n" + line("/b")).encode(),
    "a backslash at the end": (line() + "\\\n" + line("/b") + "\n").encode(),
    "no newline at the end": line().encode(),
    "a byte order mark": b"\xef\xbb\xbf" + f"{line()}\n{line('/b')}\n".encode(),
    "blank lines": f"\n\n{line()}\n\r\n\n".encode(),
    "empty": b"",
    "impossible times": f"{line()}\n{line().replace('17/May', '32/Foo')}\n{line().replace(':10:', ':25:')}\n".encode(),
    "impossible status": f"{line(status=999)}\n{line(status=7)}\n{line()}\n".encode(),
    "binary junk": bytes(range(256)) * 40,
}


@pytest.mark.parametrize("name", DAMAGE)
def test_damaged_file_loses_no_line(tmp_path: Path, name: str) -> None:
    path = tmp_path / "access.log"
    path.write_bytes(DAMAGE[name])
    found = agree(path, RULES, oracle.combined, "combined")
    assert found.read == DAMAGE[name].count(b"\n") + (not DAMAGE[name].endswith(b"\n") and DAMAGE[name] != b"")


def test_a_file_cut_anywhere_keeps_its_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("anonymiser.weblogs.lines.BLOCK", 97)  # so that every line meets a block's edge
    path = tmp_path / "access.log"
    path.write_text("".join(line(f"/page-{n}") + "\n" for n in range(200)))
    assert agree(path, RULES, oracle.combined).counted == 200


def test_columns_that_change_inside_an_iis_file(tmp_path: Path) -> None:
    path = tmp_path / "u_ex.log"
    path.write_text(
        "#Software: Microsoft Internet Information Services 10.0\n#Fields: date time cs-uri-stem sc-status\n"
        "2026-05-17 10:00:00 /a 200\n#Date: 2026-05-18 00:00:00\n#Fields: time cs-method cs-uri-stem\n"
        "10:00:00 GET /b\n10:00:00 POST /b\n10:00:00 GET\n"
    )
    found = agree(path, RULES, oracle.w3c)
    assert found.counted == 2
    assert found.counts["2026-05-18", "pages", "/b", ""] == 1


@pytest.mark.parametrize(
    "host", ["www.kent.example:443", "cafe.de:80", "10.0.0.1", "10.0.0.1:8080", "[fe80::1]", "abc"]
)
def test_virtual_hosts_in_front(tmp_path: Path, host: str) -> None:
    """Whatever the host looks like, the browser is told by the address after it: two of them, not one."""
    path = tmp_path / "access.log"
    other = line("/b").replace("192.0.2.7", "2001:db8::7")
    path.write_text(f"{host} {line('/a')}\n{host} {line('/b')}\n{host} {other}\n")
    assert agree(path, RULES, oracle.combined).counts["2026-05-17", "visitors", "", ""] == 2


@pytest.mark.parametrize("user", ["ann", "Ann Lee", "10.0.0.1", "ann [x"])
def test_users_are_no_part_of_the_address(tmp_path: Path, user: str) -> None:
    path = tmp_path / "access.log"
    path.write_text(f"{line('/a')}\n{line('/b').replace(' - - [', f' - {user} [')}\n")
    assert agree(path, RULES, oracle.combined).counts["2026-05-17", "visitors", "", ""] == 1


def test_private_queries_are_dropped_and_campaigns_kept(tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    path.write_text(line("/offer?email=a%40b.example&utm_source=letter&utm_campaign=Spring") + "\n")
    cells = counted(path).counts
    assert cells["2026-05-17", "pages", "/offer", ""] == 1
    assert cells["2026-05-17", "campaigns", "spring", ""] == 1
    assert not any("email" in part or "a@b" in part for cell in cells for part in cell)


def test_facts_are_added_up() -> None:
    rows = [Fact("kent", "2026-05-17", "exits", "/a", "", delta) for delta in (1, 1, -1)]
    rows += [Fact("kent", "2026-05-17", "exits", "/b", "", delta) for delta in (1, -1)]
    assert DuckDBEngine().sum_facts(rows) == {("2026-05-17", "exits", "/a", ""): 1}
    assert DuckDBEngine().sum_facts([]) == {}


def test_digest_tells_inputs_apart_but_not_their_order(tmp_path: Path) -> None:
    one, two = tmp_path / "1.log", tmp_path / "2.log"
    one.write_text(line("/a") + "\n")
    two.write_text(line("/b") + "\n")
    engine = DuckDBEngine()
    assert engine.count_logs([one, two], RULES).digest == engine.count_logs([two, one], RULES).digest
    assert engine.count_logs([one], RULES).digest != engine.count_logs([two], RULES).digest


def test_no_bar_is_drawn_on_standard_output() -> None:
    """DuckDB would draw one where a statement takes two seconds, in the middle of what --json prints."""
    with DuckDBEngine()._connection() as connection:
        assert connection.execute("SELECT current_setting('enable_progress_bar')").fetchone() == (False,)


def test_nothing_is_written_to_disk_while_counting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "access.log"
    path.write_text(line("/a") + "\n")
    counted(path)
    assert [p.name for p in tmp_path.iterdir()] == ["access.log"]


@pytest.mark.parametrize(
    ("name", "message"), [("missing.log", "No such file"), (".", "is a folder"), ("notes.txt", "cannot be told")]
)
def test_what_cannot_be_read_is_refused_by_name(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "notes.txt").write_text("Dear all,\nthis is no log.\n")
    with pytest.raises(InputError, match=message) as refused:
        counted(tmp_path / name)
    assert str(tmp_path) in str(refused.value)


def test_unknown_format_names_the_known_ones(tmp_path: Path) -> None:
    (tmp_path / "a.log").write_text(line())
    with pytest.raises(InputError, match="auto, cloudfront, iis, combined"):
        counted(tmp_path / "a.log", format_name="cloud")


def test_progress_reaches_the_end(tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    path.write_text(f"{line()}\n" * 1000)
    steps: list[tuple[int, int]] = []
    DuckDBEngine().count_logs([path], RULES, progress=lambda done, total: steps.append((done, total)))
    assert steps[-1] == (path.stat().st_size, path.stat().st_size)
