"""`consent rights` and `consent ropa`: by command the same as over HTTP, and a message where it cannot be."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from flask import Flask

from consent_app.commands import main
from consent_app.ledger import holds
from consent_app.settings import Settings
from tests.web.conftest import Clock
from tests.web.ledger_records import failed
from tests.web.rights_visitor import Visitor, copied, events, visitor

Run = Callable[..., Result]


@pytest.fixture
def run(home: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """The command, on the same home as the server."""
    monkeypatch.setenv("CONSENT_HOME", str(home))
    home.chmod(0o700)

    def runs(*words: str, status: int = 0) -> Result:
        result = CliRunner().invoke(main, ["rights", *words])
        assert result.exit_code == status, result.output
        return result

    return runs


@pytest.fixture
def ann(settings: Settings, make_app: Callable[[Settings], Flask], clock: Clock) -> Visitor:
    """Somebody who allowed statistics on kent today, by the clock that commands go by."""
    clock.now = datetime.now(UTC)
    ann = visitor(make_app(settings))
    ann.decides(statistics=True, embeds=False)
    return ann


def test_a_copy_is_the_same_as_over_http(run: Run, ann: Visitor, tmp_path: Path) -> None:
    mine = copied(ann.sends("/your-data/copy", receipt=ann.receipt))
    out = tmp_path / "copy.json"
    run("export", ann.receipt, "--out", str(out))
    theirs = json.loads(out.read_text("utf-8"))
    for document in (mine, theirs):
        # The seal is over the moment too.
        del document["made"], document["receipt"]["dct:created"], document["receipt"]["app:seal"]
    assert theirs == mine
    key = str(ann.here.settings.home / "ledger" / "log.vkey")
    assert "is as it was logged" in run("verify", str(out), "--key", key).output
    assert "overwritten" in run("export", ann.receipt, "--out", str(out), status=2).output


def test_objection_correction_and_erasure_follow_on_one_another(run: Run, ann: Visitor, tmp_path: Path) -> None:
    copy, receipt = tmp_path / "copy.json", tmp_path / "erasure.json"
    run("export", ann.receipt, "--out", str(copy))
    assert (
        "embeds on, statistics off" in run("correct", str(copy), "--allow", "embeds", "--refuse", "statistics").output
    )
    said = run("object", ann.receipt, "--lang", "cy").output
    assert "it counts on until “Reject all” is pressed in it once" in said and "/cookies?site=kent" in said
    assert events(ann.here, ann.receipt) == ["given", "changed", "objected"]
    assert ann.here.ledger.history(ann.receipt)[-1].record["language"] == "cy"
    run("erase", ann.receipt, "--yes", "--out", str(receipt))
    assert events(ann.here, ann.receipt) == [] and failed(ann.here.ledger) == {}
    assert "erased 0, 1, 2" in run("verify", str(receipt)).output
    assert "no record of this receipt" in run("erase", ann.receipt, "--yes", status=2).output
    assert ann.opens(f"/your-data/erasures/{json.loads(receipt.read_text())['entry']}").status_code == 200


def test_a_receipt_of_an_erasure_under_another_key_does_not_hold(run: Run, ann: Visitor, tmp_path: Path) -> None:
    receipt, key = tmp_path / "erasure.json", tmp_path / "log.vkey"
    run("erase", ann.receipt, "--yes", "--out", str(receipt))
    key.write_text(ann.here.ledger.published.key().replace("ledger/", "ledger/0"), "utf-8")
    assert run("verify", str(receipt), "--key", str(key), status=2).exit_code == 2
    changed = json.loads(receipt.read_text("utf-8"))
    changed["record"]["entries"] = [5]
    receipt.write_text(json.dumps(changed), "utf-8")
    assert "FAIL erasure" in run("verify", str(receipt), status=1).output
    receipt.write_text("{}", "utf-8")
    assert "neither a copy" in run("verify", str(receipt), status=2).output


def test_erasure_asks_and_a_hold_refuses(run: Run, ann: Visitor) -> None:
    run("erase", ann.receipt, status=1)
    assert events(ann.here, ann.receipt) == ["given"]
    now = datetime.now(UTC)
    holds.add(ann.here.ledger, "kent", [], reason="case 7", by="legal", until=now.date(), now=now)
    assert f"stay until {now.date()}" in run("erase", ann.receipt, "--yes", status=2).output
    assert events(ann.here, ann.receipt) == ["given"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("correct", "{}"), "--allow KEY"),
        (("correct", "{}", "--allow", "embeds", "--refuse", "embeds"), "each key once"),
        (("correct", "{}", "--allow", "nonsense"), "is not asked by kent"),
        (("export", "0" * 32), "32 of the digits"),
        (("complaint", "answer", "x"), "either as TEXT or with --file"),
    ],
)
def test_what_cannot_be_is_told(run: Run, ann: Visitor, words: tuple[str, ...], said: str) -> None:
    assert said in run(*(word.format(ann.receipt) for word in words), status=2).output
    assert events(ann.here, ann.receipt) == ["given"]


def test_a_complaint_is_answered_by_command(run: Run, ann: Visitor, tmp_path: Path) -> None:
    assert "No complaint is open" in run("complaint", "list").output
    page = ann.sends("/your-data/complaints", text="The map came first.").headers["Location"]
    reference = page.partition("?")[0].rpartition("/")[2]
    assert f"{reference}  kent             day 1 of 30" in run("complaint", "list").output
    run("complaint", "close", reference, status=2)
    (tmp_path / "answer.txt").write_text("We mended it.\n", "utf-8")
    said = run("complaint", "answer", reference.lower().replace("-", " "), "--file", str(tmp_path / "answer.txt"))
    assert "it is closed" in said.output
    assert "We mended it." in ann.opens(page).text
    assert "closed" in run("complaint", "show", reference).output
    assert "No complaint is open" in run("complaint", "list").output
    assert reference in run("complaint", "list", "--all").output
