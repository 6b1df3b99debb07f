"""Linking: can the stored facts of one visit be strung together again, by where they lie or by what they say?

The attacker reads the spool and has the key of the hour. The test knows what he does not: which beacon a stored fact
came from.
His luck is compared with that of the same attack on the same facts in orders drawn by chance.
"""

from __future__ import annotations

import json
import secrets
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from random import Random
from statistics import mean, pstdev
from typing import NamedTuple

import pytest

from anonymiser import spool
from anonymiser.agents import Agent
from anonymiser.facts import Beacon, Fact, shred
from anonymiser.hour_keys import HourKeys
from anonymiser.unsealing import read

VISITORS, SHUFFLES, MIXED = 400, 60, 64
OPEN_SECONDS = 8 * 3600
PAGES = ("/", "/chairs/", "/desks/", "/contact", "/offers", "/delivery", "/about", "/lamps/")
AGENTS = (Agent("Chrome", "Windows", "desktop", ""), Agent("Safari", "iOS", "phone", ""),
          Agent("Firefox", "Linux", "desktop", ""))  # fmt: skip
AT = datetime(2026, 11, 2, 9, tzinfo=UTC)


class Sent(NamedTuple):
    """A beacon, who sent it, and the facts it was torn into."""

    who: int
    beacon: Beacon
    facts: list[Fact]


class Stored(NamedTuple):
    """A fact as it lies on disk, and the number of the beacon it came from, which is not on disk."""

    fact: Fact
    origin: int


Frame = list[Stored]


def visit(chance: Random, who: int) -> Iterator[tuple[float, Sent]]:
    """One visit of a small site with its moments: what the browser sends, and what is made of it."""
    agent, at, prev = chance.choice(AGENTS), chance.random() * OPEN_SECONDS, ""
    gap, zone = chance.choice(("first", "1", "3")), chance.choice(("Europe/London", "Europe/Paris"))
    for n in range(1, chance.choice((1, 2, 3, 4, 5)) + 1):
        page = chance.choice([page for page in PAGES if page != prev])
        beacon = Beacon("kent", "permit", "0" * 16, "2026-11-02", "pageview", page, prev, n=n, p=n, v=1, k=n,
                        gap=gap if n == 1 else "", zone=zone if n == 1 else "")  # fmt: skip
        yield at, Sent(who, beacon, [Fact(*fact) for fact in shred(beacon, agent, 9, frozenset())])
        at, prev = at + chance.expovariate(1 / 60), page


@pytest.fixture(scope="module")
def sent() -> list[Sent]:
    """Everybody's beacons in the order they came."""
    chance = Random(20261102)
    moments = [moment for who in range(VISITORS) for moment in visit(chance, who)]
    return [sent for _, sent in sorted(moments, key=lambda moment: moment[0])]


def stored(sent: Sequence[Sent], folder: Path, monkeypatch: pytest.MonkeyPatch, mix: int = MIXED) -> list[Frame]:
    """The spool's frames, with the origin of each fact written down while it shuffles."""
    origins = {id(fact): number for number, one in enumerate(sent) for fact in one.facts}
    frames: list[Frame] = []
    shuffled = spool._shuffled

    def watched(facts: list[Fact]) -> list[Fact]:
        order = shuffled(facts)
        frames.append([Stored(fact, origins[id(fact)]) for fact in order])
        return order

    keys = HourKeys(folder / "private")
    keys.provide(folder, AT)
    with monkeypatch.context() as patched, spool.Spool(folder, clock=lambda: AT, mix_beacons=mix) as waiting:
        patched.setattr(spool, "_shuffled", watched)
        for one in sent:
            waiting.add(one.facts)
        waiting.flush()
    (segment,) = spool.segments(folder)
    assert read(segment, keys).facts == [row.fact for frame in frames for row in frame]
    return frames


# -- attacks: each tells its share of right guesses -------------------------------------------------------------------

Attack = Callable[[Sequence[Sent], Sequence[Frame]], float]


def neighbours(sent: Sequence[Sent], frames: Sequence[Frame]) -> float:
    """Guess that facts side by side came from one beacon."""
    guesses = [one.origin == other.origin for frame in frames for one, other in pairwise(frame)]
    return sum(guesses) / len(guesses)


def transitions(sent: Sequence[Sent], frames: Sequence[Frame]) -> float:
    """A view takes back the exit of the page before it: guess that the nearest new exit is the page it went to."""
    guesses = []
    for frame in frames:
        exits = [(place, row) for place, row in enumerate(frame) if row.fact.statistic == "exits"]
        there = [(place, row) for place, row in exits if row.fact.delta == 1]
        for place, row in exits:
            if row.fact.delta == -1:
                nearest = min(there, key=lambda other: abs(other[0] - place))[1]
                guesses.append(nearest.origin == row.origin)
    return sum(guesses) / len(guesses)


def chains(sent: Sequence[Sent], frames: Sequence[Frame]) -> float:
    """By contents: guess that a page's exit was taken back by the visit that left it there most recently."""
    rows = [row for frame in frames for row in frame if row.fact.statistic == "exits"]
    left: dict[str, list[int]] = {}
    guesses = []
    for row in rows:
        there = left.setdefault(row.fact.key1, [])
        if row.fact.delta == 1:
            there.append(sent[row.origin].who)
        else:
            guesses.append(bool(there) and there.pop() == sent[row.origin].who)
    return sum(guesses) / len(guesses)


def whole_rows(sent: Sequence[Sent]) -> float:
    """The attack on what is not stored: whole beacons, each with its counters. A view follows the one before it."""
    open_ends: dict[tuple[str, int], list[int]] = {}
    guesses: list[bool] = []
    for one in sent:
        beacon = one.beacon
        if beacon.k > 1:
            there = open_ends.get((beacon.prev, beacon.n - 1), [])
            guesses.append(bool(there) and there.pop() == one.who)
        open_ends.setdefault((beacon.path, beacon.n), []).append(one.who)
    return sum(guesses) / len(guesses)


ATTACKS: tuple[Attack, ...] = (neighbours, transitions, chains)


def by_chance(attack: Attack, sent: Sequence[Sent], frames: Sequence[Frame]) -> tuple[float, float]:
    """Mean and spread of the attack's luck when the same facts lie in an order that chance alone chose."""
    chance = Random(7)
    lucky = [attack(sent, [chance.sample(frame, len(frame)) for frame in frames]) for _ in range(SHUFFLES)]
    return mean(lucky), pstdev(lucky)


# -- what comes out ---------------------------------------------------------------------------------------------------


def test_frames_hold_many_beacons_and_no_row_names_one(
    sent: list[Sent], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frames = stored(sent, tmp_path, monkeypatch)
    assert all(len({row.origin for row in frame}) == MIXED for frame in frames[:-1])
    assert Fact._fields == ("site", "day", "statistic", "key1", "key2", "delta")
    alike = Counter(row.fact for row in frames[0])
    assert len(alike) < len(frames[0]) / 3


def test_without_the_key_only_lengths_are_seen(
    sent: list[Sent], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is on disk has no pattern that a compressor finds, and no word of a fact."""
    frames = stored(sent, tmp_path, monkeypatch)
    (segment,) = spool.segments(tmp_path)
    content = segment.path.read_bytes()
    plain = json.dumps([row.fact for frame in frames for row in frame], separators=(",", ":")).encode()
    assert len(plain) < len(content) < len(plain) + 200 + 40 * len(frames)
    assert len(zlib.compress(content, 9)) >= len(content)
    assert len(zlib.compress(plain, 9)) < len(plain) / 4
    assert not [page for page in PAGES[1:] if page.encode() in content]


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.__name__)
def test_stored_facts_are_linked_no_better_than_by_chance(
    sent: list[Sent], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, attack: Attack
) -> None:
    frames = stored(sent, tmp_path, monkeypatch)[:-1]
    expected, spread = by_chance(attack, sent, frames)
    assert attack(sent, frames) <= expected + 7 * spread
    assert expected < 0.15


@pytest.mark.parametrize("attack", (neighbours, transitions), ids=lambda attack: attack.__name__)
def test_without_shuffling_the_attack_succeeds(
    sent: list[Sent], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, attack: Attack
) -> None:
    monkeypatch.setattr(spool, "_shuffled", list)
    frames = stored(sent, tmp_path, monkeypatch)[:-1]
    expected, spread = by_chance(attack, sent, frames)
    assert attack(sent, frames) > max(0.7, expected + 7 * spread)


def test_a_frame_for_each_beacon_would_be_the_beacon_again(
    sent: list[Sent], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frames = stored(sent[:200], tmp_path, monkeypatch, mix=1)
    assert neighbours(sent, frames) == transitions(sent, frames) == 1


def test_whole_beacon_rows_could_be_chained(sent: list[Sent]) -> None:
    assert whole_rows(sent) > 0.85


def test_a_guessable_shuffle_would_be_seen(sent: list[Sent], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Random numbers that are all alike leave the order of arrival."""
    monkeypatch.setattr(secrets, "token_bytes", bytes)
    frames = stored(sent[:640], tmp_path, monkeypatch)
    assert neighbours(sent, frames) > 0.7


def test_a_beacon_of_another_day_lies_among_others_of_its_day(
    sent: list[Sent], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Just after midnight, or from a browser whose clock is wrong: no frame is closed for what another day brought."""
    late = [one._replace(facts=[fact._replace(day="2026-11-03") for fact in one.facts]) for one in sent[MIXED:]]
    frames = stored([*sent[: MIXED - 1], late[0], sent[MIXED - 1], *late[1:MIXED]], tmp_path, monkeypatch)
    assert [{row.fact.day for row in frame} for frame in frames] == [{"2026-11-02"}, {"2026-11-03"}]
    assert [len({row.origin for row in frame}) for frame in frames] == [MIXED, MIXED]
