"""Linking by pairs: a page and a source in one row must not string a visitor's pages together again.

Half of the visitors come from a small site of their own, as readers of blogs do. The attacker guesses that two rows of
a frame with the same source are of one visitor.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from random import Random

import pytest

from anonymiser import sources
from anonymiser.facts import shred
from tests.privacy.test_linking import AGENTS, VISITORS, Frame, Sent, stored, visit

LARGE = ("google.com", "bing.com", "facebook.com")


def arrived() -> list[Sent]:
    """Everybody's beacons in the order they came, each with its visit's landing page and source."""
    chance = Random(20261103)
    moments: list[tuple[float, Sent]] = []
    for who in range(VISITORS):
        referrer = f"blog-{who}.example" if who % 2 else chance.choice(LARGE)
        mine = [*visit(chance, who)]
        for at, one in mine:
            beacon = replace(one.beacon, entry=mine[0][1].beacon.path, referrer=referrer)
            moments.append((at, Sent(who, beacon, shred(beacon, AGENTS[0], 9, frozenset()))))
    return [one for _, one in sorted(moments, key=lambda moment: moment[0])]


def by_source(sent: Sequence[Sent], frames: Sequence[Frame]) -> float:
    """The share of right guesses about visitors from small sites."""
    guesses = []
    for frame in frames:
        rows = [row for row in frame if row.fact.statistic == "page_sources" and sent[row.origin].who % 2]
        alike = sorted(rows, key=lambda row: row.fact.key2)  # those of one source as they lie in the frame
        guesses += [
            sent[one.origin].who == sent[other.origin].who
            for one, other in pairwise(alike)
            if one.fact.key2 == other.fact.key2
        ]
    return sum(guesses) / len(guesses)


def test_pairs_of_a_visitor_from_a_small_site_are_linked_no_better_than_those_of_all_from_small_sites(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = arrived()
    frames = stored(sent, tmp_path, monkeypatch)[:-1]
    assert {row.fact.key2 for frame in frames for row in frame if row.fact.statistic == "page_sources"} == {
        *("Google", "Bing", "Facebook", "Referral"),
    }
    assert by_source(sent, frames) < 0.25


def test_named_sources_would_string_them_together(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What `sources.group` is for: with each source's own name the same guesses are right."""
    monkeypatch.setattr(sources, "group", lambda source, channel: source)
    named = arrived()
    assert by_source(named, stored(named, tmp_path, monkeypatch)[:-1]) > 0.95
