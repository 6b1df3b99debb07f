"""A disk that is really full, or only read: it is said, nothing is half written, and all goes on when there is room."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from anonymiser.facts import Fact
from anonymiser.holding import Holding
from anonymiser.hour_keys import HourKeys
from anonymiser.spool import Spool, segments
from anonymiser.unsealing import read
from consent_app.commands import main
from consent_app.ledger import Ledger
from tests.faults.disks import Disk, disk, read_only
from tests.faults.servers import Served, made

KB = 1024
FACTS = 4000


def run(home: Path, *words: str) -> tuple[int, str]:
    result = CliRunner().invoke(main, words, env={"CONSENT_HOME": str(home)})
    return result.exit_code, result.output


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Disk]:
    with disk(tmp_path / "disk", 48) as mounted:
        yield mounted


def test_a_server_whose_disk_fills_says_so_and_recovers_by_itself(small: Disk) -> None:
    home = made(small.folder)
    with Served(home, CONSENT_MIX_BEACONS="1") as server:
        kept = [server.decide().json["receipt"]]
        views = [server.view().status]
        assert server.ready()["ready"] is True
        small.fill()
        found = server.ready()
        assert found["checks"] == {"ledger": False, "spool": False, "statistics": True, "batch": True}
        assert "is full; make room" in found["faults"]["ledger"]
        answers = [server.decide() for _ in range(40)]  # the database has some room of its own
        kept += [answer.json["receipt"] for answer in answers if answer.status == 201]
        assert {answer.status for answer in answers} <= {201, 503}
        refused = [answer for answer in answers if answer.status == 503]
        assert refused and {answer.headers["Retry-After"] for answer in refused} == {"5"}
        views += [server.view().status for _ in range(20)]
        small.free()
        assert server.ready()["ready"] is True
        kept.append(server.decide().json["receipt"])
        views += [server.view().status]
        assert server.stop() == 0
    assert {*views} <= {202, 503}
    with Ledger(home / "ledger.db") as ledger:
        ids = [entry.record["id"] for entry in ledger.entries() if entry.record.get("id")]
    assert {*kept} <= {*ids}
    assert run(home, "verify")[0] == 0
    keys = HourKeys(home / "private")
    counted = Counter(fact.statistic for segment in segments(home / "spool") for fact in read(segment, keys).facts)
    assert counted["views"] == views.count(202), "what was acknowledged is on disk after an orderly stop, once"


# -- the batch --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def waiting(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with facts of today, which are held, and of three days ago, which are released at once."""
    home = tmp_path_factory.mktemp("waiting") / "home"
    assert run(home, "init")[0] == 0
    now = datetime.now(UTC)
    for at, pages in ((now - timedelta(days=3), 1), (now - timedelta(hours=2), FACTS)):
        HourKeys(home / "private").provide(home / "spool", at)
        with Spool(home / "spool", clock=lambda at=at: at) as spool:  # type: ignore[misc]
            spool.add([Fact("kent", f"{at:%Y-%m-%d}", "pages", f"/{page}", "", 1) for page in range(pages)])
    return home


def test_a_batch_on_a_full_disk_names_the_place_and_the_next_counts_everything_once(small: Disk, waiting: Path) -> None:
    """With a little more room each time it comes a little further; then it is freed, and runs again."""
    failed = 0
    for room in (0, 140, 200, 280, 600):
        home = Path(shutil.copytree(waiting, small.folder / "home"))
        names = {segment.id for segment in segments(home / "spool")}
        small.fill(room * KB)
        code, said = run(home, "batch")
        if code:
            failed += 1
            assert code == 2 and said.count("consent: ") == 1, said
            assert str(home) in said, said
            assert "make room" in said, said
        small.free()
        assert run(home, "batch")[0] == 0
        assert not list(home.rglob(".*")), room
        held = Holding(home / "private" / "holding", "kent")
        assert sum(held.counts.values()) >= FACTS, room
        assert set(Counter(held.counts).values()) == {1}, room
        with Ledger(home / "ledger.db") as ledger:
            removed = [entry.record["segment"] for entry in ledger.entries() if entry.kind == "removal"]
        assert sorted(removed) == sorted(names), room
        shutil.rmtree(home)
    assert failed > 3


def test_a_backup_that_does_not_fit_leaves_nothing(small: Disk, waiting: Path) -> None:
    target = small.folder / "home.tar"
    small.fill(20 * KB)
    code, said = run(waiting, "backup", str(target))
    assert code == 2 and "make room" in said and f"There is no {target.name}" in said
    assert {path.name for path in small.folder.iterdir()} == {"filler"}
    small.free()
    assert run(waiting, "backup", str(target))[0] == 0
    small.fill(40 * KB)
    code, said = run(waiting, "restore", str(target), "--home", str(small.folder / "new"))
    assert code == 2 and "make room" in said and "nothing is left" in said
    assert {path.name for path in small.folder.iterdir()} == {"filler", "home.tar"}
    small.free()
    assert run(waiting, "restore", str(target), "--home", str(small.folder / "new"))[0] == 0


def test_a_home_on_a_full_disk_whose_backup_goes_elsewhere(small: Disk, waiting: Path, tmp_path: Path) -> None:
    """At three in the morning this is what somebody tries first."""
    home = Path(shutil.copytree(waiting, small.folder / "home"))
    small.fill()
    code, said = run(home, "backup", str(tmp_path / "home.tar"))
    assert code == 0 or ("cannot be copied" in said and said.count("\n") == 1), said
    assert code == 0 or not (tmp_path / "home.tar").exists()
    small.free()
    assert not list(home.rglob(".copy*"))


# -- a home that is only read -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", [("serve",), ("batch",), ("keys", "rotate"), ("user", "disable", "mary")])
def test_a_home_that_is_only_read_stops_with_one_line(tmp_path: Path, waiting: Path, words: tuple[str, ...]) -> None:
    home = Path(shutil.copytree(waiting, tmp_path / "home"))
    with read_only(home, tmp_path / "read-only") as there:
        code, said = run(there, *words)
    assert code == 2 and said.count("\n") == 1, said
