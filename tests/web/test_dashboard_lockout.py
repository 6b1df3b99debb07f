"""Guessing is slowed down in memory, colleagues are not shut out by it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from consent_app.dashboard.lockout import FREE_APART, FREE_TOGETHER, KEPT, LONGEST_WAIT, Lockout

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
NONE = timedelta(0)


def fail(lockout: Lockout, times: int, name: str = "ann", address: str = "192.0.2.1", now: datetime = NOW) -> None:
    for _ in range(times):
        lockout.begin(name, address, now)


def test_five_failures_are_free_then_the_wait_doubles() -> None:
    lockout = Lockout()
    fail(lockout, FREE_TOGETHER)
    first = lockout.begin("Ann ", "192.0.2.1", NOW)
    assert first == timedelta(seconds=30)
    later = NOW + first
    assert lockout.begin("ann", "192.0.2.1", later) == NONE
    assert lockout.begin("ann", "192.0.2.1", later) == timedelta(seconds=60)


def test_a_colleague_elsewhere_is_not_shut_out_by_a_few_failures() -> None:
    lockout = Lockout()
    fail(lockout, FREE_TOGETHER)
    assert lockout.begin("ann", "198.51.100.7", NOW) == NONE
    assert lockout.begin("bob", "192.0.2.1", NOW) == NONE


def test_one_name_from_many_addresses_and_many_names_from_one_are_slowed() -> None:
    spread, spray = Lockout(), Lockout()
    for n in range(FREE_APART):
        spread.begin("ann", f"192.0.2.{n}", NOW)
        spray.begin(f"name{n}", "192.0.2.1", NOW)
    assert spread.begin("ann", "198.51.100.7", NOW) > NONE
    assert spray.begin("zoe", "192.0.2.1", NOW) > NONE


def test_waits_end_and_are_forgotten() -> None:
    lockout = Lockout()
    for minute in range(60):
        fail(lockout, 1, now=NOW + minute * LONGEST_WAIT)
    wait = lockout.begin("ann", "192.0.2.1", NOW + 59 * LONGEST_WAIT)
    assert NONE < wait <= LONGEST_WAIT
    assert lockout.begin("ann", "192.0.2.1", NOW + 59 * LONGEST_WAIT + timedelta(hours=2)) == NONE
    fail(lockout, FREE_TOGETHER - 2, now=NOW + 59 * LONGEST_WAIT + timedelta(hours=2))
    assert lockout.begin("ann", "192.0.2.1", NOW + 59 * LONGEST_WAIT + timedelta(hours=2)) == NONE


def test_success_clears_the_count() -> None:
    lockout = Lockout()
    for _ in range(50):
        assert lockout.begin("ann", "192.0.2.1", NOW) == NONE
        lockout.succeeded("ann", "192.0.2.1")


def test_memory_is_bounded_and_holds_no_names() -> None:
    lockout = Lockout()
    for n in range(KEPT):
        lockout.begin(f"colleague{n}", f"2001:db8::{n:x}", NOW)
    assert len(lockout._failures) == KEPT
    assert not any(b"colleague" in key for key in lockout._failures)


def test_a_wait_is_news_once() -> None:
    lockout = Lockout()
    fail(lockout, FREE_TOGETHER)
    assert [lockout.is_news("ann", "192.0.2.1") for _ in range(3)] == [True, False, False]
    fail(lockout, 1, now=NOW + LONGEST_WAIT)
    assert lockout.is_news("ann", "192.0.2.1")
