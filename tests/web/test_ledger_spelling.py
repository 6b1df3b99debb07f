"""The quick way in which a record is spelt is the canonical one."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consent_app.ledger.appending import spelt
from consent_app.ledger.records import canonical

NAMES = st.text(st.characters(codec="ascii"), max_size=12)
JSON = st.recursive(
    st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(max_size=20) | st.none(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(NAMES, JSON, max_size=8))
def test_records_are_spelt_canonically(document: dict[str, Any]) -> None:
    assert spelt(document) == canonical(document)


def test_what_cannot_be_spelt_is_no_record() -> None:
    with pytest.raises(ValueError, match="surrogates"):
        spelt({"reason": "\ud800"})
