"""Each kind of record and its published schema refuse the same."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consent_app.errors import LedgerError
from consent_app.ledger.records import (
    KINDS,
    DropRecord,
    ErasureRecord,
    HoldEndRecord,
    HoldRecord,
    Record,
    YearRecord,
)
from tests.web.ledger_records import GIVEN, REFUSED, REMOVED

SCHEMAS = Path(__file__).parents[2] / "consent_app" / "ledger" / "schemas"
NOW: Final = "2026-11-24T10:00:00Z"
HOLD = HoldRecord("0123456789abcdef", "kent", (3, 5), "Claim 17, Canterbury", "legal", "2027-03-31", NOW)
EXAMPLES: Final[tuple[Record, ...]] = (
    GIVEN,
    REFUSED,
    replace(GIVEN, event="withdrawn"),
    replace(GIVEN, method="handover"),
    REMOVED,
    ErasureRecord((3, 5), NOW),
    HOLD,
    replace(HOLD, entries=()),
    HoldEndRecord(HOLD.hold, "legal", NOW),
    YearRecord(2027, 9, "consent.invalid/ledger/0123456789abcdef", 9, "e" * 64, NOW),
    DropRecord("consent.invalid/ledger/0123456789abcdef", 0, 9, "e" * 64, NOW),
)


def validator(kind: str) -> jsonschema.Draft202012Validator:
    schema = json.loads((SCHEMAS / f"{kind}.schema.json").read_text("utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema, format_checker=jsonschema.FormatChecker())


VALIDATORS: Final = {kind: validator(kind) for kind in KINDS}


def test_every_kind_has_its_schema_and_none_is_left_over() -> None:
    assert {file.name.partition(".")[0] for file in SCHEMAS.iterdir()} == KINDS.keys()


@pytest.mark.parametrize("record", EXAMPLES)
def test_records_fit_the_published_schema(record: Record) -> None:
    VALIDATORS[record.KIND].validate(record.document())
    assert type(record).read(record.document()) == record


def test_a_refusal_has_no_id() -> None:
    assert "id" not in REFUSED.document()


@pytest.mark.parametrize("entries", [[], [5, 3], [3, 3], [-1], [True], ["3"], 3, [2**53]])
def test_a_tombstone_names_entries(entries: Any) -> None:
    with pytest.raises(LedgerError, match="entries"):
        ErasureRecord.read({"schema": ErasureRecord.SCHEMA, "entries": entries, "time": NOW})


JUNK = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from(["", "x", "2026-11-23", "2026-13-01", "A@b", "a\nb", [], {}, [4], [4.5], [7, 7], "e" * 64])
)
FIELDS = sorted({*(name for record in EXAMPLES for name in record.document()), "ip", "user_agent"})


@given(st.sampled_from(EXAMPLES), st.sampled_from(FIELDS), JUNK)
def test_what_the_schema_refuses_the_record_refuses(record: Record, field: str, junk: Any) -> None:
    document = record.document() | {field: junk}
    try:
        type(record).read(document)
    except LedgerError:
        assert not VALIDATORS[record.KIND].is_valid(document)
    else:
        assert VALIDATORS[record.KIND].is_valid(document)


@pytest.mark.parametrize("kind", KINDS.values())
@pytest.mark.parametrize("document", [{}, {"schema": "urn:consent-app:other:1"}])
def test_what_is_no_such_record_is_refused(kind: type[Record], document: dict[str, Any]) -> None:
    with pytest.raises(LedgerError, match="schema"):
        kind.read(document)
