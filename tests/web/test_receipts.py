"""Tokens and permits: what opens, what does not, and that refusals tell nobody apart."""

from __future__ import annotations

import base64
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from consent_app.errors import SettingsError
from consent_app.receipts import VALIDITY, Permit, Receipt, Seal, receipt

NOW = datetime(2026, 11, 23, 9, 30, 12, tzinfo=UTC)
NOTICE = "ab" * 32
OLD, NEW = "old-key-" * 5, "new-key-" * 5


def seal(*keys: str, now: datetime = NOW) -> Seal:
    return Seal(keys or (OLD, NEW), lambda: now)


def accepted() -> Receipt:
    return receipt("kent", NOTICE, {"statistics": True, "embeds": False}, NOW, method="preferences", lang="en")


def test_a_given_decision_comes_back_whole() -> None:
    decided = accepted()
    assert seal().open(seal().token(decided), "kent") == decided
    assert len(decided.id) == 32
    assert decided.time == "2026-11-23T09:30:12Z"
    assert accepted().id != decided.id


def test_a_thousand_refusals_of_a_day_are_one_text() -> None:
    tokens = set()
    for minute in range(1000):
        now = NOW.replace(hour=minute % 24, minute=minute % 60)
        ways = {"method": ("banner-reject-all", "preferences")[minute % 2], "lang": ("en", "cy")[minute % 2]}
        refusal = receipt("kent", NOTICE, {"statistics": False, "embeds": False}, now, **ways)
        assert (refusal.id, refusal.time) == ("", "2026-11-23")
        tokens.add(seal().token(refusal))
    assert len(tokens) == 1


def test_permits_of_those_who_chose_alike_are_one_text() -> None:
    decisions = {"statistics": True, "embeds": False}
    first = seal().permit("kent", NOTICE, decisions, NOW.date())
    other_order = dict(reversed(decisions.items()))
    assert seal(now=NOW + timedelta(hours=9)).permit("kent", NOTICE, other_order, NOW.date()) == first
    assert seal().check_permit(first, "kent") == Permit("kent", NOTICE[:8], decisions, date(2026, 11, 23), True)


def test_a_longest_permit_fits_a_beacon() -> None:
    decisions = {f"purpose-{number}-with-long-name"[:24]: True for number in range(8)}
    assert len(seal().permit("k" * 24, NOTICE, decisions, NOW.date())) <= 512


@pytest.mark.parametrize("keys", [("another-key-" * 4,), (NEW, "next-key-" * 5)])
def test_a_retired_key_opens_nothing(keys: tuple[str, ...]) -> None:
    token = seal(OLD).token(accepted())
    permit = seal(OLD).permit("kent", NOTICE, {"statistics": True}, NOW.date())
    assert seal(*keys).open(token, "kent") is None
    assert seal(*keys).check_permit(permit, "kent") is None


def test_an_old_key_opens_and_the_new_one_signs() -> None:
    assert seal(OLD, NEW).open(seal(OLD).token(accepted()), "kent") is not None
    assert seal(NEW).open(seal(OLD, NEW).token(accepted()), "kent") is not None


def test_another_site_or_use_opens_nothing() -> None:
    token = seal().token(accepted())
    permit = seal().permit("kent", NOTICE, {"statistics": True}, NOW.date())
    assert seal().open(token, "surrey") is None
    assert seal().check_permit(permit, "surrey") is None
    assert seal().open(permit, "kent") is None
    assert seal().check_permit(token, "kent") is None


def test_validity_is_fixed_at_the_decision() -> None:
    given_token = seal().token(accepted())
    refused_token = seal().token(receipt("kent", NOTICE, {"statistics": False}, NOW))
    permit = seal().permit("kent", NOTICE, {"statistics": True}, NOW.date())
    last = NOW + VALIDITY - timedelta(seconds=1)
    assert seal(now=last).open(given_token, "kent") is not None
    assert seal(now=last + timedelta(seconds=1)).open(given_token, "kent") is None
    midnight = datetime(2026, 11, 23, tzinfo=UTC) + VALIDITY
    assert seal(now=midnight - timedelta(seconds=1)).open(refused_token, "kent") is not None
    assert seal(now=midnight).open(refused_token, "kent") is None
    assert seal(now=last).check_permit(permit, "kent") is not None
    assert seal(now=last + timedelta(days=1)).check_permit(permit, "kent") is None


def test_no_keys_no_seal() -> None:
    with pytest.raises(SettingsError, match="consent init"):
        Seal((), lambda: NOW)


TOKEN = seal().token(accepted())


@given(st.integers(0, len(TOKEN) - 1), st.characters(min_codepoint=33, max_codepoint=126))
def test_one_changed_character_never_changes_the_decision(place: int, character: str) -> None:
    changed = TOKEN[:place] + character + TOKEN[place + 1 :]
    opened = seal().open(changed, "kent")
    assert opened is None or opened == seal().open(TOKEN, "kent")


@given(st.text(max_size=200))
@example("\ud800")
@example(".")
@example(base64.urlsafe_b64encode(b"[1,2]").decode() + ".x")
def test_no_text_does_worse_than_none(text: str) -> None:
    assert seal().open(text, "kent") is None
    assert seal().check_permit(text, "kent") is None


@pytest.mark.parametrize("body", [[], {}, None, [1, 2, 3], ["n", {}, "soon"], ["n", [], "2026-11-23"], ["n"] * 9])
def test_a_signed_text_of_another_shape_is_none(body: object) -> None:
    for use in ("token", "permit"):
        text = str(seal()._serializer(use, "kent").dumps(body))
        assert seal().open(text, "kent") is None
        assert seal().check_permit(text, "kent") is None
