"""The log's key is changed, and whoever was given any of its keys can go on verifying."""

from __future__ import annotations

from pathlib import Path

import pytest

from consent_app.errors import ProofError
from consent_app.ledger import Ledger, keys
from consent_app.ledger.tlog.checkpoint import verified
from consent_app.ledger.tlog.note import Verifier
from tests.web.ledger_records import GIVEN, TEXT, given, verdicts


def rotate(file: Path) -> list[Verifier]:
    keys.rotate(file / "secrets" / keys.FILE)
    return [signer.verifier for signer in keys.signers(file / "secrets" / keys.FILE)]


def test_old_and_new_keys_verify_what_is_signed_after_a_change(tmp_path: Path) -> None:
    with Ledger(tmp_path / "ledger.db") as ledger:
        ledger.archive_notice(TEXT, "2026-11-01")
        ledger.append(GIVEN)
        ledger.sequence()
        kept, proof = ledger.published.checkpoint() or b"", ledger.proof(GIVEN.id)
        for number in (1, 2):
            known = rotate(tmp_path)
            ledger.append(given(number))
            assert ledger.sequence() == number + 1
            note = ledger.published.checkpoint() or b""
            assert len(known) == number + 1
            assert [verified(note, [key]).size for key in known] == [number + 1] * len(known)
        assert keys.read_public(ledger.published.key()) == known
        assert proof is not None
        assert ledger.verify_proof("kept", proof.text).ok
        assert all(verdicts(ledger, kept).values())
        with pytest.raises(ProofError, match="known key"):
            verified(kept, known[1:])


def test_an_empty_or_lost_key_file_is_not_made_anew(tmp_path: Path) -> None:
    with pytest.raises(Exception, match="restore it from a backup"):
        keys.rotate(tmp_path / keys.FILE)
    assert not (tmp_path / keys.FILE).exists()
