"""The signed log over the ledger: what is signed, what is refused, erasure, proofs, and that each check can fail."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from flask import Flask
from flask.testing import FlaskClient

from consent_app.commands import main
from consent_app.errors import LedgerError, NotFoundError, SettingsError
from consent_app.ledger import Ledger, keys
from consent_app.ledger.records import canonical
from consent_app.ledger.shapes import Shapes
from consent_app.ledger.store import TAG
from consent_app.ledger.tlog import tiles
from consent_app.ledger.tlog.checkpoint import Checkpoint, verified
from consent_app.ledger.tlog.note import Signer
from consent_app.ledger.tlog.proof import Proof
from consent_app.rooms import NAME, Rooms
from tests.web.ledger_places import Hand, Place, statements
from tests.web.ledger_records import (
    GIVEN,
    REFUSED,
    REMOVED,
    TEXT,
    failed,
    given,
    verdicts,
)


@pytest.fixture
def ledger(place: Place) -> Iterator[Ledger]:
    """A ledger of six signed entries and one notice."""
    with place.open() as opened:
        opened.archive_notice(TEXT, "2026-11-01")
        for record in (GIVEN, REFUSED, REMOVED, given(1), given(2), given(3)):
            opened.append(record)
        opened.sequence()
        # What a test breaks now, a thread that is still to sign must not mend or sign on.
        opened._background.stop()
        yield opened


def checkpoint(ledger: Ledger) -> Checkpoint:
    note = ledger.published.checkpoint()
    assert note is not None
    return verified(note, keys.read_public(ledger.published.key()))


def signed(ledger: Ledger) -> bytes:
    return ledger.published.checkpoint() or b""


# -- what is signed ---------------------------------------------------------------------------------------------------


def test_a_signed_ledger_holds(ledger: Ledger) -> None:
    assert failed(ledger) == {}
    assert checkpoint(ledger).size == 6
    tree = tiles.Tree()
    for entry in ledger.entries():
        tree.add(entry.leaf)
    assert checkpoint(ledger).root == tree.root()
    assert tiles.unbundle(ledger.published.tile(tiles.Tile(tiles.ENTRIES, 0, 6))) == [e.leaf for e in ledger.entries()]


def test_what_is_appended_is_signed_by_itself(place: Place) -> None:
    with place.open() as ledger:
        ledger.append(GIVEN)
    with place.open() as ledger:
        assert checkpoint(ledger).size == 1
        assert ledger.sequence() == 1
        assert failed(ledger) == {"notice archive": failed(ledger)["notice archive"]}


def test_the_key_is_its_owners_alone_and_the_log_keeps_its_name(ledger: Ledger, tmp_path: Path) -> None:
    file = tmp_path / "secrets" / "ledger.keys"
    assert file.stat().st_mode & 0o777 == 0o600
    name = checkpoint(ledger).origin
    keys_before = file.read_text("utf-8")
    file.write_text(keys_before + f"2027-01-01 {'B' * 43}=\n", "utf-8")
    before = signed(ledger)
    ledger.append(given(9))
    assert ledger.sequence() == 7
    assert checkpoint(ledger).origin == name
    assert failed(ledger, before) == {}
    file.chmod(0o644)
    ledger.append(given(10))
    with pytest.raises(SettingsError, match="chmod 600"):
        ledger.sequence()


def test_a_batch_may_be_larger_than_one_checkpoint(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("consent_app.ledger.sequencer.BATCH", 100)
    for number in range(300):
        ledger.append(given(100 + number))
    assert ledger.sequence() == 306
    assert failed(ledger) == {}
    assert not (ledger.published.folder / "tile" / "0" / "000.p").exists(), "forerunners of a full tile are removed"


@pytest.mark.slow
def test_a_tree_of_many_levels_is_published(place: Place) -> None:
    """66,000 leaves put in by SQL: three levels of tiles."""
    with place.open() as ledger:
        rows = [(seq, "consent", hashlib.sha256(b"%d" % seq).digest()) for seq in range(66_000)]
        with place.raw() as hand:
            hand.executemany("INSERT INTO entry VALUES (?, ?, ?)", rows)
        assert ledger.sequence() == 66_000
        assert (ledger.published.folder / "tile" / "2" / "000.p" / "1").exists()
        found = verdicts(ledger)
    assert [found[f"ledger {name}"] for name in ("checkpoint", "tail", "tree", "tiles")] == [True] * 4
    assert not found["ledger erasure"], "there are no records"


# -- each check fails when its fact is broken -------------------------------------------------------------------------

SWAP = ("UPDATE {0} SET seq = 99 WHERE seq = 0", "UPDATE {0} SET seq = 0 WHERE seq = 1",
        "UPDATE {0} SET seq = 1 WHERE seq = 99")  # fmt: skip
EDITED = replace(GIVEN, event="withdrawn")


def forge(hand: Hand) -> None:
    """Edit a record as one who knows how its hash is made."""
    nonce, record = b"n" * 32, canonical(EDITED.document())
    hand.execute("UPDATE body SET nonce = ?, record = ? WHERE seq = 0", (nonce, record))
    hand.execute("UPDATE entry SET leaf = ? WHERE seq = 0", (hashlib.sha256(TAG + nonce + record).digest(),))


TAMPERING: dict[str, tuple[str, Callable[[Hand], None], str]] = {
    "row edited": ("ledger entries", statements("UPDATE body SET nonce = zeroblob(32) WHERE seq = 0"), "entry 0"),
    "row edited with its hash": ("ledger tree", forge, "are not those"),
    "row deleted": (
        "ledger sequence",
        statements("DELETE FROM body WHERE seq = 3", "DELETE FROM entry WHERE seq = 3"),
        "entry 3 is missing",
    ),
    "record deleted": ("ledger erasure", statements("DELETE FROM body WHERE seq = 3"), "record of entry 3 is gone"),
    "rows reordered": (
        "ledger tree",
        statements(*(text.format(table) for table in ("entry", "body") for text in SWAP)),
        "are not those",
    ),
    "tail cut": ("ledger tail", statements("DELETE FROM body WHERE seq > 3", "DELETE FROM entry WHERE seq > 3"), "cut"),
    "head edited": ("ledger tree", statements("UPDATE head SET root = zeroblob(32)"), "are not those"),
    "notice text changed": ("notice texts", statements("UPDATE notice SET text = text || '!'"), "is not the text"),
    "notice gone": ("notice archive", statements("DELETE FROM notice"), "not archived"),
    "wrong subject": ("ledger schema", statements("UPDATE body SET subject = 'x' WHERE seq = 4"), "another id"),
    "false tombstone": ("ledger erasure", statements("INSERT INTO erased VALUES (1, 2)"), "not in both"),
}


@pytest.mark.parametrize(("check", "change", "words"), TAMPERING.values(), ids=TAMPERING.keys())
def test_tampering_is_found(
    ledger: Ledger, place: Place, check: str, change: Callable[[Hand], None], words: str
) -> None:
    assert verdicts(ledger)[check]
    with place.by_hand() as hand:
        change(hand)
    assert words in failed(ledger)[check]


DISARMED = {
    "sqlite": ["DROP TRIGGER body_keeps_on_delete"],
    "postgresql": [
        "DROP TRIGGER body_keeps_on_delete ON body",
        "DROP TRIGGER entry_keeps_on_truncate ON entry",
        "ALTER TABLE entry DISABLE TRIGGER entry_keeps_on_update",
        "ALTER TABLE head DISABLE TRIGGER ALL",
        "CREATE OR REPLACE FUNCTION ledger_keeps() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
        "CREATE OR REPLACE TRIGGER notice_keeps_on_update BEFORE UPDATE ON notice FOR EACH ROW WHEN (OLD.text = '') "
        "EXECUTE FUNCTION ledger_keeps()",
    ],
}


@pytest.mark.parametrize(("kind", "statement"), [(kind, text) for kind, texts in DISARMED.items() for text in texts])
def test_a_guard_that_is_gone_or_changed_is_found(
    request: pytest.FixtureRequest, tmp_path: Path, kind: str, statement: str
) -> None:
    place = Place.new(tmp_path, request.getfixturevalue("postgresql") if kind == "postgresql" else None)
    with place.open() as ledger:
        assert failed(ledger) == {}
        with place.raw() as hand:
            hand.execute(statement)
        assert set(failed(ledger)) == {"ledger guard"}


def test_a_changed_or_lost_tile_is_found(ledger: Ledger) -> None:
    tile = ledger.published.folder / tiles.Tile(0, 0, 6).path
    content = tile.read_bytes()
    tile.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert set(failed(ledger)) == {"ledger tiles"}
    tile.unlink()
    assert "not there" in failed(ledger)["ledger tiles"]


def test_a_changed_checkpoint_is_found(ledger: Ledger) -> None:
    note = signed(ledger)
    ledger.published.replace("checkpoint", note.replace(b"\n6\n", b"\n5\n"))
    assert "does not fit" in failed(ledger)["ledger checkpoint"]


def test_a_checkpoint_that_is_gone_is_found(ledger: Ledger) -> None:
    (ledger.published.folder / "checkpoint").unlink()
    assert "nothing is signed" in failed(ledger)["ledger tail"]


def test_a_checkpoint_by_another_key_is_found(ledger: Ledger) -> None:
    origin = checkpoint(ledger).origin
    forged = Signer(origin, bytes(32)).sign(Checkpoint(origin, 6, checkpoint(ledger).root).text)
    ledger.published.replace("checkpoint", forged.encode())
    assert "not signed by a known key" in failed(ledger)["ledger checkpoint"]


def test_an_old_copy_restored_is_found_by_a_checkpoint_kept_elsewhere(place: Place, tmp_path: Path) -> None:
    place = place.beside("home")
    with place.open() as ledger:
        ledger.archive_notice(TEXT, "2026-11-01")
        ledger.append(GIVEN)
        ledger.sequence()
        early = signed(ledger)
    backup = place.copy(tmp_path / "backup")
    with place.open() as ledger:
        ledger.append(given(1))
        ledger.sequence()
        kept = signed(ledger)
        assert failed(ledger, early) == failed(ledger, kept) == {}
    with backup.open() as ledger:
        assert failed(ledger) == {}, "an old copy looks whole by itself"
        assert "older copy" in failed(ledger, kept)["ledger since"]
        ledger.append(given(2))
        ledger.sequence()
        assert "not those that were signed then" in failed(ledger, kept)["ledger since"]
        assert failed(ledger, early) == {}


def test_a_checkpoint_of_another_ledger_is_no_earlier_one(ledger: Ledger, place: Place) -> None:
    with place.beside("other").open() as other:
        other.append(GIVEN)
        other.sequence()
        assert "none of this ledger" in failed(ledger, signed(other))["ledger since"]


# -- what is refused --------------------------------------------------------------------------------------------------

INCONSISTENT: dict[str, tuple[str, ...]] = {
    "an entry edited": ("UPDATE entry SET leaf = zeroblob(32) WHERE seq = 0",),
    "an entry deleted": ("DELETE FROM body WHERE seq = 2", "DELETE FROM entry WHERE seq = 2"),
    "the tail cut": ("DELETE FROM body WHERE seq > 2", "DELETE FROM entry WHERE seq > 2"),
    "another head": ("INSERT INTO head VALUES (7, zeroblob(32))",),
}


@pytest.mark.parametrize("change", INCONSISTENT.values(), ids=INCONSISTENT.keys())
def test_nothing_is_signed_on_top_of_another_history(ledger: Ledger, place: Place, change: tuple[str, ...]) -> None:
    before = signed(ledger)
    with place.by_hand() as hand:
        statements(*change)(hand)
    with place.open() as restarted:
        restarted.append(given(50))
        with pytest.raises(LedgerError, match="nothing is signed"):
            restarted.sequence()
    assert signed(ledger) == before


def test_without_its_key_nothing_is_signed_and_no_other_is_made(ledger: Ledger, tmp_path: Path) -> None:
    file = tmp_path / "secrets" / "ledger.keys"
    file.unlink()
    ledger.append(given(50))
    with pytest.raises(LedgerError, match="restore it from a backup"):
        ledger.sequence()
    assert not file.exists()
    keys.make(file)
    with pytest.raises(LedgerError, match="not signed by a known key"):
        ledger.sequence()


# -- erasure ----------------------------------------------------------------------------------------------------------


def test_an_erased_record_leaves_its_hash_and_a_tombstone(ledger: Ledger) -> None:
    later = replace(GIVEN, event="withdrawn", time="2026-11-24T10:00:00Z")
    ledger.append(later)
    ledger.sequence()
    before, proof = signed(ledger), ledger.proof(GIVEN.id)
    assert proof is not None
    tombstone = ledger.erase(GIVEN.id)
    assert tombstone is not None
    assert tombstone.record["entries"] == [0, 6]
    assert ledger.history(GIVEN.id) == []
    assert ledger.erase(GIVEN.id) is None
    assert ledger.sequence() == 8
    assert failed(ledger, before) == {}
    assert ledger.verify_proof("old", proof.text).ok, "a receipt from before stays valid"
    with pytest.raises(NotFoundError):
        ledger.proof(GIVEN.id)


def test_no_byte_of_an_erased_record_is_left(tmp_path: Path) -> None:
    """In the file; what PostgreSQL keeps docs/ledger.md says."""
    ledger = Ledger(tmp_path / "ledger.db")
    for record in (GIVEN, REFUSED, given(1)):
        ledger.append(record)
    ledger.sequence()
    with closing(sqlite3.connect(tmp_path / "ledger.db")) as raw:
        (nonce,) = raw.execute("SELECT nonce FROM body WHERE seq = 0").fetchone()
    canaries = (GIVEN.id.encode(), bytes.fromhex(GIVEN.id), nonce)

    def found() -> list[str]:
        files = [path for path in tmp_path.rglob("*") if path.is_file()]
        return [path.name for path in files for canary in canaries if canary in path.read_bytes()]

    assert found()
    ledger.erase(GIVEN.id)
    assert found() == []
    ledger.sequence()
    assert found() == []
    ledger.close()


def test_a_removal_cannot_be_erased(ledger: Ledger) -> None:
    assert ledger.erase(REMOVED.segment) is None
    assert ledger.removed() == {REMOVED.segment}


# -- from earlier schemas ---------------------------------------------------------------------------------------------

FIRST_SCHEMA = """
CREATE TABLE entry (seq INTEGER NOT NULL, kind TEXT NOT NULL, leaf BLOB NOT NULL, PRIMARY KEY (seq));
CREATE TABLE notice (sha256 TEXT NOT NULL, effective TEXT NOT NULL, text TEXT NOT NULL, PRIMARY KEY (sha256));
CREATE TABLE body (seq INTEGER NOT NULL, subject TEXT, nonce BLOB NOT NULL, record BLOB NOT NULL, PRIMARY KEY (seq),
                   FOREIGN KEY(seq) REFERENCES entry (seq));
CREATE INDEX ix_body_subject ON body (subject);
"""
FIRST_TRIGGER = (
    "CREATE TRIGGER {0}_keeps_on_{1} BEFORE {2} ON {0} BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END"
)


def test_a_ledger_of_the_first_version_opens_and_is_signed(tmp_path: Path) -> None:
    nonce, record = b"n" * 32, canonical(GIVEN.document())
    leaf = hashlib.sha256(TAG + nonce + record).digest()
    with closing(sqlite3.connect(tmp_path / "ledger.db")) as raw:
        raw.executescript(FIRST_SCHEMA)
        for table in ("entry", "body", "notice"):
            for action in ("UPDATE", "DELETE"):
                raw.execute(FIRST_TRIGGER.format(table, action.lower(), action))
        raw.execute("INSERT INTO entry VALUES (0, 'consent', ?)", [leaf])
        raw.execute("INSERT INTO body VALUES (0, ?, ?, ?)", [GIVEN.id, nonce, record])
        raw.execute("INSERT INTO notice VALUES (?, '2026-11-01', ?)", [GIVEN.notice, TEXT])
        raw.commit()
    with Ledger(tmp_path / "ledger.db") as ledger:
        assert set(failed(ledger)) == {"ledger tail"}
        assert ledger.append(GIVEN).seq == 0
        assert ledger.append(REMOVED).seq == 1
        assert ledger.sequence() == 2
        assert failed(ledger) == {}
        assert ledger.erase(GIVEN.id) is not None
    with Ledger(tmp_path / "ledger.db") as ledger:
        assert failed(ledger) == {}


def test_a_ledger_of_a_later_version_is_left_alone(ledger: Ledger, place: Place) -> None:
    ledger.close()
    with place.raw() as hand:
        hand.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(LedgerError, match="later version"):
        place.open()


# -- shapes -----------------------------------------------------------------------------------------------------------


def test_a_good_shape_hides_no_bad_record() -> None:
    shapes = Shapes()
    good = canonical(GIVEN.document())
    assert shapes.read("consent", GIVEN.id, good).notice == GIVEN.notice
    other = canonical(given(7).document())
    assert shapes.read("consent", given(7).id, other).notice == GIVEN.notice
    refused = canonical(REFUSED.document())
    assert shapes.read("consent", None, refused) == shapes.read("consent", None, refused)
    with pytest.raises(LedgerError, match="another id"):
        shapes.read("consent", GIVEN.id, refused)
    for old, new in (
        (b'"id":"' + GIVEN.id.encode(), b'"id":"'),
        (b'"id":"5f', b'"id":"5F'),
        (b"T09:30:12Z", b""),
        (b"T09:30:12Z", b"T24:30:12Z"),
        (b"2026-11-23T", b"2026-11-31T"),
        (b'"id":"', b'"id" :"'),
        (b'"language":"en"', b'"language":"e"'),
        (b'"id":"5f', b'"id":"5f","id":"5f'),
        (b',"time":"', b',"time":"2026-11-23T09:30:12Z","time":"'),
    ):
        assert old in good
        with pytest.raises(LedgerError):
            shapes.read("consent", GIVEN.id, good.replace(old, new))
    with pytest.raises(LedgerError, match="another id"):
        shapes.read("consent", GIVEN.id, other)
    with pytest.raises(LedgerError, match="another id"):
        shapes.read("consent", None, other)


# -- proofs -----------------------------------------------------------------------------------------------------------


def test_every_record_has_a_proof_that_verifies_without_us(ledger: Ledger) -> None:
    known = keys.read_public(ledger.published.key())
    for number in (1, 2, 3):
        proof = ledger.proof(given(number).id)
        assert proof is not None
        record = canonical(given(number).document())
        entry = hashlib.sha256(TAG + proof.extra + record).digest()
        assert Proof.read(proof.text).verify(entry, known).size == 6
        assert ledger.verify_proof("mine", proof.text).ok


def test_a_proof_waits_for_the_signature(ledger: Ledger, place: Place) -> None:
    with place.open() as other:
        seq = other.append(given(60)).seq
        (ledger.published.folder / "checkpoint").write_bytes(signed(ledger))
        assert seq == 6
        waiting = ledger.proof(given(60).id)
        other.sequence()
        assert waiting is None or waiting.index == 6
        assert other.proof(given(60).id) is not None


def test_a_proof_of_another_ledger_is_none_of_ours(ledger: Ledger, place: Place) -> None:
    with place.beside("other").open() as other:
        other.append(GIVEN)
        other.sequence()
        foreign = other.proof(GIVEN.id)
    assert foreign is not None
    said = ledger.verify_proof("foreign", foreign.text)
    assert not said.ok
    assert "not signed by a known key" in said.sentence


def test_a_proof_of_a_rewritten_entry_fails(ledger: Ledger, place: Place) -> None:
    proof = ledger.proof(GIVEN.id)
    assert proof is not None
    with place.by_hand() as hand:
        forge(hand)
    assert not ledger.verify_proof("mine", proof.text).ok
    assert not ledger.verify_proof("junk", b"junk").ok


# -- over HTTP --------------------------------------------------------------------------------------------------------


@pytest.fixture
def here(app: Flask) -> Rooms:
    rooms: Rooms = app.extensions[NAME]
    return rooms


def test_the_log_is_public_and_its_tiles_rebuild_it(client: FlaskClient, here: Rooms) -> None:
    assert client.get("/ledger/checkpoint").status_code == 404
    for number in range(300):
        here.ledger.append(given(number))
    here.ledger.sequence()
    answer = client.get("/ledger/checkpoint")
    assert (answer.status_code, answer.content_type) == (200, "text/plain; charset=utf-8")
    said = verified(answer.data, keys.read_public(client.get("/ledger/log.vkey").text))
    tree = tiles.Tree()
    for bundle in tiles.bundles_of(said.size):
        got = client.get(f"/ledger/{bundle.path}")
        assert got.content_type == "application/octet-stream"
        for entry in tiles.unbundle(got.data):
            tree.add(entry)
    assert (tree.size, tree.root()) == (said.size, said.root)
    assert said.size == 300
    for tile in tiles.tiles_of(said.size):
        assert client.get(f"/ledger/{tile.path}").status_code == 200
    assert GIVEN.id.encode() not in got.data


@pytest.mark.parametrize(
    "path", ["tile/0/000", "tile/0/999", "tile/../../ledger.db", "lock", "tile/0/000.p/7", "../secrets/ledger.keys"]
)
def test_nothing_else_of_the_folder_is_served(client: FlaskClient, here: Rooms, path: str) -> None:
    here.ledger.append(GIVEN)
    here.ledger.sequence()
    assert client.get(f"/ledger/{path}").status_code == 404


def test_a_receipt_has_a_proof_once_it_is_signed(client: FlaskClient, here: Rooms) -> None:
    address = f"/v1/receipts/{GIVEN.id}.tlog-proof"
    assert client.get(address).status_code == 404
    here.ledger.append(GIVEN)
    while (answer := client.get(address)).status_code == 202:
        assert answer.get_json() == {"receipt": GIVEN.id, "signed": False}
    known = keys.read_public(client.get("/ledger/log.vkey").text)
    proof = Proof.read(answer.data)
    entry = hashlib.sha256(TAG + proof.extra + canonical(GIVEN.document())).digest()
    assert proof.verify(entry, known).size == 1
    assert client.get(f"{address}?entry=0").data == answer.data
    assert client.get(f"{address}?entry=1").status_code == 404
    assert client.get(f"{address}?entry=-1").status_code == 422
    assert client.get("/v1/receipts/x.tlog-proof").status_code == 404


# -- commands ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def run(ledger: Ledger, place: Place) -> Callable[..., Result]:
    environment = {"CONSENT_HOME": str(place.home), "CONSENT_LEDGER_URL": place.url}

    def call(*words: object, code: int = 0) -> Result:
        result = CliRunner().invoke(main, [str(word) for word in words], env=environment)
        assert result.exit_code == code, result.output
        return result

    return call


def test_an_exported_copy_is_verified_without_the_home(
    ledger: Ledger, tmp_path: Path, run: Callable[..., Result]
) -> None:
    early = tmp_path / "early.checkpoint"
    early.write_bytes(signed(ledger))
    ledger.append(given(70))
    ledger.erase(given(1).id)
    ledger.sequence()
    copy, key = tmp_path / "copy", tmp_path / "key"
    key.write_text(ledger.published.key())
    assert "Copied 8 entries" in run("ledger", "export", copy, "--records").output
    assert "nothing is overwritten" in run("ledger", "export", copy, code=2).stderr
    said = run("ledger", "verify", copy, "--key", key, "--since", early).output
    assert said.count("ok  ") == 4 and "FAIL" not in said
    assert "1 are erased" in said
    assert "the key that came with the copy" in run("ledger", "verify", copy).output
    key.write_text(str(Signer("consent.invalid/ledger/0", bytes(32)).verifier))
    assert "FAIL export checkpoint" in run("ledger", "verify", copy, "--key", key, code=1).output


BROKEN: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "export tree": ("tile/entries/000.p/6", lambda content: content[:-1] + bytes([content[-1] ^ 1])),
    "export checkpoint": ("checkpoint", lambda content: content.replace(b"\n6\n", b"\n5\n")),
    "export records": ("records.jsonl", lambda content: content.replace(b"Kent", b"Kant", 1)),
    "export records ": ("records.jsonl", lambda content: content.partition(b"\n")[2]),
    "export tree ": ("tile/0/000.p/6", lambda content: content[:-1] + bytes([content[-1] ^ 1])),
}


@pytest.mark.parametrize("check", BROKEN)
def test_a_changed_copy_fails(run: Callable[..., Result], tmp_path: Path, check: str) -> None:
    run("ledger", "export", tmp_path / "copy", "--records")
    name, change = BROKEN[check]
    file = tmp_path / "copy" / name
    changed = change(file.read_bytes())
    assert changed != file.read_bytes()
    file.write_bytes(changed)
    assert f"FAIL {check.strip()}" in run("ledger", "verify", tmp_path / "copy", code=1).output


def test_an_export_shows_no_record_unless_asked(run: Callable[..., Result], tmp_path: Path) -> None:
    run("ledger", "export", tmp_path / "copy")
    assert not (tmp_path / "copy" / "records.jsonl").exists()
    assert GIVEN.id.encode() not in b"".join(p.read_bytes() for p in (tmp_path / "copy").rglob("*") if p.is_file())


def test_verify_takes_a_kept_checkpoint_and_kept_proofs(
    ledger: Ledger, place: Place, tmp_path: Path, run: Callable[..., Result]
) -> None:
    kept, mine, foreign = (tmp_path / name for name in ("kept.checkpoint", "mine.tlog-proof", "foreign.tlog-proof"))
    kept.write_bytes(signed(ledger))
    proof = ledger.proof(GIVEN.id)
    assert proof is not None
    mine.write_bytes(proof.text)
    with place.beside("other").open() as other:
        other.append(GIVEN)
        other.sequence()
        theirs = other.proof(GIVEN.id)
        assert theirs is not None
        foreign.write_bytes(theirs.text)
    said = run("ledger", "verify", "--since", kept, "--proof", mine).output
    assert "ok   ledger since" in said and "ok   ledger proof" in said
    said = run("ledger", "verify", "--proof", mine, "--proof", foreign, code=1).output
    assert said.count("FAIL") == 1 and "FAIL ledger proof: foreign.tlog-proof is no proof of this ledger" in said


def test_verify_finds_a_log_key_that_others_may_read(tmp_path: Path) -> None:
    environment = {"CONSENT_HOME": str(tmp_path / "home")}
    assert CliRunner().invoke(main, ["init"], env=environment).exit_code == 0
    with Ledger(tmp_path / "home" / "ledger.db") as ledger:
        ledger.append(REMOVED)
    before = CliRunner().invoke(main, ["verify"], env=environment)
    assert before.exit_code == 0, before.output
    (tmp_path / "home" / "secrets" / "ledger.keys").chmod(0o640)
    after = CliRunner().invoke(main, ["verify"], env=environment)
    assert "FAIL keys: " in after.output
    assert "ledger.keys can be read by others" in after.output


def test_show_prints_erasures_as_what_they_are(ledger: Ledger, run: Callable[..., Result]) -> None:
    ledger.erase(GIVEN.id)
    *_, last = map(json.loads, run("ledger", "show", "--last", 2).output.splitlines())
    assert (last["kind"], last["record"]["entries"]) == ("erasure", [0])


BROKEN_ABOVE = {"ledger guard", "ledger tiles", "ledger checkpoint", "ledger since"}
BROKEN_ELSEWHERE = {"ledger years"}  # in test_ledger_years.py


def test_every_check_is_seen_to_fail(ledger: Ledger) -> None:
    assert {check for check, _, _ in TAMPERING.values()} | BROKEN_ABOVE | BROKEN_ELSEWHERE == set(
        verdicts(ledger, signed(ledger))
    )
