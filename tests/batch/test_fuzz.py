"""Every parser of the batch house against damaged input: a count that adds up, or the documented error.

Quick by default; the tests marked slow ask for more, and `--hypothesis-profile search` looks for new examples.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from anonymiser import agents, catalogue, places, scrub, sources
from anonymiser.engines.duckdb import DuckDBEngine
from anonymiser.errors import BeaconError, InputError, SegmentError
from anonymiser.facts import parse
from anonymiser.settings import SiteRules
from anonymiser.spool import Spool, segments
from anonymiser.weblogs.targets import read_target
from tests.batch.clothes import CASES, views
from tests.batch.test_spool import Clock, add, keyed, read
from tests.damage import check

QUICK, MORE = 40, 400
RULES = SiteRules("demo", own_hosts=frozenset({"kent.example"}))
Verdict = Callable[[bytes], None]


def refuses(read: Callable[[bytes], object], error: type[Exception]) -> Verdict:
    def verdict(content: bytes) -> None:
        with suppress(error):
            read(content)

    return verdict


def never(read: Callable[[str], object]) -> Verdict:
    """Reads any text without an error."""

    def verdict(content: bytes) -> None:
        read(content.decode("utf-8", "replace"))

    return verdict


def scrubbed(text: str) -> None:
    """Once is enough, whatever it was: a second time changes nothing."""
    for clean in (scrub.path, scrub.text, scrub.label, scrub.host):
        assert clean(clean(text)) == clean(text)


BEACON = {
    "v": 1, "site": "kent", "kind": "pageview", "day": "2026-11-24", "path": "/a?b=c", "nonce": "0" * 16, "n": 1,
    "k": 1, "permit": "x",
}  # fmt: skip
ADDRESS = b"https://www.kent.example/logon.asp?sNextUrl=%2Fa%3Fb&utm_source=x&thisHost=kent.example#top"
AGENT = b"Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0"
PARSERS: dict[str, tuple[list[bytes], Verdict]] = {
    "beacon": ([json.dumps(BEACON).encode()], refuses(parse, BeaconError)),
    "target of a log line": ([ADDRESS, b"/a/b.html;jsessionid=1?x"], never(read_target)),
    "scrubbing": ([ADDRESS, b"jane%40example.org/07700-900123", b"/kunde/DE89370400440532013000"], never(scrubbed)),
    "agent": ([AGENT], never(agents.identify)),
    "referrer": ([ADDRESS], never(sources.referrer_host)),
    "tags of a campaign": ([b"utm_source=a&utm_medium=b&utm_campaign=c"], never(sources.tags)),
    "place": ([b"Europe/London", b"en-GB"], never(lambda text: (places.country(text), places.language(text)))),
}


@pytest.mark.parametrize("name", PARSERS)
def test_a_parser_refuses_in_its_own_way(name: str) -> None:
    check(*PARSERS[name], 3 * QUICK)


@pytest.mark.slow
@pytest.mark.parametrize("name", PARSERS)
def test_a_parser_refuses_more_in_its_own_way(name: str) -> None:
    check(*PARSERS[name], 3 * MORE)


def lines(name: str) -> bytes:
    case = CASES[name]
    return (case.header + "".join(case.line(view) + "\n" for view in views(case.referrers)[:4])).encode()


@pytest.mark.parametrize("number", [QUICK // 2, pytest.param(MORE // 2, marks=pytest.mark.slow)])
def test_no_line_of_a_log_is_lost(tmp_path: Path, number: int) -> None:
    path = tmp_path / "a.log"

    def verdict(content: bytes) -> None:
        path.write_bytes(content)
        with suppress(InputError):
            found = DuckDBEngine().count_logs([path], RULES, format="auto")
            assert found.read == found.counted + sum(found.dropped.values()) + found.rejected_total

    check([lines(name) for name in CASES], verdict, number)


@pytest.mark.parametrize("number", [QUICK, pytest.param(MORE, marks=pytest.mark.slow)])
def test_a_segment_is_read_or_refused_and_gives_no_fact_that_was_not_in_it(tmp_path: Path, number: int) -> None:
    keyed(tmp_path)
    with Spool(tmp_path, clock=Clock(), mix_beacons=2) as spool:
        add(spool, range(4))
    [segment] = segments(tmp_path)
    whole, given = segment.path.read_bytes(), {*read(segment).facts}

    def verdict(content: bytes) -> None:
        segment.path.write_bytes(content)
        with suppress(SegmentError):
            assert {*read(segment).facts} <= given

    check([whole, whole[: len(whole) // 2]], verdict, number)


SITEMAP = b'<?xml version="1.0"?><urlset><url><loc>https://kent.example/a</loc></url></urlset>'


@pytest.mark.parametrize(
    ("name", "example", "read_one"),
    [("pages.txt", b"/a\n/b\ngoal:enquiry\n", catalogue.read_file), ("s.xml", SITEMAP, catalogue.read_sitemap)],
)
def test_a_catalogue_is_read_or_refused(
    tmp_path: Path, name: str, example: bytes, read_one: Callable[[Path], object]
) -> None:
    file = tmp_path / name

    def verdict(content: bytes) -> None:
        file.write_bytes(content)
        with suppress(InputError):
            read_one(file)

    check([example], verdict, 3 * QUICK)
