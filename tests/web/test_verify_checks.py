"""`consent verify` on a whole home: for each promise, the fact is broken once and its line is seen to fail."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from anonymiser.facts import Fact
from anonymiser.hour_keys import HourKeys
from anonymiser.spool import Spool
from consent_app import bundle
from consent_app.commands import main
from consent_app.ledger import Ledger, RemovalRecord
from tests import receipt_vectors
from tests.web.conftest import keep_banner

NOW = datetime.now(UTC)
LONG_AGO = NOW - timedelta(hours=30)
KEPT = "kept.checkpoint"
FOREIGN = "foreign.tlog-proof"


def removal(name: str, hours: int) -> RemovalRecord:
    """A segment of two days ago, removed so many hours after its hour had begun."""
    begun = (NOW - timedelta(days=2)).replace(minute=0, second=0)
    time = begun + timedelta(hours=hours)
    return RemovalRecord(name, f"{begun:%Y-%m-%dT%H}Z", f"{time:%Y-%m-%dT%H:%M:%SZ}")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home in which every promise is kept; beside it a checkpoint, an older copy, and what is of another ledger."""
    home = tmp_path_factory.mktemp("home") / "home"
    assert CliRunner().invoke(main, ["init"], env={"CONSENT_HOME": str(home)}).exit_code == 0
    given = replace(
        receipt_vectors.given(),
        bundle=bundle.sha256(),
        time=f"{NOW:%Y-%m-%dT%H:%M:%SZ}",
        valid_until=(NOW + timedelta(days=180)).date().isoformat(),
    )
    with Ledger(home / "ledger.db") as ledger:
        keep_banner(home, ledger)
        for number in range(4):
            ledger.append(replace(given, id=f"{number:032x}"))
        ledger.append(removal("in-time", 2))
        ledger.sequence()
    shutil.copytree(home, home / "old")
    with Ledger(home / "ledger.db") as ledger:
        ledger.append(replace(given, id="9" * 32))
        ledger.sequence()
        (home / KEPT).write_bytes(ledger.published.checkpoint() or b"")
    stranger = home.parent / "stranger"
    stranger.mkdir(mode=0o700)
    with Ledger(stranger / "ledger.db") as other:
        other.append(given)
        other.sequence()
        proof = other.proof(given.id)
        assert proof is not None
        (home / FOREIGN).write_bytes(proof.text)
    return home


@pytest.fixture
def home(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "home"))


def run(home: Path, *options: str) -> Result:
    return CliRunner().invoke(main, ["verify", *options], env={"CONSENT_HOME": str(home)})


def failed(result: Result) -> dict[str, str]:
    lines = [line.removeprefix("FAIL ") for line in result.output.splitlines() if line.startswith("FAIL ")]
    return {name: said for name, _, said in (line.partition(": ") for line in lines)}


def by_hand(*texts: str) -> Callable[[Path], None]:
    """Statements past the guards, which stand again afterwards."""

    def tamper(home: Path) -> None:
        with closing(sqlite3.connect(home / "ledger.db")) as raw:
            guards = raw.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").fetchall()
            for name, _ in guards:
                raw.execute(f"DROP TRIGGER {name}")
            for text in texts:
                assert raw.execute(text).rowcount != 0, text
            for _, sql in guards:
                raw.execute(sql)
            raw.commit()

    return tamper


def leave_a_segment(home: Path) -> None:
    HourKeys(home / "private").provide(home / "spool", LONG_AGO)
    with Spool(home / "spool", clock=lambda: LONG_AGO) as spool:
        spool.add([Fact("kent", LONG_AGO.date().isoformat(), "views", "", "", 1)])


def leave_a_key(home: Path) -> None:
    HourKeys(home / "private").provide(home / "spool", LONG_AGO)


def remove_late(home: Path) -> None:
    with Ledger(home / "ledger.db") as ledger:
        ledger.append(removal("late", 27))
        ledger.sequence()


def put_the_old_copy_back(home: Path) -> None:
    for part in ("ledger.db", "ledger"):
        target = home / part
        shutil.rmtree(target) if target.is_dir() else target.unlink()
    for left in home.glob("ledger.db-*"):
        left.unlink()
    shutil.copy(home / "old" / "ledger.db", home / "ledger.db")
    shutil.copytree(home / "old" / "ledger", home / "ledger")


def nothing(_: Path) -> None:
    """What is wrong came with an option."""


ROWS = ("UPDATE {0} SET seq = 99 WHERE seq = 0", "UPDATE {0} SET seq = 0 WHERE seq = 1",
        "UPDATE {0} SET seq = 1 WHERE seq = 99")  # fmt: skip
REORDERED = [row.format(table) for table in ("entry", "body") for row in ROWS]
BROKEN: dict[str, tuple[Callable[[Path], None], str, tuple[str, ...]]] = {
    "a row edited": (
        by_hand("UPDATE body SET record = CAST(replace(record, 'given', 'refused') AS BLOB) WHERE seq = 1"),
        "ledger entries",
        (),
    ),
    "a row deleted": (
        by_hand("DELETE FROM body WHERE seq = 2", "DELETE FROM entry WHERE seq = 2"),
        "ledger sequence",
        (),
    ),
    "rows reordered": (by_hand(*REORDERED), "ledger tree", ()),
    "the tail cut": (by_hand("DELETE FROM body WHERE seq = 5", "DELETE FROM entry WHERE seq = 5"), "ledger tail", ()),
    "an old copy restored": (put_the_old_copy_back, "ledger since", ("--since", KEPT)),
    "a notice's text changed": (by_hand("UPDATE notice SET text = text || ' and more'"), "notice texts", ()),
    "a notice lost": (by_hand("DELETE FROM notice"), "notice archive", ()),
    "an hour's key left behind": (leave_a_key, "removal", ()),
    "a segment left behind": (leave_a_segment, "removal", ()),
    "a removal that came late": (remove_late, "removal times", ()),
    "a proof of another ledger": (nothing, "ledger proof", ("--proof", FOREIGN)),
    "a key that others may read": (lambda home: (home / "secrets" / "ledger.keys").chmod(0o644), "keys", ()),
}


def test_a_home_that_keeps_its_promises_passes(home: Path) -> None:
    result = run(home, "--since", str(home / KEPT))
    assert failed(result) == {}, result.output
    assert result.exit_code == 0
    assert "removals came within 24 hours of its hour" in result.output


@pytest.mark.parametrize("what", BROKEN)
def test_each_check_is_seen_to_fail(home: Path, what: str) -> None:
    tamper, check, options = BROKEN[what]
    tamper(home)
    result = run(home, *(str(home / word) if (home / word).exists() else word for word in options))
    assert result.exit_code == 1
    assert check in failed(result), result.output
    assert "Traceback" not in result.output


def test_an_old_copy_put_back_is_found_by_no_other_check(home: Path) -> None:
    """Which is why somebody must keep a checkpoint elsewhere."""
    put_the_old_copy_back(home)
    assert failed(run(home)) == {}


def test_a_late_removal_of_last_year_is_told_and_fails_no_more(home: Path) -> None:
    begun = NOW - timedelta(days=400)
    late = RemovalRecord("long-ago", f"{begun:%Y-%m-%dT%H}Z", f"{begun + timedelta(hours=40):%Y-%m-%dT%H:%M:%SZ}")
    with Ledger(home / "ledger.db") as ledger:
        ledger.append(late)
        ledger.sequence()
    result = run(home)
    assert failed(result) == {}
    assert "1 came late, none of them in the last 31 days" in result.output


def test_a_receipt_of_another_ledger_does_not_verify(home: Path, tmp_path: Path) -> None:
    (tmp_path / "there").mkdir(mode=0o700)
    kept = receipt_vectors.kept(tmp_path / "there")
    (tmp_path / "receipt.jsonld").write_text(kept.text, "utf-8")
    command = ["receipt", "verify", str(tmp_path / "receipt.jsonld"), "--key", str(home / "ledger" / "log.vkey")]
    result = CliRunner().invoke(main, command, env={"CONSENT_HOME": str(home)})
    assert result.exit_code == 1
    assert "it is of another ledger" in failed(result)["receipt checkpoint"]
