"""Witnesses: a real cosigned checkpoint, the protocol's every answer, and two installations that watch each other."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from threading import Barrier, Thread
from typing import Final

import pytest
from click.testing import CliRunner
from flask.testing import FlaskClient
from werkzeug.serving import make_server

from consent_app import bundle
from consent_app.commands import main
from consent_app.errors import ProofError
from consent_app.ledger import Ledger
from consent_app.ledger.tlog import merkle
from consent_app.ledger.tlog.checkpoint import Checkpoint, verified
from consent_app.ledger.tlog.cosignature import Cosigner, WitnessKey, cosigned_at
from consent_app.ledger.tlog.note import Signer, Verifier
from consent_app.ledger.tlog.tiles import Tile, Tree, nodes
from consent_app.ledger.tlog.witnessing import SIZE, Request
from consent_app.ledger.witness import Declined, Witness
from consent_app.settings import Settings
from tests.web.conftest import Clock, keep_banner
from tests.web.ledger_records import TEXT, given

# A checkpoint of a public certificate log, cosigned by four public witnesses on 23 May 2026, and their published keys.
REAL: Final = """\
arche2025h1.staging.ct.transparency.dev
1432088532
U7WM79jrzyhGZ5/GUBTpM7NzwdyfFx61t3RovgcC4Ro=

— arche2025h1.staging.ct.transparency.dev zTM8sQAAAZ5W0WdjBAMARjBEAiBjW5IQf9pvsYLfQFX6hoGREPMHbdQ3urbllzalApkptQIgIpwtEroeW2BXaHAI4kJXFbon5Ch9MNL5zRNZ55lvGt0=
— arche2025h1.staging.ct.transparency.dev ui8GwCF1+kWqZrxGdhj4aX3gcw7XUlXQQabg/27lefwhUkzbC3NygNI75MdhL1bfTW9g8Ei59RA23oHP7Ry1k3ZFWwQ=
— transparency.dev/DEV:witness-little-garden 2AQqhwAAAABqEiEgzgFIqqhbUoDwjMWE6UP8nd8/KYTzwZ2rhIgcqoXHAwVkjZr4AscylP3v7sEodkRAErumC2q44vdgJY096st5BQ==
— witness1.smartit.nu/witness1 pIyCDwAAAABqEiEghIp82KWebrw7/oHQwlTAm3g2RKS4+eebl8eO0WH+/iEcxZ75W3u5hNI7TOQtmJbqmNWVuE0tgh0XwzdZsDsUAQ==
— remora.n621.de 2net5wAAAABqEiEgPlfF3V06o0Y+fHM+J5J9s27wgxxcOVSpZ/2g/KSiXCg9DEZI+aVCIobWX9sXTynk5XeU/zZ0WBxtqB0DrAWfBw==
— witness.stagemole.eu Z/euoAAAAABqEiEgw0i+7g2ENfDAWHmtRzCfKTHSDwYDJA2NmKeGi9Y8FtEyOUvVr+AJmIY/2TUFucgKi7lI7cUiOvKFYe/TmN9DAg==
"""  # noqa: E501
LOG_KEY: Final = "arche2025h1.staging.ct.transparency.dev+ba2f06c0+AU0vHmlGCS/PdN8b2OaGmKprLI8HKM+dJ472xgFYh15f"
WITNESS_KEYS: Final = (
    "remora.n621.de+da77ade7+BOvN63jn/bLvkieywe8R6UYAtVtNbZpXh34x7onlmtw2",
    "witness.stagemole.eu+67f7aea0+BEqSG3yu9YrmcM3BHvQYTxwFj3uSWakQepafafpUqklv",
    "transparency.dev/DEV:witness-little-garden+d8042a87+BCtusOxINQNUTN5Oj8HObRkh2yHf/MwYaGX4CPdiVEPM",
    "witness1.smartit.nu/witness1+a48c820f+BPSFWg9G6KPiO7QPryYO5Xq4oYJJ+kAvLKLSimDhoxMO",
)
NOW: Final = datetime(2026, 11, 24, 12, 15, tzinfo=UTC)
SIGNER: Final = Signer("log.example/2026", b"1" * 32)


@pytest.mark.parametrize("text", WITNESS_KEYS)
def test_a_real_cosigned_checkpoint_verifies(text: str) -> None:
    key = WitnessKey.read(text)
    assert str(key) == text
    assert verified(REAL.encode(), [Verifier.read(LOG_KEY)]).size == 1432088532
    assert datetime.fromtimestamp(cosigned_at(REAL.encode(), key), UTC).date().isoformat() == "2026-05-23"


@pytest.mark.parametrize("text", WITNESS_KEYS)
@pytest.mark.parametrize(("before", "after"), [("1432088532", "1432088533"), ("AAAABqEiEg", "AAAABqEiEh")])
def test_a_changed_one_does_not(text: str, before: str, after: str) -> None:
    with pytest.raises(ProofError, match="does not fit the text"):
        cosigned_at(REAL.replace(before, after).encode(), WitnessKey.read(text))


def test_a_key_is_of_one_kind_only() -> None:
    with pytest.raises(ProofError, match="signature type 4"):
        WitnessKey.read(LOG_KEY)
    with pytest.raises(ProofError, match="signature type 1"):
        Verifier.read(WITNESS_KEYS[0])
    with pytest.raises(ProofError, match="not cosigned by nobody"):
        cosigned_at(REAL.encode(), WitnessKey("nobody.example", bytes(32)))


class Log:
    """A log in memory, with its proofs."""

    def __init__(self, entries: Sequence[bytes], signer: Signer = SIGNER) -> None:
        self._tiles: dict[Tile, bytes] = {}
        tree = Tree(self._tiles.__setitem__)
        for entry in entries:
            tree.add(entry)
        self._tiles |= dict(tree.partial())
        self.size = tree.size
        self.note = signer.sign(Checkpoint(signer.verifier.name, tree.size, tree.root()).text).encode()

    def asks(self, old: int) -> bytes:
        """The body of a request from there."""
        path = merkle.consistency_proof(old, self.size, nodes(self.size, self._tiles.__getitem__)) if old else []
        return Request(old, tuple(path), self.note).text


ENTRIES: Final = [bytes([number]) for number in range(40)]


@pytest.fixture
def witness(settings: Settings) -> Witness:
    made = Witness.make(settings, "witness.example/w1")
    assert made.know(f"{SIGNER.verifier}\n") == SIGNER.verifier.name
    return made


def refused(witness: Witness, body: bytes) -> tuple[int, int | None]:
    with pytest.raises(Declined) as declined:
        witness.cosign(body, NOW)
    return declined.value.status, declined.value.size


def test_a_witness_signs_what_goes_on(witness: Witness, settings: Settings) -> None:
    for size, old in ((3, 0), (8, 3), (8, 8), (40, 8)):
        log = Log(ENTRIES[:size])
        line = Witness.of(settings).cosign(log.asks(old), NOW)
        assert cosigned_at(log.note + line.encode(), witness.key) == int(NOW.timestamp())


def test_a_witness_never_signs_another_history(witness: Witness) -> None:
    witness.cosign(Log(ENTRIES[:8]).asks(0), NOW)
    forked = [*ENTRIES[:5], b"another", *ENTRIES[6:]]
    assert refused(witness, Log(forked).asks(8)) == (422, None)
    assert refused(witness, Log(forked[:8]).asks(8)) == (409, None)
    assert refused(witness, Log(ENTRIES[:5]).asks(0)) == (409, 8)
    witness.cosign(Log(ENTRIES).asks(8), NOW)


def test_every_refusal_of_the_protocol(witness: Witness) -> None:
    stranger = Signer("other.example/log", b"2" * 32)
    imposter = Signer(SIGNER.verifier.name, b"3" * 32)
    assert refused(witness, b"") == (400, None)
    assert refused(witness, b"old 01\n\n" + Log(ENTRIES).note) == (400, None)
    assert refused(witness, b"old 0\n" + b"AAAA\n" * 64 + b"\n" + Log(ENTRIES).note) == (400, None)
    assert refused(witness, Log(ENTRIES, stranger).asks(0)) == (404, None)
    assert refused(witness, Log(ENTRIES, imposter).asks(0)) == (403, None)
    witness.cosign(Log(ENTRIES[:8]).asks(0), NOW)
    assert refused(witness, b"old 41\n\n" + Log(ENTRIES).note) == (400, None)
    assert refused(witness, Log(ENTRIES).asks(0)) == (409, 8)
    assert refused(witness, Log(ENTRIES).asks(5)) == (409, 8)
    assert refused(witness, b"old 8\n\n" + Log(ENTRIES).note) == (422, None)


def test_the_first_needs_no_proof(witness: Witness) -> None:
    log = Log(ENTRIES)
    assert refused(witness, log.asks(8).replace(b"old 8\n", b"old 0\n")) == (422, None)


def test_of_two_histories_at_once_one_is_signed(settings: Settings, witness: Witness) -> None:
    logs = [Log([*ENTRIES, bytes([200 + number])]) for number in range(8)]
    start = Barrier(len(logs))

    def ask(log: Log) -> int:
        start.wait()
        with suppress(Declined):
            Witness.of(settings).cosign(log.asks(0), NOW)
            return 1
        return 0

    with ThreadPoolExecutor(len(logs)) as pool:
        assert sum(pool.map(ask, logs)) == 1


def test_a_damaged_memory_signs_nothing(settings: Settings, witness: Witness) -> None:
    (settings.home / "witness" / "heads.json").write_text('{"log": 3}', "utf-8")
    with pytest.raises(Exception, match=r"heads\.json is damaged"):
        witness.cosign(Log(ENTRIES).asks(0), NOW)


def test_over_http_a_refusal_names_the_size(client: FlaskClient, witness: Witness) -> None:
    answer = client.post("/witness/add-checkpoint", data=Log(ENTRIES[:8]).asks(0))
    assert (answer.status_code, answer.text.split()[1]) == (200, "witness.example/w1")
    answer = client.post("/witness/add-checkpoint", data=Log(ENTRIES).asks(0))
    assert (answer.status_code, answer.text, answer.content_type) == (409, "8\n", SIZE)
    assert client.get("/witness/witness.vkey").text == f"{witness.key}\n"
    assert client.post("/witness/add-checkpoint", data=b"x" * 70_000).status_code == 413


def test_without_a_witness_nothing_is_cosigned(client: FlaskClient) -> None:
    assert client.post("/witness/add-checkpoint", data=Log(ENTRIES).asks(0)).status_code == 404
    assert client.get("/ledger/cosigned.00000000").status_code == 404
    assert client.get("/ledger/cosigned.../../users").status_code == 404


# -- two installations ------------------------------------------------------------------------------------------------

Run = Callable[..., str]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run `consent` in the home of the one that is watched."""

    def command(*words: str | Path, code: int = 0, home: str = "ours") -> str:
        env = {"CONSENT_HOME": str(tmp_path / home)}
        result = CliRunner().invoke(main, [str(word) for word in words], env=env, catch_exceptions=False)
        assert result.exit_code == code, result.output
        return result.output

    return command


@pytest.fixture
def ours(run: Run, tmp_path: Path) -> Path:
    """A home with a signed log."""
    run("init")
    append(tmp_path / "ours", 1)
    return tmp_path / "ours"


@pytest.fixture
def partner(home: Path, settings: Settings, make_app: Callable[[Settings], object], clock: Clock) -> Iterator[str]:
    """Another installation, reached over the network, that is a witness."""
    server = make_server("127.0.0.1", 0, make_app(settings), threaded=True)  # type: ignore[arg-type]
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/witness"
    server.shutdown()
    thread.join()
    server.server_close()


def append(home: Path, number: int) -> None:
    with Ledger(home / "ledger.db") as ledger:
        ledger.archive_notice(TEXT, "2026-11-01")
        keep_banner(home, ledger)
        ledger.append(replace(given(number), bundle=bundle.sha256()))
        ledger.sequence()


def test_a_partner_keeps_our_log_honest(run: Run, ours: Path, home: Path, partner: str, tmp_path: Path) -> None:
    vkey = tmp_path / "w.vkey"
    vkey.write_text(run("witness", "init", "partner.example/w", home="home").splitlines()[0], "utf-8")
    run("witness", "know", ours / "ledger" / "log.vkey", home="home")
    run("witness", "add", partner, vkey)
    assert "FAIL ledger witness: partner.example/w: it has cosigned nothing yet" in run("verify", code=1)
    assert "ok   witness: partner.example/w cosigned 1 entries" in run("witness", "ask")
    shutil.copytree(ours, tmp_path / "backup")
    append(ours, 2)
    assert "cosigned 2 entries" in run("witness", "ask")
    append(ours, 3)
    assert "ok   ledger witness: partner.example/w cosigned 2 entries at 2026-11-24 12:15 UTC" in run("verify")
    (ours / "ledger" / next(iter((ours / "ledger").glob("cosigned.*"))).name).unlink()
    run("batch")
    assert "cosigned 3 entries" in run("verify"), "the witness said how far it was, and the batch asked it"

    shutil.rmtree(ours)
    shutil.copytree(tmp_path / "backup", ours)
    assert "has cosigned 3 entries of this log, now it has 1: an older copy was put back" in run(
        "witness", "ask", code=1
    )
    for number in (7, 8, 9):
        append(ours, number)
    assert "did not cosign: 422" in run("witness", "ask", code=1)


def test_a_new_year_is_cosigned_too_by_the_key_that_was_given_once(
    run: Run, ours: Path, partner: str, tmp_path: Path
) -> None:
    vkey = tmp_path / "w.vkey"
    vkey.write_text(run("witness", "init", "partner.example/w", home="home").splitlines()[0], "utf-8")
    run("witness", "know", ours / "ledger" / "log.vkey", home="home")
    run("witness", "add", partner, vkey)
    run("witness", "ask")
    append(ours, 2)
    with Ledger(ours / "ledger.db", clock=lambda: datetime(2027, 1, 1, tzinfo=UTC)) as ledger:
        ledger.sequence()
    assert "cosigned 1 entries" in run("verify"), "of last year, until it is asked again"
    assert "ok   witness: partner.example/w cosigned 1 entries" in run("witness", "ask"), "the first of the new year"
    known = [Verifier.read((ours / "ledger" / "log.vkey").read_text())]
    key = WitnessKey.read(vkey.read_text())
    for folder, size in ((ours / "ledger", 2), (ours / "ledger" / "2027", 1)):
        [file] = folder.glob("cosigned.*")
        assert verified(file.read_bytes(), known).size == size, "last year was brought to its end first"
        assert cosigned_at(file.read_bytes(), key)
    assert "ok   ledger witness" in run("verify")


def test_a_witness_that_lies_or_is_away_is_told(run: Run, ours: Path, tmp_path: Path) -> None:
    vkey = tmp_path / "w.vkey"
    vkey.write_text(str(Cosigner("w.example", b"4" * 32).verifier), "utf-8")
    run("witness", "add", "http://127.0.0.1:9/witness", vkey)
    assert "FAIL witness: w.example: http://127.0.0.1:9/witness/add-checkpoint cannot be reached" in run(
        "witness", "ask", code=1
    )
    assert "cannot be reached" in run("batch"), "the batch goes on, and says so"
    assert "no web address" in run("witness", "add", "file:///etc/passwd", vkey, code=2)
    (ours / "ledger" / next(iter([f"cosigned.{WitnessKey.read(vkey.read_text()).key_id.hex()}"]))).write_bytes(
        (ours / "ledger" / "checkpoint").read_bytes() + Cosigner("w.example", b"5" * 32).line("x\n", 1).encode()
    )
    assert "FAIL ledger witness: w.example: it is not cosigned by w.example" in run("verify", code=1)
