"""The `anonymise` command as a stranger uses it: real logs, a real process where the exit code matters."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

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
    assert found["rejected_lines"] == [{"file": "access.log", "line": 8899, "reason": "quotes do not match the format"}]
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
            assert str(file) in result.stderr
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
    assert again.stderr == ""


def test_explain_says_what_was_spent(log: Path, tmp_path: Path) -> None:
    run("logs", log, "--site", "demo", "--out", tmp_path / "stats.duckdb", "--epsilon", "1")
    result = run("explain", tmp_path / "stats.duckdb")
    assert result.exit_code == 0
    assert "epsilon 1 (a factor of at most 2.72)" in result.stdout
    assert "visitors" in result.stdout


def test_formats_are_listed() -> None:
    assert {"combined", "iis"} <= set(run("formats").stdout.split())


WRONG = {
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


@pytest.mark.parametrize("case", WRONG)
def test_bad_input_is_one_clear_line(log: Path, tmp_path: Path, case: str) -> None:
    arguments, message = WRONG[case]
    places = {"out": tmp_path / "stats.duckdb", "folder": tmp_path, "log": log}
    result = run(*(argument.format(**places) for argument in arguments))
    assert result.exit_code == 2
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert not (tmp_path / "stats.duckdb").exists()
