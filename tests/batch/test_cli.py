"""The `anonymise` command as a stranger uses it: real logs, a real process where the exit code matters."""

from __future__ import annotations

import gzip
import json
import os
import pty
import re
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, suppress
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import pytest
from click.testing import CliRunner, Result

from anonymiser.cli import main

LINE = '192.0.2.7 - - [17/May/2026:10:05:03 +0000] "GET / HTTP/1.1" 200 512 "-" "Mozilla/5.0 (X11; Linux x86_64; rv:143.0) Gecko/20100101 Firefox/143.0"\n'  # noqa: E501


def run(*arguments: Any) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments], catch_exceptions=False)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    file = tmp_path / "access.log"
    file.write_text(LINE * 30 + "broken\n" + "\n")
    return file


def test_lines_read_are_counted_dropped_or_rejected(shared_data: Path, tmp_path: Path) -> None:
    out = tmp_path / "stats.duckdb"
    result = run("logs", shared_data / "weblogs/apache-10k/access.log", "--site", "demo", "--out", out, "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found["read"] == 10_000 == found["counted"] + sum(found["dropped"].values()) + found["rejected"]
    assert found.keys() == {"read", "counted", "dropped", "rejected", "seconds", "release"}
    assert result.stderr == "anonymise: rejected access.log, line 8,899: quotes do not match the format\n"
    assert found["release"]
    assert run("check", out).exit_code == 0
    again = run("logs", shared_data / "weblogs/apache-10k/access.log", "--site", "demo", "--out", out)
    assert again.exit_code == 3
    assert "Nothing to do" in again.stdout


@pytest.mark.parametrize("folder", ["iis-plaso", "iis-brianary"])
def test_every_real_iis_log_is_read_to_its_last_line(shared_data: Path, tmp_path: Path, folder: str) -> None:
    files = sorted(p for p in (shared_data / "weblogs" / folder).rglob("*") if p.suffix.lower() in (".log", ".txt"))
    assert files
    for number, file in enumerate(files):
        result = run(
            "logs", file, "--site", "demo", "--out", tmp_path / f"{number}.duckdb", "--json", "--grain", "month"
        )
        if result.exit_code == 2:
            assert str(file) in result.stderr or "name no cs-uri-stem" in result.stderr
            continue
        found = json.loads(result.stdout)
        lines = file.read_bytes().rstrip(b"\n").count(b"\n") + 1
        assert found["read"] >= lines
        assert found["read"] == found["counted"] + sum(found["dropped"].values()) + found["rejected"]


def test_the_summary_names_what_was_left_out_and_never_its_text(log: Path, tmp_path: Path) -> None:
    result = run("logs", log, "--site", "demo", "--out", tmp_path / "stats.duckdb")
    assert result.exit_code == 0
    assert "32 lines read = 30 counted + 1 dropped + 1 rejected" in result.stdout
    assert "rejected access.log, line 31: quotes do not match the format" in result.stdout
    assert "broken" not in result.stdout


def test_progress_is_told_in_plain_lines_where_there_is_no_terminal(log: Path, tmp_path: Path) -> None:
    result = run("logs", log, "--site", "demo", "--out", tmp_path / "stats.duckdb")
    assert result.stderr.splitlines()[-1] == "Reading: 100 %"
    again = run("logs", log, "--site", "demo", "--out", tmp_path / "other.duckdb", "--json")
    assert "Reading" not in again.stderr


def test_progress_is_a_bar_on_a_terminal(log: Path, tmp_path: Path, root: Path) -> None:
    log.write_text(LINE * 60_000)
    command = f"{sys.executable} -m anonymiser logs {log} --site demo --out {tmp_path / 's.duckdb'}"
    seen = b""
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(root)
        os.execvp("sh", ["sh", "-c", command])
    with suppress(OSError):  # how Linux says that the other side is gone
        while data := os.read(terminal, 65_536):
            seen += data
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0, seen
    text = seen.decode()
    assert re.search(r"Reading +\[#+-+\] +\d+%", text), text
    assert "Counting, protecting, publishing" in text
    assert "100%" in text
    assert "60,000 lines read = 60,000 counted" in text
    assert "Reading: 20 %" not in text


def test_explain_says_what_was_spent(log: Path, tmp_path: Path) -> None:
    run("logs", log, "--site", "demo", "--out", tmp_path / "stats.duckdb", "--epsilon", "1")
    result = run("explain", tmp_path / "stats.duckdb")
    assert result.exit_code == 0
    assert "epsilon 1 (a factor of at most 2.72)" in result.stdout
    assert "visitors" in result.stdout


def test_formats_are_listed() -> None:
    assert {"combined", "iis"} <= set(run("formats").stdout.split())


FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:143.0) Gecko/20100101 Firefox/143.0"
GOOGLE = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"


def line(day: str, browser: int, page: str, status: int = 200, agent: str = FIREFOX) -> str:
    stamp = f"{date.fromisoformat(day):%d/%b/%Y}:10:{browser % 60:02}:00 +0000"
    return f'198.51.100.{browser} - - [{stamp}] "GET {page} HTTP/1.1" {status} 5 "-" "{agent}"\n'


def day(text: str) -> Iterator[str]:
    """A hundred page views of people, and what comes with them."""
    yield from (line(text, n, "/contact" if n % 2 else "/") for n in range(100))
    yield from (line(text, n, "/site.css") for n in range(30))
    yield from (line(text, n, "/", agent=GOOGLE) for n in range(3))
    yield from (line(text, n, "/gone", 404) for n in range(2))
    yield line(text, 1, "/healthz")


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """The files that docs/anonymise.md speaks of."""
    logs = {
        "access.log": ("2024-03-04", "2024-03-05", "2024-03-06"),
        "february.log": ("2024-02-01", "2024-02-02"),
        "mixed.log": ("2024-03-06", "2024-03-07"),
        "old.log": ("2023-05-01",),
    }
    for name, days in logs.items():
        (tmp_path / name).write_text("".join(text for one in days for text in day(one)))
    with (tmp_path / "access.log").open("a") as log:
        log.write('198.51.100.1 - - [06/Mar/2024:11:00:00 +0000] "GET /cut\n')
    (tmp_path / "access.log.1.gz").write_bytes(gzip.compress("".join(day("2024-03-03")).encode()))
    row = f"2024-03-04 10:00:00 198.51.100.7 GET /a 200 {FIREFOX.replace(' ', '+')}\n"
    (tmp_path / "headerless.log").write_text(row * 20)
    (tmp_path / "pages.txt").write_text("/\n/contact\n")
    return tmp_path


def blocks(root: Path, language: str) -> list[str]:
    return re.findall(
        rf"^```{language}\n(.*?)^```", (root / "docs/anonymise.md").read_text("utf-8"), re.DOTALL | re.MULTILINE
    )


@pytest.mark.slow
def test_every_command_of_the_document_does_what_it_says(shop: Path, root: Path) -> None:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    (shop / "anonymise").write_text(f'#!/bin/sh\nexec {sys.executable} -m anonymiser "$@"\n')
    (shop / "anonymise").chmod(0o755)
    environment = os.environ | {"PATH": f"{shop}{os.pathsep}{path}", "PYTHONPATH": str(root)}
    said, commands = [], [text for block in blocks(root, "sh") for text in block.splitlines()]
    for command in commands:
        result = subprocess.run(
            ["bash", "-c", command], cwd=shop, env=environment, capture_output=True, text=True, check=False
        )
        expected = re.search(r"# exit code (\d)", command)
        assert result.returncode == (int(expected[1]) if expected else 0), (command, result.stdout, result.stderr)
        said.append(re.sub(r"\(\d+\.\d+ s\)", "(0.9 s)", result.stdout))
    assert len(commands) > 12
    assert [text for text in blocks(root, "text") if text not in said] == []
    assert not (shop / "old.log").exists()


def test_the_document_names_every_option_of_logs(root: Path) -> None:
    text = (root / "docs/anonymise.md").read_text("utf-8")
    options = {option for parameter in main.commands["logs"].params for option in parameter.opts if option[:2] == "--"}
    assert sorted(option for option in options if option not in text) == ["--engine"]  # there is only one yet


def test_a_format_by_name_that_a_file_plainly_has_not(shop: Path) -> None:
    result = run("logs", shop / "access.log", "--site", "a", "--out", shop / "s.duckdb", "--format", "iis")
    assert result.exit_code == 2
    assert "access.log: looks like combined, not like iis" in result.stderr
    assert not (shop / "s.duckdb").exists()


def test_what_nobody_can_read_is_told_and_may_be_read_later(shop: Path) -> None:
    log = shop / "strange.log"
    log.write_text("a line of nothing\n" * 30)
    wrong = run("logs", log, "--site", "a", "--out", shop / "s.duckdb", "--format", "json", "--remove")
    assert (wrong.exit_code, log.exists()) == (2, True)
    assert "rejected strange.log, line 20" in wrong.stdout
    assert "and 10 more rejected lines" in wrong.stdout
    assert "no line could be read" in wrong.stdout
    assert "nothing\n" not in wrong.stdout.replace("Nothing", "")


def test_nothing_to_do_says_why(shop: Path) -> None:
    (shop / "empty.log").write_text("")
    (shop / "robots.log").write_text(line("2024-03-04", 1, "/", agent=GOOGLE))
    cases = {"empty.log": "no page view of a person", "robots.log": "no page view of a person"}
    for name, reason in cases.items():
        result = run("logs", shop / name, "--site", "a", "--out", shop / "s.duckdb")
        assert (result.exit_code, reason in result.stdout) == (3, True), name
    result = run("logs", shop / "old.log", "--site", "a", "--out", shop / "s.duckdb", "--open")
    assert (result.exit_code, "is not over" in result.stdout) == (3, True)


def test_excluded_networks_and_own_hosts_are_taken_as_people_write_them(shop: Path) -> None:
    options = ("--exclude", "198.51.100.7/25", "--own-host", "https://WWW.Shop.example/")
    result = run("logs", shop / "old.log", "--site", "a", "--out", shop / "s.duckdb", "--json", *options)
    assert json.loads(result.stdout)["dropped"]["network"] > 50


def test_pipes_are_sent_to_standard_input(shop: Path) -> None:
    os.mkfifo(shop / "pipe")
    result = run("logs", shop / "pipe", "--site", "a", "--out", shop / "s.duckdb")
    assert (result.exit_code, "anonymise logs -" in result.stderr) == (2, True)


def test_standard_input_beside_files(shop: Path, root: Path) -> None:
    command = [sys.executable, "-m", "anonymiser", "logs", "-", shop / "february.log", "--site", "a", "--json"]
    with (shop / "access.log").open("rb") as log:
        result = subprocess.run(
            [*map(str, command), "--out", str(shop / "s.duckdb")], stdin=log, capture_output=True, check=False, cwd=root
        )
    found = json.loads(result.stdout)
    assert (found["read"], found["counted"], found["rejected"]) == (409 + 272, 500, 1)
    assert b"rejected standard input" not in result.stderr or b"line 409" in result.stderr


@pytest.mark.parametrize("kilobytes", [8, 64, 500])
def test_a_full_disk_leaves_what_was_there_and_the_next_run_goes_on(shop: Path, root: Path, kilobytes: int) -> None:
    """No file may grow past a limit, as on a full disk; then there is room again."""
    out = shop / "s.duckdb"
    assert run("logs", shop / "february.log", "--site", "a", "--out", out, "--policy", "threshold").exit_code == 0
    before = out.read_bytes()
    again = ["logs", str(shop / "access.log"), "--site", "a", "--out", str(out), "--policy", "threshold"]

    def full() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (kilobytes * 1024, kilobytes * 1024))

    result = subprocess.run(
        [sys.executable, "-m", "anonymiser", *again],
        preexec_fn=full,
        capture_output=True,
        text=True,
        check=False,
        cwd=root,
    )
    assert result.returncode == 2, result.stderr
    assert re.search(r"^anonymise: .*(unchanged|nothing was|make room)", result.stderr, re.MULTILINE), result.stderr
    assert "Traceback" not in result.stderr
    assert out.read_bytes() == before
    assert [path.name for path in shop.glob(".s.duckdb*")] == []
    assert run(*again).exit_code in (0, 3)
    with closing(duckdb.connect(str(out), read_only=True)) as connection:
        days = connection.execute("SELECT count(DISTINCT period_start) FROM totals").fetchone()
    assert days == (5,)


WRONG = {
    "an unknown network": (
        ["logs", "{log}", "--site", "a", "--out", "{out}", "--exclude", "office"],
        "like 192.0.2.0/24",
    ),
    "no host name": (
        ["logs", "{log}", "--site", "a", "--out", "{out}", "--own-host", "our shop"],
        "like www.shop.example",
    ),
    "no memory": (["logs", "{log}", "--site", "a", "--out", "{out}", "--memory", "much"], "like 2GB"),
    "no epsilon": (["logs", "{log}", "--site", "a", "--out", "{out}", "--epsilon", "0"], "above 0 and at most 20"),
    "twice the same": (["logs", "{log}", "{log}", "--site", "a", "--out", "{out}"], "named twice"),
    "a path through a file": (["logs", "{log}/x", "--site", "a", "--out", "{out}"], "Not a directory"),
    "a place that cannot be": (["logs", "{log}", "--site", "a", "--out", "{log}/stats"], "cannot be written"),
    "output into a folder": (["logs", "{log}", "--site", "a", "--out", "{folder}"], "name a file in it"),
    "output over the log": (["logs", "{log}", "--site", "a", "--out", "{log}"], "no statistics file"),
    "remove and open": (["logs", "{log}", "--site", "a", "--out", "{out}", "--remove", "--open"], "use one of them"),
    "remove a pipe": (["logs", "-", "--site", "a", "--out", "{out}", "--remove"], "standard input"),
    "fields of another format": (
        ["logs", "{log}", "--site", "a", "--out", "{out}", "--format", "elb", "--fields", "date"],
        "elb has none",
    ),
    "fields for combined": (
        ["logs", "{log}", "--site", "a", "--out", "{out}", "--fields", "date time cs-uri-stem"],
        "looks like combined",
    ),
    "fields that are none": (
        ["logs", "{log}", "--site", "a", "--out", "{out}", "--fields", "one two"],
        "#Fields line would",
    ),
    "a missing file": (["logs", "missing.log", "--site", "a", "--out", "{out}"], "missing.log: No such file"),
    "a folder": (["logs", "{folder}", "--site", "a", "--out", "{out}"], "is a folder"),
    "an unknown zone": (["logs", "{log}", "--site", "a", "--out", "{out}", "--timezone", "Mars"], "Europe/London"),
    "too much epsilon": (["logs", "{log}", "--site", "a", "--out", "{out}", "--epsilon", "99"], "at most 20"),
    "a site like a path": (["logs", "{log}", "--site", "../a", "--out", "{out}"], "cannot name a site"),
    "an unknown format": (["logs", "{log}", "--site", "a", "--out", "{out}", "--format", "x"], "unknown format"),
    "a missing catalogue": (["logs", "{log}", "--site", "a", "--out", "{out}", "--catalogue", "no"], "no: No such"),
    "no such engine yet": (["logs", "{log}", "--site", "a", "--out", "{out}", "--engine", "spark"], "use duckdb"),
    "no statistics": (["check", "missing.duckdb"], "missing.duckdb"),
    "no spool": (["spool", "missing", "--site", "a", "--out", "{out}"], "missing is no folder"),
}


def test_statistics_without_their_budget_ledger_are_not_replaced(shop: Path) -> None:
    out = shop / "s.duckdb"
    run("logs", shop / "february.log", "--site", "a", "--out", out)
    (shop / "s.duckdb.private").rename(shop / "elsewhere")
    result = run("logs", shop / "access.log", "--site", "a", "--out", out)
    assert (result.exit_code, "Restore that folder" in result.stderr) == (2, True)


@pytest.mark.parametrize("case", WRONG)
def test_bad_input_is_one_clear_line(log: Path, tmp_path: Path, case: str) -> None:
    arguments, message = WRONG[case]
    places = {"out": tmp_path / "stats.duckdb", "folder": tmp_path, "log": log}
    result = run(*(argument.format(**places) for argument in arguments))
    assert result.exit_code == 2
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert not (tmp_path / "stats.duckdb").exists()
