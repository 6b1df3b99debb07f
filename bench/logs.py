"""`anonymise logs` beside GoAccess and beside DuckDB only splitting the lines: CPU seconds, wall seconds, memory.

    python bench/logs.py [--runs N] [--memory LINES] [--logs DIR] [LINES ...]

Without an argument: 1,000,000 and 5,000,000 lines, then --memory 20000000. Logs are written to a temporary folder, or
to DIR and kept there for the next time.

Everything is included: the start of the program, robust reading, scrubbing, robots, visits, bounds, noise, publication.
The figures are medians of runs taken in turn, and are printed only after every line was accounted for and the line
counts agree. The program's byte code is written first, as pip does when it installs.

Where several logs are read, a last table shows how the work grows: processor time for each line, and for each further
line of a log over the log before it, which leaves out what every run costs however small. `--memory` reads a log of so
many lines with 4 GB and with 1 GB allowed: the counts must be the same, and the time nearly.
"""

from __future__ import annotations

import argparse
import compileall
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

from generate import write

RUNS = 3
PROGRAM = Path(__file__).parents[1] / "anonymiser"
SPLIT = """
import duckdb, sys
connection = duckdb.connect(":memory:", config={"memory_limit": "16GB", "temp_directory": ""})
connection.execute("SET enable_progress_bar = false")
connection.execute(
    "CREATE TABLE split AS SELECT string_split(line, '\\"') AS part, string_split(part[1], ' ') AS who, "
    "string_split(part[2], ' ') AS request, string_split(part[3], ' ') AS answer FROM read_csv(?, "
    "columns={'line': 'VARCHAR'}, header=false, auto_detect=false, quote='', escape='', delim='\\x1f', "
    "ignore_errors=true)", [sys.argv[1]])
print(connection.execute("SELECT count(*) FROM split").fetchone()[0])
"""


@dataclass(frozen=True)
class Run:
    """One measured process: CPU and wall seconds, peak memory in MiB, what it printed, and what it counted."""

    cpu: float
    wall: float
    memory: float
    said: str
    exact: dict[str, Any] = field(default_factory=dict)


def measured(command: Sequence[str]) -> Run:
    """Run a command to its end; a failure ends the benchmark."""
    with tempfile.TemporaryFile() as out:
        began = time.monotonic()
        child = subprocess.Popen(command, stdout=out, stderr=subprocess.DEVNULL)
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        wall = time.monotonic() - began
        out.seek(0)
        said = out.read().decode()
    if child.returncode:
        sys.exit(f"{command[0]} failed with {child.returncode}")
    return Run(usage.ru_utime + usage.ru_stime, wall, usage.ru_maxrss / 1024, said)


def anonymise(log: Path, folder: Path, memory: str = "2GB") -> Run:
    """One run with protection and publication into an empty folder; checks that every line is accounted for."""
    shutil.rmtree(folder / "out", ignore_errors=True)
    command = [sys.executable, "-m", "anonymiser", "logs", str(log), "--site", "bench", "--json", "--memory", memory]
    run = measured([*command, "--out", str(folder / "out" / "stats.duckdb")])
    found = json.loads(run.said)
    if found["read"] != found["counted"] + sum(found["dropped"].values()) + found["rejected"] or not found["release"]:
        sys.exit("anonymise lost lines or released nothing; no figure is printed")
    exact = {name: found[name] for name in ("read", "counted", "dropped", "rejected")}
    return Run(run.cpu, run.wall, run.memory, str(found["read"]), exact)


def goaccess(log: Path, folder: Path) -> Run:
    """GoAccess, writing JSON; it must have seen as many lines (it does not count empty ones)."""
    out = folder / "goaccess.json"
    run = measured(["goaccess", str(log), "--log-format=COMBINED", "--no-progress", "-o", str(out)])
    return Run(run.cpu, run.wall, run.memory, str(json.loads(out.read_text())["general"]["total_requests"]))


def split(log: Path, folder: Path) -> Run:
    """DuckDB splitting the lines into columns, and nothing else."""
    return measured([sys.executable, "-c", SPLIT, str(log)])


TOOLS: dict[str, Callable[[Path, Path], Run]] = {"anonymise": anonymise, "goaccess": goaccess, "duckdb split": split}


def written(folder: Path, count: int) -> Path:
    """The log of so many lines in `folder`; the generator writes the same each time, so one that is there will do."""
    log = folder / f"{count}.log"
    if not log.exists():
        unfinished = log.with_suffix(".part")
        write(unfinished, count)
        unfinished.rename(log)
    return log


def compare(count: int, folder: Path, times: int) -> float:
    """Print one table for a log of `count` lines; the processor seconds that `anonymise` took."""
    log = written(folder, count)
    tools = {name: tool for name, tool in TOOLS.items() if name != "goaccess" or shutil.which("goaccess")}
    runs: dict[str, list[Run]] = {name: [] for name in tools}
    for _ in range(times):
        for name, tool in tools.items():
            runs[name].append(tool(log, folder))
    blank = sum(line == b"\n" for line in log.open("rb"))
    for name, done in runs.items():
        if not count - blank - count // 500 <= int(done[0].said) <= count:
            sys.exit(f"{name} saw {done[0].said.strip()} of {count} lines; no figure is printed")
    own = [median(getattr(run, what) for run in runs["anonymise"]) for what in ("cpu", "wall")]
    print(f"\n{count:,} lines, {log.stat().st_size / 2**20:.0f} MiB, medians of {times} runs in turn")
    print(f"{'':14}{'CPU s':>8}{'wall s':>8}{'MiB':>7}{'CPU, anonymise = 1':>20}{'wall':>7}")
    for name, done in runs.items():
        cpu, wall, memory = (median(getattr(run, what) for run in done) for what in ("cpu", "wall", "memory"))
        print(f"{name:14}{cpu:8.2f}{wall:8.2f}{memory:7.0f}{cpu / own[0]:20.2f}{wall / own[1]:7.2f}")
    return own[0]


def growth(spent: dict[int, float]) -> None:
    """Print how the processor time of `anonymise` (lines -> seconds) grows with the log."""
    if len(spent) < 2:
        return
    print("\nCPU of anonymise in microseconds")
    print(f"{'lines':>14}{'a line':>10}{'a further line':>16}")
    steps = {large: (spent[large] - spent[small]) / (large - small) for small, large in pairwise(sorted(spent))}
    for lines, seconds in sorted(spent.items()):
        further = f"{steps[lines] * 1e6:16.2f}" if lines in steps else ""
        print(f"{lines:14,}{seconds / lines * 1e6:10.2f}{further}")


def squeeze(count: int, folder: Path) -> float:
    """Print what a large log takes with much memory and with little; the processor seconds it takes with much."""
    log = written(folder, count)
    ample, tight = anonymise(log, folder, "4GB"), anonymise(log, folder, "1GB")
    if ample.exact != tight.exact or ample.exact["read"] != count:
        sys.exit("the counts depend on the memory that is allowed; no figure is printed")
    print(f"\n{count:,} lines, one run each; the same counts")
    print(f"{'':14}{'CPU s':>8}{'wall s':>8}{'MiB':>7}{'wall, 4GB = 1':>15}")
    for name, run in (("--memory 4GB", ample), ("--memory 1GB", tight)):
        print(f"{name:14}{run.cpu:8.2f}{run.wall:8.2f}{run.memory:7.0f}{run.wall / ample.wall:15.2f}")
    return ample.cpu


def main() -> None:
    """Read the command line and print its tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("lines", nargs="*", type=int)
    parser.add_argument("--runs", type=int, default=RUNS)
    parser.add_argument("--memory", type=int, metavar="LINES")
    parser.add_argument("--logs", type=Path, metavar="DIR")
    asked = parser.parse_args()
    everything = not (asked.lines or asked.memory)
    compileall.compile_dir(PROGRAM, quiet=1)
    spent: dict[int, float] = {}
    with tempfile.TemporaryDirectory() as temporary:
        folder = asked.logs or Path(temporary)
        for lines in [1_000_000, 5_000_000] if everything else asked.lines:
            spent[lines] = compare(lines, folder, asked.runs)
        if everything or asked.memory:
            many = 20_000_000 if everything else asked.memory
            spent[many] = squeeze(many, folder)
    growth(spent)


if __name__ == "__main__":
    main()
