"""`consent receipt verify`: what it finds, what it says, and that nothing makes it fall over."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import rfc8785
from click.testing import CliRunner, Result
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from consent_app.commands import main
from consent_app.ledger import Ledger
from tests import receipt_vectors as vectors
from tests.receipt_vectors import FORGED, NO_RECEIPTS, NONE, Kept, forged, kept, receipt, verdict


@pytest.fixture(scope="module")
def held(tmp_path_factory: pytest.TempPathFactory) -> Kept:
    """A receipt and its log's key; the ledger they come from is gone when a test reads them."""
    return kept(tmp_path_factory.mktemp("ledger"))


@pytest.fixture
def run(held: Kept, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Run `consent receipt verify` on files of these contents, without a data home and without a network."""

    def no_network(*_: Any, **__: Any) -> None:
        raise AssertionError("no network")

    monkeypatch.setattr(socket, "socket", no_network)

    def invoke(content: bytes | str, *options: str, **files: str | bytes) -> Result:
        for name, text in {"file": content, **files}.items():
            (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
        named = [part for name in files for part in (f"--{name}", str(tmp_path / name))]
        command = ["receipt", "verify", str(tmp_path / "file"), *named, *options]
        result = CliRunner().invoke(main, command, env={"CONSENT_HOME": str(tmp_path / "nowhere")})
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        assert "Traceback" not in result.output
        return result

    return invoke


def test_a_receipt_holds_by_itself(run: Callable[..., Result], held: Kept) -> None:
    result = run(held.text, key=held.key)
    assert result.exit_code == 0, result.output
    assert [line[:5] for line in result.output.splitlines()] == ["ok   "] * 5
    assert "3 fit the published schema; the newest says “withdrawn” at 2026-11-24T08:00:00Z" in result.output
    assert "logged as 5, 6, 8, under the root of 9 entries" in result.output


def test_however_it_is_laid_out(held: Kept) -> None:
    document = held.document
    for text in (json.dumps(document), json.dumps(document, indent=4), json.dumps(document, sort_keys=True)):
        assert verdict(text.encode(), held.key) == set()


def test_without_a_key_nothing_is_proved(run: Callable[..., Result], held: Kept) -> None:
    result = run(held.text)
    assert result.exit_code == 1
    assert result.output.count("FAIL") == 2
    assert result.output.count("bring the key of the log") == 2


@pytest.mark.parametrize("name", FORGED)
def test_what_is_forged_is_found(run: Callable[..., Result], held: Kept, name: str) -> None:
    content = forged(held.text, name)
    assert verdict(content, held.key) == FORGED[name][1]
    assert run(content, key=held.key).exit_code == 1


@pytest.mark.parametrize("name", NO_RECEIPTS)
def test_what_is_no_receipt_is_told_in_one_line(run: Callable[..., Result], held: Kept, name: str) -> None:
    result = run(NO_RECEIPTS[name](held.text), key=held.key)
    assert result.exit_code == 2
    (line,) = result.output.splitlines()
    assert "is no receipt: " in line
    assert len(line) < 400


def test_a_file_that_is_none_is_bad_usage(run: Callable[..., Result], held: Kept, tmp_path: Path) -> None:
    assert run(held.text, key="no key").exit_code == 2
    assert "is no key" in run(held.text, key="no key").output
    assert run(held.text, key=b"\xff" * 200_000).exit_code == 2
    assert "is no proof" in run(held.text, key=held.key, proof="x").output
    missing = CliRunner().invoke(main, ["receipt", "verify", str(tmp_path / "missing")])
    assert missing.exit_code == 2


def test_a_receipt_of_another_ledger_names_both(run: Callable[..., Result], held: Kept, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = kept(tmp_path / "other")
    result = run(held.text, key=other.key)
    assert result.exit_code == 1
    ours, theirs = held.key.split("+")[0], other.key.split("+")[0]
    assert f"it is of another ledger: the receipt is of {ours}, your key of {theirs}" in result.output
    mixed = held.document
    mixed[vectors.RECORD]["dpv:hasConsentStatus"][0]["app:proof"] = other.document[vectors.RECORD][
        "dpv:hasConsentStatus"
    ][0]["app:proof"]
    assert verdict(json.dumps(mixed).encode(), held.key) == {"entries", "checkpoint", "seal"}


def test_a_seal_is_no_checkpoint_and_a_checkpoint_no_seal(held: Kept) -> None:
    document = held.document
    event = document[vectors.RECORD]["dpv:hasConsentStatus"][2]
    head, _, note = event["app:proof"].partition("\n\n")
    event["app:proof"] = f"{head}\n\n{document['app:seal']}"
    document["app:seal"] = note
    assert verdict(json.dumps(document).encode(), held.key) == {"entries", "checkpoint", "seal"}


def test_a_proof_of_its_own_takes_the_place_of_the_one_inside(
    run: Callable[..., Result], held: Kept, tmp_path: Path
) -> None:
    with Ledger(tmp_path / "ledger.db") as ledger:
        record = vectors.given()
        ledger.append(record)
        ledger.sequence()
        text = json.dumps(receipt(ledger, record.id))
        ledger.append(vectors.given(id="8" * 32))
        ledger.sequence()
        later = ledger.proof(record.id)
        assert later
        key = ledger.published.key()
    result = run(text, key=key, proof=later.text)
    assert result.exit_code == 0, result.output
    assert "over 2 entries" in result.output
    foreign = held.document[vectors.RECORD]["dpv:hasConsentStatus"][0]["app:proof"]
    assert run(text, key=key, proof=foreign).exit_code == 1


def test_old_receipts_hold_after_erasure_later_entries_and_a_new_key(tmp_path: Path) -> None:
    with Ledger(tmp_path / "ledger.db") as ledger:
        record = vectors.given()
        ledger.append(record)
        ledger.sequence()
        old = json.dumps(receipt(ledger, record.id)).encode()
        old_key = ledger.published.key()
        ledger.erase(record.id)
        file = vectors.ledger_keys(ledger)
    file.write_text(f"{file.read_text()}2026-11-24 {'B' * 42}A=\n")
    with Ledger(tmp_path / "ledger.db") as ledger:
        ledger.append(vectors.given(id="9" * 32))
        ledger.sequence()
        new_key = ledger.published.key()
        new = json.dumps(receipt(ledger, "9" * 32)).encode()
        assert ledger.history(record.id) == []
    assert len(new_key.splitlines()) == 2
    assert new_key.startswith(old_key)
    newest = new_key.removeprefix(old_key)
    assert verdict(old, old_key) == verdict(old, new_key) == verdict(new, new_key) == set()
    assert verdict(new, old_key) == verdict(new, newest) == set()
    assert verdict(old, newest) == {"checkpoint", "seal"}


def test_a_refusal_makes_no_receipt(held: Kept) -> None:
    document = held.document
    event = document[vectors.RECORD]["dpv:hasConsentStatus"][2]
    refusal = json.loads(event["app:record"])
    del refusal["id"]
    refusal["time"] = refusal["time"][:10]
    event["app:record"] = json.dumps(refusal, separators=(",", ":"), sort_keys=True)
    document[vectors.RECORD]["dpv:hasConsentStatus"] = [event]
    assert verdict(json.dumps(document).encode(), held.key) == {"facts", "entries", "seal"}


# -- nothing makes it fall over ---------------------------------------------------------------------------------------

FUZZ = settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


def says_the_same(content: bytes, held: Kept) -> bool:
    """Whether a file is the same receipt, however it is laid out."""
    try:
        return rfc8785.dumps(json.loads(content)) == rfc8785.dumps(held.document)
    except ValueError:
        return False


@FUZZ
@given(data=st.data())
def test_any_other_byte_is_found(held: Kept, data: st.DataObject) -> None:
    content = held.text.encode()
    place = data.draw(st.integers(0, len(content) - 1))
    byte = data.draw(st.binary(min_size=0, max_size=2))
    changed = content[:place] + byte + content[place + 1 :]
    assert (verdict(changed, held.key) == set()) == says_the_same(changed, held)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


def places(node: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    inner = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    return [path, *(place for name, value in inner for place in places(value, (*path, name)))]


@FUZZ
@given(data=st.data())
def test_anything_in_place_of_anything_is_found(held: Kept, data: st.DataObject) -> None:
    document = held.document
    path = data.draw(st.sampled_from(places(document)[1:]))
    vectors.at(*path)(data.draw(JSON))(document)
    content = json.dumps(document).encode()
    assert (verdict(content, held.key) == set()) == says_the_same(content, held)


@FUZZ
@given(JSON)
def test_any_document_is_answered(document: Any) -> None:
    assert verdict(json.dumps(document).encode(), "") == NONE
