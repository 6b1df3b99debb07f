"""Somebody takes over a web worker: with all its memory and every file it may read, no hour before can be opened."""

from __future__ import annotations

import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner

from anonymiser.hour_keys import HourKeys
from anonymiser.segments import HEADER_BYTES, SEALED_BYTES, SUITE, Segment, bound, segments
from consent_app.commands import main
from tests.faults.servers import ROOT, environment

# The whole application, at a clock that is moved on; a hoarder keeps what it sealed with.
WORKER = """
import sys
from datetime import datetime, timedelta
from pathlib import Path
from anonymiser.facts import Fact
from consent_app import create_app
from consent_app.rooms import NAME
from consent_app.settings import Settings

now, hoarded = datetime.fromisoformat(sys.argv[2]), []
app = create_app(Settings.from_environment({}, home=Path(sys.argv[1]), clock=lambda: now, mix_beacons=4))
spool, client = app.extensions[NAME].spool, app.test_client()
for hour in range(4):
    for number in range(40):
        spool.add([Fact("kent", "2026-11-23", "views", f"/page-{number}", "", 1)])
    assert client.get("/cookies?site=kent").status_code == 200
    if sys.argv[3] == "hoarder":
        hoarded.append(spool._writer)
    if hour < 3:
        now += timedelta(hours=1)
print("there", flush=True)
sys.stdin.read()
"""


def memory(process: int) -> bytes:
    """Every byte of a process that can be read."""
    found = []
    with Path(f"/proc/{process}/mem").open("rb", 0) as all_of_it:
        for line in Path(f"/proc/{process}/maps").read_text().splitlines():
            part = re.match(r"([0-9a-f]+)-([0-9a-f]+) r", line)
            if part and "[v" not in line:
                start, end = (int(text, 16) for text in part.groups())
                all_of_it.seek(start)
                found.append(all_of_it.read(end - start))
    return b"".join(found)


def key_of(segment: Segment, keys: HourKeys) -> bytes:
    """What its facts are sealed with, as only the batch can know."""
    content, private = segment.path.read_bytes(), keys.private_key(segment.hour)
    assert private
    header, sealed = content[:HEADER_BYTES], content[HEADER_BYTES : HEADER_BYTES + SEALED_BYTES]
    return SUITE.decrypt(sealed, private, info=bound(header, segment.id))


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="only Linux shows a process its child's memory")
@pytest.mark.parametrize("kind,opens", [("worker", [False, False, False, True]), ("hoarder", [True] * 4)])
def test_a_worker_that_is_taken_over_cannot_read_an_hour_that_is_over(
    tmp_path: Path, kind: str, opens: list[bool]
) -> None:
    home = tmp_path / "home"
    assert CliRunner().invoke(main, ["init"], env={"CONSENT_HOME": str(home)}).exit_code == 0
    at = datetime(2026, 11, 23, 9, 5, tzinfo=UTC)
    keys = HourKeys(home / "private")
    keys.provide(home / "spool", at)
    command = [sys.executable, "-c", WORKER, str(home), at.isoformat(), kind]
    with subprocess.Popen(
        command, cwd=ROOT, env=environment(home), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as worker:
        assert worker.stdout and worker.stdout.readline() == "there\n"
        held = memory(worker.pid)
        worker.kill()
    found = segments(home / "spool")
    assert [segment.hour.hour for segment in found] == [9, 10, 11, 12]
    assert [key_of(segment, keys) in held for segment in found] == opens
    # The service's unit takes `private` out of its sight (deploy/systemd): what is left is every other file.
    files = b"".join(f.read_bytes() for f in home.rglob("*") if f.is_file() and home / "private" not in f.parents)
    for segment in found:
        private = keys.private_key(segment.hour)
        assert private
        for spelling in (private.private_bytes_raw(), private.private_bytes_raw().hex().encode()):
            assert spelling not in held and spelling not in files
        assert key_of(segment, keys) not in files
