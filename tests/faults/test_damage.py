"""Damaged files, each under real commands: it is named, and everything else goes on."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner
from flask import Flask

from anonymiser.facts import Fact
from anonymiser.holding import Holding
from anonymiser.hour_keys import HourKeys
from anonymiser.spool import Spool, segments
from consent_app import batch, bundle
from consent_app.commands import main
from consent_app.ledger import Ledger
from consent_app.settings import Settings
from tests.faults.servers import PROGRAM, ROOT, environment
from tests.web.conftest import keep_banner
from tests.web.ledger_records import TEXT, given

SEGMENTS = 4
FACTS = 50
CANARY = "canary-of-facts"
MOST_STEPS = 60


def run(home: Path, *words: str, code: int = 0) -> str:
    result = CliRunner().invoke(main, words, env={"CONSENT_HOME": str(home)})
    assert result.exit_code == code, result.output
    return result.output


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with signed decisions, released figures, and four segments that wait for the batch."""
    home = tmp_path_factory.mktemp("damage") / "home"
    run(home, "init")
    with Ledger(home / "ledger.db") as ledger:
        ledger.archive_notice(TEXT, "2026-11-01")
        keep_banner(home, ledger)
        for number in range(300):
            ledger.append(replace(given(number), bundle=bundle.sha256()))
    now = datetime.now(UTC)
    wait(home, now - timedelta(days=3), 1, "views")
    run(home, "batch", "--now", (now - timedelta(days=3, hours=-2)).isoformat())
    run(home, "batch")
    wait(home, now - timedelta(hours=2), SEGMENTS)
    return home


def wait(home: Path, at: datetime, count: int, statistic: str = "pages") -> None:
    HourKeys(home / "private").provide(home / "spool", at)
    for _ in range(count):
        with Spool(home / "spool", clock=lambda: at) as spool:
            spool.add([Fact("kent", f"{at:%Y-%m-%d}", statistic, f"/{CANARY}-{page}", "", 1) for page in range(FACTS)])


@pytest.fixture
def home(once: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(once, tmp_path / "home"))


def flip(file: Path, place: int) -> None:
    content = bytearray(file.read_bytes())
    content[place] ^= 1
    file.write_bytes(content)


def of_segment(home: Path) -> str:
    segment = segments(home / "spool")[1]
    flip(segment.path, -20)
    return segment.path.name


def of_tile(home: Path) -> str:
    flip(home / "ledger" / "tile" / "0" / "000", 40)
    return "tile/0/000"


def of_row(home: Path) -> str:
    with closing(sqlite3.connect(home / "ledger.db")) as file:
        for (name,) in file.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            file.execute(f"DROP TRIGGER {name}")
        file.execute("UPDATE body SET record = replace(record, 'kent', 'bent') WHERE seq = 7")
        file.commit()
    return "entry 7"


def of_statistics(home: Path) -> str:
    flip(home / "stats.duckdb", 9)  # in the magic
    return "stats.duckdb"


DAMAGES: dict[str, tuple[Callable[[Path], str], int]] = {
    "segment": (of_segment, 1), "tile": (of_tile, 0), "row": (of_row, 0), "statistics": (of_statistics, 0),
}  # fmt: skip


@pytest.mark.parametrize("what", DAMAGES)
def test_what_is_damaged_is_named_and_the_rest_goes_on(
    home: Path, make_app: Callable[[Settings], Flask], what: str
) -> None:
    damage, code = DAMAGES[what]
    name = damage(home)
    said = run(home, "batch", code=code)
    counted = SEGMENTS - (what == "segment")
    assert f"{counted} hours' segments counted" in said
    assert name in (said if what == "segment" else run(home, "verify", code=1))
    assert sum(Holding(home / "private" / "holding", "kent").counts.values()) == counted * FACTS
    client = make_app(Settings.from_environment({}, home=home)).test_client()
    found = client.get("/readyz").get_json()
    assert found["checks"] == {"ledger": True, "spool": True, "statistics": what != "statistics", "batch": True}
    assert what != "statistics" or name in found["faults"]["statistics"]
    for page in ("/", "/cookies?site=kent", "/taskbar.js"):
        assert client.get(page).status_code == 200


def test_a_damaged_statistics_file_that_is_put_aside_is_published_again(home: Path) -> None:
    before = (home / "stats.duckdb").read_bytes()
    of_statistics(home)
    (home / "stats.duckdb").rename(home.parent / "aside.duckdb")
    run(home, "batch")
    assert len((home / "stats.duckdb").read_bytes()) == len(before)
    assert "FAIL" not in run(home, "verify")


def test_a_sites_file_that_breaks_while_the_server_runs_stops_only_what_reads_it(
    home: Path, make_app: Callable[[Settings], Flask]
) -> None:
    client = make_app(Settings.from_environment({}, home=home)).test_client()
    text = (home / "sites.toml").read_text("utf-8")
    (home / "sites.toml").write_text(text + "\n[site.kent", "utf-8")
    assert client.get("/cookies?site=kent").status_code == 200
    assert client.get("/readyz").status_code == 200
    for words in (("batch",), ("serve",), ("site", "check")):
        assert f"sites.toml, line {text.count(chr(10)) + 2}: " in run(home, *words, code=2)
    (home / "sites.toml").write_text(text, "utf-8")
    assert f"{SEGMENTS} hours' segments counted" in run(home, "batch")


# -- two at once, and killed anywhere ---------------------------------------------------------------------------------


def counted_once(home: Path) -> None:
    counts = Holding(home / "private" / "holding", "kent").counts
    assert {*counts.values()} == {SEGMENTS} and len(counts) == FACTS
    assert segments(home / "spool") == []
    settings = Settings.from_environment({}, home=home)
    with Ledger(home / "ledger.db") as ledger:
        assert batch.left(settings, ledger, datetime.now(UTC)) == []


def test_two_batches_at_once_count_everything_once(home: Path) -> None:
    command = [sys.executable, "-c", PROGRAM, "batch"]
    both = [
        subprocess.Popen(command, cwd=ROOT, env=environment(home), stdout=subprocess.PIPE, text=True) for _ in range(2)
    ]
    said = "".join(process.communicate(timeout=120)[0] for process in both)
    assert [process.returncode for process in both] == [0, 0]
    assert sorted(int(line.split()[0]) for line in said.splitlines() if "segments counted" in line) == [0, SEGMENTS]
    counted_once(home)


KILLED = """
import os, signal, sys
from sqlalchemy import event
from sqlalchemy.engine import Engine
from consent_app import batch, bundle
from consent_app.commands import main

def run(home, left):
    def count(*_):
        nonlocal left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def heard(what, arguments):
        place = str(arguments[0]) if what in ("os.rename", "os.remove", "os.rmdir") else ""
        if home in place and "/." not in place:
            count()

    sys.addaudithook(heard)
    event.listen(Engine, "commit", count)
    os.environ["CONSENT_HOME"] = home
    main(["batch"], standalone_mode=False)

for line in sys.stdin:
    home, step = line.split()
    child = os.fork()
    if child == 0:
        run(home, int(step))
        os._exit(0)
    print("exit", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


def leaks(*folders: Path) -> list[Path]:
    files = [file for folder in folders for file in folder.rglob("*") if file.is_file()]
    assert len(files) > 15
    return [file for file in files if CANARY.encode() in file.read_bytes()]


@pytest.mark.slow
def test_a_batch_that_is_killed_at_any_step_is_finished_by_the_next(once: Path, tmp_path: Path) -> None:
    """The whole command: counting, publishing, removing, and the removals in the ledger, signed. What waits to be
    released is readable in no byte that is on disk at that moment, temporary files among them.
    """
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    command, places = [sys.executable, "-c", KILLED], environment(tmp_path, TMPDIR=str(temporary))
    with subprocess.Popen(
        command, cwd=ROOT, env=places, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdin and parent.stdout
        step, code = -5, -9
        while code != 0:
            step += 6
            assert step < MOST_STEPS
            home = Path(shutil.copytree(once, tmp_path / str(step)))
            names = {segment.id for segment in segments(home / "spool")}
            parent.stdin.write(f"{home} {step}\n")
            parent.stdin.flush()
            code = next(int(line.split()[1]) for line in parent.stdout if line.startswith("exit "))
            assert leaks(home, temporary) == [], step
            run(home, "batch")
            counted_once(home)
            with Ledger(home / "ledger.db") as ledger:
                assert names <= ledger.removed(), step
            shutil.rmtree(home)
        parent.stdin.close()
    assert step > 6
