"""A beacon is refused by the name of its first bad field, and shredded into facts that keep every bound."""

from __future__ import annotations

import json
import re
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anonymiser import facts, scrub
from anonymiser.agents import Agent
from anonymiser.bounds import BUCKETS, ENGAGED, ENGAGED_FROM, GAP_BUCKETS, OTHER, SCROLLED, STATISTICS
from anonymiser.errors import BeaconError
from anonymiser.facts import Beacon, Fact, parse, shred

AGENT = Agent("Firefox", "Linux", "desktop", "")
OWN = frozenset({"kent.example"})
FIRST: dict[str, Any] = {
    "schema": 1,
    "site": "kent",
    "permit": "permit",
    "nonce": "0123456789abcdef",
    "day": "2026-05-17",
    "kind": "pageview",
    "path": "/furniture",
    "n": 1,
    "p": 1,
    "v": 1,
    "k": 1,
    "gap": "first",
    "referrer": "www.google.com",
    "screen": "large",
    "lang": "en-GB",
    "zone": "Europe/London",
}
LATER = {**FIRST, "n": 3, "p": 2, "k": 3, "path": "/print", "prev": "/furniture"}


def body(**changes: Any) -> bytes:
    return json.dumps({**FIRST, **changes}).encode()


def rows(beacon: bytes, hour: int = 9) -> set[tuple[str, str, str, int]]:
    found = shred(parse(beacon), AGENT, hour, OWN)
    assert all(fact.site == "kent" and fact.day == "2026-05-17" for fact in found)
    assert len({*found}) == len(found)
    return {fact[2:] for fact in found}


BAD: list[tuple[str, Any]] = [
    ("schema", 2),
    ("schema", True),
    ("schema", 1.0),
    ("schema", "1"),
    ("site", "Kent"),
    ("site", ""),
    ("site", "a" * 33),
    ("site", None),
    ("site", "kent\n"),
    ("permit", 7),
    ("permit", "x" * 513),
    ("permit", "\ud800"),
    ("nonce", "0123456789ABCDEF"),
    ("nonce", "0123"),
    ("day", "2026-02-30"),
    ("day", "17/05/2026"),
    ("day", "20260517"),
    ("day", "\u0662\u0660\u0662\u0666-\u0660\u0665-\u0661\u0667"),
    ("day", 20260517),
    ("kind", "view"),
    ("kind", ["pageview"]),
    ("path", "furniture"),
    ("path", ""),
    ("path", "/" + "x" * 512),
    ("path", "/\udfff"),
    ("prev", "https://kent.example/"),
    *((ordinal, bad) for ordinal in "npvkgf" for bad in (-1, 1.5, "1", True, None, 100_001, 10**30)),
    ("gap", "0"),
    ("gap", 3),
    ("gap", "32"),
    ("referrer", "x" * 129),
    ("referrer", {}),
    ("utm_source", []),
    ("utm_medium", 1),
    ("utm_campaign", None),
    ("screen", "huge"),
    ("lang", "e"),
    ("lang", "en;q=0.9"),
    ("zone", "Europe/../London"),
    ("zone", "x" * 65),
    ("key", 1),
    ("step", "order"),
    ("step", "order:7"),
    ("step", "Order:1"),
    ("step", "447700900123:1"),
    ("engaged", [1]),
    ("engaged", [2, 1]),
    ("engaged", [1, 1]),
    ("engaged", [0, 9]),
    ("engaged", [-1, 2]),
    ("engaged", [False, True]),
    ("scroll", "01"),
    ("scroll", [0, 1, 2]),
]


@pytest.mark.parametrize(("field", "value"), BAD, ids=str)
def test_a_bad_field_is_refused_by_name(field: str, value: Any) -> None:
    with pytest.raises(BeaconError) as refusal:
        parse(body(**{field: value}))
    assert refusal.value.field == field
    assert str(refusal.value).startswith(f"beacon field '{field}': ")


@pytest.mark.parametrize("field", ["schema", "site", "permit", "nonce", "day", "kind", "path"])
def test_a_missing_field_is_refused_by_name(field: str) -> None:
    with pytest.raises(BeaconError) as refusal:
        parse(json.dumps({name: value for name, value in FIRST.items() if name != field}).encode())
    assert refusal.value.field == field


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"n": 0}, "n"),
        ({"v": 0}, "v"),
        ({"k": 0}, "k"),
        ({"k": 2, "prev": "/"}, "n"),
        ({"p": 2}, "n"),
        ({"v": 2}, "n"),
        ({"gap": ""}, "gap"),
        ({"n": 2, "k": 2}, "prev"),
        ({"kind": "goal"}, "key"),
        ({"kind": "outbound"}, "key"),
        ({"kind": "download"}, "key"),
        ({"kind": "search"}, "key"),
        ({"kind": "engagement"}, "engaged"),
    ],
)
def test_fields_that_contradict_each_other_are_refused_by_name(changes: dict[str, Any], field: str) -> None:
    fields = {name: value for name, value in {**FIRST, **changes}.items() if value != ""}
    with pytest.raises(BeaconError) as refusal:
        parse(json.dumps(fields).encode())
    assert refusal.value.field == field


@pytest.mark.parametrize(
    "raw",
    [b"", b"{", b"[]", b"null", b'"text"', b"\xff\xfe", b"[" * 2000, b" " * 2049, b'{"n": NaN', b"\x00", b"1" * 2048],
    ids=repr,
)
def test_what_is_no_beacon_is_refused(raw: bytes) -> None:
    with pytest.raises(BeaconError) as refusal:
        parse(raw)
    assert refusal.value.field == "(body)"


@pytest.mark.parametrize("name", ["userId", "ip", "email", "__class__", "hour"])
def test_an_unknown_field_is_refused_by_name(name: str) -> None:
    with pytest.raises(BeaconError) as refusal:
        parse(body(**{name: "x"}))
    assert refusal.value.field in (name, "(unreadable)")


def test_the_largest_allowed_values_are_accepted() -> None:
    beacon = parse(
        body(n=100_000, p=0, v=100_000, path="/" + "x" * 511, permit="x" * 512, key="x" * 512, referrer="x" * 128)
    )
    assert (beacon.n, len(beacon.path), len(beacon.permit)) == (100_000, 512, 512)
    assert parse(body().ljust(facts.MAX_BYTES)) == parse(body())


CANARY = "jane.doe@post.example"


@pytest.mark.parametrize("field", [*FIRST, "key", "step", "utm_source", CANARY])
def test_an_error_never_repeats_a_value(field: str) -> None:
    for hostile in (CANARY * 200, [CANARY], {CANARY: CANARY}):
        with pytest.raises(BeaconError) as refusal:
            parse(json.dumps({**FIRST, field: hostile}).encode()[: facts.MAX_BYTES])
        assert "jane" not in str(refusal.value)


def test_the_first_view_of_the_day_counts_everything_once() -> None:
    assert rows(body(utm_campaign="Spring+Sale")) == {
        ("visitors", "", "", 1),
        ("returning", "first", "", 1),
        ("countries", "GB", "", 1),
        ("devices", "desktop", "", 1),
        ("browsers", "Firefox", "Linux", 1),
        ("languages", "en", "", 1),
        ("screens", "large", "", 1),
        ("views", "", "", 1),
        ("pages", "/furniture", "", 1),
        ("visits", "", "", 1),
        ("bounces", "", "", 1),
        ("entries", "/furniture", "", 1),
        ("exits", "/furniture", "", 1),
        ("sources", "Google", "Search", 1),
        ("campaigns", "spring sale", "", 1),
        ("hours", "09", "", 1),
    }


def test_a_later_view_counts_little_and_takes_back_the_exit() -> None:
    assert rows(json.dumps(LATER).encode()) == {
        ("views", "", "", 1),
        ("pages", "/print", "", 1),
        ("exits", "/print", "", 1),
        ("exits", "/furniture", "", -1),
    }


def test_a_second_view_takes_back_the_bounce() -> None:
    second = json.dumps({**LATER, "n": 2, "k": 2}).encode()
    assert ("bounces", "", "", -1) in rows(second)


@pytest.mark.parametrize(
    ("changes", "gone"),
    [
        ({"n": 9, "k": 5, "v": 1}, {"views"}),
        ({"n": 9, "p": 7, "k": 5}, {"views", "pages"}),
        ({"p": 0}, {"pages"}),
        ({"n": 9, "p": 5, "k": 7}, {"views", "exits"}),
        ({"v": 2, "k": 1, "n": 3, "p": 2}, {"exits"}),
        ({"v": 2, "k": 2, "n": 4}, {"exits"}),
    ],
)
def test_what_is_beyond_a_bound_is_not_counted(changes: dict[str, Any], gone: set[str]) -> None:
    counted = {statistic for statistic, *_ in rows(json.dumps({**LATER, **changes}).encode())}
    assert counted & gone == set()
    assert {"views", "pages", "exits"} - gone <= counted


@pytest.mark.parametrize(("v", "expected"), [(1, {1}), (2, {1}), (3, {1}), (4, set())])
def test_visits_and_bounces_stop_after_three(v: int, expected: set[int]) -> None:
    first_of_visit = rows(json.dumps({**FIRST, "n": 5, "v": v, "k": 1}).encode())
    for statistic in ("visits", "bounces"):
        assert {delta for name, _, _, delta in first_of_visit if name == statistic} == expected
    second_of_visit = rows(json.dumps({**FIRST, "n": 6, "v": v, "k": 2, "prev": "/", "p": 0}).encode())
    assert {delta for name, _, _, delta in second_of_visit if name == "bounces"} == {-delta for delta in expected}


@pytest.mark.parametrize("v", [2, 3, 4])
def test_where_a_visit_came_from_is_counted_for_the_first_only(v: int) -> None:
    later_visit = {
        statistic for statistic, *_ in rows(json.dumps({**FIRST, "n": 5, "v": v, "utm_campaign": "x"}).encode())
    }
    assert later_visit & {"entries", "exits", "sources", "campaigns", "hours", "visitors", "returning"} == set()


EVENTS = {
    "goal": ({"key": "Brochure"}, ("goals", "Brochure")),
    "outbound": ({"key": "WWW.Shop.example"}, ("outbound", "shop.example")),
    "download": ({"key": "/lists/prices.pdf?x=1"}, ("downloads", "/lists/prices.pdf")),
    "search": ({"key": "Office+Chairs"}, ("searches", "office chairs")),
    "not_found": ({"path": "/old?x"}, ("not_found", "/old")),
}


@pytest.mark.parametrize("kind", EVENTS)
@pytest.mark.parametrize(("g", "counted"), [(0, False), (1, True), (3, True), (4, False)])
def test_events_are_counted_three_times_a_day(kind: str, g: int, counted: bool) -> None:
    changes, (statistic, key) = EVENTS[kind]
    assert rows(body(kind=kind, g=g, **changes)) == ({(statistic, key, "", 1)} if counted else set())


@pytest.mark.parametrize(("f", "counted"), [(0, False), (1, True), (6, True), (7, False)])
@pytest.mark.parametrize("kind", ["pageview", "goal"])
def test_six_funnel_steps_a_day_are_counted(kind: str, f: int, counted: bool) -> None:
    found = rows(body(kind=kind, key="Buy", g=9, step="order:2", f=f))
    assert (("funnels", "order", "2", 1) in found) is counted


@pytest.mark.parametrize(
    ("engaged", "expected"),
    [([0, 1], {("1", 1)}), ([2, 5], {("2", -1), ("5", 1)}), ([7, 8], {("7", -1), ("8", 1)})],
)
def test_engagement_moves_from_bucket_to_bucket(engaged: list[int], expected: set[tuple[str, int]]) -> None:
    found = rows(body(kind="engagement", engaged=engaged, scroll=engaged))
    assert found == {(name, key, "", delta) for name in ("engagement", "scroll") for key, delta in expected}


def test_engagement_may_come_without_scroll_and_scroll_without_engagement() -> None:
    assert rows(body(kind="engagement", engaged=[0, 3])) == {("engagement", "3", "", 1)}
    assert rows(body(kind="engagement", scroll=[3, 8])) == {("scroll", "3", "", -1), ("scroll", "8", "", 1)}


def test_each_bucket_has_a_name() -> None:
    assert len(ENGAGED) == len(ENGAGED_FROM) == len(SCROLLED) == BUCKETS
    assert list(ENGAGED_FROM) == sorted(ENGAGED_FROM)


def test_the_browser_uses_the_same_edges(root: Path) -> None:
    script = (root / "static" / "consent-banner" / "src" / "engagement.ts").read_text("utf-8")
    (edges,) = re.findall(r"const bucket = .*passed\(\[([\d, ]+)\]", script)
    assert tuple(map(int, edges.split(", "))) == ENGAGED_FROM


def test_a_name_only_the_site_gives_is_kept_a_stranger_is_not() -> None:
    assert rows(body(kind="goal", key="Request a quote", g=1)) == {("goals", "Request a quote", "", 1)}
    assert rows(body(kind="goal", key="Buy ", g=1)) == {("goals", OTHER, "", 1)}


CANARIES = ("jane.doe@post.example", "+44 20 7946 0958", "4111 1111 1111 1111", "CT1 2AB", "192.0.2.77")


@pytest.mark.parametrize("canary", CANARIES)
@pytest.mark.parametrize("kind", sorted(facts.KINDS))
def test_no_fact_holds_an_identifier(kind: str, canary: str) -> None:
    everywhere = dict.fromkeys(("key", "referrer", "utm_source", "utm_medium", "utm_campaign", "permit"), canary)
    hostile = body(kind=kind, path=f"/find/{canary}", prev=f"/{canary}", g=1, engaged=[0, 1], **everywhere)
    for fact in shred(parse(hostile), AGENT, 9, OWN):
        for text in (fact.key1, fact.key2):
            assert canary not in text
            assert scrub.findings(text) == []


TEXT = st.text(max_size=20) | st.sampled_from(["/user/jane", "CHAIR", "a%2520b", "www.shop.example", "order:2"])
BEACONS = st.builds(
    Beacon,
    site=st.just("kent"),
    permit=TEXT,
    nonce=st.just("0" * 16),
    day=st.dates(date(2026, 1, 1), date(2026, 12, 31)).map(date.isoformat),
    kind=st.sampled_from(sorted(facts.KINDS)),
    path=TEXT.map("/".__add__),
    prev=TEXT.map("/".__add__),
    **{ordinal: st.integers(0, 9) for ordinal in "npvkgf"},
    gap=st.sampled_from(GAP_BUCKETS),
    referrer=TEXT,
    utm_source=TEXT,
    utm_campaign=TEXT,
    zone=TEXT,
    lang=TEXT,
    key=TEXT,
    engaged=st.sampled_from([(0, 0), (0, 3), (3, 8)]),
)


@settings(deadline=None)
@given(BEACONS, st.integers(0, 23))
def test_any_beacon_becomes_well_formed_facts(beacon: Beacon, hour: int) -> None:
    for fact in shred(beacon, AGENT, hour, OWN):
        statistic = STATISTICS[fact.statistic]
        assert isinstance(fact, Fact)
        assert fact.delta in (-1, 1)
        assert bool(fact.key2) <= (len(statistic.keys) == 2)
        assert bool(fact.key1) <= (len(statistic.keys) >= 1)
        assert len(fact.key1) <= scrub.MAX_PATH


@settings(deadline=None)
@given(
    st.dictionaries(
        st.sampled_from([*FIRST, "key", "step", "x"]),
        st.none() | st.integers() | TEXT | st.lists(st.integers()),
        max_size=5,
    )
)
def test_parsing_refuses_or_reads_and_never_breaks(changes: dict[str, Any]) -> None:
    try:
        beacon = parse(body(**changes))
    except BeaconError as refusal:
        assert refusal.field
    else:
        shred(beacon, AGENT, 9, OWN)
