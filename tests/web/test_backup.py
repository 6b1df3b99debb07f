"""A home is backed up while it is used, restored into an empty place, and keeps its promises there."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import tarfile
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from anonymiser.facts import Fact
from anonymiser.hour_keys import HourKeys
from anonymiser.spool import Spool
from consent_app import backup, bundle
from consent_app.commands import main
from consent_app.errors import SettingsError
from consent_app.ledger import ConsentRecord, Ledger
from consent_app.settings import Settings
from tests.web.conftest import keep_banner
from tests.web.ledger_places import Place, Server
from tests.web.ledger_records import TEXT, given

CANARY = "canary-of-the-spool"


def shown(number: int) -> ConsentRecord:
    """A decision that was asked for by today's banner."""
    return replace(given(number), bundle=bundle.sha256())


def run(home: Path, *words: str | Path, code: int = 0) -> str:
    result = CliRunner().invoke(main, [str(word) for word in words], env={"CONSENT_HOME": str(home)})
    assert result.exit_code == code, result.output
    return result.output


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with decisions, published statistics, facts that were counted and facts that still wait."""
    home = tmp_path_factory.mktemp("once") / "used"
    run(home, "init")
    with Ledger(home / "ledger.db") as ledger:
        ledger.archive_notice(TEXT, "2026-11-01")
        keep_banner(home, ledger)
        for number in range(300):
            ledger.append(shown(number))
    now = datetime.now(UTC)
    for days in (3, 0):
        at = now - timedelta(days=days)
        HourKeys(home / "private").provide(home / "spool", at)
        with Spool(home / "spool", clock=lambda at=at: at) as spool:  # type: ignore[misc]
            spool.add([Fact("kent", at.date().isoformat(), "pages", f"/{CANARY}", "", 1)] * 5)
        if days:
            run(home, "batch", "--now", (at + timedelta(hours=2)).isoformat())
            run(home, "batch")
    return home


@pytest.fixture
def used(once: Path, tmp_path: Path) -> Path:
    """A copy of it to work on."""
    return Path(shutil.copytree(once, tmp_path / "used"))


def saved(home: Path, folder: Path) -> tuple[Path, Path]:
    files = folder / "home.tar", folder / "secrets.tar"
    run(home, "backup", files[0])
    run(home, "backup", "--secrets", files[1])
    return files


def test_a_restored_home_verifies_and_goes_on(used: Path, tmp_path: Path) -> None:
    files = saved(used, tmp_path)
    run(used, "restore", *files, "--home", tmp_path / "new")
    assert "FAIL" not in run(tmp_path / "new", "verify")
    run(tmp_path / "new", "batch")
    with Ledger(tmp_path / "new" / "ledger.db") as ledger:
        assert len(ledger.history(given(299).id)) == 1
        ledger.append(shown(300))
        ledger.sequence()
    assert "FAIL" not in run(tmp_path / "new", "verify")
    kept = (used / "ledger" / "checkpoint").rename(tmp_path / "kept.checkpoint")
    assert "FAIL" not in run(tmp_path / "new", "verify", "--since", kept)


def test_a_home_of_two_years_comes_back_with_both_logs(tmp_path: Path) -> None:
    home, new = tmp_path / "home", tmp_path / "new"
    run(home, "init")
    with Ledger(home / "ledger.db", clock=last_year) as ledger:
        ledger.archive_notice(TEXT, "2026-11-01")
        keep_banner(home, ledger)
        ledger.append(shown(1))
        ledger.sequence()
        proof = ledger.proof(given(1).id)
    with Ledger(home / "ledger.db") as ledger:
        ledger.append(shown(2))
        ledger.sequence()
        years = [log.year for log in ledger.logs()]
    assert len(years) == 2
    files = saved(home, tmp_path)
    assert {"ledger/checkpoint", f"ledger/{years[1]}/checkpoint", f"ledger/{years[1]}/previous.json"} <= names_in(
        files[0]
    )
    run(new, "restore", *files, "--home", new)
    with Ledger(new / "ledger.db") as ledger:
        ledger.append(shown(3))
        ledger.sequence()
        assert [log.year for log in ledger.logs()] == years, "the new year's log goes on, and is not begun again"
        assert proof is not None
        assert ledger.verify_proof("of last year", proof.text).ok
    for kept in ("checkpoint", f"{years[1]}/checkpoint"):
        assert "FAIL" not in run(new, "verify", "--since", home / "ledger" / kept)


def last_year() -> datetime:
    """The first of May of the year before."""
    return datetime(datetime.now(UTC).year - 1, 5, 1, tzinfo=UTC)


def names_in(file: Path) -> set[str]:
    with tarfile.open(file) as archive:
        return set(archive.getnames())


def test_only_their_owner_reads_them(used: Path, tmp_path: Path) -> None:
    files = saved(used, tmp_path)
    run(used, "restore", *files, "--home", tmp_path / "new")
    modes = {stat.S_IMODE(path.stat().st_mode) for path in (*files, *(tmp_path / "new").rglob("*"), tmp_path / "new")}
    assert modes <= {0o600, 0o700}


def test_what_is_removed_does_not_live_on_in_a_backup(used: Path, tmp_path: Path) -> None:
    files = saved(used, tmp_path)
    home, secrets = (names_in(file) for file in files)
    names = home | secrets
    assert {"sites.toml", "ledger.db", "ledger/checkpoint", "private/budget.db", "secrets/ledger.keys"} <= names
    assert not [name for name in names if name.startswith("spool") or "hour" in name or "holding" in name]
    assert not any(CANARY.encode() in file.read_bytes() for file in files)
    assert {name for name in secrets if not name.startswith("secrets/")} == {"manifest.json"}
    assert not [name for name in home if name.startswith("secrets")]


def test_an_erased_record_is_in_no_later_backup(used: Path, tmp_path: Path) -> None:
    with Ledger(used / "ledger.db") as ledger:
        ledger.erase(given(7).id)
    assert given(7).id.encode() not in saved(used, tmp_path)[0].read_bytes()


def test_a_backup_of_a_busy_home_verifies(used: Path, tmp_path: Path) -> None:
    stop = threading.Event()

    def write() -> None:
        with Ledger(used / "ledger.db") as ledger:
            number = 1000
            while not stop.wait(0.01):
                ledger.append(shown(number := number + 1))

    writer = threading.Thread(target=write)
    writer.start()
    try:
        run(used, "restore", *saved(used, tmp_path), "--home", tmp_path / "new")
        with Ledger(tmp_path / "new" / "ledger.db") as ledger:
            ledger.sequence()
        assert "FAIL" not in run(tmp_path / "new", "verify")
    finally:
        stop.set()
        writer.join()


@pytest.mark.parametrize("place", [b"SQLite format 3", b"[site.kent]", b"sites.toml", b'"consent-backup 1"', b"ustar"])
def test_a_damaged_backup_is_refused_and_leaves_nothing(used: Path, tmp_path: Path, place: bytes) -> None:
    file, _ = saved(used, tmp_path)
    content = bytearray(file.read_bytes())
    content[content.index(place) + 3] ^= 1
    file.write_bytes(content)
    assert "use another" in run(used, "restore", file, "--home", tmp_path / "new", code=2)
    assert not (tmp_path / "new").exists()
    assert not list(tmp_path.glob(".new*"))


@pytest.mark.parametrize("cut", [0, 100, 5000, 30_000])
def test_a_cut_backup_is_refused(used: Path, tmp_path: Path, cut: int) -> None:
    file, _ = saved(used, tmp_path)
    os.truncate(file, cut)
    assert "use another" in run(used, "restore", file, "--home", tmp_path / "new", code=2)


def test_a_member_that_leads_out_is_refused(tmp_path: Path) -> None:
    for name in ("../out", "/tmp/out", "a/../../out"):
        with pytest.raises(ValueError, match="leads out"):
            backup._put(tmp_path, name, b"")


def test_nothing_is_overwritten(used: Path, tmp_path: Path) -> None:
    file, _ = saved(used, tmp_path)
    assert "is there already" in run(used, "backup", file, code=2)
    assert "is there already" in run(used, "restore", file, "--home", used, code=2)
    with pytest.raises(SettingsError, match="there already"):
        backup.save(Settings.from_environment({}, home=used), file, secrets=False)


def test_a_home_with_its_ledger_in_postgresql_comes_back_whole(tmp_path: Path, postgresql: Server) -> None:
    """As docs/operations.md says: the home, its secrets, then the database, each into an empty place."""
    first, second = (Place(tmp_path, postgresql, postgresql.make("template0")) for _ in range(2))
    home = tmp_path / "home"
    assert_done(home, first.url, "init")
    with Ledger(home / "ledger.db", first.url, clock=last_year) as ledger:
        ledger.archive_notice(TEXT, "2026-11-01")
        keep_banner(home, ledger)
        for number in range(20):
            ledger.append(shown(number))
    at = datetime.now(UTC) - timedelta(hours=3)
    HourKeys(home / "private").provide(home / "spool", at)
    with Spool(home / "spool", clock=lambda: at) as spool:
        spool.add([Fact("kent", at.date().isoformat(), "pages", f"/{CANARY}", "", 1)] * 5)
    assert_done(home, first.url, "batch")
    files = tmp_path / "home.tar", tmp_path / "secrets.tar"
    said = assert_done(home, first.url, "backup", files[0])
    assert "back them up with pg_dump" in said
    assert_done(home, first.url, "backup", "--secrets", files[1])
    dumped = psql(postgresql, "pg_dump", first.url)
    assert not any(CANARY.encode() in content for content in (*(file.read_bytes() for file in files), dumped))
    assert "ledger.db" not in names_in(files[0])
    assert_done(home, "", "restore", *files, "--home", tmp_path / "new")
    psql(postgresql, "psql", second.url, dumped)
    assert "FAIL" not in assert_done(tmp_path / "new", second.url, "verify")
    assert_done(tmp_path / "new", second.url, "batch")
    with Ledger(tmp_path / "new" / "ledger.db", second.url) as ledger:
        assert len(ledger.history(given(19).id)) == 1
        ledger.append(shown(300))
        ledger.sequence()
        assert len(ledger.logs()) == 2
    assert "FAIL" not in assert_done(tmp_path / "new", second.url, "verify")


def psql(server: Server, program: str, url: str, content: bytes = b"") -> bytes:
    command = [str(server._bin / program), *(["-q", "-v", "ON_ERROR_STOP=1"] if program == "psql" else []), url]
    return subprocess.run(command, input=content, capture_output=True, check=True).stdout


def assert_done(home: Path, url: str, *words: str | Path) -> str:
    environment = {"CONSENT_HOME": str(home), "CONSENT_LEDGER_URL": url}
    result = CliRunner().invoke(main, [str(word) for word in words], env=environment)
    assert result.exit_code == 0, result.output
    return result.output
